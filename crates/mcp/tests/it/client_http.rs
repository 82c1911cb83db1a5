//! What the client says over HTTP, in both eras, and how it keeps its connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bailiwick_mcp::client::{
    Cancel, Dial, DialError, DialErrorKind, Dialling, EraSetting, Event, FaultKind, HttpEndpoint, List, Notice, Options, Outgoing, Probe,
    Target, Upstream, UpstreamState,
};
use bailiwick_mcp::exchange::ParamHeader;
use bailiwick_mcp::{Json, Revision};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};

use crate::client_fake::{Answer, Fake, Seen, call, call_within, discovery, initialized, options, outgoing, text, told};

fn echo(seen: &Seen) -> Answer {
    seen.result(json!({"content": [], "echo": seen.json()["params"]["arguments"]}))
}

#[tokio::test]
async fn a_modern_call_describes_itself_in_headers_and_meta() {
    let fake = Fake::modern(echo).await;
    let mut endpoint = fake.endpoint();
    endpoint.headers.push(("authorization".parse().unwrap(), "Bearer t".parse().unwrap()));
    endpoint.headers.push(("content-length".parse().unwrap(), "3".parse().unwrap()));
    let upstream = Upstream::http(&endpoint, Arc::new(crate::client_fake::Direct), options()).unwrap();
    let schema = Json::from_static(r#"{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}"#);
    let params = ParamHeader::read(&schema).unwrap();
    let (arguments, trace, cancel) = (Json::from_static(r#"{ "region" : "süd", "n":1.0 }"#), Json::from_static(r#""00-a""#), Cancel::new());
    let meta = [("traceparent", &trace)];
    let result = upstream.call(Outgoing { meta: &meta, param_headers: &params, ..outgoing("größe", &arguments, &cancel) }).await.unwrap();
    assert!(result.as_str().contains(r#""n":1.0"#), "numbers keep their spelling: {}", result.as_str());

    let seen = fake.seen();
    let (probe, call) = (&seen[0], &seen[1]);
    assert_eq!((probe.rpc().as_str(), probe.header("mcp-method")), ("server/discover", Some("server/discover")));
    assert_eq!(probe.header("mcp-name"), None);
    assert_eq!((call.verb.as_str(), call.path.as_str(), call.connection), ("POST", "/mcp", 0));
    let expected = [
        ("host", fake.address.to_string()),
        ("accept", "application/json, text/event-stream".into()),
        ("content-type", "application/json".into()),
        ("content-length", call.body.len().to_string()),
        ("mcp-protocol-version", "2026-07-28".into()),
        ("mcp-method", "tools/call".into()),
        ("mcp-name", "=?base64?Z3LDtsOfZQ==?=".into()),
        ("mcp-param-region", "=?base64?c8O8ZA==?=".into()),
        ("authorization", "Bearer t".into()),
    ];
    for (name, value) in expected {
        assert_eq!(call.header(name), Some(value.as_str()), "{name}");
    }
    assert!(call.body.contains(r#""arguments":{ "region" : "süd", "n":1.0 }"#), "arguments travel as they came: {}", call.body);
    let params = call.json()["params"].clone();
    assert_eq!(params["name"], "größe");
    assert_eq!(
        params["_meta"],
        json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "bailiwick", "version": "0"}, "traceparent": "00-a"})
    );
    assert_eq!(fake.connections.load(Ordering::SeqCst), 1, "one connection serves both");
}

#[tokio::test]
async fn a_legacy_server_is_initialized_once_and_keeps_its_session() {
    for (revision, header) in
        [("2025-11-25", Some("2025-11-25")), ("2025-06-18", Some("2025-06-18")), ("2025-03-26", None), ("2024-11-05", None)]
    {
        let fake = Fake::legacy(revision, echo).await;
        let upstream = fake.upstream(options());
        let probe = upstream.open().await.unwrap();
        assert_eq!((probe.revision.as_str(), probe.session), (revision, true));
        for _ in 0..2 {
            call(&upstream, "echo", "{}").await.unwrap();
        }
        assert_eq!(
            fake.methods(),
            ["server/discover", "initialize", "notifications/initialized", "tools/call", "tools/call"],
            "{revision}"
        );
        let seen = fake.seen();
        assert_eq!((seen[1].header("mcp-session-id"), seen[1].header("mcp-protocol-version")), (None, None));
        let params = seen[1].json()["params"].clone();
        assert_eq!(
            params,
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bailiwick", "version": "0"}})
        );
        for later in &seen[2..] {
            assert_eq!((later.header("mcp-session-id"), later.header("mcp-protocol-version")), (Some("s1"), header), "{revision}");
            assert_eq!((later.header("mcp-method"), later.header("mcp-name")), (None, None));
        }
        assert_eq!(seen[3].json()["params"], json!({"name": "echo", "arguments": {}}), "no modern metadata goes to a legacy server");
    }
}

#[tokio::test]
async fn every_kind_of_legacy_refusal_leads_to_initialize() {
    type Refusal = fn(&Seen) -> Answer;
    let refusals: [(&str, Refusal); 8] = [
        ("empty 400", |_| Answer::empty(400)),
        ("text 400", |_| Answer::http(400, "content-type: text/plain\r\n", "Bad Request")),
        ("not initialized, id null", |_| {
            Answer::json(
                400,
                &json!({"jsonrpc": "2.0", "error": {"code": -32000, "message": "Bad Request: Server not initialized"}, "id": null}),
            )
        }),
        ("404", |_| Answer::http(404, "content-type: text/html\r\n", "<html>")),
        ("405", |_| Answer::empty(405)),
        ("unknown method, status 200", |seen| seen.error(200, -32601, Value::Null)),
        ("unsupported version, only legacy ones", |seen| {
            seen.error(400, -32022, json!({"supported": ["2025-06-18"], "requested": "2026-07-28"}))
        }),
        ("discovery of legacy versions", |seen| {
            seen.result(json!({"supportedVersions": ["2025-06-18", "2025-03-26"], "capabilities": {}}))
        }),
    ];
    for (what, refusal) in refusals {
        let fake = Fake::start(move |seen| match seen.rpc().as_str() {
            "server/discover" => refusal(seen),
            // Without a session: that is allowed, and nothing else is asked of such a server.
            "initialize" => seen.result(initialized("2025-06-18")),
            "notifications/initialized" => Answer::empty(202),
            _ => echo(seen),
        })
        .await;
        let upstream = fake.upstream(options());
        call(&upstream, "echo", "{}").await.unwrap_or_else(|fault| panic!("{what}: {fault}"));
        assert_eq!(fake.methods(), ["server/discover", "initialize", "notifications/initialized", "tools/call"], "{what}");
        assert!(fake.seen().iter().all(|seen| seen.verb == "POST" && seen.header("mcp-session-id").is_none()), "{what}");
        let wanted = if what.contains("ver") { "2025-06-18" } else { "2025-11-25" };
        assert!(what.contains("not init") || fake.seen()[1].json()["params"]["protocolVersion"] == wanted, "{what}");
    }
}

#[tokio::test]
async fn some_answers_are_of_neither_era() {
    for (status, kind) in [
        (401, "Auth(Demand { status: 401, challenges: [] })"),
        (403, "Auth(Demand { status: 403, challenges: [] })"),
        (500, "Http(500)"),
        (503, "Http(503)"),
        (429, "Http(429)"),
        (307, "Http(307)"),
    ] {
        let fake = Fake::start(move |_| Answer::empty(status)).await;
        let fault = fake.upstream(options()).open().await.unwrap_err();
        assert_eq!(format!("{:?}", fault.kind), kind, "{fault}");
        assert!(!fault.sent, "no request of the caller has been sent");
        assert_eq!(fake.methods(), ["server/discover"]);
    }
}

#[tokio::test]
async fn modern_errors_prove_the_modern_era() {
    for code in [-32020, -32021] {
        let fake =
            Fake::start(move |seen| if seen.rpc() == "server/discover" { seen.error(400, code, Value::Null) } else { echo(seen) }).await;
        let upstream = fake.upstream(options());
        assert_eq!(upstream.open().await.unwrap().revision, Revision::R2026_07_28);
        call(&upstream, "echo", "{}").await.unwrap();
        assert_eq!(fake.methods(), ["server/discover", "tools/call"], "{code}");
    }
}

#[tokio::test]
async fn the_setting_decides_what_is_tried() {
    let legacy = Fake::legacy("2025-11-25", echo).await;
    legacy.upstream(Options { era: EraSetting::Legacy, ..options() }).open().await.unwrap();
    assert_eq!(legacy.methods(), ["initialize", "notifications/initialized"]);
    let fault = legacy.upstream(Options { era: EraSetting::Modern, ..options() }).open().await.unwrap_err();
    assert!(fault.detail.contains("era: auto"), "the remedy is named: {fault}");
    assert_eq!(legacy.methods()[2..], ["server/discover"]);
    let pinned = Options { era: EraSetting::Revision(Revision::R2025_03_26), ..options() };
    legacy.upstream(pinned).open().await.unwrap();
    assert_eq!(legacy.seen()[3].json()["params"]["protocolVersion"], "2025-03-26");

    let modern = Fake::modern(echo).await;
    modern.upstream(Options { era: EraSetting::Revision(Revision::R2026_07_28), ..options() }).open().await.unwrap();
    assert_eq!(modern.methods(), ["server/discover"]);
}

#[tokio::test]
async fn a_known_era_saves_the_probe_and_is_given_up_when_it_no_longer_holds() {
    let fake = Fake::modern(echo).await;
    let found = fake.upstream(options()).open().await.unwrap();
    let stored: Probe = serde_json::from_str(&serde_json::to_string(&found).unwrap()).unwrap();
    call(&fake.upstream(Options { known: Some(stored.clone()), ..options() }), "echo", "{}").await.unwrap();
    assert_eq!(fake.methods(), ["server/discover", "tools/call"]);

    // The server was replaced by an older one.
    let legacy =
        Fake::legacy("2025-06-18", |seen| if seen.header("mcp-session-id").is_some() { echo(seen) } else { Answer::empty(400) }).await;
    let upstream = legacy.upstream(Options { known: Some(stored), ..options() });
    call(&upstream, "echo", "{}").await.unwrap();
    assert_eq!(legacy.methods(), ["tools/call", "server/discover", "initialize", "notifications/initialized", "tools/call"]);

    // And the other way round: the known session opens no more.
    let known = upstream.open().await.unwrap();
    let modern = Fake::modern(|seen| if seen.rpc() == "initialize" { seen.error(404, -32601, Value::Null) } else { echo(seen) }).await;
    call(&modern.upstream(Options { known: Some(known), ..options() }), "echo", "{}").await.unwrap();
    assert_eq!(modern.methods(), ["initialize", "server/discover", "tools/call"]);
}

#[tokio::test]
async fn a_lost_session_is_opened_again_once() {
    let lost = Arc::new(AtomicBool::new(true));
    let forever = Arc::clone(&lost);
    let fake = Fake::legacy("2025-11-25", move |seen| {
        if seen.header("mcp-session-id") == Some("s1") || forever.load(Ordering::SeqCst) {
            seen.error(404, -32001, Value::Null)
        } else {
            echo(seen)
        }
    })
    .await;
    let upstream = fake.upstream(options());
    let mut changes = upstream.notices();
    let fault = call(&upstream, "echo", "{}").await.unwrap_err();
    assert!(matches!(fault.kind, FaultKind::Http(404)), "{fault:?}");
    assert_eq!(fake.methods().iter().filter(|method| *method == "tools/call").count(), 2, "tried once more, not forever");
    lost.store(false, Ordering::SeqCst);
    call(&upstream, "echo", "{}").await.unwrap();
    assert_eq!(fake.seen().last().unwrap().header("mcp-session-id"), Some("s2"));
    assert_eq!((upstream.status().restarts, told(&mut changes)), (1, vec!["Reopened".to_owned()]));
}

#[tokio::test]
async fn progress_is_delivered_and_the_connection_is_used_again() {
    let fake = Fake::modern(|seen| {
        let token = seen.json()["params"]["_meta"]["progressToken"].clone();
        let progress = |n| json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": n}});
        let foreign = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 999, "progress": 9}});
        let changed = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
        let stray = json!({"jsonrpc": "2.0", "id": 999, "result": {"wrong": true}});
        let question = json!({"jsonrpc": "2.0", "id": "q", "method": "ping"});
        let answer = json!({"jsonrpc": "2.0", "id": seen.id(), "result": {"right": true}});
        Answer::events(&format!(
            ": hello\n\nid: 1\ndata:\n\ndata: {}\n\n: keep-alive\n\nevent: message\ndata: {foreign}\n\ndata: {changed}\r\n\r\ndata: {stray}\n\ndata: {question}\n\ndata: {}\n\ndata: {answer}\n\ndata: {answer}\n\n",
            progress(1),
            progress(2)
        ))
    })
    .await;
    let upstream = fake.upstream(options());
    let mut changes = upstream.notices();
    let (events, mut heard) = mpsc::channel(8);
    let (arguments, cancel) = (Json::from_static("{}"), Cancel::new());
    for _ in 0..2 {
        let result = upstream.call(Outgoing { events: Some(events.clone()), ..outgoing("slow", &arguments, &cancel) }).await.unwrap();
        assert_eq!(text(&result), json!({"right": true}));
        let mut words = Vec::new();
        while let Ok(event) = heard.try_recv() {
            words.push(match event {
                Event::Progress(params) => params.as_str().to_owned(),
                Event::ToolsChanged => "changed".into(),
                other => format!("{other:?}"),
            });
        }
        assert_eq!(words, [r#"{"progress":1}"#, "changed", r#"{"progress":2}"#]);
        // The rest of the stream is read in the background; the connection is free when that is done.
        tokio::task::yield_now().await;
    }
    assert_eq!(told(&mut changes), ["ToolsChanged", "ToolsChanged"]);
    assert_eq!(fake.methods(), ["server/discover", "tools/call", "tools/call"], "a modern server's question gets no answer");
}

#[tokio::test]
async fn a_caller_that_does_not_listen_delays_nobody() {
    let fake = Fake::modern(|seen| {
        let token = seen.json()["params"]["_meta"]["progressToken"].clone();
        let one = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}});
        let answer = json!({"jsonrpc": "2.0", "id": seen.id(), "result": {}});
        Answer::events(&format!("{}data: {answer}\n\n", format!("data: {one}\n\n").repeat(1000)))
    })
    .await;
    let (events, heard) = mpsc::channel(1);
    let (arguments, cancel) = (Json::from_static("{}"), Cancel::new());
    fake.upstream(options()).call(Outgoing { events: Some(events), ..outgoing("slow", &arguments, &cancel) }).await.unwrap();
    assert_eq!(heard.len(), 1);
}

