//! The record as operators read it: lists, one call, the proof, the export.

use bailiwick_testkit::client::Era;
use serde_json::{Value, json};

use crate::scene::{client, setup, started, talk};

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_refusals_are_found_proven_and_exported() {
    let (mut app, [key]) = started(setup(""), [("r-1", "reader")]);
    app.place().file("files/agents/r-1/note.txt", "hello");
    let agent = client(&app, &key, Era::Modern);
    agent.call("files_read_file", json!({"path": "note.txt"})).await.unwrap();
    let refused = agent.call("files_read_file", json!({"path": "../w-1/x", "password": "hunter-2"})).await;
    let escape = agent.call("files_read_file", json!({"path": "../w-1/x"})).await.unwrap();
    drop(refused);
    let event = escape["structuredContent"]["event_id"].as_str().unwrap().to_owned();
    assert_eq!(app.terminate().code(), Some(0), "{}", app.stderr());

    let json_of = |args: &[&str]| -> Value {
        let output = app.command(args);
        assert!(output.status.success(), "{args:?}: {}", talk(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let rows = json_of(&["audit", "list", "-o", "json"]);
    let calls: Vec<&Value> = rows.as_array().unwrap().iter().filter(|row| row["kind"] == "call").collect();
    assert_eq!(calls.len(), 3, "{rows}");
    assert!(!rows.to_string().contains("hunter-2"));
    let shown = json_of(&["audit", "show", &event, "-o", "json"]);
    assert_eq!((&shown["code"], &shown["ok"], &shown["agent_id"]), (&json!("path_refused"), &json!(false), &json!("r-1")));
    assert_eq!(json_of(&["audit", "list", "--code", "path_refused", "-o", "json"]).as_array().unwrap().len(), 1);
    assert_eq!(json_of(&["audit", "list", "--agent", "w-1", "-o", "json"]), json!([]));
    let table = String::from_utf8(app.command(&["audit", "list"]).stdout).unwrap();
    assert!(table.starts_with("AT ") && table.contains(&event), "{table}");
    let tail = String::from_utf8(app.command(&["audit", "tail", "-n", "2"]).stdout).unwrap();
    assert_eq!(tail.lines().count(), 2);
    assert!(tail.lines().last().unwrap().contains(&event), "the newest comes last: {tail}");
    let unknown = app.command(&["audit", "show", "00000000000000000000000000000000"]);
    assert_eq!(unknown.status.code(), Some(4));

    let proof = json_of(&["audit", "verify", "-o", "json"]);
    assert_eq!(proof["unaltered"], json!(true));
    let export = app.place().join("export.jsonl").display().to_string();
    assert!(app.command(&["audit", "export", "--out", &export]).status.success());
    assert_eq!(app.command(&["audit", "export", "--out", &export]).status.code(), Some(6), "nothing is overwritten");
    let again = json_of(&["audit", "verify", &export, "-o", "json"]);
    // The export records that it was asked for, before it begins.
    assert!(again["records"].as_u64() > proof["records"].as_u64(), "{again} {proof}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flipped_bit_is_found_wherever_it_is() {
    let (mut app, [key]) = started(setup(""), [("r-1", "reader")]);
    let agent = client(&app, &key, Era::Modern);
    for _ in 0..3 {
        agent.call("files_list_dir", json!({})).await.unwrap();
    }
    assert_eq!(app.terminate().code(), Some(0));
    let segment = app.place().join("state/ledger/w-0001/00000000000000000001.log");
    let good = std::fs::read(&segment).unwrap();
    // Every 97th byte: enough to meet each part of a line, without a process for each byte.
    for at in (0..good.len()).step_by(97).chain([good.len() - 1]) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        std::fs::write(&segment, &bad).unwrap();
        let output = app.command(&["audit", "verify"]);
        assert!(matches!(output.status.code(), Some(1..=4)), "byte {at}: {:?} {}", output.status, talk(&output));
        assert!(talk(&output).contains("record "), "byte {at}: {}", talk(&output));
    }
    std::fs::write(&segment, &good).unwrap();
    assert!(app.command(&["audit", "verify"]).status.success());
}
