//! Filters of a manifest over the real path: what is stopped, what is taken away, and what operators read of it.

use bailiwick_testkit::app::AppSetup;
use bailiwick_testkit::client::{Client, Era};
use bailiwick_testkit::upstream::{Act, Behaviour, FakePrompt, FakeResource, FakeTool, FakeUpstream};
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::base::{Base, on_both, wait_for_tool};
use crate::scene::{client, code, started, talk, text};

on_both! { arguments_are_stopped_before_the_server_hears_of_them, results_reach_the_agent_without_what_rules_take_away }

const FILTERED: &str = r#"
agent_type: worker
servers: {fake: {}}
rate_limits: {per_tool: {"fake__sleep": 2/hour}}
argument_filters:
  - {name: quiet-word, pattern: "murmur", action: warn}
  - {name: no-canaries, pattern: "canary-[0-9]+", decode: [base64, url]}
  - {name: not-in-paths, pattern: "\\.\\./", fields: [payload]}
response_filters:
  - {name: cards, pattern: "\\b4[0-9]{15}\\b", action: redact}
  - {name: held-back, pattern: "top secret", action: block, decode: [base64]}
  - {name: noted, pattern: "unusual", action: warn, case_insensitive: true}
"#;

fn behaviour() -> Behaviour {
    let card = json!({"content": [
        {"type": "text", "text": "pay with 4111111111111111 now"},
        {"type": "image", "data": "top secret 4111111111111111", "mimeType": "image/png"},
    ], "structuredContent": {"card": "4111111111111111", "n": 4111111111111111_u64, "4111111111111111": [true]}});
    let secret = json!({"content": [{"type": "resource", "resource": {
        "uri": "x:1", "mimeType": "text/plain", "blob": BASE64.encode(b"this is top secret")}}]});
    let mut behaviour = Behaviour::rich();
    behaviour.tools.extend([
        FakeTool::new("card", Act::Result(card)).read_only(),
        FakeTool::new("secret", Act::Result(secret)).read_only(),
        FakeTool::new("wrong", Act::Fail("failed at 4111111111111111".into())).read_only(),
    ]);
    behaviour.prompts.push(FakePrompt::new("mirror"));
    behaviour.resources.push(FakeResource::text("note://card", "the card 4111111111111111"));
    behaviour
}

fn filtered(base: &Base<'_>, upstream: &FakeUpstream) -> AppSetup {
    base.setup_before(upstream).file("manifests/worker.yml", FILTERED)
}

async fn worker(app: &bailiwick_testkit::app::App, key: &str, era: Era) -> Client {
    let client = client(app, key, era);
    client.open().await.unwrap();
    wait_for_tool(&client, "fake__card").await;
    client
}

fn stopped(result: &Value) {
    assert_eq!(code(result), "policy_blocked", "{result}");
    for told in ["no-canaries", "canary", "not-in-paths", "held-back", "payload"] {
        assert!(!result.to_string().contains(told), "the agent is told `{told}`: {result}");
    }
}

