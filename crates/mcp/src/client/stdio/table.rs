//! Who waits for which answer of one child.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::client::ask::Event;
use crate::client::fault::{FaultKind, UpstreamFault};
use crate::client::notice::pass_on;
use crate::json::Json;

/// What an answer brings.
pub(super) type Outcome = Result<Json, UpstreamFault>;

/// The open requests of one child.
#[derive(Default)]
pub(super) struct Table(Mutex<Open>);

#[derive(Default)]
struct Open {
    waiting: HashMap<u64, Waiter>,
    /// Why nothing more will come.
    ended: Option<Arc<str>>,
}

struct Waiter {
    answer: oneshot::Sender<Outcome>,
    ticket: Arc<Ticket>,
    events: Option<mpsc::Sender<Event>>,
}

/// How far a request has come on its way out.
#[derive(Debug, Default)]
pub(super) struct Ticket(AtomicU8);

const QUEUED: u8 = 0;
const SENT: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Ticket {
    /// The writer is about to write. `false`: nobody wants it any more.
    pub(super) fn send(&self) -> bool {
        self.0.compare_exchange(QUEUED, SENT, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// The caller went away. Returns whether the server may have seen the request.
    fn withdraw(&self) -> bool {
        self.0.compare_exchange(QUEUED, WITHDRAWN, Ordering::Relaxed, Ordering::Relaxed).is_err()
    }

    pub(super) fn is_sent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == SENT
    }
}

impl Table {
    /// Enters a request. It stays until it is answered, or the returned place is dropped.
    pub(super) fn enter(
        &self,
        id: u64,
        events: Option<mpsc::Sender<Event>>,
    ) -> Result<(Place<'_>, oneshot::Receiver<Outcome>), UpstreamFault> {
        let (answer, outcome) = oneshot::channel();
        let ticket = Arc::new(Ticket::default());
        let mut open = self.open();
        if let Some(reason) = &open.ended {
            return Err(UpstreamFault::unsent(FaultKind::Closed, reason.to_string()));
        }
        open.waiting.insert(id, Waiter { answer, ticket: Arc::clone(&ticket), events });
        Ok((Place { table: self, id, ticket }, outcome))
    }

    /// Gives the outcome to whoever waits for `id`. `false`: nobody does.
    pub(super) fn settle(&self, id: u64, outcome: Outcome) -> bool {
        let Some(waiter) = self.open().waiting.remove(&id) else { return false };
        let _ = waiter.answer.send(outcome);
        true
    }

    /// Passes progress to whoever asked for it.
    pub(super) fn progress(&self, id: u64, event: Event) {
        if let Some(waiter) = self.open().waiting.get(&id) {
            pass_on(waiter.events.as_ref(), event);
        }
    }

    /// The only open request, when there is exactly one.
    pub(super) fn only(&self) -> Option<u64> {
        let open = self.open();
        let mut ids = open.waiting.keys();
        ids.next().copied().filter(|_| ids.next().is_none())
    }

    /// Nothing more will come: every open request fails, and every later one.
    pub(super) fn end(&self, reason: &str) {
        let waiting = {
            let mut open = self.open();
            open.ended.get_or_insert_with(|| reason.into());
            std::mem::take(&mut open.waiting)
        };
        for waiter in waiting.into_values() {
            let fault = UpstreamFault::new(FaultKind::Closed, waiter.ticket.is_sent(), reason);
            let _ = waiter.answer.send(Err(fault));
        }
    }

    /// Why nothing more will come, if so.
    pub(super) fn ended(&self) -> Option<Arc<str>> {
        self.open().ended.clone()
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request's place in the table.
pub(super) struct Place<'a> {
    table: &'a Table,
    id: u64,
    pub(super) ticket: Arc<Ticket>,
}

impl Place<'_> {
    /// Leaves without an answer. Returns whether the server should hear of it: it may have seen the request and has not answered.
    pub(super) fn leave(&self) -> bool {
        let waited = self.table.open().waiting.remove(&self.id).is_some();
        let seen = self.ticket.withdraw();
        waited && seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json() -> Json {
        Json::from_static("{}")
    }

    #[tokio::test]
    async fn an_answer_reaches_its_caller_once() {
        let table = Table::default();
        let (place, outcome) = table.enter(1, None).unwrap();
        assert!(!table.settle(2, Ok(json())) && table.settle(1, Ok(json())) && !table.settle(1, Ok(json())));
        assert!(outcome.await.unwrap().is_ok());
        assert!(!place.leave(), "an answered request is not cancelled");
    }

    #[tokio::test]
    async fn the_end_tells_who_may_have_been_heard() {
        let table = Table::default();
        let (_one, first) = table.enter(1, None).unwrap();
        let (two, second) = table.enter(2, None).unwrap();
        assert!(two.ticket.send());
        table.end("gone");
        table.end("later word");
        let (first, second) = (first.await.unwrap().unwrap_err(), second.await.unwrap().unwrap_err());
        assert_eq!((first.sent, second.sent), (false, true));
        assert!(matches!(first.kind, FaultKind::Closed) && first.detail == "gone");
        assert_eq!(table.enter(3, None).err().unwrap().detail, "gone");
    }

    #[test]
    fn a_withdrawn_request_is_not_written_and_a_written_one_is_cancelled() {
        let table = Table::default();
        let (early, _outcome) = table.enter(1, None).unwrap();
        assert!(!early.leave() && !early.ticket.send());
        let (late, _outcome) = table.enter(2, None).unwrap();
        assert!(late.ticket.send() && late.leave() && !late.leave());
        assert_eq!(table.only(), None);
    }
}
