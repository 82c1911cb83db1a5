//! Verification of an export.

use std::fs::File;
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;
use memchr::memmem;

use super::{ChainCheck, Finding, Intact, Kind, NoReader, Signatures, Trust, WriterSummary, missing_writer};
use crate::ledger::chain::{PREFIX_BYTES, WriterId, unhex};
use crate::ledger::checkpoint::{Note, VerifierKey};
use crate::ledger::export::{CheckpointLine, EXPORT_VERSION, Footer, Head, Header, RECORD, TEXT};
use crate::ledger::follow::Flaw;
use crate::ledger::lines::Lines;
use crate::ledger::record::RECORD_BYTES_MAX;

/// Longest line: a record whose every byte is escaped, and the rest.
const LINE_BYTES_MAX: usize = RECORD_BYTES_MAX * 6 + 4096;

/// Longest part of a line before the record: five short members.
const HEAD_BYTES_MAX: usize = 320;

/// Checks an export made by [`export_directory`](crate::ledger::export_directory) or the PostgreSQL export.
///
/// # Errors
/// The first [`Finding`].
pub fn verify_export(path: &Path, trust: &Trust) -> Result<Intact, Finding> {
    let unreadable = |e: std::io::Error| Finding::unreadable(path, &e);
    let mut lines = Lines::with_longest(File::open(path).map_err(unreadable)?, LINE_BYTES_MAX);
    let mut digest = Context::new(&SHA256);
    let header = lines.next().map_err(unreadable)?.and_then(|line| {
        digest.update(line.bytes);
        digest.update(b"\n");
        header(line.bytes).filter(|_| line.complete)
    });
    let header = header.ok_or_else(|| Finding::new(Kind::Unreadable, "this is no export of a ledger of version 1").at(path, 0))?;
    let (keys, signatures) = match (trust.keys.is_empty(), header.is_empty()) {
        (false, _) => (&trust.keys, Signatures::Trusted),
        (true, false) => (&header, Signatures::Beside),
        (true, true) => (&header, Signatures::Unchecked),
    };
    let mut export = Export { keys, trust, check: None, done: Vec::new(), notes: 0, slot: Vec::new(), digest, ended: false };
    while let Some(line) = lines.next().map_err(unreadable)? {
        let offset = line.offset;
        if !line.complete {
            return Err(Finding::new(Kind::TornTail, "the export ends inside a line").at(path, offset));
        }
        export.line(line.bytes).map_err(|f| f.at(path, offset))?;
    }
    if !export.ended {
        return Err(Finding {
            file: Some(path.to_owned()),
            ..Finding::new(Kind::MissingTail, "the export has no end: something was cut off")
        });
    }
    let intact = Intact::of(export.done, signatures);
    missing_writer(trust, &intact.writers)?;
    Ok(intact)
}

/// The keys that the header names.
fn header(line: &[u8]) -> Option<Vec<VerifierKey>> {
    let header: Header = serde_json::from_slice(line).ok()?;
    let known = header.bailiwick_ledger_export == EXPORT_VERSION;
    known.then(|| header.keys.iter().map(|k| VerifierKey::parse(k)).collect())?
}

/// Appends the record of a line to `slot` and gives what stands before it.
fn take_record(line: &[u8], slot: &mut Vec<u8>) -> Option<Vec<u8>> {
    let body = line.strip_suffix(b"}")?;
    if let Some(at) = memmem::find(&body[..body.len().min(HEAD_BYTES_MAX)], RECORD) {
        slot.extend_from_slice(&body[at + RECORD.len()..]);
        return Some(body[..at].to_vec());
    }
    let at = memmem::find(&body[..body.len().min(HEAD_BYTES_MAX)], TEXT)?;
    let text: String = serde_json::from_slice(&body[at + TEXT.len()..]).ok()?;
    slot.extend_from_slice(text.as_bytes());
    Some(body[..at].to_vec())
}

struct Export<'a> {
    keys: &'a [VerifierKey],
    trust: &'a Trust,
    check: Option<ChainCheck<'a>>,
    done: Vec<(WriterSummary, u64)>,
    notes: u64,
    slot: Vec<u8>,
    digest: Context,
    ended: bool,
}

