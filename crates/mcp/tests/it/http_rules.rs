use bailiwick_mcp::Era;
use bailiwick_mcp::http_rules::{Accepted, HostRules, Refusal, check_accept, check_accept_events, check_content};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    headers
        .iter()
        .map(|(name, value)| (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap()))
        .collect()
}

fn status(outcome: Result<(), Refusal>) -> u16 {
    outcome.map_or_else(|refusal| refusal.status(), |()| 200)
}

fn origin_form() -> Uri {
    Uri::from_static("/mcp")
}

#[test]
fn loopback_listeners_answer_to_loopback_names_only() {
    let rules = HostRules::loopback(&[8080]);
    let host = |host: &str| status(rules.check(&map(&[("host", host)]), &origin_form()));
    for good in ["localhost", "localhost:8080", "LocalHost:8080", "127.0.0.1:8080", "[::1]", "[::1]:8080", "localhost:49152"] {
        assert_eq!(host(good), 200, "{good}");
    }
    for bad in [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "localhost.",
        "evil.localhost",
        "127.0.0.2",
        "127.0.0.1.nip.io",
        "127.1",
        "2130706433",
        "0.0.0.0:8080",
        "[::]",
        "[::ffff:127.0.0.1]",
        "::1",
        "[::1",
        "[::1]x",
        "[localhost]",
        "user@localhost",
        "localhost@evil.example",
        "localhost:",
        "localhost:8080:1",
        "localhost:x",
        "localhost:99999",
        "localhost evil",
        "localhost,evil.example",
        "",
        "localh\u{f6}st",
        "localhost/",
        "localhost#",
        "localhost?",
        "localhost\\",
    ] {
        assert_eq!(host(bad), 403, "{bad}");
    }
}

#[test]
fn origins_are_ours_or_absent() {
    let rules = HostRules::loopback(&[8080, 80]);
    let origin = |origin: &str| status(rules.check(&map(&[("host", "localhost:8080"), ("origin", origin)]), &origin_form()));
    for good in ["http://localhost:8080", "http://127.0.0.1:8080", "https://[::1]:8080", "HTTP://LOCALHOST:8080", "http://localhost"] {
        assert_eq!(origin(good), 200, "{good}");
    }
    for bad in [
        "null",
        "",
        "http://evil.example",
        "http://localhost:8081",
        "https://localhost",
        "http://localhost:8080/",
        "http://localhost:8080.evil.example",
        "http://localhost:8080@evil.example",
        "file://",
        "localhost:8080",
        "chrome-extension://abc",
        "http://",
        "http://localhost:8080, http://evil.example",
        "http://localhost:8080 http://evil.example",
        "http://\u{e9}",
    ] {
        assert_eq!(origin(bad), 403, "{bad}");
    }
}

#[test]
fn host_and_origin_are_single_and_both_targets_count() {
    let rules = HostRules::loopback(&[8080]);
    let check = |headers: &[(&str, &str)], uri: &'static str| status(rules.check(&map(headers), &Uri::from_static(uri)));
    assert_eq!(check(&[], "/mcp"), 400);
    assert_eq!(check(&[("host", "localhost"), ("host", "localhost")], "/mcp"), 400);
    assert_eq!(check(&[], "http://localhost:8080/mcp"), 200, "HTTP/2 has the authority in the target");
    assert_eq!(check(&[("host", "localhost")], "http://evil.example/mcp"), 403);
    assert_eq!(check(&[("host", "evil.example")], "http://localhost/mcp"), 403);
    assert_eq!(check(&[("host", "localhost")], "http://user@localhost/mcp"), 403);
    let twice = [("host", "localhost"), ("origin", "http://localhost:8080"), ("origin", "http://localhost:8080")];
    assert_eq!(check(&twice, "/mcp"), 403);
}

