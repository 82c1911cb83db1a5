//! What statements keep in temporary files.
//!
//! The engine sorts and collects in files without a name once its memory is full, and no limit of its own covers them: its heap limits and
//! the directory of these files belong to the whole process, which has other databases. So a statement that has run for a while looks at
//! the files themselves. Whose a file is the system does not say; how much a thread wrote it says unless the process is hardened and not
//! root, and then a statement that runs beside one that fills the disk may be ended with it.

use std::fs;
use std::time::{Duration, Instant};

use crate::fault::ToolFault;

/// Time between two looks, and before the first: most statements end before it. At the speed of a fast disk some 20 MB.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What the engine's temporary files are called.
const NAME: &str = "etilqs_";
/// The open files of this process.
const OPEN_FILES: &str = "/proc/self/fd";
/// What this thread read and wrote since it began.
const THREAD_COUNTERS: &str = "/proc/thread-self/io";

/// The temporary files of one statement.
#[derive(Debug)]
pub(super) struct Spill {
    limit: u64,
    next_look: Instant,
    /// What the thread had written at the first look.
    written: Option<u64>,
    looked: bool,
}

impl Spill {
    /// A statement begins, which may keep `limit` bytes in files.
    pub(super) fn new(limit: u64, now: Instant) -> Self {
        Self { limit, next_look: now + LOOK_EVERY, written: None, looked: false }
    }

    /// Whether the statement has to end for its files; asked every few instructions, on the statement's own thread.
    pub(super) fn check(&mut self, now: Instant) -> Result<(), ToolFault> {
        if now < self.next_look {
            return Ok(());
        }
        self.next_look = now + LOOK_EVERY;
        if !self.looked {
            self.looked = true;
            self.written = written();
        }
        if size() > self.limit && !self.wrote_little() { Err(too_much(self.limit)) } else { Ok(()) }
    }

    /// Whether the files must be another statement's.
    fn wrote_little(&self) -> bool {
        self.written.zip(written()).is_some_and(|(then, now)| now.saturating_sub(then) < self.limit)
    }
}

/// Bytes in temporary files of the engine in this process. 0 where the system does not tell; the time limit holds there.
fn size() -> u64 {
    let Ok(files) = fs::read_dir(OPEN_FILES) else { return 0 };
    let temporary = files.flatten().map(|entry| entry.path()).filter(|path| {
        let target = fs::read_link(path);
        target.is_ok_and(|target| target.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(NAME.as_bytes())))
    });
    temporary.filter_map(|path| fs::metadata(path).ok()).map(|found| found.len()).sum()
}

/// Bytes this thread has written; `None` where it may not know.
fn written() -> Option<u64> {
    let counters = fs::read_to_string(THREAD_COUNTERS).ok()?;
    counters.lines().find_map(|line| line.strip_prefix("wchar: ")).and_then(|count| count.parse().ok())
}

fn too_much(limit: u64) -> ToolFault {
    let message = format!("the statement sorts or collects more than {limit} bytes outside memory and was stopped");
    let remedy = "narrow it with WHERE before it sorts, groups or joins, select fewer columns, or add an index in the wanted order";
    ToolFault::limit("max_temp_bytes", limit, message, remedy)
}
