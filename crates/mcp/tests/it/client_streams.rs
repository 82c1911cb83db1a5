//! Streams that end early, batches, and log messages.

use std::time::Duration;

use bailiwick_mcp::Json;
use bailiwick_mcp::client::{Cancel, Event, FaultKind, Outgoing, Upstream};
use bailiwick_mcp::meta::LogLevel;
use bailiwick_testkit::upstream::{Act, Behaviour, Eras, FakeTool, FakeUpstream, Polling};
use serde_json::json;
use tokio::sync::mpsc;

use crate::client_fake::{Answer, Fake, call, call_within, options, text};
use crate::client_kit::{Server, ask, http};

fn polling(ends: u32) -> Behaviour {
    Behaviour { eras: Eras::Legacy, sessions: true, polling: Some(Polling { retry_ms: 20, ends }), progress: 2, ..Behaviour::default() }
}

#[tokio::test]
async fn a_stream_that_ends_before_the_answer_is_continued() {
    for ends in [1, 2, 9] {
        let fake = FakeUpstream::start(polling(ends));
        let upstream = http(&fake, options());
        let (to, mut heard) = mpsc::channel(8);
        let (cancel, arguments) = (Cancel::new(), Json::from_static(r#"{"payload":"x"}"#));
        let call = Outgoing { arguments: Some(&arguments), events: Some(to), ..ask("tools/call", Some("echo"), &cancel) };
        let begun = std::time::Instant::now();
        assert_eq!(text(&upstream.call(call).await.unwrap())["content"][0]["text"], "x");
        assert!(begun.elapsed() >= Duration::from_millis(20) * ends, "the server names the pause");
        assert_eq!((fake.calls("echo").len(), fake.count("GET")), (1, ends as usize), "executed once");
        assert!(matches!(heard.recv().await, Some(Event::Progress(_))));
        let gets: Vec<_> = fake.arrivals().into_iter().filter(|arrival| arrival.method == "GET").collect();
        assert!(gets.iter().all(|get| get.headers["last-event-id"].starts_with("event-")));
    }
}

#[tokio::test]
async fn a_stream_that_cannot_be_continued_is_a_fault_of_a_request_that_was_sent() {
    let primed = "id: 1\nretry: 1\ndata:\n\n";
    for (what, stream, status, gets) in [("no id", "retry: 1\ndata:\n\n", 500, 0), ("405", primed, 405, 1), ("404", primed, 404, 1)] {
        let fake =
            Fake::legacy("2025-11-25", move |seen| if seen.verb == "GET" { Answer::empty(status) } else { Answer::events(stream) }).await;
        let fault = call(&fake.upstream(options()), "x", "{}").await.unwrap_err();
        assert!(matches!(fault.kind, FaultKind::Closed) && fault.sent, "{what}: {fault:?}");
        let seen = fake.seen();
        assert_eq!(seen.iter().filter(|seen| seen.verb == "GET").count(), gets, "{what}");
        assert_eq!(seen.iter().filter(|seen| seen.rpc() == "tools/call").count(), 1, "{what}");
    }
}

#[tokio::test]
async fn a_server_that_only_sends_the_same_event_is_given_up() {
    let fake = Fake::legacy("2025-11-25", |seen| {
        Answer::events(if seen.verb == "GET" { "retry: 1\ndata:\n\n" } else { "id: 1\nretry: 1\ndata:\n\n" })
    })
    .await;
    let fault = call(&fake.upstream(options()), "x", "{}").await.unwrap_err();
    assert!(matches!(fault.kind, FaultKind::Closed), "{fault:?}");
    assert_eq!(fake.seen().iter().filter(|seen| seen.verb == "GET").count(), 4);
}

#[tokio::test]
async fn waiting_to_continue_ends_with_the_deadline_of_the_call() {
    let fake = FakeUpstream::start(Behaviour { polling: Some(Polling { retry_ms: 60_000, ends: 1 }), ..polling(1) });
    let upstream = http(&fake, options());
    let fault = call_within(&upstream, "echo", "{}", Duration::from_millis(100), &Cancel::new()).await.unwrap_err();
    assert!(matches!(fault.kind, FaultKind::Timeout) && fault.sent, "{fault:?}");
}

#[tokio::test]
async fn a_modern_stream_is_never_continued() {
    let fake = Fake::modern(|_| Answer::events("id: 1\nretry: 1\ndata:\n\n")).await;
    let fault = call(&fake.upstream(options()), "x", "{}").await.unwrap_err();
    assert!(matches!(fault.kind, FaultKind::Closed) && fault.sent, "{fault:?}");
    assert!(fake.seen().iter().all(|seen| seen.verb == "POST"));
}

#[tokio::test]
async fn answers_may_come_as_arrays_until_2025_03_26() {
    for (revision, understood) in [("2025-03-26", true), ("2025-06-18", false)] {
        let behaviour =
            Behaviour { eras: Eras::Legacy, batch: true, progress: 2, legacy_revision: Some(revision.into()), ..Behaviour::default() };
        let fake = FakeUpstream::start(Behaviour { batch: false, ..behaviour });
        let upstream = http(&fake, options());
        upstream.open().await.unwrap();
        fake.set(|behaviour| behaviour.batch = true);
        let (to, mut heard) = mpsc::channel(8);
        let (cancel, arguments) = (Cancel::new(), Json::from_static(r#"{"payload":"x"}"#));
        let result =
            upstream.call(Outgoing { arguments: Some(&arguments), events: Some(to), ..ask("tools/call", Some("echo"), &cancel) }).await;
        if understood {
            assert_eq!(text(&result.unwrap())["content"][0]["text"], "x");
            for step in ["step 1", "step 2"] {
                let Some(Event::Progress(params)) = heard.recv().await else { panic!("no progress") };
                assert_eq!(text(&params)["message"], step);
            }
        } else {
            assert!(matches!(result.unwrap_err().kind, FaultKind::Protocol));
        }
    }
}

#[tokio::test]
async fn batches_in_events_and_without_an_answer() {
    let fake = Fake::legacy("2025-03-26", |seen| {
        let answer = json!({"jsonrpc": "2.0", "id": seen.id(), "result": {"right": true}});
        let note = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info"}});
        match seen.json()["params"]["name"].as_str() {
            Some("event") => Answer::events(&format!("data: [{note}]\n\ndata: [{note},{answer},{note}]\n\n")),
            Some("empty") => Answer::json(200, &json!([])),
            Some("no answer") => Answer::json(200, &json!([note])),
            Some("many") => Answer::json(200, &json!(vec![note; 1_001])),
            Some("garbage") => Answer::json(200, &json!([answer, 7])),
            _ => Answer::empty(202),
        }
    })
    .await;
    let upstream = fake.upstream(options());
    assert_eq!(text(&call(&upstream, "event", "{}").await.unwrap()), json!({"right": true}));
    for odd in ["empty", "no answer", "many", "garbage"] {
        let fault = call(&upstream, odd, "{}").await.unwrap_err();
        assert!(matches!(fault.kind, FaultKind::Protocol) && fault.sent, "{odd}: {fault:?}");
    }
}

fn logging() -> Behaviour {
    let log = |level: &str| FakeTool::new(level, Act::Log { level: level.into(), count: 2 });
    Behaviour { tools: vec![log("debug"), log("error"), FakeTool::new("sleep", Act::Sleep)], ..Behaviour::rich() }
}

/// How many log messages a call brings that asks for those from `level` on.
async fn logs(upstream: &Upstream, tool: &str, level: Option<&str>) -> usize {
    let (to, mut heard) = mpsc::channel(8);
    let (cancel, level) = (Cancel::new(), level.map(Json::from_text));
    let meta: Vec<_> = level.iter().map(|level| ("io.modelcontextprotocol/logLevel", level)).collect();
    upstream.call(Outgoing { meta: &meta, events: Some(to), ..ask("tools/call", Some(tool), &cancel) }).await.unwrap();
    let mut count = 0;
    while let Some(event) = heard.recv().await {
        count += usize::from(matches!(event, Event::Log(_)));
    }
    count
}

#[tokio::test]
async fn log_messages_reach_the_call_that_wants_them() {
    for server in Server::all(&logging()) {
        let upstream = server.upstream();
        let modern = upstream.open().await.unwrap().revision.as_str() == "2026-07-28";
        upstream.log_level(LogLevel::Warning).await.unwrap();
        assert_eq!(logs(&upstream, "error", Some("warning")).await, 2, "{}", server.name());
        assert_eq!(logs(&upstream, "debug", Some("warning")).await, 0);
        upstream.log_level(LogLevel::Debug).await.unwrap();
        upstream.log_level(LogLevel::Error).await.unwrap();
        assert_eq!(logs(&upstream, "debug", Some("debug")).await, 2);
        let levels: Vec<_> = server.of("logging/setLevel").iter().map(|set| set.message["params"]["level"].clone()).collect();
        assert_eq!(levels, if modern { vec![] } else { vec![json!("warning"), json!("debug")] });
        upstream.close().await;
    }
}

#[tokio::test]
async fn over_a_pipe_log_messages_without_an_owner_are_dropped() {
    let server = Server::stdio(&Behaviour { eras: Eras::Legacy, ..logging() });
    let upstream = server.upstream();
    assert_eq!(logs(&upstream, "error", None).await, 0, "it did not ask for any");
    let (to, _heard) = mpsc::channel(8);
    let (cancel, level, arguments) = (Cancel::new(), Json::from_text("debug"), Json::from_static(r#"{"ms":60000}"#));
    let meta = [("io.modelcontextprotocol/logLevel", &level)];
    let other = Outgoing { arguments: Some(&arguments), meta: &meta, events: Some(to), ..ask("tools/call", Some("sleep"), &cancel) };
    tokio::select! {
        biased;
        _ = upstream.call(other) => panic!("answered"),
        count = logs(&upstream, "error", Some("debug")) => assert_eq!(count, 0, "two calls want log messages"),
    }
}

#[tokio::test]
async fn the_level_is_set_again_in_a_new_session_and_never_where_nobody_logs() {
    let fake = FakeUpstream::start(Behaviour { eras: Eras::Legacy, sessions: true, ..logging() });
    let upstream = http(&fake, options());
    upstream.log_level(LogLevel::Info).await.unwrap();
    fake.forget_sessions();
    assert_eq!(logs(&upstream, "error", None).await, 2);
    assert_eq!(fake.count("logging/setLevel"), 2);
    fake.forget_sessions();
    upstream.log_level(LogLevel::Debug).await.unwrap();
    let levels: Vec<_> = fake.arrivals().into_iter().filter(|one| one.method == "logging/setLevel").collect();
    assert_eq!(levels.last().unwrap().message["params"]["level"], "debug");
    let mute = FakeUpstream::start(Behaviour { eras: Eras::Legacy, ..Behaviour::default() });
    http(&mute, options()).log_level(LogLevel::Debug).await.unwrap();
    assert_eq!(mute.count("logging/setLevel"), 0);
}
