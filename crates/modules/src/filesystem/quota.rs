//! How much one agent may store.
//!
//! The usage is counted by walking the tree and then carried forward with every write. It is counted again when it has
//! grown old, because other processes may share the tree, and before a write is refused.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::path::DEPTH_MAX;
use super::root::{Facts, Kind, Root, facts_at};
use crate::blocking::Stop;
use crate::fault::ToolFault;

/// Most files and directories in a tree with a quota; bounds the walk as well as the agent.
const TREE_ENTRIES_MAX: u64 = 100_000;
/// How long a count is carried forward.
const RECOUNT_AFTER: Duration = Duration::from_secs(30);

/// The quota and what is known about its use.
#[derive(Debug)]
pub(crate) struct Quota {
    bytes_max: u64,
    usage: Mutex<Option<Usage>>,
}

#[derive(Clone, Copy, Debug)]
struct Usage {
    bytes: u64,
    entries: u64,
    counted: Instant,
}

/// Room that was found for one write. Dropped without [`Reservation::keep`], the usage is counted anew next time.
#[derive(Debug)]
pub(crate) struct Reservation<'a> {
    usage: MutexGuard<'a, Option<Usage>>,
    after: Usage,
}

impl Reservation<'_> {
    /// The write has happened.
    pub(crate) fn keep(mut self) {
        *self.usage = Some(self.after);
    }
}

impl Quota {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, usage: Mutex::new(None) }
    }

    /// Finds room for a file that grows from `before` to `after` bytes. Writes under a quota take turns: the
    /// reservation is held until the write has ended.
    pub(crate) fn reserve(&self, root: &Root, before: Option<u64>, after: u64, stop: &Stop) -> Result<Reservation<'_>, ToolFault> {
        let mut guard = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        let known = guard.take().filter(|usage| usage.counted.elapsed() < RECOUNT_AFTER);
        let next = |usage: Usage| Usage {
            bytes: usage.bytes.saturating_sub(before.unwrap_or(0)).saturating_add(after),
            entries: usage.entries + u64::from(before.is_none()),
            ..usage
        };
        if let Some(grown) = known.map(next).filter(|usage| self.fits(usage).is_ok()) {
            return Ok(Reservation { usage: guard, after: grown });
        }
        let grown = next(count(root, stop)?);
        self.fits(&grown)?;
        Ok(Reservation { usage: guard, after: grown })
    }

    /// Something was removed or added outside of a reservation.
    pub(crate) fn forget(&self) {
        *self.usage.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn fits(&self, usage: &Usage) -> Result<(), ToolFault> {
        if usage.bytes > self.bytes_max {
            let message = format!("the write would exceed the quota of {} bytes", self.bytes_max);
            return Err(ToolFault::limit("quota_bytes", self.bytes_max, message, "delete files that are no longer needed"));
        }
        if usage.entries > TREE_ENTRIES_MAX { Err(too_many()) } else { Ok(()) }
    }
}

fn too_many() -> ToolFault {
    let message = format!("a tree with a quota holds at most {TREE_ENTRIES_MAX} files and directories");
    ToolFault::limit("entries", TREE_ENTRIES_MAX, message, "delete files that are no longer needed")
}

/// Adds up the sizes of everything in the tree; links are counted as links, never followed. Directories wait by name and
/// not by handle, so that a wide tree does not use up file descriptors.
fn count(root: &Root, stop: &Stop) -> Result<Usage, ToolFault> {
    let mut usage = Usage { bytes: 0, entries: 0, counted: Instant::now() };
    let mut waiting = vec![(String::new(), 0)];
    while let Some((inner, depth)) = waiting.pop() {
        // Removed since it was listed: nothing to count.
        let Ok(dir) = root.directory(&inner) else { continue };
        for entry in dir.entries().map_err(unreadable)? {
            stop.check()?;
            let name = entry.map_err(unreadable)?.file_name();
            usage.entries += 1;
            if usage.entries > TREE_ENTRIES_MAX || depth > DEPTH_MAX {
                return Err(too_many());
            }
            let Ok(facts) = facts_at(&dir, &name) else { continue };
            usage.bytes = usage.bytes.saturating_add(size(&facts));
            // A directory whose name is not UTF-8 was not made through this module and cannot be reached through it.
            if let (Kind::Directory, Some(name)) = (facts.kind, name.to_str()) {
                waiting.push((format!("{inner}/{name}").trim_start_matches('/').to_owned(), depth + 1));
            }
        }
    }
    Ok(usage)
}

fn size(facts: &Facts) -> u64 {
    if facts.kind == Kind::File { facts.bytes } else { 0 }
}

fn unreadable(error: std::io::Error) -> ToolFault {
    ToolFault::internal(format!("quota: the tree cannot be counted: {error}"))
}
