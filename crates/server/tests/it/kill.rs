//! kill -9 in the middle of work, again and again: what was answered is on the ledger, what was done has its intent, the chain is
//! whole, and the program is back at once.
//!
//! The environment variable `BAILIWICK_KILL_CYCLES` sets how often (5 in an ordinary run, 200 for the record).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_testkit::app::App;
use bailiwick_testkit::client::{Client, Era, Fault};
use bailiwick_testkit::time::SeededRandom;
use bailiwick_testkit::upstream::{Behaviour, FakeUpstream};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::base::{Base, on_both, wait_for_tool};
use crate::proof::Ledger;
use crate::scene::{client, started, talk};

const CYCLES: &str = "BAILIWICK_KILL_CYCLES";
const CYCLES_USUAL: usize = 5;
/// Clients that call at the same time, each on a connection of its own, every second one in a session.
const CLIENTS: usize = 8;
/// The kill comes after fewer answers than this, and then at any moment within these microseconds.
const ANSWERS_BEFORE_KILL_MAX: u64 = 200;
const KILL_DELAY_MICROS_MAX: u64 = 4_000;
/// How soon the program has to be ready again (reference, security section 15).
const READY_MAX: Duration = Duration::from_secs(2);
/// Answered calls that are looked up in the readable index at the end; each costs a process.
const LOOKED_UP_MAX: usize = 5;

on_both! { no_answered_call_is_lost_by_kills }

/// What a client was told of its call.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Done,
    Unknown,
}

async fn no_answered_call_is_lost_by_kills(base: &Base<'_>) {
    let cycles = std::env::var_os(CYCLES).map_or(CYCLES_USUAL, |text| text.to_str().unwrap().parse().unwrap());
    let random = seeded();
    let upstream = FakeUpstream::start(Behaviour::default());
    // The server's word that `echo` only reads counts, so that both kinds of records are made.
    let (mut app, [key]) = started(base.setup_before_with(&upstream, "    trust: first_party\n"), [("w-1", "worker")]);
    wait_for_tool(&client(&app, &key, Era::Modern), "fake__write_note").await;
    let (mut answered, mut slowest) = (HashMap::new(), Duration::ZERO);
    let mut last = Vec::new();
    for cycle in 0..cycles {
        let load = Load::start(&app, &key, cycle);
        load.wait_for_answers(random.next_u64() % ANSWERS_BEFORE_KILL_MAX).await;
        spin(Duration::from_micros(random.next_u64() % KILL_DELAY_MICROS_MAX));
        app.kill();
        let told = load.end().await;
        last.extend(told.last().map(|(run, _)| run.clone()));
        answered.extend(told);
        let took = app.restart();
        assert!(took < READY_MAX, "cycle {cycle}: ready only after {took:?}");
        slowest = slowest.max(took);
        if cycle % 20 == 19 {
            eprintln!("{} kills, {} answered calls, ready after {took:?}", cycle + 1, answered.len());
        }
    }
    assert_eq!(app.terminate().code(), Some(0), "{}", app.stderr());
    let ledger = Ledger::proven(&app);
    ledger.holds_all(&answered);
    ledger.knew_before(&upstream.calls("write_note"));
    ledger.has_no_loose_ends(&answered);
    for run in last.iter().rev().take(LOOKED_UP_MAX) {
        let event = ledger.ends[run.as_str()][0].0.as_str();
        let row = app.command(&["audit", "show", event, "-o", "json"]);
        assert!(row.status.success(), "{run} is not in the index: {}", talk(&row));
    }
    assert!(answered.values().any(|told| *told == Told::Done), "nothing was called");
    eprintln!(
        "{cycles} kills: {} answered calls, {} effects, {} records, {} calls closed as indeterminate, ready after {slowest:?} at the latest",
        answered.len(),
        upstream.calls("write_note").len(),
        ledger.records,
        ledger.indeterminate
    );
}

/// Another seed in every run, printed so that a failure can be repeated with less luck.
fn seeded() -> SeededRandom {
    use std::hash::{BuildHasher as _, RandomState};
    let seed = RandomState::new().hash_one(0);
    eprintln!("seed {seed}");
    SeededRandom::new(seed)
}

