//! Servers that want to hurt: every one of them costs its own caller a fault, and nobody else anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bailiwick_mcp::client::{Cancel, FaultKind, Options, UpstreamFault};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client_fake::{Answer, Fake, Seen, call, call_within, options, text};

/// The fault of one call to a server that answers `tools/call` so.
async fn fault_of(options: Options, answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> UpstreamFault {
    let fake = Fake::modern(answer).await;
    let upstream = fake.upstream(options);
    upstream.open().await.unwrap();
    let fault = call_within(&upstream, "x", "{}", Duration::from_secs(5), &Cancel::new()).await.unwrap_err();
    assert!(fault.sent, "{fault:?}");
    assert_eq!(fake.methods().iter().filter(|method| *method == "tools/call").count(), 1, "never sent again");
    fault
}

fn raw(bytes: impl Into<Vec<u8>>) -> Answer {
    Answer::Bytes(bytes.into())
}

/// Writes `head`, then `chunk` again and again until nobody reads. Returns how much was taken.
async fn pour(mut stream: TcpStream, head: String, chunk: Vec<u8>, poured: Arc<AtomicUsize>) {
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    while stream.write_all(&chunk).await.is_ok() {
        poured.fetch_add(chunk.len(), Ordering::SeqCst);
    }
}

fn endless(head: &'static str, chunk: Vec<u8>) -> (impl Fn(&Seen) -> Answer + Send + Sync + 'static, Arc<AtomicUsize>) {
    let poured = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&poured);
    let answer = move |_: &Seen| {
        let (chunk, count) = (chunk.clone(), Arc::clone(&count));
        Answer::script(move |stream| pour(stream, format!("HTTP/1.1 200 OK\r\n{head}\r\n"), chunk, count))
    };
    (answer, poured)
}

fn small() -> Options {
    Options { result_bytes_max: 1 << 20, event_bytes_max: 1 << 18, ..options() }
}

#[tokio::test]
async fn an_endless_body_ends_at_the_limit() {
    let mut chunk = b"10000\r\n".to_vec();
    chunk.extend_from_slice(&[b' '; 0x10000]);
    chunk.extend_from_slice(b"\r\n");
    let (answer, poured) = endless("content-type: application/json\r\ntransfer-encoding: chunked\r\n", chunk);
    assert!(matches!(fault_of(small(), answer).await.kind, FaultKind::TooLarge));
    assert!(poured.load(Ordering::SeqCst) < 16 << 20, "{poured:?}");
}

#[tokio::test]
async fn a_body_without_length_ends_at_the_limit() {
    let (answer, _) = endless("content-type: application/json\r\nconnection: close\r\n", vec![b'['; 1 << 16]);
    assert!(matches!(fault_of(small(), answer).await.kind, FaultKind::TooLarge));
}

#[tokio::test]
async fn a_promise_of_too_much_is_not_even_read() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n";
    assert!(matches!(fault_of(small(), move |_| raw(head)).await.kind, FaultKind::TooLarge));
    let beyond = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99999999999999999999999\r\n\r\n";
    assert!(matches!(fault_of(small(), move |_| raw(beyond)).await.kind, FaultKind::Protocol));
}

#[tokio::test]
async fn endless_event_streams_end_at_the_limit() {
    let comment = b": still here\n\n".repeat(1000);
    let (answer, _) = endless("content-type: text/event-stream\r\nconnection: close\r\n", comment);
    assert!(matches!(fault_of(small(), answer).await.kind, FaultKind::TooLarge));

    let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#;
    let (answer, _) =
        endless("content-type: text/event-stream\r\nconnection: close\r\n", format!("data: {progress}\n\n").repeat(100).into_bytes());
    assert!(matches!(fault_of(small(), answer).await.kind, FaultKind::TooLarge));

    let (answer, _) = endless("content-type: text/event-stream\r\nconnection: close\r\n", vec![b'x'; 1 << 16]);
    let fault = fault_of(small(), answer).await;
    assert!(matches!(fault.kind, FaultKind::TooLarge) && fault.detail.contains("event"), "one line without end: {fault}");
}

