//! What an agent of a type may do: the manifest (reference, tool modules section 3).

mod arguments;
mod catalog;
mod credentials;
mod filter;
mod hitl;
mod metadata;
mod module;
mod names;
mod parse;
mod pattern;
mod proxy;
mod rates;
mod servers;
mod settings;
mod values;

pub(crate) use module::{CREDENTIAL_MAP, CREDENTIAL_MAP_DOC, CREDENTIAL_MAP_SHAPE, MODULE};
pub(crate) use parse::MANIFEST;
pub(crate) use proxy::PROXY;
pub(crate) use values::shape as config_shape;

pub use arguments::ToolArguments;
pub use catalog::{Access, ConfigKey, ConfigKind, ModuleCatalog};
pub use credentials::{CredentialSource, Credentials, Vault};
pub use filter::{ArgumentFilter, Decoding, FilterAction, ResponseFilter};
pub use hitl::{Hitl, HitlMode, Notify, Signing, SigningMode};
pub use metadata::{InteractionPermissions, Metadata, WorkspaceAccess};
pub use module::ModuleEntry;
pub use parse::BINARY_BYTES_DEFAULT;
pub use pattern::{PATTERN_BYTES_MAX, Pattern};
pub use proxy::{PROXY_KIND, ProxyConfig};
pub use rates::RateLimits;
pub use servers::{GlobLists, ServerGrant};
pub use settings::{AuditSettings, Compat, STATUS_KEY, STATUS_TOOL, StateBackend};

use crate::document::Place;
use crate::id::AgentType;

/// A checked manifest. Every list keeps the order of the file.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Name of the file it came from, for messages.
    pub file: String,
    /// The agent type it is for.
    pub agent_type: AgentType,
    /// Where `agent_type` stands.
    pub agent_type_place: Place,
    /// Free text, empty when absent.
    pub description: String,
    /// Modules in load order; empty only when the manifest has `servers`.
    pub modules: Vec<ModuleEntry>,
    /// External servers of the gateway that the agent may use (ours; absent in the original).
    pub servers: Vec<ServerGrant>,
    /// Globs over served tool names (ours; absent in the original).
    pub policy: GlobLists,
    /// Where module credentials come from.
    pub credentials: Credentials,
    /// Accepted for compatibility; our own store keeps the state.
    pub state_backend: StateBackend,
    /// Calls per time.
    pub rate_limits: RateLimits,
    /// Rules over arguments.
    pub argument_filters: Vec<ArgumentFilter>,
    /// Rules over results.
    pub response_filters: Vec<ResponseFilter>,
    /// Approvals by a person.
    pub hitl: Hitl,
    /// What the audit record shows.
    pub audit: AuditSettings,
    /// Largest binary block in a result in bytes; `None` = no limit of the manifest's own. Default 10 MiB.
    pub binary_bytes_max: Option<u64>,
    /// What is kept for clients of scoped-mcp.
    pub compat: Compat,
    /// Stored and shown, never acted on.
    pub metadata: Metadata,
}
