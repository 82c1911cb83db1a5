//! The ledger as one file of JSON lines, which `verify` can check wherever it is taken.
//!
//! First a header, then each writer's records with the checkpoints between them, at the end a count: a file that was cut off is
//! noticed. `record` comes last in its line and is the exact text of the record; a record that should not be JSON stands as a string in
//! `text` instead.

use std::io::{self, Write};
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use bailiwick_model::time::Timestamp;
use data_encoding::HEXLOWER;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::chain::hex;
use super::checkpoint::{Note, VerifierKey};
use super::key_file::load_verifiers;
use super::verify::{Checked, Finding, Intact, Kind, Reader, Trust, read_directory};

/// Version of the lines below.
pub(crate) const EXPORT_VERSION: u32 = 1;

/// First line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub(crate) bailiwick_ledger_export: u32,
    pub(crate) at: String,
    /// Public keys beside the ledger, for looking at; not proof.
    pub(crate) keys: Vec<String>,
}

/// A record's line up to the record itself, closed as an object.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head<'a> {
    pub(crate) writer: &'a str,
    pub(crate) epoch: u64,
    pub(crate) seq: u64,
    pub(crate) prev: &'a str,
    pub(crate) hash: &'a str,
}

/// What stands between head and record.
pub(crate) const RECORD: &[u8] = b",\"record\":";
/// What stands between head and text.
pub(crate) const TEXT: &[u8] = b",\"text\":";

/// One checkpoint.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckpointLine {
    pub(crate) checkpoint: String,
}

/// Last line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Footer {
    pub(crate) end: End,
}

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    pub(crate) writers: u64,
    pub(crate) records: u64,
    pub(crate) checkpoints: u64,
    /// SHA-256 of all lines before this one. Against damage; against forgery there are the checkpoints.
    pub(crate) sha256: String,
}

/// Writes the ledger in `dir` to `out`, verifying it on the way.
///
/// # Errors
/// The first [`Finding`] of the ledger, or `Unreadable` when `out` cannot be written. What was written until then is no export.
pub fn export_directory(dir: &Path, out: &mut (dyn Write + Send), now: Timestamp) -> Result<Intact, Finding> {
    let keys = load_verifiers(dir).map_err(|e| Finding::unreadable(dir, &e))?;
    let mut writer = ExportWriter::begin(out, &keys, now)?;
    let intact = read_directory(dir, &Trust::default(), &mut writer)?;
    writer.end(&intact)?;
    Ok(intact)
}

/// Turns what a verification reads into lines.
pub(crate) struct ExportWriter<'a> {
    out: &'a mut (dyn Write + Send),
    line: Vec<u8>,
    digest: Context,
}

impl<'a> ExportWriter<'a> {
    pub(crate) fn begin(out: &'a mut (dyn Write + Send), keys: &[VerifierKey], now: Timestamp) -> Result<Self, Finding> {
        let mut writer = Self { out, line: Vec::new(), digest: Context::new(&SHA256) };
        let keys = keys.iter().map(ToString::to_string).collect();
        writer.put(&Header { bailiwick_ledger_export: EXPORT_VERSION, at: now.to_string(), keys })?;
        Ok(writer)
    }

    pub(crate) fn end(mut self, intact: &Intact) -> Result<(), Finding> {
        let sha256 = HEXLOWER.encode(self.digest.clone().finish().as_ref());
        let end = End { writers: intact.writers.len() as u64, records: intact.records, checkpoints: intact.checkpoints, sha256 };
        self.put(&Footer { end })?;
        self.out.flush().map_err(|e| unwritten(&e))
    }

    fn put(&mut self, line: &impl Serialize) -> Result<(), Finding> {
        self.line.clear();
        self.add(line);
        self.flush()
    }

    /// Plain members into memory: cannot fail.
    fn add(&mut self, part: &impl Serialize) {
        let _ = serde_json::to_writer(&mut self.line, part);
    }

    fn flush(&mut self) -> Result<(), Finding> {
        self.line.push(b'\n');
        self.digest.update(&self.line);
        self.out.write_all(&self.line).map_err(|e| unwritten(&e))
    }
}

fn unwritten(error: &io::Error) -> Finding {
    Finding::new(Kind::Unreadable, format!("the export cannot be written: {error}"))
}

impl Reader for ExportWriter<'_> {
    fn record(&mut self, record: &Checked<'_>) -> Result<(), Finding> {
        let text = std::str::from_utf8(record.record).map_err(|_| {
            Finding::new(Kind::Malformed, "the record is not text and cannot be exported").record(record.writer, record.seq)
        })?;
        let (prev, hash) = (hex(record.prev), hex(record.hash));
        self.line.clear();
        self.add(&Head { writer: record.writer.as_str(), epoch: record.epoch, seq: record.seq, prev: &prev, hash: &hash });
        self.line.pop();
        if serde_json::from_str::<IgnoredAny>(text).is_ok() {
            self.line.extend_from_slice(RECORD);
            self.line.extend_from_slice(record.record);
        } else {
            self.line.extend_from_slice(TEXT);
            self.add(&text);
        }
        self.line.push(b'}');
        self.flush()
    }

    fn checkpoint(&mut self, note: &Note) -> Result<(), Finding> {
        self.put(&CheckpointLine { checkpoint: note.to_string() })
    }
}
