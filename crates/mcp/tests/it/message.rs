use bailiwick_mcp::error::{INVALID_REQUEST, PARSE};
use bailiwick_mcp::message::{ID_BYTES_MAX, METHOD_BYTES_MAX};
use bailiwick_mcp::{Id, Json, Limits, Message, WireError, decode};
use bytes::Bytes;
use proptest::prelude::*;

fn read(text: impl AsRef<[u8]>) -> Result<Message, WireError> {
    decode(Bytes::copy_from_slice(text.as_ref()), &Limits::REQUEST)
}

fn request_id(text: &str) -> Option<Id> {
    match read(format!(r#"{{"jsonrpc":"2.0","id":{text},"method":"ping"}}"#)) {
        Ok(Message::Request(request)) => Some(request.id),
        Ok(other) => panic!("{text}: {other:?}"),
        Err(error) => {
            assert_eq!((error.code, error.id), (INVALID_REQUEST, None), "{text}");
            None
        }
    }
}

#[test]
fn ids_are_exact_or_refused() {
    let text = |text: &str| Id::Text(text.into());
    for (written, id) in [
        ("0", Id::Integer(0)),
        ("-1", Id::Integer(-1)),
        ("9007199254740993", Id::Integer(9_007_199_254_740_993)),
        ("9223372036854775807", Id::Integer(i64::MAX)),
        ("-9223372036854775808", Id::Integer(i64::MIN)),
        ("9223372036854775808", Id::Unsigned(9_223_372_036_854_775_808)),
        ("18446744073709551615", Id::Unsigned(u64::MAX)),
        (r#""""#, text("")),
        (r#""a\u0062""#, text("ab")),
        (r#""1""#, text("1")),
    ] {
        assert_eq!(request_id(written), Some(id), "{written}");
    }
    let long = format!("\"{}\"", "x".repeat(ID_BYTES_MAX));
    assert!(request_id(&long).is_some());
    let too_long = format!("\"{}\"", "x".repeat(ID_BYTES_MAX + 1));
    for bad in ["null", "1.0", "1.5", "1e3", "18446744073709551616", "-9223372036854775809", "true", "[]", "{}", &too_long] {
        assert_eq!(request_id(bad), None, "{bad}");
    }
}

#[test]
fn ids_print_as_they_are_sent() {
    for (id, text) in [
        (Id::from(7_i64), "7"),
        (Id::from(7_u64), "7"),
        (Id::from(u64::MAX), "18446744073709551615"),
        (Id::Text("a\"1".into()), r#""a\"1""#),
    ] {
        assert_eq!(id.to_string(), text);
        assert_eq!(serde_json::to_string(&id).unwrap(), text);
        assert_eq!(Id::read(&id.as_json()), Some(id));
    }
}

#[test]
fn tells_the_three_kinds_apart() {
    let Ok(Message::Request(request)) = read(r#" {"id":"a","params":{"name":"x"},"method":"tools/call","jsonrpc":"2.0","extra":[]} "#)
    else {
        panic!("request")
    };
    assert_eq!((&*request.method, request.params.unwrap().as_str()), ("tools/call", r#"{"name":"x"}"#));
    let Ok(Message::Notification(note)) = read(r#"{"jsonrpc":"2.0","method":"x/own","params":null}"#) else { panic!("notification") };
    assert_eq!((&*note.method, note.params), ("x/own", None));
    let Ok(Message::Response(done)) = read(r#"{"jsonrpc":"2.0","id":1,"result":[1.0]}"#) else { panic!("response") };
    assert_eq!((done.id, done.outcome.unwrap().as_str()), (Some(Id::Integer(1)), "[1.0]"));
    let text = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"no","data":{"a":1}}}"#;
    let Ok(Message::Response(failed)) = read(text) else { panic!("response") };
    let error = failed.outcome.unwrap_err();
    assert_eq!((error.code, &*error.message, error.data.unwrap().as_str()), (-32000, "no", r#"{"a":1}"#));
    for nameless in
        [r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}"#, r#"{"jsonrpc":"2.0","error":{"code":1,"message":""}}"#]
    {
        assert!(matches!(read(nameless), Ok(Message::Response(response)) if response.id.is_none()), "{nameless}");
    }
    let escaped = read(r#"{"\u006asonrpc":"2\u002e0","id":1,"method":"pi\u006eg"}"#).unwrap();
    assert_eq!(escaped.method(), Some("ping"), "names and values are compared by meaning");
}

#[test]
fn refuses_what_is_no_single_message_and_keeps_the_id() {
    let one = Some(Id::Integer(1));
    let table: [(&str, i64, Option<Id>); 36] = [
        ("", PARSE, None),
        ("{", PARSE, None),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping""#, PARSE, None),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} x"#, PARSE, None),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0","id":1,"method":"ping"}"#, PARSE, None),
        (r#"{"jsonrpc":"2.0","id":1,"method":"\ud800"}"#, PARSE, one.clone()),
        (r#"{"method":"ping","params":{"a":["\ud800","}"]},"jsonrpc":"2.0","id":1}"#, PARSE, one.clone()),
        (r#"{"jsonrpc":"2.0","id":"\ud800","method":"ping"}"#, PARSE, None),
        (r#"{"jsonrpc":"2.0","id":1,"result":"\ud800"}"#, PARSE, None),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, INVALID_REQUEST, None),
        ("[]", INVALID_REQUEST, None),
        ("{}", INVALID_REQUEST, None),
        ("1", INVALID_REQUEST, None),
        ("null", INVALID_REQUEST, None),
        (r#""ping""#, INVALID_REQUEST, None),
        (r#"{"id":1,"method":"ping"}"#, INVALID_REQUEST, one.clone()),
        (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, INVALID_REQUEST, one.clone()),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, INVALID_REQUEST, one.clone()),
        (r#"{"jsonrpc":"2.0 ","id":1,"method":"ping"}"#, INVALID_REQUEST, one.clone()),
        (r#"{"jsonrpc":null,"id":1,"method":"ping"}"#, INVALID_REQUEST, one.clone()),
        (r#"{"JSONRPC":"2.0","id":1,"method":"ping"}"#, INVALID_REQUEST, one.clone()),
        (r#"{"jsonrpc":"2.0","id":1}"#, INVALID_REQUEST, one.clone()),
        (r#"{"jsonrpc":"2.0","id":1,"Method":"ping"}"#, INVALID_REQUEST, one.clone()),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, INVALID_REQUEST, one.clone()),
        (r#"{"jsonrpc":"2.0","id":1,"method":null}"#, INVALID_REQUEST, one.clone()),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, INVALID_REQUEST, one.clone()),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}"#, INVALID_REQUEST, one.clone()),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#, INVALID_REQUEST, one.clone()),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","error":{"code":1,"message":""}}"#, INVALID_REQUEST, one.clone()),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}"#, INVALID_REQUEST, one.clone()),
        (r#"{"jsonrpc":"2.0","id":1,"error":{"code":1.5,"message":""}}"#, INVALID_REQUEST, one.clone()),
        (r#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#, INVALID_REQUEST, one.clone()),
        (r#"{"jsonrpc":"2.0","id":1,"error":"no"}"#, INVALID_REQUEST, one.clone()),
        (r#"{"jsonrpc":"2.0","result":{}}"#, INVALID_REQUEST, None),
        (r#"{"jsonrpc":"2.0","id":null,"result":{}}"#, INVALID_REQUEST, None),
        (r#"{"jsonrpc":"2.0","id":1.5,"error":{"code":1,"message":""}}"#, INVALID_REQUEST, None),
    ];
    for (text, code, id) in table {
        let error = read(text).expect_err(text);
        assert_eq!((error.code, error.id.clone(), error.status()), (code, id, 400), "{text}: {error}");
    }
    assert!(read(format!(r#"{{"jsonrpc":"2.0","method":"{}"}}"#, "m".repeat(METHOD_BYTES_MAX))).is_ok());
    assert!(read(format!(r#"{{"jsonrpc":"2.0","method":"{}"}}"#, "m".repeat(METHOD_BYTES_MAX + 1))).is_err());
}

/// Over stdio a caller can only match a refusal to its request by the id.
#[test]
fn a_refusal_by_limit_or_doubled_name_carries_the_id() {
    let seven = Some(Id::Integer(7));
    let deep = "[".repeat(70) + &"]".repeat(70);
    let many = format!("[{}0]", "0,".repeat(200_000));
    for (rest, status) in [(r#"{"a":1,"\u0061":2}"#, 400), (deep.as_str(), 400), (many.as_str(), 400)] {
        let error = read(format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"x":{rest}}}}}"#)).unwrap_err();
        assert_eq!((error.code, error.id.clone(), error.status()), (INVALID_REQUEST, seven.clone(), status), "{error}");
        let error = read(format!(r#"{{"params":{{"x":{rest}}},"jsonrpc":"2.0","id":7,"method":"tools/call"}}"#)).unwrap_err();
        assert_eq!((error.code, error.id), (INVALID_REQUEST, seven.clone()), "looked for behind the fault");
    }
    let doubled = read(r#"{"jsonrpc":"2.0","id":7,"id":8,"method":"ping"}"#).unwrap_err();
    assert_eq!((doubled.code, doubled.id), (INVALID_REQUEST, seven.clone()));
    let large = read(format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{}"}}"#, " ".repeat(4 << 20))).unwrap_err();
    assert_eq!((large.code, large.status(), large.id), (INVALID_REQUEST, 413, seven));
}

/// Header smuggling through spellings that other readers might take for the real member.
#[test]
fn other_spellings_of_a_member_are_other_members() {
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","METHOD":"x","Params":{"name":"b"},"params":{"name":"a","Name":"b"}}"#;
    let message = read(text).unwrap();
    assert_eq!(message.params().unwrap().text_of("name").as_deref(), Some("a"));
    assert!(read(r#"{"jsonrpc":"2.0","id":1,"method":"a","met\u0068od":"b"}"#).is_err());
}

fn member() -> impl Strategy<Value = String> {
    let name =
        prop::sample::select(vec!["jsonrpc", "id", "method", "params", "result", "error", "code", "message", "data", "x", r"i\u0064"]);
    let value = prop::sample::select(vec![
        "\"2.0\"",
        "1",
        "-1",
        "1.5",
        "18446744073709551616",
        "\"a\"",
        "null",
        "true",
        "[]",
        "{}",
        "\"ping\"",
        "{\"_meta\":{}}",
        "{\"code\":1,\"message\":\"m\"}",
        "{\"code\":\"1\"}",
        "[1,2]",
        "\"\\ud800\"",
        "1e999",
    ]);
    (name, value).prop_map(|(name, value)| format!("\"{name}\":{value}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decode_never_panics_on_bytes(body in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = read(body);
    }

    #[test]
    fn decode_never_panics_on_cut_messages(cut in 0_usize..120, byte in any::<u8>()) {
        let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"b":[1,"c\n"]},"_meta":{"d":{}}}}"#;
        let mut body = text.as_bytes()[..cut.min(text.len())].to_vec();
        body.push(byte);
        let _ = read(body);
    }

    /// The rules of JSON-RPC, said a second time over a serde_json value.
    #[test]
    fn decode_follows_the_rules_for_any_members(members in prop::collection::vec(member(), 0..6)) {
        let text = format!("{{{}}}", members.join(","));
        let outcome = read(&text);
        let Ok(json) = Json::check(Bytes::from(text.clone()), &Limits::REQUEST) else {
            prop_assert!(outcome.is_err());
            return Ok(());
        };
        let has = |name| json.has(name);
        let id_valid = json.member("id").is_some_and(|id| Id::read(&id).is_some());
        let params_fine = json.member("params").is_none_or(|params| params.is_object() || params.is_null());
        let error_fine = json.member("error").is_some_and(|error| {
            error.member("code").is_some_and(|code| code.integer().is_some()) && error.text_of("message").is_some()
        });
        let envelope = json.text_of("jsonrpc").as_deref() == Some("2.0");
        let call = envelope && json.text_of("method").is_some() && params_fine && !has("result") && !has("error");
        let answer = envelope && !has("method");
        let no_id = json.member("id").is_none_or(|id| id.is_null());
        let wanted = match () {
            () if call && id_valid => "request",
            () if call && !has("id") => "notification",
            () if answer && has("result") && !has("error") && id_valid => "response",
            () if answer && error_fine && !has("result") && (id_valid || no_id) => "response",
            () => "refused",
        };
        let got = match outcome {
            Ok(Message::Request(_)) => "request",
            Ok(Message::Notification(_)) => "notification",
            Ok(Message::Response(_)) => "response",
            Err(error) => {
                prop_assert_eq!(error.id.is_some(), id_valid);
                "refused"
            }
        };
        prop_assert_eq!(got, wanted, "{}", text);
    }
}
