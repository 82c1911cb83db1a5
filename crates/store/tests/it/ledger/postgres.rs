//! The ledger in PostgreSQL: the same promises, with fences instead of files.

use std::sync::Arc;

use bailiwick_model::time::Timestamp;
use bailiwick_store::Store;
use bailiwick_store::event::{Actor, EventFilter, EventKind, EventPage, EventRow};
use bailiwick_store::ledger::verify::{Kind, Trust, export_database, verify_database, verify_export};
use bailiwick_store::ledger::{Durability, Entry, Ledger, LedgerOptions, Place, Span};
use bailiwick_testkit::postgres::Postgres;
use sqlx::Row;

use super::harness::{Ticks, entry, id, key, open};
use crate::support::{TestDb, operator};

fn options(store: &Store) -> LedgerOptions {
    LedgerOptions::new(Place::Postgres { store: store.clone() }, key(), Arc::new(Ticks::default())).with_index(Arc::new(store.clone()))
}

fn trust() -> Trust {
    Trust { keys: vec![key().verifier().clone()], checkpoints: Vec::new() }
}

async fn records(db: &TestDb) -> Vec<String> {
    let rows = db.raw_rows("SELECT bytes FROM ledger_records ORDER BY writer, seq").await;
    rows.iter().map(|row| String::from_utf8(row.try_get("bytes").unwrap()).unwrap()).collect()
}

