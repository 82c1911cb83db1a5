//! What an organisation has at a server that it sees: a text, a credential; and `/v1/mcp/settings`.

use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::{Acting, Operations, server};
use bailiwick_model::OrgId;
use bailiwick_model::registered::{CONTEXT_CHARS_MAX, CredentialFallback};
use bailiwick_store::{ServerContext, ServerCredential};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{ServerPath, example_path, schemas};
use crate::http::api::operation::{Ask, Example, Facts, Needs, Nothing, Operation, Verb};
use crate::http::api::route::Route;
use crate::http::api::text::SecretName;

const CONTEXT: &str = "/v1/mcp/servers/{server_id}/org-context";
const CREDENTIAL: &str = "/v1/mcp/servers/{server_id}/org-credential";
const SETTINGS: &str = "/v1/mcp/settings";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::of::<ShowOrgContext>(),
        Route::of::<SetOrgContext>(),
        Route::of::<ShowOrgCredential>(),
        Route::of::<SetOrgCredential>(),
        Route::of::<RemoveOrgCredential>(),
        Route::of::<ShowMcpSettings>(),
        Route::of::<SetMcpSettings>(),
    ]
}

/// What the acting organisation says of a server to those who use it there.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct McpServerOrgContextRecord {
    #[schema(value_type = schemas::ServerId)]
    pub(crate) server_id: String,
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org_id: OrgId,
    /// The text; empty when it was just taken back.
    pub(crate) context: String,
    #[schema(value_type = schemas::Moment)]
    pub(crate) created: String,
    pub(crate) created_by: String,
    #[schema(value_type = schemas::Moment)]
    pub(crate) modified: String,
    pub(crate) modified_by: String,
}

impl McpServerOrgContextRecord {
    fn of(org: OrgId, row: ServerContext) -> Self {
        Self {
            server_id: row.server.to_string(),
            org_id: org,
            context: row.context.as_str().to_owned(),
            created: row.created_at.to_string(),
            created_by: row.created_by,
            modified: row.modified_at.to_string(),
            modified_by: row.modified_by,
        }
    }
}

/// Something to be said of a server.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetMcpServerOrgContextRequest {
    /// At most 4,000 characters; the empty text takes back what was said.
    #[serde(default)]
    #[schema(required = false, max_length = 4_000)]
    pub(crate) context: String,
}

const _: () = assert!(CONTEXT_CHARS_MAX == 4_000, "the description above says it");

/// Shows what the organisation says.
pub(crate) struct ShowOrgContext;

impl Operation for ShowOrgContext {
    const FACTS: Facts = Facts::new(
        "show_org_context",
        "servers",
        Verb::Get,
        CONTEXT,
        Needs::Member,
        "Shows what the acting organisation says of a server to those who use it.",
    );
    type Path = ServerPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = McpServerOrgContextRecord;

