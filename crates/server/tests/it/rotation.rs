//! Keys that seal, changed through the program: kill -9 at any moment, again and again, while a gateway serves. After each kill every
//! secret opens, and the same command comes to its end.
//!
//! The environment variable `BAILIWICK_ROTATION_KILLS` sets how often (12 in an ordinary run, 100 for the record).

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_model::OrgId;
use bailiwick_store::{DatabaseUrl, Migrate, OpenOptions, RootKeySource, Store};
use bailiwick_testkit::app::App;
use bailiwick_testkit::client::{Client, Era};
use bailiwick_testkit::time::{ManualClock, SeededRandom};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::base::{Base, on_both};
use crate::scene::{client, started, talk};

const KILLS: &str = "BAILIWICK_ROTATION_KILLS";
const KILLS_USUAL: usize = 12;
/// Several batches of one organisation, and organisations enough for a walk over all keys to take a while.
const SECRETS: usize = 300;
const ORGS: usize = 40;
/// The organisation whose key changes, and in which the agent works.
const ORG: &str = "default";

on_both! { every_secret_opens_after_kills, a_change_is_told_step_by_step }

async fn every_secret_opens_after_kills(base: &Base<'_>) {
    let kills = std::env::var_os(KILLS).map_or(KILLS_USUAL, |text| text.to_str().unwrap().parse().unwrap());
    let seed = any_seed();
    eprintln!("seed {seed}");
    let random = SeededRandom::new(seed);
    let mut scene = Scene::start(base).await;
    // What a gateway has opened it keeps, so it serves on when its root key is gone.
    scene.client().call("files_list_dir", json!({})).await.unwrap();
    let calls = tokio::spawn(call_until_told(scene.client(), scene.stop.clone()));
    let usual = [0, 1, 2].map(|kind| scene.run_to_the_end(kind));
    let mut halves = 0;
    for kill in 0..kills {
        let args = scene.command(kill);
        let moment = usual[kill % 3].mul_f64(0.2 + 0.8 * (random.next_u64() % 1_000) as f64 / 1_000.0);
        scene.kill_after(&args, moment).await;
        halves += usize::from(scene.is_half_done(kill, &scene.all_open()));
        scene.run_again(&args, &format!("kill {kill} after {moment:?}"));
        scene.is_done(kill);
    }
    scene.stop.notify_one();
    let calls = calls.await.unwrap();
    assert!(calls > 0, "the gateway of the first root key served nothing");
    scene.ends_well().await;
    eprintln!("{kills} kills within {usual:?}, {halves} left a change half done; {calls} calls at the same time");
}

