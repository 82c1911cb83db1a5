//! `matrix`: one event for one call, in listed rooms only (reference, tool modules section 8.5).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bailiwick_model::Code;
use bailiwick_modules::egress::Network;
use bailiwick_modules::{Access, Cancel, CredentialKey, Host, ModuleRegistry, ToolFault};
use serde_json::{Value, json};

use crate::canary::{Case, silent};
use crate::service::{FakeService, PipeNetwork, Received, RecordingNetwork, Reply, header_names, host};
use crate::support::{Agent, mistakes, try_open_on};

const TOKEN: &str = "syt_canary_YWdlbnQ_4711";
const ROOM: &str = "!OGEhHVWSdvArJzumhm:matrix.org/ü";
const ROOM_PATH: &str = "/_matrix/client/v3/rooms/%21OGEhHVWSdvArJzumhm%3Amatrix.org%2F%C3%BC/send/m.room.message/";
const KEYS: [(&str, &str); 2] = [("MATRIX_HOMESERVER", "https://matrix.example"), ("MATRIX_ACCESS_TOKEN", TOKEN)];

fn open_on(network: Arc<dyn Network>, url: &str, rooms: Value) -> Agent {
    let credentials = [("MATRIX_HOMESERVER", url), ("MATRIX_ACCESS_TOKEN", TOKEN)];
    try_open_on(&host(network), "matrix", "a", Some(Access::Write), &json!({ "allowed_rooms": rooms }), &credentials).unwrap()
}

fn open(service: &FakeService, rooms: Value) -> Agent {
    open_on(Arc::new(RecordingNetwork::default()), &service.url(), rooms)
}

fn taken(_: &Received) -> Reply {
    Reply::json(&json!({ "event_id": "$1" }))
}

