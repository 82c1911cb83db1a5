use std::borrow::Cow;
use std::time::Duration;

use bailiwick_mcp::json::{Fault, FaultKind, Json, Kind, Limits};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

fn check(text: impl AsRef<[u8]>) -> Result<Json, Fault> {
    Json::check(Bytes::copy_from_slice(text.as_ref()), &Limits::REQUEST)
}

fn kind_of(text: impl AsRef<[u8]>) -> Option<FaultKind> {
    check(text).err().map(|fault| fault.kind)
}

#[test]
fn accepts_what_rfc_8259_defines() {
    for text in [
        "null",
        " true ",
        "\t\r\nfalse\n",
        "0",
        "-0",
        "-0.0",
        "10",
        "1.5",
        "1e5",
        "1E+5",
        "1.25e-7",
        "123456789012345678901234567890",
        "1e999",
        r#""""#,
        r#""\u0000""#,
        r#""\ud83d\ude00""#,
        "\"\u{7f}\u{2028}😀\"",
        "[]",
        "[ ]",
        "[1,[2,{}]]",
        "{}",
        "{ }",
        r#"{"":0}"#,
        r#"{"a":1,"b":{"a":1},"c":[{"a":1},{"a":1}]}"#,
        r#"{"a":1,"A":2,"a ":3}"#,
    ] {
        let json = check(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
        assert_eq!(json.as_str(), text.trim());
        assert_eq!(Json::inspect(Bytes::from(text), &Limits::REQUEST).unwrap(), json);
    }
}

#[test]
fn refuses_everything_else_and_names_rule_and_place() {
    use FaultKind::{Duplicate, Number, Syntax, Utf8};
    let table: &[(&[u8], FaultKind, usize)] = &[
        (b"", Syntax, 0),
        (b"  ", Syntax, 2),
        (b"\xef\xbb\xbf{}", Syntax, 0),
        (b"nul", Syntax, 0),
        (b"nullx", Syntax, 4),
        (b"True", Syntax, 0),
        (b"NaN", Syntax, 0),
        (b"-Infinity", Number, 1),
        (b"01", Number, 1),
        (b"-01", Number, 2),
        (b"+1", Syntax, 0),
        (b".5", Syntax, 0),
        (b"1.", Number, 2),
        (b"1.e3", Number, 2),
        (b"1e", Number, 2),
        (b"1e+", Number, 3),
        (b"-", Number, 1),
        (b"0x10", Number, 1),
        (b"1.2.3", Number, 3),
        (b"1 2", Syntax, 2),
        (b"[1,]", Syntax, 3),
        (b"[,1]", Syntax, 1),
        (b"[1 2]", Syntax, 3),
        (b"[1", Syntax, 2),
        (b"[1}", Syntax, 2),
        (b"{\"a\":1]", Syntax, 6),
        (b"{\"a\"}", Syntax, 4),
        (b"{\"a\":}", Syntax, 5),
        (b"{\"a\":1,}", Syntax, 7),
        (b"{a:1}", Syntax, 1),
        (b"{'a':1}", Syntax, 1),
        (b"{1:1}", Syntax, 1),
        (b"{\"a\" 1}", Syntax, 5),
        (b"{\"a\":1 \"b\":2}", Syntax, 7),
        (b"{}{}", Syntax, 2),
        (b"[]]", Syntax, 2),
        (b"/*c*/1", Syntax, 0),
        (b"[1]//", Syntax, 3),
        (b"\x0c1", Syntax, 0),
        (b"\xc2\xa01", Syntax, 0),
        (b"\"abc", Syntax, 4),
        (b"\"a\nb\"", Syntax, 2),
        (b"\"a\x00b\"", Syntax, 2),
        (b"\"\x1f\"", Syntax, 1),
        (b"\"\\", Syntax, 1),
        (b"\"\\x41\"", Syntax, 1),
        (b"\"\\u12\"", Syntax, 1),
        (b"\"\\u12G4\"", Syntax, 1),
        (b"\"\\U0041\"", Syntax, 1),
        (b"\"\\ud800\"", Syntax, 1),
        (b"\"\\udc00\"", Syntax, 1),
        (b"\"\\ud800\\ud800\"", Syntax, 1),
        (b"\"\\ud800\\n\"", Syntax, 1),
        (b"\"\\ud83d x\\ude00\"", Syntax, 1),
        (b"\"\xff\"", Utf8, 1),
        (b"\"ab\xc3\"", Utf8, 3),
        (b"\"\xc0\xaf\"", Utf8, 1),
        (b"\"\xed\xa0\x80\"", Utf8, 1),
        (b"\"\xf5\x80\x80\x80\"", Utf8, 1),
        (b"{\"a\":1,\"a\":1}", Duplicate, 7),
        (b"{\"a\":1,\"\\u0061\":2}", Duplicate, 7),
        (b"{\"\\u0061\":1,\"a\":2}", Duplicate, 12),
        (b"{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}", Duplicate, 18),
        (b"[{\"x\":{\"\":1,\"\":2}}]", Duplicate, 12),
        (b"{\"a\":{\"b\":1},\"c\":[],\"a\":0}", Duplicate, 20),
    ];
    for (text, kind, at) in table {
        assert_eq!(check(text), Err(Fault { kind: *kind, at: *at }), "{}", text.escape_ascii());
        let inspected = Json::inspect(Bytes::copy_from_slice(text), &Limits::REQUEST);
        assert_eq!(inspected, Err(Fault { kind: *kind, at: *at }), "{}", text.escape_ascii());
    }
}

#[test]
fn each_limit_holds_exactly_at_its_edge() {
    let limits = Limits { bytes_max: 20, depth_max: 3, tokens_max: 5 };
    let under = |text: &str| Json::check(Bytes::copy_from_slice(text.as_bytes()), &limits).map(drop).map_err(|fault| fault.kind);
    assert_eq!(under("12345678901234567890"), Ok(()));
    assert_eq!(under("123456789012345678901"), Err(FaultKind::Size));
    assert_eq!(under("[[[1]]]"), Ok(()));
    assert_eq!(under("[[[[]]]]"), Err(FaultKind::Depth));
    assert_eq!(under(r#"{"a":{"b":[]}}"#), Ok(()));
    assert_eq!(under(r#"{"a":[[{}]]}"#), Err(FaultKind::Depth));
    assert_eq!(under("[1,2,3,4]"), Ok(()));
    assert_eq!(under("[1,2,3,4,5]"), Err(FaultKind::Tokens));
    assert_eq!(under(r#"{"a":1,"b":2}"#), Ok(()), "names count");
    assert_eq!(under(r#"{"a":1,"b":[2]}"#), Err(FaultKind::Tokens));
    assert_eq!(Json::check(Bytes::from_static(b"0123"), &Limits { bytes_max: 3, ..limits }), Err(Fault { kind: FaultKind::Size, at: 3 }));
}

#[test]
fn depth_does_not_use_the_stack() {
    let deep = 1_000_000;
    let limits = Limits { bytes_max: usize::MAX, depth_max: u32::MAX, tokens_max: u32::MAX };
    for (open, middle, close) in [("[", "", "]"), (r#"{"a":"#, "1", "}"), (r#"[{"a":"#, "[]", "}]")] {
        let text = open.repeat(deep) + middle + &close.repeat(deep);
        let json = Json::check(text.clone().into(), &limits).unwrap();
        assert!(json.members().count() + json.elements().count() == 1);
        let cut = &text[..text.len() - 1];
        assert_eq!(Json::check(cut.to_owned().into(), &limits).map_err(|fault| fault.kind), Err(FaultKind::Syntax));
    }
}

#[test]
fn messages_never_show_content() {
    let fault = check(br#"{"password":"hunter2","password":"hunter3"}"#).unwrap_err();
    assert_eq!(fault.to_string(), "a member name occurs twice in one object at byte 22");
    let json = check(r#"{"password":"hunter2"}"#).unwrap();
    assert_eq!(format!("{json:?}"), "Json(Object, 22 bytes)");
    assert_eq!(Fault { kind: FaultKind::Size, at: 10 }.to_string(), "JSON text is longer than 10 bytes");
}

/// Not a benchmark: a quadratic check would take minutes here, a linear one milliseconds.
#[test]
fn many_members_are_checked_in_linear_time() {
    let members = 60_000;
    let text = |name: &dyn Fn(usize) -> String| {
        let members: Vec<String> = (0..members).map(|i| format!("\"{}\":0", name(i))).collect();
        format!("{{{}}}", members.join(","))
    };
    let many = Limits { tokens_max: 1_000_000, bytes_max: 1 << 26, ..Limits::REQUEST };
    // Names with equal ends and length give equal fingerprints before they go into the set.
    for text in [text(&|i| format!("{i}")), text(&|i| format!("aaaaaaaa{i:05}aaaaaaaa")), text(&|i| format!("\\u0041{i}"))] {
        let started = std::time::Instant::now();
        assert!(Json::check(text.clone().into(), &many).is_ok());
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        let doubled = text.replacen('{', "{\"x\":1,", 1).trim_end_matches('}').to_owned() + ",\"x\":2}";
        assert_eq!(Json::check(doubled.into(), &many).map_err(|fault| fault.kind), Err(FaultKind::Duplicate));
    }
}

#[test]
fn reads_values_of_every_kind() {
    let json =
        check(r#"{"n":null,"t":true,"f":false,"i":-7,"u":18446744073709551615,"d":1.5,"s":"a\u00e9\n","a":[1, "x" ,[]],"o":{"k":{}}}"#)
            .unwrap();
    let kinds: Vec<(String, Kind)> = json.members().map(|(name, value)| (name.into_owned(), value.kind())).collect();
    let wanted = [Kind::Null, Kind::Bool, Kind::Bool, Kind::Number, Kind::Number, Kind::Number, Kind::String, Kind::Array, Kind::Object];
    assert!(kinds.iter().map(|(_, kind)| *kind).eq(wanted));
    assert!(kinds.iter().map(|(name, _)| name.as_str()).eq(["n", "t", "f", "i", "u", "d", "s", "a", "o"]));
    let member = |name| json.member(name).unwrap();
    assert!(member("n").is_null() && member("o").is_object());
    assert_eq!((member("t").boolean(), member("f").boolean(), member("n").boolean()), (Some(true), Some(false), None));
    assert_eq!((member("i").integer(), member("i").unsigned()), (Some(-7), None));
    assert_eq!((member("u").integer(), member("u").unsigned()), (None, Some(u64::MAX)));
    assert_eq!((member("d").integer(), member("d").number_text()), (None, Some("1.5")));
    assert_eq!(member("s").string(), Some(Cow::Borrowed("aé\n")));
    assert_eq!(json.text_of("s").as_deref(), Some("aé\n"));
    assert_eq!((json.text_of("i"), json.text_of("missing"), json.member("missing")), (None, None, None));
    let elements: Vec<Json> = member("a").elements().collect();
    assert!(elements.iter().map(Json::as_str).eq(["1", r#""x""#, "[]"]));
    assert_eq!(member("o").member("k").unwrap().as_str(), "{}");
    assert_eq!(json.elements().count() + member("a").members().count() + member("s").members().count(), 0);
}

#[test]
fn escaped_names_are_found_by_their_meaning() {
    for json in [check(r#"{"\u006eame":{"\"":1}}"#), Json::inspect(Bytes::from_static(br#"{"\u006eame":{"\"":1}}"#), &Limits::REQUEST)] {
        let json = json.unwrap();
        assert_eq!(json.member("name").unwrap().member("\"").unwrap().as_str(), "1");
        assert!(!json.has("\\u006eame"));
        assert_eq!(json.members().next().unwrap().0, "name");
    }
}

#[test]
fn parts_share_the_buffer() {
    let text = Bytes::from(format!(r#"{{"big":"{}","small":[1]}}"#, "x".repeat(1000)));
    let range = text.as_ptr() as usize..text.as_ptr() as usize + text.len();
    for json in [Json::check(text.clone(), &Limits::REQUEST), Json::inspect(text.clone(), &Limits::REQUEST)] {
        let json = json.unwrap();
        let parts = [json.member("big").unwrap(), json.member("small").unwrap().elements().next().unwrap(), json.clone()];
        assert!(parts.iter().all(|part| range.contains(&(part.bytes().as_ptr() as usize))));
        assert!(matches!(parts[0].string(), Some(Cow::Borrowed(_))), "an unescaped string is not copied");
    }
}

#[test]
fn serde_reads_and_writes_the_text_unchanged() {
    #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    struct Holder {
        tool: Json,
        more: Option<Json>,
    }
    let text = r#"{"tool":{"a":1.0,"b":12345678901234567890123},"more":null}"#;
    let holder: Holder = serde_json::from_str(text).unwrap();
    assert_eq!((holder.tool.as_str(), &holder.more), (r#"{"a":1.0,"b":12345678901234567890123}"#, &None));
    assert_eq!(serde_json::to_string(&holder).unwrap(), text);
    assert!(serde_json::from_str::<Holder>(r#"{"tool":{"a":1,"a":2},"more":null}"#).is_err(), "checked on the way in");
    assert_eq!(check(text).unwrap().decode::<Holder>().unwrap(), holder);
    assert_eq!(Json::from_serialize(&holder).unwrap().as_str(), text);
    assert_eq!(Json::from_text("a\"\u{1}é").as_str(), "\"a\\\"\\u0001é\"");
    let doubled = serde_json::value::RawValue::from_string(r#"{"a":1,"a":2}"#.to_owned()).unwrap();
    assert_eq!(Json::from_serialize(&doubled).unwrap_err().kind, FaultKind::Duplicate);
}

#[test]
fn decode_tells_the_place_of_a_wrong_type() {
    let fault = check("{\"a\":1,\n \"b\":\"x\"}").unwrap().decode::<std::collections::BTreeMap<String, u8>>().unwrap_err();
    assert_eq!(fault.kind, FaultKind::Shape);
    assert!((13..17).contains(&fault.at), "{fault}");
}

#[test]
fn line_breaks_between_tokens_become_spaces() {
    let json = check("{\r\n\"a\\n\":\n[1,\n2]}").unwrap();
    assert_eq!(json.to_one_line().as_str(), "{  \"a\\n\": [1, 2]}");
    assert_eq!(json.member("a\n").unwrap().to_one_line().as_str(), "[1, 2]");
    let inspected = Json::inspect(Bytes::from_static(b"{\n\"a\":\n{\"b\":\n1}}"), &Limits::REQUEST).unwrap().to_one_line();
    assert_eq!(inspected.member("a").unwrap().member("b").unwrap().as_str(), "1", "notes stay right");
}

/// More members than are noted, at every level: reading must not notice.
#[test]
fn inspected_texts_read_the_same_with_any_number_of_members() {
    for outer in [0, 1, 15, 16, 17, 40] {
        for inner in [0, 1, 16, 17, 30] {
            let inner_text: Vec<String> = (0..inner).map(|i| format!(r#""i{i}":{{"deep":{{"deeper":{i}}}}}"#)).collect();
            let inner_text = format!("{{{}}}", inner_text.join(" , "));
            let outer_text: Vec<String> = (0..outer).map(|o| format!(r#""o{o}":{inner_text}"#)).collect();
            let text = Bytes::from(format!(" {{ {} }} ", outer_text.join(",")));
            let plain = Json::check(text.clone(), &Limits::RESULT).unwrap();
            let noted = Json::inspect(text, &Limits::RESULT).unwrap();
            assert_same(&plain, &noted, 5);
        }
    }
}

fn assert_same(plain: &Json, noted: &Json, depth: u32) {
    assert_eq!(plain, noted);
    assert!(plain.elements().eq(noted.elements()));
    let (a, b): (Vec<_>, Vec<_>) = (plain.members().collect(), noted.members().collect());
    assert_eq!(a, b);
    for ((name, a), (_, b)) in a.iter().zip(&b) {
        assert_eq!(plain.member(name), noted.member(name));
        if depth > 0 {
            assert_same(a, b, depth - 1);
        }
    }
}

/// JSON texts with odd spacing, escapes and names that sometimes repeat.
fn any_json() -> impl Strategy<Value = String> {
    let space = prop::sample::select(vec!["", "", "", " ", "\n", "\t \r\n"]);
    let string = prop::collection::vec(
        prop_oneof![
            4 => "[a-d]{0,3}",
            1 => "\\PC{0,12}".prop_map(|text: String| text.replace(['"', '\\'], "")),
            1 => prop::sample::select(vec![r"\n", r"\u0061", r"\ud83d\ude00", r#"\""#, r"\\", r"\/", "é", "😀"]).prop_map(str::to_owned),
        ],
        0..4,
    )
    .prop_map(|parts| format!("\"{}\"", parts.concat()));
    let number = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(|f| format!("{f:e}")),
        "-?(0|[1-9][0-9]{0,22})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,2})?",
    ];
    let leaf = prop_oneof![prop::sample::select(vec!["null", "true", "false"]).prop_map(str::to_owned), number, string.clone()];
    leaf.prop_recursive(5, 60, 20, move |inner| {
        let member = (prop_oneof![9 => "\"[a-z]{2,8}\"", 1 => string.clone()], inner.clone(), space.clone())
            .prop_map(|(name, value, space)| format!("{space}{name}{space}:{space}{value}{space}"));
        prop_oneof![
            (prop::collection::vec(inner, 0..6), space.clone())
                .prop_map(|(list, space)| format!("{space}[{space}{}{space}]", list.join(","))),
            prop::collection::vec(member, 0..20).prop_map(|list| format!("{{{}}}", list.join(","))),
        ]
    })
}

/// Valid texts with bytes changed, removed, doubled or cut off.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let interesting = prop::sample::select(b"{}[]\",:\\u0123456789eE+-. \n\x00\x1f\xff\xc3\xa9\xed\xa0tnf".to_vec());
    let edits = prop::collection::vec((any::<prop::sample::Index>(), interesting, 0..4_u8), 0..4);
    (any_json(), edits).prop_map(|(text, edits)| {
        let mut bytes = text.into_bytes();
        for (place, byte, what) in edits {
            let at = place.index(bytes.len() + 1);
            match what {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                2 if at < bytes.len() => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
            if bytes.is_empty() {
                bytes.push(byte);
            }
        }
        bytes
    })
}

/// What serde_json makes of a text that we accepted; None where only our value model is wider (numbers beyond `f64`).
fn serde_value(text: &[u8]) -> Option<Value> {
    let error = match serde_json::from_slice(text) {
        Ok(value) => return Some(value),
        Err(error) => error,
    };
    assert!(error.to_string().starts_with("number out of range"), "{error}: {}", text.escape_ascii());
    None
}

/// The same value, read through our own functions only.
fn own_value(json: &Json) -> Value {
    match json.kind() {
        Kind::Null => Value::Null,
        Kind::Bool => Value::Bool(json.boolean().unwrap()),
        Kind::Number => serde_json::from_str(json.number_text().unwrap()).unwrap(),
        Kind::String => Value::String(json.string().unwrap().into_owned()),
        Kind::Array => json.elements().map(|element| own_value(&element)).collect(),
        Kind::Object => Value::Object(json.members().map(|(name, value)| (name.into_owned(), own_value(&value))).collect()),
    }
}

/// Counts members as the text has them, duplicates included, which a `Value` would hide.
fn has_duplicates(text: &[u8]) -> bool {
    struct Any(bool);
    impl<'de> serde::Deserialize<'de> for Any {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Look;
            impl<'de> serde::de::Visitor<'de> for Look {
                type Value = Any;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("anything")
                }
                fn visit_unit<E>(self) -> Result<Any, E> {
                    Ok(Any(false))
                }
                fn visit_bool<E>(self, _: bool) -> Result<Any, E> {
                    Ok(Any(false))
                }
                fn visit_i64<E>(self, _: i64) -> Result<Any, E> {
                    Ok(Any(false))
                }
                fn visit_u64<E>(self, _: u64) -> Result<Any, E> {
                    Ok(Any(false))
                }
                fn visit_f64<E>(self, _: f64) -> Result<Any, E> {
                    Ok(Any(false))
                }
                fn visit_str<E>(self, _: &str) -> Result<Any, E> {
                    Ok(Any(false))
                }
                fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Any, A::Error> {
                    let mut found = false;
                    while let Some(Any(inside)) = list.next_element()? {
                        found |= inside;
                    }
                    Ok(Any(found))
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Any, A::Error> {
                    let (mut names, mut found) = (std::collections::BTreeSet::new(), false);
                    while let Some((name, Any(inside))) = map.next_entry::<String, Any>()? {
                        found |= inside || !names.insert(name);
                    }
                    Ok(Any(found))
                }
            }
            deserializer.deserialize_any(Look)
        }
    }
    serde_json::from_slice::<Any>(text).is_ok_and(|any| any.0)
}

fn agrees_with_serde(text: &[u8]) {
    match check(text) {
        Ok(json) => {
            assert!(!has_duplicates(text));
            assert!(serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok());
            if let Some(value) = serde_value(text) {
                assert_eq!(own_value(&json), value);
                let noted = Json::inspect(Bytes::copy_from_slice(text), &Limits::REQUEST).unwrap();
                assert_eq!(own_value(&noted), value);
            }
        }
        Err(fault) => {
            // Refused by serde_json as well, or for a reason of ours. The limits are far away here.
            let accepted = serde_json::from_slice::<Value>(text).is_ok();
            let stricter = fault.kind == FaultKind::Duplicate && has_duplicates(text);
            assert!(!accepted || stricter, "{fault}: {}", text.escape_ascii());
            assert_eq!(Json::inspect(Bytes::copy_from_slice(text), &Limits::REQUEST).unwrap_err(), fault);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn valid_texts_mean_the_same_to_serde(text in any_json()) {
        agrees_with_serde(text.as_bytes());
    }

    #[test]
    fn mutated_texts_mean_the_same_to_serde(text in mutated()) {
        agrees_with_serde(&text);
    }

    #[test]
    fn random_bytes_mean_the_same_to_serde(text in prop::collection::vec(any::<u8>(), 0..60)) {
        agrees_with_serde(&text);
    }

    #[test]
    fn strings_of_any_length_and_content_go_through(text in "\\PC{0,200}", pad in 0_usize..130) {
        let text = "x".repeat(pad) + &text;
        let json = Json::from_text(&text);
        assert_eq!(check(json.as_str()).unwrap().string().unwrap(), text.as_str());
        assert_eq!(serde_json::from_str::<String>(json.as_str()).unwrap(), text);
    }

    #[test]
    fn edits_are_what_a_map_would_do(
        text in any_json(),
        remove in prop::collection::vec("[a-d]{0,2}", 0..4),
        add in prop::collection::btree_map("[a-d]{0,2}", any_json(), 0..4),
    ) {
        let Ok(json) = check(&text) else { return Ok(()) };
        let Some(Value::Object(mut wanted)) = serde_value(text.as_bytes()) else { return Ok(()) };
        let added: Vec<(&str, Json)> = add.iter().filter_map(|(name, text)| Some((name.as_str(), check(text).ok()?))).collect();
        prop_assume!(added.iter().all(|(_, value)| serde_value(value.bytes()).is_some()));
        wanted.retain(|name, _| !remove.contains(name));
        wanted.extend(added.iter().map(|(name, value)| ((*name).to_owned(), own_value(value))));
        let remove: Vec<&str> = remove.iter().map(String::as_str).collect();
        let add: Vec<(&str, &Json)> = added.iter().map(|(name, value)| (*name, value)).collect();
        for json in [json, Json::inspect(Bytes::from(text), &Limits::REQUEST).unwrap()] {
            let edited = json.edit(&remove, &add);
            assert_eq!(kind_of(edited.bytes()), None, "{}", edited.as_str());
            assert_eq!(own_value(&edited), Value::Object(wanted.clone()));
        }
    }
}
