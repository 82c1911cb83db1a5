//! Streams of older sessions that a client may come back to (protocol reference 3.1): every event has an id that names stream and position,
//! the newest events are kept for a while, and GET with `Last-Event-ID` reads on from there. Decision 0008 says how.
//!
//! A kept stream is filled by whoever produces it and read by at most one connection. What is kept stays in this process.

mod bounds;
mod cursor;
mod reader;
mod resumable;
mod ring;
mod stream;
mod table;

pub(crate) use cursor::{Cursor, Kind};
pub(crate) use reader::Reader;
pub(crate) use resumable::{Resumable, primes};
pub(crate) use ring::Said;
pub(crate) use stream::Standpoint;
pub(crate) use table::Lost;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bailiwick_model::config::Limits;
use bailiwick_model::time::Random;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;

use crate::asking::Asking;
use crate::lock::Lock;
use bounds::Bounds;
use cursor::StreamName;
use stream::Belongs;
use table::Table;

/// How often streams are looked for that nobody came back to.
const EXPIRE_EVERY: Duration = Duration::from_secs(5);

/// All streams that are kept.
pub(crate) struct Streams {
    table: Lock<Table>,
    asking: Arc<Asking>,
}

/// A GET stream that has been opened.
pub(crate) struct Stood {
    pub(crate) reader: Reader,
    /// Nobody listens for this session yet: whoever opened the stream has to.
    pub(crate) nobody_listens: bool,
}

impl Streams {
    pub(crate) fn new(limits: &Limits, asking: Arc<Asking>) -> Arc<Self> {
        Arc::new(Self { table: Lock::new(Table::new(Bounds::of(limits))), asking })
    }

    /// Opens the stream of a call of `session`, with its first reader. `None` when no more streams can be kept.
    fn open(self: &Arc<Self>, random: &dyn Random, owner: u64, at: Standpoint, primes: bool) -> Option<(Kept, Reader)> {
        let (name, session) = (StreamName::fresh(Kind::Call, random), at.0.clone());
        let room = self.table.lock().open(name, Belongs { owner, at }, Instant::now())?.room;
        let kept = Kept { streams: self.clone(), name, room };
        let reader = self.read(name, &session, 0, None).ok()??;
        Some((kept, if primes { reader.primed() } else { reader }))
    }

    /// Opens a GET stream. `None` when no more streams can be kept.
    pub(crate) fn stand(
        self: &Arc<Self>,
        random: &dyn Random,
        owner: u64,
        at: &Standpoint,
        place: OwnedSemaphorePermit,
        primes: bool,
    ) -> Option<Stood> {
        let name = StreamName::fresh(Kind::Standing, random);
        let opened = self.table.lock().open(name, Belongs { owner, at: at.clone() }, Instant::now())?;
        let reader = self.read(name, &at.0, 0, Some(place)).ok()??;
        let reader = if primes { reader.primed() } else { reader.greeted() };
        Some(Stood { reader, nobody_listens: opened.nobody_listens })
    }

    /// Reads on after an event of a stream of this session; `None` when the stream has ended with it. A reader that is still there ends.
    ///
    /// # Errors
    /// When the stream, or something that followed, is not kept here.
    pub(crate) fn resume(
        self: &Arc<Self>,
        session: &str,
        after: Cursor,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Option<Reader>, Lost> {
        Ok(self.read(after.stream, session, after.position, place)?.map(Reader::greeted))
    }

    fn read(
        self: &Arc<Self>,
        name: StreamName,
        session: &str,
        position: u64,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Option<Reader>, Lost> {
        let ticket = self.table.lock().attach(name, session, position, place, Instant::now())?;
        Ok(ticket.map(|ticket| Reader::new(self.clone(), name, ticket)))
    }

    fn take(&self, name: StreamName, ticket: u64, context: &Context<'_>) -> Poll<Option<(u64, Said)>> {
        self.table.lock().take(name, ticket, |session, id| self.asking.is_open(session, id), context)
    }

    fn detach(&self, name: StreamName, ticket: u64) {
        self.table.lock().detach(name, ticket, Instant::now());
    }

    /// Says something on one of the GET streams of a standpoint. `false` when there is none any more.
    pub(crate) fn tell(&self, at: &Standpoint, said: Said) -> bool {
        self.table.lock().tell(at, said, Instant::now())
    }

    /// Whether anybody hears, or may come back to hear, what is said at a standpoint. If not, the listener must stop.
    pub(crate) fn is_heard(&self, at: &Standpoint) -> bool {
        self.table.lock().is_heard(at, Instant::now())
    }

    /// Ends the GET streams of a standpoint.
    pub(crate) fn stop_listening(&self, at: &Standpoint) {
        self.table.lock().stop_listening(at);
    }

    /// The session has ended: its streams end too.
    pub(crate) fn forget_session(&self, session: &str) {
        self.table.lock().forget_session(session);
    }

    /// Forgets, from time to time, what nobody came back to.
    pub(crate) async fn expire(self: Arc<Self>) {
        let mut every = tokio::time::interval(EXPIRE_EVERY);
        loop {
            every.tick().await;
            self.table.lock().expire(Instant::now());
        }
    }
}

/// The producer's end of a call's stream. It ends when this is dropped.
struct Kept {
    streams: Arc<Streams>,
    name: StreamName,
    room: Arc<Notify>,
}

impl Kept {
    fn push(&self, said: Said) {
        self.streams.table.lock().push(self.name, said);
    }

    /// Whether more can be said without pushing out what the reader has yet to take.
    fn has_room(&self) -> bool {
        self.streams.table.lock().has_room(self.name)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.streams.table.lock().end(self.name, Instant::now());
    }
}
