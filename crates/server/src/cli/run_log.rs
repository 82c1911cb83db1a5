//! `bailiwick run-log`: runs of agents and the calls that belong to them.

use bailiwick_model::{OrgId, RunId};
use serde_json::json;

use super::args::{Form, RunLogCommand};
use super::context::Context;
use super::desk::{Desk, Work};
use super::output;
use crate::exit::{Exit, Failure};
use crate::http::api::call::{Call, CallQuery, ListCalls};
use crate::http::api::operation::Nothing;
use crate::http::api::org::OrgPath;
use crate::http::api::run::{FinishRun, ListRuns, Reason, Run, RunEnd, RunPath, RunQuery, ShowRun};

/// Calls that one run is shown with, the newest.
const CALLS_MAX: usize = 10_000;

pub(super) async fn run(context: &Context, command: RunLogCommand) -> Result<(), Failure> {
    let work = if matches!(command, RunLogCommand::Finish { .. }) { Work::Changes } else { Work::Reads };
    let desk = context.desk(work).await?;
    let done = act(context.form, &desk, command).await;
    done.and(desk.close().await)
}

async fn act(form: Form, desk: &Desk, command: RunLogCommand) -> Result<(), Failure> {
    match command {
        RunLogCommand::List { org, sub, open, limit } => {
            let query = RunQuery { sub, open: open.then_some(true), ..RunQuery::default() };
            let count = usize::try_from(limit).unwrap_or(usize::MAX);
            let mut runs: Vec<Run> = Vec::new();
            for org in desk.orgs(org).await? {
                runs.extend(desk.first::<ListRuns, _>(OrgPath { org }, query.clone(), count).await?);
            }
            runs.sort_by(|a, b| b.started_at.cmp(&a.started_at));
            output::print_rows(form, &runs, ["RUN", "ORG", "SUBJECT", "STATE", "STARTED", "DOCTRINE", "LABEL"], |run| {
                let doctrine = run.doctrine.clone().unwrap_or_else(|| "-".to_owned());
                let (id, org, sub) = (run.run_id.to_string(), run.org.to_string(), run.sub.clone());
                [id, org, sub, run.state.clone(), run.started_at.clone(), doctrine, run.label.clone()]
            })
        }
        RunLogCommand::Show { id, org } => {
            let run = find(desk, org, &id).await?;
            let query = CallQuery { run_id: Some(id), ..CallQuery::default() };
            let mut calls = desk.first::<ListCalls, _>(OrgPath { org: run.org.clone() }, query, CALLS_MAX).await?;
            calls.reverse();
            show(form, &run, &calls)
        }
        RunLogCommand::Finish { id, outcome, reason, note, org } => {
            let reason = Reason::try_from(reason).map_err(|rule| Failure::new(Exit::Usage, format!("`--reason`: {rule}")))?;
            let path = RunPath { org: find(desk, org, &id).await?.org, run_id: id };
            let ended = desk.ask::<FinishRun>(path, RunEnd { outcome, reason, note }).await?;
            output::done(form, &ended, &format!("Run `{}` has ended: {}.", ended.run_id, ended.state))
        }
    }
}

/// The run of this id in the organisation that is named, or in any that may be seen.
async fn find(desk: &Desk, org: Option<OrgId>, id: &RunId) -> Result<Run, Failure> {
    for org in desk.orgs(org).await? {
        match desk.ask::<ShowRun>(RunPath { org, run_id: id.clone() }, Nothing {}).await {
            Err(failure) if failure.exit() == Exit::NotFound => {}
            found => return found,
        }
    }
    Err(Failure::new(Exit::NotFound, format!("there is no run `{id}`")).hint("`bailiwick run-log list` shows those that are"))
}

fn show(form: Form, run: &Run, calls: &[Call]) -> Result<(), Failure> {
    if form == Form::Json {
        let mut shown = json!(run);
        shown["calls"] = json!(calls);
        return output::print_json(&shown);
    }
    output::print_one(form, run)?;
    output::print("\n")?;
    output::print_rows(form, calls, ["TIME", "EVENT", "TOOL", "REVISION", "CREDENTIAL", "DECISION", "CODE", "HOW"], |call| {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let (at, id) = (call.created_at.clone(), call.id.clone());
        let (tool, revision, credential) = (text(&call.tool), text(&call.tool_revision), text(&call.credential_kind));
        [at, id, tool, revision, credential, text(&call.decision), text(&call.error_code), text(&call.run_source)]
    })
}
