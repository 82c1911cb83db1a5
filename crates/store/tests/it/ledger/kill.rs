//! Processes that are killed in the middle of writing: what was acknowledged is there, and the ledger is whole.
//!
//! The test program starts itself again as the process to be killed. `BAILIWICK_KILL_CYCLES` sets how often (5 in an ordinary run).

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use bailiwick_model::time::Timestamp;
use bailiwick_store::event::{Actor, EventFilter, EventKind, EventPage, EventRow};
use bailiwick_store::ledger::verify::{Kind, Trust, verify_directory};
use bailiwick_store::ledger::{Durability, Entry, LedgerOptions, Span};
use bailiwick_store::{Migrate, OpenOptions, RootKeySource, Store};

use super::harness::{Counting, Ticks, id, open, options, records};

const CHILD: &str = "BAILIWICK_KILL_CHILD";
const CYCLES: &str = "BAILIWICK_KILL_CYCLES";

async fn store(dir: &Path) -> Store {
    let database = bailiwick_store::DatabaseUrl::sqlite(&dir.join("bw.db")).unwrap();
    let (clock, random) = (Arc::new(Ticks::default()), Arc::new(Counting::default()));
    Store::open(OpenOptions { database, root_key: RootKeySource::None, clock, random, migrate: Migrate::Apply }).await.unwrap()
}

async fn ledger_options(dir: &Path) -> (LedgerOptions, Store) {
    let store = store(dir).await;
    let options = options(&dir.join("ledger")).with_index(Arc::new(store.clone()));
    (LedgerOptions { segment_bytes: 200_000, ..options }, store)
}

/// The process that is killed: appends with eight tasks as fast as it can and prints every number that was acknowledged.
#[test]
#[ignore = "started by the test below"]
fn child() {
    let Some(dir) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (options, _store) = ledger_options(&dir).await;
        let ledger = open(options).await;
        let start = ledger.health().written * 1_000_000;
        let tasks: Vec<_> = (0..8u64)
            .map(|task| {
                let ledger = ledger.clone();
                tokio::spawn(async move {
                    for n in (start + task..).step_by(8) {
                        let durability = if task == 0 { Durability::Power } else { Durability::Process };
                        let span = if n % 16 < 8 { Span::Single(id(n)) } else { Span::Intent(id(n)) };
                        let row = EventRow::new(id(n), Timestamp::from_micros(1), EventKind::Call, Actor::unknown());
                        let row = matches!(span, Span::Single(_)).then(|| Box::new(row));
                        let bytes = format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(200)).into_bytes();
                        if ledger.append(Entry { bytes, durability, span, row }).await.is_ok() {
                            let line = format!("{n}\n");
                            std::io::stdout().write_all(line.as_bytes()).unwrap();
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Starts the child, kills it after `lines` acknowledgements, and returns all that it printed.
fn run_and_kill(dir: &Path, lines: usize) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ledger::kill::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut killed = false;
    let mut line = String::new();
    while out.read_line(&mut line).unwrap() > 0 {
        // The test runner prints lines of its own; a last line without newline was cut off by the kill.
        if let Some(n) = line.strip_suffix('\n').and_then(|n| n.parse().ok()) {
            acknowledged.push(n);
        }
        line.clear();
        if !killed && acknowledged.len() >= lines {
            child.kill().unwrap();
            killed = true;
        }
    }
    assert!(killed, "the child ended by itself: {:?}", child.wait());
    child.wait().unwrap();
    acknowledged
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let cycles = std::env::var_os(CYCLES).map_or(5, |n| n.to_str().unwrap().parse::<usize>().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut acknowledged = Vec::new();
    for cycle in 0..cycles {
        // Spread over first entries, batches in flight, and segments that change.
        acknowledged.extend(run_and_kill(dir.path(), 1 + cycle * 7919 % 1500));
        match verify_directory(&dir.path().join("ledger"), &Trust::default()) {
            Ok(_) => {}
            Err(finding) => assert!(matches!(finding.kind, Kind::TornTail | Kind::Checkpoint), "cycle {cycle}: {finding}"),
        }
    }
    runtime.block_on(async {
        let (options, store) = ledger_options(dir.path()).await;
        let ledger = open(options).await;
        ledger.close().await.unwrap();
        let intact = verify_directory(&dir.path().join("ledger"), &Trust::default()).unwrap();
        assert_eq!((intact.writers.len(), intact.writers[0].epoch), (1, cycles as u64 + 1));
        let recorded: BTreeSet<u64> = records(&dir.path().join("ledger")).iter().filter_map(|r| number(r)).collect();
        let lost: Vec<_> = acknowledged.iter().filter(|n| !recorded.contains(n)).collect();
        assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), acknowledged.len());
        let rows = indexed(&store).await;
        let missing: Vec<_> = acknowledged.iter().filter(|n| !rows.contains(&id(**n).to_string())).collect();
        assert!(missing.is_empty(), "{} rows are missing: {missing:?}", missing.len());
        eprintln!("{cycles} kills, {} acknowledged, {} recorded", acknowledged.len(), recorded.len());
    });
}

fn number(record: &str) -> Option<u64> {
    serde_json::from_str::<serde_json::Value>(record).unwrap()["n"].as_u64()
}

/// Event ids of all rows, each once.
async fn indexed(store: &Store) -> BTreeSet<String> {
    let platform = store.platform("test").unwrap();
    let (mut found, mut after) = (BTreeSet::new(), 0);
    loop {
        let page = store.events().list_platform(&platform, &EventFilter::default(), EventPage::After(after), 500).await.unwrap();
        let Some(last) = page.last() else { return found };
        after = last.id;
        for event in page {
            assert!(found.insert(event.event_id.clone()), "twice in the index: {event:?}");
        }
    }
}
