//! The readable index behind the ledger, on both databases.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bailiwick_model::time::Timestamp;
use bailiwick_model::{Code, RunId};
use bailiwick_store::event::{Actor, Event, EventFilter, EventKind, EventPage, EventRow};
use bailiwick_store::ledger::{Batch, Durability, Entry, EventIndex, IndexWrite, Ledger, LedgerOptions, Span, WriterId};
use bailiwick_store::{Scope, Store, StoreError, StoreErrorKind};

use super::harness::{HANG, entry, id, open, options};
use crate::support::{TestDb, agent_id, agent_type, operator, org_id};

fn row(n: u64, actor: Actor) -> EventRow {
    let mut row = EventRow::new(id(n), Timestamp::from_micros(1_000_000 * i64::try_from(n).unwrap()), EventKind::Call, actor);
    row.tool = Some("docs__read".into());
    row.server = Some("docs".into());
    row.args = Some(format!("{{\"n\":{n}}}"));
    row
}

fn with_row(n: u64, row: EventRow) -> Entry {
    Entry { row: Some(Box::new(row)), ..entry(n, Durability::Process) }
}

fn ids(events: &[Event]) -> Vec<u64> {
    events.iter().map(|e| u64::from_str_radix(&e.event_id, 16).unwrap()).collect()
}

async fn agent(store: &Store, org: &str) -> Scope {
    store.launch(&org_id(org), &agent_id("worker"), &agent_type("research")).await.unwrap()
}

async fn all(store: &Store, scope: &Scope) -> Vec<Event> {
    store.events().list(scope, &EventFilter::default(), EventPage::Newest, 500).await.unwrap()
}

fn indexed(db: &TestDb, index: Arc<dyn EventIndex>) -> LedgerOptions {
    LedgerOptions { hang: HANG, ..options(&db.dir.path().join("ledger")).with_index(index) }
}

pub(crate) async fn rows_are_listed_by_organisation_and_filter(db: &TestDb) {
    let store = db.open().await;
    let (acme, other) = (agent(&store, "acme").await, agent(&store, "other").await);
    let ledger = open(indexed(db, Arc::new(store.clone()))).await;
    for n in 1..=30 {
        let scope = if n % 3 == 0 { &other } else { &acme };
        let mut row = row(n, Actor::Agent(scope.clone()));
        if n == 7 {
            row = row.failed(Code::PolicyDenied);
            row.run_id = Some(RunId::parse("run-1").unwrap());
        }
        ledger.append(with_row(n, row)).await.unwrap();
    }
    ledger.append(with_row(99, row(99, Actor::unknown()))).await.unwrap();
    ledger.flush().await.unwrap();

    let listed = all(&store, &acme).await;
    assert_eq!(ids(&listed), (1..=30).rev().filter(|n| n % 3 != 0).collect::<Vec<_>>());
    let first = &listed[listed.len() - 1];
    assert_eq!((first.org.as_deref(), first.args.as_deref(), first.ok), (Some("acme"), Some("{\"n\":1}"), true));
    assert_eq!((first.writer.as_str(), first.seq, first.at.as_micros()), ("w-0001", 2, 1_000_000));
    let events = store.events();
    let (page, limit) = (EventPage::Before(listed[4].id), 3);
    assert_eq!(ids(&events.list(&acme, &EventFilter::default(), page, limit).await.unwrap()), ids(&listed[5..8]));
    let tail = events.list(&acme, &EventFilter::default(), EventPage::After(listed[2].id), 50).await.unwrap();
    assert_eq!(ids(&tail), [28, 29], "oldest first");
    for filter in [
        EventFilter { ok: Some(false), ..EventFilter::default() },
        EventFilter { code: Some("policy_denied".to_owned()), ..EventFilter::default() },
        EventFilter { run_id: Some(RunId::parse("run-1").unwrap()), ..EventFilter::default() },
        EventFilter {
            since: Some(Timestamp::from_micros(7_000_000)),
            until: Some(Timestamp::from_micros(7_000_001)),
            ..EventFilter::default()
        },
    ] {
        assert_eq!(ids(&events.list(&acme, &filter, EventPage::Newest, 50).await.unwrap()), [7], "{filter:?}");
    }
    let none = EventFilter { kind: Some(EventKind::Auth), ..EventFilter::default() };
    assert!(events.list(&acme, &none, EventPage::Newest, 50).await.unwrap().is_empty());
    assert_eq!(events.get(&acme, &id(7)).await.unwrap().unwrap().code.as_deref(), Some("policy_denied"));
    assert_eq!(events.get(&other, &id(7)).await.unwrap(), None);
    let platform = operator(&store);
    assert_eq!(events.get(&acme, &id(99)).await.unwrap(), None);
    assert_eq!(events.get_platform(&platform, &id(99)).await.unwrap().unwrap().org, None);
    let own = events.list_platform(&platform, &EventFilter::default(), EventPage::Newest, 50).await.unwrap();
    assert_eq!(ids(&own), [99]);
    ledger.close().await.unwrap();
}

