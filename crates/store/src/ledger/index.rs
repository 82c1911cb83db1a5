//! Writes the readable index behind the ledger, in batches, and knows how far it is.

pub(crate) mod sqlite;

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bailiwick_model::{AgentId, AgentType, OrgId, RunId};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, Row};

use super::backlog::Batch;
use super::chain::WriterId;
use super::open::{EventIndex, IndexWrite};
use super::redact::escape_line;
use super::writer::Shared;
use crate::dialect::Dialect;
use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::event::{Actor, EventRow, PLATFORM};
use crate::scope::PlatformScope;
use crate::store::Store;

/// Rows are written at the latest after this time, in milliseconds.
const LINGER_MS: u64 = 100;

/// Pause between two attempts to write a batch, in milliseconds.
const RETRY_MS: u64 = 200;

/// Columns of a row behind `tenant_id`, in the order of [`bind`].
const COLUMNS: [&str; 27] = [
    "event_id",
    "at",
    "kind",
    "operator",
    "agent_id",
    "agent_type",
    "server",
    "tool",
    "tool_revision",
    "decision",
    "code",
    "ok",
    "error",
    "duration_ms",
    "run_id",
    "run_source",
    "trace_id",
    "args",
    "args_digest",
    "result_bytes",
    "credential_kind",
    "sub",
    "email",
    "client_id",
    "note",
    "writer",
    "seq",
];

/// Rows of one statement. Few sizes, so that each is prepared once per connection.
const STATEMENT_ROWS: [usize; 3] = [100, 10, 1];

/// `OR FAIL` spares SQLite a journal that could undo the single statement: the transaction is given up as a whole when one fails.
static INSERT_ROW_SQLITE: LazyLock<String> = LazyLock::new(|| insert("INSERT OR FAIL", 1, |_| "?".to_owned()));
static INSERTS: LazyLock<[String; 3]> = LazyLock::new(|| STATEMENT_ROWS.map(|rows| insert("INSERT", rows, |number| format!("${number}"))));

const POSITION: &str = "SELECT seq FROM event_positions WHERE origin = $1 AND writer = $2";
const POSITION_SET: &str = "INSERT INTO event_positions (origin, writer, seq) VALUES ($1, $2, $3) \
    ON CONFLICT (origin, writer) DO UPDATE SET seq = excluded.seq";
const NOTE: &str = "INSERT INTO ledger_checkpoints (origin, writer, size, note) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";

fn insert(verb: &str, rows: usize, parameter: impl Fn(usize) -> String) -> String {
    let mut text = format!("{verb} INTO events (tenant_id, {}) VALUES ", COLUMNS.join(", "));
    let columns = COLUMNS.len() + 1;
    for row in 0..rows {
        for column in 0..columns {
            let before = match (row, column) {
                (0, 0) => "(",
                (_, 0) => "), (",
                _ => ", ",
            };
            let _ = write!(text, "{before}{}", parameter(row * columns + column + 1));
        }
    }
    text.push(')');
    text
}

type Inserting = Query<'static, Any, sqlx::any::AnyArguments>;

fn bind(query: Inserting, writer: WriterId, seq: u64, row: &EventRow) -> Inserting {
    let (agent_id, agent_type) = row.agent();
    let (sub, email) = row.member();
    query
        .bind(tenant(row).to_owned())
        .bind(row.event_id.to_string())
        .bind(row.at.as_micros())
        .bind(row.kind.as_str())
        .bind(operator(row).map(text))
        .bind(agent_id.map(AgentId::as_str).map(str::to_owned))
        .bind(agent_type.map(AgentType::as_str).map(str::to_owned))
        .bind(row.server.as_deref().map(text))
        .bind(row.tool.as_deref().map(text))
        .bind(row.tool_revision.as_deref().map(text))
        .bind(row.decision.as_deref().map(text))
        .bind(row.code.as_deref().map(text))
        .bind(i64::from(row.ok))
        .bind(row.error.as_deref().map(text))
        .bind(row.duration_ms.map(i64::from))
        .bind(row.run_id.as_ref().map(RunId::as_str).map(str::to_owned))
        .bind(row.run_source.as_deref().map(text))
        .bind(row.trace_id.as_deref().map(text))
        .bind(row.args.as_deref().map(text))
        .bind(row.args_digest.as_deref().map(text))
        .bind(row.result_bytes.map(|n| i64::try_from(n).unwrap_or(i64::MAX)))
        .bind(row.credential_kind.as_deref().map(text))
        .bind(sub.map(text))
        .bind(email.map(text))
        .bind(row.client_id.as_deref().map(text))
        .bind(row.note.as_deref().map(text))
        .bind(writer.as_str().to_owned())
        .bind(i64::try_from(seq).unwrap_or(i64::MAX))
}

/// Nothing in the index can forge a line where it is shown, nor hold a character that PostgreSQL refuses.
fn text(value: &str) -> String {
    escape_line(value).into_owned()
}

fn operator(row: &EventRow) -> Option<&str> {
    match &row.actor {
        Actor::Operator { name, .. } => Some(name),
        Actor::Agent(_) | Actor::Claimed { .. } => None,
    }
}

fn tenant(row: &EventRow) -> &str {
    row.actor.org().map_or(PLATFORM, OrgId::as_str)
}

impl EventIndex for Store {
    fn position<'a>(&'a self, origin: &'a str, writer: WriterId) -> IndexWrite<'a, u64> {
        Box::pin(async move {
            let mut tx = self.read_platform(&PlatformScope::system()).await?;
            position(tx.connection(), origin, writer).await
        })
    }

