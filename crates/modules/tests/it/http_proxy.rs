//! The tools of `http_proxy`: what goes out, what comes back, what an operator may write.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_model::{AgentType, Code};
use bailiwick_modules::{Access, Cancel, Host, ModuleDraft, ModuleRegistry, OpenFault, ToolFault};
use serde_json::{Value, json};

use crate::service::{FakeService, Learned, Received, RecordingNetwork, Reply, host};
use crate::support::{Agent, context, try_open_on};

/// In every credential of these tests.
const CANARY: &str = "CANARY-5b2e-tok\"en/x";

/// A module with one service `s` beneath `service`, with more keys from `more`.
fn config(service: &FakeService, base_path: &str, more: &Value) -> Value {
    let mut entry = json!({ "name": "s", "base_url": format!("{}{base_path}", service.url()), "allow_private": ["127.0.0.0/8"] });
    entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "allowed_services": [entry] })
}

fn opened(config: &Value, credentials: &[(&str, &str)]) -> Agent {
    try_open_on(&host(Arc::new(RecordingNetwork::default())), "http_proxy", "a", None, config, credentials).unwrap()
}

async fn echo() -> FakeService {
    FakeService::start(|request| Reply::json(&json!({ "method": request.method, "target": request.target }))).await
}

fn header_names(request: &Received) -> Vec<&str> {
    let mut names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names
}

fn faults(config: &Value) -> Vec<OpenFault> {
    let agent_type = AgentType::parse("tester").unwrap();
    let draft = ModuleDraft { agent_id: None, agent_type: &agent_type, access: None, config: config.as_object().unwrap() };
    ModuleRegistry::with_builtin().get("http_proxy").unwrap().check(draft)
}

