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

    fn open(self) -> Option<(Kept, Reader)> {
        let primes = self.primes();
        self.gateway.streams().open(self.gateway.random(), self.owner, (self.session, self.lens), primes)
    }

    /// Keeps the stream of a call that goes on. Gives both back when no more streams can be kept.
    pub(crate) fn carry(self, work: Detached<Option<Answer>>, side: Side, first: Option<Said>) -> Result<Reader, Back> {
        let Some((kept, reader)) = self.open() else { return Err(Back { work, side, first }) };
        first.into_iter().for_each(|said| kept.push(said));
        tokio::spawn(carry(kept, work, side));
        Ok(reader)
    }

    /// Keeps the stream of a call that has ended. Gives the events back when no more streams can be kept.
    pub(crate) fn keep(self, events: Vec<Said>) -> Result<Reader, Vec<Said>> {
        let Some((kept, reader)) = self.open() else { return Err(events) };
        events.into_iter().for_each(|said| kept.push(said));
        Ok(reader)
    }
}

/// A call that is not kept.
pub(crate) struct Back {
    pub(crate) work: Detached<Option<Answer>>,
    pub(crate) side: Side,
    pub(crate) first: Option<Said>,
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
