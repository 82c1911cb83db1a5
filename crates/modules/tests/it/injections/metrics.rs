//! `influxdb`, reading: values that would be Flux, and names that would be another bucket or organisation.

use bailiwick_model::Code;
use serde_json::{Value, json};

use super::row::{Holds, Request, Row, surplus};
use super::scene::INFLUX;

const ASK: &str = "POST /api/v2/query?org=acme";

fn asked(line: &str, source: &str) -> Holds {
    let dialect = json!({
        "annotations": ["datatype", "group", "default"], "commentPrefix": "#", "dateTimeFormat": "RFC3339", "delimiter": ",", "header": true,
    });
    let request = Request::new(line).with("authorization", INFLUX).with("accept", "application/csv");
    Holds::Sent(vec![request.json(&json!({ "query": source, "type": "flux", "dialect": dialect }))])
}

/// A query whose only comparison stands so in Flux, behind the column.
pub(super) fn flux(comparison: &str) -> Holds {
    let filter = format!("filter(fn: (r) => r[\"a\"] {comparison})");
    asked(ASK, &format!("from(bucket: \"telemetry\")\n  |> range(start: -1h, stop: now())\n  |> {filter}\n  |> limit(n: 1001)\n"))
}

pub(super) fn query(op: &str, value: Value, holds: Holds) -> Row {
    let name = format!("{op} {value}");
    let filters = json!([{ "field": "a", "op": op, "value": value }]);
    Row::new(name, "influxdb", "query", &json!({ "bucket": "telemetry", "filters": filters }), holds)
}

fn refused(name: &str, tool: &'static str, more: &Value, code: Code) -> Row {
    let mut arguments = json!({ "bucket": "telemetry" });
    if tool == "query" {
        arguments["filters"] = json!([{ "field": "a", "op": "==", "value": 1 }]);
    }
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Row::new(format!("{name} {more}"), "influxdb", tool, &arguments, Holds::Refused(code))
}

fn filter(filter: Value) -> Row {
    refused("a filter", "query", &json!({ "filters": [filter] }), Code::InvalidArgument)
}

fn stranger(bucket: &str) -> Row {
    refused("another bucket", "list_measurements", &json!({ "bucket": bucket }), Code::ScopeViolation)
}

/// No buckets of the agent.
const BUCKETS: &[&str] = &[
    "other",
    "telemetry\n",
    "telemetry ",
    "Telemetry",
    "telemetry\u{0}",
    "telemetry\") |> drop(columns: [\"a\"]) //",
    "telemetry&org=other",
    "telemetry?x",
    "../telemetry",
    "telemetry\u{2028}",
    "t\u{435}lemetry",
    "_monitoring",
    "*",
    "a-10--x",
];

/// No names of measurements.
const SCHEMAS: &[&str] = &["cpu\") |> drop(", "cpu\n", "cpu,host=a", "cpu host", "cpu\\", "*", "${x}", "cp\u{fc}"];

