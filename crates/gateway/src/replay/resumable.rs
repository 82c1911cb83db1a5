//! A call whose stream its client may come back to: the call goes on in a task of its own, and whoever is connected reads.

use std::time::Duration;

use bailiwick_mcp::Revision;

use super::{Kept, Reader, Said};
use crate::bailiwick::Lens;
use crate::call::encode::Answer;
use crate::detach::Detached;
use crate::exchange::KEEP_ALIVE;
use crate::gateway::Gateway;
use crate::stream::Side;

/// A call of 2025-11-25 that is silent for so long gets its stream: from then on the client can come back to it.
const PRIMED_AFTER: Duration = Duration::from_millis(250);

/// What is needed to keep the stream of one call.
pub(crate) struct Resumable {
    pub(crate) gateway: Gateway,
    /// The agent's number.
    pub(crate) owner: u64,
    pub(crate) session: Box<str>,
    pub(crate) lens: Lens,
    pub(crate) revision: Option<Revision>,
}

impl Resumable {
    /// How long a call may be silent before its stream is opened.
    pub(crate) fn opens_after(&self) -> Duration {
        if self.primes() { PRIMED_AFTER } else { KEEP_ALIVE }
    }

    fn primes(&self) -> bool {
        primes(self.revision)
    }

    /// Opens the stream; `None` when no more streams can be kept.
    pub(crate) fn open(self) -> Option<Open> {
        let primes = self.primes();
        let at = (self.session, self.lens);
        let (kept, reader) = self.gateway.streams().open(self.gateway.random(), self.owner, at, primes)?;
        Some(Open { kept, reader })
    }
}

/// A stream that is kept, with its first reader.
pub(crate) struct Open {
    kept: Kept,
    reader: Reader,
}

impl Open {
    /// The stream of a call that goes on.
    pub(crate) fn carry(self, work: Detached<Option<Answer>>, side: Side, first: Option<Said>) -> Reader {
        first.into_iter().for_each(|said| self.kept.push(said));
        tokio::spawn(carry(self.kept, work, side));
        self.reader
    }

    /// The stream of a call that has ended.
    pub(crate) fn keep(self, events: Vec<Said>) -> Reader {
        events.into_iter().for_each(|said| self.kept.push(said));
        self.reader
    }
}

/// Whether streams of this revision begin with an event without data. Clients of older ones would try to read it.
pub(crate) fn primes(revision: Option<Revision>) -> bool {
    revision == Some(Revision::R2025_11_25)
}

/// Says what comes until the answer has come. While a reader does not keep up, only the call goes on.
async fn carry(kept: Kept, mut work: Detached<Option<Answer>>, mut side: Side) {
    loop {
        tokio::select! {
            biased;
            said = side.next(), if kept.has_room() => kept.push(said),
            answer = &mut work => {
                side.rest().into_iter().for_each(|frame| kept.push(frame.into()));
                return answer.into_iter().for_each(|answer| kept.push(answer.into_frame().into()));
            }
            () = kept.room.notified() => {}
        }
    }
}
