//! `query_datasource`: one query of a listed data source.

use bailiwick_model::Code;
use serde::Deserialize;
use serde_json::{Value, json};

use super::datasources::is_name;
use super::{Command, Grafana, Job, object_schema};
use crate::arguments::decode;
use crate::context::CallContext;
use crate::egress::segment;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "query_datasource", access: Access::Read, spec, prepare };

/// Longest query.
const QUERY_BYTES_MAX: usize = 64 << 10;
/// Longest time.
const TIME_CHARS_MAX: usize = 32;
const POINTS_DEFAULT: u32 = 100;
const POINTS_MAX: u32 = 10_000;
const FROM_DEFAULT: &str = "now-1h";
const TO_DEFAULT: &str = "now";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    datasource: String,
    query: String,
    #[serde(default = "from_default")]
    from: String,
    #[serde(default = "to_default")]
    to: String,
    #[serde(default = "points_default")]
    max_points: u32,
}

fn from_default() -> String {
    FROM_DEFAULT.to_owned()
}

fn to_default() -> String {
    TO_DEFAULT.to_owned()
}

fn points_default() -> u32 {
    POINTS_DEFAULT
}

fn spec() -> ToolSpec {
    let time = |what: &str, default: &str| {
        let text = format!("{what} of the time range: milliseconds since 1970, or relative to now like `now-6h` or `now/d`.");
        schema::property("string", &text, json!({ "default": default, "maxLength": TIME_CHARS_MAX }))
    };
    let points = json!({ "default": POINTS_DEFAULT, "minimum": 1, "maximum": POINTS_MAX });
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Query a data source".into(),
        description:
            "Runs one query against a Grafana data source that the operator listed for you and returns Grafana's answer: data frames \
                      under `results.A.frames`. The query is written in the language of the data source."
                .into(),
        input_schema: schema::object(
            &[
                ("datasource", schema::property("string", "Name of the data source, as listed.", json!({ "maxLength": 64 }))),
                (
                    "query",
                    schema::property("string", "The query: PromQL, LogQL, SQL, Flux and so on.", json!({ "maxLength": QUERY_BYTES_MAX })),
                ),
                ("from", time("Beginning", FROM_DEFAULT)),
                ("to", time("End", TO_DEFAULT)),
                ("max_points", schema::property("integer", "Most points of one series.", points)),
            ],
            &["datasource", "query"],
        ),
        output_schema: Some(object_schema(&[("results", "object", "The answer to each query by refId; there is one, `A`.")])),
        access: COMMAND.access,
        hints: Hints { open_world: true, ..Hints::READ },
    }
}

fn prepare(grafana: &Grafana, arguments: &str) -> Result<Job, ToolFault> {
    let arguments: Arguments = decode(arguments)?;
    if !is_name(&arguments.datasource) {
        return Err(ToolFault::invalid("the data source's name is not one", "use a name from the list of data sources"));
    }
    if !grafana.sources.contains(&arguments.datasource) {
        return Err(ToolFault::new(
            Code::ScopeViolation,
            "the data source is not opened for the agent",
            "use one from the list of data sources",
        ));
    }
    if arguments.query.trim().is_empty() || arguments.query.len() > QUERY_BYTES_MAX || arguments.query.contains('\0') {
        return Err(ToolFault::invalid(format!("a query is a text of 1 to {QUERY_BYTES_MAX} bytes without NUL"), "write one query"));
    }
    if !is_time(&arguments.from) || !is_time(&arguments.to) {
        return Err(ToolFault::invalid("`from` or `to` is not a time", "write milliseconds since 1970, or `now-6h`"));
    }
    if !(1..=POINTS_MAX).contains(&arguments.max_points) {
        return Err(ToolFault::invalid("`max_points` is out of range", format!("write a whole number from 1 to {POINTS_MAX}")));
    }
    Ok(Box::new(move |grafana, context| Box::pin(run(grafana, arguments, context))))
}

/// Digits, or `now` with steps like `-6h` and a rounding like `/d`.
fn is_time(text: &str) -> bool {
    if text.len() > TIME_CHARS_MAX || text.is_empty() {
        return false;
    }
    let Some(mut rest) = text.strip_prefix("now") else { return text.bytes().all(|b| b.is_ascii_digit()) };
    while let Some(step) = rest.strip_prefix(['-', '+', '/']) {
        let unit = step.trim_start_matches(|c: char| c.is_ascii_digit());
        let has_count = unit.len() < step.len();
        if has_count == rest.starts_with('/') || !unit.starts_with(['s', 'm', 'h', 'd', 'w', 'M', 'Q', 'y']) {
            return false;
        }
        rest = &unit[1..];
    }
    rest.is_empty()
}

async fn run(grafana: &Grafana, arguments: Arguments, context: CallContext<'_>) -> Result<ToolOutput, ToolFault> {
    let found = grafana.api.get(&format!("/api/datasources/name/{}", segment(&arguments.datasource)), context).await?;
    let (Some(uid), Some(kind)) = (found["uid"].as_str(), found["type"].as_str()) else {
        return Err(ToolFault::new(Code::UpstreamProtocol, "Grafana's data source cannot be read", "ask the operator to look at Grafana"));
    };
    if found["name"] != arguments.datasource.as_str() {
        return Err(ToolFault::new(
            Code::ScopeViolation,
            "Grafana has no data source of exactly this name",
            "ask the operator to look at the list",
        ));
    }
    let mut query = model(kind, &arguments.query);
    query["refId"] = "A".into();
    query["datasource"] = json!({ "uid": uid, "type": kind });
    query["maxDataPoints"] = arguments.max_points.into();
    let body = json!({ "queries": [query], "from": arguments.from, "to": arguments.to });
    ToolOutput::json(&grafana.api.post("/api/ds/query", &body, context).await?)
}

/// The members under which a data source of this type looks for its query; `expr` in every case.
fn model(kind: &str, query: &str) -> Value {
    let has = |part: &str| kind.contains(part);
    if has("sql") || has("postgres") || has("clickhouse") || has("bigquery") || has("athena") || has("redshift") || has("snowflake") {
        return json!({ "expr": query, "rawSql": query, "rawQuery": true, "format": "table" });
    }
    if has("influxdb") {
        return json!({ "expr": query, "query": query, "rawQuery": true, "resultFormat": "time_series" });
    }
    match kind {
        "prometheus" => json!({ "expr": query, "range": true }),
        "loki" => json!({ "expr": query, "queryType": "range" }),
        "graphite" => json!({ "expr": query, "target": query }),
        "tempo" => json!({ "expr": query, "query": query, "queryType": "traceql" }),
        _ => json!({ "expr": query, "query": query }),
    }
}

#[cfg(test)]
mod tests {
    use super::is_time;

    #[test]
    fn times() {
        for good in ["now", "now-1h", "now-5m", "now+1d", "now/d", "now-1d/d", "now-1M/M", "now-1y+2w", "0", "1753693800000"] {
            assert!(is_time(good), "{good}");
        }
        for bad in ["", "now-", "now-h", "now1h", "now/1d", "now-1x", "-1", "1h", "now -1h", "now-1h ", "2026-07-28", "NOW", "now//d"] {
            assert!(!is_time(bad), "{bad}");
        }
    }
}
