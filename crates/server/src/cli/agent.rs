//! `bailiwick agent`: the agents that exist.

use bailiwick_model::{AgentId, AgentType, OrgId};
use serde::Serialize;

use super::args::AgentCommand;
use super::context::Context;
use super::{output, pages};
use crate::exit::Failure;

/// An agent as shown to operators.
#[derive(Serialize)]
struct Row {
    agent_id: AgentId,
    agent_type: AgentType,
    org: OrgId,
    state: &'static str,
    created_at: String,
    created_by: String,
}

pub(super) async fn run(context: &Context, command: AgentCommand) -> Result<(), Failure> {
    let AgentCommand::List { org } = command;
    let settings = context.settings()?;
    let (store, scope) = context.store(&settings).await?;
    let mut rows = Vec::new();
    for org in pages::orgs(&store, &scope, org).await? {
        let agents = pages::agents(&store, &scope.within(&org)).await?;
        rows.extend(agents.into_iter().map(|agent| Row {
            agent_id: agent.agent_id,
            agent_type: agent.agent_type,
            org: org.clone(),
            state: if agent.disabled_at.is_some() { "disabled" } else { "active" },
            created_at: agent.created_at.to_string(),
            created_by: agent.created_by,
        }));
    }
    store.close().await;
    output::print_rows(context.form, &rows, ["AGENT", "TYPE", "ORG", "STATE", "CREATED"], |row| {
        [row.agent_id.to_string(), row.agent_type.to_string(), row.org.to_string(), row.state.to_owned(), row.created_at.clone()]
    })
}
