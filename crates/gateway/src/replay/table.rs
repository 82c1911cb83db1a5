//! All streams that are kept, what they cost, and who reads them.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;

use super::bounds::Bounds;
use super::cursor::{Kind, StreamName};
use super::ring::Said;
use super::stream::{Belongs, Slot, Standpoint, Stream};

#[derive(Default)]
struct Account {
    bytes: usize,
    /// Oldest first.
    streams: Vec<StreamName>,
}

pub(super) struct Table {
    bounds: Bounds,
    streams: HashMap<StreamName, Stream>,
    owners: HashMap<u64, Account>,
    bytes: usize,
    tickets: u64,
    /// Where somebody listens, and the GET streams there.
    standing: HashMap<Standpoint, Vec<StreamName>>,
}

/// A stream that has been taken in.
pub(super) struct Opened {
    /// Told when there may be room for more.
    pub(super) room: Arc<Notify>,
    /// It is the first GET stream at its standpoint: whoever opened it has to listen for it.
    pub(super) nobody_listens: bool,
}

/// Why a stream cannot be read on from where the client left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Never here, of somebody else, or forgotten: the same to whoever asks.
    Unknown,
    /// Events that followed are not kept any more.
    Gap,
}

impl Table {
    pub(super) fn new(bounds: Bounds) -> Self {
        let (streams, owners, standing) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { bounds, streams, owners, bytes: 0, tickets: 0, standing }
    }

    /// Takes a stream in; `None` when there are too many and none can be forgotten.
    pub(super) fn open(&mut self, name: StreamName, belongs: Belongs, now: Instant) -> Option<Opened> {
        if self.streams.contains_key(&name) {
            return None;
        }
        let (owner, bounds) = (belongs.owner, self.bounds);
        while self.forget_oldest(owner, |_, stream| stream.is_expired(now, bounds.keep)).is_some() {}
        let of_session = |stream: &Stream| stream.belongs.at.0 == belongs.at.0;
        while self.count(owner, of_session) >= bounds.session_streams {
            self.forget_oldest(owner, |_, stream| of_session(stream))?;
        }
        while self.count(owner, |_| true) >= bounds.owner_streams {
            self.forget_oldest(owner, |_, _| true)?;
        }
        self.owners.entry(owner).or_default().streams.push(name);
        let nobody_listens = name.kind() == Kind::Standing && !self.standing.contains_key(&belongs.at);
        if name.kind() == Kind::Standing {
            self.standing.entry(belongs.at.clone()).or_default().push(name);
        }
        let stream = Stream::new(belongs);
        let room = stream.room.clone();
        self.streams.insert(name, stream);
        Some(Opened { room, nobody_listens })
    }

    /// Adds an event. One that does not fit pushes out the oldest, except what the reader has not taken yet.
    pub(super) fn push(&mut self, name: StreamName, said: Said) {
        let Some(stream) = self.streams.get_mut(&name) else { return };
        let cost = stream.ring.push(said);
        stream.wake();
        self.bytes += cost;
        self.owners.entry(stream.belongs.owner).or_default().bytes += cost;
        self.trim(name);
    }

    /// Nothing more follows.
    pub(super) fn end(&mut self, name: StreamName, now: Instant) {
        let Some(stream) = self.streams.get_mut(&name) else { return };
        stream.ended = true;
        stream.idle_since = Some(now);
        stream.wake();
    }

    /// Whether an event can be added without pushing out what the reader has not taken yet.
    pub(super) fn has_room(&self, name: StreamName) -> bool {
        let Some(stream) = self.streams.get(&name) else { return true };
        let full = stream.ring.len() >= self.bounds.events || stream.ring.bytes() >= self.bounds.stream_bytes;
        !(full && stream.oldest_waits())
    }

    /// Gives a stream of this session its reader, in place of the one it had: what follows `position` is his. Gives his ticket; `None` when
    /// the stream has ended and nothing follows.
    pub(super) fn attach(
        &mut self,
        name: StreamName,
        session: &str,
        position: u64,
        place: Option<OwnedSemaphorePermit>,
        now: Instant,
    ) -> Result<Option<u64>, Lost> {
        let keep = self.bounds.keep;
        let stream = self.streams.get_mut(&name).filter(|stream| &*stream.belongs.at.0 == session).ok_or(Lost::Unknown)?;
        if stream.is_expired(now, keep) || position >= stream.ring.next() {
            return Err(Lost::Unknown);
        }
        if position + 1 < stream.ring.first() {
            return Err(Lost::Gap);
        }
        if stream.ended && position + 1 == stream.ring.next() {
            return Ok(None);
        }
        self.tickets += 1;
        stream.attached = self.tickets;
        stream.wake();
        stream.reader = Some(Slot { ticket: self.tickets, next: position + 1, waker: None, _place: place });
        if name.kind() == Kind::Standing {
            stream.idle_since = None;
        }
        stream.room.notify_one();
        Ok(Some(self.tickets))
    }

