//! A file that becomes visible all at once or not at all.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use cap_std::fs::Dir;

use super::root::create_at;

/// Files being written carry this prefix and 16 hexadecimal digits; listings leave them out.
const PREFIX: &str = ".bailiwick-tmp-";
/// Names tried until one is free.
const NAME_TRIES_MAX: u32 = 64;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A new file in the directory of its future name. Removed on drop unless it was put in place.
pub(super) struct Temporary<'a> {
    dir: &'a Dir,
    name: String,
    pub(super) file: File,
    placed: bool,
}

impl<'a> Temporary<'a> {
    /// The name need not be unpredictable: it is created exclusively and never through a link.
    pub(super) fn create(dir: &'a Dir) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for _ in 0..NAME_TRIES_MAX {
            let name = format!("{PREFIX}{:08x}{:08x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            match create_at(dir, &name) {
                Ok(file) => return Ok(Self { dir, name, file, placed: false }),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => last = e,
                Err(e) => return Err(e),
            }
        }
        Err(last)
    }

    /// Gives the file its name, replacing what was there: a link is replaced, never followed.
    pub(super) fn place(mut self, name: &str) -> io::Result<()> {
        self.dir.rename(&self.name, self.dir, name)?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.placed
            && let Err(error) = self.dir.remove_file(&self.name)
        {
            tracing::warn!(%error, "a temporary file could not be removed");
        }
    }
}

/// Whether a name is one of ours.
pub(super) fn is_temporary(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| rest.len() == 16 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}
