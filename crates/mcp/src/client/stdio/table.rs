//! Who waits for which answer of one child.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc, oneshot};

use super::writer::Line;
use crate::client::ask::{Ask, Event};
use crate::client::fault::{FaultKind, UpstreamFault};
use crate::client::notice::pass_on;
use crate::client::question::{Open as Questions, Owners, Question};
use crate::json::Json;
use crate::message::Request;

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
    owners: Owners,
}

struct Waiter {
    answer: oneshot::Sender<Outcome>,
    ticket: Arc<Ticket>,
    events: Option<mpsc::Sender<Event>>,
    wants_logs: bool,
    acknowledged: Option<Arc<Notify>>,
    asked: Option<mpsc::Sender<Question>>,
    questions: Questions,
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
    pub(super) fn enter(&self, ask: &Ask<'_>) -> Result<(Place<'_>, oneshot::Receiver<Outcome>), UpstreamFault> {
        let (answer, outcome) = oneshot::channel();
        let ticket = Arc::new(Ticket::default());
        let waiter = Waiter {
            answer,
            ticket: Arc::clone(&ticket),
            events: ask.events.clone(),
            wants_logs: ask.wants_logs,
            acknowledged: ask.acknowledged.clone(),
            asked: ask.questions.clone(),
            questions: Questions::default(),
        };
        let mut open = self.open();
        if let Some(reason) = &open.ended {
            return Err(UpstreamFault::unsent(FaultKind::Closed, reason.to_string()));
        }
        open.owners.note(ask.owner);
        open.waiting.insert(ask.id, waiter);
        Ok((Place { table: self, id: ask.id, ticket }, outcome))
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

    /// Passes a log message to the only request that wants any.
    pub(super) fn log(&self, event: Event) {
        if let Some(waiter) = self.open().only(|waiter| waiter.wants_logs) {
            pass_on(waiter.events.as_ref(), event);
        }
    }

    /// Passes an event to the only request that takes questions.
    pub(super) fn tell_asked(&self, event: Event) {
        if let Some(waiter) = self.open().only(|waiter| waiter.asked.is_some()) {
            pass_on(waiter.events.as_ref(), event);
        }
    }

    /// The subscription with this id stands.
    pub(super) fn acknowledge(&self, id: u64) {
        if let Some(waiting) = self.open().waiting.get(&id).and_then(|waiter| waiter.acknowledged.as_ref()) {
            waiting.notify_one();
        }
    }

    /// Asks the only request that takes questions; the answer goes to `outbox`. A request that cannot be asked is given back.
    pub(super) fn ask(&self, request: Request, outbox: &mpsc::WeakSender<Line>) -> Result<(), Request> {
        let mut open = self.open();
        let Some(waiter) = open.only(|waiter| waiter.asked.is_some()) else { return Err(request) };
        let Some(asked) = &waiter.asked else { return Err(request) };
        let outbox = outbox.clone();
        waiter.questions.ask(asked, request, move |parts| async move {
            if let Some(outbox) = outbox.upgrade() {
                // A closed queue means that the child has ended.
                let _ = outbox.send(Line { parts, ticket: None, room: None }).await;
            }
        })
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

impl Open {
    /// The only request of a kind, when there is exactly one and the child has served one owner only.
    fn only(&mut self, kind: impl Fn(&Waiter) -> bool) -> Option<&mut Waiter> {
        if self.owners.several {
            return None;
        }
        let mut found = self.waiting.values_mut().filter(|waiter| kind(waiter));
        found.next().filter(|_| found.next().is_none())
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
    use crate::client::cancel::Cancel;
    use crate::client::compose::Parts;
    use crate::client::dialect::Dialect;
    use crate::revision::Revision;

    fn json() -> Json {
        Json::from_static("{}")
    }

    fn enter(table: &Table, id: u64) -> Result<(Place<'_>, oneshot::Receiver<Outcome>), UpstreamFault> {
        let dialect = Dialect::before_agreement(Revision::NEWEST_LEGACY, http::HeaderMap::new());
        let cancel = Cancel::new();
        table.enter(&Ask::plain(id, "x", Parts::default(), &dialect, tokio::time::Instant::now(), &cancel))
    }

    #[tokio::test]
    async fn an_answer_reaches_its_caller_once() {
        let table = Table::default();
        let (place, outcome) = enter(&table, 1).unwrap();
        assert!(!table.settle(2, Ok(json())) && table.settle(1, Ok(json())) && !table.settle(1, Ok(json())));
        assert!(outcome.await.unwrap().is_ok());
        assert!(!place.leave(), "an answered request is not cancelled");
    }

    #[tokio::test]
    async fn the_end_tells_who_may_have_been_heard() {
        let table = Table::default();
        let (_one, first) = enter(&table, 1).unwrap();
        let (two, second) = enter(&table, 2).unwrap();
        assert!(two.ticket.send());
        table.end("gone");
        table.end("later word");
        let (first, second) = (first.await.unwrap().unwrap_err(), second.await.unwrap().unwrap_err());
        assert_eq!((first.sent, second.sent), (false, true));
        assert!(matches!(first.kind, FaultKind::Closed) && first.detail == "gone");
        assert_eq!(enter(&table, 3).err().unwrap().detail, "gone");
    }

    #[test]
    fn a_withdrawn_request_is_not_written_and_a_written_one_is_cancelled() {
        let table = Table::default();
        let (early, _outcome) = enter(&table, 1).unwrap();
        assert!(!early.leave() && !early.ticket.send());
        let (late, _outcome) = enter(&table, 2).unwrap();
        assert!(late.ticket.send() && late.leave() && !late.leave());
        assert_eq!(table.only(), None);
    }
}
