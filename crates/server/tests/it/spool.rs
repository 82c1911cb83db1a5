//! The ledger stops recording between the intent of a call and its outcome: the deed is done, so its answer leaves as soon as the
//! outcome has a place in memory, and the outcome reaches the ledger when that works again.

use std::time::{Duration, Instant};

use bailiwick_testkit::app::App;
use bailiwick_testkit::client::{Client, Era};
use bailiwick_testkit::postgres::HeldSession;
use bailiwick_testkit::upstream::{Behaviour, FakeUpstream};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::base::{Base, on_both, wait_for_tool};
use crate::proof::Ledger;
use crate::scene::{client, code, port, started};

/// How long the server takes, so that the ledger can be stopped meanwhile.
const WORK_MS: u64 = 1_500;
/// How soon after that the answer must be there: the ledger is waited for two seconds.
const ANSWER_MAX: Duration = Duration::from_secs(8);
/// How soon calls work again.
const RECOVERED_MAX: Duration = Duration::from_secs(15);

on_both! {
    answers_leave_while_their_outcomes_wait,
    a_full_spool_keeps_answers_back_and_admits_nothing,
    what_waited_at_a_kill_is_indeterminate,
    strict_writes_lets_reads_go_on,
    best_effort_lets_every_call_go_on,
}

/// The ledger cannot be written while this lives.
enum Outage {
    Limit(Pid, Rlimit),
    Lock(#[expect(dead_code, reason = "held")] HeldSession),
}

impl Outage {
    fn begin(base: &Base<'_>, app: &App) -> Self {
        match base {
            Base::Sqlite => {
                let pid = Pid::from_raw(app.process_id().unwrap().cast_signed());
                let segment = app.place().join("state/ledger/w-0001/00000000000000000001.log");
                let current = Some(segment.metadata().unwrap().len());
                Self::Limit(pid.unwrap(), prlimit(pid, Resource::Fsize, Rlimit { current, maximum: None }).unwrap())
            }
            Base::Postgres(server, database) => {
                Self::Lock(server.hold(database, "BEGIN; LOCK TABLE ledger_records IN ACCESS EXCLUSIVE MODE"))
            }
        }
    }
}

impl Drop for Outage {
    fn drop(&mut self) {
        if let Self::Limit(pid, before) = self {
            // A killed process has no limits any more.
            let _ = prlimit(Some(*pid), Resource::Fsize, *before);
        }
    }
}

struct Scene {
    app: App,
    client: Client,
    upstream: FakeUpstream,
}

type Running = JoinHandle<Value>;

impl Scene {
    async fn start(base: &Base<'_>, more: &str) -> Self {
        let upstream = FakeUpstream::start(Behaviour::default());
        let (app, [key]) = started(base.setup_before_with(&upstream, more), [("w-1", "worker")]);
        let client = client(&app, &key, Era::Modern);
        wait_for_tool(&client, "fake__write_note").await;
        upstream.set(|behaviour| behaviour.delay_ms = WORK_MS);
        Self { app, client, upstream }
    }

    fn call(&self, run: &str) -> Running {
        self.call_tool("fake__write_note", run)
    }

    fn call_tool(&self, tool: &str, run: &str) -> Running {
        let (client, run) = (self.client.clone(), run.to_owned());
        let params = json!({"name": tool, "arguments": {"payload": run}, "_meta": {"dev.bailiwick/runId": run}});
        tokio::spawn(async move { client.request("tools/call", params).await.unwrap().result })
    }

    /// Calls that have reached the server when this returns, and the ledger that stopped then.
    async fn stopped_under(&self, base: &Base<'_>, runs: &[&str]) -> (Vec<Running>, Outage) {
        let running = runs.iter().map(|run| self.call(run)).collect();
        let began = Instant::now();
        while self.upstream.calls("write_note").len() < runs.len() {
            assert!(began.elapsed() < ANSWER_MAX, "the calls do not arrive");
            tokio::task::yield_now().await;
        }
        (running, Outage::begin(base, &self.app))
    }

    async fn calls_work_again(&self) {
        self.upstream.set(|behaviour| behaviour.delay_ms = 0);
        let began = Instant::now();
        while self.call("again").await.unwrap()["isError"] == true {
            assert!(began.elapsed() < RECOVERED_MAX, "calls still do not work: {}", self.app.stderr());
        }
    }

