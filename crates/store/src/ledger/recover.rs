//! Finds the place where a writer's files can be continued.
//!
//! An interrupted write is told apart from damage: only an unterminated last line, or bytes that the file system filled with
//! zeros, may be cut off. Anything else stays untouched for the auditor, and another writer is begun instead.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bailiwick_model::id::EventId;

use super::chain::{Link, PREFIX_BYTES, WriterId};
use super::follow::{Follower, split};
use super::journal::{Resume, segments};
use super::lines::Lines;
use super::merkle::Range;
use super::notes::{CHECKPOINTS, last_note};
use super::record::{Begin, Span};

/// Why a writer is not continued.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// The file system does not answer.
    Io(io::Error),
    /// The files were changed or damaged; what and where.
    Damaged(String),
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads the last segment of `dir` and says how to continue.
pub(crate) fn recover(dir: &Path, writer: WriterId) -> Result<Resume, Unusable> {
    let covered = last_note(&dir.join(CHECKPOINTS))?.map_or(0, |(note, _)| note.checkpoint.size);
    let mut begun = Vec::new();
    let mut cut_bytes = 0;
    for (seq, path) in segments(dir)?.into_iter().rev() {
        let scan = scan(&path, writer, seq)?;
        cut_bytes += scan.tail_bytes;
        let Some(found) = scan.found else {
            // Not even the begin record is whole: the process ended while it began this segment, and the one before is complete.
            begun.push(path);
            continue;
        };
        if found.link.seq < covered {
            let missing = format!("{} ends at record {}, but a checkpoint covers {covered}", path.display(), found.link.seq);
            return Err(Unusable::Damaged(missing));
        }
        remove(&begun)?;
        let segment = Some((path, scan.good_bytes));
        return Ok(Resume { link: found.link, tree: found.tree, open: scan.open, segment, cut_bytes });
    }
    if covered > 0 {
        return Err(Unusable::Damaged(format!("{} has checkpoints but no records", dir.display())));
    }
    remove(&begun)?;
    Ok(Resume { link: Link::genesis(writer), tree: Range::new(), open: HashMap::new(), segment: None, cut_bytes })
}

fn remove(paths: &[PathBuf]) -> io::Result<()> {
    paths.iter().try_for_each(std::fs::remove_file)
}

struct Scan {
    /// State behind the last good record; `None` when there is not a single one.
    found: Option<Follower>,
    /// Intents without outcome, with their records where these are in this segment.
    open: HashMap<EventId, Option<Vec<u8>>>,
    good_bytes: u64,
    tail_bytes: u64,
}

fn scan(path: &Path, writer: WriterId, first: u64) -> Result<Scan, Unusable> {
    let mut lines = Lines::new(File::open(path)?);
    let mut scan = Scan { found: None, open: HashMap::new(), good_bytes: 0, tail_bytes: 0 };
    while let Some(line) = lines.next()? {
        if line.offset == 0 {
            scan.start(line.bytes, writer, first);
        }
        if scan.found.as_mut().is_none_or(|f| f.line(line.bytes).is_err()) {
            let (offset, complete) = (line.offset, line.complete);
            return scan.finish(path, offset, complete);
        }
        if !line.complete {
            // Only the newline is missing. The record is whole, so it stays.
            append_newline(path)?;
        }
        scan.track(&line.bytes[PREFIX_BYTES..]);
        scan.good_bytes = line.offset + line.bytes.len() as u64 + 1;
    }
    Ok(scan)
}

impl Scan {
    /// Takes the state that the first line of the segment repeats.
    fn start(&mut self, line: &[u8], writer: WriterId, first: u64) {
        let begin = split(line).and_then(|_| Begin::read(&line[PREFIX_BYTES..]));
        let Some((begin, (mut link, tree))) = begin.and_then(|b| b.state().map(|state| (b, state))) else { return };
        if link.writer == writer && link.seq + 1 == first {
            self.open = begin.open.iter().filter_map(|id| Some((EventId::parse(id).ok()?, None))).collect();
            link.epoch = 0;
            self.found = Some(Follower::from_state(link, tree));
        }
    }

    fn track(&mut self, record: &[u8]) {
        match Span::of(record) {
            Some(Span::Intent(id)) => self.open.insert(id, Some(record.to_vec())),
            Some(Span::Outcome(id)) => self.open.remove(&id),
            _ => None,
        };
    }

    /// Decides about the first line that is not good.
    fn finish(mut self, path: &Path, offset: u64, complete: bool) -> Result<Self, Unusable> {
        let (bytes, zeros) = measure(path, offset)?;
        if complete && !zeros {
            return Err(Unusable::Damaged(format!("{} is damaged at byte {offset}", path.display())));
        }
        if self.good_bytes == 0 {
            self.found = None;
        }
        self.tail_bytes = bytes;
        Ok(self)
    }
}

/// Number of bytes of `path` from `offset` on, and whether a zero byte is among them. Our lines have none; a file system
/// shows zeros where a power cut came between the growth of the file and its contents.
fn measure(path: &Path, offset: u64) -> io::Result<(u64, bool)> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut chunk = vec![0; 64 << 10];
    let (mut bytes, mut zeros) = (0, false);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok((bytes, zeros)),
            read => {
                bytes += read as u64;
                zeros |= chunk[..read].contains(&0);
            }
        }
    }
}

fn append_newline(path: &Path) -> io::Result<()> {
    let mut file = File::options().append(true).open(path)?;
    file.write_all(b"\n")?;
    file.sync_data()
}
