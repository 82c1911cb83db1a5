//! Opening: take up a writer, bring the index up to it, close what its last process left open, start thread and task.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::time::{Clock, Timestamp};

use super::backlog::{Backlog, Batch, INDEX_BATCH_ROWS};
use super::chain::WriterId;
use super::checkpoint::SigningKey;
use super::claim::{Claim, WRITERS_MAX, claim};
use super::disk::{Disk, LocalDisk, create_dir, reason};
use super::gate::{Gate, HANG_MS_MAX};
use super::journal::{Files, Journal, Resume, SEGMENT_BYTES_MAX};
use super::notes::{CHECKPOINTS, NoteFile};
use super::rebuild::{self, MissingRows};
use super::record::{Span, indeterminate, put};
use super::recover::{Unusable, recover};
use super::writer::{Parts, Shared};
use super::{Writes, index, key_file, postgres};
use crate::error::{StoreError, StoreResult};
use crate::store::Store;

/// Stack of the writer thread.
const THREAD_STACK_BYTES: usize = 512 << 10;

/// Where the records are.
#[derive(Clone, Debug)]
pub enum Place {
    /// Segment files below this directory, which several processes on one machine may share.
    Segments {
        /// The ledger's directory.
        dir: PathBuf,
    },
    /// Rows in the store's PostgreSQL database, which many replicas share.
    Postgres {
        /// The store.
        store: Store,
    },
}

/// What an index call answers.
pub type IndexWrite<'a, T> = Pin<Box<dyn Future<Output = StoreResult<T>> + Send + 'a>>;

/// The readable index behind the ledger. [`Store`] is one.
pub trait EventIndex: Send + Sync + 'static {
    /// Up to which record of `writer` of the ledger `origin` the index is complete.
    fn position<'a>(&'a self, origin: &'a str, writer: WriterId) -> IndexWrite<'a, u64>;

    /// Adds a batch and moves the position, in one transaction. A batch may come again after an error.
    fn write<'a>(&'a self, origin: &'a str, batch: &'a Arc<Batch>) -> IndexWrite<'a, ()>;
}

/// What [`Ledger::open`](super::Ledger::open) needs. [`LedgerOptions::new`] fills in the defaults.
pub struct LedgerOptions {
    /// Where the records are.
    pub place: Place,
    /// Signs checkpoints. The name of the first one becomes the ledger's origin.
    pub key: Arc<SigningKey>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// The readable index; without one rows are dropped.
    pub index: Option<Arc<dyn EventIndex>>,
    /// Who writes segments.
    pub writes: Writes,
    /// File operations.
    pub disk: Arc<dyn Disk>,
    /// How long an operation may take before the ledger counts as unavailable.
    pub hang: Duration,
    /// Size at which a new segment is begun.
    pub segment_bytes: u64,
}

impl LedgerOptions {
    /// Defaults: local disk, no index, callers write, 2 s, 8 MiB.
    #[must_use]
    pub fn new(place: Place, key: Arc<SigningKey>, clock: Arc<dyn Clock>) -> Self {
        let hang = Duration::from_millis(HANG_MS_MAX);
        Self {
            place,
            key,
            clock,
            index: None,
            writes: Writes::default(),
            disk: Arc::new(LocalDisk),
            hang,
            segment_bytes: SEGMENT_BYTES_MAX,
        }
    }

    /// The same with an index.
    #[must_use]
    pub fn with_index(mut self, index: Arc<dyn EventIndex>) -> Self {
        self.index = Some(index);
        self
    }
}

/// Why the ledger cannot be opened. `Display` gives message and remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerError {
    /// What happened.
    pub message: String,
    /// What would help.
    pub remedy: String,
}

impl LedgerError {
    pub(crate) fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: remedy.into() }
    }

    pub(crate) fn io(dir: &Path, error: &io::Error) -> Self {
        let message = format!("the ledger in {} cannot be used: {}", dir.display(), reason(error));
        Self::new(message, "check the disk, and that the directory belongs to the service user")
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.remedy)
    }
}

impl std::error::Error for LedgerError {}

impl From<StoreError> for LedgerError {
    fn from(error: StoreError) -> Self {
        Self::new(format!("the database of the ledger cannot be used: {}", error.message()), error.remedy())
    }
}

/// A writer that was taken up and not yet begun.
struct Taken {
    origin: Arc<str>,
    claim: Claim,
    resume: Resume,
    notes: NoteFile,
    damaged: Vec<String>,
}

pub(crate) async fn open(options: LedgerOptions) -> Result<Arc<Shared>, LedgerError> {
    let dir = match options.place.clone() {
        Place::Segments { dir } => dir,
        Place::Postgres { store } => return postgres::open(store, options).await,
    };
    let (disk, key) = (Arc::clone(&options.disk), Arc::clone(&options.key));
    let taken = blocking(move || take_up(&dir, disk.as_ref(), &key)).await??;
    if let Some(index) = &options.index {
        index_missing(&taken, index.as_ref(), options.clock.now()).await?;
    }
    let index = options.index.clone();
    let origin = Arc::clone(&taken.origin);
    let (shared, notes) = blocking(move || begin(taken, options)).await??;
    let shared = Arc::new(shared);
    spawn_writer(Arc::clone(&shared), notes)?;
    if let Some(index) = index {
        tokio::spawn(index::run(Arc::clone(&shared), index, origin));
    }
    Ok(shared)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, LedgerError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| LedgerError::new("opening the ledger was interrupted", "start again"))
}

