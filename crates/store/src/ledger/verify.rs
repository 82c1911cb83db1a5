//! Proves a ledger unaltered, or names the first place where it is not: offline, reading only, in a stream.
//!
//! Every line, its hash, the order of numbers and epochs, every checkpoint's root and signature are checked. What cannot be proven:
//! that nothing was cut off behind the last checkpoint the examiner holds, and, without a public key from elsewhere, that not
//! everything was written anew by someone with the signing key.

mod database;
mod directory;
mod export_file;

use std::fmt;
use std::path::{Path, PathBuf};

use super::chain::{Hash, Link, PREFIX_BYTES, WriterId};
use super::checkpoint::{Note, SignatureCheck, VerifierKey, split_notes};
use super::follow::{Flaw, Follower};
use super::merkle::Range;

pub use database::{export_database, verify_database};
pub(crate) use directory::read_directory;
pub use directory::verify_directory;
pub use export_file::verify_export;

/// What the ledger is checked against.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Public keys from elsewhere. When empty, those beside the ledger are used: they show damage, not forgery.
    pub keys: Vec<VerifierKey>,
    /// Checkpoints that were kept elsewhere.
    pub checkpoints: Vec<Note>,
}

impl Trust {
    /// Adds the checkpoints in `text`, one note after the other, each followed by an empty line.
    ///
    /// # Errors
    /// The byte offset of the first thing that is no checkpoint.
    pub fn add_checkpoints(&mut self, text: &str) -> Result<(), u64> {
        // A single note may come without the empty line behind it.
        let text = if text.ends_with("\n\n") { text.to_owned() } else { format!("{text}\n") };
        for note in split_notes(&text) {
            self.checkpoints.push(note?.1);
        }
        Ok(())
    }
}

/// An unaltered ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intact {
    /// Records checked.
    pub records: u64,
    /// Checkpoints checked.
    pub checkpoints: u64,
    /// Each writer's chain.
    pub writers: Vec<WriterSummary>,
    /// Which keys the signatures were checked with.
    pub signatures: Signatures,
}

/// One writer's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterSummary {
    /// The writer.
    pub writer: WriterId,
    /// Records in its chain.
    pub records: u64,
    /// Hash of the last one.
    pub head: Hash,
    /// How often the writer was taken up.
    pub epoch: u64,
    /// Records covered by a checkpoint.
    pub covered: u64,
    /// A process writes to it now, so that an unfinished last line is normal.
    pub live: bool,
}

/// Which keys signatures were checked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    /// Keys given by the examiner.
    Trusted,
    /// Keys found beside the ledger.
    Beside,
    /// There was no key: signatures were not checked.
    Unchecked,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The bytes of a record or its hash were changed, or a record was removed, inserted or moved before this one.
    Altered,
    /// The line is not of the form the ledger writes.
    Malformed,
    /// A later epoch stands before an earlier one.
    EpochOrder,
    /// The record belongs to another ledger.
    Foreign,
    /// Records are missing here.
    Gap,
    /// The file ends inside a line: an interrupted write, or something was cut off.
    TornTail,
    /// A checkpoint covers records that are not there.
    MissingTail,
    /// The checkpoint's root is not the one of the records.
    Root,
    /// The checkpoint is not of the form the ledger writes, or out of order.
    Checkpoint,
    /// The signature does not fit.
    Signature,
    /// The signature is by a key that was not given.
    UnknownKey,
    /// The input cannot be read.
    Unreadable,
}

/// The first place where the ledger is not what it was, or why that cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub kind: Kind,
    /// The writer, when known.
    pub writer: Option<WriterId>,
    /// The number of the record, when known.
    pub seq: Option<u64>,
    /// The file, when there is one.
    pub file: Option<PathBuf>,
    /// The byte in the file at which the bad line or note begins.
    pub offset: Option<u64>,
    /// One sentence.
    pub detail: String,
}

