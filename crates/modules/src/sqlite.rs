//! `sqlite`: one database file per agent (reference, tool modules section 8.2; security section 8).
//!
//! Statements are judged by the engine, never by their text: an authorizer that denies by default (`gate.rs`) stays
//! installed while a statement is prepared and stepped, the read tool works on a read-only connection, a progress handler
//! ends what runs too long (`watch.rs`) or fills the disk with temporary files (`spill.rs`), and limits bound what one statement may build. Each tool is one file; `COMMANDS`
//! is their list.

mod create_table;
mod database;
mod execute;
mod fault;
mod functions;
mod gate;
mod list_tables;
mod query;
mod session;
mod setup;
mod spill;
mod statement;
mod values;
mod watch;

use std::sync::Arc;

use crate::blocking::{Pool, Stop};
use crate::config::ConfigKey;
use crate::context::CallContext;
use crate::fault::{OpenFault, ToolFault};
use crate::module::{ModuleDraft, ModuleKind, ModuleSetup, Pending, ToolModule};
use crate::output::ToolOutput;
use crate::spec::{Access, ToolSpec};
use database::Database;

/// Reading calls of one instance that run at the same time.
const PARALLEL_READS_MAX: usize = 4;
/// Writing calls take turns: the engine has one writer, and waiting here costs no busy loop.
const PARALLEL_WRITES_MAX: usize = 1;

/// The work of one call, arguments read.
type Job = Box<dyn FnOnce(&Database, &Stop) -> Result<ToolOutput, ToolFault> + Send>;

/// One tool.
struct Command {
    name: &'static str,
    access: Access,
    spec: fn() -> ToolSpec,
    /// Reads and checks the arguments without touching the database.
    prepare: fn(&str) -> Result<Job, ToolFault>,
}

const COMMANDS: &[Command] = &[query::COMMAND, list_tables::COMMAND, execute::COMMAND, create_table::COMMAND];

/// The module kind `sqlite`.
#[derive(Clone, Copy, Debug)]
pub struct Kind;

impl ModuleKind for Kind {
    fn name(&self) -> &'static str {
        "sqlite"
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
        Ok(Arc::new(Sqlite {
            database: Arc::new(setup::open(setup)?),
            reads: Pool::new(PARALLEL_READS_MAX),
            writes: Pool::new(PARALLEL_WRITES_MAX),
            mode: setup.access,
        }))
    }
}

struct Sqlite {
    database: Arc<Database>,
    reads: Pool,
    writes: Pool,
    mode: Option<Access>,
}

impl Sqlite {
    fn command(&self, tool: &str) -> Result<&'static Command, ToolFault> {
        COMMANDS.iter().find(|command| command.name == tool && command.access.offered_in(self.mode)).ok_or_else(ToolFault::no_tool)
    }
}

impl ToolModule for Sqlite {
    fn tools(&self) -> Vec<ToolSpec> {
        COMMANDS.iter().filter(|command| command.access.offered_in(self.mode)).map(|command| (command.spec)()).collect()
    }

    fn confine(&self, tool: &str, arguments: &str) -> Result<(), ToolFault> {
        (self.command(tool)?.prepare)(arguments).map(drop)
    }

    fn call<'a>(&'a self, tool: &'a str, arguments: &'a str, context: CallContext<'a>) -> Pending<'a, Result<ToolOutput, ToolFault>> {
        Box::pin(async move {
            let command = self.command(tool)?;
            let job = (command.prepare)(arguments)?;
            let database = Arc::clone(&self.database);
            let pool = if command.access == Access::Read { &self.reads } else { &self.writes };
            pool.run(context, move |stop| job(&database, stop)).await
        })
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            let database = Arc::clone(&self.database);
            if let Err(error) = tokio::task::spawn_blocking(move || database.close()).await {
                tracing::warn!(%error, "connections were not closed in order");
            }
        })
    }
}
