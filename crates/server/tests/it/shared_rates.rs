//! Rates over several processes on one database.

use std::process::Stdio;

use bailiwick_testkit::client::{Client, Era};
use bailiwick_testkit::place::Place;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::base::Base;
use crate::scene::{client, code, started};

const LIMITED: &str = "\
agent_type: reader
rate_limits: {global: 7/hour, per_tool: {'*_list_*': 3/hour}}
modules:
  files:
    type: filesystem
    mode: read
    config: {base_path: '{dir}/files'}
";

/// Calls both in turn until each has been refused; gives how many passed.
async fn passed(clients: [&Client; 2], tool: &str, arguments: Value) -> usize {
    let mut passed = 0;
    for number in 0..20 {
        let result = clients[number % 2].call(tool, arguments.clone()).await.unwrap();
        if code(&result) == "rate_limited" {
            let wait = result["structuredContent"]["details"]["retry_after_ms"].as_u64().unwrap();
            assert!((1..=3_601_000 + 10_000).contains(&wait), "{result}");
        } else {
            passed += 1;
        }
    }
    passed
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pipes_of_one_agent_share_its_rates_on_sqlite() {
    let place = Place::new();
    place.file("reader.yml", LIMITED.replace("{dir}", &place.path().to_string_lossy()));
    let pipe = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        command.args(["run", "--manifest", "reader.yml", "--audit-log", "audit.jsonl"]).env_clear().env("HOME", place.path());
        command.env("AGENT_ID", "r-1").env("AGENT_TYPE", "reader").current_dir(place.path()).stderr(Stdio::piped());
        Client::stdio(command, Era::Modern)
    };
    let (first, second) = (pipe(), pipe());
    assert_eq!(passed([&first, &second], "files_list_dir", json!({})).await, 3);
    assert_eq!(passed([&first, &second], "files_read_file", json!({"path": "x"})).await, 4, "refused calls counted nowhere");
    for client in [first, second] {
        assert!(client.close().await.unwrap().unwrap().success());
    }
    // A new process knows what the old ones used.
    let third = pipe();
    assert_eq!(code(&third.call("files_read_file", json!({"path": "x"})).await.unwrap()), "rate_limited");
    drop(third);
    let lines = place.read("audit.jsonl");
    let line: Value =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).find(|line: &Value| line["event"] == "rate_limit_exceeded").unwrap();
    assert_eq!(
        (&line["limit_type"], &line["current_count"], &line["limit"], &line["window_seconds"]),
        (&json!("per_tool"), &json!(3), &json!(3), &json!(3600))
    );
    assert_eq!(line["tool_name"], "files_list_dir");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_share_an_agents_rates_on_postgres() {
    let Some(base) = Base::postgres("two_gateways_share_an_agents_rates") else { return };
    let (first, [key]) = started(base.setup("").file("manifests/reader.yml", LIMITED), [("r-1", "reader")]);
    let second = base.setup("").file("manifests/reader.yml", LIMITED).file("root.key", &first.place().read("root.key")).start();
    let clients = [&first, &second].map(|app| client(app, &key, Era::Modern));
    let both = [&clients[0], &clients[1]];
    assert_eq!(passed(both, "files_list_dir", json!({})).await, 3);
    assert_eq!(passed(both, "files_read_file", json!({"path": "x"})).await, 4);
}
