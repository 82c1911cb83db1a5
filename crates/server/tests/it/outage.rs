//! What the ledger needs is gone: the disk is full, a file may not grow, the database is locked or stopped. Calls stop before their
//! effect and say why; when the cause is gone they go on by themselves.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bailiwick_testkit::app::{App, AppSetup, http_status, poll};
use bailiwick_testkit::client::{Client, Era, Fault};
use bailiwick_testkit::needs::needs;
use bailiwick_testkit::postgres::Postgres;
use bailiwick_testkit::upstream::{Behaviour, FakeUpstream};
use rusqlite::Connection;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::base::{Base, wait_for_tool};
use crate::scene::{client, code, port, talk};

/// A call that is not answered for so long is set aside: its effect has happened and its outcome waits for the ledger.
const PATIENCE: Duration = Duration::from_secs(5);
/// How soon calls must be refused, and how soon they must work again.
const NOTICED_MAX: Duration = Duration::from_secs(15);
/// Calls made after the first refusal.
const CALLS_IN_TROUBLE: usize = 20;

type Answer = Result<Value, Fault>;

/// The program before a server that counts, and one client whose every call carries a text of its own.
struct Scene {
    app: App,
    client: Client,
    upstream: FakeUpstream,
    calls: usize,
    accepted: BTreeSet<String>,
    refused: BTreeSet<String>,
    /// Calls whose answers were kept back.
    held: Vec<(String, JoinHandle<Answer>)>,
}

impl Scene {
    async fn start(base: &Base<'_>, prepare: impl FnOnce(&AppSetup)) -> Self {
        let upstream = FakeUpstream::start(Behaviour::default());
        let setup = base.setup_before(&upstream);
        prepare(&setup);
        let key = setup.key("w-1", "worker");
        Self::go(setup.start(), &key, upstream).await
    }

    async fn go(app: App, key: &str, upstream: FakeUpstream) -> Self {
        let client = client(&app, key, Era::Modern);
        wait_for_tool(&client, "fake__write_note").await;
        let empty = BTreeSet::new;
        let mut scene = Self { app, client, upstream, calls: 0, accepted: empty(), refused: empty(), held: Vec::new() };
        assert_eq!(scene.call().await, None, "calls work before");
        scene
    }

    /// One call with an effect. Gives the reason when it was refused, or an empty text while its answer is kept back.
    async fn call(&mut self) -> Option<String> {
        self.calls += 1;
        let payload = format!("p{}", self.calls);
        let (client, arguments) = (self.client.clone(), json!({"payload": payload}));
        let mut running = tokio::spawn(async move { client.call("fake__write_note", arguments).await });
        let Ok(answer) = tokio::time::timeout(PATIENCE, &mut running).await else {
            self.held.push((payload, running));
            return Some(String::new());
        };
        self.note(payload, answer.unwrap())
    }

    fn note(&mut self, payload: String, answer: Answer) -> Option<String> {
        let why = refusal(answer);
        if why.is_some() { &mut self.refused } else { &mut self.accepted }.insert(payload);
        why
    }

    /// Calls until one is refused, then some more. Gives the reasons.
    async fn until_refused(&mut self) -> BTreeSet<String> {
        let began = Instant::now();
        let mut reasons = BTreeSet::new();
        while self.refused.is_empty() {
            assert!(began.elapsed() < NOTICED_MAX, "nothing is refused; {} calls were accepted", self.accepted.len());
            reasons.extend(self.call().await);
        }
        let accepted = self.accepted.len();
        eprintln!("refused after {:?}; before that {accepted} accepted calls", began.elapsed());
        // What hangs takes its time with each of them.
        for _ in 0..CALLS_IN_TROUBLE {
            if began.elapsed() < NOTICED_MAX {
                reasons.extend(self.call().await);
            }
        }
        reasons.remove("");
        eprintln!("{reasons:#?}");
        self.check_effects();
        reasons
    }