#[tokio::test]
async fn a_legacy_server_that_asks_back_gets_its_answers_by_post() {
    let fake = Fake::legacy("2025-11-25", |seen| {
        if seen.rpc() != "tools/call" {
            return Answer::empty(202);
        }
        let asks: String = ["ping", "roots/list"]
            .iter()
            .map(|method| format!("data: {}\n\n", json!({"jsonrpc": "2.0", "id": method, "method": method})))
            .collect();
        Answer::events(&format!("{asks}data: {}\n\n", json!({"jsonrpc": "2.0", "id": seen.id(), "result": {}})))
    })
    .await;
    let upstream = fake.upstream(options());
    call(&upstream, "asks", "{}").await.unwrap();
    let answers = loop {
        let answers: Vec<Seen> = fake.seen().into_iter().filter(|seen| seen.rpc().is_empty()).collect();
        if answers.len() == 2 {
            break answers;
        }
        tokio::task::yield_now().await;
    };
    let of = |id: &str| answers.iter().find(|answer| answer.id() == id).unwrap();
    assert_eq!(of("ping").json(), json!({"jsonrpc": "2.0", "id": "ping", "result": {}}));
    assert_eq!(of("roots/list").json()["error"]["code"], -32601);
    assert!(answers.iter().all(|answer| answer.header("mcp-session-id") == Some("s1")));
}

