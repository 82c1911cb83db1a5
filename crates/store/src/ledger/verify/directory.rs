//! Verification of segment files.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::{ChainCheck, Finding, Intact, Kind, NoReader, Reader, Signatures, Trust, WriterSummary, missing_tail, missing_writer};
use crate::ledger::chain::{PREFIX_BYTES, WriterId};
use crate::ledger::checkpoint::{NOTE_BYTES_MAX, Note, VerifierKey};
use crate::ledger::claim::is_claimed;
use crate::ledger::follow::{Flaw, split};
use crate::ledger::journal::segments;
use crate::ledger::key_file::load_verifiers;
use crate::ledger::lines::Lines;
use crate::ledger::notes::CHECKPOINTS;
use crate::ledger::record::BEGIN;

/// Checks the ledger in `dir`, which may be in use.
///
/// # Errors
/// The first [`Finding`].
pub fn verify_directory(dir: &Path, trust: &Trust) -> Result<Intact, Finding> {
    read_directory(dir, trust, &mut NoReader)
}

/// The same, with someone reading along.
pub(crate) fn read_directory(dir: &Path, trust: &Trust, reader: &mut dyn Reader) -> Result<Intact, Finding> {
    let (keys, signatures) = keys(dir, trust).map_err(|e| Finding::unreadable(dir, &e))?;
    let mut found = Vec::new();
    for (number, writer) in (1..).zip(writers(dir).map_err(|e| Finding::unreadable(dir, &e))?) {
        if writer != WriterId::numbered(number) {
            return Err(Finding::new(Kind::Gap, "the writer's directory is missing").record(WriterId::numbered(number), 1));
        }
        found.push(read_writer(&dir.join(writer.as_str()), writer, &keys, trust, reader)?);
    }
    let intact = Intact::of(found, signatures);
    missing_writer(trust, &intact.writers)?;
    Ok(intact)
}

fn keys(dir: &Path, trust: &Trust) -> io::Result<(Vec<VerifierKey>, Signatures)> {
    if !trust.keys.is_empty() {
        return Ok((trust.keys.clone(), Signatures::Trusted));
    }
    let keys = load_verifiers(dir)?;
    let signatures = if keys.is_empty() { Signatures::Unchecked } else { Signatures::Beside };
    Ok((keys, signatures))
}

fn writers(dir: &Path) -> io::Result<Vec<WriterId>> {
    let mut writers = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        writers.extend(name.to_str().filter(|n| n.starts_with("w-")).and_then(WriterId::parse));
    }
    // By number: `w-10000` follows `w-9999`.
    writers.sort_by_key(|w| (w.as_str().len(), *w));
    Ok(writers)
}

fn read_writer(
    dir: &Path,
    writer: WriterId,
    keys: &[VerifierKey],
    trust: &Trust,
    reader: &mut dyn Reader,
) -> Result<(WriterSummary, u64), Finding> {
    let live = is_claimed(dir);
    let mut check = ChainCheck::new(writer, keys, trust);
    // Opened before the segments are listed, and read no further than it is long now: a process may write on.
    let mut notes = Notes::open(&dir.join(CHECKPOINTS), live)?;
    let segments = segments(dir).map_err(|e| Finding::unreadable(dir, &e))?;
    let last = segments.len().saturating_sub(1);
    for (index, (seq, path)) in segments.iter().enumerate() {
        if *seq != check.next_seq() {
            let detail = format!("the next segment starts at record {seq}");
            return Err(Finding::new(Kind::Gap, detail).record(writer, check.next_seq()).at(path, 0));
        }
        read_segment(path, &mut check, &mut notes, index == last && live, reader)?;
    }
    let beyond = notes.peek()?.map(|(offset, note)| (*offset, note.checkpoint.size));
    match beyond {
        Some((offset, size)) => Err(missing_tail(writer, check.next_seq() - 1, size).at(&notes.path, offset)),
        None => check.finish(live),
    }
}

