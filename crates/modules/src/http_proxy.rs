//! `http_proxy`: HTTP services an operator listed, called with their credentials (reference, tool modules section 8.7; security section 7).
//!
//! The agent names a service and a path. The path is confined beneath the service's address (`path.rs`), the address is checked at start
//! as far as it is written out and at every connection otherwise, and the credential goes to the service's own origin only. Each tool is
//! one file; `COMMANDS` is their list.
//!
//! | File | Holds |
//! |---|---|
//! | `setup.rs`, `entry.rs`, `headers.rs` | the configuration of the services |
//! | `path.rs`, `query.rs` | what an agent may ask for |
//! | `service.rs`, `answer.rs` | asking, and what comes of it |
//! | `get.rs`, `put.rs`, `delete.rs` | the tools; `post` lies beside `put` |

mod answer;
mod delete;
mod entry;
mod get;
mod headers;
mod path;
mod put;
mod query;
mod service;
mod setup;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_model::Code;
use serde_json::{Map, Value, json};

use crate::config::ConfigKey;
use crate::context::CallContext;
use crate::egress::{HttpAnswer, HttpRequest};
use crate::fault::{OpenFault, ToolFault};
use crate::module::{CredentialKey, ModuleDraft, ModuleKind, ModuleSetup, Pending, ToolModule};
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, ToolSpec};
use service::Service;

/// Most characters of service names in a description.
const NAMES_CHARS_MAX: usize = 600;

/// A request that the agent may make, and what becomes of the answer.
struct Job<'a> {
    service: &'a Service,
    request: HttpRequest,
    finish: fn(&HttpAnswer) -> Result<ToolOutput, ToolFault>,
}

/// One tool.
struct Command {
    name: &'static str,
    access: Access,
    spec: fn(&Services) -> ToolSpec,
    /// Reads and checks the arguments without touching the network.
    prepare: for<'a> fn(&'a Services, &str) -> Result<Job<'a>, ToolFault>,
}

const COMMANDS: &[Command] = &[get::COMMAND, put::POST, put::PUT, delete::COMMAND];

/// The module kind `http_proxy`.
#[derive(Clone, Copy, Debug)]
pub struct Kind;

impl ModuleKind for Kind {
    fn name(&self) -> &'static str {
        "http_proxy"
    }

    fn config_keys(&self) -> &'static [ConfigKey] {
        setup::KEYS
    }

    fn credentials(&self, config: &Map<String, Value>) -> Vec<CredentialKey> {
        setup::credential_keys(config).into_iter().map(|name| CredentialKey { name: Cow::Owned(name.to_owned()), required: true }).collect()
    }

    fn check(&self, draft: ModuleDraft<'_>) -> Vec<OpenFault> {
        setup::check(draft.config)
    }

    fn tools(&self) -> Vec<(&'static str, Access)> {
        COMMANDS.iter().map(|command| (command.name, command.access)).collect()
    }

    fn specs(&self) -> Vec<ToolSpec> {
        COMMANDS.iter().map(|command| (command.spec)(&Services(BTreeMap::new()))).collect()
    }

    fn open(&self, setup: ModuleSetup<'_>) -> Result<Arc<dyn ToolModule>, OpenFault> {
        let services = setup::open(setup)?.into_iter().map(|service| (service.name.clone(), service)).collect();
        Ok(Arc::new(HttpProxy { services: Services(services), mode: setup.access }))
    }
}

/// The services by name.
struct Services(BTreeMap<String, Service>);

impl Services {
    fn get(&self, name: &str) -> Result<&Service, ToolFault> {
        let unknown = || {
            ToolFault::new(
                Code::ScopeViolation,
                "no service of this name is opened for the agent",
                "use a service named in the tool's description",
            )
        };
        self.0.get(name).ok_or_else(unknown)
    }

    /// The schema of the argument `service`. Not an enumeration: naming another service is a violation, not a slip.
    fn property(&self) -> Value {
        let names: Vec<String> = self.0.keys().map(|name| format!("`{name}`")).collect();
        let mut text = "Name of the service, exactly as listed".to_owned();
        text.push_str(&if names.is_empty() { ".".to_owned() } else { format!(": {}", names.join(", ")) });
        if text.chars().count() > NAMES_CHARS_MAX {
            text = text.chars().take(NAMES_CHARS_MAX).chain(['…']).collect();
        }
        schema::property("string", &text, json!({}))
    }
}

struct HttpProxy {
    services: Services,
    mode: Option<Access>,
}

impl HttpProxy {
    fn prepare(&self, tool: &str, arguments: &str) -> Result<Job<'_>, ToolFault> {
        let offered = |command: &&Command| command.name == tool && command.access.offered_in(self.mode);
        let command = COMMANDS.iter().find(offered).ok_or_else(ToolFault::no_tool)?;
        (command.prepare)(&self.services, arguments)
    }
}

impl ToolModule for HttpProxy {
    fn tools(&self) -> Vec<ToolSpec> {
        COMMANDS.iter().filter(|command| command.access.offered_in(self.mode)).map(|command| (command.spec)(&self.services)).collect()
    }

    fn confine(&self, tool: &str, arguments: &str) -> Result<(), ToolFault> {
        self.prepare(tool, arguments).map(drop)
    }

    fn call<'a>(&'a self, tool: &'a str, arguments: &'a str, context: CallContext<'a>) -> Pending<'a, Result<ToolOutput, ToolFault>> {
        Box::pin(async move {
            let Job { service, request, finish } = self.prepare(tool, arguments)?;
            finish(&service.send(request, context).await?)
        })
    }
}

/// The schema of the argument `path`.
fn path_property() -> Value {
    let text = "Path beneath the service's address, with `/` in front; may carry a query. It cannot leave the address: no `..` above its \
                beginning, no encoded dots, no backslash, no `#`.";
    schema::property("string", text, json!({ "maxLength": path::PATH_BYTES_MAX }))
}
