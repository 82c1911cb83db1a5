//! One guarded connection.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use super::functions;
use super::gate::{Gate, Purpose};
use super::watch::Watch;
use crate::blocking::Stop;

/// Longest statement text.
pub(super) const SQL_BYTES_MAX: usize = 64 << 10;
/// Longest string, blob or row.
pub(super) const VALUE_BYTES_MAX: i32 = 4 << 20;
/// Longest pattern of LIKE and GLOB.
pub(super) const PATTERN_BYTES_MAX: usize = 1_000;
/// Instructions between two looks at the clock: few, because a dozen of them may sort a row of the longest length.
const INSTRUCTIONS_PER_LOOK: i32 = 100;

/// What one statement may build (reference, security section 8).
const ENGINE_LIMITS: &[(Limit, i32)] = &[
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, SQL_BYTES_MAX as i32),
    (Limit::SQLITE_LIMIT_COLUMN, 256),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 100),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 50),
    (Limit::SQLITE_LIMIT_VDBE_OP, 100_000),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, PATTERN_BYTES_MAX as i32),
    (Limit::SQLITE_LIMIT_FUNCTION_ARG, 64),
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 1_000),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 10),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// The limits of the manifest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Rows in one answer.
    pub(super) rows: u64,
    /// Bytes of one answer.
    pub(super) result_bytes: u64,
    /// Time of one statement.
    pub(super) statement: Duration,
    /// Size of the file.
    pub(super) db_bytes: u64,
    /// Bytes of one statement in temporary files.
    pub(super) temp_bytes: u64,
    /// Wait for a lock.
    pub(super) busy: Duration,
}

/// A connection with its guards installed for as long as it lives.
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) gate: Gate,
    pub(super) watch: Arc<Watch>,
}

impl Session {
    /// Opens `path` for reading.
    pub(super) fn read(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | common_flags())?;
        connection.pragma_update(None, "query_only", true)?;
        Self::guarded(connection)
    }

    /// An empty database that exists nowhere: what a fresh agent reads.
    pub(super) fn empty() -> rusqlite::Result<Self> {
        let connection = Connection::open_in_memory()?;
        connection.pragma_update(None, "query_only", true)?;
        Self::guarded(connection)
    }

    /// Opens the existing file `path` for writing; it will not grow beyond `db_bytes`.
    pub(super) fn write(path: &Path, db_bytes: u64) -> rusqlite::Result<Self> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | common_flags())?;
        let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = i64::try_from(db_bytes).unwrap_or(i64::MAX) / page.max(512);
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        Self::guarded(connection)
    }

    fn guarded(connection: Connection) -> rusqlite::Result<Self> {
        for (limit, value) in ENGINE_LIMITS {
            connection.set_limit(*limit, *value)?;
        }
        for (setting, on) in [
            (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
            (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
            (DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
            // The engine's own default, which this build overrides: files of earlier gateways were filled without it.
            (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false),
        ] {
            connection.set_db_config(setting, on)?;
        }
        // For files whose content is not trusted: check cells, and do not let a truncated file end the process.
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.pragma_update_and_check(None, "mmap_size", 0, |_| Ok(())).or_else(ignore_no_row)?;
        let session = Self { connection, gate: Gate::default(), watch: Arc::default() };
        session.install()?;
        Ok(session)
    }

    fn install(&self) -> rusqlite::Result<()> {
        let watch = Arc::clone(&self.watch);
        self.connection.progress_handler(INSTRUCTIONS_PER_LOOK, Some(move || watch.expired()))?;
        functions::install(&self.connection, &self.watch)?;
        let gate = self.gate.clone();
        self.connection.authorizer(Some(move |context: rusqlite::hooks::AuthContext<'_>| gate.decide(context)))
    }

    /// Readies the guards for one call.
    pub(super) fn begin(&self, purpose: Purpose, limits: &Limits, stop: &Stop) -> rusqlite::Result<()> {
        self.connection.busy_timeout(limits.busy.min(stop.left()))?;
        self.gate.begin(purpose);
        self.watch.arm(stop.clone(), limits);
        Ok(())
    }
}

fn common_flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW
}

/// A pragma that a kind of database does not know answers no row.
fn ignore_no_row(error: rusqlite::Error) -> rusqlite::Result<()> {
    if matches!(error, rusqlite::Error::QueryReturnedNoRows) { Ok(()) } else { Err(error) }
}
