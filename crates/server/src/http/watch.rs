//! What a connection is doing, so that the right deadline counts: hyper's own head timer also runs between requests.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use super::limits::HttpLimits;

/// The phases of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Between two requests.
    Idle,
    /// Accepted, nothing received yet.
    Fresh,
    /// The first byte of a request has come, its head is not complete.
    Head,
    /// A request is being answered: the call path has its own deadlines.
    Busy,
}

/// Phase and since when. Shared by the stream, the service and the answer's body of one connection, all polled by one task,
/// which is why relaxed ordering is enough.
#[derive(Debug)]
pub(super) struct Watch {
    opened: Instant,
    phase: AtomicU8,
    since_millis: AtomicU64,
    limits: HttpLimits,
}

impl Watch {
    pub(super) fn new(limits: HttpLimits) -> Self {
        Self { opened: Instant::now(), phase: AtomicU8::new(Phase::Fresh as u8), since_millis: AtomicU64::new(0), limits }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Fresh,
            2 => Phase::Head,
            _ => Phase::Busy,
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        let elapsed = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since_millis.store(elapsed, Relaxed);
        self.phase.store(phase as u8, Relaxed);
    }

    /// When the present phase has lasted too long; `None` while a request is being answered.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let since = self.opened + Duration::from_millis(self.since_millis.load(Relaxed));
        match self.phase() {
            Phase::Idle => Some(since + self.limits.idle_max),
            Phase::Fresh | Phase::Head => Some(since + self.limits.head_read_max),
            Phase::Busy => None,
        }
    }

    /// How long nothing may happen: between two requests, or while an answer is written.
    pub(super) fn idle_max(&self) -> Duration {
        self.limits.idle_max
    }
}
