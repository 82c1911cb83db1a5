//! What a process finds that takes a writer up after another one died.

use std::io::Write;
use std::path::Path;

use bailiwick_store::ledger::verify::{Trust, verify_directory};
use bailiwick_store::ledger::{Durability, Entry, LedgerOptions, Span};

use super::harness::{entry, id, open, options, records, segments};

async fn some(dir: &Path, count: u64) {
    let ledger = open(options(dir)).await;
    for n in 1..=count {
        ledger.append(entry(n, Durability::Process)).await.unwrap();
    }
    ledger.close().await.unwrap();
}

fn append(path: &Path, bytes: &[u8]) {
    std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

fn has(dir: &Path, n: u64) -> bool {
    records(dir).iter().any(|r| r.contains(&format!("\"n\":{n},")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_write_is_cut_off() {
    for tail in [&b"0123"[..], &[b'a'; 64], b"\0\0\0\0\n\0\0", &[b'7'; 300]] {
        let dir = tempfile::tempdir().unwrap();
        some(dir.path(), 3).await;
        append(&segments(dir.path())[0], tail);
        assert_eq!(verify_directory(dir.path(), &Trust::default()).unwrap_err().exit_code(), if tail.contains(&b'\n') { 1 } else { 2 });
        some(dir.path(), 1).await;
        verify_directory(dir.path(), &Trust::default()).unwrap();
        let begin = &records(dir.path())[4];
        assert!(begin.contains(&format!("\"cut_bytes\":{}", tail.len())), "{begin}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_lacks_only_its_newline_stays() {
    let dir = tempfile::tempdir().unwrap();
    some(dir.path(), 3).await;
    let path = &segments(dir.path())[0];
    let whole = std::fs::read(path).unwrap();
    std::fs::write(path, &whole[..whole.len() - 1]).unwrap();
    some(dir.path(), 0).await;
    assert!(has(dir.path(), 3));
    verify_directory(dir.path(), &Trust::default()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_writer_is_left_alone_and_another_begun() {
    let dir = tempfile::tempdir().unwrap();
    some(dir.path(), 5).await;
    let path = segments(dir.path())[0].clone();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let ledger = open(options(dir.path())).await;
    let health = ledger.health();
    assert_eq!(health.writer.as_str(), "w-0002");
    assert!(health.damaged[0].contains("damaged at byte"), "{health:?}");
    ledger.append(entry(1, Durability::Power)).await.unwrap();
    ledger.close().await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "evidence stays as it was");
    assert!(verify_directory(dir.path(), &Trust::default()).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_that_a_checkpoint_covers_is_not_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    some(dir.path(), 5).await;
    let path = &segments(dir.path())[0];
    let text = std::fs::read_to_string(path).unwrap();
    let cut = text.trim_end().rfind('\n').unwrap() + 1;
    std::fs::write(path, &text[..cut]).unwrap();
    let ledger = open(options(dir.path())).await;
    assert_eq!(ledger.health().writer.as_str(), "w-0002");
    assert!(ledger.health().damaged[0].contains("a checkpoint covers"));
    ledger.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_follow_each_other_and_an_interrupted_start_of_one_is_redone() {
    let dir = tempfile::tempdir().unwrap();
    let small = || LedgerOptions { segment_bytes: 1_000, ..options(dir.path()) };
    let ledger = open(small()).await;
    ledger.append(Entry { span: Span::Intent(id(900)), ..entry(900, Durability::Power) }).await.unwrap();
    for n in 1..=40 {
        ledger.append(entry(n, if n % 2 == 0 { Durability::Power } else { Durability::Process })).await.unwrap();
    }
    ledger.close().await.unwrap();
    drop(ledger);
    let found = segments(dir.path());
    assert!(found.len() >= 5, "{found:?}");
    for begun in [&b""[..], b"0123456789abcdef"] {
        let next = dir.path().join("w-0001").join(format!("{:020}.log", records(dir.path()).len() + 1));
        std::fs::write(&next, begun).unwrap();
        let ledger = open(small()).await;
        assert_eq!(ledger.health().damaged, Vec::<String>::new());
        ledger.close().await.unwrap();
    }
    let intact = verify_directory(dir.path(), &Trust::default()).unwrap();
    assert_eq!(intact.records, records(dir.path()).len() as u64);
    assert!((1..=40).all(|n| has(dir.path(), n)));
    assert_eq!(records(dir.path()).iter().filter(|r| r.contains("indeterminate")).count(), 1, "known across segments");
}
