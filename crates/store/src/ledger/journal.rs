//! The segment files of one writer: `w-0001/00000000000000000001.log` and so on, named after their first record.
//!
//! A line is `<64 hex digits of the chain hash> <record>\n`. Every segment and every epoch starts with a begin record. A write
//! that fails moves nothing: the journal stays at its last good record and first cuts off what the failed write left behind.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_model::id::EventId;
use bailiwick_model::time::Timestamp;
use data_encoding::HEXLOWER;

use super::chain::{Hash, Link, PREFIX_BYTES};
use super::disk::{Disk, DiskFile, OpenMode, write_all_at};
use super::merkle::Range;
use super::record::{Begin, Span, put};

/// A segment that has grown to this size is followed by a new one. A start reads the last one whole, so the size bounds how long a
/// restart takes (at most 2 s: reference, security section 15).
pub const SEGMENT_BYTES_MAX: u64 = 8 << 20;

/// Intents that may wait for their outcome at one time. A begin record names them all, with a full queue on top, and must stay
/// below [`RECORD_BYTES_MAX`](super::record::RECORD_BYTES_MAX).
pub const OPEN_INTENTS_MAX: usize = 16_384;

const _: () = assert!((OPEN_INTENTS_MAX + super::gate::QUEUE_RECORDS_MAX) * 35 + 8192 < super::record::RECORD_BYTES_MAX);

/// Ending of the name of a segment.
pub(crate) const SEGMENT_SUFFIX: &str = ".log";

/// Name of the segment whose first record is `seq`.
pub(crate) fn segment_name(seq: u64) -> String {
    format!("{seq:020}{SEGMENT_SUFFIX}")
}

/// The first record of the segment called `name`; `None` when it is no segment.
pub(crate) fn segment_seq(name: &str) -> Option<u64> {
    let seq = name.strip_suffix(SEGMENT_SUFFIX)?.parse().ok()?;
    (segment_name(seq) == name).then_some(seq)
}

