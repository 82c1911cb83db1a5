//! Connections with registered servers: how people authorize the gateway, what they and administrators may know of that.
//!
//! | File | Holds |
//! |---|---|
//! | `connection/flow.rs` | beginning and ending an authorization |

pub(crate) mod flow;

use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::{Acting, Fault, Operations, connection};
use bailiwick_model::registered::{Holder, TokenStatus};
use bailiwick_model::{OrgId, Subject};
use bailiwick_store::ConnectionInfo;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::operation::{Ask, Example, Facts, Needs, Nothing, Operation, Verb};
use super::page::{TokenPage, TokenQuery};
use super::route::Route;
use super::server::record::Removed;
use super::server::{Id, ServerPath, after, example_path};
use super::{cursor, schemas};

pub(super) fn routes() -> Vec<Route> {
    let own = vec![
        Route::of::<ListTokens>(),
        Route::of::<RevokeToken>(),
        Route::of::<ListConnections>(),
        Route::of::<RevokeConnection>(),
        Route::of::<RevokeOrgConnection>(),
        Route::of::<ConnectOrg>(),
    ];
    own.into_iter().chain(flow::routes()).collect()
}

/// What may be known of somebody's connection with a server; never a token.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct McpTokenRecord {
    #[schema(value_type = schemas::ServerId)]
    pub(crate) server_id: String,
    /// Whose it is; empty for the organisation itself.
    pub(crate) user_id: String,
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org_id: OrgId,
    #[schema(value_type = schemas::TokenStatus)]
    pub(crate) token_status: TokenStatus,
    /// Until when the present token is good, as far as that is known.
    #[schema(value_type = Option<schemas::Moment>)]
    pub(crate) expires_at: Option<String>,
    /// What was granted.
    pub(crate) scopes: Vec<String>,
    #[schema(value_type = schemas::Moment)]
    pub(crate) created: String,
    #[schema(value_type = schemas::Moment)]
    pub(crate) modified: String,
    /// Whether it can be renewed without the person.
    pub(crate) renewable: bool,
    /// When it was last used, to the minute.
    #[schema(value_type = Option<schemas::Moment>)]
    pub(crate) last_used_at: Option<String>,
    /// When it was last renewed.
    #[schema(value_type = Option<schemas::Moment>)]
    pub(crate) last_refresh_at: Option<String>,
    /// Why it could not be renewed.
    pub(crate) failure: Option<String>,
}

impl McpTokenRecord {
    fn of(org: &OrgId, row: ConnectionInfo) -> Self {
        Self {
            server_id: row.server.to_string(),
            user_id: row.holder.as_str().to_owned(),
            org_id: org.clone(),
            token_status: row.status,
            expires_at: row.expires_at.map(|at| at.to_string()),
            scopes: row.scopes.iter().map(str::to_owned).collect(),
            created: row.created_at.to_string(),
            modified: row.modified_at.to_string(),
            renewable: row.has_refresh,
            last_used_at: row.last_used_at.map(|at| at.to_string()),
            last_refresh_at: row.last_refresh_at.map(|at| at.to_string()),
            failure: row.failure,
        }
    }
}

/// A connection that is gone.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct RevokedMcpToken {
    #[schema(value_type = schemas::ServerId)]
    pub(crate) server_id: String,
    pub(crate) removed: Removed,
}

/// Lists the caller's connections.
pub(crate) struct ListTokens;

impl Operation for ListTokens {
    const FACTS: Facts =
        Facts::new("list_tokens", "connections", Verb::Get, "/v1/mcp/tokens", Needs::Person, "Lists the caller's own connections.");
    type Path = Nothing;
    type Query = TokenQuery;
    type Body = Nothing;
    type Answer = TokenPage<McpTokenRecord>;

