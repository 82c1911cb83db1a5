//! What one stream has said, as far as it is kept: the newest events, without a gap.

use std::collections::VecDeque;

use bailiwick_mcp::{Frame, Id};

/// What an event costs beside its bytes, so that many small ones are counted too.
const EVENT_COST_BYTES: usize = 128;

/// One event of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) frame: Frame,
    /// The question it asks; of no use any more once that is answered.
    pub(crate) asks: Option<Id>,
}

impl From<Frame> for Said {
    fn from(frame: Frame) -> Self {
        Self { frame, asks: None }
    }
}

/// Events under their positions, which begin with 1: position 0 is the beginning of the stream.
#[derive(Debug)]
pub(super) struct Ring {
    events: VecDeque<Said>,
    first: u64,
    bytes: usize,
}

impl Ring {
    pub(super) fn new() -> Self {
        Self { events: VecDeque::new(), first: 1, bytes: 0 }
    }

    /// Adds the newest event; gives what it costs.
    pub(super) fn push(&mut self, said: Said) -> usize {
        let cost = cost(&said);
        self.bytes += cost;
        self.events.push_back(said);
        cost
    }

    /// Forgets the oldest event; gives what it cost.
    pub(super) fn drop_oldest(&mut self) -> usize {
        let Some(said) = self.events.pop_front() else { return 0 };
        let cost = cost(&said);
        self.first += 1;
        self.bytes -= cost;
        cost
    }

    pub(super) fn get(&self, position: u64) -> Option<&Said> {
        self.events.get(usize::try_from(position.checked_sub(self.first)?).ok()?)
    }

    /// The position of the oldest event that is kept, or of the next one.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The position of the next event.
    pub(super) fn next(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn cost(said: &Said) -> usize {
    said.frame.len() + EVENT_COST_BYTES
}