pub(crate) async fn hostile_texts_cannot_forge_lines_or_break_the_batch(db: &TestDb) {
    let store = db.open().await;
    let acme = agent(&store, "acme").await;
    let ledger = open(indexed(db, Arc::new(store.clone()))).await;
    let mut bad = row(1, Actor::Agent(acme.clone()));
    bad.tool = Some("a\nb\u{1b}[2J\u{202e}".into());
    bad.error = Some("x\0y".to_owned());
    bad.result_bytes = Some(u64::MAX);
    bad.args = Some("y".repeat(20_000));
    ledger.append(with_row(1, bad)).await.unwrap();
    ledger.append(with_row(2, row(2, Actor::Agent(acme.clone())))).await.unwrap();
    ledger.flush().await.unwrap();
    let listed = all(&store, &acme).await;
    assert_eq!(ids(&listed), [2, 1]);
    assert_eq!(listed[1].tool.as_deref(), Some("a\\u000ab\\u001b[2J\\u202e"));
    assert_eq!(listed[1].error.as_deref(), Some("x\\u0000y"));
    assert_eq!((listed[1].args.as_deref(), listed[1].note.is_some()), (None, true));
    ledger.close().await.unwrap();
}

/// An index that can be switched off.
struct Switched {
    store: Store,
    off: AtomicBool,
}

impl EventIndex for Switched {
    fn position<'a>(&'a self, origin: &'a str, writer: WriterId) -> IndexWrite<'a, u64> {
        self.store.position(origin, writer)
    }

    fn write<'a>(&'a self, origin: &'a str, batch: &'a Arc<Batch>) -> IndexWrite<'a, ()> {
        if self.off.load(Ordering::SeqCst) {
            let error = StoreError::new(StoreErrorKind::Locked, "the database is locked", "wait");
            return Box::pin(std::future::ready(Err(error)));
        }
        EventIndex::write(&self.store, origin, batch)
    }
}

