//! `ntfy`: the title and the tags are headers, the message is the body.

use bailiwick_model::Code;
use data_encoding::BASE64;
use serde_json::{Value, json};

use super::row::{Holds, Request, Row, surplus};

const TOPIC: &str = "POST /agents-a-1";

/// An encoded word; of text that fits into one.
fn word(text: &str) -> String {
    format!("=?utf-8?b?{}?=", BASE64.encode(text.as_bytes()))
}

fn usual(more: &Value) -> Value {
    let mut arguments = json!({ "title": "t", "message": "m" });
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    arguments
}

/// A title, and its header; an empty one is none.
fn title(given: &str, header: &str) -> Row {
    let request = Request::new(TOPIC).with("priority", "default").text("m");
    let request = if header.is_empty() { request } else { request.with("title", header) };
    Row::new(format!("title {given:?}"), "ntfy", "send", &usual(&json!({ "title": given })), Holds::Sent(vec![request]))
}

fn tags(given: &str, header: &str) -> Row {
    let request = Request::new(TOPIC).with("priority", "default").with("title", "t").with("tags", header).text("m");
    Row::new(format!("tags {given:?}"), "ntfy", "send", &usual(&json!({ "tags": given })), Holds::Sent(vec![request]))
}

fn message(given: &str) -> Row {
    let request = Request::new(TOPIC).with("priority", "default").with("title", "t").text(given);
    Row::new(format!("message {given:.40?}"), "ntfy", "send", &usual(&json!({ "message": given })), Holds::Sent(vec![request]))
}

fn refused(name: &str, more: &Value) -> Row {
    Row::new(name, "ntfy", "send", &usual(more), Holds::Refused(Code::InvalidArgument))
}

pub(super) fn attacks() -> Vec<Row> {
    let titles = [
        ("a\r\nX-Evil: 1", "a X-Evil: 1".to_owned()),
        ("a\nX-Evil: 1", "a X-Evil: 1".to_owned()),
        ("a\rX-Evil: 1", "aX-Evil: 1".to_owned()),
        ("a\n\rX-Evil: 1", "a X-Evil: 1".to_owned()),
        ("a\r\n\r\nPOST /other HTTP/1.1\r\nHost: x\r\n\r\n", "a  POST /other HTTP/1.1 Host: x".to_owned()),
        ("a\r\n folded: 1", "a  folded: 1".to_owned()),
        ("a\r\n\tfolded: 1", "a folded: 1".to_owned()),
        ("\r\nX-Evil: 1", "X-Evil: 1".to_owned()),
        ("a\r\n", "a".to_owned()),
        ("\r\n\r\n", String::new()),
        ("a\0X-Evil: 1", "aX-Evil: 1".to_owned()),
        ("a\u{b}\u{c}\u{1b}[2J\u{7f}b", "a[2Jb".to_owned()),
        ("a\u{85}X-Evil: 1", "aX-Evil: 1".to_owned()),
        ("a\u{2028}X-Evil: 1", word("a\u{2028}X-Evil: 1")),
        ("a\u{2029}X-Evil: 1", word("a\u{2029}X-Evil: 1")),
        // Cut to one byte a character, these are CR and LF.
        ("a\u{560d}\u{560a}X-Evil: 1", word("a\u{560d}\u{560a}X-Evil: 1")),
        ("a\u{10d}\u{10a}X-Evil: 1", word("a\u{10d}\u{10a}X-Evil: 1")),
        ("=?utf-8?q?x=0D=0AX-Evil:_1?=", word("=?utf-8?q?x=0D=0AX-Evil:_1?=")),
        ("=?utf-8?b?eA0KWC1FdmlsOiAx?=", word("=?utf-8?b?eA0KWC1FdmlsOiAx?=")),
        ("a =?us-ascii?q?b?=", word("a =?us-ascii?q?b?=")),
        ("a%0d%0aX-Evil: 1", "a%0d%0aX-Evil: 1".to_owned()),
        ("a\\r\\nX-Evil: 1", "a\\r\\nX-Evil: 1".to_owned()),
        ("a&#13;&#10;X-Evil: 1", "a&#13;&#10;X-Evil: 1".to_owned()),
    ];
    let lists = [
        ("warning\r\nActions: view, Open, https://evil.example", "warning Actions: view, Open, https://evil.example".to_owned()),
        ("a\nClick: https://evil.example", "a Click: https://evil.example".to_owned()),
        ("a\rEmail: eve@example.org", "aEmail: eve@example.org".to_owned()),
        ("a\r\nDelay: 30m", "a Delay: 30m".to_owned()),
        ("a,\r\n\r\nb", "a,  b".to_owned()),
        ("ü\r\nX-Evil: 1", word("ü X-Evil: 1")),
        ("a\u{2028}Attach: x", word("a\u{2028}Attach: x")),
    ];
    let bodies = [
        "m\r\n\r\nPOST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "0\r\n\r\nGET /other HTTP/1.1\r\n\r\n",
        "\0\u{1b}[31m\u{85}\u{2028}",
        r#"{"topic":"other","message":"x","actions":[]}"#,
    ];
    let titles = titles.iter().map(|(given, header)| title(given, header));
    let lists = lists.iter().map(|(given, header)| tags(given, header));
    titles.chain(lists).chain(bodies.iter().map(|text| message(text))).chain(refusals()).collect()
}