    /// Calls until they work again, then some more that all must work. Calls whose answers were kept back are answered.
    async fn until_recovered(&mut self) {
        let began = Instant::now();
        while let Some(why) = self.call().await {
            assert!(began.elapsed() < NOTICED_MAX, "calls still do not work: {why}\n{}", self.app.stderr());
        }
        eprintln!("calls work again after {:?}; {} answers had been kept back", began.elapsed(), self.held.len());
        for _ in 0..CALLS_IN_TROUBLE {
            assert_eq!(self.call().await, None);
        }
        for (payload, running) in std::mem::take(&mut self.held) {
            assert_eq!(self.note(payload, running.await.unwrap()), None, "its effect has happened");
        }
        self.check_effects();
        self.wait_for_readiness(200);
    }

    /// What probes are told is looked at anew after a moment.
    fn wait_for_readiness(&self, status: u16) {
        let told = poll(NOTICED_MAX, || (http_status(port(&self.app), "/readyz") == Some(status)).then_some(()));
        assert!(told.is_some(), "`/readyz` never answers {status}");
    }

    /// No refused call reached the server, every other one did, once.
    fn check_effects(&self) {
        let arrived = self.upstream.calls("write_note");
        let payload = |text: &String| serde_json::from_str::<Value>(text).unwrap()["payload"].as_str().unwrap().to_owned();
        let payloads: BTreeSet<String> = arrived.iter().map(payload).collect();
        assert_eq!(payloads.len(), arrived.len(), "an effect happened twice");
        let held = self.held.iter().map(|(payload, _)| payload.clone());
        assert_eq!(payloads, self.accepted.iter().cloned().chain(held).collect());
    }

    /// What needs no record works; a read either has its record or is kept back; probes tell.
    async fn lives_on(&self) {
        assert_eq!(http_status(port(&self.app), "/livez"), Some(200));
        self.wait_for_readiness(503);
        assert!(self.client.tool_names().await.unwrap().iter().any(|name| name == "fake__echo"));
        let read = self.client.call("fake__echo", json!({"payload": "r"})).await.unwrap();
        assert!(read["isError"] != true || code(&read) == "audit_unavailable", "{read}");
    }

    fn ends_well(mut self) {
        assert_eq!(self.app.terminate().code(), Some(0), "{}", self.app.stderr());
        let proof = self.app.command(&["audit", "verify"]);
        assert_eq!(proof.status.code(), Some(0), "{}", talk(&proof));
    }
}

/// Why a call was refused; `None` when it was made. Ends the test when it failed in another way.
fn refusal(answer: Answer) -> Option<String> {
    let result = match answer {
        // With the database the keys are out of reach: nobody is let in.
        Err(Fault::Rpc { status: Some(503), message, .. } | Fault::Status(503, message)) => return Some(message),
        answer => answer.unwrap(),
    };
    if result["isError"] != true {
        return None;
    }
    let refusal = &result["structuredContent"];
    assert_eq!(refusal["code"], "audit_unavailable", "{result}");
    assert!(refusal["remedy"].is_string() && refusal["event_id"].is_string(), "{result}");
    Some(refusal["message"].as_str().unwrap().to_owned())
}

fn all_say(reasons: &BTreeSet<String>, words: &[&str]) {
    assert!(!reasons.is_empty());
    for reason in reasons {
        assert!(words.iter().any(|word| reason.contains(word)), "{reason:?} says none of {words:?}");
    }
}

/// A file system of a few MiB in memory, unmounted when dropped.
struct TinyDisk(PathBuf);

