//! The built-in tool modules and the guards they share.
//!
//! A *module* is a family of tools over one kind of resource. [`ModuleKind`] describes it and opens it for one agent;
//! [`ToolModule`] is the opened instance: it lists its tools, refuses arguments that point outside the agent's
//! resources, and runs calls. [`ModuleRegistry`] holds the kinds of this build; own kinds are added to it
//! (see `examples/custom-module`).
//!
//! | Kind | File | Resource of the agent |
//! |---|---|---|
//! | `filesystem` | `filesystem.rs` | one directory tree, held open as a capability |
//! | `sqlite` | `sqlite.rs` | one database file, guarded by the engine's own controls |
//! | `ntfy` | `ntfy.rs` | one topic of an ntfy server |
//! | `slack_webhook` | `slack_webhook.rs` | one incoming webhook |
//! | `discord_webhook` | `discord_webhook.rs` | one webhook |
//! | `matrix` | `matrix.rs` | listed rooms of a homeserver |
//! | `smtp` | `smtp.rs` | listed recipients, over one mail server |
//! | `grafana` | `grafana.rs` | one folder of dashboards and rules, and the data sources on a list |
//! | `http_proxy` | `http_proxy.rs` | HTTP services on a list, each beneath its base address |
//! | `influxdb` | `influxdb.rs` | the buckets an operator listed, and those the agent created |
//!
//! Modules know nothing of the protocol on the wire, of organisations or of policy: the gateway decides who may call
//! what, then hands the argument text of one validated call to [`ToolModule::call`].

mod arguments;
mod blocking;
pub mod config;
pub mod context;
pub mod discord_webhook;
pub mod egress;
mod encoded_word;
mod exact_json;
pub mod fault;
pub mod filesystem;
pub mod grafana;
pub mod host;
pub mod http_proxy;
pub mod influxdb;
pub mod matrix;
pub mod module;
mod notifier;
pub mod ntfy;
pub mod output;
pub mod registry;
pub mod schema;
pub mod scope;
pub mod service;
pub mod slack_webhook;
pub mod smtp;
pub mod spec;
pub mod sqlite;
mod webhook;
mod withheld;

pub use arguments::decode;
pub use config::{ConfigKey, ConfigKind, ConfigReader};
pub use context::{CallContext, Cancel};
pub use fault::{OpenFault, ToolFault};
pub use host::Host;
pub use module::{CredentialKey, Credentials, ModuleDraft, ModuleKind, ModuleSetup, Pending, ToolModule};
pub use output::ToolOutput;
pub use registry::{ModuleRegistry, builtin};
pub use spec::{Access, ContentTrust, Hints, ToolSpec};