    fn write<'a>(&'a self, origin: &'a str, batch: &'a Arc<Batch>) -> IndexWrite<'a, ()> {
        match self.index_file() {
            Some(file) => Box::pin(sqlite::write(self, file, origin, Arc::clone(batch))),
            None => Box::pin(write(self, origin, batch)),
        }
    }
}

async fn position(connection: &mut AnyConnection, origin: &str, writer: WriterId) -> StoreResult<u64> {
    let found = sqlx::query(POSITION).bind(origin).bind(writer.as_str()).fetch_optional(connection).await?;
    let seq = found.map_or(Ok(0), |row| row.try_get::<i64, _>("seq"))?;
    u64::try_from(seq).map_err(|_| StoreError::corrupt("the index of events has a negative position"))
}

async fn write(store: &Store, origin: &str, batch: &Batch) -> StoreResult<()> {
    let writer = batch.writer;
    let mut tx = store.write_platform(&PlatformScope::system()).await?;
    let connection = tx.connection();
    if store.dialect() == Dialect::Postgres {
        // Ids are given out in the order of commits only when batches of several processes do not overlap: a tail reads by id.
        sqlx::query("SELECT pg_advisory_xact_lock(7089063202804687724)").execute(&mut *connection).await?;
    }
    // A batch whose commit got lost on the way back to us is there already.
    if position(&mut *connection, origin, writer).await? < batch.position {
        insert_rows(&mut *connection, store.dialect(), writer, batch).await?;
        sqlx::query(POSITION_SET)
            .bind(origin)
            .bind(writer.as_str())
            .bind(i64::try_from(batch.position).unwrap_or(i64::MAX))
            .execute(&mut *connection)
            .await?;
    }
    for note in &batch.notes {
        sqlx::query(NOTE)
            .bind(origin)
            .bind(writer.as_str())
            .bind(i64::try_from(note.checkpoint.size).unwrap_or(i64::MAX))
            .bind(note.to_string())
            .execute(&mut *connection)
            .await?;
    }
    tx.commit().await
}

async fn insert_rows(connection: &mut AnyConnection, dialect: Dialect, writer: WriterId, batch: &Batch) -> StoreResult<()> {
    let mut rows: Vec<_> = batch.rows.iter().collect();
    if let Some(bind_tenant) = dialect.bind_tenant() {
        // One organisation after the other, because the row policy admits only rows of the one that is bound. The sort is stable.
        rows.sort_by(|a, b| tenant(&a.1).cmp(tenant(&b.1)));
        for group in rows.chunk_by(|a, b| tenant(&a.1) == tenant(&b.1)) {
            sqlx::query(bind_tenant).bind(tenant(&group[0].1)).execute(&mut *connection).await?;
            insert_group(&mut *connection, writer, group).await?;
        }
        return Ok(());
    }
    insert_group(connection, writer, &rows).await
}

async fn insert_group(connection: &mut AnyConnection, writer: WriterId, mut rows: &[&(u64, Box<EventRow>)]) -> StoreResult<()> {
    while !rows.is_empty() {
        let size = STATEMENT_ROWS.iter().position(|size| *size <= rows.len()).unwrap_or(STATEMENT_ROWS.len() - 1);
        let (now, rest) = rows.split_at(STATEMENT_ROWS[size]);
        let query = sqlx::query(INSERTS[size].as_str());
        let query = now.iter().fold(query, |query, (seq, row)| bind(query, writer, *seq, row));
        query.execute(&mut *connection).await?;
        rows = rest;
    }
    Ok(())
}

/// What callers are told while the index cannot be written.
fn reason(error: &StoreError) -> String {
    match error.kind() {
        StoreErrorKind::Locked => "index database locked".to_owned(),
        StoreErrorKind::Full => "index database: disk full".to_owned(),
        StoreErrorKind::Unavailable => format!("index database: {}", error.message()),
        _ => format!("index database: {error}"),
    }
}

/// Body of the index task: ends when the writer has ended and everything is in the index, or that fails once more.
pub(crate) async fn run(shared: Arc<Shared>, index: Arc<dyn EventIndex>, origin: Arc<str>) {
    while let Some(batch) = next(&shared).await.map(Arc::new) {
        if !store(&shared, index.as_ref(), &origin, &batch).await {
            break;
        }
    }
    shared.lock().index_ended = true;
    shared.progress.notify_waiters();
}

/// Waits for rows, then a moment for more. `None` at the end.
async fn next(shared: &Shared) -> Option<Batch> {
    loop {
        let (waiting, ended) = shared.with(|state| (!state.gate.backlog.is_empty(), state.thread_ended));
        if !waiting && ended {
            return None;
        }
        if waiting {
            break;
        }
        shared.index.notified().await;
    }
    let linger = async {
        while !shared.with(|state| state.gate.backlog.is_ready() || state.gate.stop) {
            shared.index.notified().await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(LINGER_MS), linger).await;
    shared.with(|state| state.gate.backlog.take(state.written))
}

/// Tries until it works; gives up only when the process is about to end.
async fn store(shared: &Shared, index: &dyn EventIndex, origin: &str, batch: &Arc<Batch>) -> bool {
    loop {
        shared.with(|state| state.gate.backlog.trying());
        match index.write(origin, batch).await {
            Ok(()) => {
                shared.with(|state| state.gate.backlog.done(batch));
                shared.progress.notify_waiters();
                return true;
            }
            Err(error) => {
                let reason = reason(&error);
                tracing::warn!(writer = %batch.writer, reason, cause = error.cause(), "the index of events cannot be written");
                if shared.with(|state| {
                    state.gate.backlog.failed(reason);
                    state.thread_ended
                }) {
                    return false;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(RETRY_MS)).await;
    }
}
