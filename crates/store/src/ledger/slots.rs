//! Who waits for what. A slot is taken when an entry is queued, resolved by the writer, and given back by the waiting future;
//! slots are reused, so that waiting allocates nothing in the steady state.

use std::task::{Context, Poll, Waker};

use super::{Receipt, Unavailable};

/// A slot and the use of it that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotId {
    index: u32,
    generation: u32,
}

struct Slot {
    generation: u32,
    waker: Option<Waker>,
    result: Option<Result<Receipt, Unavailable>>,
}

/// The waiting futures of one ledger; as many as entries can be queued or unsaved.
#[derive(Default)]
pub(crate) struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl Slots {
    /// Takes a free slot.
    pub(crate) fn take(&mut self) -> SlotId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, waker: None, result: None });
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        SlotId { index, generation: self.slots.get(index as usize).map_or(0, |s| s.generation) }
    }

    fn get(&mut self, id: SlotId) -> Option<&mut Slot> {
        self.slots.get_mut(id.index as usize).filter(|s| s.generation == id.generation)
    }

    /// Gives the answer. Returns whom to wake, outside the lock. A slot that was given back is ignored.
    pub(crate) fn resolve(&mut self, id: SlotId, result: Result<Receipt, Unavailable>) -> Option<Waker> {
        let slot = self.get(id)?;
        slot.result = Some(result);
        slot.waker.take()
    }

    /// Takes the answer, or remembers whom to wake.
    pub(crate) fn poll(&mut self, id: SlotId, context: &mut Context<'_>) -> Poll<Result<Receipt, Unavailable>> {
        let Some(slot) = self.get(id) else { return Poll::Pending };
        match slot.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                match &mut slot.waker {
                    Some(waker) => waker.clone_from(context.waker()),
                    none => *none = Some(context.waker().clone()),
                }
                Poll::Pending
            }
        }
    }

    /// Gives the slot back; later answers for this use of it are ignored.
    pub(crate) fn release(&mut self, id: SlotId) {
        let Some(slot) = self.get(id) else { return };
        slot.generation = slot.generation.wrapping_add(1);
        slot.waker = None;
        slot.result = None;
        self.free.push(id.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::chain::WriterId;

    #[test]
    fn a_late_answer_does_not_reach_the_next_user_of_the_slot() {
        let mut slots = Slots::default();
        let first = slots.take();
        slots.release(first);
        let second = slots.take();
        assert_eq!(first.index, second.index);
        let receipt = Receipt { writer: WriterId::numbered(1), seq: 1 };
        slots.resolve(first, Ok(receipt));
        let mut context = Context::from_waker(Waker::noop());
        assert!(slots.poll(second, &mut context).is_pending());
        slots.resolve(second, Ok(receipt));
        assert!(matches!(slots.poll(second, &mut context), Poll::Ready(Ok(r)) if r == receipt));
    }
}