#[tokio::test]
async fn a_connection_that_died_while_idle_costs_nothing() {
    let fake = Fake::modern(|seen| match echo(seen) {
        // Announces keep-alive and closes all the same.
        Answer::Bytes(bytes) => Answer::Close(bytes),
        other => other,
    })
    .await;
    let upstream = fake.upstream(options());
    for _ in 0..20 {
        call(&upstream, "echo", "{}").await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(fake.methods().len(), 21, "every request arrived exactly once");
}

#[tokio::test]
async fn a_request_that_was_read_is_never_sent_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let fake =
        Fake::modern(move |seen| if count.fetch_add(1, Ordering::SeqCst) == 0 { echo(seen) } else { Answer::Close(Vec::new()) }).await;
    let upstream = fake.upstream(options());
    call(&upstream, "echo", "{}").await.unwrap();
    let fault = call(&upstream, "echo", "{}").await.unwrap_err();
    assert!(matches!(fault.kind, FaultKind::Closed) && fault.sent, "{fault:?}");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_list_may_be_asked_for_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let fake = Fake::modern(move |seen| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::Close(Vec::new()),
        _ => seen.result(json!({"tools": []})),
    })
    .await;
    let upstream = fake.upstream(options());
    upstream.open().await.unwrap();
    // The connection of the probe is used again, and breaks after the request was read.
    assert!(upstream.list(List::Tools).await.unwrap().items.is_empty());
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn closing_the_answer_is_the_modern_cancellation() {
    let gone = Arc::new(Notify::new());
    let hung = Arc::clone(&gone);
    let fake = Fake::modern(move |_| Answer::hang(Arc::clone(&hung))).await;
    let (upstream, cancel) = (fake.upstream(options()), Cancel::new());
    let (fault, ()) = tokio::join!(call_within(&upstream, "slow", "{}", Duration::from_secs(60), &cancel), async {
        fake.wait_for("tools/call").await;
        assert_eq!(upstream.status().in_flight, 1);
        cancel.cancel();
    });
    let fault = fault.unwrap_err();
    assert!(matches!(fault.kind, FaultKind::Cancelled) && fault.sent, "{fault:?}");
    gone.notified().await;
    assert_eq!(fake.methods(), ["server/discover", "tools/call"], "nothing is sent about it");
    assert_eq!(upstream.status().in_flight, 0);
}

