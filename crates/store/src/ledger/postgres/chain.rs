//! One writer's chain in the database.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use bailiwick_model::id::EventId;
use bailiwick_model::time::Timestamp;
use sqlx::{AnyConnection, Row};

use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::ledger::backlog::{Batch, INDEX_BATCH_ROWS};
use crate::ledger::chain::{Hash, Link, PREFIX_BYTES, WriterId};
use crate::ledger::checkpoint::Note;
use crate::ledger::merkle::Range;
use crate::ledger::open::EventIndex;
use crate::ledger::rebuild;
use crate::ledger::record::{Begin, Span, put};

/// Records of one statement at most; the statements are prepared for these numbers, unused places are filled with nulls.
pub(crate) const STATEMENT_RECORDS: [usize; 4] = [1, 8, 64, 512];

/// Bytes of the records of one statement, beyond which a batch is divided.
pub(crate) const STATEMENT_BYTES_MAX: usize = 8 << 20;

/// A begin record is repeated after this many records, so that the search for open intents is short.
const BEGIN_RECORDS: u64 = 100_000;

/// Records of one page when reading.
pub(crate) const PAGE_RECORDS: i64 = 2_000;

/// Parameters before those of the records.
const HEAD_PARAMETERS: usize = 8;

static INSERTS: LazyLock<[String; 4]> = LazyLock::new(|| STATEMENT_RECORDS.map(insert));

/// One statement, so that fence and records stand or fall together, in one round trip.
fn insert(records: usize) -> String {
    let mut text = "WITH fence AS (UPDATE ledger_writers SET epoch = $3, seq = $4, head = $5, tree = $6, begun = $7 \
         WHERE writer = $1 AND epoch = $2 AND seq = $8 RETURNING writer) \
         INSERT INTO ledger_records (writer, seq, hash, bytes) \
         SELECT fence.writer, record.seq, record.hash, record.bytes FROM fence, (VALUES "
        .to_owned();
    for record in 0..records {
        let first = HEAD_PARAMETERS + record * 3 + 1;
        let comma = if record > 0 { ", " } else { "" };
        let _ = write!(text, "{comma}(${first}::BIGINT, ${}::BYTEA, ${}::BYTEA)", first + 1, first + 2);
    }
    text.push_str(") AS record (seq, hash, bytes) WHERE record.seq IS NOT NULL");
    text
}

/// A record that is formed but not yet written.
struct Staged {
    hash: Hash,
    bytes: Vec<u8>,
    span: Option<Span>,
}

/// See the module.
pub(crate) struct Chain {
    connection: AnyConnection,
    /// The server process of the connection.
    pub(crate) pid: i32,
    pub(crate) number: i32,
    origin: Arc<str>,
    /// What stands in the database.
    link: Link,
    tree: Range,
    begun: u64,
    open: HashSet<EventId>,
    /// Open intents found at take-up, with their records.
    found: HashMap<EventId, Option<Vec<u8>>>,
    /// The epoch that the next record carries.
    epoch: u64,
    staged: Vec<Staged>,
    staged_link: Link,
    staged_begun: u64,
    /// What `synchronous_commit` of the session is set to.
    synchronous: Option<bool>,
}

impl Chain {
    pub(crate) fn new(connection: AnyConnection, pid: i32, number: i32, origin: Arc<str>, link: Link, tree: Range, begun: u64) -> Self {
        let epoch = link.epoch + 1;
        let staged_link = Link { epoch, ..link };
        Self {
            connection,
            pid,
            number,
            origin,
            link,
            tree,
            begun,
            open: HashSet::new(),
            found: HashMap::new(),
            epoch,
            staged: Vec::new(),
            staged_link,
            staged_begun: begun,
            synchronous: None,
        }
    }

    pub(crate) const fn writer(&self) -> WriterId {
        self.link.writer
    }

    pub(crate) const fn link(&self) -> &Link {
        &self.link
    }

    pub(crate) const fn tree(&self) -> &Range {
        &self.tree
    }

    pub(crate) fn open_intents(&self) -> usize {
        self.open.len()
    }