    fn ended(&mut self) -> Ledger {
        assert_eq!(self.app.terminate().code(), Some(0), "{}", self.app.stderr());
        Ledger::proven(&self.app)
    }
}

async fn answer(running: Running, run: &str) {
    let result = tokio::time::timeout(ANSWER_MAX, running).await.unwrap_or_else(|_| panic!("{run} is not answered")).unwrap();
    assert_eq!(result["content"][0]["text"], run, "{result}");
}

fn statuses<'l>(ledger: &'l Ledger, run: &str) -> Vec<&'l str> {
    ledger.ends.get(run).map(|ends| ends.iter().map(|(_, status)| status.as_str()).collect()).unwrap_or_default()
}

async fn answers_leave_while_their_outcomes_wait(base: &Base<'_>) {
    let mut scene = Scene::start(base, "").await;
    let runs = ["a", "b", "c"];
    let (running, outage) = scene.stopped_under(base, &runs).await;
    for (running, run) in running.into_iter().zip(runs) {
        answer(running, run).await;
    }
    let refused = scene.call("refused").await.unwrap();
    assert_eq!(code(&refused), "audit_unavailable", "{refused}");
    let health = text_at(&scene.app, "/health");
    assert!(health.contains("\"calls_unrecorded\":3"), "{health}");
    drop(outage);
    scene.calls_work_again().await;
    let ledger = scene.ended();
    for run in runs {
        assert_eq!(statuses(&ledger, run), ["ok"], "{run}");
    }
    assert_eq!(ledger.indeterminate, 0);
    assert!(!scene.upstream.calls("write_note").iter().any(|arguments| arguments.contains("refused")), "a refused call had its effect");
}

async fn a_full_spool_keeps_answers_back_and_admits_nothing(base: &Base<'_>) {
    let mut scene = Scene::start(base, "limits: {spool_records_max: 1}\n").await;
    let runs = ["a", "b", "c"];
    let (mut running, outage) = scene.stopped_under(base, &runs).await;
    let began = Instant::now();
    while running.iter().filter(|running| running.is_finished()).count() == 0 {
        assert!(began.elapsed() < ANSWER_MAX, "nobody is answered");
        tokio::task::yield_now().await;
    }
    let refused = scene.call("refused").await.unwrap();
    assert_eq!(code(&refused), "audit_unavailable", "{refused}");
    assert_eq!(running.iter().filter(|running| running.is_finished()).count(), 1, "answers left that the spool had no place for");
    drop(outage);
    for run in runs {
        answer(running.remove(0), run).await;
    }
    scene.calls_work_again().await;
    let ledger = scene.ended();
    for run in runs {
        assert_eq!(statuses(&ledger, run), ["ok"], "{run}");
    }
}

async fn what_waited_at_a_kill_is_indeterminate(base: &Base<'_>) {
    let mut scene = Scene::start(base, "").await;
    let (mut running, outage) = scene.stopped_under(base, &["a"]).await;
    answer(running.remove(0), "a").await;
    scene.app.kill();
    drop(outage);
    scene.app.restart();
    let ledger = scene.ended();
    assert_eq!(statuses(&ledger, "a"), ["indeterminate"], "it was answered, and its outcome was only in memory");
}

async fn strict_writes_lets_reads_go_on(base: &Base<'_>) {
    let mut scene = Scene::start(base, "    trust: first_party\naudit: {mode: strict-writes}\n").await;
    let outage = Outage::begin(base, &scene.app);
    answer(scene.call_tool("fake__echo", "read"), "read").await;
    let refused = scene.call("write").await.unwrap();
    assert_eq!(code(&refused), "audit_unavailable", "{refused}");
    drop(outage);
    scene.calls_work_again().await;
    let ledger = scene.ended();
    assert_eq!(statuses(&ledger, "read"), ["ok"]);
    assert!(scene.upstream.calls("write_note").iter().all(|arguments| arguments.contains("again")), "a refused call had its effect");
}

async fn best_effort_lets_every_call_go_on(base: &Base<'_>) {
    let mut scene = Scene::start(base, "audit: {mode: best-effort}\n").await;
    let outage = Outage::begin(base, &scene.app);
    answer(scene.call("write"), "write").await;
    assert!(text_at(&scene.app, "/health").contains("degraded"));
    drop(outage);
    scene.calls_work_again().await;
    assert_eq!(statuses(&scene.ended(), "write"), ["ok"]);
}

/// The body at `path` of the program's own port.
fn text_at(app: &App, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port(app))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n", port(app)).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}
