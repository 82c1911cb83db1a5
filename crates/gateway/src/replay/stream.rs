//! One stream: its events, its reader, and whether anybody still needs it.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;

use super::cursor::{Kind, StreamName};
use super::ring::Ring;
use crate::bailiwick::Lens;

/// A session at one endpoint: what its GET streams have in common.
pub(crate) type Standpoint = (Box<str>, Lens);

/// Whose stream it is.
#[derive(Clone, Debug)]
pub(super) struct Belongs {
    /// The agent's number.
    pub(super) owner: u64,
    pub(super) at: Standpoint,
}

/// One stream that is kept.
pub(super) struct Stream {
    pub(super) belongs: Belongs,
    pub(super) ring: Ring,
    pub(super) reader: Option<Slot>,
    /// Nothing more is added.
    pub(super) ended: bool,
    /// Since when nobody needs it any more: the call has ended, or a GET stream was left by its reader.
    pub(super) idle_since: Option<Instant>,
    /// When it was attached to last, counted over all streams.
    pub(super) attached: u64,
    /// Told when there may be room for more.
    pub(super) room: Arc<Notify>,
}

/// The one connection that reads a stream.
pub(super) struct Slot {
    pub(super) ticket: u64,
    /// The position of the event it takes next.
    pub(super) next: u64,
    pub(super) waker: Option<Waker>,
    /// Free again when the reader is gone.
    pub(super) _place: Option<OwnedSemaphorePermit>,
}

impl Stream {
    pub(super) fn new(belongs: Belongs) -> Self {
        Self { belongs, ring: Ring::new(), reader: None, ended: false, idle_since: None, attached: 0, room: Arc::default() }
    }

    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.reader.as_mut().and_then(|slot| slot.waker.take()) {
            waker.wake();
        }
    }

    /// Whether the oldest event has a reader that has not taken it yet.
    pub(super) fn oldest_waits(&self) -> bool {
        self.reader.as_ref().is_some_and(|slot| slot.next <= self.ring.first())
    }

    pub(super) fn is_idle(&self) -> bool {
        self.idle_since.is_some() && self.reader.is_none()
    }

    pub(super) fn is_expired(&self, now: Instant, keep: Duration) -> bool {
        self.idle_since.is_some_and(|since| now.duration_since(since) >= keep)
    }

    pub(super) fn leave(&mut self, name: StreamName, now: Instant) {
        self.wake();
        self.reader = None;
        if name.kind() == Kind::Standing {
            self.idle_since = Some(now);
        }
        self.room.notify_one();
    }
}
