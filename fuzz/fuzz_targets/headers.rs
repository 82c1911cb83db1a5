//! The headers that repeat the body. Input: header lines, an empty line, the body, `---` between line ends, an `inputSchema`.
#![no_main]

use std::collections::HashSet;

use bailiwick_fuzz::split_at_mark;
use bailiwick_mcp::exchange::{
    Exchange, MCP_METHOD, MCP_NAME, MCP_PROTOCOL_VERSION, check_param_headers, classify, decode_text, encode_text, named_by,
    session_of_bare,
};
use bailiwick_mcp::{Era, Headers, Json, Kind, Limits, Message, ParamHeader, decode};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Most header lines that are looked at.
const LINES_MAX: usize = 64;
/// Integers within 2^53 - 1.
const SAFE_INTEGER_MAX: i64 = (1 << 53) - 1;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (head, rest) = split_at_mark(data, b"\n\n");
    let (body, schema) = split_at_mark(rest, b"\n---\n");
    let map = headers(head);
    texts(head, &map);
    bare(&map);
    let message = decode(Bytes::copy_from_slice(body), &Limits::REQUEST).ok();
    if let Some(message) = &message {
        agreement(&map, message);
    }
    let Ok(schema) = Json::check(Bytes::copy_from_slice(schema), &Limits::REQUEST) else { return };
    if let Ok(rules) = ParamHeader::read(&schema) {
        let arguments = message.as_ref().and_then(|message| message.params()?.member("arguments"));
        params(&map, &rules, arguments.as_ref());
    }
});

fn headers(head: &[u8]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for line in head.split(|b| *b == b'\n').take(LINES_MAX) {
        let (name, value) = split_at_mark(line, b":");
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            map.append(name, value);
        }
    }
    map
}

/// The one value of a header without white space around it.
fn single<'m>(map: &'m HeaderMap, name: &str) -> Option<&'m str> {
    let mut values = map.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok().map(|text| text.trim_matches([' ', '\t']))
}

/// Any text goes through a header and comes back; what a header means can be said again.
fn texts(head: &[u8], map: &HeaderMap) {
    let comes_back = |text: &str| {
        let value = encode_text(text);
        let shown = value.to_str().expect("headers carry it");
        assert_eq!(shown.trim_matches([' ', '\t']), shown, "a proxy may trim it");
        assert_eq!(decode_text(shown).as_deref(), Some(text));
    };
    if let Ok(text) = std::str::from_utf8(head) {
        comes_back(text);
        text.lines().for_each(comes_back);
    }
    for value in map.values().filter_map(|value| value.to_str().ok()) {
        if let Some(text) = decode_text(value) {
            comes_back(&text);
        }
    }
}

fn bare(map: &HeaderMap) {
    if let Ok((session, revision)) = session_of_bare(&Headers::read(map)) {
        assert!(is_session(session));
        assert!(revision.is_none_or(|revision| revision.era() == Era::Legacy && revision.is_served()));
    }
}

fn is_session(text: &str) -> bool {
    (1..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// A modern request passes only when every header says what the body says.
fn agreement(map: &HeaderMap, message: &Message) {
    let over_http = classify(&Headers::read(map), message);
    let over_stdio = classify(&Headers::none(), message);
    match &over_http {
        Ok(Exchange::Modern(modern)) => {
            assert_eq!(modern.revision.era(), Era::Modern);
            let Message::Request(request) = message else { return };
            assert_eq!(over_stdio.as_ref(), over_http.as_ref(), "headers add nothing to what the body says");
            assert!(modern.meta.client_capabilities.is_some());
            assert_eq!(single(map, MCP_PROTOCOL_VERSION), Some(modern.revision.as_str()));
            assert_eq!(single(map, MCP_METHOD), Some(&*request.method));
            if let Some(member) = named_by(&request.method) {
                let named = request.params.as_ref().and_then(|params| params.text_of(member));
                let told = single(map, MCP_NAME).map(|text| decode_text(text).expect("decodable"));
                assert_eq!(told, named, "another name than in the body");
                assert!(named.is_some() || !map.contains_key(MCP_NAME));
            }
        }
        Ok(Exchange::Initialize) => assert_eq!(message.method(), Some("initialize")),
        Ok(Exchange::Legacy { session, header_version }) => {
            assert!(session.as_deref().is_none_or(is_session));
            assert!(header_version.is_none_or(|revision| revision.is_served()));
            assert!(header_version.is_none_or(|revision| revision.era() == Era::Legacy) || session.is_some());
        }
        Err(fault) => {
            assert_eq!(fault.id.as_ref(), message.request_id());
            assert!(matches!(fault.status(), 400..=499), "{fault:?}");
        }
    }
}

/// Headers made from the arguments pass, altered and missing ones do not.
fn params(given: &HeaderMap, rules: &[ParamHeader], arguments: Option<&Json>) {
    let names: HashSet<_> = rules.iter().map(ParamHeader::header).collect();
    assert_eq!(names.len(), rules.len(), "a header for two arguments");
    assert!(rules.iter().all(|rule| !rule.path().is_empty() && rule.header().as_str().starts_with("mcp-param-")));

    let mut made = HeaderMap::new();
    let mut sound = true;
    for rule in rules {
        let argument = argument(rule, arguments);
        let value = rule.value(arguments);
        assert!(argument.is_some() || value.is_none(), "a header for no argument");
        sound &= argument.is_none_or(|argument| value.is_some() && within_range(rule, &argument));
        if let Some(value) = value {
            made.insert(rule.header().clone(), value);
        }
    }
    assert_eq!(check_param_headers(&made, rules, arguments).is_ok(), sound, "what we would send");
    let given = check_param_headers(given, rules, arguments);
    assert!(sound || given.is_err(), "accepted what no honest client can send");

    for name in made.keys().cloned().collect::<Vec<_>>() {
        let mut altered = made.clone();
        let value = altered.remove(&name).expect("it is there");
        assert!(check_param_headers(&altered, rules, arguments).is_err(), "a header is missing");
        let longer = [value.as_bytes(), b"x"].concat();
        altered.insert(name.clone(), HeaderValue::from_bytes(&longer).expect("valid"));
        assert!(check_param_headers(&altered, rules, arguments).is_err(), "a header was altered");
        altered.insert(name.clone(), value.clone());
        altered.append(name, value);
        assert!(check_param_headers(&altered, rules, arguments).is_err(), "a header is doubled");
    }
}

fn argument(rule: &ParamHeader, arguments: Option<&Json>) -> Option<Json> {
    let value = rule.path().iter().try_fold(arguments?.clone(), |value, name| value.member(name))?;
    (!value.is_null()).then_some(value)
}

/// An integer argument that headers may carry. Written as `42.0` it counts too, so a plain reading as `f64` is asked: below 2^53 it tells
/// integers exactly, unless the fraction is beyond its digits.
fn within_range(rule: &ParamHeader, argument: &Json) -> bool {
    if rule.kind() != bailiwick_mcp::exchange::ParamKind::Integer || argument.kind() != Kind::Number {
        return true;
    }
    // The value that would be sent is the plain spelling exactly when the number is an integer.
    let sent = rule.value(Some(&whole(rule, argument))).and_then(|value| value.to_str().ok()?.parse::<i64>().ok());
    sent.is_some_and(|number| number.abs() <= SAFE_INTEGER_MAX)
}

/// Arguments that hold only this one.
fn whole(rule: &ParamHeader, argument: &Json) -> Json {
    rule.path().iter().rev().fold(argument.clone(), |value, name| bailiwick_mcp::encode::object(&[(name, &value)]))
}