#[tokio::test]
async fn a_legacy_server_is_told_of_cancellation_timeout_and_lost_interest() {
    for reason in ["cancel", "deadline", "drop"] {
        let gone = Arc::new(Notify::new());
        let hung = Arc::clone(&gone);
        let fake =
            Fake::legacy(
                "2025-11-25",
                move |seen| if seen.rpc() == "tools/call" { Answer::hang(Arc::clone(&hung)) } else { Answer::empty(202) },
            )
            .await;
        let (upstream, cancel) = (fake.upstream(options()), Cancel::new());
        upstream.open().await.unwrap();
        let deadline = Duration::from_millis(if reason == "deadline" { 50 } else { 60_000 });
        let pending = call_within(&upstream, "slow", "{}", deadline, &cancel);
        let sent = async {
            let seen = fake.wait_for("tools/call").await;
            if reason == "cancel" {
                cancel.cancel();
            }
            seen
        };
        let seen = if reason == "drop" {
            tokio::select! {
                result = pending => panic!("answered: {result:?}"),
                seen = sent => seen,
            }
        } else {
            let (fault, seen) = tokio::join!(pending, sent);
            assert!(fault.unwrap_err().sent);
            seen
        };
        let cancelled = fake.wait_for("notifications/cancelled").await;
        assert_eq!(cancelled.json()["params"]["requestId"], seen.id(), "{reason}");
        assert_eq!(cancelled.header("mcp-session-id"), Some("s1"));
        gone.notified().await;
    }
}

