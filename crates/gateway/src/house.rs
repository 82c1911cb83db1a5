//! What the house itself gives to agents beside modules and servers: instructions, runs and feedback (reference, governance 2 to 4).
//! Their tools take the path of every call; [`call`] is where `dispatch` hands them over.

mod attribute;
mod feedback;
mod instructions;
mod runs;
mod sources;
mod tools;
mod words;

use std::sync::Arc;

use bailiwick_model::config::{Config, InstructionsConfig, RunsConfig};
use bailiwick_model::{Code, Role, Standing};
use bailiwick_modules::ToolOutput;
use bailiwick_store::{StoreError, StoreErrorKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

pub(crate) use attribute::{Attributed, attribute};
pub use sources::{CallSink, ContentStore, Identity, LISTED_MAX, OwnParts, RoleSource, ScopeResolver, SourceFuture};
pub(crate) use tools::HouseTool;
pub(crate) use words::server_instructions;

use crate::call::decode::Story;
use crate::catalog::Tool;
use crate::gateway::Gateway;
use crate::limits::Places;
use crate::refusal::Refusal;

/// What the house gives, to all of its agents alike.
pub(crate) struct House {
    instructions: Option<InstructionsConfig>,
    runs: Option<RunsConfig>,
    contents: Arc<dyn ContentStore>,
    roles: Arc<dyn RoleSource>,
    tools: Vec<Arc<Tool>>,
}

impl House {
    pub(crate) fn new(config: &Config, contents: Arc<dyn ContentStore>, roles: Arc<dyn RoleSource>) -> Self {
        let places = Arc::new(Places::new("house", config.limits.in_flight_per_module_max, &config.limits));
        let offered = HouseTool::offered(config.instructions.is_some(), config.runs.is_some(), config.feedback);
        let tools = offered.into_iter().map(|tool| Arc::new(tool.into_tool(&places))).collect();
        Self { instructions: config.instructions.clone(), runs: config.runs, contents, roles, tools }
    }

    /// Its tools, the same for every agent.
    pub(crate) fn tools(&self) -> &[Arc<Tool>] {
        &self.tools
    }

    /// How calls come to their runs; `None` where there are none.
    pub(crate) fn runs(&self) -> Option<&RunsConfig> {
        self.runs.as_ref()
    }

    pub(crate) fn instructions(&self) -> Option<&InstructionsConfig> {
        self.instructions.as_ref()
    }
}

/// Does what a tool of the house does. The story learns which run the call belongs to, when that is only known now.
pub(crate) async fn call(gateway: &Gateway, tool: HouseTool, story: &mut Story) -> Result<ToolOutput, Refusal> {
    let standing = gateway.house().roles.standing(story.caller.scope()).await.map_err(|error| unavailable(&error))?;
    let required = if tool == HouseTool::SetInstruction { Role::Member } else { tool.required() };
    require(&standing, required)?;
    match tool {
        HouseTool::ReadmeAgent => instructions::readme(gateway, story, &standing).await,
        HouseTool::ListInstructions => instructions::list(gateway, story, &standing).await,
        HouseTool::GetInstruction => instructions::get(gateway, story, &standing).await,
        HouseTool::SetInstruction => instructions::set(gateway, story, &standing).await,
        HouseTool::RunStart => runs::start(gateway, story, &standing).await,
        HouseTool::RunFinish => runs::finish(gateway, story, &standing).await,
        HouseTool::Feedback => feedback::put(gateway, story).await,
        HouseTool::ListFeedback => feedback::list(gateway, story).await,
    }
}

/// The gate of a role. Unknown roles do not exist here, so nothing passes by being misspelt (governance 1.2).
fn require(standing: &Standing, required: Role) -> Result<(), Refusal> {
    if standing.is(required) { Ok(()) } else { Err(forbidden(standing, required)) }
}

fn forbidden(standing: &Standing, required: Role) -> Refusal {
    let actual = standing.role.map(Role::as_str);
    let message = format!("this needs the role `{required}`");
    Refusal::new(Code::Forbidden, message, "ask an administrator of the organisation")
        .with_details(json!({"required": required, "actual": actual}))
}

/// The arguments fit the tool's schema; what is left to fail is our own.
fn arguments<T: DeserializeOwned>(story: &Story) -> Result<T, Refusal> {
    serde_json::from_str(story.arguments.as_str()).map_err(|cause| {
        Refusal::new(Code::InvalidArgument, "the arguments cannot be read", "look at the tool's input schema").because(cause.to_string())
    })
}

fn output(value: &impl Serialize) -> Result<ToolOutput, Refusal> {
    ToolOutput::json(value).map_err(Into::into)
}

fn unavailable(error: &StoreError) -> Refusal {
    let code = if error.kind().retryable() { Code::AuditUnavailable } else { Code::Internal };
    Refusal::new(code, "this cannot be read or kept at the moment", "try again later").because(format!("{error:?}"))
}

/// A bad value that only the store knows to be bad is the caller's; everything else is ours.
fn refused(error: &StoreError) -> Refusal {
    match error.kind() {
        StoreErrorKind::Invalid => Refusal::new(Code::InvalidArgument, error.message().to_owned(), error.remedy().to_owned()),
        _ => unavailable(error),
    }
}