#[tokio::test]
async fn each_tool_sends_exactly_its_request() {
    let service = echo().await;
    let agent = opened(&config(&service, "/api/v1/", &json!({ "credential_key": "TOKEN" })), &[("TOKEN", "t0ken")]);
    let get = json!({ "service": "s", "path": "/users?sort=a", "params": { "q": "x y", "n": 1 } });
    assert_eq!(agent.call("get", &get).await.unwrap(), json!({ "method": "GET", "target": "/api/v1/users?sort=a&n=1&q=x%20y" }));
    let big = r#"{"service":"s","path":"users","body":{"id":123456789012345678901234567890,"ratio":1.10}}"#;
    agent.call_as("post", big).await.unwrap();
    agent.call("put", &json!({ "service": "s", "path": "/users/1", "body": null })).await.unwrap();
    agent.call("post", &json!({ "service": "s", "path": "/users/1", "body": {} })).await.unwrap();
    agent.call("delete", &json!({ "service": "s", "path": "/users/1?force=true" })).await.unwrap();
    let received = service.received();
    let lines: Vec<(&str, &str, String)> = received.iter().map(|r| (r.method.as_str(), r.target.as_str(), r.text())).collect();
    assert_eq!(
        lines,
        [
            ("GET", "/api/v1/users?sort=a&n=1&q=x%20y", String::new()),
            ("POST", "/api/v1/users", r#"{"id":123456789012345678901234567890,"ratio":1.10}"#.into()),
            ("PUT", "/api/v1/users/1", "{}".into()),
            ("POST", "/api/v1/users/1", "{}".into()),
            ("DELETE", "/api/v1/users/1?force=true", String::new()),
        ]
    );
    assert_eq!(header_names(&received[0]), ["accept-encoding", "authorization", "host", "user-agent"]);
    assert_eq!(header_names(&received[1]), ["accept-encoding", "authorization", "content-length", "content-type", "host", "user-agent"]);
    assert_eq!(header_names(&received[4]), ["accept-encoding", "authorization", "host", "user-agent"]);
    for request in &received {
        assert_eq!(request.header("host"), Some(service.address.to_string().as_str()));
        assert_eq!(request.header("authorization"), Some("Bearer t0ken"));
    }
    assert_eq!((received[1].header("content-type"), received[2].json()), (Some("application/json"), json!({})));
}

#[tokio::test]
async fn every_kind_of_answer_becomes_an_object() {
    let service = FakeService::start(|request| match request.target.as_str() {
        "/object" => Reply::new(200, r#"{"a":1}"#),
        "/array" => Reply::new(200, "[1,2]"),
        "/mislabelled" => Reply::new(200, r#"{"a":1}"#).with("content-type", "text/html"),
        "/number" => Reply::new(200, "12").with("content-type", "application/json; charset=utf-8"),
        "/null" => Reply::new(200, "null").with("content-type", "application/problem+json"),
        "/plain-number" => Reply::new(200, "12").with("content-type", "text/plain"),
        "/text" => Reply::new(200, "hello\n"),
        "/broken" => Reply::new(200, r#"{"a":"#).with("content-type", "application/json"),
        "/latin" => Reply::new(200, b"caf\xe9".to_vec()),
        "/created" => Reply::new(201, r#"{"id":7}"#),
        _ => Reply::new(204, ""),
    })
    .await;
    let agent = opened(&config(&service, "", &json!({})), &[]);
    for (tool, path, wanted) in [
        ("get", "/object", json!({ "a": 1 })),
        ("get", "/array", json!({ "result": [1, 2] })),
        ("get", "/mislabelled", json!({ "a": 1 })),
        ("get", "/number", json!({ "result": 12 })),
        ("get", "/null", json!({ "result": null })),
        ("get", "/plain-number", json!({ "text": "12" })),
        ("get", "/text", json!({ "text": "hello\n" })),
        ("get", "/broken", json!({ "text": "{\"a\":" })),
        ("get", "/latin", json!({ "text": "caf\u{fffd}" })),
        ("post", "/created", json!({ "id": 7 })),
        ("put", "/empty", json!({ "text": "" })),
        ("delete", "/empty", json!({ "status": "deleted" })),
        ("delete", "/array", json!({ "result": [1, 2] })),
        ("delete", "/text", json!({ "text": "hello\n" })),
    ] {
        assert_eq!(agent.call(tool, &json!({ "service": "s", "path": path })).await.unwrap(), wanted, "{tool} {path}");
    }
    assert!(service.received().iter().all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn each_way_of_sending_the_credential() {
    let service = echo().await;
    for (auth, credential, header, wanted, learned) in [
        (json!(null), "t0ken", "authorization", "Bearer t0ken", vec![]),
        (json!("bearer"), "t0ken", "authorization", "Bearer t0ken", vec![]),
        (json!("header:X-Api-Key"), "k e y", "x-api-key", "k e y", vec![]),
        (json!("header:Authorization"), "Token abc", "authorization", "Token abc", vec![]),
        (json!("basic"), "user:pa:ss", "authorization", "Basic dXNlcjpwYTpzcw==", vec!["dXNlcjpwYTpzcw==", "pa:ss"]),
    ] {
        let secrets = Arc::new(Learned::default());
        let host = Host { secrets: secrets.clone(), ..host(Arc::new(RecordingNetwork::default())) };
        let config =
            config(&service, "", &json!({ "credential_key": "KEY", "auth": auth, "headers": { "X-Team": "blue", "X-Version": 2 } }));
        let agent = try_open_on(&host, "http_proxy", "a", None, &config, &[("KEY", credential)]).unwrap();
        agent.call("get", &json!({ "service": "s", "path": "/" })).await.unwrap();
        let last = service.received().pop().unwrap();
        assert_eq!(
            (last.header(header), last.header("x-team"), last.header("x-version")),
            (Some(wanted), Some("blue"), Some("2")),
            "{auth}"
        );
        assert_eq!(*secrets.0.lock().unwrap(), learned, "{auth}");
    }
}

#[tokio::test]
async fn only_what_is_opened_may_be_called() {
    let service = echo().await;
    let more = json!({ "allowed_methods": ["get", "DELETE"], "allowed_paths": ["/users/*", "/reports/**"] });
    let agent = opened(&config(&service, "/api", &more), &[]);
    let call = |tool: &'static str, service: &'static str, path: &'static str| {
        let arguments = json!({ "service": service, "path": path });
        let confined = agent.0.confine(tool, &arguments.to_string()).map_err(|fault| fault.code).err();
        let agent = &agent;
        async move {
            let called = agent.code(tool, &arguments).await.err();
            assert_eq!(confined, called, "{tool} {service} {path}");
            called
        }
    };
    assert_eq!(call("get", "s", "/users/1").await, None);
    assert_eq!(call("delete", "s", "/reports/2026/07").await, None);
    assert_eq!(service.received().len(), 2);
    for (tool, name, path) in [
        ("post", "s", "/users/1"),
        ("put", "s", "/users/1"),
        ("get", "S", "/users/1"),
        ("get", "s ", "/users/1"),
        ("get", "", "/users/1"),
        ("get", "other", "/users/1"),
        ("get", "s", "/users"),
        ("get", "s", "/users/1/keys"),
        ("get", "s", "/"),
        ("get", "s", ""),
    ] {
        assert_eq!(call(tool, name, path).await, Some(Code::ScopeViolation), "{tool} {name} {path}");
    }
    assert_eq!(service.received().len(), 2, "nothing went out");
}

#[tokio::test]
async fn a_reading_agent_has_one_tool() {
    let config = json!({ "allowed_services": [{ "name": "s", "base_url": "https://service.example" }] });
    let agent = try_open_on(&Host::isolated(), "http_proxy", "a", Some(Access::Read), &config, &[]).unwrap();
    assert_eq!(agent.0.tools().iter().map(|tool| tool.name.as_ref()).collect::<Vec<_>>(), ["get"]);
    assert_eq!(agent.code("post", &json!({ "service": "s", "path": "/" })).await, Err(Code::PolicyDenied));
    assert!(agent.0.tools()[0].input_schema["properties"]["service"]["description"].as_str().unwrap().contains("`s`"));
}

#[test]
fn every_credential_is_asked_for() {
    let kind = ModuleRegistry::with_builtin().get("http_proxy").unwrap().clone();
    let config = json!({ "allowed_services": [
        { "name": "a", "base_url": "https://a.example", "credential_key": "B" },
        { "name": "b", "base_url": "https://b.example", "credential_key": "A" },
        { "name": "c", "base_url": "https://c.example", "credential_key": "A" },
        { "name": "d", "base_url": "https://d.example" },
    ] });
    let keys: Vec<_> = kind.credentials(config.as_object().unwrap()).into_iter().map(|key| (key.name.into_owned(), key.required)).collect();
    assert_eq!(keys, [("A".to_owned(), true), ("B".to_owned(), true)]);
    let fault = try_open_on(&Host::isolated(), "http_proxy", "a", None, &config, &[("A", "x")]).err().unwrap();
    assert_eq!(fault.key.as_deref(), Some("B"));
}

#[test]
fn every_mistake_of_the_configuration_is_named_at_once() {
    let config = json!({ "allowed_services": [
        { "name": "ok", "base_url": "https://a.example" },
        { "name": "ok", "base_url": "https://b.example" },
        { "base_url": "https://10.0.0.1" },
        { "name": "", "base_url": 7, "colour": "red" },
        "https://c.example",
        { "name": "e", "base_url": "ftp://e.example", "auth": "digest", "credential_scope": "any", "allowed_methods": ["PATCH"],
          "allowed_paths": ["users/*", ""], "allow_private": ["10.0.0.1/8"], "headers": { "Host": "x", "X": [] },
          "max_response_bytes": 0, "timeout_seconds": "long", "follow_redirects": "yes" },
        { "name": "f", "base_url": "https://f.example", "auth": "basic", "allowed_methods": [], "allowed_paths": [], "headers": [] },
    ] });
    let mut found: Vec<String> = faults(&config).into_iter().map(|fault| fault.key.unwrap().replace("allowed_services.", "")).collect();
    found.sort();
    let mut wanted = [
        "1.name",
        "2.base_url",
        "2.name",
        "3.base_url",
        "3.colour",
        "3.name",
        "4",
        "5.allow_private.0",
        "5.allowed_methods.0",
        "5.allowed_paths.0",
        "5.allowed_paths.1",
        "5.auth",
        "5.auth",
        "5.base_url",
        "5.credential_scope",
        "5.follow_redirects",
        "5.headers.Host",
        "5.headers.X",
        "5.max_response_bytes",
        "5.timeout_seconds",
        "6.allowed_methods",
        "6.allowed_paths",
        "6.auth",
        "6.headers",
    ];
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    assert!(try_open_on(&Host::isolated(), "http_proxy", "a", None, &config, &[]).is_err());
    assert_eq!(faults(&json!({ "allowed_services": [] })).len(), 1);
    assert!(
        faults(&json!({ "allowed_services": [{ "name": "s", "base_url": "https://s.example", "credential_scope": "own-origin" }] }))
            .is_empty()
    );
}

/// Everything of a fault that somebody may read.
fn shown(fault: &ToolFault) -> String {
    format!("{fault:?} {}", fault.details.clone().unwrap_or_default())
}

#[tokio::test]
async fn no_refusal_of_any_kind_shows_the_credential() {
    let filling = "x".repeat(500);
    let service = FakeService::start(move |request| {
        let echoed = request.header("authorization").unwrap().to_owned();
        let quoted = serde_json::to_string(&echoed).unwrap();
        match request.target.as_str() {
            "/plain" => Reply::new(500, echoed),
            "/json" => Reply::new(400, format!("{{\"authorization\":{quoted}}}")),
            "/at-the-cut" => Reply::new(400, format!("{filling}{echoed}")),
            "/401" => Reply::new(401, echoed),
            "/429" => Reply::new(429, echoed),
            "/redirect" => Reply::new(302, echoed.clone()).with("location", format!("/next/{}?k={CANARY}", "CANARY-5b2e-tok%22en%2Fx")),
            "/zip" => Reply::new(200, echoed.clone()).with("content-encoding", "gzip"),
            "/large" => Reply::new(200, echoed.repeat(100)),
            _ => Reply::new(503, format!("see http://user:{CANARY}@host/ for {CANARY}")),
        }
    })
    .await;
    for (auth, credential) in
        [("bearer", CANARY.to_owned()), ("basic", format!("user:{CANARY}")), ("header:Authorization", CANARY.to_owned())]
    {
        let more = json!({ "credential_key": "KEY", "auth": auth, "max_response_bytes": 1000 });
        let agent = opened(&config(&service, "", &more), &[("KEY", &credential)]);
        for path in ["/plain", "/json", "/at-the-cut", "/401", "/429", "/redirect", "/zip", "/large", "/other", "/../x", "/a%00"] {
            let fault = agent.call("get", &json!({ "service": "s", "path": path })).await.unwrap_err();
            let shown = shown(&fault);
            for form in ["CANARY", "Q0FOQVJZ", "dXNlcjpD", "VybDpD"] {
                assert!(!shown.contains(form), "{auth} {path}: {shown}");
            }
            assert!(!shown.contains("http://"), "{auth} {path}: {shown}");
        }
    }
    let dead = json!({ "allowed_services": [{ "name": "s", "base_url": "http://127.0.0.1:1", "allow_private": ["127.0.0.1"], "credential_key": "KEY" }] });
    let fault = opened(&dead, &[("KEY", CANARY)]).call("get", &json!({ "service": "s", "path": "/" })).await.unwrap_err();
    assert_eq!(fault.code, Code::UpstreamUnreachable);
    assert!(!shown(&fault).contains("CANARY") && !fault.message.contains("127.0.0.1"));
}

#[tokio::test]
async fn limits_of_a_service_hold() {
    let service = FakeService::start(|request| Reply::new(200, "x".repeat(if request.target == "/fits" { 100 } else { 101 }))).await;
    let agent = opened(&config(&service, "", &json!({ "max_response_bytes": 100 })), &[]);
    assert!(agent.call("get", &json!({ "service": "s", "path": "/fits" })).await.is_ok());
    let fault = agent.call("get", &json!({ "service": "s", "path": "/large" })).await.unwrap_err();
    assert_eq!((fault.code, fault.details.unwrap()["value"].clone()), (Code::LimitExceeded, json!(100)));
    let long = json!({ "service": "s", "path": "/", "params": { "q": "x".repeat(33 << 10) } });
    assert_eq!(agent.code("get", &long).await, Err(Code::LimitExceeded));
    let body = json!({ "service": "s", "path": "/", "body": { "q": "x".repeat(1 << 20) } });
    assert_eq!(agent.code("post", &body).await, Err(Code::LimitExceeded));
    assert_eq!(service.received().len(), 2);
}

#[tokio::test]
async fn json_comes_back_as_the_service_wrote_it() {
    let service = FakeService::start(|request| {
        let body = match request.target.as_str() {
            "/big" => r#"{ "id": 123456789012345678901234567890, "price": 1.10, "list": [ -0.0 ] }"#,
            "/array" => "[18446744073709551616]",
            "/twice" => r#"{"a":1,"a":2}"#,
            "/mark" => "\u{feff}{\"a\":1}",
            "/half" => r#"{"a":"\ud800"}"#,
            _ => "\u{feff}plain",
        };
        Reply::new(200, body)
    })
    .await;
    let agent = opened(&config(&service, "", &json!({})), &[]);
    let cancel = Cancel::new();
    for (path, wanted) in [
        ("/big", r#"{"id":123456789012345678901234567890,"price":1.10,"list":[-0.0]}"#),
        ("/array", r#"{"result":[18446744073709551616]}"#),
        ("/twice", r#"{"text":"{\"a\":1,\"a\":2}"}"#),
        ("/mark", r#"{"a":1}"#),
        ("/half", r#"{"text":"{\"a\":\"\\ud800\"}"}"#),
        ("/plain", r#"{"text":"plain"}"#),
    ] {
        let arguments = json!({ "service": "s", "path": path }).to_string();
        let call = agent.0.call("get", &arguments, context(Instant::now() + Duration::from_secs(20), &cancel));
        assert_eq!(call.await.unwrap().structured, wanted, "{path}");
    }
}

#[tokio::test]
async fn a_service_that_is_busy_says_when_to_come_back() {
    let service = FakeService::start(|request| match request.target.as_str() {
        "/429" => Reply::new(429, "slow \u{202e}down\u{200b}").with("retry-after", "7"),
        "/503" => Reply::new(503, "").with("date", "Sun, 06 Nov 1994 08:49:37 GMT").with("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"),
        "/late" => Reply::new(503, "").with("date", "Sun, 06 Nov 1994 08:49:37 GMT").with("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT"),
        "/silent" => Reply::new(503, "").with("retry-after", "soon"),
        _ => Reply::new(500, "").with("retry-after", "7"),
    })
    .await;
    let agent = opened(&config(&service, "", &json!({})), &[]);
    let none = Value::Null;
    for (path, retryable, wait) in [
        ("/429", true, &json!(7_000)),
        ("/503", true, &json!(30_000)),
        ("/late", true, &json!(0)),
        ("/silent", true, &none),
        ("/500", false, &none),
    ] {
        let fault = agent.call("get", &json!({ "service": "s", "path": path })).await.unwrap_err();
        assert_eq!((fault.code, fault.retryable), (Code::UpstreamError, retryable), "{path}");
        assert_eq!(&fault.details.as_ref().unwrap()["retry_after_ms"], wait, "{path}");
        assert!(!shown(&fault).contains(['\u{202e}', '\u{200b}']), "{fault:?}");
    }
}

#[tokio::test]
async fn who_sends_no_credential_is_not_told_to_renew_it() {
    let service = FakeService::start(|_| Reply::new(401, "who are you?")).await;
    let ask = json!({ "service": "s", "path": "/" });
    let without = opened(&config(&service, "", &json!({})), &[]).call("get", &ask).await.unwrap_err();
    assert_eq!(without.code, Code::UpstreamAuth);
    assert!(without.message.contains("none is configured") && without.remedy.contains("credential_key"), "{without:?}");
    let with = opened(&config(&service, "", &json!({ "credential_key": "TOKEN" })), &[("TOKEN", "t0ken")]);
    let with = with.call("get", &ask).await.unwrap_err();
    assert!(with.code == Code::UpstreamAuth && with.remedy.contains("renew"), "{with:?}");
}