#[tokio::test]
async fn a_stream_that_keeps_silent_is_given_up() {
    let fake = Fake::modern(|_| {
        Answer::script(|mut stream| async move {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: hi\n\n").await;
            let _ = stream.read(&mut [0; 1]).await;
        })
    })
    .await;
    let upstream = fake.upstream(options());
    upstream.open().await.unwrap();
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let fault = call_within(&upstream, "x", "{}", Duration::from_secs(600), &Cancel::new()).await.unwrap_err();
    assert!(matches!(fault.kind, FaultKind::Timeout) && fault.detail.contains("silent"), "{fault}");
    assert!(begun.elapsed() < Duration::from_secs(62), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_huge_head_is_refused() {
    let header = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(200_000));
    assert!(matches!(fault_of(options(), move |_| raw(header.clone())).await.kind, FaultKind::Protocol));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(1000));
    assert!(matches!(fault_of(options(), move |_| raw(many.clone())).await.kind, FaultKind::Protocol));
    let (answer, poured) = endless("", b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(100));
    let fault = fault_of(options(), answer).await;
    // The empty line after the head above made it a complete answer of no known form.
    assert!(matches!(fault.kind, FaultKind::Protocol), "{fault}");
    assert!(poured.load(Ordering::SeqCst) < 8 << 20);
}

#[tokio::test]
async fn a_head_that_drips_ends_at_the_deadline() {
    let fake = Fake::modern(|_| {
        Answer::script(|mut stream| async move {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
            while stream.write_all(b"x: y\r\n").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        })
    })
    .await;
    let upstream = fake.upstream(options());
    upstream.open().await.unwrap();
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let fault = call_within(&upstream, "x", "{}", Duration::from_secs(20), &Cancel::new()).await.unwrap_err();
    assert!(matches!(fault.kind, FaultKind::Timeout) && fault.sent, "{fault}");
    assert!(begun.elapsed() < Duration::from_secs(21));
}