#[tokio::test]
async fn a_cancelled_caller_sends_nothing() {
    let fake = Fake::modern(echo).await;
    let (upstream, cancel) = (fake.upstream(options()), Cancel::new());
    upstream.open().await.unwrap();
    cancel.cancel();
    let fault = call_within(&upstream, "echo", "{}", Duration::from_secs(1), &cancel).await.unwrap_err();
    assert!(matches!(fault.kind, FaultKind::Cancelled) && !fault.sent);
    assert_eq!(fake.methods(), ["server/discover"]);
}

#[tokio::test]
async fn a_slow_call_delays_no_other_and_connections_are_bounded() {
    let gone = Arc::new(Notify::new());
    let hung = Arc::clone(&gone);
    let fake =
        Fake::modern(move |seen| if seen.json()["params"]["name"] == "slow" { Answer::hang(Arc::clone(&hung)) } else { echo(seen) }).await;
    let (upstream, cancel) = (fake.upstream(Options { connections_max: 2, ..options() }), Cancel::new());
    let slow = call_within(&upstream, "slow", "{}", Duration::from_secs(60), &cancel);
    let others = async {
        fake.wait_for("tools/call").await;
        for _ in 0..10 {
            call(&upstream, "echo", "{}").await.unwrap();
        }
        let both = call_within(&upstream, "slow", "{}", Duration::from_secs(60), &cancel);
        let third = async {
            while upstream.status().in_flight < 2 {
                tokio::task::yield_now().await;
            }
            let fault = call(&upstream, "echo", "{}").await.unwrap_err();
            assert!(matches!(fault.kind, FaultKind::Timeout) && !fault.sent && fault.detail.contains("all 2 connections"), "{fault}");
            cancel.cancel();
        };
        let _ = tokio::join!(both, third);
    };
    let _ = tokio::join!(slow, others);
    assert!(fake.connections.load(Ordering::SeqCst) <= 3);
}

