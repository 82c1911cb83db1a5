//! `influxdb`: whatever an agent says stays a value. The tables hold attacks beside look-alikes that must go through; readers that share
//! nothing with the writers say what the server would see.

use bailiwick_model::Code;
use bailiwick_testkit::flux;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::influxdb_support::{NO_ROWS, agent, answering, flux};
use crate::service::Reply;

const HEAD: &str = "from(bucket: \"telemetry\")\n  |> range(start: -1h, stop: now())\n  |> filter(fn: (r) => r[\"a\"] ";
const TAIL: &str = ")\n  |> limit(n: 1001)\n";

/// Values for text comparisons; the second stands behind the first in one query and completes what the first may have opened.
const TEXTS: &[(&str, &str)] = &[
    ("plain", "plain"),
    ("", ""),
    (r#"" or true or r["a"] == ""#, "x"),
    (r#"") |> yield() //"#, "x"),
    (r#"\" or true //"#, "x"),
    (r"\", r#" or true) |> to(bucket: "other") //"#),
    (r"a\\", r#" or true //"#),
    ("${1}", "x"),
    ("${r._value}", "x"),
    (r#"${from(bucket: "other")}"#, "x"),
    (r"\${1}", "x"),
    ("$${1}", "x"),
    ("$", r#"{1}"#),
    ("$", " or true //"),
    (r#"$""#, " or true //"),
    (r#"$" or true //"#, "x"),
    (r"$\", r#" or true //"#),
    (r"$$\", r#" or true //"#),
    ("a$b}", "}{"),
    ("line\nbreak", "x"),
    ("\r\n\t", "x"),
    ("\u{0}\u{1}\u{1b}[31m\u{7f}", "x"),
    ("ünï→🦀", "x"),
    ("\u{85}\u{2028}\u{2029}\u{feff}", "x"),
    (r"\x22 or true //", "x"),
    (r"\u0022", "x"),
    ("/* // */", "x"),
    ("'; DROP DATABASE telemetry", "x"),
    ("%22%20or%20true", "x"),
    ("\u{ff02} or true", "x"),
];

/// Values for regular expressions, and the text comparison behind each.
const PATTERNS: &[(&str, &str)] = &[
    ("^web-[0-9]+$", "x"),
    ("/", "x"),
    ("/ or true //", "x"),
    (r"\/", "x"),
    (r"\", "/ or true) //"),
    (r"\\", "/ or true) //"),
    (r"a\\", "/ or true) //"),
    (r"a\\\", "/ or true) //"),
    (r"\\/", "/ or true) //"),
    (r"a/) |> to(bucket: \", "/x"),
    ("a\n/ or true", "x"),
    ("\n", "x"),
    ("\r\t\u{0}", "/"),
    (r"\x2f or true", "/"),
    (r"\d+\s\w\.\$", "/"),
    (r#"" or true or r["b"] == ""#, "x"),
    ("${1}", "x"),
    ("$", "/"),
    ("(?i)münchen|東京", "x"),
    ("//", "x"),
    (".", "//"),
    ("*", "/"),
];

async fn ask(first: (&str, &str), second: &str) -> Result<String, Code> {
    let (agent, service) = answering(NO_ROWS).await;
    let filters = json!([{ "field": "a", "op": first.0, "value": first.1 }, { "field": "b", "op": "!=", "value": second }]);
    agent.code("query", &json!({ "bucket": "telemetry", "filters": filters })).await?;
    Ok(flux(&service))
}

/// Both literals read back to exactly the given values, and everything around them is ours.
fn check(source: &str, op: &str, first: &str, second: &str) {
    let rest = source.strip_prefix(HEAD).unwrap().strip_prefix(op).unwrap().strip_prefix(' ').unwrap();
    let read = if op.ends_with('~') { flux::regex(rest) } else { flux::string(rest) };
    let (value, rest) = read.unwrap_or_else(|fault| panic!("{fault}: {source}"));
    assert_eq!(value, first, "{source}");
    let rest = rest.strip_prefix(" and r[\"b\"] != ").unwrap_or_else(|| panic!("{source}"));
    let (value, rest) = flux::string(rest).unwrap_or_else(|fault| panic!("{fault}: {source}"));
    assert_eq!((value.as_str(), rest), (second, TAIL), "{source}");
}

#[tokio::test]
async fn texts_and_patterns_read_back_to_what_was_given() {
    for (op, table) in [("==", TEXTS), ("=~", PATTERNS), ("!~", PATTERNS)] {
        for (first, second) in table {
            check(&ask((op, first), second).await.unwrap_or_else(|code| panic!("{first:?}: {code}")), op, first, second);
        }
    }
    for (pattern, sound) in [("", false), (&"é".repeat(256), true), (&"é".repeat(257), false)] {
        assert_eq!(ask(("=~", pattern), "x").await.is_ok(), sound, "{}", pattern.len());
    }
    for (bytes, sound) in [(8 << 10, true), ((8 << 10) + 1, false)] {
        assert_eq!(ask(("==", &"x".repeat(bytes)), "x").await.is_ok(), sound);
    }
}

fn hostile() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec!["$", "{", "}", "\"", "\\", "/", "\n", "x24", "a", " or true", "//", "é", "\u{0}", "|>"]);
    prop::collection::vec(part, 1..12).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_mixture_of_special_characters_leaves_its_literal(first in hostile(), second in hostile()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for op in ["!=", "=~"] {
                check(&ask((op, &first), &second).await.unwrap(), op, &first, &second);
            }
        });
    }
}

#[tokio::test]
async fn a_bucket_stays_one_string_everywhere() {
    let (agent, service) = answering(NO_ROWS).await;
    let bucket = "odd \"b${1}\\";
    agent.call("list_measurements", &json!({ "bucket": bucket })).await.unwrap();
    let source = flux(&service);
    let (value, rest) =
        flux::string(source.strip_prefix("import \"influxdata/influxdb/schema\"\nschema.measurements(bucket: ").unwrap()).unwrap();
    assert_eq!((value.as_str(), rest), (bucket, ")\n"));
}

#[tokio::test]
async fn names_that_stand_unquoted_hold_nothing_special() {
    let (agent, service) = answering(NO_ROWS).await;
    let long = "x".repeat(257);
    let bad = [
        "",
        " ",
        "9a",
        "-a",
        "a b",
        "a\n",
        "\na",
        "a\r",
        "a\t",
        "a\u{0}",
        "a.b",
        "a\"",
        "a'",
        "a\\",
        "a/",
        "a,b",
        "a=b",
        "a$",
        "a{",
        "é",
        "a\u{2028}",
        "a\"] == \"x\" or true //",
        "cpu\" or \"\" = \"",
        "\u{ff41}",
        &long,
    ];
    for name in bad {
        for (tool, arguments) in [
            ("query", json!({ "filters": [{ "field": name, "op": "==", "value": 1 }] })),
            ("get_schema", json!({ "measurement": name })),
            ("write_points", json!({ "measurement": name, "points": [{ "fields": { "v": 1 } }] })),
            ("write_points", json!({ "measurement": "m", "points": [{ "fields": { name: 1 } }] })),
            ("write_points", json!({ "measurement": "m", "points": [{ "tags": { name: "x" }, "fields": { "v": 1 } }] })),
            ("write_points", json!({ "measurement": "m", "points": [{ "tags": { name: "" }, "fields": { "v": 1 } }] })),
            ("delete_points", json!({ "measurement": name, "start": "-1h", "stop": "now()" })),
        ] {
            let mut arguments = arguments;
            arguments["bucket"] = json!("telemetry");
            assert_eq!(agent.code(tool, &arguments).await, Err(Code::InvalidArgument), "{tool} {name:?}");
        }
    }
    for op in ["", "=", "===", "= =", "== 1 or r.x ==", "=~/", "AND", " ==", "==\n"] {
        let filters = json!([{ "field": "a", "op": op, "value": "x" }]);
        assert_eq!(agent.code("query", &json!({ "bucket": "telemetry", "filters": filters })).await, Err(Code::InvalidArgument), "{op:?}");
    }
    assert!(service.received().is_empty());
    for name in ["_field", "a", "A_9", &"x".repeat(256)] {
        let filters = json!([{ "field": name, "op": "==", "value": 1 }]);
        agent.call("query", &json!({ "bucket": "telemetry", "filters": filters })).await.unwrap();
        assert!(flux(&service).contains(&format!("=> r[\"{name}\"] == 1)")));
    }
    // A keyword of the language is an ordinary column between brackets and quotes.
    let filters = json!([{ "field": "or", "op": "==", "value": 1 }]);
    agent.call("query", &json!({ "bucket": "telemetry", "filters": filters })).await.unwrap();
}

#[tokio::test]
async fn values_of_other_kinds_are_refused_and_numbers_stay_what_they_are() {
    let (agent, service) = answering(NO_ROWS).await;
    let refused = [
        r#"{"op":"==","value":null}"#,
        r#"{"op":"==","value":[1]}"#,
        r#"{"op":"==","value":{"a":1}}"#,
        r#"{"op":"==","value":1e999}"#,
        r#"{"op":"==","value":18446744073709551616}"#,
        r#"{"op":"==","value":-9223372036854775809}"#,
        r#"{"op":"==","value":"\ud800"}"#,
        r#"{"op":"=~","value":1}"#,
        r#"{"op":"!~","value":true}"#,
        r#"{"op":"=="}"#,
        r#"{"op":"==","value":1,"extra":2}"#,
    ];
    let arguments = |filter: &str| {
        let filter = filter.replacen('{', r#"{"field":"a","#, 1);
        format!(r#"{{"bucket":"telemetry","filters":[{filter}]}}"#)
    };
    for filter in refused {
        let refusal = agent.0.confine("query", &arguments(filter)).unwrap_err();
        assert_eq!(refusal.code, Code::InvalidArgument, "{filter}");
    }
    for (value, literal) in [
        ("0", "0"),
        ("-0", "0"),
        ("1.0", "1.0"),
        ("-1.5e3", "-1500.0"),
        ("1E2", "100.0"),
        ("1e-7", "0.0000001"),
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775808", "uint(v: \"9223372036854775808\")"),
        ("18446744073709551615", "uint(v: \"18446744073709551615\")"),
        ("-9223372036854775808", "int(v: \"-9223372036854775808\")"),
        ("false", "false"),
    ] {
        // Through the trait with text of our own: a JSON library would round.
        let cancel = bailiwick_modules::Cancel::new();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        let text = arguments(&format!(r#"{{"op":"==","value":{value}}}"#));
        agent.0.call("query", &text, crate::support::context(deadline, &cancel)).await.unwrap();
        assert!(flux(&service).contains(&format!("r[\"a\"] == {literal})\n")), "{value}: {}", flux(&service));
    }
    let many = |count: usize| json!({ "bucket": "telemetry", "filters": vec![json!({ "field": "a", "op": "==", "value": 1 }); count] });
    for (count, sound) in [(0, false), (64, true), (65, false)] {
        assert_eq!(agent.code("query", &many(count)).await.is_ok(), sound, "{count}");
    }
}

/// Texts of times that mean nothing, or more than a time.
const NO_TIMES: &[&str] = &[
    "",
    " ",
    "now",
    "now() ",
    "now()\n",
    "NOW()",
    "now(), stop: 0",
    "-1h) |> to(bucket: \"b\") //",
    "-1h\n",
    " -1h",
    "--1h",
    "+1h",
    "- 1h",
    "1",
    "h",
    "-h",
    "1.5h",
    "1H",
    "1hh",
    "1h 30m",
    "30m1h",
    "1h1h",
    "1ms1m",
    "1x",
    "1µ",
    "1μs",
    "٣h",
    "99999999999999999999h",
    "2026-07-28",
    "2026-07-28T09:30:00",
    "2026-07-28 09:30:00Z",
    "2026-07-28t09:30:00z",
    "2026-07-28T09:30Z",
    "2026-07-28T09:30:00Z\n",
    "2026-07-28T09:30:00Z[UTC]",
    "2026-07-28T09:30:00+02",
    "2026-07-28T09:30:00+0200",
    "2026-07-28T09:30:00.Z",
    "2026-07-28T09:30:00.0123456789Z",
    "2026-07-28T09:30:00,5Z",
    "2026-13-28T09:30:00Z",
    "2026-02-30T09:30:00Z",
    "2026-07-28T25:30:00Z",
    "+002026-07-28T09:30:00Z",
    "1785231000",
    "duration(v: 1)",
    "-100000y",
    "1500-01-01T00:00:00Z",
    "2300-01-01T00:00:00Z",
    "9223372036854775807ns",
];

/// Times, the Flux literal, and the moment that a deletion names; the clock stands at 2026-07-28T09:30:00Z.
const TIMES: &[(&str, &str, &str)] = &[
    ("-1h", "-1h", "2026-07-28T08:30:00Z"),
    ("-1h30m", "-1h30m", "2026-07-28T08:00:00Z"),
    ("-1y2mo3w4d5h6m7s8ms9us10ns", "-1y2mo3w4d5h6m7s8ms9us10ns", "2025-05-03T04:23:52.99199099Z"),
    ("-5mo", "-5mo", "2026-02-28T09:30:00Z"),
    ("-250µs", "-250us", "2026-07-28T09:29:59.99975Z"),
    ("-1ns", "-1ns", "2026-07-28T09:29:59.999999999Z"),
    ("-3600000000000ns", "-3600000000000ns", "2026-07-28T08:30:00Z"),
    ("-007d", "-7d", "2026-07-21T09:30:00Z"),
    ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
    ("2026-01-01T00:00:00.000000001+05:30", "2025-12-31T18:30:00.000000001Z", "2025-12-31T18:30:00.000000001Z"),
    ("1969-12-31T23:59:59-00:00", "1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z"),
];

#[tokio::test]
async fn times_are_times_and_nothing_else() {
    let (agent, service) =
        agent(|request| if request.target.contains("query") { Reply::new(200, NO_ROWS) } else { Reply::new(204, "") }).await;
    let filters = json!([{ "field": "a", "op": "==", "value": 1 }]);
    let query = |start: &str, stop: &str| json!({ "bucket": "telemetry", "filters": filters, "range_start": start, "range_stop": stop });
    let delete = |start: &str, stop: &str| json!({ "bucket": "telemetry", "measurement": "m", "start": start, "stop": stop });
    for text in NO_TIMES {
        for (start, stop) in [(*text, "now()"), ("-1h", *text)] {
            assert_eq!(agent.code("query", &query(start, stop)).await, Err(Code::InvalidArgument), "{text:?}");
            assert_eq!(agent.code("delete_points", &delete(start, stop)).await, Err(Code::InvalidArgument), "{text:?}");
        }
    }
    for (start, stop) in [
        ("now()", "now()"),
        ("now()", "-1h"),
        ("-1h", "-2h"),
        ("-60m", "-1h"),
        ("0s", "now()"),
        ("1h", "now()"),
        ("-1mo", "-60d"),
        ("2026-07-28T09:30:00Z", "2026-07-28T11:30:00+02:00"),
        ("2026-07-28T09:30:01Z", "now()"),
        ("2026-07-28T09:30:00Z", "-1s"),
    ] {
        assert_eq!(agent.code("query", &query(start, stop)).await, Err(Code::InvalidArgument), "{start} {stop}");
        assert_eq!(agent.code("delete_points", &delete(start, stop)).await, Err(Code::InvalidArgument), "{start} {stop}");
    }
    assert!(service.received().is_empty());
    for (text, literal, moment) in TIMES {
        agent.call("query", &query(text, "2d")).await.unwrap();
        assert!(flux(&service).contains(&format!("range(start: {literal}, stop: 2d)")), "{}", flux(&service));
        agent.call("delete_points", &delete(text, "now()")).await.unwrap();
        let body = service.received().last().unwrap().json();
        assert_eq!((&body["start"], &body["stop"]), (&json!(moment), &json!("2026-07-28T09:30:00Z")), "{text}");
    }
}

type Pairs = Vec<(String, String)>;
/// Measurement, tags, fields, time.
type Line = (String, Pairs, Pairs, Option<String>);

/// One line as the server splits it: a separator counts unless the byte before it is a backslash; quotes matter in fields alone.
fn line(text: &str) -> Line {
    let bytes = text.as_bytes();
    let until = |from: usize, stops: &[u8]| {
        (from..bytes.len()).find(|at| stops.contains(&bytes[*at]) && (*at == 0 || bytes[*at - 1] != b'\\')).unwrap_or(bytes.len())
    };
    let mut at = until(0, b", ");
    let measurement = text[..at].to_owned();
    let mut tags = Vec::new();
    while bytes[at] == b',' {
        let equals = until(at + 1, b"=");
        let end = until(equals + 1, b", ");
        let value = &text[equals + 1..end];
        assert_eq!(until(equals + 1, b"="), until(end, b"="), "a bare `=` in a tag value");
        let value = value.replace(r"\,", ",").replace(r"\ ", " ").replace(r"\=", "=");
        tags.push((text[at + 1..equals].to_owned(), value));
        at = end;
    }
    let mut fields = Vec::new();
    loop {
        let equals = until(at + 1, b"=");
        let key = text[at + 1..equals].to_owned();
        let mut end = equals + 1;
        let quoted = bytes[end] == b'"';
        if quoted {
            end += 1;
            while bytes[end] != b'"' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
        }
        while end < bytes.len() && !b", ".contains(&bytes[end]) {
            end += 1;
        }
        let value = &text[equals + 1..end];
        let value = if quoted { unquoted(&value[1..value.len() - 1]) } else { value.to_owned() };
        fields.push((key, value));
        at = end;
        if at == bytes.len() {
            return (measurement, tags, fields, None);
        }
        if bytes[at] == b' ' {
            return (measurement, tags, fields, Some(text[at + 1..].to_owned()));
        }
    }
}

/// In a string field a backslash escapes a quote or a backslash.
fn unquoted(text: &str) -> String {
    let mut rest = text.chars().peekable();
    let mut out = String::new();
    while let Some(c) = rest.next() {
        out.push(if c == '\\' { rest.next_if(|next| matches!(next, '"' | '\\')).unwrap_or(c) } else { c });
    }
    out
}

const LINE_VALUES: &[&str] = &[
    "plain",
    "a b",
    "a,b=c d",
    "x,evil=1 v=2 3",
    "x v=1 5",
    " ",
    ",",
    "=",
    "\"",
    "\"\"",
    "\",v=2i,w=\"",
    r"a\b",
    r#"\" v=1"#,
    r"\\server\\share",
    r"a\x b",
    "#comment",
    "tab\tnul\u{0}",
    "ünï,🦀",
    "1i",
    "true",
    "${x}",
    "\u{85}\u{2028}",
];

#[tokio::test]
async fn what_stands_in_a_point_stays_there() {
    let (agent, service) = agent(|_| Reply::new(204, "")).await;
    let write = |points: Value| json!({ "bucket": "telemetry", "measurement": "m", "points": points });
    for value in LINE_VALUES {
        let point = json!([{ "tags": { "a": value, "b": "end" }, "fields": { "s": value, "t": 1 }, "time": 7 }, { "fields": { "z": 2 } }]);
        agent.call("write_points", &write(point)).await.unwrap_or_else(|fault| panic!("{value:?}: {fault:?}"));
        let text = service.received().last().unwrap().text();
        let lines: Vec<&str> = text.split_terminator('\n').collect();
        assert_eq!(lines.len(), 2, "{text}");
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let read = line(lines[0]);
        let wanted =
            ("m".to_owned(), vec![pair("a", value), pair("b", "end")], vec![pair("s", value), pair("t", "1i")], Some("7".to_owned()));
        assert_eq!(read, wanted, "{text}");
        assert_eq!(lines[1], "m z=2i");
    }
    let field_only = json!([{ "fields": { "s": "ends in \\" } }]);
    agent.call("write_points", &write(field_only)).await.unwrap();
    assert_eq!(line(service.received().last().unwrap().text().trim_end_matches('\n')).2[0].1, "ends in \\");
}

#[tokio::test]
async fn points_that_cannot_be_written_are_refused() {
    let (agent, service) = agent(|_| Reply::new(204, "")).await;
    let text = |points: &str| format!(r#"{{"bucket":"telemetry","measurement":"m","points":[{points}]}}"#);
    for points in [
        "",
        r#"{"fields":{}}"#,
        r#"{"tags":{"a":"b"}}"#,
        r#"{"fields":{"v":null}}"#,
        r#"{"fields":{"v":[1]}}"#,
        r#"{"fields":{"v":{}}}"#,
        r#"{"fields":{"v":"a\nm v=1"}}"#,
        r#"{"fields":{"v":"a\r"}}"#,
        r#"{"fields":{"v":9223372036854775808}}"#,
        r#"{"fields":{"v":-9223372036854775809}}"#,
        r#"{"fields":{"v":1e400}}"#,
        r#"{"fields":{"v":NaN}}"#,
        r#"{"tags":{"a":"x\ny"},"fields":{"v":1}}"#,
        r#"{"tags":{"a":"x\r"},"fields":{"v":1}}"#,
        r#"{"tags":{"a":"x\\"},"fields":{"v":1}}"#,
        r#"{"tags":{"a":"\\\\"},"fields":{"v":1}}"#,
        r#"{"tags":{"a":"\\ x"},"fields":{"v":1}}"#,
        r#"{"tags":{"a":"\\, v=1"},"fields":{"v":1}}"#,
        r#"{"tags":{"a":"x\\=1"},"fields":{"v":1}}"#,
        r#"{"tags":{"a":"\\\\ v=1"},"fields":{"v":1}}"#,
        r#"{"tags":{"a":null},"fields":{"v":1}}"#,
        r#"{"tags":["a"],"fields":{"v":1}}"#,
        r#"{"fields":{"v":1},"time":true}"#,
        r#"{"fields":{"v":1},"time":1.0}"#,
        r#"{"fields":{"v":1},"time":"1"}"#,
        r#"{"fields":{"v":1},"time":9223372036854775807}"#,
        r#"{"fields":{"v":1},"time":-9223372036854775808}"#,
        r#"{"fields":{"v":1},"extra":1}"#,
    ] {
        assert_eq!(agent.0.confine("write_points", &text(points)).map_err(|fault| fault.code), Err(Code::InvalidArgument), "{points}");
    }
    let many = |count: usize| text(&vec![r#"{"fields":{"v":1}}"#; count].join(","));
    assert!(agent.0.confine("write_points", &many(5_000)).is_ok());
    assert_eq!(agent.0.confine("write_points", &many(5_001)).unwrap_err().code, Code::LimitExceeded);
    // `m v="` and `"` with its line end are 7 bytes beside the text.
    let large = |bytes: usize| text(&format!(r#"{{"fields":{{"v":"{}"}}}}"#, "x".repeat(bytes)));
    assert!(agent.0.confine("write_points", &large((1 << 20) - 7)).is_ok());
    assert_eq!(agent.0.confine("write_points", &large((1 << 20) - 6)).unwrap_err().code, Code::LimitExceeded);
    assert!(service.received().is_empty());
}
