//! Stopping: what runs is finished, nothing new is taken, the exit code says how it went.

use std::time::{Duration, Instant};

use bailiwick_testkit::app::{AppSetup, http_status};
use bailiwick_testkit::client::{Client, Era};
use bailiwick_testkit::upstream::{Behaviour, FakeUpstream};
use rustix::process::Signal;
use serde_json::json;

use crate::scene::{CONFIGURATION, client, port, setup, started};

const SLOW: &str = "\
agent_type: slow
servers: {fake: {}}
";

/// A server behind the gateway whose tool `sleep` takes its time.
fn behind(upstream: &FakeUpstream) -> AppSetup {
    let servers = format!("servers:\n  fake:\n    url: {}\n    allow_private: [127.0.0.0/8]\n", upstream.url());
    setup(&servers).file("manifests/slow.yml", SLOW)
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_the_running_call_finish_and_exits_0() {
    let upstream = FakeUpstream::start(Behaviour::default());
    let (mut app, [key]) = started(behind(&upstream), [("s-1", "slow")]);
    let client = client(&app, &key, Era::Modern);
    wait_for_tool(&client, "fake__sleep").await;
    let running = client.begin("tools/call", json!({"name": "fake__sleep", "arguments": {"ms": 700}}));
    upstream.wait_for("sleep", 1);
    app.signal(Signal::TERM);
    let answer = running.answer().await.unwrap();
    assert_ne!(answer.result["isError"], json!(true), "{}", answer.text);
    let status = app.wait_for_end();
    assert_eq!(status.code(), Some(0), "{}", app.stderr());
    assert!(app.stderr().contains("sigterm_received"), "{}", app.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_outlives_the_drain_is_cut_off_and_written_down() {
    let upstream = FakeUpstream::start(Behaviour::default());
    let servers = format!("servers:\n  fake:\n    url: {}\n    allow_private: [127.0.0.0/8]\n", upstream.url());
    let impatient = behind(&upstream).config(&format!("{}{servers}", CONFIGURATION.replace("drain_seconds: 10", "drain_seconds: 1")));
    let (mut app, [key]) = started(impatient, [("s-1", "slow")]);
    let client = client(&app, &key, Era::Modern);
    wait_for_tool(&client, "fake__sleep").await;
    let running = client.begin("tools/call", json!({"name": "fake__sleep", "arguments": {"ms": 20_000}}));
    upstream.wait_for("sleep", 1);
    let began = Instant::now();
    assert_eq!(app.terminate().code(), Some(0), "{}", app.stderr());
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(running.answer().await.is_err());
    let rows = app.command(&["audit", "list", "--tool", "fake__sleep", "-o", "json"]).stdout;
    let rows: serde_json::Value = serde_json::from_slice(&rows).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    assert_ne!(rows[0]["ok"], json!(true), "{rows}");
    assert!(app.command(&["audit", "verify"]).status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_goes_first_and_calls_are_still_taken() {
    let patient = setup("").config(&CONFIGURATION.replace("ready_delay_seconds: 0", "ready_delay_seconds: 1"));
    let (mut app, [key]) = started(patient, [("r-1", "reader")]);
    let port = port(&app);
    let client = client(&app, &key, Era::Modern);
    client.call("files_list_dir", json!({})).await.unwrap();
    app.signal(Signal::TERM);
    let began = Instant::now();
    while http_status(port, "/readyz") == Some(200) {
        assert!(began.elapsed() < Duration::from_secs(1), "never unready");
    }
    assert_eq!(http_status(port, "/readyz"), Some(503));
    assert_eq!(http_status(port, "/livez"), Some(200));
    client.call("files_list_dir", json!({})).await.unwrap();
    assert_eq!(app.wait_for_end().code(), Some(0));
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(http_status(port, "/livez"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once_with_130() {
    let upstream = FakeUpstream::start(Behaviour::default());
    let (mut app, [key]) = started(behind(&upstream), [("s-1", "slow")]);
    let client = client(&app, &key, Era::Modern);
    wait_for_tool(&client, "fake__sleep").await;
    let running = client.begin("tools/call", json!({"name": "fake__sleep", "arguments": {"ms": 9_000}}));
    upstream.wait_for("sleep", 1);
    let began = Instant::now();
    app.signal(Signal::TERM);
    while !app.stderr().contains("sigterm_received") {
        assert!(began.elapsed() < Duration::from_secs(5), "{}", app.stderr());
        tokio::task::yield_now().await;
    }
    app.signal(Signal::INT);
    assert_eq!(app.wait_for_end().code(), Some(130), "{}", app.stderr());
    assert!(began.elapsed() < Duration::from_secs(8));
    assert!(
        app.stderr().contains("error: interrupted by a second signal: the ledger is flushed, running calls are cut off"),
        "{}",
        app.stderr()
    );
    drop(running.answer().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_again_on_what_a_kill_left() {
    let (mut app, [key]) = started(setup(""), [("r-1", "reader")]);
    client(&app, &key, Era::Modern).call("files_list_dir", json!({})).await.unwrap();
    app.kill();
    let took = app.restart();
    assert!(took < Duration::from_secs(2), "{took:?}");
    client(&app, &key, Era::Modern).call("files_list_dir", json!({})).await.unwrap();
}

async fn wait_for_tool(client: &Client, tool: &str) {
    let began = Instant::now();
    while !client.tool_names().await.unwrap().iter().any(|name| name == tool) {
        assert!(began.elapsed() < Duration::from_secs(10), "`{tool}` never appears: {:?}", client.tool_names().await);
    }
}