async fn arguments_are_stopped_before_the_server_hears_of_them(base: &Base<'_>) {
    let upstream = FakeUpstream::start(behaviour());
    let (mut app, [key]) = started(filtered(base, &upstream), [("w-1", "worker")]);
    let worker = worker(&app, &key, Era::Modern).await;
    let twice = BASE64.encode(BASE64.encode(b"a canary-77 sings").as_bytes());
    for arguments in [
        json!({"payload": "canary-1"}),
        json!({"payload": "x", "more": {"deep": [{"canary-2": 1}]}}),
        json!({"payload": twice.trim_end_matches('=')}),
        json!({"payload": "%63anary-3"}),
        json!({"payload": "a/../b"}),
    ] {
        stopped(&worker.call("fake__echo", arguments).await.unwrap());
    }
    assert_eq!(text(&worker.call("fake__echo", json!({"payload": "a murmur", "path": "../"})).await.unwrap()), "a murmur");
    // Prompts and addresses take the same path.
    let prompt = worker.request("prompts/get", json!({"name": "fake__mirror", "arguments": {"who": "canary-4"}})).await.unwrap_err();
    let address = worker.request("resources/read", json!({"uri": "file:///canary-5"})).await.unwrap_err();
    assert_eq!((prompt.code(), address.code()), (Some(4037), Some(4037)), "{prompt} {address}");
    // A stopped call has been counted: the rate comes before the filters.
    for _ in 0..2 {
        stopped(&worker.call("fake__sleep", json!({"payload": "canary-6"})).await.unwrap());
    }
    assert_eq!(code(&worker.call("fake__sleep", json!({"payload": "canary-6"})).await.unwrap()), "rate_limited");
    assert!(upstream.arrivals().iter().all(|arrival| !format!("{arrival:?}").contains("canary")), "nothing reached the server");
    drop(worker);
    assert_eq!(app.terminate().code(), Some(0), "{}", app.stderr());
    let output = app.command(&["audit", "list", "--code", "policy_blocked", "-o", "json"]);
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", talk(&output)));
    assert_eq!(rows.len(), 9, "{rows:?}");
    assert!(rows.iter().any(|row| row["error"] == "argument filter `no-canaries` matched in `more` (raw)"), "{rows:?}");
    assert!(rows.iter().any(|row| row["error"] == "argument filter `no-canaries` matched in `payload` (decoded)"), "{rows:?}");
    assert!(rows.iter().all(|row| row["note"] == "argument_filter_blocked"), "{rows:?}");
    assert!(rows.iter().all(|row| row["args"].is_null()), "the value lies in the record: {rows:?}");
    assert!(rows.iter().any(|row| row["tool"] == "fake"), "a URI is no tool: {rows:?}");
    assert!(rows.iter().all(|row| !row.to_string().contains("canary-5")), "the URI lies in the record: {rows:?}");
    let output = app.command(&["audit", "list", "--tool", "fake__echo", "-o", "json"]);
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(rows.iter().any(|row| row["ok"] == true && row["note"] == "argument_filter_warning"), "{rows:?}");
}

async fn results_reach_the_agent_without_what_rules_take_away(base: &Base<'_>) {
    let upstream = FakeUpstream::start(behaviour());
    let (mut app, [key]) = started(filtered(base, &upstream), [("w-1", "worker")]);
    for era in [Era::Modern, Era::LEGACY] {
        let worker = worker(&app, &key, era).await;
        let card = worker.call("fake__card", json!({})).await.unwrap();
        assert_eq!(text(&card), "pay with [REDACTED] now");
        assert_eq!(card["content"][1]["data"], "top secret 4111111111111111", "binary data stays");
        assert_eq!(card["structuredContent"], json!({"card": "[REDACTED]", "n": "[REDACTED]", "[REDACTED]": [true]}));
        stopped(&worker.call("fake__secret", json!({})).await.unwrap());
        let wrong = worker.call("fake__wrong", json!({})).await.unwrap();
        assert_eq!((text(&wrong), &wrong["isError"]), ("failed at [REDACTED]", &json!(true)));
        assert_eq!(text(&worker.call("fake__echo", json!({"payload": "an UNUSUAL word"})).await.unwrap()), "an UNUSUAL word");
        let read = worker.request("resources/read", json!({"uri": "note://card"})).await.unwrap();
        assert_eq!(read.result["contents"][0]["text"], "the card [REDACTED]");
        let prompt = worker.request("prompts/get", json!({"name": "fake__mirror", "arguments": {"n": "4111111111111111"}})).await.unwrap();
        assert_eq!(prompt.result["messages"][0]["content"]["text"], r#"{"n":"[REDACTED]"}"#);
    }
    assert_eq!(app.terminate().code(), Some(0), "{}", app.stderr());
    let output = app.command(&["audit", "list", "-o", "json"]);
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    for (tool, note) in [
        ("fake__card", "response_filter_redacted"),
        ("fake__secret", "response_filter_blocked"),
        ("fake__wrong", "response_filter_redacted"),
        ("fake__echo", "response_filter_warning"),
    ] {
        assert_eq!(rows.iter().filter(|row| row["tool"] == tool && row["note"] == note).count(), 2, "{tool}: {rows:?}");
    }
    assert_eq!(app.command(&["audit", "verify"]).status.code(), Some(0));
}
