//! Registered servers: external MCP servers that administrators add at run time (reference, governance section 5). Checked shapes of what
//! they give; code behind them does not check again.

mod context;
mod params;
mod scopes;
mod server;
mod tools;
mod url;
mod words;

pub use context::{CONTEXT_CHARS_MAX, OrgContext};
pub use params::{ExtraAuthParams, PARAM_CHARS_MAX, PARAMS_MAX};
pub use scopes::{SCOPE_CHARS_MAX, SCOPES_MAX, Scopes};
pub use server::{CLIENT_ID_CHARS_MAX, ClientId, Endpoints, Holder, NewServer};
pub use tools::{ALLOWED_TOOLS_MAX, AllowedTools, TOOL_NAME_CHARS_MAX, is_tool_name};
pub use url::{EndpointUrl, SERVER_URL_BYTES_MAX, ServerUrl};
pub use words::{
    AuthMethod, CredentialFallback, GrantKind, NewToolsPolicy, RegistrationChoice, RegistrationMode, ServerEra, ServerStatus, TokenHint,
    TokenStatus,
};
