//! `bailiwick key`: API keys of agents.

use std::collections::HashMap;

use bailiwick_model::{AgentId, AgentType, KeyId, OrgId, Timestamp};
use bailiwick_store::event::EventKind;
use bailiwick_store::{Agent, KeyInfo, NewKey, OrgScope, PlatformScope, Store, StoreErrorKind};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::json;

use super::args::{Form, KeyCommand};
use super::context::Context;
use super::when::Lifetime;
use super::{output, pages};
use crate::exit::{Exit, Failure};
use crate::operator::{Deed, Operator};

pub(super) async fn run(context: &Context, command: KeyCommand) -> Result<(), Failure> {
    let settings = context.settings()?;
    if let KeyCommand::List { org } = command {
        let (store, scope) = context.store(&settings).await?;
        let done = list(context, &store, &scope, org).await;
        store.close().await;
        return done;
    }
    let operator = context.operator(&settings).await?;
    let done = match command {
        KeyCommand::Create { org, agent_id, agent_type, expires, note } => {
            let org = org.unwrap_or(settings.config.org);
            create(context, &operator, Wanted { org, agent_id, agent_type, expires, note }).await
        }
        KeyCommand::Revoke { id, org, confirm } => revoke(&operator, &id, org, confirm.yes).await,
        KeyCommand::List { .. } => Ok(()),
    };
    done.and(operator.close().await)
}

struct Wanted {
    org: OrgId,
    agent_id: AgentId,
    agent_type: AgentType,
    expires: Lifetime,
    note: String,
}

async fn create(context: &Context, operator: &Operator, wanted: Wanted) -> Result<(), Failure> {
    let Operator { store, scope, .. } = operator;
    let Wanted { org, agent_id, agent_type, expires, note } = wanted;
    let inside = scope.within(&org);
    store.orgs().ensure(scope, &org).await?;
    ensure_agent(store, &inside, &agent_id, &agent_type).await?;
    let expires_at = expires.end(context.clock.now());
    let deed = Deed { kind: EventKind::Key, operation: "key create", org: Some(&org), subject: agent_id.as_str() };
    let new = NewKey { agent_id: agent_id.clone(), label: note, expires_at };
    let created = operator.record(deed, store.keys().create(&inside, new)).await?;
    let token = created.token.expose_secret();
    let until = expires_at.map(|end| end.to_string());
    if context.form == Form::Json {
        return output::print_json(&json!({
            "id": created.id.to_string(), "token": token, "org": org, "agent_id": agent_id, "agent_type": agent_type, "expires_at": until,
        }));
    }
    eprintln!("Key {} of agent `{agent_id}` ({agent_type}) in `{org}`, valid {}.", created.id, validity(until.as_deref()));
    eprintln!("It is shown this once; only a digest is kept.");
    // Alone on stdout, so that it can be piped into a file or a secret manager.
    output::print(&format!("{token}\n"))
}

fn validity(until: Option<&str>) -> String {
    until.map_or_else(|| "until it is revoked".to_owned(), |end| format!("until {end}"))
}

/// Creates the agent, or makes sure that it is of the type that the operator has in mind.
async fn ensure_agent(store: &Store, inside: &OrgScope, agent_id: &AgentId, agent_type: &AgentType) -> Result<(), Failure> {
    match store.agents().get(inside, agent_id).await {
        Ok(agent) if agent.agent_type == *agent_type => Ok(()),
        Ok(agent) => {
            let text = format!("agent `{agent_id}` exists with type `{}`, not `{agent_type}`", agent.agent_type);
            Err(Failure::new(Exit::Conflict, text).hint("an agent keeps its type; choose another agent id"))
        }
        Err(fault) if fault.kind() == StoreErrorKind::NotFound => {
            Ok(store.agents().create(inside, agent_id, agent_type).await.map(drop)?)
        }
        Err(fault) => Err(fault.into()),
    }
}

/// A key as shown to operators.
#[derive(Serialize)]
struct Row {
    id: String,
    org: OrgId,
    agent_id: AgentId,
    agent_type: Option<AgentType>,
    state: &'static str,
    created_at: String,
    created_by: String,
    expires_at: Option<String>,
    last_used_at: Option<String>,
    note: String,
}

async fn list(context: &Context, store: &Store, scope: &PlatformScope, org: Option<OrgId>) -> Result<(), Failure> {
    let now = context.clock.now();
    let mut rows = Vec::new();
    for org in pages::orgs(store, scope, org).await? {
        let inside = scope.within(&org);
        let agents: HashMap<AgentId, Agent> =
            pages::agents(store, &inside).await?.into_iter().map(|agent| (agent.agent_id.clone(), agent)).collect();
        for key in pages::keys(store, &inside).await? {
            let agent = agents.get(&key.agent_id);
            rows.push(row(&org, key, agent, now));
        }
    }
    output::print_rows(context.form, &rows, ["ID", "ORG", "AGENT", "STATE", "EXPIRES", "LAST USED", "NOTE"], |row| {
        let moment = |text: &Option<String>| text.clone().unwrap_or_else(|| "never".to_owned());
        let (expires, used) = (moment(&row.expires_at), moment(&row.last_used_at));
        [row.id.clone(), row.org.to_string(), row.agent_id.to_string(), row.state.to_owned(), expires, used, row.note.clone()]
    })
}

fn row(org: &OrgId, key: KeyInfo, agent: Option<&Agent>, now: Timestamp) -> Row {
    let state = match () {
        () if key.revoked_at.is_some() => "revoked",
        () if key.expires_at.is_some_and(|end| end <= now) => "expired",
        () if agent.is_some_and(|agent| agent.disabled_at.is_some()) => "disabled",
        () => "live",
    };
    Row {
        id: key.id.to_string(),
        org: org.clone(),
        agent_id: key.agent_id,
        agent_type: agent.map(|agent| agent.agent_type.clone()),
        state,
        created_at: key.created_at.to_string(),
        created_by: key.created_by,
        expires_at: key.expires_at.map(|end| end.to_string()),
        last_used_at: key.last_used_at.map(|at| at.to_string()),
        note: key.label,
    }
}

async fn revoke(operator: &Operator, id: &str, org: Option<OrgId>, yes: bool) -> Result<(), Failure> {
    let Operator { store, scope, .. } = operator;
    let key = KeyId::parse(id).map_err(|fault| Failure::new(Exit::Usage, fault.to_string()).hint("`bailiwick key list` shows the ids"))?;
    output::confirm(&format!("Revoke key {key}"), yes)?;
    for org in pages::orgs(store, scope, org).await? {
        let inside = scope.within(&org);
        if !pages::keys(store, &inside).await?.iter().any(|info| info.id == key) {
            continue;
        }
        let subject = key.to_string();
        let deed = Deed { kind: EventKind::Key, operation: "key revoke", org: Some(&org), subject: &subject };
        operator.record(deed, store.keys().revoke(&inside, key)).await?;
        eprintln!("Key {key} of `{org}` is revoked; every gateway refuses it within a second.");
        return Ok(());
    }
    Err(Failure::new(Exit::NotFound, format!("key `{key}` does not exist")).hint("`bailiwick key list` shows what exists"))
}
