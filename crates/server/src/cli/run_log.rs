//! `bailiwick run-log`: runs of agents and the calls that belong to them. Reading changes nothing.

use bailiwick_model::{OrgId, RunId, Timestamp};
use bailiwick_store::event::{EVENT_PAGE_MAX, Event, EventFilter, EventPage};
use bailiwick_store::{OrgScope, Run, RunFilter, Store};
use serde_json::{Value, json};

use super::args::{Form, RunLogCommand};
use super::context::Context;
use super::{output, pages};
use crate::exit::{Exit, Failure};

/// Pages of calls that one run is shown with.
const CALL_PAGES_MAX: usize = 20;

/// A run and where it belongs.
struct Found {
    org: OrgId,
    run: Run,
}

pub(super) async fn run(context: &Context, command: RunLogCommand) -> Result<(), Failure> {
    let settings = context.settings()?;
    let (store, scope) = context.store(&settings).await?;
    let now = context.clock.now();
    let done = match command {
        RunLogCommand::List { org, sub, open, limit } => {
            let filter = RunFilter { sub, open: open.then_some(true), ..RunFilter::default() };
            let mut found = Vec::new();
            for org in pages::orgs(&store, &scope, org).await? {
                let runs = store.runs().list(&scope.within(&org), &filter, None, limit).await?;
                found.extend(runs.into_iter().map(|run| Found { org: org.clone(), run }));
            }
            found.sort_by_key(|found| std::cmp::Reverse(found.run.started_at));
            list(context.form, &found, now)
        }
        RunLogCommand::Show { id, org } => {
            let mut shown =
                Err(Failure::new(Exit::NotFound, format!("there is no run `{id}`")).hint("`bailiwick run-log list` shows those that are"));
            for org in pages::orgs(&store, &scope, org).await? {
                let within = scope.within(&org);
                if let Some(run) = store.runs().get(&within, &id).await? {
                    let calls = calls(&store, &within, &id).await?;
                    shown = show(context.form, &Found { org, run }, &calls, now);
                    break;
                }
            }
            shown
        }
    };
    store.close().await;
    done
}

/// The calls of a run, oldest first.
async fn calls(store: &Store, within: &OrgScope, id: &RunId) -> Result<Vec<Event>, Failure> {
    let filter = EventFilter { run_id: Some(id.clone()), ..EventFilter::default() };
    let (mut calls, mut page): (Vec<Event>, _) = (Vec::new(), EventPage::After(0));
    for _ in 0..CALL_PAGES_MAX {
        let rows = store.events().list(within, &filter, page, EVENT_PAGE_MAX).await?;
        let Some(last) = rows.last() else { break };
        page = EventPage::After(last.id);
        calls.extend(rows);
    }
    Ok(calls)
}

fn list(form: Form, found: &[Found], now: Timestamp) -> Result<(), Failure> {
    if form == Form::Json {
        return output::print_json(&found.iter().map(|found| as_json(found, now)).collect::<Vec<_>>());
    }
    let cells = |found: &Value| {
        let text = |name: &str| found[name].as_str().unwrap_or("-").to_owned();
        [text("run_id"), text("org"), text("sub"), text("state"), text("started_at"), text("doctrine"), text("label")]
    };
    let rows: Vec<Value> = found.iter().map(|found| as_json(found, now)).collect();
    output::print_rows(form, &rows, ["RUN", "ORG", "SUBJECT", "STATE", "STARTED", "DOCTRINE", "LABEL"], cells)
}

fn show(form: Form, found: &Found, calls: &[Event], now: Timestamp) -> Result<(), Failure> {
    let mut run = as_json(found, now);
    if form == Form::Json {
        run["calls"] = calls.iter().map(call_as_json).collect();
        return output::print_json(&run);
    }
    let mut text = String::new();
    if let Value::Object(members) = &run {
        for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text.push_str(&format!("{name:<18}{}\n", output::printable(&value)));
        }
    }
    output::print(&(text + "\n"))?;
    output::print_rows(
        form,
        &calls.iter().map(call_as_json).collect::<Vec<_>>(),
        ["TIME", "EVENT", "TOOL", "DECISION", "CODE", "HOW"],
        |call| {
            let text = |name: &str| call[name].as_str().unwrap_or("-").to_owned();
            [text("at"), text("event_id"), text("tool"), text("decision"), text("code"), text("run_source")]
        },
    )
}

fn as_json(found: &Found, now: Timestamp) -> Value {
    let Found { org, run } = found;
    let frozen = run.frozen.as_ref();
    // Derived, never stored: a run without news is not one that ended.
    let state = match run.outcome {
        Some(outcome) => outcome.as_str().to_owned(),
        None if run.stale(now) => format!("no news since {}", run.last_seen_at),
        None => "open".to_owned(),
    };
    json!({
        "run_id": run.run_id, "org": org, "sub": run.owner.sub(), "client_id": run.owner.client_id(), "label": run.label, "state": state,
        "parent_run_id": run.parent, "doctrine": run.doctrine, "doctrine_kind": frozen.map(|frozen| &frozen.kind),
        "doctrine_version": frozen.map(|frozen| frozen.version), "outcome": run.outcome, "note": run.note, "implicit": run.implicit,
        "started_at": run.started_at.to_string(), "last_seen_at": run.last_seen_at.to_string(),
        "finished_at": run.finished_at.map(|at| at.to_string()), "finished_by": run.finished_by, "finish_reason": run.finish_reason,
    })
}

fn call_as_json(call: &Event) -> Value {
    json!({
        "at": call.at.to_string(), "event_id": call.event_id, "tool": call.tool, "server": call.server, "decision": call.decision,
        "code": call.code, "ok": call.ok, "duration_ms": call.duration_ms, "run_source": call.run_source,
        "credential_kind": call.credential_kind, "sub": call.sub, "agent_id": call.agent_id,
    })
}
