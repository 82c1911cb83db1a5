//! `grafana`: dashboards and alert rules in one folder, queries of listed data sources (reference, tool modules section 8.8).
//!
//! A service account's token reaches the whole organisation, so the borders are drawn here: everything the agent sees or changes lies in
//! its folder (`folder.rs`), and every data source that it queries or writes into a dashboard or rule is on its list (`references.rs`,
//! `datasources.rs`). Each tool is one file; `COMMANDS` is their list.

mod api;
mod create_alert_rule;
mod create_dashboard;
mod dashboard;
mod datasources;
mod delete_dashboard;
mod folder;
mod get_dashboard;
mod list_dashboards;
mod list_datasources;
mod query_datasource;
mod references;
mod setup;
mod update_dashboard;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::config::ConfigKey;
use crate::context::CallContext;
use crate::fault::{OpenFault, ToolFault};
use crate::module::{CredentialKey, ModuleDraft, ModuleKind, ModuleSetup, Pending, ToolModule};
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, ToolSpec};
use api::Api;
use folder::Folder;

/// The work of one call, arguments read and checked.
type Job = Box<dyn for<'a> FnOnce(&'a Grafana, CallContext<'a>) -> Pending<'a, Result<ToolOutput, ToolFault>> + Send>;

/// One tool.
struct Command {
    name: &'static str,
    access: Access,
    spec: fn() -> ToolSpec,
    /// Reads and checks the arguments without a call to Grafana.
    prepare: fn(&Grafana, &str) -> Result<Job, ToolFault>,
}

const COMMANDS: &[Command] = &[
    list_dashboards::COMMAND,
    get_dashboard::COMMAND,
    list_datasources::COMMAND,
    query_datasource::COMMAND,
    create_dashboard::COMMAND,
    update_dashboard::COMMAND,
    delete_dashboard::COMMAND,
    create_alert_rule::COMMAND,
];

/// The module kind `grafana`.
#[derive(Clone, Copy, Debug)]
pub struct Kind;

impl ModuleKind for Kind {
    fn name(&self) -> &'static str {
        "grafana"
    }

    fn config_keys(&self) -> &'static [ConfigKey] {
        setup::KEYS
    }

    fn credentials(&self, config: &Map<String, Value>) -> Vec<CredentialKey> {
        setup::credentials(config)
    }

    fn check(&self, draft: ModuleDraft<'_>) -> Vec<OpenFault> {
        setup::check(draft.config)
    }

    fn tools(&self) -> Vec<(&'static str, Access)> {
        COMMANDS.iter().map(|command| (command.name, command.access)).collect()
    }

    fn specs(&self) -> Vec<ToolSpec> {
        COMMANDS.iter().map(|command| (command.spec)()).collect()
    }

    fn open(&self, setup: ModuleSetup<'_>) -> Result<Arc<dyn ToolModule>, OpenFault> {
        Ok(Arc::new(setup::open(setup)?))
    }
}

struct Grafana {
    api: Api,
    folder: Folder,
    /// The agent's id.
    agent: String,
    /// Names of the data sources the agent may use.
    sources: BTreeSet<String>,
    /// Without such names, list those of all data sources.
    lists_names: bool,
    mode: Option<Access>,
}

impl Grafana {
    fn prepare(&self, tool: &str, arguments: &str) -> Result<Job, ToolFault> {
        let offered = |command: &&Command| command.name == tool && command.access.offered_in(self.mode);
        let command = COMMANDS.iter().find(offered).ok_or_else(ToolFault::no_tool)?;
        (command.prepare)(self, arguments)
    }
}

impl ToolModule for Grafana {
    fn tools(&self) -> Vec<ToolSpec> {
        COMMANDS.iter().filter(|command| command.access.offered_in(self.mode)).map(|command| (command.spec)()).collect()
    }

    fn confine(&self, tool: &str, arguments: &str) -> Result<(), ToolFault> {
        self.prepare(tool, arguments).map(drop)
    }

    fn call<'a>(&'a self, tool: &'a str, arguments: &'a str, context: CallContext<'a>) -> Pending<'a, Result<ToolOutput, ToolFault>> {
        Box::pin(async move { self.prepare(tool, arguments)?(self, context).await })
    }
}

/// The schema of a result that is an object of Grafana's.
fn object_schema(properties: &[(&str, &str, &str)]) -> Value {
    let properties: Vec<(&str, Value)> =
        properties.iter().map(|(name, kind, text)| (*name, schema::property(kind, text, json!({})))).collect();
    schema::output(&properties)
}
