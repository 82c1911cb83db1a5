//! The registry of external servers (reference, governance section 5): who registered one, who sees it, in which state it is.

mod assign;
pub(crate) mod cascade;
mod change;
mod client;
mod names;
mod orgs;
mod probe;
mod register;
mod registrar;
pub(crate) mod row;
pub(crate) mod sealed;
mod tools;
pub(crate) mod visible;

use bailiwick_model::registered::{
    AllowedTools, AuthMethod, ClientId, Endpoints, ExtraAuthParams, NewToolsPolicy, RegistrationChoice, RegistrationMode, Scopes,
    ServerEra, ServerStatus, ServerUrl,
};
use bailiwick_model::{OrgId, ServerId, ServerName, Timestamp};

use crate::error::{StoreError, StoreResult};
use crate::org::PAGE_ROWS_MAX;
use crate::scope::{PlatformScope, Tenant};
use crate::store::Store;

pub use cascade::Cascade;
pub use change::{DetailChange, Found};
pub use client::{ClientInfo, NewClient, ServerClient, ServerClients};
pub use orgs::{ServerContext, ServerCredential, ServerOrgs};
pub use probe::{PROBE_BYTES_MAX, ServerProbe, ServerProbes};
pub use register::{ORGS_PER_SERVER_MAX, SERVERS_OF_PLATFORM_MAX, SERVERS_PER_ORG_MAX};
pub use registrar::Registrar;
pub use tools::{KnownTool, ListedTool, TOOLS_BYTES_MAX, TOOLS_KEPT_MAX, TOOLS_LISTED_MAX, ToolChanges};

/// A registered server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredServer {
    /// Its id.
    pub id: ServerId,
    /// The organisation that registered it; `None`: the platform.
    pub owner: Option<OrgId>,
    /// Whether every organisation sees it.
    pub is_global: bool,
    /// Who sees it, when it is not global. An organisation that asks is told of itself alone.
    pub org_ids: Vec<OrgId>,
    /// What agents and people call it.
    pub display_name: ServerName,
    /// Where it is.
    pub server_url: ServerUrl,
    /// How we should become known to its issuer.
    pub choice: RegistrationChoice,
    /// How we did; `None` before.
    pub mode: Option<RegistrationMode>,
    /// How we prove who we are, when it was given.
    pub auth_method: Option<AuthMethod>,
    /// What its issuer calls us, as far as that is known.
    pub client_id: Option<ClientId>,
    /// Its issuer as given by hand.
    pub given: Endpoints,
    /// Its issuer as discovery found it.
    pub found: Endpoints,
    /// Which scopes to ask for.
    pub scopes: Scopes,
    /// What to add to authorization requests.
    pub extra_auth_params: ExtraAuthParams,
    /// Which revisions to speak.
    pub era: ServerEra,
    /// Which tools are exposed; `None`: not configured.
    pub allowed_tools: Option<AllowedTools>,
    /// What becomes of tools that appear later.
    pub new_tools_policy: NewToolsPolicy,
    /// Whether it can be called.
    pub status: ServerStatus,
    /// Why not.
    pub status_reason: Option<String>,
    /// Since when it has this status.
    pub status_at: Timestamp,
    /// When it was last asked with success.
    pub last_discovery_at: Option<Timestamp>,
    /// Goes up with every change that somebody makes.
    pub revision: i64,
    /// When it was registered.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When somebody last changed it.
    pub modified_at: Timestamp,
    /// Who.
    pub modified_by: String,
}

impl RegisteredServer {
    /// Its issuer: one by one as discovery found it, or else as given by hand; the other way round for a client that was registered by hand.
    #[must_use]
    pub fn endpoints(&self) -> Endpoints {
        let (first, second) = match self.choice {
            RegistrationChoice::Manual => (&self.given, &self.found),
            _ => (&self.found, &self.given),
        };
        // Never some of one and some of the other: they may be different issuers.
        let same = first.issuer.is_some() && first.issuer == second.issuer;
        let mut endpoints = if first.issuer.is_some() { first.clone() } else { second.clone() };
        if same && endpoints.revocation.is_none() {
            endpoints.revocation.clone_from(&second.revocation);
        }
        endpoints
    }
}

/// Functions on registered servers; see [`Store::servers`].
#[derive(Clone, Copy, Debug)]
pub struct Servers<'a>(&'a Store);

impl Store {
    /// Registered servers.
    #[must_use]
    pub const fn servers(&self) -> Servers<'_> {
        Servers(self)
    }
}

impl Servers<'_> {
    /// One server that the organisation sees.
    ///
    /// # Errors
    /// `NotFound`, also for a server that it does not see.
    pub async fn get(&self, tenant: &impl Tenant, id: ServerId) -> StoreResult<RegisteredServer> {
        let mut tx = self.0.read(tenant).await?;
        visible::find(&mut tx, tenant, id).await?.ok_or_else(unknown)
    }

    /// The server that the organisation sees under this name; letter case does not count and `-` is `_`.
    ///
    /// # Errors
    /// `NotFound`, also for a server that it does not see.
    pub async fn by_name(&self, tenant: &impl Tenant, name: &ServerName) -> StoreResult<RegisteredServer> {
        let mut tx = self.0.read(tenant).await?;
        visible::find_name(&mut tx, tenant, name).await?.ok_or_else(unknown)
    }

    /// One page of the servers that the organisation sees, by id, those after `after` (`None`: from the beginning), at most
    /// [`PAGE_ROWS_MAX`].
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn list(&self, tenant: &impl Tenant, after: Option<ServerId>) -> StoreResult<Vec<RegisteredServer>> {
        let mut tx = self.0.read(tenant).await?;
        visible::page(&mut tx, tenant, after, PAGE_ROWS_MAX).await
    }

    /// One server, whoever sees it.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get_any(&self, scope: &PlatformScope, id: ServerId) -> StoreResult<RegisteredServer> {
        let mut tx = self.0.read_servers(scope).await?;
        visible::find_any(&mut tx, id).await?.ok_or_else(unknown)
    }

    /// One page of all servers by id, those after `after` (`None`: from the beginning), at most [`PAGE_ROWS_MAX`].
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn list_all(&self, scope: &PlatformScope, after: Option<ServerId>) -> StoreResult<Vec<RegisteredServer>> {
        let mut tx = self.0.read_servers(scope).await?;
        visible::page_of_all(&mut tx, after, PAGE_ROWS_MAX).await
    }
}

pub(crate) fn unknown() -> StoreError {
    StoreError::not_found("the server")
}
