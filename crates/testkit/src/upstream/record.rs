//! What arrived at a fake server.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One message that arrived, as it arrived.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Arrival {
    /// `method`; empty for a response.
    pub method: String,
    /// `params.name` of a call.
    pub tool: Option<String>,
    /// `params.arguments` of a call, byte for byte.
    pub arguments: Option<String>,
    /// The whole message.
    pub message: Value,
    /// HTTP headers by lower-case name; repeated ones joined with `, `.
    pub headers: BTreeMap<String, String>,
    /// Whether the message speaks 2026-07-28.
    pub modern: bool,
    /// Which connection of this server it came on, from 0.
    pub connection: u64,
}

/// Arrivals kept; a test that sends more should switch recording off.
const ARRIVALS_MAX: usize = 100_000;

/// Where arrivals go.
#[derive(Default)]
pub(crate) struct Record {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    arrivals: Vec<Arrival>,
    /// Requests whose caller went away before they were answered.
    abandoned: u64,
    /// Streams of news that are open.
    listeners: usize,
    file: Option<std::fs::File>,
}

impl Record {
    /// Also appends each arrival to `path`, flushed before the message is answered.
    pub(super) fn write_to(&self, path: &Path) -> std::io::Result<()> {
        self.lock().file = Some(std::fs::OpenOptions::new().create(true).append(true).open(path)?);
        Ok(())
    }

    pub(super) fn note(&self, arrival: Arrival) {
        let mut seen = self.lock();
        if let Some(file) = &mut seen.file {
            let mut line = serde_json::to_vec(&arrival).expect("an arrival is JSON");
            line.push(b'\n');
            file.write_all(&line).expect("record of arrivals");
        }
        assert!(seen.arrivals.len() < ARRIVALS_MAX, "more than {ARRIVALS_MAX} arrivals: switch `record` off");
        seen.arrivals.push(arrival);
        self.changed.notify_all();
    }

    pub(super) fn note_abandoned(&self) {
        self.lock().abandoned += 1;
        self.changed.notify_all();
    }

    /// Somebody begins to listen to the news, or ends.
    pub(super) fn note_listener(&self, begins: bool) {
        let mut seen = self.lock();
        seen.listeners = if begins { seen.listeners + 1 } else { seen.listeners.saturating_sub(1) };
        self.changed.notify_all();
    }

    pub(super) fn listeners(&self) -> usize {
        self.lock().listeners
    }

    /// Blocks until so many streams of news are open, or gives false after `limit`.
    pub(super) fn wait_for_listeners(&self, limit: Duration, count: usize) -> bool {
        let (_seen, waited) =
            self.changed.wait_timeout_while(self.lock(), limit, |seen| seen.listeners != count).unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    pub(super) fn abandoned(&self) -> u64 {
        self.lock().abandoned
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.lock().arrivals.clone()
    }

    pub(super) fn clear(&self) {
        let mut seen = self.lock();
        seen.arrivals.clear();
        seen.abandoned = 0;
    }

    /// Blocks until `enough` holds of the arrivals and the number of abandoned requests, or gives false after `limit`.
    pub(super) fn wait(&self, limit: Duration, enough: impl Fn(&[Arrival], u64) -> bool) -> bool {
        let end = Instant::now() + limit;
        let mut seen = self.lock();
        while !enough(&seen.arrivals, seen.abandoned) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            seen = self.changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads what the stdio program wrote to `record_to`; empty when it has not written yet.
pub(super) fn read(path: &Path) -> Vec<Arrival> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // A last line without its newline is still being written.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).expect("a recorded arrival")).collect()
}
