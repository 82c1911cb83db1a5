//! Agents: who answers for them, what they may do by themselves, whether they may act.

use bailiwick_model::{AgentId, AgentType, OrgId};
use bailiwick_store::event::EventKind;
use bailiwick_store::{Agent, AgentChange};

use super::fault::Done;
use super::{Acting, Deed, Operations, Required};

/// Creates an agent; for administrators of the organisation.
///
/// # Errors
/// `conflict` when it exists.
pub async fn create(ops: &Operations, acting: &Acting, org: &OrgId, agent_id: &AgentId, agent_type: &AgentType) -> Done<Agent> {
    const OPERATION: &str = "agent create";
    let admin = ops.admin(acting, org, Required::OrgAdmin, OPERATION).await?;
    ops.record(admin.author(), deed(OPERATION, agent_id), ops.store().agents().create(admin.scope(), agent_id, agent_type)).await
}

/// One page of agents by id, those after `after`; for administrators of the organisation.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn list(ops: &Operations, acting: &Acting, org: &OrgId, after: &str) -> Done<Vec<Agent>> {
    let reader = ops.reader(acting, org, Required::OrgAdmin, "agent list").await?;
    Ok(ops.store().agents().list(reader.scope(), after).await?)
}

/// One agent; for administrators of the organisation.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn get(ops: &Operations, acting: &Acting, org: &OrgId, agent_id: &AgentId) -> Done<Agent> {
    let reader = ops.reader(acting, org, Required::OrgAdmin, "agent show").await?;
    Ok(ops.store().agents().get(reader.scope(), agent_id).await?)
}

/// Changes an agent; for administrators of the organisation. On the ledger it stands under the name of what changes.
///
/// # Errors
/// `not_found` for the agent, the member or the group.
pub async fn change(ops: &Operations, acting: &Acting, org: &OrgId, agent_id: &AgentId, change: &AgentChange) -> Done<Agent> {
    let operation = match change.disabled {
        Some(true) => "agent disable",
        Some(false) => "agent enable",
        None => "agent assign",
    };
    let admin = ops.admin(acting, org, Required::OrgAdmin, operation).await?;
    ops.record(admin.author(), deed(operation, agent_id), ops.store().agents().change(admin.scope(), agent_id, change)).await
}

fn deed<'a>(operation: &'static str, agent_id: &'a AgentId) -> Deed<'a> {
    Deed::new(EventKind::Config, operation, agent_id.as_str())
}
