//! Keys: made, used, listed, revoked within a second, expired.

use std::time::{Duration, Instant};

use bailiwick_testkit::client::{Era, Fault};
use serde_json::{Value, json};

use crate::scene::{client, setup, started, talk};

fn status(fault: &Fault) -> Option<u16> {
    match fault {
        Fault::Rpc { status, .. } => *status,
        Fault::Status(status, _) => Some(*status),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_stops_working_within_a_second_session_or_not() {
    let (app, [key, other]) = started(setup(""), [("r-1", "reader"), ("w-1", "writer")]);
    let clients = [client(&app, &key, Era::Modern), client(&app, &key, Era::LEGACY)];
    for client in &clients {
        client.open().await.unwrap();
        client.call("files_list_dir", json!({})).await.unwrap();
    }
    let listed: Value = serde_json::from_slice(&app.command(&["key", "list", "-o", "json"]).stdout).unwrap();
    let row = listed.as_array().unwrap().iter().find(|row| row["agent_id"] == "r-1").unwrap().clone();
    assert_eq!((&row["state"], &row["agent_type"], &row["org"]), (&json!("live"), &json!("reader"), &json!("default")));
    assert!(!listed.to_string().contains(key.rsplit('_').nth(1).unwrap()), "no list shows the secret part");

    let revoked = app.command(&["key", "revoke", row["id"].as_str().unwrap(), "--yes"]);
    let began = Instant::now();
    assert!(revoked.status.success(), "{}", talk(&revoked));
    for client in &clients {
        // Asked again and again: what is measured is how soon the gateway notices.
        let fault = loop {
            match client.call("files_list_dir", json!({})).await {
                Err(fault) => break fault,
                Ok(_) => assert!(began.elapsed() < Duration::from_secs(1), "still works after {:?}", began.elapsed()),
            }
        };
        assert_eq!(status(&fault), Some(401), "{fault}");
    }
    client(&app, &other, Era::Modern).call("files_list_dir", json!({})).await.unwrap();
    let listed: Value = serde_json::from_slice(&app.command(&["key", "list", "-o", "json"]).stdout).unwrap();
    let states: Vec<&str> = listed.as_array().unwrap().iter().map(|row| row["state"].as_str().unwrap()).collect();
    assert_eq!((states.len(), states.iter().filter(|state| **state == "revoked").count()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_key_is_refused() {
    let app = setup("").start();
    let made = app.command(&["key", "create", "--agent-id", "r-1", "--agent-type", "reader", "--expires", "1s"]);
    let began = Instant::now();
    let key = String::from_utf8(made.stdout).unwrap();
    let client = client(&app, key.trim(), Era::Modern);
    let fault = loop {
        match client.call("files_list_dir", json!({})).await {
            Err(fault) => break fault,
            Ok(_) => assert!(began.elapsed() < Duration::from_secs(2), "still works"),
        }
    };
    assert_eq!(status(&fault), Some(401), "{fault}");
}

#[test]
fn what_operators_change_is_on_the_ledger() {
    let setup = setup("");
    let _key = setup.key("r-1", "reader");
    let listed: Value = serde_json::from_slice(&setup.command(&["key", "list", "-o", "json"]).stdout).unwrap();
    let id = listed[0]["id"].as_str().unwrap().to_owned();
    assert!(setup.command(&["key", "revoke", &id, "--yes"]).status.success());
    assert_eq!(setup.command(&["secret", "rm", "NONE", "--yes"]).status.code(), Some(4));
    let rows: Value = serde_json::from_slice(&setup.command(&["audit", "list", "-o", "json"]).stdout).unwrap();
    let deeds: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["tool"].as_str().unwrap(), row["server"].as_str().unwrap(), row["ok"] == true))
        .collect();
    let expected = [
        ("secret rm", "NONE", false),
        ("key revoke", &id, true),
        ("key create", "r-1", true),
        ("agent create", "r-1", true),
        ("org create", "default", true),
    ];
    assert_eq!(deeds, expected);
    assert!(rows[0]["operator"].as_str().unwrap().starts_with("cli:"), "{rows}");
    let proof = setup.command(&["audit", "verify"]);
    assert!(proof.status.success(), "{}", talk(&proof));
}

#[test]
fn mistakes_with_keys_have_their_exit_codes() {
    let setup = setup("");
    let run = |args: &[&str]| {
        let output = setup.command(args);
        (output.status.code(), talk(&output))
    };
    let _key = setup.key("r-1", "reader");
    assert_eq!(
        run(&["key", "create", "--agent-id", "r-1", "--agent-type", "writer"]),
        (
            Some(5),
            "error: agent `r-1` exists with type `reader`, not `writer`\nhint: an agent keeps its type; choose another agent id\n".into()
        )
    );
    assert_eq!(
        run(&["key", "revoke", "0011223344556677", "--yes"]),
        (Some(4), "error: key `0011223344556677` does not exist\nhint: `bailiwick key list` shows what exists\n".into())
    );
    assert_eq!(
        run(&["key", "revoke", "0011223344556677"]),
        (
            Some(2),
            "error: Revoke key 0011223344556677 needs a confirmation, and there is no terminal to ask on\nhint: add `--yes`\n".into()
        )
    );
    assert_eq!(run(&["key", "create", "--agent-id", "Upper", "--agent-type", "reader"]).0, Some(2));
}
