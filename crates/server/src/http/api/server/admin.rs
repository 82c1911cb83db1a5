//! `/v1/admin/mcp/servers`: servers from above organisations.

use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::{Acting, Operations, server};
use bailiwick_model::OrgId;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::record::{McpServerRecord, ReassignedMcpServer};
use super::registration::AdminRegisterMcpServerRequest;
use super::{ServerPath, after, example_path, schemas};
use crate::http::api::operation::{Ask, Example, Facts, Needs, Nothing, Operation, Verb};
use crate::http::api::page::{TokenPage, TokenQuery};
use crate::http::api::route::Route;

const MANY: &str = "/v1/admin/mcp/servers";

pub(super) fn routes() -> Vec<Route> {
    vec![Route::of::<AdminRegisterServer>(), Route::of::<ListAllServers>(), Route::of::<SetServerOrgs>()]
}

/// Registers a server of the platform.
pub(crate) struct AdminRegisterServer;

impl Operation for AdminRegisterServer {
    const FACTS: Facts = Facts::new(
        "admin_register_server",
        "servers",
        Verb::Post,
        MANY,
        Needs::PlatformAdmin,
        "Registers a server of the platform for the organisations that are named, or for all, and sets it up.",
    )
    .answering(StatusCode::CREATED);
    type Path = Nothing;
    type Query = Nothing;
    type Body = AdminRegisterMcpServerRequest;
    type Answer = McpServerRecord;

    fn example() -> Example {
        let body = json!({"registration_mode": "auto", "server_url": "https://10.0.0.7/mcp", "display_name": "new-1", "org_ids": ["acme"]});
        Example { path: json!({}), body }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<McpServerRecord> {
        let mut body = ask.body;
        let org_ids = std::mem::take(&mut body.org_ids);
        server::register_for(operations, acting, &org_ids, body.into()).await.map(|shown| McpServerRecord::of(shown, None))
    }
}

/// Lists all servers.
pub(crate) struct ListAllServers;

impl Operation for ListAllServers {
    const FACTS: Facts = Facts::new(
        "list_all_servers",
        "servers",
        Verb::Get,
        MANY,
        Needs::PlatformAdmin,
        "Lists every server by id, with all organisations that see it.",
    );
    type Path = Nothing;
    type Query = TokenQuery;
    type Body = Nothing;
    type Answer = TokenPage<McpServerRecord>;

    fn example() -> Example {
        Example { path: json!({}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<TokenPage<McpServerRecord>> {
        let place = (Self::FACTS.id, "");
        let rows = server::list_all(operations, acting, after(&ask.query.after(place.0, place.1)?)?).await?;
        Ok(ask.query.page(rows, place, |row| row.id.to_string(), |row| McpServerRecord::listed(row, None)))
    }
}

/// For whom a server is to be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateMcpServerOrgsRequest {
    /// Exactly these; none: everybody.
    #[serde(default)]
    #[schema(value_type = Vec<schemas::OrgId>, required = false)]
    pub(crate) org_ids: Vec<OrgId>,
}

/// Says for whom a server is.
pub(crate) struct SetServerOrgs;

impl Operation for SetServerOrgs {
    const FACTS: Facts = Facts::new(
        "set_server_orgs",
        "servers",
        Verb::Put,
        "/v1/admin/mcp/servers/{server_id}/orgs",
        Needs::PlatformAdmin,
        "Makes a server visible to exactly these organisations; what the others had there is gone.",
    );
    type Path = ServerPath;
    type Query = Nothing;
    type Body = UpdateMcpServerOrgsRequest;
    type Answer = ReassignedMcpServer;

    fn example() -> Example {
        Example { path: example_path(), body: json!({"org_ids": ["acme"]}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<ReassignedMcpServer> {
        let (row, removed) = server::set_orgs(operations, acting, ask.path.server_id.0, &ask.body.org_ids).await?;
        Ok(ReassignedMcpServer { server: McpServerRecord::listed(row, None), removed: removed.into() })
    }
}
