//! Verification of a ledger in PostgreSQL, page by page, while it is in use.

use std::io::Write;

use bailiwick_model::Timestamp;
use sqlx::Row;

use super::{ChainCheck, Finding, Intact, Kind, NoReader, Reader, Signatures, Trust, WriterSummary, missing_tail, missing_writer};
use crate::error::{StoreError, StoreResult};
use crate::ledger::chain::{Hash, PREFIX_BYTES, WriterId};
use crate::ledger::checkpoint::Note;
use crate::ledger::export::ExportWriter;
use crate::ledger::follow::Flaw;
use crate::scope::PlatformScope;
use crate::store::Store;

/// Records or checkpoints of one page.
const PAGE_ROWS: i64 = 2_000;

/// Checks the ledger in the store's PostgreSQL database. There are no keys beside it: without keys in `trust`, signatures are not
/// checked.
///
/// # Errors
/// The first [`Finding`].
pub async fn verify_database(store: &Store, scope: &PlatformScope, trust: &Trust) -> Result<Intact, Finding> {
    read_database(store, scope, trust, &mut NoReader).await
}

/// Writes the ledger in the store's PostgreSQL database to `out`, verifying it on the way; with `trust`'s keys in the header.
///
/// # Errors
/// The first [`Finding`] of the ledger, or `Unreadable` when `out` cannot be written. What was written until then is no export.
pub async fn export_database(
    store: &Store,
    scope: &PlatformScope,
    trust: &Trust,
    out: &mut (dyn Write + Send),
    now: Timestamp,
) -> Result<Intact, Finding> {
    let mut writer = ExportWriter::begin(out, &trust.keys, now)?;
    let intact = read_database(store, scope, &Trust { keys: trust.keys.clone(), checkpoints: Vec::new() }, &mut writer).await?;
    writer.end(&intact)?;
    missing_writer(trust, &intact.writers)?;
    Ok(intact)
}

async fn read_database(store: &Store, scope: &PlatformScope, trust: &Trust, reader: &mut dyn Reader) -> Result<Intact, Finding> {
    let pages = Pages { store, scope };
    let mut found = Vec::new();
    for (number, (writer, written)) in (1..).zip(pages.writers().await.map_err(|e| unreadable(&e))?) {
        if writer != WriterId::numbered(number) {
            return Err(Finding::new(Kind::Gap, "the writer's rows are missing").record(WriterId::numbered(number), 1));
        }
        found.push(read_writer(&pages, writer, written, trust, reader).await?);
    }
    let signatures = if trust.keys.is_empty() { Signatures::Unchecked } else { Signatures::Trusted };
    let intact = Intact::of(found, signatures);
    missing_writer(trust, &intact.writers)?;
    Ok(intact)
}

async fn read_writer(
    pages: &Pages<'_>,
    writer: WriterId,
    written: u64,
    trust: &Trust,
    reader: &mut dyn Reader,
) -> Result<(WriterSummary, u64), Finding> {
    let mut check = ChainCheck::new(writer, &trust.keys, trust);
    // Read before the records: what is committed later is beyond what is checked.
    let last_note = pages.last_note(writer).await.map_err(|e| unreadable(&e))?;
    let mut notes = Vec::new();
    let (mut noted, mut slot) = (0, Vec::new());
    loop {
        let page = pages.records(writer, check.next_seq() - 1).await.map_err(|e| unreadable(&e))?;
        if page.is_empty() {
            break;
        }
        for (seq, hash, record) in page {
            if seq != check.next_seq() {
                return Err(Finding::new(Kind::Gap, format!("the next row is record {seq}")).record(writer, check.next_seq()));
            }
            slot.clear();
            slot.resize(PREFIX_BYTES, 0);
            slot.extend_from_slice(&record);
            let hash: Hash = hash.try_into().map_err(|_| check.finding(Flaw::Malformed))?;
            check.record(hash, &mut slot, reader)?;
            if notes.is_empty() && noted < last_note {
                notes = pages.notes(writer, noted, last_note).await?;
                notes.reverse();
            }
            while let Some(note) = notes.pop_if(|note: &mut Note| note.checkpoint.size <= seq) {
                noted = note.checkpoint.size;
                check.checkpoint(&note, reader)?;
            }
        }
    }
    let covered = last_note.max(written);
    if check.next_seq() <= covered {
        return Err(missing_tail(writer, check.next_seq() - 1, covered));
    }
    check.finish(false)
}