async fn a_change_is_told_step_by_step(base: &Base<'_>) {
    let setup = base.setup("");
    assert!(setup.command(&["org", "create", "acme"]).status.success());
    setup.place().file("value", "hunter-2-hunter-2");
    assert!(setup.command(&["secret", "set", "T", "--org", "acme", "--from-file", "value"]).status.success());
    let told = |args: &[&str]| {
        let output = setup.command(args);
        (output.status.code(), talk(&output), String::from_utf8(output.stdout).unwrap())
    };
    let usage = [
        &["keys", "rotate"][..],
        &["keys", "rotate", "--org", "acme", "--root"],
        &["keys", "rotate", "--org", "a", "--new-root-key-file", "f"],
    ];
    for args in usage {
        assert_eq!(told(args).0, Some(2), "{args:?}");
    }
    let (code, talk, _) = told(&["keys", "retire", "--org", "acme", "--version", "1"]);
    assert!(code == Some(5) && talk.contains("newest") && talk.contains("event: "), "{talk}");
    let (code, talk, _) = told(&["keys", "rotate", "--org", "acme"]);
    assert!(code == Some(0) && talk.contains("Version 2 of the key of `acme`") && talk.contains("1 data keys"), "{talk}");
    let (_, talk, table) = told(&["keys", "status", "--org", "acme", "--verify"]);
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().take(3).collect()).collect();
    assert_eq!(rows, [["ORG", "VERSION", "ROWS"], ["acme", "1", "0"], ["acme", "2", "1"]], "{table}");
    assert!(talk.contains("All 1 sealed values open."), "{talk}");
    assert_eq!(told(&["keys", "retire", "--org", "acme", "--version", "1"]).0, Some(0));
    assert_eq!(told(&["keys", "retire", "--org", "acme", "--version", "1"]).0, Some(4));
    assert_eq!(told(&["keys", "status", "--org", "none"]).0, Some(4));
    let (code, talk, _) = told(&["keys", "rotate", "--root"]);
    assert!(code == Some(2) && talk.contains("--yes"), "{talk}");
    let (code, talk, _) = told(&["keys", "status", "--server", "http://127.0.0.1:1"]);
    assert!(code == Some(2) && talk.contains("at the machine"), "{talk}");

    let (code, talk, _) = told(&["keys", "rotate", "--root", "--new-root-key-file", "new.key"]);
    assert!(code == Some(0) && talk.contains("created the root key") && talk.contains("root_key_file"), "{talk}");
    use_root(setup.place(), "new.key");
    assert_eq!(told(&["keys", "rotate", "--root", "--yes"]).0, Some(0));
    assert_eq!(told(&["keys", "status", "--verify"]).0, Some(0));
    use_root(setup.place(), "root.key");
    let (code, talk, _) = told(&["keys", "status"]);
    assert!(code == Some(6) && talk.contains("root_key_file"), "{talk}");

    use_root(setup.place(), "new.key");
    let events: Value = serde_json::from_str(&told(&["audit", "list", "-o", "json"]).2).unwrap();
    let deeds = events.as_array().unwrap().iter().filter(|event| event["tool"].as_str().is_some_and(|tool| tool.starts_with("keys ")));
    let deeds: Vec<_> =
        deeds.map(|event| (event["tool"].as_str().unwrap(), event["server"].as_str().unwrap(), event["ok"] == true)).collect();
    let expected = [("keys retire", "acme version 1", false), ("keys rotate", "acme", true), ("keys retire", "acme version 1", true)];
    assert!(expected.iter().all(|deed| deeds.contains(deed)) && deeds.len() == 6, "{deeds:?}");
}

/// Another seed in every run.
fn any_seed() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0)
}

/// Names another root key in the configuration.
fn use_root(place: &bailiwick_testkit::place::Place, name: &str) {
    let text = place.read("bailiwick.yml");
    let line = format!("root_key_file: '{}'", place.join(name).display());
    let lines = text.lines().map(|old| if old.starts_with("root_key_file:") { line.as_str() } else { old });
    std::fs::write(place.join("bailiwick.yml"), lines.collect::<Vec<_>>().join("\n")).unwrap();
}

struct Scene {
    app: App,
    key: String,
    /// The root key that is configured, by its number.
    root: usize,
    stop: Arc<tokio::sync::Notify>,
    database: DatabaseUrl,
}

impl Scene {
    async fn start(base: &Base<'_>) -> Self {
        let setup = base.setup("").file("files/a.txt", "a");
        let (app, [key]) = started(setup, [("r-1", "reader")]);
        std::fs::rename(app.place().join("root.key"), app.place().join("root-0.key")).unwrap();
        use_root(app.place(), "root-0.key");
        let database = base.database(app.place());
        let scene = Self { app, key, root: 0, stop: Arc::default(), database };
        scene.fill().await;
        scene
    }

    fn client(&self) -> Client {
        client(&self.app, &self.key, Era::Modern)
    }

    async fn store(&self) -> Store {
        let root_key = RootKeySource::File { path: self.app.place().join(&format!("root-{}.key", self.root)), create: false };
        let options = OpenOptions {
            database: self.database.clone(),
            root_key,
            clock: Arc::new(ManualClock::default()),
            random: Arc::new(SeededRandom::new(any_seed())),
            migrate: Migrate::Verify,
        };
        Store::open(options).await.unwrap()
    }

    async fn fill(&self) {
        let store = self.store().await;
        let operator = store.platform("test").unwrap();
        for number in 0..ORGS {
            let org = OrgId::parse(&format!("org-{number}")).unwrap();
            store.orgs().create(&operator, &org).await.unwrap();
            store.secrets().put(&operator.within(&org), "s", &"value".into()).await.unwrap();
        }
        let scope = operator.within(&OrgId::parse(ORG).unwrap());
        for number in 0..SECRETS {
            store.secrets().put(&scope, &format!("s{number}"), &format!("value {number}").into()).await.unwrap();
        }
        store.close().await;
    }

