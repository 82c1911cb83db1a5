//! `http_proxy`: paths, parameters and bodies that would be another request line, another header, or another host.

use bailiwick_model::Code;
use serde_json::{Value, json};

use super::row::{Holds, Request, Row, surplus};

fn get(arguments: &Value, holds: Holds) -> Row {
    Row::new(format!("get {arguments}"), "http_proxy", "get", arguments, holds)
}

/// A path, and the target it becomes.
fn path(given: &str, target: &str) -> Row {
    get(&json!({ "service": "s", "path": given }), Holds::Sent(vec![Request::new(format!("GET {target}"))]))
}

fn refused(given: &str, code: Code) -> Row {
    get(&json!({ "service": "s", "path": given }), Holds::Refused(code))
}

/// Parameters, and the query they become.
fn params(params: Value, query: &str) -> Row {
    get(&json!({ "service": "s", "path": "/x", "params": params }), Holds::Sent(vec![Request::new(format!("GET /api/v1/x?{query}"))]))
}

/// A body that goes out as it is written.
fn body(name: &str, tool: &'static str, text: &str) -> Row {
    let request = Request { body: Some(text.to_owned()), ..Request::new(format!("{} /api/v1/x", tool.to_uppercase())) };
    let row = Row::new(name, "http_proxy", tool, &json!({}), Holds::Sent(vec![request.with("content-type", "application/json")]));
    row.raw(&format!(r#"{{"service":"s","path":"/x","body":{text}}}"#))
}

fn raw(name: &str, tool: &'static str, arguments: &str) -> Row {
    Row::new(name, "http_proxy", tool, &json!({}), Holds::Refused(Code::InvalidArgument)).raw(arguments)
}

pub(super) fn attacks() -> Vec<Row> {
    let encoded = [
        ("/a HTTP/1.1", "/api/v1/a%20HTTP/1.1"),
        ("/a HTTP/1.0 X-Evil: 1", "/api/v1/a%20HTTP/1.0%20X-Evil:%201"),
        ("/a?q=1 HTTP/1.1", "/api/v1/a?q=1%20HTTP/1.1"),
        ("/a\u{2028}X-Evil: 1", "/api/v1/a%E2%80%A8X-Evil:%201"),
        ("/a\u{560d}\u{560a}X-Evil: 1", "/api/v1/a%E5%98%8D%E5%98%8AX-Evil:%201"),
        ("/a\u{10d}\u{10a}X-Evil: 1", "/api/v1/a%C4%8D%C4%8AX-Evil:%201"),
        ("/a?q=\u{2029}\u{560a}", "/api/v1/a?q=%E2%80%A9%E5%98%8A"),
        ("/a\u{feff}\u{200b}\u{202e}b", "/api/v1/a%EF%BB%BF%E2%80%8B%E2%80%AEb"),
        ("/a?q=\"><script>", "/api/v1/a?q=%22%3E%3Cscript%3E"),
        ("/a?next=//evil.example&x=@evil.example:80", "/api/v1/a?next=//evil.example&x=@evil.example:80"),
        ("/\u{ff0f}\u{ff0f}evil.example", "/api/v1/%EF%BC%8F%EF%BC%8Fevil.example"),
        ("/a\u{2044}..\u{2044}b", "/api/v1/a%E2%81%84..%E2%81%84b"),
    ];
    let outside = [
        "/../v2/x",
        "/x/%2e%2e/%2e%2e/admin",
        "/x/..%2f..%2f..%2fadmin",
        "/x/..;/..;/admin",
        "//evil.example:80/x",
        "https://evil.example",
        "x@evil.example/",
        "evil.example:443",
        "/%252e%252e/%252e%252e/admin",
    ];
    let unfit = [
        "/a\r\nX-Evil: 1\r\n",
        "/a\r\n\r\nDELETE /api/v1/all HTTP/1.1",
        "/a?q=1\r\nHost: evil.example",
        "/a\rX-Evil: 1",
        "/a\n folded",
        "/a\t HTTP/1.1",
        "/a\0",
        "/a\u{85}X-Evil: 1",
        "/a%0aX-Evil:%201",
        "/a?q=%0a%0dX-Evil:%201",
        "/a%E2%80%A8%0d",
        "/a#@evil.example/",
        "/a\\..\\..\\admin",
    ];
    let names = ["S", "s ", "s\r\nX-Evil: 1", "s/../t", "http://evil.example", "s\0", "", "\u{455}"];
    let queries = [
        (json!({ "q": "1&admin=true#x" }), "q=1%26admin%3Dtrue%23x"),
        (json!({ "q=1&admin": "true" }), "q%3D1%26admin=true"),
        (json!({ "q": "1 HTTP/1.1\r\nX-Evil: 1\r\n\r\n" }), "q=1%20HTTP%2F1.1%0D%0AX-Evil%3A%201%0D%0A%0D%0A"),
        (json!({ "q\r\nX-Evil": "1" }), "q%0D%0AX-Evil=1"),
        (json!({ "q": "\u{0}\u{85}\u{2028}\u{560a}" }), "q=%00%C2%85%E2%80%A8%E5%98%8A"),
        (json!({ "q": "%0d%0a+%2e%2e/" }), "q=%250d%250a%2B%252e%252e%2F"),
        (json!({ "q": ["a&b=c", "d"], "": "x" }), "=x&q=a%26b%3Dc&q=d"),
    ];
    let rows = encoded.iter().map(|(given, target)| path(given, target));
    let rows = rows.chain(outside.iter().map(|given| refused(given, Code::ScopeViolation)));
    let rows = rows.chain(unfit.iter().map(|given| refused(given, Code::InvalidArgument)));
    let rows = rows.chain(names.iter().map(|name| get(&json!({ "service": name, "path": "/x" }), Holds::Refused(Code::ScopeViolation))));
    rows.chain(queries.into_iter().map(|(given, query)| params(given, query))).chain(bodies()).chain(others()).chain(operators()).collect()
}

fn bodies() -> Vec<Row> {
    vec![
        body("a request in a body", "post", r#"{"a":"x\r\n\r\nDELETE /api/v1/all HTTP/1.1\r\nHost: x\r\n\r\n"}"#),
        body("a body that frames itself", "put", r#"{"Content-Length":0,"a":"0\r\n\r\n"}"#),
        body("a body with one name twice", "post", r#"{"role":"user","role":"admin"}"#),
        body("a body with escapes", "post", r#"{"\u0061":"\u0022,\u0022b\u0022:1","c":"\ud800"}"#),
        raw("a body that is a text", "post", r#"{"service":"s","path":"/x","body":"a=b\r\nX-Evil: 1"}"#),
    ]
}

fn others() -> Vec<Row> {
    let usual = json!({ "service": "s", "path": "/x" });
    let more = [
        ("headers", json!({ "X-Evil": "1" })),
        ("header", json!("X-Evil: 1")),
        ("method", json!("DELETE")),
        ("url", json!("http://evil.example")),
        ("base_url", json!("http://evil.example")),
        ("auth", json!("Bearer x")),
        ("content_type", json!("text/html")),
        ("follow_redirects", json!(true)),
    ];
    let misplaced = [
        raw("a body to read with", "get", r#"{"service":"s","path":"/x","body":{}}"#),
        raw("a body to delete with", "delete", r#"{"service":"s","path":"/x","body":{}}"#),
        raw("parameters to write with", "post", r#"{"service":"s","path":"/x","params":{}}"#),
        raw("two paths", "get", r#"{"service":"s","path":"/x","path":"/y"}"#),
        raw("a path that is a list", "get", r#"{"service":"s","path":["/x"]}"#),
        raw("a parameter that is an object", "get", r#"{"service":"s","path":"/x","params":{"a":{"b":"\r\n"}}}"#),
        raw("half of a character", "get", r#"{"service":"s","path":"/x\ud800"}"#),
    ];
    let all = ["get", "post", "put", "delete"].into_iter().flat_map(|tool| surplus("http_proxy", tool, &usual, &more));
    misplaced.into_iter().chain(all).collect()
}

/// What an operator writes, with what pasting brings along.
fn operators() -> Vec<Row> {
    let row = |name: &str, key: &'static str, config: Value| {
        Row::new(name, "http_proxy", "get", &json!({ "service": "s", "path": "/x" }), Holds::Unopened(key)).under(config)
    };
    vec![
        row("a folded header", "allowed_services.0.headers.X-A", json!({ "headers": { "X-A": "b\r\n c" } })),
        row("a header that ends the head", "allowed_services.0.headers.X-A", json!({ "headers": { "X-A": "b\r\n\r\nGET /" } })),
        row("a header with DEL", "allowed_services.0.headers.X-A", json!({ "headers": { "X-A": "b\u{7f}" } })),
        row("a name with a value", "allowed_services.0.headers", json!({ "headers": { "X-A: b": "c" } })),
        row("a name with a line separator", "allowed_services.0.headers", json!({ "headers": { "X-A\u{2028}": "c" } })),
        row("a way of sending with a value", "allowed_services.0.auth", json!({ "auth": "header:X-A: b", "credential_key": "KEY" })),
        row("an address with a header", "allowed_services.0.base_url", json!({ "base_url": "http://127.0.0.1:9/\r\nX-Evil: 1" })),
        row("an address with a space", "allowed_services.0.base_url", json!({ "base_url": "http://127.0.0.1:9/a HTTP/1.1" })),
        row("an address with a line separator", "allowed_services.0.base_url", json!({ "base_url": "http://127.0.0.1:9/a\u{2028}b" })),
        row("a credential with a header", "KEY", json!({ "credential_key": "KEY" })).with("KEY", "token\r\nX-Evil: 1"),
        row("a credential with a line end", "KEY", json!({ "credential_key": "KEY", "auth": "header:X-Key" })).with("KEY", "token\n"),
    ]
}

pub(super) fn allowed() -> Vec<Row> {
    let paths = [
        ("/users/1?fields=a,b&sort=-name", "/api/v1/users/1?fields=a,b&sort=-name"),
        ("items/caf\u{e9}/日", "/api/v1/items/caf%C3%A9/%E6%97%A5"),
        ("/v1.2/..hidden/...", "/api/v1/v1.2/..hidden/..."),
        ("/a%20b/%E2%82%AC", "/api/v1/a%20b/%E2%82%AC"),
        ("/search?q=a+b%26c&lang=C%2B%2B", "/api/v1/search?q=a+b%26c&lang=C%2B%2B"),
        ("/files/report (final)'s copy.pdf", "/api/v1/files/report%20(final)'s%20copy.pdf"),
        ("/u/@me/things:undo", "/api/v1/u/@me/things:undo"),
        ("?page=2", "/api/v1?page=2"),
        ("/time/2026-07-28T09:30:00+02:00", "/api/v1/time/2026-07-28T09:30:00+02:00"),
    ];
    let queries = [
        (json!({ "q": "Grüße & mehr", "n": 10, "all": true }), "all=true&n=10&q=Gr%C3%BC%C3%9Fe%20%26%20mehr"),
        (json!({ "filter[name]": "a=b", "tags": ["x", "y z"] }), "filter%5Bname%5D=a%3Db&tags=x&tags=y%20z"),
    ];
    let usual = Request::new("GET /api/v1/x").with("authorization", "Bearer token-1").with("x-team", "blue; a=\"b\", c");
    let headers = json!({ "credential_key": "KEY", "headers": { "X-Team": "blue; a=\"b\", c" } });
    let deleted = Request::new("DELETE /api/v1/x/1?force=true");
    let own = [
        body("a body of many lines", "post", "{\n  \"text\": \"a\\nb\",\n  \"n\": 1.10,\n  \"big\": 123456789012345678901234567890\n}"),
        body("a body with every kind", "put", r#"{"a":[1,null,{"b":true}],"ü":"世界 \"x\""}"#),
        get(&json!({ "service": "s", "path": "/x" }), Holds::Sent(vec![usual])).under(headers),
        Row::new(
            "a delete with a query",
            "http_proxy",
            "delete",
            &json!({ "service": "s", "path": "/x/1?force=true" }),
            Holds::Sent(vec![deleted]),
        ),
    ];
    let rows = paths.iter().map(|(given, target)| path(given, target));
    rows.chain(queries.into_iter().map(|(given, query)| params(given, query))).chain(own).collect()
}
