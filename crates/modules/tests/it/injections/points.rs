//! `influxdb`, writing: values that would be further tags, fields, points or predicates.

use bailiwick_model::Code;
use serde_json::{Value, json};

use super::row::{Holds, Request, Row, surplus};
use super::scene::INFLUX;

const WRITE: &str = "POST /api/v2/write?org=acme&bucket=telemetry&precision=ns";

fn arguments(points: Value) -> Value {
    json!({ "bucket": "telemetry", "measurement": "m", "points": points })
}

/// A value as a tag and as the text of a field, and the line they become.
fn value(given: &str, tag: &str, field: &str) -> Row {
    let line = format!("m,t={tag},z=end f=\"{field}\",g=1i 7\n{}", "m v=2i\n");
    let points = json!([{ "tags": { "t": given, "z": "end" }, "fields": { "f": given, "g": 1 }, "time": 7 }, { "fields": { "v": 2 } }]);
    written(&format!("a value {given:?}"), points, &line)
}

fn written(name: &str, points: Value, lines: &str) -> Row {
    let request = Request::new(WRITE).with("authorization", INFLUX).with("accept", "application/json").text(lines);
    Row::new(name, "influxdb", "write_points", &arguments(points), Holds::Sent(vec![request]))
}

fn refused(point: &str) -> Row {
    let row = Row::new(format!("a point {point}"), "influxdb", "write_points", &json!({}), Holds::Refused(Code::InvalidArgument));
    row.raw(&format!(r#"{{"bucket":"telemetry","measurement":"m","points":[{point}]}}"#))
}

fn measurement(name: &str) -> Row {
    let mut arguments = arguments(json!([{ "fields": { "v": 1 } }]));
    arguments["measurement"] = json!(name);
    Row::new(format!("a measurement {name:?}"), "influxdb", "write_points", &arguments, Holds::Refused(Code::InvalidArgument))
}

fn deletion(more: &Value, code: Code) -> Row {
    let mut arguments = json!({ "bucket": "telemetry", "measurement": "m", "start": "-1h", "stop": "now()" });
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Row::new(format!("a deletion {more}"), "influxdb", "delete_points", &arguments, Holds::Refused(code))
}

fn bucket(name: &str) -> Row {
    let holds = Holds::Refused(Code::InvalidArgument);
    Row::new(format!("a new bucket {name:?}"), "influxdb", "create_bucket", &json!({ "name": name }), holds)
}

pub(super) fn attacks() -> Vec<Row> {
    let values = [
        ("a,admin=true", r"a\,admin\=true", "a,admin=true"),
        ("a evil=1 9", r"a\ evil\=1\ 9", "a evil=1 9"),
        ("a,b c=1,d=2 3", r"a\,b\ c\=1\,d\=2\ 3", "a,b c=1,d=2 3"),
        ("\",g=2i,h=\"", r#""\,g\=2i\,h\=""#, r#"\",g=2i,h=\""#),
        ("\" 9", "\"\\ 9", "\\\" 9"),
        (r"a\b", r"a\b", r"a\\b"),
        (r#"a\"b"#, r#"a\"b"#, r#"a\\\"b"#),
        ("#evil v=1", r"#evil\ v\=1", "#evil v=1"),
        ("a\u{2028}m v=1", "a\u{2028}m\\ v\\=1", "a\u{2028}m v=1"),
        ("a\u{85}\u{b}\u{560a}", "a\u{85}\u{b}\u{560a}", "a\u{85}\u{b}\u{560a}"),
        ("a\0b\tc", "a\0b\tc", "a\0b\tc"),
    ];
    let points = [
        r#"{"tags":{"t":"a\nevil v=1"},"fields":{"v":1}}"#,
        r#"{"tags":{"t":"a\r\nevil v=1"},"fields":{"v":1}}"#,
        r#"{"tags":{"t":"a\\\nevil"},"fields":{"v":1}}"#,
        r#"{"tags":{"t":"a\\,admin=true"},"fields":{"v":1}}"#,
        r#"{"tags":{"t,admin":"true"},"fields":{"v":1}}"#,
        r#"{"tags":{"t=1,u":"2"},"fields":{"v":1}}"#,
        r#"{"tags":{"t ":"2"},"fields":{"v":1}}"#,
        r#"{"tags":{"t\n":"2"},"fields":{"v":1}}"#,
        r#"{"tags":{"":"2"},"fields":{"v":1}}"#,
        r#"{"tags":{"t":["a,b=c"]},"fields":{"v":1}}"#,
        r#"{"fields":{"v=1,w":2}}"#,
        r#"{"fields":{"v 1\nevil w":2}}"#,
        r#"{"fields":{"v":"a\nevil v=1"}}"#,
        r#"{"fields":{"v":"\"\r\nevil v=1"}}"#,
        r#"{"fields":{"v":{"raw":"1i,w=2"}}}"#,
        r#"{"fields":{"v":"half \ud800"}}"#,
        r#"{"fields":{"v":1},"time":"7\nevil v=1"}"#,
        r#"{"fields":{"v":1},"time":7.5}"#,
        r#"{"fields":{"v":1},"measurement":"other"}"#,
        r#"{"fields":{"v":1},"line":"evil v=1"}"#,
        r#""evil v=1""#,
    ];
    let measurements = ["m,admin=true", "m v=1\nevil", "m\\", "m\n", "#m", "m\u{2028}", "\"m\"", "m=1"];
    let deletions = [
        json!({ "measurement": "m\" OR _measurement=\"cpu" }),
        json!({ "measurement": "m\" AND host=\"x" }),
        json!({ "measurement": "m\\" }),
        json!({ "start": "1970-01-01T00:00:00Z\",\"predicate\":\"" }),
        json!({ "stop": "now() OR 1=1" }),
        json!({ "predicate": "" }),
        json!({ "org": "other" }),
        json!({ "dry_run": "false" }),
    ];
    let buckets = ["a&org=other", "a?b", "a%2fb", "a\r\nX: 1", "a\0", "a\u{2028}", "a\",\"orgID\":\"b", "${x}"].map(bucket);
    let more = [("org", json!("other")), ("precision", json!("s&bucket=other")), ("line", json!("evil v=1"))];
    let usual = arguments(json!([{ "fields": { "v": 1 } }]));
    let rows = values.iter().map(|(given, tag, field)| value(given, tag, field));
    let rows = rows.chain(points.iter().map(|point| refused(point))).chain(measurements.iter().map(|name| measurement(name)));
    let rows = rows.chain(deletions.iter().map(|more| deletion(more, Code::InvalidArgument))).chain(buckets);
    let rows = rows.chain([deletion(&json!({ "bucket": "telemetry&predicate=" }), Code::ScopeViolation)]);
    rows.chain(surplus("influxdb", "write_points", &usual, &more)).collect()
}

pub(super) fn allowed() -> Vec<Row> {
    let values = [
        ("web-01.example.com", "web-01.example.com", "web-01.example.com"),
        ("rack 4, row B", r"rack\ 4\,\ row\ B", "rack 4, row B"),
        ("C:\\data", r"C:\data", r"C:\\data"),
        ("say \"hi\"", "say\\ \"hi\"", r#"say \"hi\""#),
        ("München 世界", r"München\ 世界", "München 世界"),
        ("https://x.example/?a=b&c=d", r"https://x.example/?a\=b&c\=d", "https://x.example/?a=b&c=d"),
        ("100%", "100%", "100%"),
    ];
    let numbers = json!([{ "tags": { "n": 3, "up": true }, "fields": { "i": -7, "f": 1.5, "b": false }, "time": -1 }]);
    let deletion = json!({ "bucket": "telemetry", "measurement": "cpu-load_1", "start": "2026-07-28T08:00:00+02:00", "stop": "now()" });
    let selection = json!({ "start": "2026-07-28T06:00:00Z", "stop": "2026-07-28T09:30:00Z", "predicate": "_measurement=\"cpu-load_1\"" });
    let server = |line: &str| Request::new(line).with("authorization", INFLUX).with("accept", "application/json");
    let deleted = server("POST /api/v2/delete?org=acme&bucket=telemetry").json(&selection);
    let org = "0123456789abcdef";
    let retention = json!([{ "type": "expire", "everySeconds": 2_592_000 }]);
    let looked = |name: &str| server(&format!("GET /api/v2/buckets?org={org}&name={name}"));
    let made = server("POST /api/v2/buckets").json(&json!({ "orgID": org, "name": "a-1--scratch_2", "retentionRules": retention }));
    let own = [
        written("numbers and truth values", numbers, "m,n=3,up=true b=false,f=1.5,i=-7i -1\n"),
        Row::new("a deletion", "influxdb", "delete_points", &deletion, Holds::Sent(vec![deleted])),
        Row::new(
            "a new bucket",
            "influxdb",
            "create_bucket",
            &json!({ "name": "scratch_2" }),
            Holds::Sent(vec![looked("a-1-scratch_2"), made]),
        )
        .under(json!({ "org": org })),
    ];
    values.iter().map(|(given, tag, field)| value(given, tag, field)).chain(own).collect()
}
