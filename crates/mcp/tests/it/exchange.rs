use bailiwick_mcp::error::{HEADER_MISMATCH, INVALID_PARAMS, INVALID_REQUEST, UNSUPPORTED_VERSION};
use bailiwick_mcp::exchange::{
    Exchange, Headers, ParamHeader, ParamKind, check_param_headers, classify, decode_text, encode_text, named_by, removed_in_modern,
    session_of_bare,
};
use bailiwick_mcp::{Id, Json, Limits, Message, Revision, WireError, decode};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    headers
        .iter()
        .map(|(name, value)| (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap()))
        .collect()
}

fn message(text: &str) -> Message {
    decode(Bytes::copy_from_slice(text.as_bytes()), &Limits::REQUEST).unwrap()
}

fn request(method: &str, params: &str) -> Message {
    message(&format!(r#"{{"jsonrpc":"2.0","id":9,"method":"{method}","params":{{{params}}}}}"#))
}

fn over_http(headers: &[(&str, &str)], message: &Message) -> Result<Exchange, WireError> {
    let headers = map(headers);
    let outcome = classify(&Headers::read(&headers), message);
    if let Err(error) = &outcome {
        assert_eq!(error.id.as_ref(), message.request_id(), "a refusal answers its request");
    }
    outcome
}

fn refused(headers: &[(&str, &str)], message: &Message) -> (i64, u16) {
    let error = over_http(headers, message).expect_err("refused");
    (error.code, error.status())
}

fn revision(exchange: Result<Exchange, WireError>) -> Revision {
    match exchange {
        Ok(Exchange::Modern(modern)) => modern.revision,
        other => panic!("{other:?}"),
    }
}

const VERSION: (&str, &str) = ("MCP-Protocol-Version", "2026-07-28");

#[test]
fn modern_requests_pass_when_headers_and_body_agree() {
    let uri = r#""uri":"file:///a b/é""#;
    for (method, params, name) in [
        ("tools/list", "", None),
        ("server/discover", "", None),
        ("tools/call", r#""name":"a__b""#, Some("a__b")),
        ("tools/call", r#""name":"a__b""#, Some("  a__b\t")),
        ("tools/call", r#""name":"a__b""#, Some("=?base64?YV9fYg==?=")),
        ("tools/call", r#""n\u0061me":"b\u0061""#, Some("ba")),
        ("prompts/get", r#""name":"p","arguments":{"name":"q"}"#, Some("p")),
        ("resources/read", uri, Some("=?base64?ZmlsZTovLy9hIGIvw6k=?=")),
        ("tasks/get", r#""taskId":"t""#, Some("t")),
        ("tasks/update", r#""taskId":"t""#, Some("t")),
        ("tasks/cancel", r#""taskId":"t""#, Some("t")),
        ("tasks/list", "", Some("ignored")),
        // Removed methods are well-formed modern requests; that nobody answers them is told later.
        ("initialize", "", None),
        ("ping", "", None),
    ] {
        let comma = if params.is_empty() { "" } else { "," };
        let message = request(method, &format!("{params}{comma}{META}"));
        let mut headers = vec![VERSION, ("mcp-method", method), ("Mcp-Session-Id", "left over"), ("Last-Event-ID", "x")];
        headers.extend(name.map(|name| ("MCP-NAME", name)));
        assert_eq!(revision(over_http(&headers, &message)), Revision::R2026_07_28, "{method} {name:?}");
    }
}

#[test]
fn headers_that_disagree_are_a_mismatch() {
    let call = request("tools/call", &format!(r#""name":"a",{META}"#));
    let list = request("tools/list", META);
    let read = request("resources/read", &format!(r#""name":"n","uri":"u",{META}"#));
    let nameless = request("tools/call", META);
    let numbered = request("tools/call", &format!(r#""name":5,{META}"#));
    let method = |name| ("Mcp-Method", name);
    let table: Vec<(&Message, Vec<(&str, &str)>)> = vec![
        (&list, vec![]),
        (&list, vec![VERSION]),
        (&list, vec![method("tools/list")]),
        (&list, vec![VERSION, method("prompts/list")]),
        (&list, vec![VERSION, method("TOOLS/LIST")]),
        (&list, vec![VERSION, method("=?base64?dG9vbHMvbGlzdA==?=")]),
        (&list, vec![VERSION, method("tools/list"), method("tools/list")]),
        (&list, vec![VERSION, method("tools/list, tools/list")]),
        (&list, vec![VERSION, method("tools/l\u{e9}st")]),
        (&list, vec![VERSION, VERSION, method("tools/list")]),
        (&list, vec![("mcp-protocol-version", "2025-11-25"), method("tools/list")]),
        (&list, vec![("mcp-protocol-version", "v999.0.0"), method("tools/list")]),
        (&list, vec![("mcp-protocol-version", ""), method("tools/list")]),
        (&list, vec![("mcp-protocol-version", "=?base64?MjAyNi0wNy0yOA==?="), method("tools/list")]),
        (&call, vec![VERSION, method("tools/call")]),
        (&call, vec![VERSION, method("tools/call"), ("Mcp-Name", "b")]),
        (&call, vec![VERSION, method("tools/call"), ("Mcp-Name", "A")]),
        (&call, vec![VERSION, method("tools/call"), ("Mcp-Name", "")]),
        (&call, vec![VERSION, method("tools/call"), ("Mcp-Name", "a"), ("Mcp-Name", "a")]),
        (&call, vec![VERSION, method("tools/call"), ("Mcp-Name", "\u{e9}")]),
        (&call, vec![VERSION, method("tools/call"), ("Mcp-Name", "=?base64?YQ?=")]),
        (&call, vec![VERSION, method("tools/call"), ("Mcp-Name", "=?base64?Yg==?=")]),
        (&call, vec![VERSION, method("tools/call"), ("Mcp-Name", "=?base64?/w==?=")]),
        (&read, vec![VERSION, method("resources/read"), ("Mcp-Name", "n")]),
        (&nameless, vec![VERSION, method("tools/call"), ("Mcp-Name", "a")]),
        (&numbered, vec![VERSION, method("tools/call"), ("Mcp-Name", "5")]),
    ];
    for (message, headers) in table {
        assert_eq!(refused(&headers, message), (HEADER_MISMATCH, 400), "{headers:?}");
    }
    // What the body lacks and no header claims is for the method to refuse.
    revision(over_http(&[VERSION, method("tools/call")], &nameless));
    // Over stdio there is nothing to agree with.
    for message in [&call, &list, &read, &nameless] {
        revision(classify(&Headers::none(), message));
    }
}

#[test]
fn metadata_is_complete_or_refused() {
    let version = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
    let capabilities = r#""io.modelcontextprotocol/clientCapabilities":{}"#;
    let headers = [VERSION, ("Mcp-Method", "server/discover")];
    for params in [
        String::new(),
        r#""_meta":{}"#.to_owned(),
        format!(r#""_meta":{{{capabilities}}}"#),
        format!(r#""_meta":{{{version}}}"#),
        format!(r#""_meta":{{{version},"io.modelcontextprotocol/clientCapabilities":null}}"#),
        format!(r#""_meta":{{{capabilities},"io.modelcontextprotocol/protocolVersion":1}}"#),
        format!(r#""_meta":{{{version},{capabilities},"io.modelcontextprotocol/logLevel":"x"}}"#),
        format!(r#""_meta":{{{version},{capabilities},"progressToken":[]}}"#),
        r#""_meta":[]"#.to_owned(),
    ] {
        assert_eq!(refused(&headers, &request("server/discover", &params)), (INVALID_PARAMS, 400), "{params}");
    }
    let no_params = message(r#"{"jsonrpc":"2.0","id":"x","method":"server/discover"}"#);
    assert_eq!(refused(&headers, &no_params), (INVALID_PARAMS, 400));
    let complete = request("server/discover", &format!(r#""_meta":{{{version},{capabilities},"other/key":1}}"#));
    let Ok(Exchange::Modern(modern)) = over_http(&headers, &complete) else { panic!("client info is optional") };
    assert!(modern.meta.client_info.is_none() && modern.meta.raw.unwrap().has("other/key"));
}

#[test]
fn unknown_revisions_are_answered_with_ours() {
    let with_meta = |version: &str| {
        let keys = format!(r#""io.modelcontextprotocol/protocolVersion":"{version}","io.modelcontextprotocol/clientCapabilities":{{}}"#);
        request("tools/list", &format!(r#""_meta":{{{keys}}}"#))
    };
    let data = |error: WireError| {
        assert_eq!((error.code, error.status()), (UNSUPPORTED_VERSION, 400));
        error.data.unwrap().as_str().to_owned()
    };
    let all = r#""supported":["2026-07-28","2025-11-25","2025-06-18","2025-03-26"]"#;
    let method = ("Mcp-Method", "tools/list");
    for version in ["v999.0.0", "2027-01-01", "", "2026-07-28 "] {
        // The header says the same (white space around a header value does not count).
        if version.trim() == version {
            let error = over_http(&[("mcp-protocol-version", version), method], &with_meta(version)).unwrap_err();
            assert_eq!(data(error), format!(r#"{{{all},"requested":"{version}"}}"#));
        }
        let error = over_http(&[method], &with_meta(version)).unwrap_err();
        assert_eq!(data(error), format!(r#"{{{all},"requested":"{version}"}}"#));
        let error = classify(&Headers::none(), &with_meta(version)).unwrap_err();
        assert_eq!(data(error), format!(r#"{{{all},"requested":"{version}"}}"#));
        // Header and body differ: that is the mismatch, whatever the body names.
        assert_eq!(refused(&[VERSION, method], &with_meta(version)), (HEADER_MISMATCH, 400));
    }
    // A handshake revision cannot be spoken request by request.
    for legacy in ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"] {
        let error = over_http(&[("mcp-protocol-version", legacy), method], &with_meta(legacy)).unwrap_err();
        assert_eq!(data(error), format!(r#"{{"supported":["2026-07-28"],"requested":"{legacy}"}}"#));
    }
    // Without metadata the header alone is judged, with and without session.
    let bare = request("tools/list", "");
    for version in ["v1", "2024-11-05", "2030-01-01", ""] {
        let error = over_http(&[("mcp-protocol-version", version)], &bare).unwrap_err();
        assert_eq!(data(error), format!(r#"{{{all},"requested":"{version}"}}"#));
        assert_eq!(refused(&[("mcp-protocol-version", version), ("mcp-session-id", "s")], &bare), (UNSUPPORTED_VERSION, 400));
    }
}

#[test]
fn legacy_messages_are_told_by_method_session_and_version() {
    let legacy = |session: Option<&str>, header_version| Exchange::Legacy { session: session.map(Into::into), header_version };
    let list = request("tools/list", r#""_meta":{"progressToken":1}"#);
    let response = message(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    let note = message(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    let initialize = request("initialize", r#""protocolVersion":"2025-06-18","capabilities":{}"#);
    let session = ("Mcp-Session-Id", "s-1");
    let version = |text| ("MCP-Protocol-Version", text);
    for message in [&list, &response, &note] {
        assert_eq!(over_http(&[], message), Ok(legacy(None, None)));
        assert_eq!(over_http(&[session], message), Ok(legacy(Some("s-1"), None)));
        assert_eq!(over_http(&[version("2025-06-18")], message), Ok(legacy(None, Some(Revision::R2025_06_18))));
        assert_eq!(over_http(&[session, version("2025-11-25")], message), Ok(legacy(Some("s-1"), Some(Revision::R2025_11_25))));
        assert_eq!(over_http(&[session, VERSION], message), Ok(legacy(Some("s-1"), Some(Revision::R2026_07_28))));
        assert_eq!(refused(&[session, session], message), (INVALID_REQUEST, 400));
        assert_eq!(refused(&[("mcp-session-id", "a b")], message), (INVALID_REQUEST, 404));
        assert_eq!(refused(&[("mcp-session-id", "")], message), (INVALID_REQUEST, 404));
        assert_eq!(refused(&[("mcp-session-id", &"s".repeat(257))], message), (INVALID_REQUEST, 404));
        assert_eq!(refused(&[version("2025-06-18"), version("2025-06-18")], message), (HEADER_MISMATCH, 400));
        assert_eq!(refused(&[version("2025-06-1\u{e9}")], message), (HEADER_MISMATCH, 400));
    }
    for headers in [vec![], vec![session], vec![VERSION], vec![version("nonsense")], vec![session, session]] {
        assert_eq!(over_http(&headers, &initialize), Ok(Exchange::Initialize), "{headers:?}");
    }
    assert_eq!(classify(&Headers::none(), &initialize), Ok(Exchange::Initialize));
    assert_eq!(classify(&Headers::none(), &note), Ok(legacy(None, None)));
    // An `initialize` that wants no answer opens nothing.
    let silent = message(r#"{"jsonrpc":"2.0","method":"initialize"}"#);
    assert_eq!(over_http(&[], &silent), Ok(legacy(None, None)));
}

#[test]
fn modern_notifications_need_no_headers_and_responses_are_refused() {
    let note = message(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    assert_eq!(revision(over_http(&[VERSION], &note)), Revision::R2026_07_28);
    let with_meta = message(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{{META}}}}}"#));
    for headers in [vec![], vec![("mcp-method", "x")], vec![("mcp-protocol-version", "2025-06-18")]] {
        revision(over_http(&headers, &with_meta));
    }
    let response = message(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    assert_eq!(refused(&[VERSION], &response), (INVALID_REQUEST, 400));
}

#[test]
fn get_and_delete_belong_to_legacy_sessions() {
    let bare = |headers: &[(&str, &str)]| {
        let headers = map(headers);
        session_of_bare(&Headers::read(&headers)).map(|(id, revision)| (id.to_owned(), revision)).map_err(|error| error.status())
    };
    assert_eq!(bare(&[]), Err(405));
    assert_eq!(bare(&[VERSION]), Err(405));
    assert_eq!(bare(&[("mcp-session-id", "s")]), Ok(("s".to_owned(), None)));
    assert_eq!(bare(&[("mcp-session-id", "s"), ("mcp-protocol-version", "2025-06-18")]), Ok(("s".to_owned(), Some(Revision::R2025_06_18))));
    assert_eq!(bare(&[("mcp-session-id", "s"), VERSION]), Err(405));
    assert_eq!(bare(&[("mcp-session-id", "s"), ("mcp-protocol-version", "x")]), Err(400));
    assert_eq!(bare(&[("mcp-session-id", "\u{e9}")]), Err(404));
    assert_eq!(bare(&[("mcp-session-id", "s"), ("mcp-session-id", "s")]), Err(400));
}

#[test]
fn methods_know_their_name_member_and_their_end() {
    assert_eq!(named_by("tools/call"), Some("name"));
    assert_eq!(named_by("resources/read"), Some("uri"));
    assert_eq!(named_by("tasks/cancel"), Some("taskId"));
    assert_eq!(named_by("tools/list"), None);
    assert!(removed_in_modern("initialize") && removed_in_modern("resources/subscribe") && !removed_in_modern("tools/call"));
}

fn rules(schema: &str) -> Result<Vec<ParamHeader>, String> {
    ParamHeader::read(&Json::check(Bytes::copy_from_slice(schema.as_bytes()), &Limits::REQUEST).unwrap())
}

#[test]
fn annotations_are_found_along_properties() {
    let schema = r#"{"type":"object","properties":{
        "region":{"type":"string","x-mcp-header":"Region"},
        "x-mcp-header":{"type":"string"},
        "deep":{"type":"object","properties":{"n":{"type":["integer","null"],"\u0078-mcp-header":"N~1"},"b":{"type":"boolean","x-mcp-header":"b"}},
            "default":{"x-mcp-header":"data"}},
        "plain":{"enum":[{"x-mcp-header":"data"}],"const":{"x-mcp-header":"data"},"examples":[{"x-mcp-header":"data"}]}}}"#;
    let found = rules(schema).unwrap();
    let shown: Vec<(&str, String, ParamKind)> =
        found.iter().map(|rule| (rule.header().as_str(), rule.path().join("."), rule.kind())).collect();
    let wanted = [
        ("mcp-param-region", "region".to_owned(), ParamKind::String),
        ("mcp-param-n~1", "deep.n".to_owned(), ParamKind::Integer),
        ("mcp-param-b", "deep.b".to_owned(), ParamKind::Boolean),
    ];
    assert_eq!(shown, wanted);
    assert_eq!(rules("true"), Ok(vec![]));
    assert_eq!(rules(r#"{"type":"object"}"#), Ok(vec![]));
}

#[test]
fn wrong_annotations_are_refused_and_named() {
    let property = |text: &str| format!(r#"{{"type":"object","properties":{{"arg":{text}}}}}"#);
    let annotated = r#"{"type":"string","x-mcp-header":"A"}"#;
    for schema in [
        property(r#"{"type":"string","x-mcp-header":""}"#),
        property(r#"{"type":"string","x-mcp-header":"My Region"}"#),
        property(r#"{"type":"string","x-mcp-header":"Region:Primary"}"#),
        property(r#"{"type":"string","x-mcp-header":"Région"}"#),
        property(r#"{"type":"string","x-mcp-header":"Region\t1"}"#),
        property(r#"{"type":"string","x-mcp-header":"a\r\nb"}"#),
        property(&format!(r#"{{"type":"string","x-mcp-header":"{}"}}"#, "a".repeat(129))),
        property(r#"{"type":"string","x-mcp-header":5}"#),
        property(r#"{"type":"number","x-mcp-header":"A"}"#),
        property(r#"{"type":"object","x-mcp-header":"A"}"#),
        property(r#"{"type":"array","items":{"type":"string"},"x-mcp-header":"A"}"#),
        property(r#"{"type":"null","x-mcp-header":"A"}"#),
        property(r#"{"type":["string","integer"],"x-mcp-header":"A"}"#),
        property(r#"{"x-mcp-header":"A"}"#),
        property(&format!(r#"{{"type":"array","items":{annotated}}}"#)),
        property(&format!(r#"{{"type":"array","prefixItems":[{annotated}]}}"#)),
        property(&format!(r#"{{"anyOf":[{annotated},{{"type":"null"}}]}}"#)),
        property(&format!(r#"{{"allOf":[{{"properties":{{"deep":{annotated}}}}}]}}"#)),
        property(&format!(r#"{{"not":{annotated}}}"#)),
        property(&format!(r#"{{"type":"object","additionalProperties":{annotated}}}"#)),
        property(&format!(r#"{{"type":"object","patternProperties":{{".*":{annotated}}}}}"#)),
        format!(r##"{{"properties":{{"arg":{{"$ref":"#/$defs/s"}}}},"$defs":{{"s":{annotated}}}}}"##),
        format!(r#"{{"if":{{"properties":{{"arg":{annotated}}}}}}}"#),
        format!(r#"{{"then":{annotated},"type":"object"}}"#),
        r#"{"type":"string","x-mcp-header":"Root"}"#.to_owned(),
        r#"{"properties":{"a":{"type":"string","x-mcp-header":"Same"},"arg":{"type":"string","x-mcp-header":"same"}}}"#.to_owned(),
    ] {
        let reason = rules(&schema).expect_err(&schema);
        assert!(reason.contains("x-mcp-header") && (reason.contains("`arg") || reason.contains("schema root")), "{schema}: {reason}");
    }
    let many: Vec<String> = (0..65).map(|i| format!(r#""p{i}":{{"type":"string","x-mcp-header":"h{i}"}}"#)).collect();
    assert!(rules(&format!(r#"{{"properties":{{{}}}}}"#, many.join(","))).is_err());
    assert_eq!(rules(&format!(r#"{{"properties":{{{}}}}}"#, many[..64].join(","))).unwrap().len(), 64);
}

const PARAMS: &str = r#"{"properties":{"s":{"type":"string","x-mcp-header":"S"},
    "o":{"properties":{"i":{"type":"integer","x-mcp-header":"I"}}},"b":{"type":"boolean","x-mcp-header":"B"}}}"#;

#[test]
fn param_headers_agree_with_the_arguments() {
    let rules = rules(PARAMS).unwrap();
    let check = |arguments: Option<&str>, headers: &[(&str, &str)]| {
        let arguments = arguments.map(|text| Json::check(Bytes::copy_from_slice(text.as_bytes()), &Limits::REQUEST).unwrap());
        let outcome = check_param_headers(&map(headers), &rules, arguments.as_ref());
        outcome.map_err(|error| assert_eq!((error.code, error.status()), (HEADER_MISMATCH, 400))).is_ok()
    };
    let (s, i, b) = (|v| ("Mcp-Param-S", v), |v| ("MCP-PARAM-I", v), |v| ("mcp-param-b", v));
    for (arguments, headers) in [
        (None, vec![]),
        (Some("{}"), vec![("Mcp-Param-Unknown", "x")]),
        (Some(r#"{"s":null,"o":{"i":null},"b":null}"#), vec![]),
        (Some(r#"{"s":"x","o":{"i":42},"b":true}"#), vec![s("x"), i("42"), b("true")]),
        (Some(r#"{"s":"","o":5}"#), vec![s("")]),
        (Some(r#"{"s":"=?base64?SGVsbG8="}"#), vec![s("=?base64?SGVsbG8=")]),
        (Some(r#"{"s":"Hello"}"#), vec![s("=?base64?SGVsbG8=?=")]),
        (Some(r#"{"s":"\u00e9 "}"#), vec![s("=?base64?w6kg?=")]),
        (Some(r#"{"o":{"i":42.0}}"#), vec![i("42")]),
        (Some(r#"{"o":{"i":42}}"#), vec![i("42.0")]),
        (Some(r#"{"o":{"i":-9007199254740991}}"#), vec![i("-9007199254740991")]),
        (Some(r#"{"b":false}"#), vec![b("false")]),
    ] {
        assert!(check(arguments, &headers), "{arguments:?} {headers:?}");
    }
    for (arguments, headers) in [
        (None, vec![s("x")]),
        (Some(r#"{"s":null}"#), vec![s("")]),
        (Some(r#"{"s":null}"#), vec![s("null")]),
        (Some(r#"{"s":"x"}"#), vec![]),
        (Some(r#"{"s":"x"}"#), vec![s("X")]),
        (Some(r#"{"s":"x"}"#), vec![s("x"), s("x")]),
        (Some(r#"{"s":"x"}"#), vec![s("\u{e9}")]),
        (Some(r#"{"s":"Hello"}"#), vec![s("=?base64?SGVsbG8?=")]),
        (Some(r#"{"s":"Hello"}"#), vec![s("=?base64?SGVs!!!bG8=?=")]),
        (Some(r#"{"s":{"a":1}}"#), vec![s("x")]),
        (Some(r#"{"s":["x"]}"#), vec![s("x")]),
        (Some(r#"{"o":{"i":42}}"#), vec![i("43")]),
        (Some(r#"{"o":{"i":42}}"#), vec![i("042")]),
        (Some(r#"{"o":{"i":42}}"#), vec![]),
        (Some(r#"{"o":{"i":42.5}}"#), vec![i("42.5")]),
        (Some(r#"{"o":{"i":9007199254740992}}"#), vec![i("9007199254740992")]),
        (Some(r#"{"o":{"i":9007199254740993}}"#), vec![i("9007199254740992")]),
        (Some(r#"{"i":42}"#), vec![i("42")]),
        (Some(r#"{"b":true}"#), vec![b("True")]),
        (Some(r#"{"b":true}"#), vec![b("1")]),
    ] {
        assert!(!check(arguments, &headers), "{arguments:?} {headers:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_survives_a_header(text in prop_oneof!["\\PC{0,40}", "[ -~\t\r\n\u{0}]{0,20}", "=\\?base64\\?[a-zA-Z0-9+/=]{0,8}(\\?=)?"]) {
        let value = encode_text(&text);
        prop_assert!(value.to_str().is_ok());
        prop_assert_eq!(value.to_str().unwrap().trim(), value.to_str().unwrap(), "survives trimming");
        prop_assert_eq!(decode_text(value.to_str().unwrap()).unwrap(), text.as_str());
    }

    /// What our client writes, our server accepts, whatever the arguments are.
    #[test]
    fn own_param_headers_are_accepted(s in prop::option::of("\\PC{0,30}"), i in prop::option::of(-9_007_199_254_740_991_i64..=9_007_199_254_740_991), b in prop::option::of(any::<bool>())) {
        let rules = rules(PARAMS).unwrap();
        let arguments = Json::from_serialize(&serde_json::json!({"s": s, "o": {"i": i}, "b": b})).unwrap();
        let headers: HeaderMap = rules.iter().filter_map(|rule| Some((rule.header().clone(), rule.value(Some(&arguments))?))).collect();
        prop_assert_eq!(headers.len(), usize::from(s.is_some()) + usize::from(i.is_some()) + usize::from(b.is_some()));
        prop_assert_eq!(check_param_headers(&headers, &rules, Some(&arguments)), Ok(()));
    }

    #[test]
    fn classify_never_panics_and_keeps_the_id(version in "[ -~\u{80}-\u{ff}]{0,12}", method in "[ -~]{0,12}", params in prop::sample::select(vec![
        "", META, r#""_meta":{}"#, r#""_meta":7"#, r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#, r#""name":"x""#])) {
        let list = request("tools/list", params);
        if let Err(error) = over_http(&[("mcp-protocol-version", &version), ("mcp-method", &method)], &list) {
            prop_assert_eq!(error.id, Some(Id::Integer(9)));
        }
    }
}