fn unreadable(error: &StoreError) -> Finding {
    Finding::new(Kind::Unreadable, format!("the database cannot be read: {}", error.message()))
}

struct Pages<'a> {
    store: &'a Store,
    scope: &'a PlatformScope,
}

impl Pages<'_> {
    /// Writers in the order of their numbers, with the number of records each should have.
    async fn writers(&self) -> StoreResult<Vec<(WriterId, u64)>> {
        let mut tx = self.store.read_platform(self.scope).await?;
        let statement = "SELECT writer, seq FROM ledger_writers ORDER BY length(writer), writer";
        let rows = sqlx::query(statement).fetch_all(tx.connection()).await?;
        rows.iter()
            .map(|row| {
                let writer = WriterId::parse(&row.try_get::<String, _>("writer")?);
                let writer = writer.ok_or_else(|| StoreError::corrupt("a writer of the ledger has no valid name"))?;
                Ok((writer, row.try_get::<i64, _>("seq")?.unsigned_abs()))
            })
            .collect()
    }

    async fn records(&self, writer: WriterId, after: u64) -> StoreResult<Vec<(u64, Vec<u8>, Vec<u8>)>> {
        let mut tx = self.store.read_platform(self.scope).await?;
        let statement = "SELECT seq, hash, bytes FROM ledger_records WHERE writer = $1 AND seq > $2 ORDER BY seq LIMIT $3";
        let query = sqlx::query(statement).bind(writer.as_str().to_owned()).bind(signed(after)).bind(PAGE_ROWS);
        let rows = query.fetch_all(tx.connection()).await?;
        rows.iter().map(|row| Ok((row.try_get::<i64, _>("seq")?.unsigned_abs(), row.try_get("hash")?, row.try_get("bytes")?))).collect()
    }

    async fn last_note(&self, writer: WriterId) -> StoreResult<u64> {
        let mut tx = self.store.read_platform(self.scope).await?;
        let statement = "SELECT coalesce(max(size), 0) AS size FROM ledger_checkpoints WHERE writer = $1";
        let row = sqlx::query(statement).bind(writer.as_str().to_owned()).fetch_one(tx.connection()).await?;
        Ok(row.try_get::<i64, _>("size")?.unsigned_abs())
    }

    async fn notes(&self, writer: WriterId, after: u64, last: u64) -> Result<Vec<Note>, Finding> {
        let rows = self.note_rows(writer, after, last).await.map_err(|e| unreadable(&e))?;
        let read = |(size, text): (u64, String)| {
            let note = Note::parse(&text).filter(|note| note.checkpoint.size == size);
            note.ok_or_else(|| Finding::new(Kind::Checkpoint, "not a checkpoint as the ledger writes it").record(writer, size))
        };
        rows.into_iter().map(read).collect()
    }

    async fn note_rows(&self, writer: WriterId, after: u64, last: u64) -> StoreResult<Vec<(u64, String)>> {
        let mut tx = self.store.read_platform(self.scope).await?;
        let statement = "SELECT size, note FROM ledger_checkpoints WHERE writer = $1 AND size > $2 AND size <= $3 ORDER BY size LIMIT $4";
        let query = sqlx::query(statement).bind(writer.as_str().to_owned()).bind(signed(after)).bind(signed(last)).bind(PAGE_ROWS);
        let rows = query.fetch_all(tx.connection()).await?;
        rows.iter().map(|row| Ok((row.try_get::<i64, _>("size")?.unsigned_abs(), row.try_get("note")?))).collect()
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