#[tokio::test]
async fn interim_answers_without_end_stop_at_the_deadline() {
    let fake = Fake::modern(|_| {
        Answer::script(|mut stream| async move { while stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n").await.is_ok() {} })
    })
    .await;
    let upstream = fake.upstream(options());
    upstream.open().await.unwrap();
    let fault = call_within(&upstream, "x", "{}", Duration::from_millis(100), &Cancel::new()).await.unwrap_err();
    assert!(matches!(fault.kind, FaultKind::Timeout | FaultKind::Protocol), "{fault:?}");
}

#[tokio::test]
async fn answers_that_break_the_rules_are_faults() {
    let json = |body: &'static str| move |_: &Seen| Answer::http(200, "content-type: application/json\r\n", body);
    for body in [
        "",
        "{",
        "null",
        "[]",
        "not json",
        "{\"jsonrpc\":\"2.0\"}",
        r#"{"jsonrpc":"1.0","id":2,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":999,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":"2","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":2.0,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":null,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":2,"result":{"a":1,"a":2}}"#,
        r#"{"jsonrpc":"2.0","id":2,"result":{},"error":{"code":1,"message":""}}"#,
        r#"{"jsonrpc":"2.0","id":2,"method":"tools/call"}"#,
        r#"{"jsonrpc":"2.0","id":2,"result":{}} trailing"#,
        "[{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}]",
    ] {
        let fault = fault_of(options(), json(body)).await;
        assert!(matches!(fault.kind, FaultKind::Protocol), "{body}: {fault:?}");
    }
    let deep = format!(r#"{{"jsonrpc":"2.0","id":2,"result":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let fault = fault_of(options(), move |_| Answer::http(200, "content-type: application/json\r\n", &deep)).await;
    assert!(matches!(fault.kind, FaultKind::Protocol), "{fault:?}");

    let headers = ["", "content-type: text/html\r\n", "content-type: application/json\r\ncontent-encoding: gzip\r\n"];
    for head in headers {
        let fault =
            fault_of(options(), move |seen| Answer::http(200, head, &json!({"jsonrpc": "2.0", "id": seen.id(), "result": {}}).to_string()))
                .await;
        assert!(matches!(fault.kind, FaultKind::Protocol), "{head}: {fault:?}");
    }
    for garbage in [
        "\u{0}\u{1}\u{2}",
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
    ] {
        let fault = fault_of(options(), move |_| Answer::Close(garbage.into())).await;
        assert!(matches!(fault.kind, FaultKind::Protocol | FaultKind::Closed), "{garbage:?}: {fault:?}");
    }
    for events in ["data: {\n\n", "data: []\n\n", "", ": only a comment\n\n", "event: other\ndata: {\"jsonrpc\":\"2.0\"}\n\n"] {
        let fault = fault_of(options(), move |_| Answer::events(events)).await;
        assert!(matches!(fault.kind, FaultKind::Protocol | FaultKind::Closed), "{events:?}: {fault:?}");
    }
}

#[tokio::test]
async fn a_second_answer_reaches_nobody() {
    let fake = Fake::modern(|seen| {
        let body = json!({"jsonrpc": "2.0", "id": seen.id(), "result": {"for": seen.json()["params"]["name"]}}).to_string();
        let one = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        raw(one.repeat(2))
    })
    .await;
    let upstream = fake.upstream(options());
    for name in ["a", "b", "c", "d"] {
        assert_eq!(
            text(&call(&upstream, name, "{}").await.unwrap())["for"],
            name,
            "the surplus of an earlier answer is not taken for this one"
        );
    }
}

/// Both forms of a good answer, cut off behind every byte.
#[tokio::test]
async fn closing_at_any_byte_is_a_clean_fault() {
    let body = r#"{"jsonrpc":"2.0","id":2,"result":{"x":"y"}}"#;
    let whole = [
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()),
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\ndata: {body}\n\n\r\n0\r\n\r\n",
            body.len() + 8
        ),
    ];
    for (form, whole) in whole.into_iter().enumerate() {
        for cut in 0..whole.len() {
            let part = whole.as_bytes()[..cut].to_vec();
            let fake = Fake::modern(move |_| Answer::Close(part.clone())).await;
            let result = call(&fake.upstream(options()), "x", "{}").await;
            match result {
                // The event was complete; only the end of the stream is missing.
                Ok(result) => assert!(
                    form == 1 && whole.as_bytes()[..cut].ends_with(b"\n\n") | whole[..cut].contains("}\n\n"),
                    "cut {cut}: {result:?}"
                ),
                Err(fault) => assert!(matches!(fault.kind, FaultKind::Closed | FaultKind::Protocol) && fault.sent, "cut {cut}: {fault:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_may_be_large_and_odd() {
    let long = "z".repeat(1 << 20);
    let fault = fault_of(options(), move |seen| {
        let body = json!({"jsonrpc": "2.0", "id": seen.id(), "error": {"code": 1, "message": long}}).to_string();
        Answer::http(418, "content-type: application/json\r\n", &body)
    })
    .await;
    assert!(matches!(fault.kind, FaultKind::Http(418)) && fault.detail.len() < 500);
    let fault = fault_of(options(), |seen| {
        let error = json!({"code": 1, "message": "\u{1b}[2J\n".repeat(1000), "data": {"big": 1}});
        Answer::json(200, &json!({"jsonrpc": "2.0", "id": seen.id(), "error": error}))
    })
    .await;
    assert!(fault.detail.len() < 2000 && !fault.detail.contains(['\u{1b}', '\n']), "{}", fault.detail);
}

#[tokio::test]
async fn session_ids_that_no_header_should_carry_are_refused() {
    for id in ["has space", &"s".repeat(5000)] {
        let id = id.to_owned();
        let fake = Fake::start(move |seen| match seen.rpc().as_str() {
            "server/discover" => Answer::empty(404),
            _ => {
                let body = json!({"jsonrpc": "2.0", "id": seen.id(), "result": crate::client_fake::initialized("2025-11-25")}).to_string();
                Answer::http(200, &format!("content-type: application/json\r\nmcp-session-id: {id}\r\n"), &body)
            }
        })
        .await;
        let fault = fake.upstream(options()).open().await.unwrap_err();
        assert!(matches!(fault.kind, FaultKind::Protocol), "{fault:?}");
    }
}

#[tokio::test]
async fn one_bad_server_does_not_disturb_another() {
    let (answer, _) = endless("content-type: text/event-stream\r\nconnection: close\r\n", b": still here\n\n".repeat(1000));
    let bad = Fake::modern(answer).await;
    let good = Fake::modern(|seen| seen.result(json!({"ok": true}))).await;
    let (bad, good) = (bad.upstream(options()), good.upstream(options()));
    let cancel = Cancel::new();
    let (bad, ()) = tokio::join!(call_within(&bad, "x", "{}", Duration::from_secs(30), &cancel), async {
        for _ in 0..20 {
            assert_eq!(text(&call(&good, "x", "{}").await.unwrap())["ok"], Value::Bool(true));
        }
        cancel.cancel();
    });
    assert!(bad.is_err());
}