impl TinyDisk {
    fn mount(at: &Path, options: &str) -> Option<Self> {
        let root = rustix::process::geteuid().is_root();
        let mounted =
            root && Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).status().is_ok_and(|s| s.success());
        needs("root and the right to mount a small file system", mounted.then(|| Self(at.to_owned())))
    }

    fn fill(&self) {
        let mut ballast = File::create(self.0.join("ballast")).unwrap();
        let block = [0; 4096];
        while ballast.write_all(&block).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_calls_on_sqlite() {
    let base = Base::sqlite("a_full_disk_stops_calls");
    let mut disk = None;
    let mount = |setup: &AppSetup| {
        let state = setup.place().join("state");
        std::fs::create_dir(&state).unwrap();
        disk = TinyDisk::mount(&state, "size=4m,mode=0700");
    };
    let mut scene = Scene::start(&base, mount).await;
    let Some(disk) = disk else { return };
    disk.fill();
    all_say(&scene.until_refused().await, &["disk full"]);
    scene.lives_on().await;
    disk.free();
    scene.until_recovered().await;
    scene.ends_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_calls_on_postgres() {
    let Some(server) = Postgres::start() else { return };
    let base = Base::at(&server, "a_full_disk_stops_calls");
    let Base::Postgres(_, database) = &base else { unreachable!() };
    // Only the records lie on the small disk: the server itself must live.
    let place = tempfile::Builder::new().permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755)).tempdir().unwrap();
    let (uid, gid) = server.owner();
    let Some(disk) = TinyDisk::mount(place.path(), &format!("size=4m,mode=0700,uid={uid},gid={gid}")) else { return };
    let move_records = |setup: &AppSetup| {
        assert!(setup.command(&["db", "migrate"]).status.success());
        server.sql(database, &format!("CREATE TABLESPACE tiny LOCATION '{}'", disk.0.display()));
        server.sql(database, "ALTER TABLE ledger_records SET TABLESPACE tiny");
    };
    let mut scene = Scene::start(&base, move_records).await;
    disk.fill();
    all_say(&scene.until_refused().await, &["disk full"]);
    scene.lives_on().await;
    disk.free();
    scene.until_recovered().await;
    scene.ends_well();
}

/// What a disk quota or a limit of the service manager does; needs no rights.
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_the_size_of_files_stops_calls() {
    let base = Base::sqlite("a_limit_on_the_size_of_files_stops_calls");
    let mut scene = Scene::start(&base, |_| ()).await;
    let pid = Pid::from_raw(scene.app.process_id().unwrap().cast_signed());
    let segment = scene.app.place().join("state/ledger/w-0001/00000000000000000001.log");
    let now = segment.metadata().unwrap().len();
    let before = prlimit(pid, Resource::Fsize, Rlimit { current: Some(now + 100), maximum: None }).unwrap();
    all_say(&scene.until_refused().await, &["file size limit", "disk full", "reading or writing the database file failed"]);
    scene.lives_on().await;
    prlimit(pid, Resource::Fsize, before).unwrap();
    scene.until_recovered().await;
    scene.ends_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_stops_calls_on_sqlite() {
    let base = Base::sqlite("a_locked_database_stops_calls");
    let mut scene = Scene::start(&base, |_| ()).await;
    let other = Connection::open(scene.app.place().join("state/bailiwick.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let mut reasons = scene.until_refused().await;
    let began = Instant::now();
    while !reasons.iter().any(|reason| reason.contains("locked")) {
        assert!(began.elapsed() < NOTICED_MAX, "{reasons:?}");
        reasons.extend(scene.call().await);
    }
    all_say(&reasons, &["index database locked", "index database does not answer"]);
    scene.lives_on().await;
    other.execute_batch("ROLLBACK").unwrap();
    scene.until_recovered().await;
    scene.ends_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_tables_stop_calls_on_postgres() {
    let Some(base) = Base::postgres("locked_tables_stop_calls") else { return };
    let Base::Postgres(server, database) = &base else { unreachable!() };
    let mut scene = Scene::start(&base, |_| ()).await;
    for (table, words) in [("ledger_records", ["lock", "hung"]), ("events", ["locked", "does not answer"])] {
        eprintln!("{table} is locked");
        let held = server.hold(database, &format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"));
        all_say(&scene.until_refused().await, &words);
        scene.lives_on().await;
        drop(held);
        scene.until_recovered().await;
        scene.refused.clear();
    }
    scene.ends_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_and_a_stopped_server_stop_calls_on_postgres() {
    let Some(server) = Postgres::start() else { return };
    let base = Base::at(&server, "a_lost_and_a_stopped_server_stop_calls");
    let Base::Postgres(_, database) = &base else { unreachable!() };
    let mut scene = Scene::start(&base, |_| ()).await;
    server.sql(database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'bailiwick'");
    scene.until_recovered().await;
    scene.refused.clear();
    server.stop();
    all_say(&scene.until_refused().await, &["database", "keys cannot be checked"]);
    assert_eq!(http_status(port(&scene.app), "/livez"), Some(200));
    scene.wait_for_readiness(503);
    server.start_again();
    scene.until_recovered().await;
    scene.ends_well();
}
