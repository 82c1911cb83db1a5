//! From configuration to a place for the database file.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::time::Duration;

use super::database::Database;
use super::session::Limits;
use crate::config::{ConfigKey, ConfigKind, ConfigReader};
use crate::fault::OpenFault;
use crate::module::{ModuleDraft, ModuleSetup};
use crate::scope::AgentFile;

const DIRECTORY_MODE: u32 = 0o700;
/// Highest configurable number of rows in one answer.
const ROWS_CEILING: u64 = 10_000;
/// Highest configurable size of one answer; still fits into one message.
const RESULT_BYTES_CEILING: u64 = 8 << 20;
/// Highest configurable time of one statement.
const STATEMENT_MS_CEILING: u64 = 15 * 60 * 1000;
/// Highest configurable database size.
const DB_BYTES_CEILING: u64 = 1 << 40;
/// Smallest configurable database size: room for a schema.
const DB_BYTES_FLOOR: u64 = 64 << 10;
/// Highest configurable size of a statement's temporary files.
const TEMP_BYTES_CEILING: u64 = 1 << 40;
/// Smallest configurable one: what the engine keeps in memory anyway.
const TEMP_BYTES_FLOOR: u64 = 1 << 20;
/// Highest configurable wait for a lock.
const BUSY_MS_CEILING: u64 = 60_000;

pub(super) const KEYS: &[ConfigKey] = &[
    ConfigKey {
        name: "db_dir",
        required: true,
        doc: "Directory of the agents' database files; created when missing.",
        kind: ConfigKind::Text,
    },
    ConfigKey { name: "max_rows", required: false, doc: "Most rows in one answer. Default 1000.", kind: ConfigKind::Integer },
    ConfigKey { name: "max_result_bytes", required: false, doc: "Largest answer, in bytes. Default 1 MiB.", kind: ConfigKind::Integer },
    ConfigKey {
        name: "statement_timeout_ms",
        required: false,
        doc: "Longest run of one statement, in milliseconds. Default 5000.",
        kind: ConfigKind::Integer,
    },
    ConfigKey {
        name: "max_db_bytes",
        required: false,
        doc: "Largest database file, in bytes. Default 256 MiB.",
        kind: ConfigKind::Integer,
    },
    ConfigKey {
        name: "max_temp_bytes",
        required: false,
        doc: "Most bytes that one statement may keep in temporary files while it sorts, groups or joins. Default 128 MiB.",
        kind: ConfigKind::Integer,
    },
    ConfigKey {
        name: "busy_timeout_ms",
        required: false,
        doc: "Longest wait for another process's lock, in milliseconds. Default 2000.",
        kind: ConfigKind::Integer,
    },
];

/// Every mistake that shows before the disk is touched.
pub(super) fn check(draft: ModuleDraft<'_>) -> Vec<OpenFault> {
    let config = ConfigReader::from(draft);
    let numbers = numbers(&config).into_iter().filter_map(Result::err);
    config.path("db_dir").err().into_iter().chain(numbers).collect()
}

/// The limits, in the order of their keys.
fn numbers(config: &ConfigReader<'_>) -> [Result<u64, OpenFault>; 6] {
    [
        config.integer("max_rows", 1_000, 1, ROWS_CEILING),
        config.integer("max_result_bytes", 1 << 20, 1, RESULT_BYTES_CEILING),
        config.integer("statement_timeout_ms", 5_000, 1, STATEMENT_MS_CEILING),
        config.integer("max_db_bytes", 256 << 20, DB_BYTES_FLOOR, DB_BYTES_CEILING),
        config.integer("max_temp_bytes", 128 << 20, TEMP_BYTES_FLOOR, TEMP_BYTES_CEILING),
        config.integer("busy_timeout_ms", 2_000, 0, BUSY_MS_CEILING),
    ]
}

/// Makes the directory when missing and settles where the file of this agent is. The file itself comes with the first write.
pub(super) fn open(setup: ModuleSetup<'_>) -> Result<Database, OpenFault> {
    if setup.config.contains_key("db_path") {
        let remedy = "write db_dir with the directory; each agent gets the file agent_<agent_id>.db in it";
        return Err(OpenFault::about("db_path", "is no longer a key", remedy));
    }
    let config = ConfigReader::new(setup, KEYS)?;
    let dir = config.place("db_dir")?;
    let [rows, result_bytes, statement_ms, db_bytes, temp_bytes, busy_ms] = numbers(&config);
    let limits = Limits {
        rows: rows?,
        result_bytes: result_bytes?,
        statement: Duration::from_millis(statement_ms?),
        db_bytes: db_bytes?,
        temp_bytes: temp_bytes?,
        busy: Duration::from_millis(busy_ms?),
    };
    let fault = |e: std::io::Error| OpenFault::about("db_dir", format!("cannot be used: {e}"), "check the directory and its permissions");
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(&dir).map_err(fault)?;
    // The engine refuses links anywhere in the name; links in the operator's own path are resolved here, once.
    let dir = std::fs::canonicalize(dir).map_err(fault)?;
    let database = Database::new(AgentFile::new(&dir, setup.agent_id, "db").path().to_owned(), limits);
    database.tighten().map_err(fault)?;
    Ok(database)
}
