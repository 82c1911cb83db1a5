//! Decoding of one message: the strict check against another parser, the limits against independent counts, and the round trip.
#![no_main]

use bailiwick_fuzz::Census;
use bailiwick_mcp::exchange::{Exchange, classify};
use bailiwick_mcp::message::{ID_BYTES_MAX, METHOD_BYTES_MAX};
use bailiwick_mcp::sse::Decoder;
use bailiwick_mcp::{Era, FaultKind, Frame, Headers, Id, Json, Limits, Message, decode, encode};
use bytes::Bytes;

/// Limits that short inputs cross.
const SMALL: Limits = Limits { bytes_max: 300, depth_max: 5, tokens_max: 24 };
/// For what was written again: escapes may have grown.
const WIDE: Limits = Limits { bytes_max: usize::MAX, depth_max: 80, tokens_max: u32::MAX };

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let body = Bytes::copy_from_slice(data);
    let census = Census::of(data);
    for limits in [Limits::REQUEST, SMALL] {
        checked(&body, &limits, census.as_ref());
        match decode(body.clone(), &limits) {
            Ok(message) => {
                accepted(data, &message);
                era(&message);
            }
            Err(fault) => assert!(decode(encode::wire_error(&fault).to_bytes(), &WIDE).is_ok(), "the refusal is no message"),
        }
    }
});

/// The check takes what the other parser takes and the limits allow, and nothing else.
fn checked(body: &Bytes, limits: &Limits, census: Option<&Census>) {
    let checked = Json::check(body.clone(), limits);
    let inspected = Json::inspect(body.clone(), limits);
    assert_eq!(checked.as_ref().err(), inspected.as_ref().err(), "noting places changes the verdict");
    let fits = |census: &Census| {
        body.len() <= limits.bytes_max && census.depth <= limits.depth_max && census.tokens <= limits.tokens_max && !census.doubled
    };
    match (&checked, census) {
        (Ok(_), Some(census)) => assert!(fits(census), "accepted beyond the limits: {census:?}"),
        (Err(fault), Some(census)) => {
            assert!(!fits(census), "refused what fits: {fault:?} {census:?}");
            let of_syntax = matches!(fault.kind, FaultKind::Syntax | FaultKind::Utf8 | FaultKind::Number);
            assert!(!of_syntax, "called broken what is not: {fault:?}");
        }
        // Numbers beyond `f64` are all that the other parser may refuse alone.
        (Ok(json), None) => assert!(serde_json::from_slice::<serde::de::IgnoredAny>(json.bytes()).is_ok(), "not JSON"),
        (Err(_), None) => {}
    }
    if let (Ok(plain), Ok(noted)) = (checked, inspected) {
        assert_eq!(plain, noted);
        same_members(&plain, &noted, 0);
        edits(&noted);
    }
}

/// Members read by their noted places are those found by moving over the text.
fn same_members(plain: &Json, noted: &Json, level: u32) {
    const LEVELS_MAX: u32 = 5;
    let (a, b): (Vec<_>, Vec<_>) = (plain.members().collect(), noted.members().collect());
    assert_eq!(a, b);
    if level > LEVELS_MAX {
        return;
    }
    for ((name, value), (_, other)) in a.iter().zip(&b) {
        assert_eq!(noted.member(name).as_ref(), Some(value));
        assert_eq!(plain.text_of(name), value.string());
        assert!(Json::check(value.bytes().clone(), &WIDE).is_ok(), "a member is no value");
        same_members(value, other, level + 1);
    }
    for element in plain.elements() {
        assert!(Json::check(element.bytes().clone(), &WIDE).is_ok(), "an element is no value");
    }
}

/// Edits give valid texts whose other members are as they were.
fn edits(json: &Json) {
    let line = json.to_one_line();
    assert!(!line.bytes().iter().any(|b| matches!(b, b'\n' | b'\r')), "a line break");
    assert_eq!(line.len(), json.len());
    let Some((first, _)) = json.members().next() else { return };
    let added = Json::from_static("[1.0]");
    let edited = json.edit(&[&first], &[("added\n", &added)]);
    let edited = Json::check(edited.bytes().clone(), &WIDE).expect("edited text is valid");
    assert_eq!(edited.member("added\n"), Some(added));
    for (name, value) in json.members().filter(|(name, _)| *name != first && *name != "added\n") {
        assert_eq!(edited.member(&name), Some(value));
    }
}