/// Segments of a writer's directory in order.
pub(crate) fn segments(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if let Some(seq) = entry.file_name().to_str().and_then(segment_seq) {
            found.push((seq, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The open segment and the state of the chain behind its last good record.
pub(crate) struct Journal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    origin: Arc<str>,
    file: Arc<dyn DiskFile>,
    /// Size at which a new segment is begun.
    segment_bytes: u64,
    /// Length of the file up to the last good record.
    len: u64,
    /// Something may stand behind `len`.
    torn: bool,
    link: Link,
    tree: Range,
    open: HashSet<EventId>,
    staged: Staged,
}

/// Lines that are formed but not yet written.
#[derive(Default)]
struct Staged {
    lines: Vec<u8>,
    hashes: Vec<Hash>,
    spans: Vec<Span>,
    link: Option<Link>,
}

/// What a journal continues from.
pub(crate) struct Resume {
    pub(crate) link: Link,
    pub(crate) tree: Range,
    /// Intents without outcome, with their records where they are at hand.
    pub(crate) open: HashMap<EventId, Option<Vec<u8>>>,
    /// The segment to append to and its good length; `None` when the next record begins a new one.
    pub(crate) segment: Option<(PathBuf, u64)>,
    /// Bytes of an interrupted write behind the good length.
    pub(crate) cut_bytes: u64,
}

/// Where a journal writes.
pub(crate) struct Files {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) segment_bytes: u64,
}

impl Journal {
    /// Takes a writer up again with the next epoch: cuts off an interrupted write, writes and saves the begin record.
    pub(crate) fn resume(files: Files, origin: Arc<str>, resume: &Resume, now: Timestamp) -> io::Result<Self> {
        let Files { disk, dir, segment_bytes } = files;
        let link = Link { epoch: resume.link.epoch + 1, ..resume.link };
        let (path, mode, len) = match &resume.segment {
            Some((path, len)) if *len < segment_bytes => (path.clone(), OpenMode::Existing, *len),
            _ => (dir.join(segment_name(link.seq + 1)), OpenMode::New, 0),
        };
        let file = disk.open(&path, mode)?;
        let torn = mode == OpenMode::Existing;
        let (tree, open) = (resume.tree.clone(), resume.open.keys().copied().collect());
        let mut journal = Self { disk, dir, origin, file, segment_bytes, len, torn, link, tree, open, staged: Staged::default() };
        journal.stage_begin(now, resume.cut_bytes);
        journal.commit()?;
        journal.file.sync()?;
        journal.disk.sync_dir(&journal.dir)?;
        Ok(journal)
    }

    /// Where the chain stands; `seq` is the last record written.
    pub(crate) const fn link(&self) -> &Link {
        &self.link
    }

    /// The Merkle tree over all records written.
    pub(crate) const fn tree(&self) -> &Range {
        &self.tree
    }

    /// The open segment, for saving it beside further writes.
    pub(crate) fn file(&self) -> Arc<dyn DiskFile> {
        Arc::clone(&self.file)
    }

    /// Length of the open segment.
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// Whether the next record belongs into a new segment.
    pub(crate) const fn is_full(&self) -> bool {
        self.len >= self.segment_bytes
    }

    /// Intents that wait for their outcome.
    pub(crate) const fn open(&self) -> &HashSet<EventId> {
        &self.open
    }

    /// Forms the line of an entry and returns its number.
    pub(crate) fn stage(&mut self, span: Span, body: &[u8]) -> u64 {
        let start = self.start_line();
        put(&mut self.staged.lines, span, body);
        self.staged.spans.push(span);
        self.seal(start)
    }

    /// Forms the line of one of the ledger's own records.
    pub(crate) fn stage_own(&mut self, record: &[u8]) -> u64 {
        let start = self.start_line();
        self.staged.lines.extend_from_slice(record);
        self.seal(start)
    }

    /// Makes room for a hash behind the staged lines; the lines of the last commit make room for the first.
    fn start_line(&mut self) -> usize {
        if self.staged.hashes.is_empty() {
            self.staged.lines.clear();
        }
        let start = self.staged.lines.len();
        self.staged.lines.resize(start + PREFIX_BYTES, 0);
        start
    }

    fn stage_begin(&mut self, now: Timestamp, cut_bytes: u64) -> u64 {
        let begin = Begin::new(&self.origin, &self.link, &self.tree, self.open.iter(), now, cut_bytes);
        self.stage_own(&begin.to_record())
    }

    /// Puts the hash in front of the record that follows the free bytes at `start`.
    fn seal(&mut self, start: usize) -> u64 {
        let mut link = self.staged.link.unwrap_or(self.link);
        let slot = &mut self.staged.lines[start..];
        let hash = link.hash_in_place(slot);
        HEXLOWER.encode_mut(&hash, &mut slot[..PREFIX_BYTES - 1]);
        slot[PREFIX_BYTES - 1] = b' ';
        self.staged.lines.push(b'\n');
        self.staged.hashes.push(hash);
        link.advance(hash);
        self.staged.link = Some(link);
        link.seq
    }

    /// Writes the staged lines in one call; afterwards they survive the end of this process. On an error none of them counts.
    pub(crate) fn commit(&mut self) -> io::Result<()> {
        if self.staged.hashes.is_empty() {
            return Ok(());
        }
        let result = self.cut().and_then(|()| write_all_at(&*self.file, &self.staged.lines, self.len));
        match result {
            Ok(()) => self.advance(),
            Err(_) => {
                self.torn = true;
                self.staged.lines.clear();
            }
        }
        self.staged.hashes.clear();
        self.staged.spans.clear();
        self.staged.link = None;
        result
    }

    /// The bytes of the last successful commit.
    pub(crate) fn committed(&self) -> &[u8] {
        &self.staged.lines
    }

    /// Forgets them. A large buffer is given back.
    pub(crate) fn clear(&mut self) {
        self.staged.lines.clear();
        self.staged.lines.shrink_to(KEEP_BYTES_MAX);
    }

    fn advance(&mut self) {
        self.len += self.staged.lines.len() as u64;
        for hash in self.staged.hashes.drain(..) {
            self.tree.push(hash);
        }
        for span in self.staged.spans.drain(..) {
            match span {
                Span::Intent(id) => {
                    self.open.insert(id);
                }
                Span::Outcome(id) => {
                    self.open.remove(&id);
                }
                Span::Single(_) | Span::Event(_) => {}
            }
        }
        if let Some(link) = self.staged.link {
            self.link = link;
        }
    }

    /// Cuts off what a failed write may have left behind the last good record.
    pub(crate) fn cut(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.len)?;
            self.torn = false;
        }
        Ok(())
    }

    /// Writes again what the file already should hold, after saving it failed: the operating system may have dropped it.
    pub(crate) fn rewrite(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        write_all_at(&*self.file, bytes, offset)
    }

    /// Goes on with a new segment. The old one must be saved completely. When this fails, nothing may be written before a
    /// repetition succeeds, because the new file may exist already.
    pub(crate) fn rotate(&mut self, now: Timestamp) -> io::Result<()> {
        self.cut()?;
        let path = self.dir.join(segment_name(self.link.seq + 1));
        let file = self.disk.open(&path, OpenMode::New)?;
        let (old, old_len) = (std::mem::replace(&mut self.file, file), std::mem::replace(&mut self.len, 0));
        self.stage_begin(now, 0);
        let saved = self.commit().and_then(|()| self.file.sync()).and_then(|()| self.disk.sync_dir(&self.dir));
        if saved.is_err() && self.len == 0 {
            (self.file, self.len, self.torn) = (old, old_len, false);
        }
        saved
    }
}

/// Capacity that an idle line buffer keeps.
const KEEP_BYTES_MAX: usize = 64 << 10;
