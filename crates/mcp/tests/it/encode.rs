use std::io::IoSlice;

use bailiwick_mcp::encode::{self, Frame, SSE_KEEP_ALIVE};
use bailiwick_mcp::{Era, Id, Json, Limits, Message, RpcError, WireError, decode};
use bytes::{Buf, Bytes};
use proptest::prelude::*;

fn text(frame: &Frame) -> String {
    let bytes = frame.to_bytes();
    assert_eq!(bytes.len(), frame.len());
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(text: impl Into<String>) -> Json {
    Json::check(Bytes::from(text.into()), &Limits::RESULT).unwrap()
}

#[test]
fn messages_have_the_expected_bytes() {
    let id = Id::Text("a\"b".into());
    let data = json(r#"{"x":1}"#);
    let params = json(r#"{ "name" : "n" }"#);
    let error = RpcError::new(-32602, "bad \"thing\"\n");
    for (frame, wanted) in [
        (encode::result(&Id::Integer(-1), &data), r#"{"jsonrpc":"2.0","id":-1,"result":{"x":1}}"#),
        (encode::result(&id, &json("null")), r#"{"jsonrpc":"2.0","id":"a\"b","result":null}"#),
        (encode::error(Some(&id), &error), r#"{"jsonrpc":"2.0","id":"a\"b","error":{"code":-32602,"message":"bad \"thing\"\n"}}"#),
        (
            encode::error(None, &error.clone().with_data(data.clone())),
            r#"{"jsonrpc":"2.0","error":{"code":-32602,"message":"bad \"thing\"\n","data":{"x":1}}}"#,
        ),
        (
            encode::wire_error(&WireError::new(-32700, "no").with_id(Some(Id::from(u64::MAX)))),
            r#"{"jsonrpc":"2.0","id":18446744073709551615,"error":{"code":-32700,"message":"no"}}"#,
        ),
        (encode::notification("a/b", None), r#"{"jsonrpc":"2.0","method":"a/b"}"#),
        (encode::notification("a/b", Some(&params)), r#"{"jsonrpc":"2.0","method":"a/b","params":{ "name" : "n" }}"#),
        (encode::request(&Id::Integer(1), "a/b", Some(&params)), r#"{"jsonrpc":"2.0","id":1,"method":"a/b","params":{ "name" : "n" }}"#),
        (encode::request_with(&Id::Integer(1), "m", &[]), r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{}}"#),
        (
            encode::request_with(&Id::Integer(1), "m", &[("a", &data), ("b\"", &json("2"))]),
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":{"x":1},"b\"":2}}"#,
        ),
    ] {
        assert_eq!(text(&frame), wanted);
        assert!(decode(frame.to_bytes(), &Limits::REQUEST).is_ok());
    }
    assert_eq!(encode::object(&[("a", &data), ("b", &json("[]"))]).as_str(), r#"{"a":{"x":1},"b":[]}"#);
}

#[test]
fn the_result_fits_the_era() {
    let modern = |text: &str| encode::complete(&json(text), Era::Modern).as_str().to_owned();
    assert_eq!(modern(r#"{"content":[]}"#), r#"{"content":[],"resultType":"complete"}"#);
    assert_eq!(modern("{}"), r#"{"resultType":"complete"}"#);
    assert_eq!(modern(r#"{"resultType":"input_required","x":1}"#), r#"{"resultType":"input_required","x":1}"#);
    assert_eq!(modern(r#"{"structuredContent":[1]}"#), r#"{"structuredContent":[1],"resultType":"complete"}"#);
    assert_eq!(modern("[1]"), "[1]");
    let legacy = |text: &str| encode::complete(&json(text), Era::Legacy).as_str().to_owned();
    assert_eq!(legacy(r#"{"resultType":"complete","tools":[],"ttlMs":5,"cacheScope":"private"}"#), r#"{"tools":[]}"#);
    assert_eq!(legacy(r#"{"tools":[{"resultType":"complete"}]}"#), r#"{"tools":[{"resultType":"complete"}]}"#);
    // Not finished: hiding the mark would make the caller take it for a result.
    for unfinished in [r#"{"resultType":"input_required","inputRequests":{}}"#, r#"{"resultType":"task","taskId":"t","ttlMs":1}"#] {
        assert_eq!(legacy(unfinished), unfinished);
    }
}

#[test]
fn legacy_clients_get_plain_structured_values_as_text() {
    for (result, wanted) in [
        (r#"{"content":[],"structuredContent":[1,2]}"#, r#"{"content":[{"type":"text","text":"[1,2]"}]}"#),
        (r#"{"structuredContent":"a\"b","resultType":"complete"}"#, r#"{"content":[{"type":"text","text":"\"a\\\"b\""}]}"#),
        (
            r#"{"content":[ {"type":"image"} ],"structuredContent":null}"#,
            r#"{"content":[ {"type":"image"} ,{"type":"text","text":"null"}]}"#,
        ),
        (r#"{"content":[{"type":"text","text":"[1, 2]"}],"structuredContent":[1,2]}"#, r#"{"content":[{"type":"text","text":"[1, 2]"}]}"#),
        (r#"{"content":[{"type":"text","text":"plain"}],"structuredContent":"plain"}"#, r#"{"content":[{"type":"text","text":"plain"}]}"#),
        (
            r#"{"content":[{"type":"text","text":"other"}],"structuredContent":7}"#,
            r#"{"content":[{"type":"text","text":"other"},{"type":"text","text":"7"}]}"#,
        ),
        (
            r#"{"content":[{"type":"text","text":"x"}],"structuredContent":{"a":1}}"#,
            r#"{"content":[{"type":"text","text":"x"}],"structuredContent":{"a":1}}"#,
        ),
    ] {
        assert_eq!(encode::complete(&json(result), Era::Legacy).as_str(), wanted, "{result}");
    }
    let tool = json(r#"{"name":"t","outputSchema":{"type":"array"},"x":1}"#);
    assert_eq!(encode::legacy_tool(&tool).as_str(), r#"{"name":"t","x":1}"#);
    let tool = json(r#"{"name":"t","outputSchema":{"type":"object"}}"#);
    assert_eq!(encode::legacy_tool(&tool), tool);
    assert_eq!(encode::legacy_tool(&json(r#"{"name":"t","outputSchema":true}"#)).as_str(), r#"{"name":"t"}"#);
}

fn large_result() -> Json {
    json(format!(r#"{{"ttlMs":1,"content":[{{"type":"text","text":"{}"}}],"resultType":"complete","isError":false}}"#, "x".repeat(1 << 20)))
}

#[test]
fn large_values_are_shared_never_copied() {
    let result = large_result();
    let range = result.bytes().as_ptr_range();
    let id = Id::Integer(1);
    for frame in [
        encode::result(&id, &result),
        encode::result_in(&id, &result, Era::Modern),
        encode::result_in(&id, &result, Era::Legacy),
        encode::result_in(&id, &result, Era::Legacy).into_sse_event(Some("7")),
        encode::result_edited(&id, &result, &["isError"], &[("_meta", &json("{}"))]),
        encode::notification("n", Some(&result)),
        encode::request_with(&id, "n", &[("a", &json("1")), ("b", &result)]),
        encode::error(None, &RpcError::new(1, "m").with_data(result.clone())),
    ] {
        let (mut shared, mut copied, mut parts) = (0, 0, 0);
        for part in frame.into_parts() {
            parts += 1;
            if range.contains(&part.as_ptr()) { shared += part.len() } else { copied += part.len() }
        }
        assert!(shared >= 1 << 20 && copied < 1000 && parts <= 4, "{shared} {copied} {parts}");
    }
}

#[test]
fn eras_give_the_same_bytes_shared_or_not() {
    let small = r#"{"ttlMs":1,"content":[],"resultType":"complete"}"#;
    for result in [json(small), large_result(), json(r#"{"content":[],"structuredContent":[1]}"#), json("{}"), json("[]")] {
        for era in [Era::Modern, Era::Legacy] {
            let direct = text(&encode::result_in(&Id::Integer(3), &result, era));
            let wanted = format!(r#"{{"jsonrpc":"2.0","id":3,"result":{}}}"#, encode::complete(&result, era).as_str());
            assert!(direct == wanted, "{era:?}");
        }
    }
}

#[test]
fn frames_hold_no_line_breaks_of_their_own() {
    let broken = json("{\r\n \"a\" :\n[ 1,\r2 ] }");
    for frame in [
        encode::result(&Id::Integer(1), &broken),
        encode::notification("n", Some(&broken)),
        encode::request_with(&Id::Integer(1), "n", &[("a", &broken)]),
        encode::error(None, &RpcError::new(1, "two\nlines").with_data(broken.clone())),
        encode::result_edited(&Id::Integer(1), &json("{}"), &[], &[("m", &broken)]),
    ] {
        assert!(!text(&frame).contains(['\n', '\r']), "{}", text(&frame));
        let event = text(&frame.clone().into_sse_event(None));
        assert_eq!(event, format!("event: message\ndata: {}\n\n", text(&frame)));
    }
}

#[test]
fn events_carry_clean_ids() {
    let frame = encode::notification("n", None);
    let body = r#"{"jsonrpc":"2.0","method":"n"}"#;
    assert_eq!(text(&frame.clone().into_sse_event(Some("s-1"))), format!("event: message\nid: s-1\ndata: {body}\n\n"));
    for bad in ["a\nb", "a\rb", "a\0"] {
        assert_eq!(text(&frame.clone().into_sse_event(Some(bad))), format!("event: message\ndata: {body}\n\n"));
    }
    assert_eq!(text(&encode::priming_event("s-0", Some(1500))), "id: s-0\nretry: 1500\ndata:\n\n");
    assert_eq!(SSE_KEEP_ALIVE, b":\n\n");
}

#[test]
fn a_frame_is_written_completely_in_steps_of_any_size() {
    let result = large_result();
    let whole = encode::result(&Id::Integer(1), &result).to_bytes();
    for step in [1 << 12, 65_537, 1 << 30] {
        let mut frame = encode::result(&Id::Integer(1), &result).into_sse_event(None);
        let mut out = Vec::new();
        while frame.has_remaining() {
            assert!(!frame.chunk().is_empty());
            let mut slices = [IoSlice::new(&[]); 8];
            let count = frame.chunks_vectored(&mut slices);
            assert_eq!(slices[..count].iter().map(|slice| slice.len()).sum::<usize>(), frame.remaining());
            let take = step.min(frame.chunk().len());
            out.extend_from_slice(&frame.chunk()[..take]);
            frame.advance(take);
        }
        assert!(frame.is_empty() && out.len() == whole.len() + "event: message\ndata: \n\n".len());
        assert!(out.windows(whole.len()).any(|window| window == whole));
    }
    let mut frame = encode::result(&Id::Integer(1), &result);
    frame.advance(whole.len() - 1);
    assert_eq!(&*frame.to_bytes(), b"}");
    assert_eq!(encode::result(&Id::Integer(1), &result).into_parts().map(|part| part.len()).sum::<usize>(), whole.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_is_decoded_again(id in prop_oneof![any::<i64>().prop_map(Id::from), any::<u64>().prop_map(Id::from), "\\PC{0,40}".prop_map(|t: String| Id::Text(t.into()))],
        method in "\\PC{0,40}", message in "\\PC{0,60}", code in any::<i64>(), value in "\\PC{0,6000}") {
        let params = encode::object(&[("v", &Json::from_text(&value))]);
        let Ok(Message::Request(request)) = decode(encode::request(&id, &method, Some(&params)).to_bytes(), &Limits::REQUEST) else { panic!("request") };
        prop_assert_eq!((&request.id, &*request.method, request.params.as_ref()), (&id, method.as_str(), Some(&params)));
        let error = RpcError::new(code, message).with_data(params.clone());
        let Ok(Message::Response(response)) = decode(encode::error(Some(&id), &error).to_bytes(), &Limits::REQUEST) else { panic!("response") };
        prop_assert_eq!((response.id, response.outcome), (Some(id), Err(error)));
    }
}