#[test]
fn configured_rules_mean_what_they_say() {
    let rules =
        HostRules::new(&["Gateway.example.com", "other.example:8443"], &["https://console.example.com", "http://localhost:6274"]).unwrap();
    let check = |headers: &[(&str, &str)]| status(rules.check(&map(headers), &origin_form()));
    assert_eq!(check(&[("host", "gateway.example.com")]), 200);
    assert_eq!(check(&[("host", "GATEWAY.example.com:443")]), 200);
    assert_eq!(check(&[("host", "other.example:8443")]), 200);
    assert_eq!(check(&[("host", "other.example")]), 403);
    assert_eq!(check(&[("host", "localhost")]), 403, "nothing is allowed that was not configured");
    let host = ("host", "gateway.example.com");
    assert_eq!(check(&[host, ("origin", "https://console.example.com:443")]), 200);
    assert_eq!(check(&[host, ("origin", "http://console.example.com")]), 403);
    assert_eq!(check(&[host, ("origin", "https://gateway.example.com")]), 403);
    assert_eq!(check(&[host, ("origin", "http://localhost:6274")]), 200);

    let none: [&str; 0] = [];
    for bad in ["", "*", "*.example.com", "https://a.example", "a b", "a:x", "a/b", "[::g]"] {
        let error = HostRules::new(&[bad], &none).unwrap_err();
        assert!(error.to_string().starts_with(&format!("`{bad}` is not a host")), "{error}");
    }
    for bad in ["", "*", "null", "example.com", "https://", "https://a/", "ftp://a"] {
        assert!(HostRules::new(&none, &[bad]).unwrap_err().to_string().contains("origin"), "{bad}");
    }
    let mut wider = HostRules::loopback(&[1]);
    wider.allow(&["proxy.internal"], &none).unwrap();
    assert_eq!(status(wider.check(&map(&[("host", "proxy.internal")]), &origin_form())), 200);
    assert_eq!(status(wider.check(&map(&[("host", "localhost")]), &origin_form())), 200);
}

#[test]
fn accept_lists_both_types_or_is_legacy() {
    let both = "application/json, text/event-stream";
    let table: [(&[&str], u16, u16, u16); 14] = [
        // Accept headers, modern POST, legacy POST, legacy GET
        (&[both], 200, 200, 200),
        (&["text/event-stream;q=0.5 , Application/JSON; charset=utf-8"], 200, 200, 200),
        (&["application/json", "text/event-stream"], 200, 200, 200),
        (&["application/json"], 406, 200, 406),
        (&["text/event-stream"], 406, 406, 200),
        (&["*/*"], 200, 200, 200),
        (&["application/json, */*;q=0.1"], 200, 200, 200),
        (&["application/*, text/*"], 406, 406, 406),
        (&["text/html"], 406, 406, 406),
        (&["application/json;q=0, text/event-stream"], 406, 406, 200),
        (&["application/json, text/event-stream;Q=0.000"], 406, 200, 406),
        (&["application/jsonx, text/event-stream"], 406, 406, 200),
        (&[""], 406, 406, 406),
        (&[], 200, 200, 200),
    ];
    for (accept, modern, legacy, get) in table {
        let headers = map(&accept.iter().map(|value| ("accept", *value)).collect::<Vec<_>>());
        assert_eq!(status(check_accept(&headers, Era::Modern)), modern, "{accept:?}");
        assert_eq!(status(check_accept(&headers, Era::Legacy)), legacy, "{accept:?}");
        assert_eq!(status(check_accept_events(&headers)), get, "{accept:?}");
    }
    let padded = "a/b,".repeat(40) + both;
    assert_eq!(Accepted::read(&map(&[("accept", &padded)])), Accepted::default(), "only the first ranges count");
}

#[test]
fn bodies_are_plain_json() {
    for good in [
        "application/json",
        "Application/JSON ",
        "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"",
        "application/json;odd",
    ] {
        assert_eq!(status(check_content(&map(&[("content-type", good)]))), 200, "{good}");
    }
    for bad in [
        "text/plain",
        "application/json-rpc",
        "application/jsonp",
        "text/json",
        "",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
    ] {
        assert_eq!(status(check_content(&map(&[("content-type", bad)]))), 415, "{bad}");
    }
    assert_eq!(status(check_content(&map(&[]))), 415);
    assert_eq!(status(check_content(&map(&[("content-type", "application/json"), ("content-type", "application/json")]))), 415);
    let json = ("content-type", "application/json");
    for bad in ["gzip", "br", "identity, gzip", "", "deflate"] {
        assert_eq!(status(check_content(&map(&[json, ("content-encoding", bad)]))), 415, "{bad}");
    }
    assert_eq!(status(check_content(&map(&[json, ("content-encoding", "Identity")]))), 200);
    assert_eq!(status(check_content(&map(&[json, ("content-encoding", "identity"), ("content-encoding", "gzip")]))), 415);
}