#[tokio::test]
async fn tools_come_from_all_pages() {
    let fake = Fake::modern(|seen| match seen.json()["params"]["cursor"].as_str() {
        None => seen.result(json!({"tools": [{"name": "a", "annotations": {"own": 1}}], "nextCursor": ""})),
        Some("") => seen.result(json!({"tools": [], "nextCursor": "c\"2"})),
        Some(_) => seen.result(json!({"tools": [{"name": "b"}], "nextCursor": null})),
    })
    .await;
    let upstream = fake.upstream(options());
    let tools = upstream.list(List::Tools).await.unwrap().items;
    assert_eq!(tools.iter().map(Json::as_str).collect::<Vec<_>>(), [r#"{"annotations":{"own":1},"name":"a"}"#, r#"{"name":"b"}"#]);
    assert_eq!(fake.seen()[3].json()["params"]["cursor"], "c\"2");
    assert_eq!(fake.seen()[3].header("mcp-name"), None);
    assert!(!upstream.status().tools_cut);
}

#[tokio::test]
async fn lists_end() {
    let pages = Arc::new(AtomicUsize::new(0));
    let endless = Fake::modern(move |seen| {
        let page = pages.fetch_add(1, Ordering::SeqCst);
        seen.result(json!({"tools": [{"name": page}, {"name": "x"}], "nextCursor": page.to_string()}))
    })
    .await;
    let upstream = endless.upstream(Options { list_pages_max: 7, ..options() });
    assert_eq!(upstream.list(List::Tools).await.unwrap().items.len(), 14);
    assert!(upstream.status().tools_cut);
    let upstream = endless.upstream(Options { list_items_max: 5, ..options() });
    assert_eq!(upstream.list(List::Tools).await.unwrap().items.len(), 5);
    assert!(upstream.status().tools_cut);

    let circular = Fake::modern(|seen| seen.result(json!({"tools": [], "nextCursor": "again"}))).await;
    let fault = circular.upstream(options()).list(List::Tools).await.unwrap_err();
    assert!(matches!(fault.kind, FaultKind::Protocol) && fault.detail.contains("second time"), "{fault}");
    assert_eq!(circular.methods().len(), 3);

    for odd in [json!({}), json!({"tools": {}}), json!({"tools": [], "nextCursor": 7}), json!([])] {
        let fake = Fake::modern(move |seen| seen.result(odd.clone())).await;
        assert!(matches!(fake.upstream(options()).list(List::Tools).await.unwrap_err().kind, FaultKind::Protocol));
    }
}

#[tokio::test]
async fn errors_of_the_server_keep_their_code_and_data() {
    let fake = Fake::modern(|seen| seen.error(200, 4711, json!({"why": 1.0}))).await;
    let fault = call(&fake.upstream(options()), "x", "{}").await.unwrap_err();
    let FaultKind::Rpc(error) = &fault.kind else { panic!("{fault:?}") };
    assert_eq!((error.code, error.data.as_ref().unwrap().as_str()), (4711, r#"{"why":1.0}"#));
    let fake = Fake::modern(|seen| seen.error(404, -32601, Value::Null)).await;
    let fault = call(&fake.upstream(options()), "x", "{}").await.unwrap_err();
    assert!(matches!(fault.kind, FaultKind::Rpc(error) if error.code == -32601));
}

#[tokio::test]
async fn large_results_arrive_whole() {
    let big = "y".repeat(1 << 20);
    let served = big.clone();
    let fake = Fake::modern(move |seen| seen.result(json!({"content": [{"type": "text", "text": served}]}))).await;
    let upstream = fake.upstream(options());
    for _ in 0..3 {
        let result = call(&upstream, "big", "{}").await.unwrap();
        assert_eq!(text(&result)["content"][0]["text"], big);
    }
    assert_eq!(fake.connections.load(Ordering::SeqCst), 1);
}

/// Refuses, or never gets anywhere.
struct Closed(Option<DialErrorKind>);

impl Dial for Closed {
    fn dial<'a>(&'a self, target: &'a Target) -> Dialling<'a> {
        Box::pin(async move {
            match self.0 {
                Some(kind) => Err(DialError::new(kind, format!("{target}: no way"))),
                None => std::future::pending().await,
            }
        })
    }
}

fn closed(kind: Option<DialErrorKind>) -> Upstream {
    let endpoint = HttpEndpoint::parse("http://mcp.example.com/", Vec::new()).unwrap();
    Upstream::http(&endpoint, Arc::new(Closed(kind)), options()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn no_connection_is_told_apart_by_its_cause() {
    for (kind, expected) in [
        (Some(DialErrorKind::Denied), "Refused"),
        (Some(DialErrorKind::Resolve), "Unreachable"),
        (Some(DialErrorKind::Connect), "Unreachable"),
        (Some(DialErrorKind::Tls), "Unreachable"),
        (None, "Timeout"),
    ] {
        let fault = call(&closed(kind), "x", "{}").await.unwrap_err();
        assert!(format!("{:?}", fault.kind).starts_with(expected) && !fault.sent, "{kind:?}: {fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_server_is_left_alone_for_a_while() {
    let upstream = closed(Some(DialErrorKind::Connect));
    assert_eq!(upstream.status().state, UpstreamState::Idle);
    for _ in 0..6 {
        let _ = call(&upstream, "x", "{}").await;
    }
    let UpstreamState::Failing { next_try, reason, .. } = upstream.status().state else { panic!("{:?}", upstream.status()) };
    assert!(next_try > Duration::from_secs(1) && reason.contains("no way"), "{next_try:?}");
    let before = tokio::time::Instant::now();
    let fault = call(&upstream, "x", "{}").await.unwrap_err();
    assert!(before.elapsed() < Duration::from_millis(1) && fault.detail.contains("tried again in"), "{fault}");
    upstream.forgive();
    let UpstreamState::Failing { next_try, .. } = upstream.status().state else { panic!() };
    assert_eq!(next_try, Duration::ZERO);
    upstream.close().await;
    assert!(matches!(call(&upstream, "x", "{}").await.unwrap_err().kind, FaultKind::Closed));
    assert_eq!(upstream.status().state, UpstreamState::Closed);
}

#[tokio::test]
async fn many_callers_open_a_server_once() {
    let fake = Fake::legacy("2025-11-25", echo).await;
    let upstream = fake.upstream(options());
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let upstream = upstream.clone();
            tokio::spawn(async move { call(&upstream, "echo", "{}").await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(fake.methods().iter().filter(|method| *method == "initialize").count(), 1);
}

#[tokio::test]
async fn resources_are_named_by_their_uri() {
    let fake = Fake::modern(|seen| seen.result(json!({"contents": []}))).await;
    let cancel = Cancel::new();
    let arguments = Json::from_static("{}");
    let request = Outgoing { method: "resources/read", arguments: None, ..outgoing("file:///a b", &arguments, &cancel) };
    fake.upstream(Options {
        known: serde_json::from_value(
            json!({"revision": "2026-07-28", "session": false, "capabilities": {}, "server_info": {}, "instructions": null}),
        )
        .unwrap(),
        ..options()
    })
    .call(request)
    .await
    .unwrap();
    let seen = &fake.seen()[0];
    assert_eq!((seen.header("mcp-name"), &seen.json()["params"]["uri"]), (Some("file:///a b"), &json!("file:///a b")));
    assert_eq!(discovery()["supportedVersions"][0], "2026-07-28");
}

/// Writes the head of an event stream, then every text it is given, until the client closes.
fn stream_of(mut texts: mpsc::Receiver<String>) -> Answer {
    Answer::script(move |mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        loop {
            tokio::select! {
                Some(text) = texts.recv() => stream.write_all(text.as_bytes()).await.unwrap(),
                _ = stream.read_u8() => return,
            }
        }
    })
}

const CHANGED: &str = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n";

#[tokio::test]
async fn watching_subscribes_to_a_modern_server() {
    let (say, texts) = mpsc::channel(4);
    let texts = std::sync::Mutex::new(Some(texts));
    let fake = Fake::start(move |seen| match seen.rpc().as_str() {
        "server/discover" => seen.result(json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {"listChanged": true}}})),
        "subscriptions/listen" => texts.lock().unwrap().take().map_or_else(|| Answer::empty(404), stream_of),
        _ => echo(seen),
    })
    .await;
    let upstream = fake.upstream(Options { connections_max: 1, ..options() });
    let mut changes = upstream.notices();
    assert!(fake.seen().is_empty(), "watching alone opens nothing");
    upstream.open().await.unwrap();
    let listen = fake.wait_for("subscriptions/listen").await;
    assert_eq!(listen.json()["params"]["notifications"], json!({"toolsListChanged": true}));
    assert_eq!(listen.header("mcp-method"), Some("subscriptions/listen"));
    call(&upstream, "echo", "{}").await.unwrap();
    say.send(CHANGED.into()).await.unwrap();
    // A subscription takes no place among the requests.
    assert!(matches!(changes.recv().await, Ok(Notice::ToolsChanged)));
    drop(upstream);
    say.closed().await;
}

#[tokio::test]
async fn watching_a_legacy_server_takes_405_for_an_answer() {
    for offers in [true, false] {
        let (say, texts) = mpsc::channel(4);
        let texts = std::sync::Mutex::new(Some(texts).filter(|_| offers));
        let fake = Fake::start(move |seen| match (seen.verb.as_str(), seen.rpc().as_str()) {
            ("GET", _) => texts.lock().unwrap().take().map_or_else(|| Answer::empty(405), stream_of),
            (_, "server/discover") => Answer::empty(404),
            (_, "initialize") => {
                let result = json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {"listChanged": true}}});
                let body = json!({"jsonrpc": "2.0", "id": seen.id(), "result": result}).to_string();
                Answer::http(200, "content-type: application/json\r\nmcp-session-id: s\r\n", &body)
            }
            (_, "notifications/initialized") => Answer::empty(202),
            _ => echo(seen),
        })
        .await;
        let upstream = fake.upstream(options());
        let mut changes = upstream.notices();
        upstream.open().await.unwrap();
        let get = fake.wait_for("").await;
        assert_eq!((get.verb.as_str(), get.header("accept"), get.header("mcp-session-id")), ("GET", Some("text/event-stream"), Some("s")));
        if offers {
            say.send(CHANGED.into()).await.unwrap();
            assert!(matches!(changes.recv().await, Ok(Notice::ToolsChanged)));
        } else {
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(3600)).await;
            tokio::time::resume();
            call(&upstream, "echo", "{}").await.unwrap();
            assert_eq!(fake.seen().iter().filter(|seen| seen.verb == "GET").count(), 1);
        }
        upstream.close().await;
    }
}

#[tokio::test]
async fn nobody_asks_for_a_stream_that_is_not_offered() {
    let fake = Fake::legacy("2025-11-25", echo).await;
    let upstream = fake.upstream(options());
    let _changes = upstream.notices();
    call(&upstream, "echo", "{}").await.unwrap();
    tokio::task::yield_now().await;
    assert!(fake.seen().iter().all(|seen| seen.verb == "POST"));
}
