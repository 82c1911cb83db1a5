//! The callers' side: waiting for an answer, for everything to be saved, for the end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::gate::{Door, Gate};
use super::slots::SlotId;
use super::state::State;
use super::writer::Shared;
use super::{Receipt, Unavailable};

/// An entry that was given to the ledger ([`Ledger::begin`](super::Ledger::begin)).
pub struct Append(Begun);

enum Begun {
    Done(Result<Receipt, Unavailable>),
    Waiting(Waiting),
}

impl Append {
    pub(crate) const fn done(result: Result<Receipt, Unavailable>) -> Self {
        Self(Begun::Done(result))
    }

    pub(crate) const fn waiting(waiting: Waiting) -> Self {
        Self(Begun::Waiting(waiting))
    }

    /// Waits at most the hang limit, then takes the entry back if it has not been written.
    pub(crate) async fn within_limit(mut self) -> Result<Receipt, Unavailable> {
        let hang = match &self.0 {
            Begun::Done(result) => return result.clone(),
            Begun::Waiting(waiting) => waiting.hang,
        };
        match (timeout(hang, &mut self).await, &self.0) {
            (Ok(result), _) => result,
            (Err(_), Begun::Done(result)) => result.clone(),
            (Err(_), Begun::Waiting(waiting)) => Err(waiting.give_up()),
        }
    }
}

impl Future for Append {
    type Output = Result<Receipt, Unavailable>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Begun::Done(result) => Poll::Ready(result.clone()),
            Begun::Waiting(waiting) => waiting.poll(context),
        }
    }
}

/// A caller's hold on his slot.
pub(crate) struct Waiting {
    door: Arc<dyn Door>,
    slot: SlotId,
    hang: Duration,
}

impl Waiting {
    pub(crate) fn new(door: Arc<dyn Door>, slot: SlotId, hang: Duration) -> Self {
        Self { door, slot, hang }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Result<Receipt, Unavailable>> {
        let mut poll = Poll::Pending;
        self.door.with_gate(&mut |gate| poll = gate.slots.poll(self.slot, context));
        poll
    }

    fn give_up(&self) -> Unavailable {
        let mut reason = None;
        self.door.with_gate(&mut |gate| {
            gate.withdraw(self.slot);
            gate.gave_up();
            reason = gate.reason();
        });
        Unavailable::new(reason.unwrap_or_else(|| "the writer does not answer".to_owned()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.door.with_gate(&mut |gate| gate.slots.release(self.slot));
    }
}

impl Door for Shared {
    fn with_gate(&self, act: &mut dyn FnMut(&mut Gate)) {
        act(&mut self.lock().gate);
    }
}

/// Waits for what was appended before: first until it is written, then until that is saved and indexed.
pub(crate) async fn flush(shared: &Shared) -> Result<(), Unavailable> {
    let accepted = shared.lock().gate.accepted;
    until(shared, |state| state.gate.settled >= accepted).await?;
    let written = shared.lock().written;
    until(shared, |state| {
        let backlog = &state.gate.backlog;
        state.saved >= written && (backlog.is_empty() || backlog.indexed >= written)
    })
    .await
}

/// Ends thread and index task when everything is done.
pub(crate) async fn close(shared: &Shared) -> Result<(), Unavailable> {
    shared.stop();
    until(shared, |state| state.thread_ended && state.index_ended).await?;
    let state = shared.lock();
    let backlog = &state.gate.backlog;
    let unindexed = || (!backlog.is_empty()).then(|| backlog.reason().unwrap_or("not everything is in the index").to_owned());
    match state.gate.reason().or_else(unindexed) {
        None if state.saved == state.written => Ok(()),
        reason => Err(Unavailable::new(reason.unwrap_or_else(|| "not everything was saved".to_owned()))),
    }
}

async fn until(shared: &Shared, done: impl Fn(&State) -> bool) -> Result<(), Unavailable> {
    // Twice the limit of a single operation: one may be running already, one is ours.
    let end = Instant::now() + 2 * shared.lock().gate.hang;
    loop {
        let progress = shared.progress.notified();
        tokio::pin!(progress);
        progress.as_mut().enable();
        if done(&shared.lock()) {
            return Ok(());
        }
        shared.hurry();
        if timeout_at(end, progress).await.is_err() {
            let state = shared.lock();
            let reason = state.gate.reason().or_else(|| state.gate.backlog.refusal(0, state.gate.hang));
            return Err(Unavailable::new(reason.unwrap_or_else(|| "the writer does not answer".to_owned())));
        }
    }
}