/// `open_end`: a process may be writing the last line.
fn read_segment(
    path: &Path,
    check: &mut ChainCheck<'_>,
    notes: &mut Notes,
    open_end: bool,
    reader: &mut dyn Reader,
) -> Result<(), Finding> {
    let unreadable = |e: io::Error| Finding::unreadable(path, &e);
    let mut lines = Lines::new(File::open(path).map_err(unreadable)?);
    let mut first = true;
    while let Some(line) = lines.next().map_err(unreadable)? {
        if !line.complete {
            if open_end {
                return Ok(());
            }
            let torn = Finding::new(Kind::TornTail, "the file ends inside a line: an interrupted write, or something was cut off");
            return Err(torn.record(check.writer(), check.next_seq()).at(path, line.offset));
        }
        let offset = line.offset;
        let hash = split(line.bytes).ok_or_else(|| check.finding(Flaw::Malformed).at(path, offset))?;
        let begins = line.bytes[PREFIX_BYTES..].starts_with(BEGIN);
        if first && !begins {
            return Err(check.finding(Flaw::NoBegin).at(path, offset));
        }
        first = false;
        check.record(hash, line.bytes, reader).map_err(|f| f.at(path, offset))?;
        let read = check.next_seq() - 1;
        while let Some((offset, note)) = notes.next_if(|size| size <= read)? {
            check.checkpoint(&note, reader).map_err(|f| f.at(&notes.path, offset))?;
        }
    }
    if first && !open_end {
        let torn = Finding::new(Kind::TornTail, "the segment is empty: an interrupted start, or something was cut off");
        return Err(torn.record(check.writer(), check.next_seq()).at(path, 0));
    }
    Ok(())
}

/// The file of checkpoints, note by note.
struct Notes {
    path: PathBuf,
    lines: Option<Lines>,
    ahead: Option<(u64, Note)>,
    live: bool,
}

impl Notes {
    fn open(path: &Path, live: bool) -> Result<Self, Finding> {
        let lines = match File::open(path) {
            Ok(file) => {
                let len = file.metadata().map_err(|e| Finding::unreadable(path, &e))?.len();
                Some(Lines::up_to(file, NOTE_BYTES_MAX, len))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Finding::unreadable(path, &error)),
        };
        Ok(Self { path: path.to_owned(), lines, ahead: None, live })
    }

    fn next_if(&mut self, wanted: impl Fn(u64) -> bool) -> Result<Option<(u64, Note)>, Finding> {
        match self.peek()? {
            Some((_, note)) if wanted(note.checkpoint.size) => Ok(self.ahead.take()),
            _ => Ok(None),
        }
    }

    fn peek(&mut self) -> Result<Option<&(u64, Note)>, Finding> {
        if self.ahead.is_none() {
            self.ahead = self.read()?;
        }
        Ok(self.ahead.as_ref())
    }

    fn read(&mut self) -> Result<Option<(u64, Note)>, Finding> {
        let Some(lines) = &mut self.lines else { return Ok(None) };
        let (mut text, mut start, mut gaps) = (Vec::new(), None, 0);
        while let Some(line) = lines.next().map_err(|e| Finding::unreadable(&self.path, &e))? {
            start.get_or_insert(line.offset);
            text.extend_from_slice(line.bytes);
            gaps += usize::from(line.bytes.is_empty());
            if !line.complete || text.len() > NOTE_BYTES_MAX {
                gaps = 0;
                break;
            }
            if gaps == 2 {
                break;
            }
            text.push(b'\n');
        }
        let Some(offset) = start else { return Ok(None) };
        match std::str::from_utf8(&text).ok().filter(|_| gaps == 2).and_then(Note::parse) {
            Some(note) => Ok(Some((offset, note))),
            None if gaps < 2 && self.live && text.len() <= NOTE_BYTES_MAX => Ok(None),
            None => Err(Finding::new(Kind::Checkpoint, "not a checkpoint as the ledger writes it").at(&self.path, offset)),
        }
    }
}
