//! What is told of a server. Nothing of it is a secret; of what can only be written it is told whether it is set, and when that was done.

use std::collections::BTreeMap;

use bailiwick_gateway::operations::server::Shown;
use bailiwick_model::OrgId;
use bailiwick_model::registered::{AuthMethod, EndpointUrl, NewToolsPolicy, RegistrationChoice, RegistrationMode, ServerEra, ServerStatus};
use bailiwick_store::{Cascade, ClientInfo, RegisteredServer};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schemas;

/// A registered server, as the acting organisation is told of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct McpServerRecord {
    #[schema(value_type = schemas::ServerId)]
    pub(crate) server_id: String,
    #[schema(value_type = schemas::ServerName)]
    pub(crate) display_name: String,
    /// Where it is, in canonical form.
    pub(crate) server_url: String,
    /// Its issuer; empty while none is known.
    pub(crate) oauth_issuer_url: String,
    /// What the issuer calls us; empty while it does not.
    pub(crate) client_id: String,
    /// Which scopes to ask for; none: what the server says.
    pub(crate) scopes: Vec<String>,
    #[schema(value_type = schemas::ServerStatus)]
    pub(crate) status: ServerStatus,
    /// How we became known to the issuer, or should while that is not done.
    #[schema(value_type = schemas::RegistrationMode)]
    pub(crate) registration_mode: RegistrationMode,
    /// What is added to authorization requests.
    pub(crate) extra_auth_params: BTreeMap<String, String>,
    /// Who sees it; none: everybody. An organisation is told of itself alone.
    #[schema(value_type = Vec<schemas::OrgId>)]
    pub(crate) org_ids: Vec<OrgId>,
    /// Tool by tool, whether it is exposed; null: not configured.
    pub(crate) allowed_tools: Option<BTreeMap<String, bool>>,
    #[schema(value_type = schemas::Moment)]
    pub(crate) created: String,
    /// Who registered it.
    pub(crate) created_by: String,
    #[schema(value_type = schemas::Moment)]
    pub(crate) modified: String,
    /// Who last changed it.
    pub(crate) modified_by: String,
    /// Why it cannot be called.
    pub(crate) status_reason: Option<String>,
    /// Since when it has its status.
    #[schema(value_type = schemas::Moment)]
    pub(crate) status_at: String,
    /// When it was last asked for its tools with success.
    #[schema(value_type = Option<schemas::Moment>)]
    pub(crate) last_discovery_at: Option<String>,
    #[schema(value_type = schemas::NewToolsPolicy)]
    pub(crate) new_tools_policy: NewToolsPolicy,
    /// The registration mode as it was asked for.
    #[schema(value_type = schemas::RegistrationChoice)]
    pub(crate) registration_choice: RegistrationChoice,
    /// Where people consent.
    pub(crate) authorization_endpoint: Option<String>,
    /// Where codes become tokens.
    pub(crate) token_endpoint: Option<String>,
    /// Where tokens are given back.
    pub(crate) revocation_endpoint: Option<String>,
    #[schema(value_type = Option<schemas::AuthMethod>)]
    pub(crate) token_endpoint_auth_method: Option<AuthMethod>,
    /// Whether the client has a secret. Left out of lists, and where there is no client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_secret: Option<WriteOnly>,
    #[schema(value_type = schemas::ServerEra)]
    pub(crate) era: ServerEra,
    /// The organisation that registered it, to itself and from above; null otherwise, and for a server of the platform.
    #[schema(value_type = Option<schemas::OrgId>)]
    pub(crate) owner_org: Option<OrgId>,
    /// Goes up with every change.
    pub(crate) revision: i64,
}

/// A value that can be written and not read.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct WriteOnly {
    /// Whether there is one.
    pub(crate) set: bool,
    /// Since when it is as it is.
    #[schema(value_type = schemas::Moment)]
    pub(crate) updated_at: String,
}