    /// The intents that were found open.
    pub(crate) fn take_open(&mut self) -> HashMap<EventId, Option<Vec<u8>>> {
        std::mem::take(&mut self.found)
    }

    /// Whether a begin record is due.
    pub(crate) fn wants_begin(&self) -> bool {
        self.link.seq >= self.begun + BEGIN_RECORDS
    }

    pub(crate) fn stage_begin(&mut self, now: Timestamp) -> u64 {
        let mut tree = self.tree.clone();
        self.staged.iter().for_each(|s| tree.push(s.hash));
        let begin = Begin::new(&self.origin, &self.staged_link, &tree, self.open.iter(), now, 0);
        self.staged_begun = self.staged_link.seq + 1;
        self.stage_record(&begin.to_record(), None)
    }

    pub(crate) fn stage(&mut self, span: Span, body: &[u8]) -> u64 {
        let mut record = Vec::with_capacity(body.len() + 80);
        put(&mut record, span, body);
        self.stage_record(&record, Some(span))
    }

    pub(crate) fn stage_record(&mut self, record: &[u8], span: Option<Span>) -> u64 {
        let mut slot = Vec::with_capacity(PREFIX_BYTES + record.len());
        slot.resize(PREFIX_BYTES, 0);
        slot.extend_from_slice(record);
        let hash = self.staged_link.hash_in_place(&mut slot);
        slot.drain(..PREFIX_BYTES);
        self.staged.push(Staged { hash, bytes: slot, span });
        self.staged_link.advance(hash);
        self.staged_link.seq
    }

    /// Writes what is staged, up to 512 records in one statement. With `power` it survives a power cut afterwards, without it the
    /// end of this process. On an error nothing more can be written through this chain.
    pub(crate) async fn commit(&mut self, power: bool) -> StoreResult<()> {
        if self.synchronous != Some(power) {
            let statement = if power { "SET synchronous_commit = on" } else { "SET synchronous_commit = off" };
            sqlx::query(statement).execute(&mut self.connection).await?;
            self.synchronous = Some(power);
        }
        while !self.staged.is_empty() {
            self.insert().await?;
        }
        Ok(())
    }

    /// Inserts as many staged records as one statement takes.
    async fn insert(&mut self) -> StoreResult<()> {
        let count = self.staged.len().min(STATEMENT_RECORDS[STATEMENT_RECORDS.len() - 1]);
        let size = STATEMENT_RECORDS.iter().position(|size| *size >= count).unwrap_or(STATEMENT_RECORDS.len() - 1);
        let records = &self.staged[..count];
        let (mut link, mut tree) = (Link { epoch: self.epoch, ..self.link }, self.tree.clone());
        for record in records {
            link.advance(record.hash);
            tree.push(record.hash);
        }
        let begun = if self.staged_begun <= link.seq { self.staged_begun } else { self.begun };
        let query = sqlx::query(INSERTS[size].as_str())
            .bind(link.writer.as_str().to_owned())
            .bind(signed(self.link.epoch))
            .bind(signed(link.epoch))
            .bind(signed(link.seq))
            .bind(link.head.to_vec())
            .bind(tree.nodes().concat())
            .bind(signed(begun))
            .bind(signed(self.link.seq));
        let query = records.iter().zip(self.link.seq + 1..).fold(query, |query, (record, seq)| {
            query.bind(Some(signed(seq))).bind(Some(record.hash.to_vec())).bind(Some(record.bytes.clone()))
        });
        let query =
            (count..STATEMENT_RECORDS[size]).fold(query, |query, _| query.bind(None::<i64>).bind(None::<Vec<u8>>).bind(None::<Vec<u8>>));
        if query.execute(&mut self.connection).await?.rows_affected() != count as u64 {
            return Err(fenced());
        }
        (self.link, self.tree, self.begun) = (link, tree, begun);
        self.track(count);
        Ok(())
    }

    fn track(&mut self, count: usize) {
        for staged in self.staged.drain(..count) {
            match staged.span {
                Some(Span::Intent(id)) => {
                    self.open.insert(id);
                }
                Some(Span::Outcome(id)) => {
                    self.open.remove(&id);
                }
                _ => {}
            }
        }
    }