/// Shorter than a timer can be.
fn spin(span: Duration) {
    let began = Instant::now();
    while began.elapsed() < span {
        std::hint::spin_loop();
    }
}

/// Clients that call until they are cut off.
struct Load {
    clients: Vec<JoinHandle<Vec<(String, Told)>>>,
    answers: Arc<Semaphore>,
}

impl Load {
    fn start(app: &App, key: &str, cycle: usize) -> Self {
        let answers = Arc::new(Semaphore::new(0));
        let clients = (0..CLIENTS).map(|number| {
            let client = client(app, key, if number % 2 == 0 { Era::Modern } else { Era::LEGACY });
            tokio::spawn(call_until_cut_off(client, format!("k{cycle}-{number}"), answers.clone()))
        });
        Self { clients: clients.collect(), answers }
    }

    async fn wait_for_answers(&self, count: u64) {
        let wanted = self.answers.acquire_many(u32::try_from(count).unwrap());
        drop(tokio::time::timeout(Duration::from_secs(60), wanted).await.expect("answers").unwrap());
    }

    async fn end(self) -> Vec<(String, Told)> {
        let mut told = Vec::new();
        for client in self.clients {
            told.extend(client.await.unwrap());
        }
        told
    }
}

/// Effects and reads by turns. Gives the run of every call that was answered, and how.
async fn call_until_cut_off(client: Client, name: String, answers: Arc<Semaphore>) -> Vec<(String, Told)> {
    let mut told = Vec::new();
    if client.era() != Era::Modern && client.open().await.is_err() {
        return told;
    }
    for number in 0.. {
        let run = format!("{name}-{number}");
        let tool = if number % 2 == 0 { "fake__write_note" } else { "fake__echo" };
        let meta = json!({"dev.bailiwick/runId": run});
        let answer = client.request("tools/call", json!({"name": tool, "arguments": {"payload": run}, "_meta": meta})).await;
        match answer {
            Ok(reply) => {
                assert_ne!(reply.result["isError"], true, "{run}: {}", reply.text);
                assert_eq!(reply.result["content"][0]["text"], run, "{}", reply.text);
                told.push((run, Told::Done));
            }
            // Right after a start the tools of a server may not be known yet.
            Err(Fault::Rpc { code: -32602, .. }) => told.push((run, Told::Unknown)),
            Err(Fault::Lost(_)) => break,
            Err(other) => panic!("{run}: {other}"),
        }
        answers.add_permits(1);
    }
    told
}

trait Accounts {
    fn holds_all(&self, answered: &HashMap<String, Told>);
    fn knew_before(&self, effects: &[String]);
    fn has_no_loose_ends(&self, answered: &HashMap<String, Told>);
}

impl Accounts for Ledger {
    /// What was answered is recorded, once and with its true end.
    fn holds_all(&self, answered: &HashMap<String, Told>) {
        for (run, told) in answered {
            let ends = self.ends.get(run).unwrap_or_else(|| panic!("{run} was answered ({told:?}) and is not on the ledger"));
            let expected = if *told == Told::Done { "ok" } else { "refused" };
            assert_eq!(ends.iter().map(|(_, status)| status.as_str()).collect::<Vec<_>>(), [expected], "{run}");
        }
    }

    /// What reached the server had an intent.
    fn knew_before(&self, effects: &[String]) {
        let intended: HashSet<&str> = self.intents.values().map(String::as_str).collect();
        for arguments in effects {
            let run = serde_json::from_str::<Value>(arguments).unwrap()["payload"].as_str().unwrap().to_owned();
            assert!(intended.contains(run.as_str()), "{run} had its effect without an intent");
        }
    }

    /// Every intent has exactly one end, and only unanswered calls ended as indeterminate.
    fn has_no_loose_ends(&self, answered: &HashMap<String, Told>) {
        for (event, run) in &self.intents {
            let ends: Vec<_> = self.ends.get(run).into_iter().flatten().filter(|(of, _)| of == event).collect();
            assert_eq!(ends.len(), 1, "{run} ({event}) ended {ends:?}");
            assert!(ends[0].1 != "indeterminate" || !answered.contains_key(run), "{run} was answered");
        }
    }
}