impl McpServerRecord {
    /// What `told` is told; `None`: whoever stands above organisations.
    pub(super) fn of(shown: Shown, told: Option<&OrgId>) -> Self {
        let Shown { server, client } = shown;
        let mut record = Self::listed(server, told);
        if let Some(ClientInfo { has_secret, created_at, auth_method, .. }) = client {
            record.client_secret = Some(WriteOnly { set: has_secret, updated_at: created_at.to_string() });
            record.token_endpoint_auth_method = Some(auth_method);
        }
        record
    }

    /// The same without the client.
    pub(super) fn listed(row: RegisteredServer, told: Option<&OrgId>) -> Self {
        let endpoints = row.endpoints();
        let text = |url: Option<EndpointUrl>| url.map(|url| url.as_str().to_owned());
        Self {
            server_id: row.id.to_string(),
            display_name: row.display_name.to_string(),
            server_url: row.server_url.to_string(),
            oauth_issuer_url: text(endpoints.issuer).unwrap_or_default(),
            client_id: row.client_id.map(String::from).unwrap_or_default(),
            scopes: row.scopes.iter().map(str::to_owned).collect(),
            status: row.status,
            registration_mode: row.mode.unwrap_or(expected(row.choice)),
            extra_auth_params: row.extra_auth_params.as_map().clone(),
            org_ids: row.org_ids,
            allowed_tools: row.allowed_tools.map(|tools| tools.as_map().clone()),
            created: row.created_at.to_string(),
            created_by: row.created_by,
            modified: row.modified_at.to_string(),
            modified_by: row.modified_by,
            status_reason: row.status_reason,
            status_at: row.status_at.to_string(),
            last_discovery_at: row.last_discovery_at.map(|at| at.to_string()),
            new_tools_policy: row.new_tools_policy,
            registration_choice: row.choice,
            authorization_endpoint: text(endpoints.authorization),
            token_endpoint: text(endpoints.token),
            revocation_endpoint: text(endpoints.revocation),
            token_endpoint_auth_method: row.auth_method,
            client_secret: None,
            era: row.era,
            owner_org: row.owner.filter(|owner| told.is_none_or(|told| told == owner)),
            revision: row.revision,
        }
    }
}

/// The way that will be gone, for all that is known before.
const fn expected(choice: RegistrationChoice) -> RegistrationMode {
    match choice {
        RegistrationChoice::Auto | RegistrationChoice::Dcr => RegistrationMode::Dcr,
        RegistrationChoice::Manual => RegistrationMode::Manual,
        RegistrationChoice::Cimd => RegistrationMode::Cimd,
    }
}

/// How much went with a server that organisations see no longer, or with a connection.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Removed {
    /// Organisations that see the server no longer.
    pub(crate) organisations: u64,
    /// Connections, of people and of organisations.
    pub(crate) connections: u64,
    /// Contexts of organisations.
    pub(crate) contexts: u64,
    /// Links to a credential of an organisation; the secrets stay.
    pub(crate) credentials: u64,
    /// Pending authorizations.
    pub(crate) flows: u64,
    /// Known tools.
    pub(crate) tools: u64,
    /// Tokens that wait to be revoked.
    pub(crate) revocations: u64,
    /// Tokens that are forgotten without: nobody takes them back, or they cannot be opened.
    pub(crate) unrevoked: u64,
}

impl From<Cascade> for Removed {
    fn from(cascade: Cascade) -> Self {
        let Cascade { organisations, connections, contexts, credentials, flows, tools, revocations, unrevoked } = cascade;
        Self { organisations, connections, contexts, credentials, flows, tools, revocations, unrevoked }
    }
}

impl std::fmt::Display for Removed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { organisations, connections, contexts, credentials, flows, .. } = self;
        write!(
            f,
            "{organisations} organisations see it no longer; removed: {connections} connections, {contexts} contexts, {credentials} \
             credentials, {flows} pending authorizations. {} tokens wait to be revoked, {} cannot be.",
            self.revocations, self.unrevoked
        )
    }
}

/// A server that is deleted.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct DeletedMcpServer {
    #[schema(value_type = schemas::ServerId)]
    pub(crate) server_id: String,
    pub(crate) removed: Removed,
}

/// A server, and what the organisations had there that see it no longer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ReassignedMcpServer {
    #[serde(flatten)]
    pub(crate) server: McpServerRecord,
    pub(crate) removed: Removed,
}
