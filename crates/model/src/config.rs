//! The configuration of the gateway, `bailiwick.yml`.

mod auth;
mod claims;
mod connections;
mod database;
mod env;
mod house;
mod issuer;
mod limits;
mod listen;
mod overlay;
mod parse;
mod sections;
mod server;

pub(crate) use parse::CONFIG;

pub use claims::{ClaimPath, ClaimsConfig};
pub use connections::ConnectionsConfig;
pub use database::{DatabaseUrl, PostgresUrl};
pub use env::{VARIABLES, Variable};
pub use house::{InstructionsConfig, RunsConfig};
pub use issuer::{AgentTypeSource, IssuerConfig, OrgSource, TokenAlgorithm};
pub use limits::{LIMITS, LimitKey, Limits};
pub use listen::{AuthMode, Listen, PORT_DEFAULT};
pub use parse::endpoint_path;
pub use sections::{AuditConfig, AuditMode, LogConfig, LogFormat, NamesConfig, ShutdownConfig};
pub use server::ServerConfig;

use std::collections::BTreeMap;

use crate::document::Origin;
use crate::id::OrgId;

/// A checked configuration; every field has a default, so an empty file is a valid one.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; default `127.0.0.1:8700`.
    pub listen: Listen,
    /// Address that clients use, without trailing `/`; `None` = made from `listen`.
    pub public_url: Option<String>,
    /// Path of the MCP endpoint; default `/mcp`.
    pub path: String,
    /// Who may call; default `Key`.
    pub auth: AuthMode,
    /// Authorization servers whose tokens are accepted beside API keys.
    pub issuers: Vec<IssuerConfig>,
    /// Extra values of `Host` that are served, lower-case, with port where it is not the scheme's own.
    pub allowed_hosts: Vec<String>,
    /// Origins that browsers may come from.
    pub allowed_origins: Vec<String>,
    /// Directory for the ledger and, by default, the database; `None` = the user's state directory.
    pub state_dir: Option<String>,
    /// Database; `None` = `bailiwick.db` in the state directory.
    pub database: Option<DatabaseUrl>,
    /// File that holds the root key; `None` = `bailiwick/root.key` in the user's configuration directory (`$XDG_CONFIG_HOME`, else
    /// `~/.config`).
    pub root_key_file: Option<String>,
    /// Organisation of agents that name none; default `default`.
    pub org: OrgId,
    /// Manifest files or globs over file names, relative to the configuration file.
    pub manifests: Vec<String>,
    /// External servers in file order.
    pub servers: Vec<ServerConfig>,
    /// Registered servers and the OAuth client; `None`: the defaults, and manifests grant only servers of this file.
    pub connections: Option<ConnectionsConfig>,
    /// Served names.
    pub names: NamesConfig,
    /// Limits (reference, security section 14).
    pub limits: Limits,
    /// The ledger.
    pub audit: AuditConfig,
    /// Instructions for agents; `None`: agents have none of their tools.
    pub instructions: Option<InstructionsConfig>,
    /// Runs; `None`: likewise.
    pub runs: Option<RunsConfig>,
    /// Whether agents can give feedback; default `false`.
    pub feedback: bool,
    /// The operational log.
    pub log: LogConfig,
    /// How the process stops.
    pub shutdown: ShutdownConfig,
    /// Dotted path -> where its value came from; a path that is absent has its default.
    pub origins: BTreeMap<String, Origin>,
}

fn default_org() -> OrgId {
    // The literal follows the pattern, so the first branch is the one taken.
    OrgId::parse("default").unwrap_or_else(|_| unreachable!("`default` is a valid organisation"))
}