    fn example() -> Example {
        Example { path: json!({}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<TokenPage<McpTokenRecord>> {
        let org = acting.org(ask.org)?;
        let place = (Self::FACTS.id, org.as_str());
        let rows = connection::list_own(operations, acting, &org, after(&ask.query.after(place.0, place.1)?)?).await?;
        Ok(ask.query.page(rows, place, |row| row.server.to_string(), |row| McpTokenRecord::of(&org, row)))
    }
}

/// Takes the caller's connection away.
pub(crate) struct RevokeToken;

impl Operation for RevokeToken {
    const FACTS: Facts = Facts::new(
        "revoke_token",
        "connections",
        Verb::Delete,
        "/v1/mcp/servers/{server_id}/token",
        Needs::Person,
        "Takes the caller's own connection away; its tokens are given back.",
    );
    type Path = ServerPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = RevokedMcpToken;

    fn example() -> Example {
        Example { path: example_path(), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<RevokedMcpToken> {
        let org = acting.org(ask.org)?;
        let id = ask.path.server_id;
        let removed = connection::revoke(operations, acting, &org, id.0).await?;
        Ok(RevokedMcpToken { server_id: id.into(), removed: removed.into() })
    }
}

/// Lists the connections of an organisation at a server.
pub(crate) struct ListConnections;

impl Operation for ListConnections {
    const FACTS: Facts = Facts::new(
        "list_connections",
        "connections",
        Verb::Get,
        "/v1/mcp/servers/{server_id}/connections",
        Needs::OrgAdmin,
        "Lists who of the acting organisation is connected with a server, and how well; the organisation's own comes first.",
    );
    type Path = ServerPath;
    type Query = TokenQuery;
    type Body = Nothing;
    type Answer = TokenPage<McpTokenRecord>;

    fn example() -> Example {
        Example { path: example_path(), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<TokenPage<McpTokenRecord>> {
        let org = acting.org(ask.org)?;
        let Id(id) = ask.path.server_id;
        let whole = format!("{org}/{id}");
        let place = (Self::FACTS.id, whole.as_str());
        let rows = connection::list(operations, acting, &org, (id, after_holder(&ask.query.after(place.0, place.1)?)?)).await?;
        // The organisation's own has no name, and a token names something.
        Ok(ask.query.page(rows, place, |row| format!("={}", row.holder.as_str()), |row| McpTokenRecord::of(&org, row)))
    }
}

fn after_holder(text: &str) -> Result<Option<Holder>, Fault> {
    let Some(holder) = text.strip_prefix('=') else { return if text.is_empty() { Ok(None) } else { Err(cursor::foreign()) } };
    Holder::parse(holder).map(Some).map_err(|_| cursor::foreign())
}

/// A person's connection with a server.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectionPath {
    #[schema(value_type = schemas::ServerId)]
    pub(crate) server_id: Id,
    #[schema(value_type = schemas::Subject)]
    pub(crate) sub: Subject,
}

/// Takes the connection of a member away.
pub(crate) struct RevokeConnection;

impl Operation for RevokeConnection {
    const FACTS: Facts = Facts::new(
        "revoke_connection",
        "connections",
        Verb::Delete,
        "/v1/mcp/servers/{server_id}/connections/{sub}",
        Needs::OrgAdmin,
        "Takes the connection of a person away; its tokens are given back.",
    );
    type Path = ConnectionPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = RevokedMcpToken;

    fn example() -> Example {
        Example { path: json!({"server_id": "0123456789abcdef0123456789abcdef", "sub": "tom"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<RevokedMcpToken> {
        let org = acting.org(ask.org)?;
        let ConnectionPath { server_id, sub } = ask.path;
        let removed = connection::revoke_of(operations, acting, (&org, server_id.0), &Holder::Person(sub)).await?;
        Ok(RevokedMcpToken { server_id: server_id.into(), removed: removed.into() })
    }
}

/// Connects the organisation itself.
pub(crate) struct ConnectOrg;

impl Operation for ConnectOrg {
    const FACTS: Facts = Facts::new(
        "connect_org",
        "connections",
        Verb::Put,
        "/v1/mcp/servers/{server_id}/org-connection",
        Needs::OrgAdmin,
        "Connects the acting organisation as the client that was registered by hand, with rights of its own (client credentials).",
    );
    type Path = ServerPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = McpTokenRecord;

    fn example() -> Example {
        Example { path: example_path(), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<McpTokenRecord> {
        let org = acting.org(ask.org)?;
        let row = connection::connect_as_client(operations, acting, &org, ask.path.server_id.0).await?;
        Ok(McpTokenRecord::of(&org, row))
    }
}

/// Takes the organisation's connection away.
pub(crate) struct RevokeOrgConnection;

impl Operation for RevokeOrgConnection {
    const FACTS: Facts = Facts::new(
        "revoke_org_connection",
        "connections",
        Verb::Delete,
        "/v1/mcp/servers/{server_id}/org-connection",
        Needs::OrgAdmin,
        "Takes the connection of the acting organisation itself away; its tokens are given back.",
    );
    type Path = ServerPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = RevokedMcpToken;

    fn example() -> Example {
        Example { path: example_path(), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<RevokedMcpToken> {
        let org = acting.org(ask.org)?;
        let id = ask.path.server_id;
        let removed = connection::revoke_of(operations, acting, (&org, id.0), &Holder::Organisation).await?;
        Ok(RevokedMcpToken { server_id: id.into(), removed: removed.into() })
    }
}
