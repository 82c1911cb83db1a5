//! `influxdb`: time series in the buckets an operator listed and in those the agent created (reference, tool modules section 8.9).
//!
//! Everything an agent says becomes a *literal*: of Flux (`flux.rs`), of line protocol (`line.rs`) or of a request's own syntax. Query
//! parameters (`extern`) would spare the Flux literals, but the storage engine filters by literals alone (2.x, `PushDownFilterRule`): with
//! parameters every query would read its whole range. Each tool is one file; `COMMANDS` is their list.
//!
//! | File | Holds |
//! |---|---|
//! | `flux.rs` | values as Flux source |
//! | `line.rs` | points as line protocol |
//! | `time.rs` | moments, durations, ranges |
//! | `scalar.rs` | JSON values without loss |
//! | `table.rs` | annotated CSV, as answers come |
//! | `bucket.rs` | which buckets are the agent's |
//! | `server.rs` | the requests |

mod bucket;
mod create_bucket;
mod delete_points;
mod filter;
mod flux;
mod get_schema;
mod line;
mod list_measurements;
mod names;
mod query;
mod scalar;
mod server;
mod setup;
mod table;
mod time;
mod write_points;

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::config::ConfigKey;
use crate::context::CallContext;
use crate::fault::{OpenFault, ToolFault};
use crate::module::{CredentialKey, ModuleDraft, ModuleKind, ModuleSetup, Pending, ToolModule};
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, ToolSpec};
use bucket::Buckets;
use server::Server;
use table::Limits;

/// The work of one call, arguments read and checked.
type Job = Box<dyn for<'a> FnOnce(&'a Influxdb, CallContext<'a>) -> Pending<'a, Result<ToolOutput, ToolFault>> + Send>;

/// Helps the compiler to see a closure as a [`Job`].
fn job<F>(work: F) -> Result<Job, ToolFault>
where
    F: for<'a> FnOnce(&'a Influxdb, CallContext<'a>) -> Pending<'a, Result<ToolOutput, ToolFault>> + Send + 'static,
{
    Ok(Box::new(work))
}

/// One tool.
struct Command {
    name: &'static str,
    access: Access,
    spec: fn(&Influxdb) -> ToolSpec,
    /// Reads and checks the arguments without asking the server.
    prepare: fn(&Influxdb, &str) -> Result<Job, ToolFault>,
}

const COMMANDS: &[Command] = &[
    query::COMMAND,
    list_measurements::COMMAND,
    get_schema::COMMAND,
    write_points::COMMAND,
    create_bucket::COMMAND,
    delete_points::COMMAND,
];

/// The module kind `influxdb`.
#[derive(Clone, Copy, Debug)]
pub struct Kind;

impl ModuleKind for Kind {
    fn name(&self) -> &'static str {
        "influxdb"
    }

    fn config_keys(&self) -> &'static [ConfigKey] {
        setup::KEYS
    }

    fn credentials(&self, _: &Map<String, Value>) -> Vec<CredentialKey> {
        vec![CredentialKey::required(setup::URL), CredentialKey::required(setup::TOKEN), CredentialKey::optional(setup::ORG)]
    }

    fn check(&self, draft: ModuleDraft<'_>) -> Vec<OpenFault> {
        setup::check(draft)
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

struct Influxdb {
    server: Server,
    buckets: Buckets,
    limits: Limits,
    mode: Option<Access>,
}

impl Influxdb {
    fn offered(&self) -> impl Iterator<Item = &'static Command> {
        COMMANDS.iter().filter(|command| command.access.offered_in(self.mode))
    }

    fn prepare(&self, tool: &str, arguments: &str) -> Result<Job, ToolFault> {
        let command = self.offered().find(|command| command.name == tool).ok_or_else(ToolFault::no_tool)?;
        (command.prepare)(self, arguments)
    }
}

impl ToolModule for Influxdb {
    fn tools(&self) -> Vec<ToolSpec> {
        self.offered().map(|command| (command.spec)(self)).collect()
    }

    fn confine(&self, tool: &str, arguments: &str) -> Result<(), ToolFault> {
        self.prepare(tool, arguments).map(drop)
    }

    fn call<'a>(&'a self, tool: &'a str, arguments: &'a str, context: CallContext<'a>) -> Pending<'a, Result<ToolOutput, ToolFault>> {
        Box::pin(async move { self.prepare(tool, arguments)?(self, context).await })
    }
}

fn bucket_property() -> Value {
    let about = "Name of the bucket: one that the operator allowed or one that you created, by its whole name.";
    schema::property("string", about, serde_json::json!({ "maxLength": bucket::NAME_BYTES_MAX }))
}

fn measurement_property() -> Value {
    let about = "Name of the measurement: a letter or `_`, then letters, digits, `_` and `-`.";
    schema::property("string", about, serde_json::json!({ "maxLength": names::NAME_BYTES_MAX }))
}

fn time_property(about: &str, default: Option<&str>) -> Value {
    let about = format!("{about}: `now()`, RFC 3339 with zone, or a duration from now such as `-1h30m` (y mo w d h m s ms us ns).");
    let mut extra = serde_json::json!({ "maxLength": time::TEXT_BYTES_MAX });
    if let Some(default) = default {
        extra["default"] = default.into();
    }
    schema::property("string", &about, extra)
}