impl Export<'_> {
    fn line(&mut self, line: &[u8]) -> Result<(), Finding> {
        if self.ended {
            return Err(Finding::new(Kind::Malformed, "the export goes on behind its end"));
        }
        if line.starts_with(b"{\"end\":") {
            let footer = serde_json::from_slice::<Footer>(line).map_err(|_| self.malformed())?;
            return self.end(&footer);
        }
        self.digest.update(line);
        self.digest.update(b"\n");
        if line.starts_with(b"{\"writer\":") {
            return self.record(line);
        }
        match serde_json::from_slice::<CheckpointLine>(line) {
            Ok(line) => self.checkpoint(&line.checkpoint),
            Err(_) => Err(self.malformed()),
        }
    }

    fn malformed(&self) -> Finding {
        match &self.check {
            Some(check) => check.finding(Flaw::Malformed),
            None => Finding::new(Kind::Malformed, "not a line of an export"),
        }
    }

    fn record(&mut self, line: &[u8]) -> Result<(), Finding> {
        self.slot.clear();
        self.slot.resize(PREFIX_BYTES, 0);
        let mut head = take_record(line, &mut self.slot).ok_or_else(|| self.malformed())?;
        head.push(b'}');
        let Ok(head) = serde_json::from_slice::<Head<'_>>(&head) else { return Err(self.malformed()) };
        let (Some(writer), Some(hash)) = (WriterId::parse(head.writer), unhex(head.hash.as_bytes())) else { return Err(self.malformed()) };
        if self.check.as_ref().is_none_or(|c| c.writer() != writer) {
            self.next_writer(writer)?;
        }
        let Some(check) = &mut self.check else { return Ok(()) };
        if head.seq != check.next_seq() {
            return Err(Finding::new(Kind::Gap, format!("the export goes on at record {}", head.seq)).record(writer, check.next_seq()));
        }
        if unhex(head.prev.as_bytes()).as_ref() != Some(check.head()) {
            return Err(check.finding(Flaw::Hash));
        }
        check.record(hash, &mut self.slot, &mut NoReader)?;
        match head.epoch == check.epoch() {
            true => Ok(()),
            false => Err(Finding::new(Kind::Altered, "the line names another epoch than the chain").record(writer, head.seq)),
        }
    }

    fn next_writer(&mut self, writer: WriterId) -> Result<(), Finding> {
        if self.done.iter().any(|(w, _)| w.writer == writer) {
            return Err(Finding::new(Kind::Malformed, "the writer's records are not together").record(writer, 1));
        }
        if let Some(check) = self.check.replace(ChainCheck::new(writer, self.keys, self.trust)) {
            self.done.push(check.finish(false)?);
        }
        Ok(())
    }

    fn checkpoint(&mut self, text: &str) -> Result<(), Finding> {
        match (Note::parse(text), &mut self.check) {
            (Some(note), Some(check)) => {
                self.notes += 1;
                check.checkpoint(&note, &mut NoReader)
            }
            _ => Err(Finding::new(Kind::Checkpoint, "not a checkpoint as the ledger writes it")),
        }
    }

    fn end(&mut self, footer: &Footer) -> Result<(), Finding> {
        if let Some(check) = self.check.take() {
            self.done.push(check.finish(false)?);
        }
        self.ended = true;
        let found = Intact::of(self.done.clone(), Signatures::Unchecked);
        let end = &footer.end;
        if (end.writers, end.records, end.checkpoints) != (found.writers.len() as u64, found.records, self.notes) {
            let detail = format!("the export should hold {} records and {} checkpoints", end.records, end.checkpoints);
            return Err(Finding::new(Kind::Gap, format!("{detail}, but holds {} and {}", found.records, self.notes)));
        }
        match end.sha256 == HEXLOWER.encode(self.digest.clone().finish().as_ref()) {
            true => Ok(()),
            false => Err(Finding::new(Kind::Altered, "a byte outside the records was changed")),
        }
    }
}
