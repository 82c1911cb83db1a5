//! The steps about the ledger: what was recorded is verified, and a copy with one changed byte is not.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::narrate::Outcome;
use crate::cli::audit::verify_directory;
use crate::places::make_directory;

/// Files of a demonstration's ledger that are copied.
const FILES_MAX: usize = 1_000;

/// Verifies the ledger as `bailiwick audit verify` does.
pub(super) fn intact(ledger: &Path) -> Outcome {
    let found = verify_directory(ledger);
    match found.first_fault {
        None if found.records > 0 => Ok(format!("{} records, unbroken from the first to the last.", found.records)),
        None => Err("the ledger is empty".to_owned()),
        Some(fault) => Err(fault),
    }
}

/// Copies the ledger, flips one bit of one record, and verifies the copy.
pub(super) fn altered(ledger: &Path, copy: &Path) -> Outcome {
    let files = copy_files(ledger, copy).map_err(|cause| format!("cannot copy the ledger: {cause}"))?;
    // The largest file holds the records.
    let victim = files.iter().max_by_key(|path| fs::metadata(path).map_or(0, |found| found.len())).ok_or("there is nothing to copy")?;
    let mut bytes = fs::read(victim).map_err(|cause| cause.to_string())?;
    let at = bytes.len() / 2;
    let byte = bytes.get_mut(at).ok_or("the ledger is empty")?;
    *byte ^= 1;
    fs::write(victim, bytes).map_err(|cause| cause.to_string())?;
    let found = verify_directory(copy);
    found.first_fault.map(|fault| format!("\"{fault}\".")).ok_or_else(|| "nobody noticed".to_owned())
}

fn copy_files(from: &Path, to: &Path) -> io::Result<Vec<PathBuf>> {
    let mut pending = vec![(from.to_path_buf(), to.to_path_buf())];
    let mut copied = Vec::new();
    while let Some((from, to)) = pending.pop() {
        make_directory(&to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let target = to.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                pending.push((entry.path(), target));
            } else if copied.len() < FILES_MAX {
                fs::copy(entry.path(), &target)?;
                copied.push(target);
            }
        }
    }
    Ok(copied)
}
