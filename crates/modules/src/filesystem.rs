//! `filesystem`: files of one agent (reference, tool modules section 8.1; security section 6).
//!
//! The agent owns one directory, `<base_path>/agents/<agent_id>` unless `layout` says otherwise. It is opened once, as a
//! capability; every name is checked as text (`path.rs`) and then resolved beneath the open handle (`root.rs`). Each tool
//! is one file with its arguments, its definition and its work; `COMMANDS` is their list.

mod append_file;
mod delete_dir;
mod delete_file;
mod list_dir;
mod make_dir;
mod move_file;
mod path;
mod quota;
mod read_file;
mod read_range;
mod root;
mod search;
mod setup;
mod stat;
mod temporary;
mod tree;
mod write_file;

pub(crate) use path::AgentPath;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::blocking::{Pool, Stop};
use crate::config::ConfigKey;
use crate::context::CallContext;
use crate::fault::{OpenFault, ToolFault};
use crate::module::{ModuleDraft, ModuleKind, ModuleSetup, Pending, ToolModule};
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, ToolSpec};
use tree::Tree;

/// Calls of one instance that touch the disk at the same time.
const PARALLEL_CALLS_MAX: usize = 8;

/// The work of one call, arguments read and paths checked.
type Job = Box<dyn FnOnce(&Tree, &Stop) -> Result<ToolOutput, ToolFault> + Send>;

/// One tool.
struct Command {
    name: &'static str,
    access: Access,
    /// Offered only with `extended_tools: true`.
    extended: bool,
    spec: fn() -> ToolSpec,
    /// Reads and checks the arguments without touching the disk.
    prepare: fn(&Tree, &str) -> Result<Job, ToolFault>,
}

const COMMANDS: &[Command] = &[
    read_file::COMMAND,
    list_dir::COMMAND,
    write_file::COMMAND,
    delete_file::COMMAND,
    stat::COMMAND,
    read_range::COMMAND,
    append_file::COMMAND,
    move_file::COMMAND,
    make_dir::COMMAND,
    delete_dir::COMMAND,
    search::COMMAND,
];

/// The module kind `filesystem`.
#[derive(Clone, Copy, Debug)]
pub struct Kind;

impl ModuleKind for Kind {
    fn name(&self) -> &'static str {
        "filesystem"
    }

    fn config_keys(&self) -> &'static [ConfigKey] {
        setup::KEYS
    }

    fn tools(&self) -> Vec<(&'static str, Access)> {
        COMMANDS.iter().map(|command| (command.name, command.access)).collect()
    }

    fn specs(&self) -> Vec<ToolSpec> {
        COMMANDS.iter().map(|command| (command.spec)()).collect()
    }

    fn check(&self, draft: ModuleDraft<'_>) -> Vec<OpenFault> {
        setup::check(draft)
    }

    fn open(&self, setup: ModuleSetup<'_>) -> Result<Arc<dyn ToolModule>, OpenFault> {
        let (tree, extended) = setup::open(setup)?;
        Ok(Arc::new(Filesystem { tree: Arc::new(tree), pool: Pool::new(PARALLEL_CALLS_MAX), mode: setup.access, extended }))
    }
}

struct Filesystem {
    tree: Arc<Tree>,
    pool: Pool,
    mode: Option<Access>,
    extended: bool,
}

impl Filesystem {
    fn offers(&self, command: &Command) -> bool {
        command.access.offered_in(self.mode) && (self.extended || !command.extended)
    }

    fn prepare(&self, tool: &str, arguments: &str) -> Result<Job, ToolFault> {
        let command = COMMANDS.iter().find(|command| command.name == tool && self.offers(command)).ok_or_else(ToolFault::no_tool)?;
        (command.prepare)(&self.tree, arguments)
    }
}

impl ToolModule for Filesystem {
    fn tools(&self) -> Vec<ToolSpec> {
        COMMANDS.iter().filter(|command| self.offers(command)).map(|command| (command.spec)()).collect()
    }

    fn confine(&self, tool: &str, arguments: &str) -> Result<(), ToolFault> {
        self.prepare(tool, arguments).map(drop)
    }

    fn call<'a>(&'a self, tool: &'a str, arguments: &'a str, context: CallContext<'a>) -> Pending<'a, Result<ToolOutput, ToolFault>> {
        Box::pin(async move {
            let job = self.prepare(tool, arguments)?;
            let tree = Arc::clone(&self.tree);
            self.pool.run(context, move |stop| job(&tree, stop)).await
        })
    }
}

/// The schema of an argument that is a path.
fn path_property(description: &str) -> Value {
    schema::property("string", description, json!({ "maxLength": path::PATH_BYTES_MAX }))
}

/// The served result of tools that answer `true`.
fn done_schema() -> Value {
    schema::wrapped(schema::property("boolean", "Always true; a refusal is an error.", json!({ "const": true })))
}

/// What descriptions say about paths.
const PATHS: &str =
    "Paths are relative to your own directory (or absolute inside it); names are taken literally, and leaving the directory is refused.";