async fn until(ledger: &Ledger, closed: bool) {
    for _ in 0..200 {
        if ledger.health().unavailable.is_some() == closed {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?}", ledger.health());
}

pub(crate) async fn an_index_that_cannot_follow_closes_the_gate(db: &TestDb) {
    let store = db.open().await;
    let acme = agent(&store, "acme").await;
    let index = Arc::new(Switched { store: store.clone(), off: AtomicBool::new(true) });
    let ledger = open(indexed(db, index.clone())).await;
    ledger.append(with_row(1, row(1, Actor::Agent(acme.clone())))).await.unwrap();
    ledger.append(Entry { span: Span::Intent(id(2)), ..entry(2, Durability::Power) }).await.unwrap();
    until(&ledger, true).await;
    for span in [Span::Intent(id(3)), Span::Single(id(3)), Span::Event(id(3))] {
        let refused = ledger.append(Entry { span, ..entry(3, Durability::Process) }).await.unwrap_err();
        assert_eq!(refused.reason, "index database locked");
    }
    let outcome = Entry { span: Span::Outcome(id(2)), ..with_row(2, row(2, Actor::Agent(acme.clone()))) };
    ledger.append(outcome).await.expect("what has happened is recorded");
    index.off.store(false, Ordering::SeqCst);
    until(&ledger, false).await;
    ledger.append(with_row(4, row(4, Actor::Agent(acme.clone())))).await.unwrap();
    ledger.flush().await.unwrap();
    assert_eq!(ids(&all(&store, &acme).await), [4, 2, 1]);
    ledger.close().await.unwrap();
}

pub(crate) async fn rows_that_did_not_reach_the_index_are_rebuilt(db: &TestDb) {
    let store = db.open().await;
    let acme = agent(&store, "acme").await;
    let index = Arc::new(Switched { store: store.clone(), off: AtomicBool::new(false) });
    let ledger = open(indexed(db, index.clone())).await;
    let body = |n: u64, status: &str| {
        let scope = format!("\"org\":\"acme\",\"agent\":\"{}\",\"agent_type\":\"{}\"", acme.agent_id(), acme.agent_type());
        format!("{{\"at\":{n}000000,\"kind\":\"call\",{scope},\"source\":\"docs\",\"tool\":\"docs__read\"{status}}}").into_bytes()
    };
    let done = ",\"status\":\"ok\",\"us\":9000";
    ledger.append(with_row(1, row(1, Actor::Agent(acme.clone())))).await.unwrap();
    ledger.flush().await.unwrap();
    index.off.store(true, Ordering::SeqCst);
    for n in 2..=4 {
        let entry = Entry { bytes: body(n, done), ..with_row(n, row(n, Actor::Agent(acme.clone()))) };
        ledger.append(entry).await.unwrap();
    }
    ledger.append(Entry { bytes: body(5, ""), span: Span::Intent(id(5)), ..entry(5, Durability::Power) }).await.unwrap();
    ledger.close().await.unwrap_err();
    drop(ledger);

    let ledger = open(indexed(db, Arc::new(store.clone()))).await;
    ledger.flush().await.unwrap();
    let listed = all(&store, &acme).await;
    assert_eq!(ids(&listed), [5, 4, 3, 2, 1]);
    let rebuilt = &listed[1];
    assert_eq!((rebuilt.args.as_deref(), rebuilt.duration_ms, rebuilt.ok), (None, Some(9), true));
    assert!(rebuilt.note.as_ref().unwrap().contains("rebuilt"), "{rebuilt:?}");
    assert_eq!(rebuilt.agent_id.as_deref(), Some(acme.agent_id().as_str()));
    assert_eq!(
        (listed[0].decision.as_deref(), listed[0].ok, listed[0].tool.as_deref()),
        (Some("indeterminate"), false, Some("docs__read"))
    );
    ledger.close().await.unwrap();
    drop(ledger);

    open(indexed(db, Arc::new(store.clone()))).await.close().await.unwrap();
    assert_eq!(ids(&all(&store, &acme).await), [5, 4, 3, 2, 1], "nothing twice");

    // The index is lost altogether: it comes back from the ledger, as far as the ledger knows.
    db.raw_execute("DELETE FROM events; DELETE FROM event_positions").await;
    open(indexed(db, Arc::new(store.clone()))).await.close().await.unwrap();
    assert_eq!(ids(&all(&store, &acme).await), [5, 4, 3, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_really_locked_database_is_told_and_survived() {
    let db = TestDb::sqlite();
    let store = db.open().await;
    let ledger = open(indexed(&db, Arc::new(store.clone()))).await;
    let mut lock = db.raw().await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut lock).await.unwrap();
    ledger.append(with_row(1, row(1, Actor::unknown()))).await.unwrap();
    until(&ledger, true).await;
    let refused = ledger.append(entry(2, Durability::Power)).await.unwrap_err();
    assert!(refused.reason.starts_with("index database"), "{refused}");
    sqlx::raw_sql("ROLLBACK").execute(&mut lock).await.unwrap();
    until(&ledger, false).await;
    assert!(HANG < Duration::from_secs(2));
    ledger.append(entry(3, Durability::Power)).await.unwrap();
    ledger.close().await.unwrap();
}
