//! `/v1/me`: who the caller is.

use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::{Acting, Operations, me};
use bailiwick_model::{AgentId, AgentType, GroupId, OrgId, Role, Subject};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::operation::{Ask, Example, Facts, Needs, Nothing, Operation, Verb};
use super::route::Route;
use super::schemas;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::of::<ShowMe>()]
}

/// The caller as the gateway knows him at this moment.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Me {
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
    #[schema(value_type = schemas::AgentId)]
    pub(crate) agent_id: AgentId,
    #[schema(value_type = schemas::AgentType)]
    pub(crate) agent_type: AgentType,
    /// The key that was presented.
    #[schema(value_type = Option<schemas::KeyId>)]
    pub(crate) key_id: Option<String>,
    /// The member for whom it acts; null for an agent that acts by itself.
    #[schema(value_type = Option<schemas::Subject>)]
    pub(crate) sub: Option<Subject>,
    /// How the organisation reaches him.
    pub(crate) email: Option<String>,
    /// What he may do; null: nothing.
    #[schema(value_type = Option<schemas::Role>)]
    pub(crate) role: Option<Role>,
    pub(crate) groups: Vec<MyGroup>,
    /// Whether he may act above organisations.
    pub(crate) platform_admin: bool,
}

/// A group of the caller.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct MyGroup {
    #[schema(value_type = schemas::GroupId)]
    pub(crate) group: GroupId,
    #[schema(value_type = schemas::GroupRole)]
    pub(crate) role: Role,
}

/// Shows the caller.
pub(crate) struct ShowMe;

impl Operation for ShowMe {
    const FACTS: Facts = Facts::new("show_me", "me", Verb::Get, "/v1/me", Needs::Credential, "Shows who the caller is.");
    type Path = Nothing;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = Me;

    fn example() -> Example {
        Example { path: json!({}), body: json!({}) }
    }

    async fn run(_: &Operations, acting: &Acting, _: Ask<Self>) -> Done<Me> {
        let me::Me { scope, standing, platform } = me::get(acting)?;
        let principal = scope.principal();
        Ok(Me {
            org: scope.org().clone(),
            agent_id: principal.agent_id.clone(),
            agent_type: principal.agent_type.clone(),
            key_id: principal.key_id.map(|key| key.to_string()),
            sub: principal.sub.clone(),
            email: principal.email.as_deref().map(str::to_owned),
            role: standing.role,
            groups: standing.groups.into_iter().map(|(group, role)| MyGroup { group, role }).collect(),
            platform_admin: platform,
        })
    }
}