impl Finding {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, writer: None, seq: None, file: None, offset: None, detail: detail.into() }
    }

    pub(crate) fn at(mut self, file: &Path, offset: u64) -> Self {
        self.file = Some(file.to_owned());
        self.offset = Some(offset);
        self
    }

    pub(crate) fn record(mut self, writer: WriterId, seq: u64) -> Self {
        self.writer = Some(writer);
        self.seq = Some(seq);
        self
    }

    pub(crate) fn unreadable(file: &Path, error: &std::io::Error) -> Self {
        Self { file: Some(file.to_owned()), ..Self::new(Kind::Unreadable, format!("cannot be read: {error}")) }
    }

    /// Exit code of `audit verify` (reference, security section 5): 1 altered, 2 gap or missing tail, 3 unreadable, 4 signature or key.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Altered | Kind::Malformed | Kind::EpochOrder | Kind::Foreign | Kind::Root | Kind::Checkpoint => 1,
            Kind::Gap | Kind::TornTail | Kind::MissingTail => 2,
            Kind::Unreadable => 3,
            Kind::Signature | Kind::UnknownKey => 4,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(writer) = self.writer {
            write!(f, "writer {writer}")?;
            if let Some(seq) = self.seq {
                write!(f, ", record {seq}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.detail)?;
        if let Some(file) = &self.file {
            write!(f, " ({}", file.display())?;
            if let Some(offset) = self.offset {
                write!(f, ", byte {offset}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl std::error::Error for Finding {}

/// A checked record, for those who read along.
pub(crate) struct Checked<'a> {
    pub(crate) writer: WriterId,
    pub(crate) epoch: u64,
    pub(crate) seq: u64,
    pub(crate) prev: &'a Hash,
    pub(crate) hash: &'a Hash,
    pub(crate) record: &'a [u8],
}

/// Reads along with a verification.
pub(crate) trait Reader: Send {
    fn record(&mut self, record: &Checked<'_>) -> Result<(), Finding>;
    fn checkpoint(&mut self, note: &Note) -> Result<(), Finding>;
}

/// Reads nothing.
pub(crate) struct NoReader;

impl Reader for NoReader {
    fn record(&mut self, _: &Checked<'_>) -> Result<(), Finding> {
        Ok(())
    }
    fn checkpoint(&mut self, _: &Note) -> Result<(), Finding> {
        Ok(())
    }
}

/// The check of one writer's chain, record by record.
pub(crate) struct ChainCheck<'a> {
    follower: Follower,
    keys: &'a [VerifierKey],
    /// Checkpoints from elsewhere for this writer, by size, largest first.
    outside: Vec<Note>,
    covered: u64,
    checkpoints: u64,
}

impl<'a> ChainCheck<'a> {
    pub(crate) fn new(writer: WriterId, keys: &'a [VerifierKey], trust: &Trust) -> Self {
        let mut outside: Vec<Note> = trust.checkpoints.iter().filter(|n| n.checkpoint.writer == writer).cloned().collect();
        outside.sort_by_key(|note| std::cmp::Reverse(note.checkpoint.size));
        Self { follower: Follower::from_state(Link::genesis(writer), Range::new()), keys, outside, covered: 0, checkpoints: 0 }
    }

    pub(crate) fn writer(&self) -> WriterId {
        self.follower.link.writer
    }

    /// Number of the next record.
    pub(crate) fn next_seq(&self) -> u64 {
        self.follower.link.seq + 1
    }

    /// Hash of the last record.
    pub(crate) fn head(&self) -> &Hash {
        &self.follower.link.head
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.follower.link.epoch
    }

    /// Checks the record behind the first [`PREFIX_BYTES`] bytes of `slot`, which are overwritten.
    pub(crate) fn record(&mut self, hash: Hash, slot: &mut [u8], reader: &mut dyn Reader) -> Result<(), Finding> {
        let prev = self.follower.link.head;
        self.follower.record(hash, slot).map_err(|flaw| self.finding(flaw))?;
        let Link { writer, epoch, seq, .. } = self.follower.link;
        reader.record(&Checked { writer, epoch, seq, prev: &prev, hash: &hash, record: &slot[PREFIX_BYTES..] })?;
        while let Some(note) = self.outside.pop_if(|note| note.checkpoint.size <= seq) {
            self.check_root(&note).map_err(|mut f| {
                f.detail = format!("the checkpoint kept elsewhere does not fit: {}", f.detail);
                f
            })?;
        }
        Ok(())
    }

    pub(crate) fn finding(&self, flaw: Flaw) -> Finding {
        let (kind, detail) = match flaw {
            Flaw::Malformed => (Kind::Malformed, "the line is not a hash, a space and a record"),
            Flaw::Hash => (Kind::Altered, "the record or one before it was changed, removed, inserted or moved"),
            Flaw::NoBegin => (Kind::Gap, "the chain or segment does not start with its begin record"),
            Flaw::Sequence => (Kind::Gap, "the begin record names other records before it"),
            Flaw::Epoch => (Kind::EpochOrder, "the epoch is earlier than the one before"),
            Flaw::Origin => (Kind::Foreign, "the record belongs to another ledger"),
        };
        Finding::new(kind, detail).record(self.writer(), self.next_seq())
    }

    /// Checks a checkpoint of the ledger itself; its size must be the number of records read so far.
    pub(crate) fn checkpoint(&mut self, note: &Note, reader: &mut dyn Reader) -> Result<(), Finding> {
        let size = note.checkpoint.size;
        if size <= self.covered {
            return Err(Finding::new(Kind::Checkpoint, "the checkpoint covers no more than the one before").record(self.writer(), size));
        }
        self.check_root(note)?;
        self.covered = size;
        reader.checkpoint(note)
    }

    fn check_root(&mut self, note: &Note) -> Result<(), Finding> {
        let found = |kind, detail: &str| Err(Finding::new(kind, detail).record(self.writer(), note.checkpoint.size));
        if !self.keys.is_empty() {
            match note.verify(self.keys) {
                SignatureCheck::Good => {}
                SignatureCheck::Bad => return found(Kind::Signature, "the signature of the checkpoint does not fit"),
                SignatureCheck::UnknownKey => return found(Kind::UnknownKey, "the checkpoint is signed by a key that was not given"),
            }
        }
        if note.checkpoint.writer != self.writer() || self.follower.origin.as_ref() != Some(&note.checkpoint.origin) {
            return found(Kind::Foreign, "the checkpoint belongs to another chain");
        }
        if note.checkpoint.size != self.follower.tree.size() || note.checkpoint.root != self.follower.tree.root() {
            return found(Kind::Root, "the root of the checkpoint is not the one of the records before it");
        }
        self.checkpoints += 1;
        Ok(())
    }

    /// The end of the chain.
    pub(crate) fn finish(self, live: bool) -> Result<(WriterSummary, u64), Finding> {
        let Link { writer, epoch, seq, head } = self.follower.link;
        if let Some(note) = self.outside.last() {
            return Err(missing_tail(writer, seq, note.checkpoint.size));
        }
        Ok((WriterSummary { writer, records: seq, head, epoch, covered: self.covered, live }, self.checkpoints))
    }
}

pub(crate) fn missing_tail(writer: WriterId, seq: u64, size: u64) -> Finding {
    let detail = format!("the chain ends at record {seq}, but a checkpoint covers {size}");
    Finding::new(Kind::MissingTail, detail).record(writer, seq + 1)
}

/// A checkpoint from elsewhere for a writer that is not there.
pub(crate) fn missing_writer(trust: &Trust, found: &[WriterSummary]) -> Result<(), Finding> {
    let missing = trust.checkpoints.iter().find(|note| found.iter().all(|w| w.writer != note.checkpoint.writer));
    missing.map_or(Ok(()), |note| Err(missing_tail(note.checkpoint.writer, 0, note.checkpoint.size)))
}

impl Intact {
    pub(crate) fn of(writers: Vec<(WriterSummary, u64)>, signatures: Signatures) -> Self {
        let records = writers.iter().map(|(w, _)| w.records).sum();
        let checkpoints = writers.iter().map(|(_, n)| n).sum();
        Self { records, checkpoints, writers: writers.into_iter().map(|(w, _)| w).collect(), signatures }
    }
}
