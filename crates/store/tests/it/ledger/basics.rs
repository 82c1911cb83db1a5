//! Appending, epochs, several processes, open intents, checkpoints.

use bailiwick_store::ledger::{Durability, Entry, LedgerOptions, Span, Writes};
use serde_json::Value;

use super::harness::{entry, id, open, options, records};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_stand_in_order_and_receipts_name_them() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(options(dir.path())).await;
    let first = ledger.append(entry(1, Durability::Process)).await.unwrap();
    let second = ledger.append(entry(2, Durability::Power)).await.unwrap();
    assert_eq!((first.writer.as_str(), first.seq, second.seq), ("w-0001", 2, 3));
    ledger.close().await.unwrap();
    let records = records(dir.path());
    let begin: Value = serde_json::from_str(&records[0]).unwrap();
    assert_eq!((begin["event"].as_str(), begin["epoch"].as_u64()), (Some("begin"), Some(1)));
    let record: Value = serde_json::from_str(&records[1]).unwrap();
    assert_eq!(record["event_id"], id(1).to_string());
    assert_eq!((record["span"].as_str(), record["n"].as_u64()), (Some("single"), Some(1)));
    assert_eq!(records.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_get_every_number_once() {
    for writes in [Writes::ByCaller, Writes::ByThread] {
        let dir = tempfile::tempdir().unwrap();
        let ledger = open(LedgerOptions { writes, ..options(dir.path()) }).await;
        let tasks: Vec<_> = (0..32)
            .map(|task| {
                let ledger = ledger.clone();
                tokio::spawn(async move {
                    let mut seqs = Vec::new();
                    for n in 0..25 {
                        let durability = if n % 5 == 0 { Durability::Power } else { Durability::Process };
                        seqs.push((task * 100 + n, ledger.append(entry(task * 100 + n, durability)).await.unwrap().seq));
                    }
                    seqs
                })
            })
            .collect();
        let mut found = Vec::new();
        for task in tasks {
            found.extend(task.await.unwrap());
        }
        ledger.close().await.unwrap();
        let records = records(dir.path());
        assert_eq!(records.len(), 801);
        for (n, seq) in found {
            let record: Value = serde_json::from_str(&records[usize::try_from(seq).unwrap() - 1]).unwrap();
            assert_eq!(record["n"].as_u64(), Some(n));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_future_does_not_take_the_entry_back() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(options(dir.path())).await;
    drop(ledger.append(entry(1, Durability::Power)));
    ledger.flush().await.unwrap();
    assert_eq!(records(dir.path()).len(), 2);
    drop(ledger);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_could_forge_records_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(options(dir.path())).await;
    for bad in [&b"{}\n{}"[..], b"[]", b"", b"{\"a\":\"\x00\"}", b"{\"\xff\":1}"] {
        let entry = Entry { bytes: bad.to_vec(), durability: Durability::Process, span: Span::Event(id(1)), row: None };
        assert!(ledger.append(entry).await.is_err());
    }
    ledger.append(entry(1, Durability::Process)).await.unwrap();
    ledger.close().await.unwrap();
    assert_eq!(records(dir.path()).len(), 2);
    assert!(ledger.append(entry(2, Durability::Process)).await.unwrap_err().reason.contains("closed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_is_taken_up_again_and_a_second_process_gets_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(options(dir.path())).await;
    let second = open(options(dir.path())).await;
    assert_eq!((first.health().writer.as_str(), second.health().writer.as_str()), ("w-0001", "w-0002"));
    first.append(entry(1, Durability::Process)).await.unwrap();
    first.close().await.unwrap();
    drop(first);
    let third = open(options(dir.path())).await;
    assert_eq!(third.health().writer.as_str(), "w-0001");
    assert_eq!(third.append(entry(2, Durability::Process)).await.unwrap().seq, 4);
    third.close().await.unwrap();
    let epochs: Vec<_> = records(dir.path()).iter().filter_map(|r| serde_json::from_str::<Value>(r).unwrap()["epoch"].as_u64()).collect();
    assert_eq!(epochs, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn intents_without_outcome_are_closed_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let span = |n, span: fn(_) -> Span| Entry { span: span(id(n)), ..entry(n, Durability::Power) };
    let ledger = open(options(dir.path())).await;
    for n in 1..=3 {
        ledger.append(span(n, Span::Intent)).await.unwrap();
    }
    ledger.append(span(2, Span::Outcome)).await.unwrap();
    assert_eq!(ledger.health().open_intents, 2);
    ledger.close().await.unwrap();
    drop(ledger);
    let ledger = open(options(dir.path())).await;
    assert_eq!(ledger.health().open_intents, 0);
    ledger.close().await.unwrap();
    drop(ledger);
    let before = records(dir.path());
    open(options(dir.path())).await.close().await.unwrap();
    let after = records(dir.path());
    assert_eq!(after.len(), before.len() + 1, "closed once, not at every start");
    let closed: Vec<Value> =
        after.iter().map(|r| serde_json::from_str(r).unwrap()).filter(|r: &Value| r["status"] == "indeterminate").collect();
    let mut ids: Vec<_> = closed.iter().map(|r| r["event_id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    assert_eq!(ids, [id(1).to_string(), id(3).to_string()]);
}
