//! The honest client against the fake server over HTTP.

use bailiwick_testkit::client::{Client, Era, Fault};
use bailiwick_testkit::upstream::{Act, Behaviour, Eras, FakeTool, FakeUpstream};
use serde_json::json;

#[tokio::test]
async fn every_era_opens_lists_and_calls() {
    for sessions in [false, true] {
        for sse in [false, true] {
            let fake = FakeUpstream::start(Behaviour { sessions, sse, fillers: 7, page: 5, ..Behaviour::default() });
            for era in Era::ALL {
                let client = Client::http(&fake.url(), era);
                client.open().await.unwrap();
                assert_eq!(client.session().is_some(), sessions && era != Era::Modern, "{era:?}");
                assert_eq!(client.tool_names().await.unwrap().len(), 12);
                let result = client.call("echo", json!({"payload": "grüße \u{1F600} \"x\""})).await.unwrap();
                assert_eq!(result["content"][0]["text"], "grüße \u{1F600} \"x\"", "{era:?}");
                let result = client.call("fail", json!({})).await.unwrap();
                assert_eq!(result["isError"], true);
                assert_eq!(client.call("no_such_tool", json!({})).await.unwrap_err().code(), Some(-32602));
                assert_eq!(client.request("no/method", json!({})).await.unwrap_err().code(), Some(-32601));
            }
        }
    }
}

#[tokio::test]
async fn what_arrived_is_written_down() {
    let fake = FakeUpstream::start(Behaviour { bearer: Some("s3cret".into()), ..Behaviour::default() });
    let refused = Client::http(&fake.url(), Era::Modern).open().await.unwrap_err();
    assert!(matches!(refused, Fault::Rpc { status: Some(401), .. }), "{refused}");
    let client = Client::http(&fake.url(), Era::Modern).bearer("s3cret").header("x-own", "1");
    client.call("write_note", json!({"payload": "a"})).await.unwrap();
    fake.wait_for("write_note", 1);
    assert_eq!(fake.calls("write_note"), [r#"{"payload":"a"}"#]);
    assert_eq!(fake.calls("echo"), [""; 0]);
    let last = fake.arrivals().pop().unwrap();
    assert!(last.modern);
    assert_eq!((last.headers["x-own"].as_str(), last.headers["mcp-name"].as_str()), ("1", "write_note"));
    fake.clear();
    assert!(fake.arrivals().is_empty());
}

#[tokio::test]
async fn sessions_are_required_forgotten_and_ended() {
    let fake = FakeUpstream::start(Behaviour { sessions: true, ..Behaviour::default() });
    let client = Client::http(&fake.url(), Era::LEGACY);
    assert!(matches!(client.tools().await, Err(Fault::Rpc { status: Some(400), .. })));
    client.open().await.unwrap();
    client.tools().await.unwrap();
    fake.forget_sessions();
    assert!(matches!(client.tools().await, Err(Fault::Rpc { status: Some(404), .. })));
    client.open().await.unwrap();
    client.close().await.unwrap();
    assert!(matches!(client.tools().await, Err(Fault::Rpc { status: Some(404), .. })));
}

#[tokio::test]
async fn servers_of_one_era_refuse_the_other() {
    let old = FakeUpstream::start(Behaviour { eras: Eras::Legacy, ..Behaviour::default() });
    let refused = Client::http(&old.url(), Era::Modern).open().await.unwrap_err();
    assert!(matches!(refused, Fault::Rpc { status: Some(400), code: -32000, .. }), "{refused}");
    Client::http(&old.url(), Era::LEGACY).open().await.unwrap();
    let new = FakeUpstream::start(Behaviour { eras: Eras::Modern, ..Behaviour::default() });
    assert!(Client::http(&new.url(), Era::LEGACY).open().await.is_err());
    Client::http(&new.url(), Era::Modern).open().await.unwrap();
}

#[tokio::test]
async fn a_sloppy_modern_request_is_refused() {
    let fake = FakeUpstream::start(Behaviour::default());
    let client = Client::http(&fake.url(), Era::Modern).header("mcp-method", "tools/list");
    assert_eq!(client.call("echo", json!({})).await.unwrap_err().code(), Some(-32020));
    let client = Client::http(&fake.url(), Era::Modern).capabilities(json!(null));
    assert_eq!(client.call("echo", json!({})).await.unwrap_err().code(), Some(-32602));
    let client = Client::http(&fake.url(), Era::Modern).header("mcp-name", "=?base64?ZWNobw==?=");
    client.call("echo", json!({})).await.unwrap();
}

#[tokio::test]
async fn progress_comes_before_the_answer() {
    let fake = FakeUpstream::start(Behaviour { progress: 3, ..Behaviour::default() });
    for era in Era::ALL {
        let client = Client::http(&fake.url(), era);
        let params = json!({"name": "echo", "arguments": {"payload": "x"}, "_meta": {"progressToken": "p-1"}});
        assert_eq!(client.request("tools/call", params).await.unwrap().notifications.len(), 3);
        let params = json!({"name": "echo", "arguments": {"payload": "x"}});
        assert!(client.request("tools/call", params).await.unwrap().notifications.is_empty());
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_is_noticed() {
    for sse in [false, true] {
        let fake = FakeUpstream::start(Behaviour { sse, ..Behaviour::default() });
        let client = Client::http(&fake.url(), Era::Modern);
        let call = client.begin("tools/call", json!({"name": "sleep", "arguments": {"ms": 60_000}}));
        let (fake, waited) = tokio::task::spawn_blocking(move || (fake.wait_for("sleep", 1), fake)).await.map(|(u, f)| (f, u)).unwrap();
        let () = waited;
        call.abandon();
        tokio::task::spawn_blocking(move || fake.wait_for_abandoned(1)).await.unwrap();
    }
}

#[tokio::test]
async fn behaviour_changes_while_the_server_runs() {
    let mut fake = FakeUpstream::start(Behaviour::default());
    let client = Client::http(&fake.url(), Era::LEGACY);
    fake.set(|b| b.tools = vec![FakeTool::new("other", Act::Result(json!({"content": [], "x-kept": [1.50]})))]);
    assert_eq!(client.tool_names().await.unwrap(), ["other"]);
    let reply = client.request("tools/call", json!({"name": "other"})).await.unwrap();
    assert!(reply.text.contains(r#""x-kept":[1.5]"#), "{}", reply.text);
    fake.stop();
    assert!(matches!(client.tools().await, Err(Fault::Lost(_))));
    fake.restart();
    client.tools().await.unwrap();
    assert_eq!(fake.count("tools/list"), 2);
}