#[tokio::test]
async fn a_message_is_one_put_of_one_event() {
    let service = FakeService::start(taken).await;
    let text = "<b>Grüße</b>\n\"世界\" \u{1} /join #x";
    let agent = open_on(Arc::new(RecordingNetwork::default()), &format!("{}/hs/", service.url()), json!([ROOM]));
    assert_eq!(agent.call("send", &json!({ "room": ROOM, "message": text })).await, Ok(json!(true)));
    let request = service.only();
    assert_eq!((request.method.as_str(), request.target), ("PUT", format!("/hs{ROOM_PATH}01J")));
    let headers = service.only();
    assert_eq!(header_names(&headers), ["accept-encoding", "authorization", "content-length", "content-type", "host", "user-agent"]);
    assert_eq!(headers.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
    assert_eq!(headers.header("content-type"), Some("application/json"));
    assert_eq!(headers.json(), json!({ "msgtype": "m.text", "body": text }));
}

#[tokio::test]
async fn other_rooms_are_refused_before_anything_is_sent() {
    let service = FakeService::start(taken).await;
    let agent = open(&service, json!([ROOM, "#ops:matrix.org", "!OpaqueOfVersion12"]));
    let long = format!("{ROOM}{}", "x".repeat(1 << 16));
    let others = [
        "",
        "!other:matrix.org",
        " ",
        "#OPS:matrix.org",
        "#ops:MATRIX.org",
        "!OpaqueOfVersion12:matrix.org",
        "../../x",
        "%21a",
        "!",
        &long,
    ];
    for other in
        others.into_iter().map(str::to_owned).chain([format!("{ROOM} "), format!(" {ROOM}"), format!("{ROOM}\n"), ROOM.to_lowercase()])
    {
        let arguments = json!({ "room": other, "message": "x" });
        assert_eq!(agent.0.confine("send", &arguments.to_string()).unwrap_err().code, Code::ScopeViolation, "{other:?}");
        assert_eq!(agent.code("send", &arguments).await, Err(Code::ScopeViolation), "{other:?}");
    }
    let long = json!({ "room": ROOM, "message": "x".repeat((32 << 10) + 1) });
    assert_eq!(agent.code("send", &long).await, Err(Code::LimitExceeded));
    for bad in [json!({ "room": ROOM }), json!({ "room": ROOM, "message": "x", "txn": "1" }), json!({ "room": [ROOM], "message": "x" })] {
        assert_eq!(agent.code("send", &bad).await, Err(Code::InvalidArgument), "{bad}");
    }
    assert!(service.received().is_empty());
    assert!(agent.call("send", &json!({ "room": "!OpaqueOfVersion12", "message": "x".repeat(32 << 10) })).await.is_ok());
}

#[tokio::test]
async fn an_alias_is_looked_up_once_and_kept() {
    let asked = AtomicUsize::new(0);
    let service = FakeService::start(move |request| {
        if !request.target.contains("/directory/") {
            return taken(request);
        }
        // Whoever holds the alias leads it elsewhere after the first time.
        match asked.fetch_add(1, Ordering::Relaxed) {
            0 => Reply::new(404, r#"{"errcode":"M_NOT_FOUND"}"#),
            1 => Reply::json(&json!({ "room_id": "../../admin" })),
            2 => Reply::json(&json!({ "room_id": "!real:matrix.org", "servers": ["matrix.org"] })),
            _ => Reply::json(&json!({ "room_id": "!other:matrix.org" })),
        }
    })
    .await;
    let agent = open(&service, json!(["#ops:matrix.org"]));
    assert!(service.received().is_empty(), "opening asks nobody");
    let arguments = json!({ "room": "#ops:matrix.org", "message": "x" });
    let results = [agent.code("send", &arguments).await, agent.code("send", &arguments).await, agent.code("send", &arguments).await];
    assert_eq!(results, [Err(Code::UpstreamError), Err(Code::UpstreamProtocol), Ok(json!(true))]);
    assert_eq!(agent.code("send", &arguments).await, Ok(json!(true)));
    let look_up = "/_matrix/client/v3/directory/room/%23ops%3Amatrix.org".to_owned();
    let send = "/_matrix/client/v3/rooms/%21real%3Amatrix.org/send/m.room.message/01J".to_owned();
    let targets: Vec<String> = service.received().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, [look_up.clone(), look_up.clone(), look_up, send.clone(), send]);
    assert_eq!(agent.code("send", &json!({ "room": "!real:matrix.org", "message": "x" })).await, Err(Code::ScopeViolation));
}

/// What a homeserver that answers 429 `times` times gets, with the time that passed.
async fn limited(times: usize, reply: Reply, deadline: Duration) -> (Result<Value, ToolFault>, Vec<Received>, Duration) {
    let left = AtomicUsize::new(times);
    let answer = move |request: &Received| {
        let again = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        if again { reply.clone() } else { taken(request) }
    };
    let (network, received) = PipeNetwork::http(answer);
    let agent = open_on(Arc::new(network), "http://127.0.0.1", json!([ROOM]));
    let begin = tokio::time::Instant::now();
    let arguments = json!({ "room": ROOM, "message": "x" });
    let result = agent.call_until("send", &arguments, Instant::now() + deadline, &Cancel::new()).await;
    let received = received.lock().unwrap().clone();
    (result, received, begin.elapsed())
}

fn slow_down(millis: u64) -> Reply {
    Reply::new(429, json!({ "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": millis }).to_string())
}

#[tokio::test(start_paused = true)]
async fn a_homeserver_that_asks_for_time_gets_it_once() {
    let minute = Duration::from_secs(60);
    let (result, received, passed) = limited(1, slow_down(2_000), minute).await;
    assert_eq!(result, Ok(json!(true)));
    assert!((2_000..2_500).contains(&passed.as_millis()), "{passed:?}");
    assert_eq!(received.len(), 2);
    assert_eq!((&received[0].target, &received[0].body), (&received[1].target, &received[1].body), "the same transaction");

    let (result, _, passed) = limited(1, Reply::new(429, "").with("retry-after", "3"), minute).await;
    assert!(result.is_ok() && passed >= Duration::from_secs(3), "{passed:?}");

    let (result, received, _) = limited(2, slow_down(2_000), minute).await;
    let fault = result.unwrap_err();
    assert_eq!((fault.code, &fault.details.unwrap()["retry_after_ms"], received.len()), (Code::UpstreamError, &json!(2_000), 2));
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_the_cap_or_the_deadline_is_refused_at_once() {
    let minute = Duration::from_secs(60);
    for (reply, deadline) in [
        (slow_down(10_001), minute),
        (slow_down(u64::MAX), minute),
        (slow_down(5_000), Duration::from_secs(4)),
        (Reply::new(429, "").with("retry-after", "86400"), minute),
        (Reply::new(429, "").with("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"), minute),
        (Reply::new(429, r#"{"retry_after_ms":-1}"#), minute),
        (Reply::new(503, r#"{"retry_after_ms":10}"#), minute),
    ] {
        let (result, received, passed) = limited(9, reply.clone(), deadline).await;
        assert_eq!(result.unwrap_err().code, Code::UpstreamError, "{reply:?}");
        assert_eq!(received.len(), 1, "{reply:?}");
        assert!(passed < Duration::from_secs(1), "{reply:?}: {passed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_when_the_caller_gives_up() {
    let cancel = Cancel::new();
    let stop = Mutex::new(Some(cancel.clone()));
    let (network, received) = PipeNetwork::http(move |_| {
        let stop = stop.lock().unwrap().take().unwrap();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            stop.cancel();
        });
        slow_down(9_000)
    });
    let agent = open_on(Arc::new(network), "http://127.0.0.1", json!([ROOM]));
    let begin = tokio::time::Instant::now();
    let arguments = json!({ "room": ROOM, "message": "x" });
    let fault = agent.call_until("send", &arguments, Instant::now() + Duration::from_secs(60), &cancel).await.unwrap_err();
    assert_eq!(fault.code, Code::Cancelled);
    assert!(begin.elapsed() < Duration::from_secs(2) && received.lock().unwrap().len() == 1);
}

#[test]
fn rooms_are_ids_or_aliases() {
    let allowed = |rooms: Value| mistakes("matrix", &json!({ "allowed_rooms": rooms }), &KEYS);
    assert_eq!(allowed(json!([])), ["allowed_rooms"]);
    assert_eq!(allowed(json!(vec!["!a:b"; 1_001])), ["allowed_rooms"]);
    assert_eq!(mistakes("matrix", &json!({}), &KEYS), ["allowed_rooms"]);
    let long = format!("!{}:b", "x".repeat(253));
    let rooms = json!(["!a:b", "a:b", "!", "!:b", "#a", "#:b", "#a:", "@a:b", "!a b:c", "!a\n:b", "", long, "#a:b:8448", "!opaque"]);
    let wrong: Vec<String> = (1..=11).map(|index| format!("allowed_rooms.{index}")).collect();
    assert_eq!(allowed(rooms), wrong);
    let more = json!({ "allowed_rooms": ["x"], "allow_private": ["y"] });
    assert_eq!(mistakes("matrix", &more, &KEYS), ["allowed_rooms.0", "allow_private.0"]);
}

#[test]
fn credentials_are_declared_and_held_to_their_form() {
    let declared = ModuleRegistry::with_builtin().get("matrix").unwrap().credentials(&serde_json::Map::new());
    assert_eq!(declared, [CredentialKey::required("MATRIX_HOMESERVER"), CredentialKey::required("MATRIX_ACCESS_TOKEN")]);
    let config = json!({ "allowed_rooms": ["!a:b"] });
    for (homeserver, token, key) in [
        ("matrix.example", "canary", "MATRIX_HOMESERVER"),
        ("https://canary@matrix.example", "canary", "MATRIX_HOMESERVER"),
        ("", "canary", "MATRIX_HOMESERVER"),
        ("https://matrix.example", "", "MATRIX_ACCESS_TOKEN"),
        ("https://matrix.example", "canary\nX-Evil: 1", "MATRIX_ACCESS_TOKEN"),
    ] {
        let credentials = [("MATRIX_HOMESERVER", homeserver), ("MATRIX_ACCESS_TOKEN", token)];
        let fault = try_open_on(&Host::isolated(), "matrix", "a", None, &config, &credentials).err().unwrap();
        assert_eq!(fault.key.as_deref(), Some(key), "{fault}");
        assert!(!fault.to_string().contains("canary"), "{fault}");
    }
}

#[tokio::test]
async fn a_homeserver_in_private_space_needs_to_be_opened() {
    let names = [("matrix.corp".to_owned(), vec!["192.168.7.7".parse().unwrap()])];
    let network = Arc::new(RecordingNetwork { names: names.into(), ..RecordingNetwork::default() });
    let agent = open_on(network.clone(), "https://matrix.corp", json!([ROOM]));
    let fault = agent.call("send", &json!({ "room": ROOM, "message": "x" })).await.unwrap_err();
    assert_eq!(fault.code, Code::EgressDenied);
    silent(&fault, &[TOKEN, "192.168.7.7"]);
    assert!(network.dialled.lock().unwrap().is_empty());
}

#[tokio::test]
async fn no_failure_shows_the_token() {
    let case = |rooms: Value, room: &str| Case {
        kind: "matrix",
        config: json!({ "allowed_rooms": rooms }),
        credentials: |url| vec![("MATRIX_HOMESERVER", url.to_owned()), ("MATRIX_ACCESS_TOKEN", TOKEN.to_owned())],
        arguments: json!({ "room": room, "message": "x" }),
        canaries: &["syt_canary", "YWdlbnQ_4711"],
    };
    case(json!([ROOM]), ROOM).run().await;
    case(json!(["#ops:matrix.org"]), "#ops:matrix.org").run().await;
}
