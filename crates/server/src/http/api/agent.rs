//! `/v1/orgs/{org}/agents`: agents, who answers for them, whether they may act.

use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::{Acting, Operations, agent};
use bailiwick_model::{AgentId, AgentType, GroupId, OrgId, Role, Subject};
use bailiwick_store::{AgentChange as Change, AgentOwner};
use http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::operation::{Ask, Example, Facts, Needs, Nothing, Operation, Verb};
use super::org::OrgPath;
use super::page::{ListQuery, Page};
use super::route::Route;
use super::schemas;

const MANY: &str = "/v1/orgs/{org}/agents";
const ONE: &str = "/v1/orgs/{org}/agents/{agent_id}";

pub(super) fn routes() -> Vec<Route> {
    vec![Route::of::<ListAgents>(), Route::of::<CreateAgent>(), Route::of::<ShowAgent>(), Route::of::<ChangeAgent>()]
}

/// An agent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Agent {
    #[schema(value_type = schemas::AgentId)]
    pub(crate) agent_id: AgentId,
    #[schema(value_type = schemas::AgentType)]
    pub(crate) agent_type: AgentType,
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
    /// Whether its keys and launches are admitted.
    pub(crate) state: AgentState,
    #[schema(value_type = Option<schemas::Owner>)]
    pub(crate) owner: Option<Owner>,
    #[schema(value_type = schemas::Role)]
    pub(crate) role: Role,
    /// When it was created.
    #[schema(value_type = schemas::Moment)]
    pub(crate) created_at: String,
    /// Who created it.
    pub(crate) created_by: String,
    /// Since when it is disabled.
    #[schema(value_type = Option<schemas::Moment>)]
    pub(crate) disabled_at: Option<String>,
}

/// Whether an agent may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AgentState {
    /// It may.
    Active,
    /// Its keys and launches are refused.
    Disabled,
}

impl AgentState {
    /// The word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }
}

/// Who answers for an agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Owner {
    /// A member.
    Sub(Subject),
    /// A group.
    Group(GroupId),
}

impl From<AgentOwner> for Owner {
    fn from(owner: AgentOwner) -> Self {
        match owner {
            AgentOwner::Member(sub) => Self::Sub(sub),
            AgentOwner::Group(group) => Self::Group(group),
        }
    }
}

impl From<Owner> for AgentOwner {
    fn from(owner: Owner) -> Self {
        match owner {
            Owner::Sub(sub) => Self::Member(sub),
            Owner::Group(group) => Self::Group(group),
        }
    }
}

impl Agent {
    fn of(org: &OrgId, row: bailiwick_store::Agent) -> Self {
        let bailiwick_store::Agent { agent_id, agent_type, created_at, created_by, disabled_at, owner, role } = row;
        Self {
            agent_id,
            agent_type,
            org: org.clone(),
            state: if disabled_at.is_some() { AgentState::Disabled } else { AgentState::Active },
            owner: owner.map(Owner::from),
            role,
            created_at: created_at.to_string(),
            created_by,
            disabled_at: disabled_at.map(|at| at.to_string()),
        }
    }
}

/// The agent that is meant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentPath {
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
    #[schema(value_type = schemas::AgentId)]
    pub(crate) agent_id: AgentId,
}

/// An agent to be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAgent {
    #[schema(value_type = schemas::AgentId)]
    pub(crate) agent_id: AgentId,
    #[schema(value_type = schemas::AgentType)]
    pub(crate) agent_type: AgentType,
}

/// What is to change of an agent; what is left out stays as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentChange {
    /// Who answers for it; null: nobody.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Owner>)]
    pub(crate) owner: Option<Option<Owner>>,
    /// What it may do by itself.
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = schemas::Role, required = false)]
    pub(crate) role: Option<Role>,
    /// Whether its keys and launches are refused.
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = bool, required = false)]
    pub(crate) disabled: Option<bool>,
}

/// Null is an answer here, not an omission.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(reader: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(reader).map(Some)
}

/// What may be left out, but not be null.
fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(reader: D) -> Result<Option<T>, D::Error> {
    T::deserialize(reader).map(Some)
}

/// Lists agents.
pub(crate) struct ListAgents;

impl Operation for ListAgents {
    const FACTS: Facts = Facts::new("list_agents", "agents", Verb::Get, MANY, Needs::OrgAdmin, "Lists agents by id.");
    type Path = OrgPath;
    type Query = ListQuery;
    type Body = Nothing;
    type Answer = Page<Agent>;

    fn example() -> Example {
        Example { path: json!({"org": "acme"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Page<Agent>> {
        let org = &ask.path.org;
        let place = (Self::FACTS.id, org.as_str());
        let rows = agent::list(operations, acting, org, &ask.query.after(place.0, place.1)?).await?;
        Ok(ask.query.page(rows, place, |row| row.agent_id.to_string(), |row| Agent::of(org, row)))
    }
}

/// Creates an agent.
pub(crate) struct CreateAgent;

impl Operation for CreateAgent {
    const FACTS: Facts =
        Facts::new("create_agent", "agents", Verb::Post, MANY, Needs::OrgAdmin, "Creates an agent.").answering(StatusCode::CREATED);
    type Path = OrgPath;
    type Query = Nothing;
    type Body = NewAgent;
    type Answer = Agent;

    fn example() -> Example {
        Example { path: json!({"org": "acme"}), body: json!({"agent_id": "new-1", "agent_type": "reader"}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Agent> {
        let Ask { path: OrgPath { org }, body: NewAgent { agent_id, agent_type }, .. } = ask;
        agent::create(operations, acting, &org, &agent_id, &agent_type).await.map(|row| Agent::of(&org, row))
    }
}

/// Shows an agent.
pub(crate) struct ShowAgent;

impl Operation for ShowAgent {
    const FACTS: Facts = Facts::new("show_agent", "agents", Verb::Get, ONE, Needs::OrgAdmin, "Shows an agent.");
    type Path = AgentPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = Agent;

    fn example() -> Example {
        Example { path: json!({"org": "acme", "agent_id": "worker"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Agent> {
        let AgentPath { org, agent_id } = ask.path;
        agent::get(operations, acting, &org, &agent_id).await.map(|row| Agent::of(&org, row))
    }
}

/// Changes an agent.
pub(crate) struct ChangeAgent;

impl Operation for ChangeAgent {
    const FACTS: Facts = Facts::new(
        "change_agent",
        "agents",
        Verb::Patch,
        ONE,
        Needs::OrgAdmin,
        "Says who answers for an agent, what it may do by itself, and whether it may act.",
    );
    type Path = AgentPath;
    type Query = Nothing;
    type Body = AgentChange;
    type Answer = Agent;

    fn example() -> Example {
        Example {
            path: json!({"org": "acme", "agent_id": "worker"}),
            body: json!({"owner": {"sub": "ann"}, "role": "member", "disabled": false}),
        }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Agent> {
        let AgentPath { org, agent_id } = ask.path;
        let AgentChange { owner, role, disabled } = ask.body;
        let change = Change { owner: owner.map(|owner| owner.map(AgentOwner::from)), role, disabled };
        agent::change(operations, acting, &org, &agent_id, &change).await.map(|row| Agent::of(&org, row))
    }
}
