//! Which tools a server has.

use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::server::{self, Tool};
use bailiwick_gateway::operations::{Acting, Operations};
use bailiwick_model::ServerId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{Id, ServerPath, example_path, schemas};
use crate::http::api::operation::{Ask, Example, Facts, Needs, Nothing, Operation, Verb};
use crate::http::api::route::Route;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::of::<ListServerTools>()]
}

/// A tool of a server. Name, description and schema are words of the server.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct McpToolInfo {
    /// Its name, as the server has it.
    pub(crate) name: String,
    /// What the server says that it does; empty when it says nothing, and for a tool that is gone.
    pub(crate) description: String,
    /// The JSON Schema of its arguments; empty for a tool that is gone.
    #[schema(value_type = Object)]
    pub(crate) input_schema: Value,
    #[schema(value_type = schemas::ServerId)]
    pub(crate) server_id: String,
    /// The facts that decide about it, as agents are told of them.
    #[schema(value_type = Object)]
    pub(crate) contract: Map<String, Value>,
    /// Whether it is exposed; null: the list of allowed tools is not configured.
    pub(crate) allowed: Option<bool>,
    /// Whether the server lists it at present.
    pub(crate) present: bool,
    /// SHA-256 of its definition.
    pub(crate) digest: String,
    #[schema(value_type = schemas::Moment)]
    pub(crate) first_seen_at: String,
    #[schema(value_type = schemas::Moment)]
    pub(crate) last_seen_at: String,
}

impl McpToolInfo {
    fn of(server: ServerId, tool: Tool) -> Self {
        Self {
            name: tool.name,
            description: tool.description.unwrap_or_default(),
            input_schema: tool.input_schema.filter(Value::is_object).unwrap_or_else(|| json!({})),
            server_id: server.to_string(),
            contract: tool.contract.annotations(),
            allowed: tool.allowed,
            present: tool.present,
            digest: tool.digest,
            first_seen_at: tool.first_seen.to_string(),
            last_seen_at: tool.last_seen.to_string(),
        }
    }
}

/// The tools of a server, by name, those that are gone included.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct McpTools(pub(crate) Vec<McpToolInfo>);

/// Lists the tools of a server.
pub(crate) struct ListServerTools;

impl Operation for ListServerTools {
    const FACTS: Facts = Facts::new(
        "list_server_tools",
        "servers",
        Verb::Get,
        "/v1/mcp/servers/{server_id}/tools",
        Needs::Member,
        "Lists the tools of a server as it last listed them to the acting organisation, with what is known of them.",
    );
    type Path = ServerPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = McpTools;

    fn example() -> Example {
        Example { path: example_path(), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<McpTools> {
        let org = acting.org(ask.org)?;
        let Id(id) = ask.path.server_id;
        let tools = server::tools(operations, acting, &org, id).await?;
        Ok(McpTools(tools.into_iter().map(|tool| McpToolInfo::of(id, tool)).collect()))
    }
}