    /// What is done at this turn: an organisation's key, a root key beside the first, the end of the first.
    fn command(&mut self, turn: usize) -> Vec<String> {
        let next = self.app.place().join(&format!("root-{}.key", self.root + 1)).display().to_string();
        let words = match turn % 3 {
            0 => vec!["keys", "rotate", "--org", ORG],
            1 => vec!["keys", "rotate", "--root", "--new-root-key-file", &next],
            _ => {
                self.root += 1;
                use_root(self.app.place(), &format!("root-{}.key", self.root));
                vec!["keys", "rotate", "--root", "--yes"]
            }
        };
        words.into_iter().map(str::to_owned).collect()
    }

    fn run_to_the_end(&mut self, turn: usize) -> Duration {
        let args = self.command(turn);
        let began = Instant::now();
        self.run_again(&args, "undisturbed");
        let took = began.elapsed();
        self.is_done(turn);
        took
    }

    fn run_again(&self, args: &[String], story: &str) {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ended = self.app.command(&args);
        assert!(ended.status.success(), "{story}, {args:?}: {}", talk(&ended));
    }

    async fn kill_after(&self, args: &[String], moment: Duration) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        command.args(args).arg("--config").arg(self.app.place().join("bailiwick.yml")).env_clear().env("HOME", self.app.place().path());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        if tokio::time::timeout(moment, child.wait()).await.is_err() {
            child.kill().await.unwrap();
        }
    }

    /// Every sealed value opens with the configured root key. Gives the status.
    fn all_open(&self) -> Value {
        let output = self.app.command(&["keys", "status", "--verify", "-o", "json"]);
        assert!(output.status.success(), "{}", talk(&output));
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        let opened = status["opened"].as_u64().unwrap();
        assert!(opened >= (SECRETS + ORGS) as u64 && status["unreadable"] == json!([]), "{opened} opened");
        status
    }

    /// Whether a kill came in the middle of the change.
    fn is_half_done(&self, turn: usize, status: &Value) -> bool {
        let keys = status["keys"].as_array().unwrap();
        if turn.is_multiple_of(3) {
            return keys.iter().filter(|key| key["org"] == ORG && key["rows"].as_i64() > Some(0)).count() > 1;
        }
        let double = keys.iter().filter(|key| key["root_keys"].as_array().unwrap().len() == 2).count();
        double > 0 && double < keys.len()
    }

    /// The change has come to its end, and what it replaced can go.
    fn is_done(&self, turn: usize) {
        let status = self.all_open();
        let keys = status["keys"].as_array().unwrap();
        let wanted = if turn % 3 == 1 { 2 } else { 1 };
        assert!(keys.iter().all(|key| key["root_keys"].as_array().unwrap().len() == wanted), "turn {turn}: {status}");
        for key in keys.iter().filter(|key| key["org"] == ORG && turn.is_multiple_of(3) && key["newest"] == false) {
            assert_eq!(key["rows"], 0, "{status}");
            self.run_again(&["keys", "retire", "--org", ORG, "--version", &key["version"].to_string()].map(str::to_owned), "moved");
        }
    }

    /// Every secret has its value, the ledger is whole, and the gateway starts with the last root key.
    async fn ends_well(mut self) {
        let store = self.store().await;
        let scope = store.platform("test").unwrap().within(&OrgId::parse(ORG).unwrap());
        for number in 0..SECRETS {
            let value = store.secrets().open(&scope, &format!("s{number}")).await.unwrap();
            assert_eq!(value.expose_secret(), format!("value {number}"));
        }
        store.close().await;
        assert_eq!(self.app.terminate().code(), Some(0), "{}", self.app.stderr());
        self.app.restart();
        self.client().call("files_list_dir", json!({})).await.unwrap();
        assert_eq!(self.app.terminate().code(), Some(0), "{}", self.app.stderr());
        let proof = self.app.command(&["audit", "verify"]);
        assert_eq!(proof.status.code(), Some(0), "{}", talk(&proof));
    }
}

/// A gateway that has the first root key serves on, and writes. Gives the number of its answers.
async fn call_until_told(client: Client, stop: Arc<tokio::sync::Notify>) -> usize {
    let mut calls = 0;
    let told = stop.notified();
    tokio::pin!(told);
    loop {
        tokio::select! {
            biased;
            () = &mut told => return calls,
            answer = client.call("files_list_dir", json!({})) => {
                let answer = answer.unwrap();
                assert_ne!(answer["isError"], true, "{answer}");
                calls += 1;
            }
        }
    }
}