/// Claims the first writer that is free and undamaged.
fn take_up(dir: &Path, disk: &dyn Disk, key: &SigningKey) -> Result<Taken, LedgerError> {
    let fault = |error: io::Error| LedgerError::io(dir, &error);
    create_dir(dir).map_err(fault)?;
    key_file::publish(dir, key.verifier()).map_err(fault)?;
    let origin: Arc<str> = key_file::origin(dir, key.verifier().name()).map_err(fault)?.into();
    let mut damaged = Vec::new();
    let mut first = 1;
    while let Some((number, claim)) = claim(dir, first).map_err(fault)? {
        let found = recover(&claim.dir, claim.writer).and_then(|resume| Ok((resume, NoteFile::open(disk, &claim.dir.join(CHECKPOINTS))?)));
        match found {
            Ok((resume, notes)) => return Ok(Taken { origin, claim, resume, notes, damaged }),
            Err(Unusable::Io(error)) => return Err(fault(error)),
            Err(Unusable::Damaged(what)) => {
                tracing::error!(writer = %claim.writer, what, "this part of the ledger is damaged; it is left as it is and not continued");
                damaged.push(what);
            }
        }
        first = number + 1;
    }
    let message = format!("all {WRITERS_MAX} writers of the ledger in {} are in use or damaged", dir.display());
    Err(LedgerError::new(message, "stop processes that share the directory, or give this one its own"))
}

/// Rows that the last process of this writer did not bring into the index.
async fn index_missing(taken: &Taken, index: &dyn EventIndex, now: Timestamp) -> Result<(), LedgerError> {
    let (origin, writer) = (&taken.origin, taken.claim.writer);
    let last = taken.resume.link.seq;
    let position = index.position(origin, writer).await?;
    if position >= last {
        return Ok(());
    }
    let dir = taken.claim.dir.clone();
    let mut rows = MissingRows::new(&taken.claim.dir, position, last, now).map_err(|e| LedgerError::io(&dir, &e))?;
    loop {
        let (read, part) = blocking(move || {
            let part = rows.next(INDEX_BATCH_ROWS);
            (rows, part)
        })
        .await?;
        rows = read;
        let part = part.map_err(|e| LedgerError::io(&dir, &e))?;
        let done = part.is_empty();
        let position = if done { last } else { part.last().map_or(last, |(seq, _)| *seq) };
        index.write(origin, &Arc::new(Batch { rows: part, position, ..Batch::empty(writer) })).await?;
        if done {
            return Ok(());
        }
    }
}

/// Begins the epoch and closes the intents that were left open.
fn begin(taken: Taken, options: LedgerOptions) -> Result<(Shared, NoteFile), LedgerError> {
    let Taken { origin, claim, resume, notes, damaged } = taken;
    let now = options.clock.now();
    let fault = |error: io::Error| LedgerError::io(&claim.dir, &error);
    let files = Files { disk: options.disk, dir: claim.dir.clone(), segment_bytes: options.segment_bytes };
    let mut journal = Journal::resume(files, Arc::clone(&origin), &resume, now).map_err(fault)?;
    let mut backlog = Backlog::new(options.index.is_some(), claim.writer);
    for (id, intent) in &resume.open {
        let body = indeterminate(now);
        let seq = journal.stage(Span::Outcome(*id), &body);
        let mut record = Vec::new();
        put(&mut record, Span::Outcome(*id), &body);
        if let Some(row) = rebuild::row(&record, intent.as_deref(), now) {
            backlog.push_row(seq, Box::new(row));
        }
    }
    journal.commit().and_then(|()| journal.file().sync()).map_err(fault)?;
    journal.clear();
    if !resume.open.is_empty() {
        tracing::warn!(writer = %claim.writer, calls = resume.open.len(), "calls without a recorded outcome were closed as indeterminate");
    }
    let parts = Parts {
        gate: Gate::new(claim.writer, backlog, options.hang),
        written: journal.link().seq,
        journal: Some(journal),
        origin,
        clock: options.clock,
        key: options.key,
        writes: options.writes,
        damaged,
        claim: Some(claim.lock),
        indexed: options.index.is_some(),
    };
    Ok((Shared::new(parts), notes))
}

fn spawn_writer(shared: Arc<Shared>, notes: NoteFile) -> Result<(), LedgerError> {
    let thread = std::thread::Builder::new().name("ledger-writer".to_owned()).stack_size(THREAD_STACK_BYTES);
    let spawned = thread.spawn(move || shared.run(notes));
    spawned.map(drop).map_err(|_| LedgerError::new("the ledger's writer thread cannot be started", "raise the limit on threads or memory"))
}