    /// Makes what was committed without waiting survive a power cut: any commit that waits takes those before it along.
    pub(crate) async fn save(&mut self) -> StoreResult<()> {
        sqlx::query("SET synchronous_commit = on").execute(&mut self.connection).await?;
        self.synchronous = Some(true);
        let statement = "UPDATE ledger_writers SET seq = seq WHERE writer = $1 AND epoch = $2";
        let query = sqlx::query(statement).bind(self.link.writer.as_str().to_owned()).bind(signed(self.link.epoch));
        match query.execute(&mut self.connection).await?.rows_affected() {
            1 => Ok(()),
            _ => Err(fenced()),
        }
    }

    pub(crate) async fn put_checkpoint(&mut self, note: &Note) -> StoreResult<()> {
        let statement = "INSERT INTO ledger_checkpoints (origin, writer, size, note) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
        let query = sqlx::query(statement).bind(note.checkpoint.origin.clone()).bind(note.checkpoint.writer.as_str().to_owned());
        query.bind(signed(note.checkpoint.size)).bind(note.to_string()).execute(&mut self.connection).await?;
        Ok(())
    }

    /// Reads the records behind `seq`, at most [`PAGE_RECORDS`].
    pub(crate) async fn page(&mut self, seq: u64) -> StoreResult<Vec<(u64, Vec<u8>)>> {
        let statement = "SELECT seq, bytes FROM ledger_records WHERE writer = $1 AND seq > $2 ORDER BY seq LIMIT $3";
        let query = sqlx::query(statement).bind(self.link.writer.as_str().to_owned()).bind(signed(seq)).bind(PAGE_RECORDS);
        let rows = query.fetch_all(&mut self.connection).await?;
        rows.iter().map(|row| Ok((row.try_get::<i64, _>("seq")?.unsigned_abs(), row.try_get("bytes")?))).collect()
    }

    /// Finds intents without outcome since the last begin record, which names those before it.
    pub(crate) async fn find_open(&mut self) -> StoreResult<()> {
        let mut seq = self.begun.saturating_sub(1);
        loop {
            let page = self.page(seq).await?;
            let Some((last, _)) = page.last() else { break };
            seq = *last;
            for (_, record) in page {
                if let Some(begin) = Begin::read(&record) {
                    let named = begin.open.iter().filter_map(|id| EventId::parse(id).ok());
                    for id in named {
                        self.found.entry(id).or_insert(None);
                    }
                }
                match Span::of(&record) {
                    Some(Span::Intent(id)) => drop(self.found.insert(id, Some(record))),
                    Some(Span::Outcome(id)) => drop(self.found.remove(&id)),
                    _ => {}
                }
            }
        }
        self.open = self.found.keys().copied().collect();
        Ok(())
    }

    /// Rows that the last process of this writer did not bring into the index.
    pub(crate) async fn index_missing(&mut self, index: &dyn EventIndex, now: Timestamp) -> StoreResult<()> {
        let (origin, writer, last) = (Arc::clone(&self.origin), self.link.writer, self.link.seq);
        let mut seq = index.position(&origin, writer).await?;
        let mut intents: HashMap<EventId, Vec<u8>> = HashMap::new();
        while seq < last {
            let page = self.page(seq).await?;
            let empty = page.is_empty();
            let mut rows = Vec::new();
            for (number, record) in page {
                seq = number;
                let span = Span::of(&record);
                let intent = span.and_then(|span| intents.remove(&span.id()));
                rows.extend(rebuild::row(&record, intent.as_deref(), now).map(|row| (number, Box::new(row))));
                if let Some(Span::Intent(id)) = span {
                    intents.insert(id, record);
                }
                if rows.len() >= INDEX_BATCH_ROWS {
                    break;
                }
            }
            if empty {
                seq = last;
            }
            index.write(&origin, &Arc::new(Batch { rows, position: seq, ..Batch::empty(writer) })).await?;
        }
        Ok(())
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn fenced() -> StoreError {
    let message = "another process has taken up this writer of the ledger";
    StoreError::new(StoreErrorKind::Conflict, message, "nothing: a new writer is taken up")
}