    fn example() -> Example {
        Example { path: example_path(), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<McpServerOrgContextRecord> {
        let org = acting.org(ask.org)?;
        let row = server::context(operations, acting, &org, ask.path.server_id.0).await?;
        Ok(McpServerOrgContextRecord::of(org, row))
    }
}

/// Says something of a server.
pub(crate) struct SetOrgContext;

impl Operation for SetOrgContext {
    const FACTS: Facts = Facts::new(
        "set_org_context",
        "servers",
        Verb::Put,
        CONTEXT,
        Needs::OrgAdmin,
        "Says something of a server to those who use it in the acting organisation.",
    );
    type Path = ServerPath;
    type Query = Nothing;
    type Body = SetMcpServerOrgContextRequest;
    type Answer = McpServerOrgContextRecord;

    fn example() -> Example {
        Example { path: example_path(), body: json!({"context": "Only project ALPHA is ours."}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<McpServerOrgContextRecord> {
        let org = acting.org(ask.org)?;
        let row = server::set_context(operations, acting, (&org, ask.path.server_id.0), &ask.body.context).await?;
        Ok(McpServerOrgContextRecord::of(org, row))
    }
}

/// Which secret of the acting organisation stands in at a server.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct McpServerOrgCredentialRecord {
    #[schema(value_type = schemas::ServerId)]
    pub(crate) server_id: String,
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org_id: OrgId,
    /// The name of the secret, never its value.
    pub(crate) secret_name: String,
    #[schema(value_type = schemas::Moment)]
    pub(crate) created: String,
    pub(crate) created_by: String,
    /// When the secret was last chosen, not when its value changed.
    #[schema(value_type = schemas::Moment)]
    pub(crate) modified: String,
    pub(crate) modified_by: String,
}

impl McpServerOrgCredentialRecord {
    fn of(org: OrgId, row: ServerCredential) -> Self {
        Self {
            server_id: row.server.to_string(),
            org_id: org,
            secret_name: row.secret_name,
            created: row.created_at.to_string(),
            created_by: row.created_by,
            modified: row.modified_at.to_string(),
            modified_by: row.modified_by,
        }
    }
}

/// The secret that is to stand in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetMcpServerOrgCredentialRequest {
    /// A secret of the organisation.
    #[schema(value_type = schemas::SecretName)]
    pub(crate) secret_name: SecretName,
}

/// Shows which secret stands in.
pub(crate) struct ShowOrgCredential;

impl Operation for ShowOrgCredential {
    const FACTS: Facts = Facts::new(
        "show_org_credential",
        "servers",
        Verb::Get,
        CREDENTIAL,
        Needs::OrgAdmin,
        "Shows which secret is the acting organisation's credential at a server.",
    );
    type Path = ServerPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = McpServerOrgCredentialRecord;

    fn example() -> Example {
        Example { path: example_path(), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<McpServerOrgCredentialRecord> {
        let org = acting.org(ask.org)?;
        let row = server::credential(operations, acting, &org, ask.path.server_id.0).await?;
        Ok(McpServerOrgCredentialRecord::of(org, row))
    }
}

/// Chooses the secret that stands in.
pub(crate) struct SetOrgCredential;

impl Operation for SetOrgCredential {
    const FACTS: Facts = Facts::new(
        "set_org_credential",
        "servers",
        Verb::Put,
        CREDENTIAL,
        Needs::OrgAdmin,
        "Makes a secret of the acting organisation its credential at a server.",
    );
    type Path = ServerPath;
    type Query = Nothing;
    type Body = SetMcpServerOrgCredentialRequest;
    type Answer = McpServerOrgCredentialRecord;

    fn example() -> Example {
        Example { path: example_path(), body: json!({"secret_name": "API_TOKEN"}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<McpServerOrgCredentialRecord> {
        let org = acting.org(ask.org)?;
        let name = ask.body.secret_name;
        let row = server::set_credential(operations, acting, (&org, ask.path.server_id.0), name.as_str()).await?;
        Ok(McpServerOrgCredentialRecord::of(org, row))
    }
}

/// Takes the credential away.
pub(crate) struct RemoveOrgCredential;

impl Operation for RemoveOrgCredential {
    const FACTS: Facts = Facts::new(
        "remove_org_credential",
        "servers",
        Verb::Delete,
        CREDENTIAL,
        Needs::OrgAdmin,
        "Takes the acting organisation's credential at a server away; the secret stays.",
    );
    type Path = ServerPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = RemovedCredential;

    fn example() -> Example {
        Example { path: example_path(), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<RemovedCredential> {
        let org = acting.org(ask.org)?;
        let id = ask.path.server_id;
        server::clear_credential(operations, acting, &org, id.0).await?;
        Ok(RemovedCredential { server_id: id.into(), org_id: org })
    }
}

/// Where there is no credential any more.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct RemovedCredential {
    #[schema(value_type = schemas::ServerId)]
    pub(crate) server_id: String,
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org_id: OrgId,
}

/// What the acting organisation settles for all servers.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct McpSettings {
    #[schema(value_type = schemas::CredentialFallback)]
    pub(crate) org_credential_fallback: CredentialFallback,
}

/// Shows the settings.
pub(crate) struct ShowMcpSettings;

impl Operation for ShowMcpSettings {
    const FACTS: Facts = Facts::new(
        "show_mcp_settings",
        "servers",
        Verb::Get,
        SETTINGS,
        Needs::Member,
        "Shows what the acting organisation settles for all servers.",
    );
    type Path = Nothing;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = McpSettings;

    fn example() -> Example {
        Example { path: json!({}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<McpSettings> {
        let org = acting.org(ask.org)?;
        Ok(McpSettings { org_credential_fallback: server::fallback(operations, acting, &org).await? })
    }
}

/// Changes the settings.
pub(crate) struct SetMcpSettings;

impl Operation for SetMcpSettings {
    const FACTS: Facts = Facts::new(
        "set_mcp_settings",
        "servers",
        Verb::Put,
        SETTINGS,
        Needs::OrgAdmin,
        "Sets for whom the acting organisation's credentials stand in.",
    );
    type Path = Nothing;
    type Query = Nothing;
    type Body = McpSettings;
    type Answer = McpSettings;

    fn example() -> Example {
        Example { path: json!({}), body: json!({"org_credential_fallback": "service_only"}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<McpSettings> {
        let org = acting.org(ask.org)?;
        let fallback = server::set_fallback(operations, acting, &org, ask.body.org_credential_fallback).await?;
        Ok(McpSettings { org_credential_fallback: fallback })
    }
}