    /// The next event for the reader with this ticket, with its position; `None` at the end of the stream, or when another has taken over.
    pub(super) fn take(
        &mut self,
        name: StreamName,
        ticket: u64,
        is_open: impl Fn(&str, &bailiwick_mcp::Id) -> bool,
        context: &Context<'_>,
    ) -> Poll<Option<(u64, Said)>> {
        let Some(stream) = self.streams.get_mut(&name) else { return Poll::Ready(None) };
        let Some(slot) = stream.reader.as_mut().filter(|slot| slot.ticket == ticket) else { return Poll::Ready(None) };
        while let Some(said) = stream.ring.get(slot.next) {
            let (position, said) = (slot.next, said.clone());
            slot.next += 1;
            // A question that has been answered would only be asked again.
            if said.asks.as_ref().is_none_or(|id| is_open(&stream.belongs.at.0, id)) {
                stream.room.notify_one();
                self.trim(name);
                return Poll::Ready(Some((position, said)));
            }
        }
        if stream.ended {
            return Poll::Ready(None);
        }
        slot.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// The reader is gone.
    pub(super) fn detach(&mut self, name: StreamName, ticket: u64, now: Instant) {
        let Some(stream) = self.streams.get_mut(&name) else { return };
        if stream.reader.as_ref().is_some_and(|slot| slot.ticket == ticket) {
            stream.leave(name, now);
            self.trim(name);
        }
    }

    /// Adds an event to the one stream of a standpoint that is to have it: the one attached to last that is still read, else the last.
    /// `false` when there is none; then whoever asks listens no more, and the next stream there begins anew.
    pub(super) fn tell(&mut self, at: &Standpoint, said: Said, now: Instant) -> bool {
        if !self.is_heard(at, now) {
            return false;
        }
        let names = self.standing.get(at).map(Vec::as_slice).unwrap_or_default();
        let order = |name: &&StreamName| self.streams.get(name).map(|stream| (stream.reader.is_some(), stream.attached));
        let Some(name) = names.iter().max_by_key(order).copied() else { return false };
        if !self.has_room(name) {
            // Nobody waits for a client that does not read.
            self.streams.entry(name).and_modify(|stream| stream.leave(name, now));
        }
        self.push(name, said);
        true
    }

    /// Whether a standpoint still has streams. If not, whoever asks listens no more, and the next stream there begins anew.
    pub(super) fn is_heard(&mut self, at: &Standpoint, now: Instant) -> bool {
        let keep = self.bounds.keep;
        let names = self.standing.get(at).cloned().unwrap_or_default();
        let expired = |name: &&StreamName| self.streams.get(name).is_none_or(|stream| stream.is_idle() && stream.is_expired(now, keep));
        let expired: Vec<StreamName> = names.iter().filter(expired).copied().collect();
        if expired.len() == names.len() {
            self.stop_listening(at);
            return false;
        }
        expired.into_iter().for_each(|name| self.forget(name));
        true
    }

    /// Nobody listens for this standpoint any more: its streams end.
    pub(super) fn stop_listening(&mut self, at: &Standpoint) {
        self.standing.remove(at).unwrap_or_default().into_iter().for_each(|name| self.forget(name));
    }

    pub(super) fn forget_session(&mut self, session: &str) {
        self.forget_where(|_, stream| &*stream.belongs.at.0 == session);
    }

    /// Forgets what has been idle for too long.
    pub(super) fn expire(&mut self, now: Instant) {
        let keep = self.bounds.keep;
        self.forget_where(|_, stream| stream.reader.is_none() && stream.is_expired(now, keep));
    }

    fn count(&self, owner: u64, which: impl Fn(&Stream) -> bool) -> usize {
        let names = self.owners.get(&owner).map(|account| account.streams.as_slice()).unwrap_or_default();
        names.iter().filter_map(|name| self.streams.get(name)).filter(|stream| which(stream)).count()
    }

    /// Forgets the oldest stream of an owner among those that nobody needs.
    fn forget_oldest(&mut self, owner: u64, which: impl Fn(StreamName, &Stream) -> bool) -> Option<()> {
        let names = &self.owners.get(&owner)?.streams;
        let idle = |name: &&StreamName| self.streams.get(name).is_some_and(|stream| stream.is_idle() && which(**name, stream));
        let oldest = *names.iter().find(idle)?;
        self.forget(oldest);
        Some(())
    }

    fn forget_where(&mut self, which: impl Fn(&StreamName, &Stream) -> bool) {
        let names: Vec<StreamName> = self.streams.iter().filter(|(name, stream)| which(name, stream)).map(|(name, _)| *name).collect();
        names.into_iter().for_each(|name| self.forget(name));
    }

    fn forget(&mut self, name: StreamName) {
        let Some(mut stream) = self.streams.remove(&name) else { return };
        stream.wake();
        stream.room.notify_one();
        if let Some(names) = self.standing.get_mut(&stream.belongs.at) {
            names.retain(|known| *known != name);
        }
        self.bytes -= stream.ring.bytes();
        let owner = stream.belongs.owner;
        if let Some(account) = self.owners.get_mut(&owner) {
            account.bytes -= stream.ring.bytes();
            account.streams.retain(|known| *known != name);
            if account.streams.is_empty() {
                self.owners.remove(&owner);
            }
        }
    }

    /// Makes a stream fit again: first whole streams of the same owner go that nobody reads, then its own oldest events.
    fn trim(&mut self, name: StreamName) {
        while let Some(stream) = self.streams.get(&name) {
            let owner = stream.belongs.owner;
            let owned = self.owners.get(&owner).map_or(0, |account| account.bytes);
            let too_long = stream.ring.len() > self.bounds.events || stream.ring.bytes() > self.bounds.stream_bytes;
            let too_much = owned > self.bounds.owner_bytes || self.bytes > self.bounds.bytes;
            if !(too_long || too_much) || stream.ring.len() == 0 {
                return;
            }
            let waits = stream.oldest_waits();
            if !too_long && self.forget_oldest(owner, |other, _| other != name).is_some() {
                continue;
            }
            if waits {
                return;
            }
            self.drop_oldest(name);
        }
    }

    fn drop_oldest(&mut self, name: StreamName) {
        let Some(stream) = self.streams.get_mut(&name) else { return };
        let freed = stream.ring.drop_oldest();
        self.bytes -= freed;
        if let Some(account) = self.owners.get_mut(&stream.belongs.owner) {
            account.bytes -= freed;
        }
    }
}
