//! Which writer this process is. Several processes may share a ledger directory; each holds one writer's directory by a lock
//! that the operating system gives back when the process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::chain::WriterId;
use super::disk::create_dir;

/// Writers of one ledger directory, and so processes that can use it at one time.
pub(crate) const WRITERS_MAX: u32 = 1_000;

/// Name of the lock file in a writer's directory.
pub(crate) const LOCK: &str = "lock";

/// A writer that belongs to this process while the lock file stays open.
pub(crate) struct Claim {
    pub(crate) writer: WriterId,
    pub(crate) dir: PathBuf,
    pub(crate) lock: File,
}

/// Takes the first free writer with a number of at least `first`; `None` when all are taken.
pub(crate) fn claim(ledger: &Path, first: u32) -> io::Result<Option<(u32, Claim)>> {
    for number in first..=WRITERS_MAX {
        let writer = WriterId::numbered(number);
        let dir = ledger.join(writer.as_str());
        create_dir(&dir)?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(dir.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => return Ok(Some((number, Claim { writer, dir, lock }))),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(None)
}

/// Whether some process holds the writer whose directory is `dir` now. Reads only.
pub(crate) fn is_claimed(dir: &Path) -> bool {
    let Ok(lock) = File::open(dir.join(LOCK)) else { return false };
    matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_holder_gets_his_own_writer_and_a_free_one_is_taken_up_again() {
        let dir = tempfile::tempdir().unwrap();
        let (_, first) = claim(dir.path(), 1).unwrap().unwrap();
        let (number, second) = claim(dir.path(), 1).unwrap().unwrap();
        assert_eq!((first.writer.as_str(), second.writer.as_str(), number), ("w-0001", "w-0002", 2));
        assert!(is_claimed(&first.dir));
        drop(first);
        assert_eq!(claim(dir.path(), 1).unwrap().unwrap().1.writer.as_str(), "w-0001");
        assert!(!is_claimed(&dir.path().join("w-0009")));
    }
}
