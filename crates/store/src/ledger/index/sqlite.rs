//! The index on SQLite, written through a connection of its own: rows are bound as they lie. The general driver copies every text four
//! times on its way to the file, and looks each value's place up by name; that was a quarter of what a small call costs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_model::{AgentId, AgentType, RunId};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Statement, ToSql, Transaction, TransactionBehavior, params};

use super::{INSERT_ROW_SQLITE, NOTE, POSITION, POSITION_SET, operator, tenant};
use crate::database::DatabaseUrl;
use crate::dialect::Dialect;
use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::event::EventRow;
use crate::ledger::backlog::Batch;
use crate::ledger::redact::escape_line;
use crate::store::Store;

/// The database file as the index writer sees it.
pub(crate) struct IndexFile {
    path: PathBuf,
    /// Opened at the first batch; closed when a batch fails, so that nothing of that transaction is left.
    connection: Mutex<Option<Connection>>,
}

impl IndexFile {
    /// `None` on PostgreSQL and for a file that may only be read.
    pub(crate) fn of(database: &DatabaseUrl) -> Option<Arc<Self>> {
        let path = database.sqlite_path().filter(|_| !database.read_only())?;
        Some(Arc::new(Self { path: path.to_owned(), connection: Mutex::new(None) }))
    }

    /// Closes the connection; the last one of a file tidies up behind itself.
    pub(crate) fn close(&self) {
        drop(self.connection.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn write(&self, origin: &str, batch: &Batch) -> StoreResult<()> {
        let mut kept = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut connection = kept.take().map_or_else(|| open(&self.path), Ok)?;
        write_batch(&mut connection, origin, batch)?;
        *kept = Some(connection);
        Ok(())
    }
}

/// Writes on a thread that may wait for the disk. The turn of our own writers is kept meanwhile: they queue for it, and would otherwise
/// meet at the file's lock.
pub(super) async fn write(store: &Store, file: Arc<IndexFile>, origin: &str, batch: Arc<Batch>) -> StoreResult<()> {
    let _turn = store.writing_turn().await?;
    let origin = origin.to_owned();
    let written = tokio::task::spawn_blocking(move || file.write(&origin, &batch)).await;
    written.unwrap_or_else(|_| Err(StoreError::new(StoreErrorKind::Unavailable, "the index writer broke off", "see the operator log")))
}

fn open(path: &Path) -> StoreResult<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    for statement in Dialect::Sqlite.connection_setup() {
        connection.execute_batch(statement)?;
    }
    Ok(connection)
}

fn write_batch(connection: &mut Connection, origin: &str, batch: &Batch) -> StoreResult<()> {
    let writer = batch.writer.as_str();
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: Option<i64> = tx.prepare_cached(POSITION)?.query_row(params![origin, writer], |row| row.get(0)).optional()?;
    // A batch whose commit got lost on the way back to us is there already.
    if u64::try_from(found.unwrap_or(0)).map_err(|_| StoreError::corrupt("the index of events has a negative position"))? < batch.position {
        insert_rows(&tx, batch)?;
        tx.prepare_cached(POSITION_SET)?.execute(params![origin, writer, signed(batch.position)])?;
    }
    for note in &batch.notes {
        tx.prepare_cached(NOTE)?.execute(params![origin, writer, signed(note.checkpoint.size), note.to_string()])?;
    }
    Ok(tx.commit()?)
}

fn insert_rows(tx: &Transaction<'_>, batch: &Batch) -> StoreResult<()> {
    let mut statement = tx.prepare_cached(&INSERT_ROW_SQLITE)?;
    for (seq, row) in &batch.rows {
        bind(&mut statement, batch.writer.as_str(), *seq, row)?;
        statement.raw_execute()?;
    }
    Ok(())
}

/// In the order of [`super::COLUMNS`].
fn bind(statement: &mut Statement<'_>, writer: &str, seq: u64, row: &EventRow) -> rusqlite::Result<()> {
    let (agent_id, agent_type) = row.agent();
    let (sub, email) = row.member();
    let mut place = 0;
    let mut bind = |value: &dyn ToSql| {
        place += 1;
        statement.raw_bind_parameter(place, value)
    };
    bind(&tenant(row))?;
    bind(&row.event_id.to_string())?;
    bind(&row.at.as_micros())?;
    bind(&row.kind.as_str())?;
    bind(&operator(row).map(escape_line))?;
    bind(&agent_id.map(AgentId::as_str))?;
    bind(&agent_type.map(AgentType::as_str))?;
    bind(&row.server.as_deref().map(escape_line))?;
    bind(&row.tool.as_deref().map(escape_line))?;
    bind(&row.tool_revision.as_deref())?;
    bind(&row.decision.as_deref().map(escape_line))?;
    bind(&row.code.as_deref().map(escape_line))?;
    bind(&row.ok)?;
    bind(&row.error.as_deref().map(escape_line))?;
    bind(&row.duration_ms)?;
    bind(&row.run_id.as_ref().map(RunId::as_str))?;
    bind(&row.run_source.as_deref().map(escape_line))?;
    bind(&row.trace_id.as_deref().map(escape_line))?;
    bind(&row.args.as_deref().map(escape_line))?;
    bind(&row.args_digest.as_deref().map(escape_line))?;
    bind(&row.result_bytes.map(signed))?;
    bind(&row.credential_kind.as_deref().map(escape_line))?;
    bind(&sub.map(escape_line))?;
    bind(&email.map(escape_line))?;
    bind(&row.client_id.as_deref().map(escape_line))?;
    bind(&row.note)?;
    bind(&writer)?;
    bind(&signed(seq))
}

/// SQLite's integers end at 63 bits.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