/// What was accepted keeps its limits and survives being written again.
fn accepted(data: &[u8], message: &Message) {
    assert!(std::str::from_utf8(data).is_ok(), "not UTF-8");
    if let Some(Id::Text(text)) = message.request_id() {
        assert!(text.len() <= ID_BYTES_MAX);
    }
    assert!(message.method().is_none_or(|method| method.len() <= METHOD_BYTES_MAX));
    assert!(message.params().is_none_or(Json::is_object));
    let frame = match message {
        Message::Request(request) => encode::request(&request.id, &request.method, request.params.as_ref()),
        Message::Notification(notification) => encode::notification(&notification.method, notification.params.as_ref()),
        Message::Response(response) => match (&response.id, &response.outcome) {
            (Some(id), Ok(result)) => {
                completed(result);
                encode::result(id, result)
            }
            (None, Ok(_)) => panic!("a result without id"),
            (id, Err(error)) => encode::error(id.as_ref(), error),
        },
    };
    let again = decode(frame.to_bytes(), &WIDE).expect("what we write can be read");
    assert_eq!(on_one_line(again), on_one_line(message.clone()), "the round trip changes the message");
    as_event(frame);
}

/// Frames hold no line breaks, so values come back without theirs.
fn on_one_line(mut message: Message) -> Message {
    let flatten = |json: &mut Json| *json = json.to_one_line();
    match &mut message {
        Message::Request(request) => request.params.iter_mut().for_each(flatten),
        Message::Notification(notification) => notification.params.iter_mut().for_each(flatten),
        Message::Response(response) => match &mut response.outcome {
            Ok(result) => flatten(result),
            Err(error) => error.data.iter_mut().for_each(flatten),
        },
    }
    message
}

fn as_event(frame: Frame) {
    let text = frame.to_bytes();
    assert!(!text.iter().any(|b| matches!(b, b'\n' | b'\r')), "a line break inside a frame");
    let mut decoder = Decoder::new(text.len() + 100);
    decoder.feed(&frame.into_sse_event(Some("7")).to_bytes());
    let event = decoder.next_event().expect("within the limit").expect("one event");
    assert!(event.is_message() && event.data == text);
    assert_eq!(decoder.next_event(), Ok(None));
}

/// A result in the dress of either era.
fn completed(result: &Json) {
    let undone = result.text_of("resultType").is_some_and(|kind| kind != "complete");
    for era in [Era::Modern, Era::Legacy] {
        let dressed = encode::complete(result, era);
        let dressed = Json::check(dressed.bytes().clone(), &WIDE).expect("valid");
        assert_eq!(encode::complete(&dressed, era), dressed, "twice is once");
        if !result.is_object() || undone {
            assert_eq!(&dressed, result);
            continue;
        }
        assert_eq!(dressed.has("resultType"), era == Era::Modern);
        if era == Era::Legacy {
            assert!(!dressed.has("ttlMs") && !dressed.has("cacheScope"));
            assert!(dressed.member("structuredContent").is_none_or(|structured| structured.is_object()));
        }
        let spliced = decode(encode::result_in(&Id::Integer(1), result, era).to_bytes(), &WIDE).expect("an answer");
        let Message::Response(spliced) = spliced else { panic!("no answer") };
        // They may differ in the white space around the new member.
        let (spliced, dressed) = (spliced.outcome.expect("a result").to_one_line(), dressed.to_one_line());
        assert_eq!(spliced.members().collect::<Vec<_>>(), dressed.members().collect::<Vec<_>>(), "spliced and edited differ");
    }
}

/// The era over stdio, where there are no headers.
fn era(message: &Message) {
    match classify(&Headers::none(), message) {
        Ok(Exchange::Modern(modern)) => {
            assert_eq!(modern.revision.era(), Era::Modern);
            assert!(message.request_id().is_none() || modern.meta.client_capabilities.is_some());
        }
        Ok(Exchange::Initialize) => assert_eq!(message.method(), Some("initialize")),
        Ok(Exchange::Legacy { session, header_version }) => assert!(session.is_none() && header_version.is_none()),
        Err(fault) => {
            assert_eq!(fault.id.as_ref(), message.request_id());
            assert!(matches!(fault.status(), 400..=499));
        }
    }
}
