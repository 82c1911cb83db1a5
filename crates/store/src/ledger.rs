//! The ledger: what happened, in a form that can be proven unaltered (reference, security section 5; decision 0003).
//!
//! With SQLite the truth is appended text lines in segment files, with PostgreSQL rows of `ledger_records`. Either way each writer
//! keeps a hash chain and a Merkle tree, signs checkpoints, and an entry is durable as promised before [`Ledger::append`]
//! resolves. The readable index (table `events`) follows a moment later; when it cannot follow, no further call is let in.
//!
//! Reading order: [`Ledger`], `gate` (who may come in), `writer` (segments) or `postgres`, `journal`, `recover`, `verify`.

mod backlog;
pub mod chain;
pub mod checkpoint;
mod claim;
pub mod disk;
mod export;
mod follow;
mod gate;
mod index;
mod journal;
mod key_file;
mod lines;
pub mod merkle;
mod notes;
mod open;
mod postgres;
mod rebuild;
mod record;
mod recover;
pub mod redact;
mod repair;
mod slots;
mod state;
mod thread;
pub mod verify;
mod wait;
mod writer;

use std::fmt;
use std::sync::Arc;

use bailiwick_model::time::Timestamp;

pub use backlog::{ARGS_BYTES_MAX, Batch, INDEX_BATCH_ROWS, INDEX_ROWS_MAX};
pub use chain::WriterId;
pub use checkpoint::{SigningKey, VerifierKey};
pub use export::export_directory;
pub use gate::{HANG_MS_MAX, QUEUE_BYTES_MAX, QUEUE_RECORDS_MAX};
pub(crate) use index::sqlite::IndexFile;
pub use journal::{OPEN_INTENTS_MAX, SEGMENT_BYTES_MAX};
pub use key_file::{load_or_create_key, load_verifiers};
pub use open::{EventIndex, IndexWrite, LedgerError, LedgerOptions, Place};
pub use record::{RECORD_BYTES_MAX, Span};
pub use wait::Append;

use crate::event::EventRow;
use writer::Shared;

/// What has to be survived before an entry counts as recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The end of this process now, a power cut within 50 ms: outcomes and read-only calls.
    Process,
    /// A power cut: intents of calls with effects.
    Power,
}

/// Who writes segments when the writer is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Writes {
    /// The caller, in `append` itself, for [`Durability::Process`]: the entry is on the ledger after one or two microseconds, without
    /// waking anybody. A file system that stops answering can then block one thread of the runtime (never two).
    #[default]
    ByCaller,
    /// Always the writer thread. For runtimes with a single thread that must stay responsive on such a file system.
    ByThread,
}

/// One entry. `bytes` becomes the record, with the members `span` and `event_id` put in front.
#[derive(Clone, Debug)]
pub struct Entry {
    /// One JSON object on one line without members `span` and `event_id`; digests and names, never values.
    pub bytes: Vec<u8>,
    /// What has to be survived before `append` resolves.
    pub durability: Durability,
    /// What the entry is to its call.
    pub span: Span,
    /// The readable row of the index, written behind.
    pub row: Option<Box<EventRow>>,
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Whose chain.
    pub writer: WriterId,
    /// Number of the record in it.
    pub seq: u64,
}

/// The ledger could not promise that the entry is recorded, so nothing may happen (code `audit_unavailable`). An entry that was
/// already written when the promise failed may be on the ledger nevertheless: an intent without effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// For operators: `disk full`, `fsync hung`, `index database locked`, ...
    pub reason: String,
    /// The entry breaks a rule of [`Entry::bytes`]: it will never be taken.
    pub never: bool,
}

impl Unavailable {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), never: false }
    }

    pub(crate) fn never(rule: impl Into<String>) -> Self {
        Self { reason: rule.into(), never: true }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the ledger cannot record: {}", self.reason)
    }
}

impl std::error::Error for Unavailable {}

/// How the ledger is doing, for health pages and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerHealth {
    /// Whose chain this process writes.
    pub writer: WriterId,
    /// Why entries are refused; `None` when they are not.
    pub unavailable: Option<String>,
    /// Since when, where known.
    pub unavailable_since: Option<Timestamp>,
    /// Entries waiting to be written.
    pub queued: usize,
    /// Last record written and last record that would survive a power cut.
    pub written: u64,
    /// See `written`.
    pub saved: u64,
    /// Intents that wait for their outcome.
    pub open_intents: usize,
    /// Rows not yet in the index.
    pub index_backlog: usize,
    /// Records covered by the last checkpoint of this process, and when it was made.
    pub checkpoint: Option<(u64, Timestamp)>,
    /// Writers that were found damaged at start and left untouched; what and where.
    pub damaged: Vec<String>,
}

/// The ledger of this process. A clone shares it. When the last one is dropped without [`close`](Self::close), everything queued is
/// still written.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Ledger {
    /// Takes up a free writer, closes the intents that its last process left open, and starts writing.
    ///
    /// # Errors
    /// When no writer can be taken up, or the index cannot be brought up to the ledger.
    pub async fn open(options: LedgerOptions) -> Result<Self, LedgerError> {
        let shared = open::open(options).await?;
        Ok(Self { inner: Arc::new(Handle { shared }) })
    }

    /// Puts `entry` on the ledger. The entry is queued when this function is called, before the future is polled, and dropping the
    /// future does not take it back. The future resolves when the entry is durable as asked, at the latest after the hang limit
    /// of 2 s.
    ///
    /// # Errors
    /// [`Unavailable`] when durability cannot be promised now, or the entry breaks a rule of [`Entry::bytes`].
    pub fn append(&self, entry: Entry) -> impl Future<Output = Result<Receipt, Unavailable>> + Send + use<> {
        self.begin(entry).within_limit()
    }

    /// Like [`append`](Self::append), without the hang limit: resolves when it is certain that the entry is on the ledger, or that it
    /// is not and never will be. (On PostgreSQL one case stays uncertain: a connection lost during the commit counts as not recorded.)
    pub fn begin(&self, entry: Entry) -> Append {
        self.inner.shared.append(entry)
    }

    /// Waits until everything appended before is saved and in the index.
    ///
    /// # Errors
    /// [`Unavailable`] when that does not happen within the hang limit.
    pub async fn flush(&self) -> Result<(), Unavailable> {
        wait::flush(&self.inner.shared).await
    }

    /// Refuses further entries, writes and saves the rest, makes a checkpoint and gives the writer back.
    ///
    /// # Errors
    /// [`Unavailable`] when not everything could be written; the rest of the index is rebuilt at the next start.
    pub async fn close(&self) -> Result<(), Unavailable> {
        wait::close(&self.inner.shared).await
    }

    /// How the ledger is doing. Never waits.
    #[must_use]
    pub fn health(&self) -> LedgerHealth {
        self.inner.shared.health()
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ledger({})", self.inner.shared.writer())
    }
}