/// Further headers that the service knows, and what is no text.
fn refusals() -> Vec<Row> {
    let more = [
        ("click", json!("https://evil.example")),
        ("actions", json!("view, Open, https://evil.example")),
        ("attach", json!("https://evil.example/x")),
        ("email", json!("eve@example.org")),
        ("delay", json!("30m")),
        ("headers", json!({ "X-Evil": "1" })),
        ("Title", json!("other")),
        ("X-Topic", json!("other")),
    ];
    let refusals = [
        refused("a priority with a header", &json!({ "priority": "high\r\nX-Evil: 1" })),
        refused("a priority with a line end", &json!({ "priority": "high\n" })),
        refused("a priority beyond the highest", &json!({ "priority": "6" })),
        refused("a priority that is a list", &json!({ "priority": ["high", "X-Evil: 1"] })),
        refused("a title that is an object", &json!({ "title": { "t": "X-Evil: 1" } })),
        refused("a title given twice", &json!({ "message": "title" })).raw(r#"{"title":"a","title":"b\r\nX-Evil: 1","message":"m"}"#),
        refused("half of a character", &json!({ "message": "half" })).raw(r#"{"title":"\ud80d","message":"m"}"#),
        refused("arguments behind the arguments", &json!({ "message": "more" })).raw(r#"{"title":"a","message":"m"}{"title":"b"}"#),
        refused("a hostile name of an argument", &json!({ "\u{1b}[2J\r\nX-Evil: 1": 1 })),
    ];
    refusals.into_iter().chain(surplus("ntfy", "send", &usual(&json!({})), &more)).collect()
}

pub(super) fn allowed() -> Vec<Row> {
    let titles = [
        ("Build done: 3 of 3", "Build done: 3 of 3".to_owned()),
        ("X-Evil: 1", "X-Evil: 1".to_owned()),
        ("\"quoted\", (a; b=c) <d> ?=", "\"quoted\", (a; b=c) <d> ?=".to_owned()),
        ("100% {done} \\o/", "100% {done} \\o/".to_owned()),
        ("  spaced  out  ", "spaced  out".to_owned()),
        ("Grüße 世界", word("Grüße 世界")),
        ("👩\u{200d}🚀 deployed", word("👩\u{200d}🚀 deployed")),
        ("", String::new()),
    ];
    let lists = [("warning,skull", "warning,skull".to_owned()), ("a, b, c", "a, b, c".to_owned()), ("größe", word("größe"))];
    let bodies = ["line one\nline two\r\n", "Click: https://example.com/?a=b&c=d", "{\"a\": 1}", "", "Grüße 世界 👩\u{200d}🚀"];
    let urgent = Request::new(TOPIC).with("priority", "urgent").with("title", "t").text("m");
    let numbered = Row::new("a numbered priority", "ntfy", "send", &usual(&json!({ "priority": "5" })), Holds::Sent(vec![urgent]));
    let titles = titles.iter().map(|(given, header)| title(given, header));
    titles
        .chain(lists.iter().map(|(given, header)| tags(given, header)))
        .chain(bodies.iter().map(|text| message(text)))
        .chain([numbered])
        .collect()
}
