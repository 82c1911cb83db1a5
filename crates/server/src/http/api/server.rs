//! `/v1/mcp/servers` and `/v1/admin/mcp/servers`: registered servers, in the shapes of the roboto seed (reference, governance section 5).
//!
//! | File | Holds |
//! |---|---|
//! | `server/record.rs` | what is told of a server |
//! | `server/registration.rs` | what is given to register one |
//! | `server/admin.rs` | servers from above organisations |
//! | `server/allowlist.rs` | which tools are exposed |
//! | `server/tools.rs` | which tools there are |
//! | `server/upkeep.rs` | setting up, discovery, the doctor: what is done at the server itself |
//! | `server/tenant.rs` | what an organisation says, lends and settles |

pub(crate) mod admin;
pub(crate) mod allowlist;
pub(crate) mod record;
pub(crate) mod registration;
pub(crate) mod tenant;
pub(crate) mod tools;
pub(crate) mod upkeep;

use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::server::Details;
use bailiwick_gateway::operations::{Acting, Fault, Operations, server};
use bailiwick_model::ServerId;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::operation::{Ask, Example, Facts, Needs, Nothing, Operation, Verb};
use super::page::{TokenPage, TokenQuery};
use super::route::Route;
use super::schemas;
use record::{DeletedMcpServer, McpServerRecord};
use registration::RegisterMcpServerRequest;

const MANY: &str = "/v1/mcp/servers";
const ONE: &str = "/v1/mcp/servers/{server_id}";

pub(super) fn routes() -> Vec<Route> {
    let own = vec![
        Route::of::<RegisterServer>(),
        Route::of::<ListServers>(),
        Route::of::<ShowServer>(),
        Route::of::<UpdateServer>(),
        Route::of::<DeleteServer>(),
    ];
    [own, allowlist::routes(), tools::routes(), tenant::routes(), upkeep::routes(), admin::routes()].into_iter().flatten().collect()
}

/// The id of a server.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Id(pub(crate) ServerId);

impl TryFrom<String> for Id {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        ServerId::parse(&text).map(Self).map_err(|fault| fault.rule())
    }
}

impl From<Id> for String {
    fn from(Id(id): Id) -> Self {
        id.to_string()
    }
}

/// The server that is meant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerPath {
    #[schema(value_type = schemas::ServerId)]
    pub(crate) server_id: Id,
}

/// An example of a path.
pub(super) fn example_path() -> serde_json::Value {
    json!({"server_id": "0123456789abcdef0123456789abcdef"})
}

/// Where a list goes on; the id itself stands in the token.
pub(super) fn after(text: &str) -> Result<Option<ServerId>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    ServerId::parse(text).map(Some).map_err(|_| super::cursor::foreign())
}

/// A change of a server's details.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateMcpServerRequest {
    /// Another name; null: as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::ServerName>)]
    pub(crate) display_name: Option<String>,
    /// Other scopes to ask for; null: as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scopes: Option<Vec<String>>,
}

/// Registers a server for an organisation.
pub(crate) struct RegisterServer;

impl Operation for RegisterServer {
    const FACTS: Facts = Facts::new(
        "register_server",
        "servers",
        Verb::Post,
        MANY,
        Needs::OrgAdmin,
        "Registers a server that the acting organisation alone sees, and sets it up.",
    )
    .answering(StatusCode::CREATED);
    type Path = Nothing;
    type Query = Nothing;
    type Body = RegisterMcpServerRequest;
    type Answer = McpServerRecord;

    fn example() -> Example {
        Example { path: json!({}), body: json!({"server_url": "https://10.0.0.7/mcp", "display_name": "new-1"}) }
    }

    fn version(answer: &McpServerRecord) -> Option<i64> {
        Some(answer.revision)
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<McpServerRecord> {
        let org = acting.org(ask.org)?;
        server::register(operations, acting, &org, ask.body.into()).await.map(|shown| McpServerRecord::of(shown, Some(&org)))
    }
}

/// Lists servers.
pub(crate) struct ListServers;

impl Operation for ListServers {
    const FACTS: Facts = Facts::new(
        "list_servers",
        "servers",
        Verb::Get,
        MANY,
        Needs::Member,
        "Lists the servers that the acting organisation sees, by id.",
    );
    type Path = Nothing;
    type Query = TokenQuery;
    type Body = Nothing;
    type Answer = TokenPage<McpServerRecord>;

    fn example() -> Example {
        Example { path: json!({}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<TokenPage<McpServerRecord>> {
        let org = acting.org(ask.org)?;
        let place = (Self::FACTS.id, org.as_str());
        let rows = server::list(operations, acting, &org, after(&ask.query.after(place.0, place.1)?)?).await?;
        Ok(ask.query.page(rows, place, |row| row.id.to_string(), |row| McpServerRecord::listed(row, Some(&org))))
    }
}

/// Shows a server.
pub(crate) struct ShowServer;

impl Operation for ShowServer {
    const FACTS: Facts = Facts::new("show_server", "servers", Verb::Get, ONE, Needs::Member, "Shows a server.");
    type Path = ServerPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = McpServerRecord;

    fn example() -> Example {
        Example { path: example_path(), body: json!({}) }
    }

    fn version(answer: &McpServerRecord) -> Option<i64> {
        Some(answer.revision)
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<McpServerRecord> {
        let org = acting.org(ask.org)?;
        server::get(operations, acting, &org, ask.path.server_id.0).await.map(|shown| McpServerRecord::of(shown, Some(&org)))
    }
}

/// Changes the details of a server.
pub(crate) struct UpdateServer;

impl Operation for UpdateServer {
    const FACTS: Facts = Facts {
        versioned: true,
        ..Facts::new("update_server", "servers", Verb::Patch, ONE, Needs::Registrar, "Changes name or scopes of a server.")
    };
    type Path = ServerPath;
    type Query = Nothing;
    type Body = UpdateMcpServerRequest;
    type Answer = McpServerRecord;

    fn example() -> Example {
        Example { path: example_path(), body: json!({"scopes": ["read"]}) }
    }

    fn version(answer: &McpServerRecord) -> Option<i64> {
        Some(answer.revision)
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<McpServerRecord> {
        let org = acting.org(ask.org)?;
        let UpdateMcpServerRequest { display_name, scopes } = ask.body;
        let details = Details { display_name, scopes };
        let shown = server::update(operations, acting, (&org, ask.path.server_id.0), details, ask.expected).await?;
        Ok(McpServerRecord::of(shown, Some(&org)))
    }
}

/// Deletes a server.
pub(crate) struct DeleteServer;

impl Operation for DeleteServer {
    const FACTS: Facts = Facts::new(
        "delete_server",
        "servers",
        Verb::Delete,
        ONE,
        Needs::Registrar,
        "Deletes a server with all that organisations have there; tokens are given back.",
    );
    type Path = ServerPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = DeletedMcpServer;

    fn example() -> Example {
        Example { path: example_path(), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<DeletedMcpServer> {
        let org = acting.org(ask.org)?;
        let Id(id) = ask.path.server_id;
        let removed = server::delete(operations, acting, (&org, id)).await?;
        Ok(DeletedMcpServer { server_id: id.to_string(), removed: removed.into() })
    }
}
