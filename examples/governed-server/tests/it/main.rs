//! The example as its clients see it, over stdio.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::Path;

use bailiwick_testkit::client::{Client, Era};
use serde_json::{Value, json};
use tokio::process::Command;

const CONFIG: &str = "instructions: {readme: Be kind., blocklist: {Ann Example: word}}\nruns: {implicit: false}\nfeedback: true\n";
const MANIFEST: &str =
    "agent_type: desk\nmodules: {filesystem: {mode: read, config: {base_path: /tmp/bailiwick-data}}}\npolicy: {deny: [filesystem_*]}\n";

/// The example serving this agent, with everything it keeps in `home`.
async fn desk(home: &Path, agent: &str) -> Client {
    std::fs::write(home.join("desk.yml"), CONFIG).unwrap();
    std::fs::write(home.join("desk-agent.yml"), MANIFEST).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick-example-governed-server"));
    command.current_dir(home).args(["run", "--config", "desk.yml", "--manifest", "desk-agent.yml"]);
    command.env("AGENT_ID", agent).env("AGENT_TYPE", "desk").env("HOME", home).env("XDG_STATE_HOME", home.join("state"));
    command.env("XDG_CONFIG_HOME", home.join("config"));
    let client = Client::stdio(command, Era::Modern);
    client.open().await.unwrap();
    client
}

async fn call(client: &Client, tool: &str, arguments: Value) -> Value {
    client.call(tool, arguments).await.unwrap()["structuredContent"].clone()
}

#[tokio::test]
async fn the_program_says_who_may_what_and_hears_of_every_call() {
    let home = tempfile::tempdir().unwrap();
    let head = desk(home.path(), "head-01").await;
    let rule = |body: &str| json!({"kind": "rule", "slug": "tone", "body": body});
    let written = call(&head, "set_instruction", rule("Be brief.")).await;
    assert_eq!(written, json!({"kind": "rule", "slug": "tone", "version": 1}));
    assert_eq!(call(&head, "set_instruction", rule("As Ann Example says.")).await["code"], "instruction_refused");
    let run = call(&head, "run_start", json!({"label": "work", "doctrine": "tone"})).await["run_id"].as_str().unwrap().to_owned();
    let readme = call(&head, "readme_agent", json!({})).await;
    assert_eq!((&readme["scope"], &readme["readme"]), (&json!("acme"), &json!("Be kind.")));
    assert_eq!(readme["instructions"][0]["slug"], "tone");
    assert_eq!(call(&head, "get_instruction", json!({"kind": "rule", "slug": "tone"})).await["body"], "Be brief.");
    assert_eq!(call(&head, "run_finish", json!({"run_id": run, "outcome": "done"})).await["was_open"], true);
    let heard = head.stderr();
    for line in [
        "call tool=set_instruction ok=true run=-".to_owned(),
        "call tool=set_instruction ok=false run=-".to_owned(),
        format!("call tool=readme_agent ok=true run={run}"),
        format!("call tool=run_finish ok=true run={run}"),
    ] {
        assert!(heard.contains(&line), "{line} in {heard}");
    }
    head.close().await.unwrap();
}

#[tokio::test]
async fn who_is_not_on_the_roster_is_nobody() {
    for (agent, writes, reads) in [("worker-01", "forbidden", None), ("stranger-01", "forbidden", Some("forbidden"))] {
        let home = tempfile::tempdir().unwrap();
        let client = desk(home.path(), agent).await;
        let told = call(&client, "set_instruction", json!({"kind": "rule", "slug": "tone", "body": "Mine."})).await;
        assert_eq!(told["code"], writes);
        assert_eq!(call(&client, "readme_agent", json!({})).await["code"].as_str(), reads);
        client.close().await.unwrap();
    }
}