async fn append_when_repaired(ledger: &Ledger, n: u64) {
    for _ in 0..300 {
        if ledger.append(entry(n, Durability::Power)).await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the ledger did not recover: {:?}", ledger.health());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_several_replicas_are_recorded_and_verified() {
    let Some(server) = Postgres::shared() else { return };
    let db = TestDb::postgres(server);
    let store = db.open().await;
    let (first, second) = (open(options(&store)).await, open(options(&store)).await);
    assert_eq!((first.health().writer.as_str(), second.health().writer.as_str()), ("w-0001", "w-0002"));
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let ledger = if task % 2 == 0 { first.clone() } else { second.clone() };
            tokio::spawn(async move {
                for n in 0..60 {
                    let durability = if n % 3 == 0 { Durability::Power } else { Durability::Process };
                    let n = task * 100 + n;
                    let row = EventRow::new(id(n), Timestamp::from_micros(1), EventKind::Call, Actor::unknown());
                    ledger.append(Entry { row: Some(Box::new(row)), ..entry(n, durability) }).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    first.flush().await.unwrap();
    let health = first.health();
    assert_eq!((health.saved, health.written, health.index_backlog), (481, 481, 0));
    first.close().await.unwrap();
    second.close().await.unwrap();
    let platform = operator(&store);
    let intact = verify_database(&store, &platform, &trust()).await.unwrap();
    assert_eq!((intact.records, intact.writers.len(), intact.checkpoints), (962, 2, 2));
    let listed = store.events().list_platform(&platform, &EventFilter::default(), EventPage::Newest, 500).await.unwrap();
    assert_eq!(listed.len(), 500);

    let mut export = Vec::new();
    export_database(&store, &platform, &trust(), &mut export, Timestamp::from_micros(0)).await.unwrap();
    let file = db.dir.path().join("export.jsonl");
    std::fs::write(&file, export).unwrap();
    assert_eq!(verify_export(&file, &trust()).unwrap().records, 962);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_is_taken_up_again_and_open_intents_are_closed() {
    let Some(server) = Postgres::shared() else { return };
    let db = TestDb::postgres(server);
    let store = db.open().await;
    let ledger = open(options(&store)).await;
    ledger.append(Entry { span: Span::Intent(id(1)), ..entry(1, Durability::Power) }).await.unwrap();
    ledger.append(Entry { span: Span::Intent(id(2)), ..entry(2, Durability::Power) }).await.unwrap();
    ledger.append(Entry { span: Span::Outcome(id(2)), ..entry(2, Durability::Process) }).await.unwrap();
    assert_eq!(ledger.health().open_intents, 1);
    ledger.close().await.unwrap();
    drop(ledger);
    let again = open(options(&store)).await;
    assert_eq!(again.health().open_intents, 0);
    again.append(entry(3, Durability::Process)).await.unwrap();
    again.close().await.unwrap();
    let records = records(&db).await;
    let closed: Vec<_> = records.iter().filter(|r| r.contains("indeterminate")).collect();
    assert_eq!(closed.len(), 1);
    assert!(closed[0].contains(&id(1).to_string()));
    let intact = verify_database(&store, &operator(&store), &trust()).await.unwrap();
    assert_eq!((intact.writers.len(), intact.writers[0].epoch), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_connections_and_fences_lose_nothing() {
    let Some(server) = Postgres::shared() else { return };
    let db = TestDb::postgres(server);
    let store = db.open().await;
    let ledger = open(options(&store)).await;
    ledger.append(entry(1, Durability::Power)).await.unwrap();
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid() \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    db.raw_execute(terminate).await;
    let _ = ledger.append(entry(2, Durability::Power)).await;
    append_when_repaired(&ledger, 3).await;
    assert_eq!(ledger.health().writer.as_str(), "w-0001");

    // Another process takes the writer up although this one still lives: the fence stops this one, which goes on as another writer.
    db.raw_execute("UPDATE ledger_writers SET epoch = epoch + 1").await;
    let refused = ledger.append(entry(4, Durability::Power)).await.unwrap_err();
    assert!(refused.reason.contains("another process"), "{refused}");
    append_when_repaired(&ledger, 5).await;
    ledger.close().await.unwrap();
    let records = records(&db).await;
    for n in [1, 3, 5] {
        assert!(records.iter().any(|r| r.contains(&format!("\"n\":{n},"))), "{n}: {records:#?}");
    }
    assert!(!records.iter().any(|r| r.contains("\"n\":4,")));
    assert!(records.iter().any(|r| r.contains("\"resumed\"")));
    verify_database(&store, &operator(&store), &trust()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_in_the_database_are_found() {
    let Some(server) = Postgres::shared() else { return };
    let db = TestDb::postgres(server);
    let store = db.open().await;
    let ledger = open(options(&store)).await;
    for n in 1..=20 {
        ledger.append(entry(n, Durability::Process)).await.unwrap();
    }
    ledger.close().await.unwrap();
    drop(ledger);
    let platform = operator(&store);
    verify_database(&store, &platform, &trust()).await.unwrap();
    db.raw_execute("CREATE TABLE kept AS SELECT * FROM ledger_records; CREATE TABLE kept_notes AS SELECT * FROM ledger_checkpoints").await;
    for (change, kind, seq) in [
        ("UPDATE ledger_records SET bytes = set_byte(bytes, 10, 65) WHERE seq = 5", Kind::Altered, 5),
        ("UPDATE ledger_records SET hash = set_byte(hash, 3, get_byte(hash, 3) # 1) WHERE seq = 7", Kind::Altered, 7),
        ("UPDATE ledger_records SET hash = substr(hash, 2) WHERE seq = 7", Kind::Malformed, 7),
        ("DELETE FROM ledger_records WHERE seq = 9", Kind::Gap, 9),
        ("DELETE FROM ledger_records WHERE seq > 15", Kind::MissingTail, 16),
        ("DELETE FROM ledger_records WHERE seq > 15; UPDATE ledger_writers SET seq = 15", Kind::MissingTail, 16),
        ("UPDATE ledger_checkpoints SET note = replace(note, 'time 2', 'time 3')", Kind::Signature, 21),
        ("UPDATE ledger_checkpoints SET size = 3", Kind::Checkpoint, 3),
    ] {
        db.raw_execute(change).await;
        let finding = verify_database(&store, &platform, &trust()).await.unwrap_err();
        assert_eq!((finding.kind, finding.seq), (kind, Some(seq)), "{change}: {finding}");
        let restore = "DELETE FROM ledger_records; INSERT INTO ledger_records SELECT * FROM kept; UPDATE ledger_writers SET seq = 21; \
             DELETE FROM ledger_checkpoints; INSERT INTO ledger_checkpoints SELECT * FROM kept_notes";
        db.raw_execute(restore).await;
    }
    verify_database(&store, &platform, &trust()).await.unwrap();

    db.raw_execute("DELETE FROM ledger_records WHERE seq > 15").await;
    let again = open(options(&store)).await;
    assert_eq!(again.health().writer.as_str(), "w-0002", "a damaged writer is not continued");
    assert!(again.health().damaged[0].contains("w-0001"));
    again.close().await.unwrap();
}
