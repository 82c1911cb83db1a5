//! What reading a message costs: `cargo run --release -p bailiwick-mcp --example json_speed`.
//!
//! Prints the best of several rounds per operation, since other work on the machine only ever adds time.

#![allow(clippy::print_stdout, clippy::expect_used, reason = "a measuring tool for developers")]

use std::hint::black_box;
use std::time::Instant;

use bailiwick_mcp::exchange::{Headers, classify};
use bailiwick_mcp::{Era, Id, Json, Limits, Message, decode, encode};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

const ROUNDS: u32 = 200;
const ROUND_BYTES: usize = 256 << 10;

/// A modern `tools/call` of 441 bytes.
const CALL: &str = concat!(
    r#"{"jsonrpc":"2.0","id":4711,"method":"tools/call","params":{"name":"filesystem__read_file","arguments":{"path":"docs/guide/first-steps.md","#,
    r#""offset":0,"limit":2048,"encoding":"utf-8"},"_meta":{"progressToken":"p-4711","io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
    r#""io.modelcontextprotocol/clientInfo":{"name":"bench-client-x","version":"1.0.0"},"#,
    r#""io.modelcontextprotocol/clientCapabilities":{"elicitation":{"form":{}},"sampling":{}}}}}"#
);

/// Nanoseconds of one `work` on a text of `bytes` bytes.
fn measure(name: &str, bytes: usize, mut work: impl FnMut()) {
    let times = u32::try_from((ROUND_BYTES / bytes).clamp(1, 50_000)).expect("small");
    let best = (0..ROUNDS).map(|_| {
        let started = Instant::now();
        (0..times).for_each(|_| work());
        started.elapsed().as_secs_f64() * 1e9 / f64::from(times)
    });
    let best = best.fold(f64::INFINITY, f64::min);
    println!("{name:<58} {bytes:>8} B {best:>12.0} ns {:>8.2} GB/s", bytes as f64 / best);
}

fn checks(name: &str, text: &str) {
    let body = Bytes::from(text.to_owned());
    measure(&format!("{name}: check"), body.len(), || {
        black_box(Json::check(black_box(body.clone()), &Limits::RESULT)).expect("valid");
    });
    measure(&format!("{name}: inspect"), body.len(), || {
        black_box(Json::inspect(black_box(body.clone()), &Limits::RESULT)).expect("valid");
    });
    measure(&format!("{name}: decode"), body.len(), || {
        black_box(decode(black_box(body.clone()), &Limits::RESULT)).expect("valid");
    });
    measure(&format!("{name}: serde_json IgnoredAny, for comparison"), body.len(), || {
        black_box(serde_json::from_slice::<serde::de::IgnoredAny>(black_box(&body))).expect("valid");
    });
}

fn call() {
    let body = Bytes::from_static(CALL.as_bytes());
    checks("call", CALL);
    let mut headers = HeaderMap::new();
    for (name, value) in
        [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "filesystem__read_file"), ("host", "localhost")]
    {
        headers.insert(name, HeaderValue::from_static(value));
    }
    measure("call: decode, classify, name and arguments", body.len(), || {
        let message = decode(black_box(body.clone()), &Limits::REQUEST).expect("valid");
        let exchange = classify(&Headers::read(&headers), &message).expect("modern");
        let params = message.params().expect("params");
        black_box((params.text_of("name").expect("name"), params.member("arguments"), &exchange));
    });
}

fn results() {
    let text = "x".repeat(1 << 20);
    let result =
        |text: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"{text}"}}],"isError":false}}}}"#);
    checks("1 MiB of plain text", &result(&text));
    checks("1 MiB of escaped lines", &result(&r#"some words of a line of text, \u00e9 and a \"quote\"\n"#.repeat(20_000)));
    checks("1 MiB of non-ASCII text", &result(&"Грюнвальд ".repeat(55_000)));
    let numbers: Vec<String> = (0..20_000).map(|i| format!(r#"{{"id":{i},"name":"row {i}","ok":true,"ratio":{i}.25}}"#)).collect();
    checks("1 MiB of small objects", &result("").replace("\"isError\"", &format!("\"rows\":[{}],\"isError\"", numbers.join(","))));
    let members: Vec<String> = (0..60_000).map(|i| format!(r#""member-{i}":{i}"#)).collect();
    checks("one object of 60,000 members", &result("").replace("\"isError\"", &format!("\"o\":{{{}}},\"isError\"", members.join(","))));

    let Ok(Message::Response(response)) = decode(result(&text).into(), &Limits::RESULT) else { return };
    let json = response.outcome.expect("result");
    measure("1 MiB: encode for a modern client", json.len(), || {
        black_box(encode::result_in(&Id::Integer(1), black_box(&json), Era::Modern));
    });
    let small = Json::from_static(r#"{"content":[{"type":"text","text":"a short answer of a tool"}],"isError":false}"#);
    measure("small result: encode for a modern client", small.len(), || {
        black_box(encode::result_in(&Id::Integer(1), black_box(&small), Era::Modern));
    });
}

fn main() {
    call();
    results();
}