pub(super) fn attacks() -> Vec<Row> {
    let literals = [
        (r#"x") |> drop(columns: ["a"]) //"#, r#"== "x\") |> drop(columns: [\"a\"]) //""#),
        (r#"x" or exists r["secret"] or r["b"] == ""#, r#"== "x\" or exists r[\"secret\"] or r[\"b\"] == \"""#),
        ("x\")\n\nfrom(bucket: \"other\")", r#"== "x\")\n\nfrom(bucket: \"other\")""#),
        ("${from(bucket: \"other\") |> findRecord()}", r#"== "\x24{from(bucket: \"other\") |> findRecord()}""#),
        (r"\${r.secret}", r#"== "\\\x24{r.secret}""#),
        (r"\", r#"== "\\""#),
        ("\r\n\u{0}\u{7f}", r#"== "\r\n\x00\x7f""#),
        ("a\u{2028}b\u{85}c\u{560a}", "== \"a\u{2028}b\u{85}c\u{560a}\""),
        ("\u{201d} or true", "== \"\u{201d} or true\""),
        ("import \"http\"", r#"== "import \"http\"""#),
    ];
    let patterns = [
        (r"x/) |> drop(columns: [\x22a\x22]) //", r"=~ /x\x2f) |> drop(columns: [\x5cx22a\x5cx22]) \x2f\x2f/"),
        (r"x\", r"=~ /x\x5c/"),
        ("x\n/ or true", r"=~ /x\x0a\x2f or true/"),
        ("${r.secret}", "=~ /${r.secret}/"),
        ("/", r"=~ /\x2f/"),
    ];
    let filters = [
        json!({ "field": "a\"] == \"x\" or r[\"b", "op": "==", "value": 1 }),
        json!({ "field": "a) |> drop(", "op": "==", "value": 1 }),
        json!({ "field": "a\r\n", "op": "==", "value": 1 }),
        json!({ "field": "${x}", "op": "==", "value": 1 }),
        json!({ "field": "a", "op": "== 1 or true or r[\"a\"] ==", "value": 1 }),
        json!({ "field": "a", "op": "and", "value": 1 }),
        json!({ "field": "a", "op": "=~", "value": "" }),
        json!({ "field": "a", "op": "==", "value": ["x\" or true"] }),
        json!({ "field": "a", "op": "==", "value": { "$gt": "" } }),
        json!({ "field": "a", "op": "==", "value": null }),
        json!({ "field": "a", "op": "==", "value": 1, "raw": "or true" }),
        json!("r.a == 1 or true"),
    ];
    let ranges = [
        json!({ "range_start": "-1h) |> drop(columns: [\"a\"]) //" }),
        json!({ "range_start": "-1h, stop: -30m" }),
        json!({ "range_start": "${x}" }),
        json!({ "range_stop": "now()) |> to(bucket: \"other\"" }),
        json!({ "range_stop": "now()\n" }),
        json!({ "range_stop": "2026-07-28T09:30:00Z)//" }),
        json!({ "logical_op": "or true or" }),
        json!({ "logical_op": "AND" }),
        json!({ "filters": [] }),
        json!({ "filters": {} }),
    ];
    let more = [("org", json!("other")), ("raw", json!("from(bucket: \"other\")")), ("params", json!({})), ("limit", json!("1) |> x("))];
    let usual = json!({ "bucket": "telemetry", "filters": [{ "field": "a", "op": "==", "value": 1 }] });
    let rows = literals.iter().map(|(text, written)| query("==", json!(text), flux(written)));
    let rows = rows.chain(patterns.iter().map(|(text, written)| query("=~", json!(text), flux(written))));
    let rows = rows.chain(filters.into_iter().map(filter));
    let rows = rows.chain(ranges.iter().map(|more| refused("a range", "query", more, Code::InvalidArgument)));
    let rows = rows.chain(BUCKETS.iter().map(|bucket| stranger(bucket)));
    let schema = |name: &&str| refused("a measurement", "get_schema", &json!({ "measurement": name }), Code::InvalidArgument);
    rows.chain(SCHEMAS.iter().map(schema)).chain(surplus("influxdb", "query", &usual, &more)).chain(operators()).collect()
}

/// Names that an operator wrote are values as well.
fn operators() -> Vec<Row> {
    let bucket = "b\"${x}\\ |> drop()&org=other";
    let listing = |bucket: &str| format!("import \"influxdata/influxdb/schema\"\nschema.measurements(bucket: \"{bucket}\")\n");
    let row = |name: &str, bucket: &str, holds| Row::new(name, "influxdb", "list_measurements", &json!({ "bucket": bucket }), holds);
    vec![
        row("a listed bucket with every sign", bucket, asked(ASK, &listing(r#"b\"\x24{x}\\ |> drop()&org=other"#)))
            .under(json!({ "buckets": [bucket] })),
        row(
            "an organisation with every sign",
            "telemetry",
            asked("POST /api/v2/query?org=acme%26org%3Dother%23%0D%0AX%3A%201", &listing("telemetry")),
        )
        .under(json!({ "org": "acme&org=other#\r\nX: 1" })),
        row("a bucket with a line break", "b\n", Holds::Unopened("buckets.0")).under(json!({ "buckets": ["b\n"] })),
        row("a token with a header", "telemetry", Holds::Unopened("INFLUXDB_TOKEN")).with("INFLUXDB_TOKEN", "t\r\nX-Evil: 1"),
        row("an address with a query", "telemetry", Holds::Unopened("INFLUXDB_URL"))
            .with("INFLUXDB_URL", "http://127.0.0.1:9/?org=other&x="),
    ]
}

pub(super) fn allowed() -> Vec<Row> {
    let values = [
        ("==", json!("web-01.example.com"), r#"== "web-01.example.com""#),
        ("!=", json!("C:\\Program Files\\x"), r#"!= "C:\\Program Files\\x""#),
        ("==", json!("5 $ off"), r#"== "5 \x24 off""#),
        ("==", json!("it's \"fine\""), r#"== "it's \"fine\"""#),
        ("==", json!("Grüße 世界"), "== \"Grüße 世界\""),
        ("=~", json!("^(web|db)-[0-9]+$"), "=~ /^(web|db)-[0-9]+$/"),
        ("!~", json!(r"^/var/log/\w+\.log$"), r"!~ /^\x2fvar\x2flog\x2f\x5cw+\x5c.log$/"),
        (">=", json!(1.5), ">= 1.5"),
        ("<", json!(-3), "< -3"),
        ("==", json!(true), "== true"),
    ];
    let schema = |function: &str| {
        format!("import \"influxdata/influxdb/schema\"\nschema.{function}(bucket: \"telemetry\", measurement: \"cpu-load_1\")\n")
    };
    let [Holds::Sent(mut fields), Holds::Sent(tags)] =
        ["measurementFieldKeys", "measurementTagKeys"].map(|function| asked(ASK, &schema(function)))
    else {
        return Vec::new();
    };
    fields.extend(tags);
    let arguments = json!({ "bucket": "telemetry", "measurement": "cpu-load_1" });
    let own = Row::new("a measurement with a dash", "influxdb", "get_schema", &arguments, Holds::Sent(fields));
    values.into_iter().map(|(op, value, written)| query(op, value, flux(written))).chain([own]).collect()
}
