//! `influxdb`: what goes to the server, byte by byte, and what an agent is told.

use bailiwick_model::Code;
use bailiwick_modules::{Access, ModuleDraft, ModuleRegistry};
use serde_json::{Value, json};

use crate::influxdb_support::{NO_ROWS, TOKEN, agent, answering, config, flux, headers, network, open_as};
use crate::service::{FakeService, Received, Reply};
use crate::support::try_open_on;

const AUTHORIZATION: (&str, &str) = ("authorization", "Token canary-7Q2x==");

fn query() -> Value {
    json!({ "bucket": "telemetry", "filters": [{ "field": "_measurement", "op": "==", "value": "cpu" }] })
}

#[tokio::test]
async fn a_query_is_one_request_with_annotations_asked_for() {
    let (agent, service) = answering(NO_ROWS).await;
    let arguments = json!({
        "bucket": "telemetry",
        "filters": [
            { "field": "_measurement", "op": "==", "value": "cpu" }, { "field": "host", "op": "=~", "value": "^web/\\d+$" },
            { "field": "_value", "op": ">=", "value": 1.5 }, { "field": "n", "op": "<", "value": -3 }, { "field": "up", "op": "!=", "value": true },
        ],
        "range_start": "-1h30m", "range_stop": "2026-07-28T11:30:00.5+02:00", "logical_op": "or",
    });
    assert_eq!(agent.call("query", &arguments).await, Ok(json!([])));
    let request = service.only();
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/api/v2/query?org=acme"));
    assert_eq!(headers(&request), [("accept", "application/csv"), AUTHORIZATION, ("content-type", "application/json")]);
    let source = "from(bucket: \"telemetry\")\n  |> range(start: -1h30m, stop: 2026-07-28T09:30:00.5Z)\n  \
                  |> filter(fn: (r) => r[\"_measurement\"] == \"cpu\" or r[\"host\"] =~ /^web\\x2f\\x5cd+$/ or r[\"_value\"] >= 1.5 or \
                  r[\"n\"] < -3 or r[\"up\"] != true)\n  |> limit(n: 1001)\n";
    let dialect = json!({
        "annotations": ["datatype", "group", "default"], "commentPrefix": "#", "dateTimeFormat": "RFC3339", "delimiter": ",", "header": true
    });
    assert_eq!(request.json(), json!({ "query": source, "type": "flux", "dialect": dialect }));
}

#[tokio::test]
async fn defaults_are_those_of_the_reference() {
    let (agent, service) = answering(NO_ROWS).await;
    agent.call("query", &query()).await.unwrap();
    let source = "from(bucket: \"telemetry\")\n  |> range(start: -1h, stop: now())\n  |> filter(fn: (r) => r[\"_measurement\"] == \"cpu\")\n  \
                  |> limit(n: 1001)\n";
    assert_eq!(flux(&service), source);
    let mut two = query();
    two["filters"] = json!([{ "field": "a", "op": "==", "value": 1 }, { "field": "b", "op": "==", "value": 2 }]);
    agent.call("query", &two).await.unwrap();
    assert!(flux(&service).contains("=> r[\"a\"] == 1 and r[\"b\"] == 2)"));
}

#[tokio::test]
async fn measurements_and_schema_come_as_lists() {
    let (agent, service) = answering(
        "#datatype,string,long,string\r\n#group,false,false,false\r\n#default,_result,,\r\n,result,table,_value\r\n,,0,cpu\r\n,,0,mem\r\n\r\n",
    )
    .await;
    assert_eq!(agent.call("list_measurements", &json!({ "bucket": "telemetry" })).await, Ok(json!(["cpu", "mem"])));
    assert_eq!(flux(&service), "import \"influxdata/influxdb/schema\"\nschema.measurements(bucket: \"telemetry\")\n");
    let (agent, service) = super::influxdb_support::agent(|request: &Received| {
        let names: &[&str] = if request.text().contains("FieldKeys") { &["usage", "idle"] } else { &["_start", "host", "_field"] };
        let rows: String = names.iter().map(|name| format!(",,0,{name}\r\n")).collect();
        let head = "#datatype,string,long,string\r\n#group,false,false,false\r\n#default,_result,,\r\n,result,table,_value\r\n";
        Reply::new(200, format!("{head}{rows}\r\n"))
    })
    .await;
    let arguments = json!({ "bucket": "telemetry", "measurement": "cpu" });
    assert_eq!(agent.call("get_schema", &arguments).await, Ok(json!({ "fields": ["idle", "usage"], "tags": ["host"] })));
    let sources: Vec<Value> = service.received().iter().map(|request| request.json()["query"].take()).collect();
    let source =
        |function: &str| format!("import \"influxdata/influxdb/schema\"\nschema.{function}(bucket: \"telemetry\", measurement: \"cpu\")\n");
    assert_eq!(sources, [source("measurementFieldKeys"), source("measurementTagKeys")]);
}

#[tokio::test]
async fn points_are_written_as_lines() {
    let (agent, service) = agent(|_| Reply::new(204, "")).await;
    let arguments = json!({
        "bucket": "odd \"b${1}\\", "measurement": "cpu-load",
        "points": [
            { "tags": { "host": "a b,c=d\\e", "empty": "", "n": 3, "up": true, "zone": "münchen" },
              "fields": { "i": 7, "f": 1.0, "e": 1e300, "t": "say \"hi\" \\o/ ${x}", "b": false, "min": i64::MIN }, "time": 1_785_231_000_000_000_000_i64 },
            { "fields": { "v": -0.5 }, "time": null },
            { "tags": null, "fields": { "v": 2 }, "time": -1 },
        ],
    });
    assert_eq!(agent.call("write_points", &arguments).await, Ok(json!(true)));
    let request = service.only();
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        ("POST", "/api/v2/write?org=acme&bucket=odd%20%22b%24%7B1%7D%5C&precision=ns")
    );
    assert_eq!(headers(&request), [("accept", "application/json"), AUTHORIZATION, ("content-type", "text/plain; charset=utf-8")]);
    assert_eq!(
        request.text(),
        "cpu-load,host=a\\ b\\,c\\=d\\e,n=3,up=true,zone=münchen b=false,e=1e300,f=1.0,i=7i,min=-9223372036854775808i,\
         t=\"say \\\"hi\\\" \\\\o/ ${x}\" 1785231000000000000\ncpu-load v=-0.5\ncpu-load v=2i -1\n"
    );
}

#[tokio::test]
async fn deleting_sends_moments_and_a_dry_run_counts() {
    let (agent, service) = agent(|request| match request.target.as_str() {
        "/api/v2/query?org=acme" => Reply::new(
            200,
            "#datatype,string,long,long\r\n#group,false,false,false\r\n#default,_result,,\r\n,result,table,_value\r\n,,0,41\r\n,,1,1\r\n\r\n",
        ),
        _ => Reply::new(204, ""),
    })
    .await;
    let mut arguments = json!({ "bucket": "telemetry", "measurement": "cpu", "start": "-1mo1h", "stop": "now()" });
    assert_eq!(agent.call("delete_points", &arguments).await, Ok(json!(true)));
    let request = service.only();
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/api/v2/delete?org=acme&bucket=telemetry"));
    assert_eq!(headers(&request), [("accept", "application/json"), AUTHORIZATION, ("content-type", "application/json")]);
    let selection = json!({ "start": "2026-06-28T08:30:00Z", "stop": "2026-07-28T09:30:00Z", "predicate": "_measurement=\"cpu\"" });
    assert_eq!(request.json(), selection);

    arguments["dry_run"] = json!(true);
    assert_eq!(agent.call("delete_points", &arguments).await, Ok(json!({ "points": 42 })));
    assert_eq!(service.received().len(), 2, "nothing was deleted");
    assert_eq!(
        flux(&service),
        "from(bucket: \"telemetry\")\n  |> range(start: 2026-06-28T08:30:00Z, stop: 2026-07-28T09:30:00.000000001Z)\n  \
         |> filter(fn: (r) => r[\"_measurement\"] == \"cpu\")\n  |> count()\n  |> group()\n  |> sum()\n"
    );
}

#[tokio::test]
async fn nothing_leaves_for_a_bucket_that_was_not_allowed() {
    let (agent, service) = answering(NO_ROWS).await;
    let points = json!([{ "fields": { "v": 1 } }]);
    for bucket in
        ["other", "", "telemetry ", "Telemetry", "telemetry\n", "agent-1--never-made", "agent-1", "agent-12--x", "agent-1--", "_tasks"]
    {
        for (tool, mut arguments) in [
            ("query", query()),
            ("list_measurements", json!({})),
            ("get_schema", json!({ "measurement": "cpu" })),
            ("write_points", json!({ "measurement": "cpu", "points": points })),
            ("delete_points", json!({ "measurement": "cpu", "start": "-1h", "stop": "now()" })),
            ("delete_points", json!({ "measurement": "cpu", "start": "-1h", "stop": "now()", "dry_run": true })),
        ] {
            arguments["bucket"] = json!(bucket);
            assert_eq!(agent.code(tool, &arguments).await, Err(Code::ScopeViolation), "{tool} {bucket:?}");
        }
    }
    assert!(service.received().is_empty());
}

#[tokio::test]
async fn reading_agents_have_no_tools_that_write() {
    let service = FakeService::start(|_| Reply::new(204, "")).await;
    let agent = open_as("agent-1", &network(), &service, Some(Access::Read), &config());
    let names: Vec<_> = agent.0.tools().into_iter().map(|tool| tool.name.into_owned()).collect();
    assert_eq!(names, ["query", "list_measurements", "get_schema"]);
    assert_eq!(agent.code("create_bucket", &json!({ "name": "x" })).await, Err(Code::PolicyDenied));
    assert!(service.received().is_empty());
}

#[tokio::test]
async fn the_organisation_of_the_credential_wins_and_one_is_needed() {
    let service = FakeService::start(|_| Reply::new(200, NO_ROWS)).await;
    let url = service.url();
    let credentials = [("INFLUXDB_URL", url.as_str()), ("INFLUXDB_TOKEN", TOKEN), ("INFLUXDB_ORG", "räu/b&er")];
    let host = network();
    let agent = try_open_on(&host, "influxdb", "a", None, &config(), &credentials).unwrap();
    agent.call("query", &query()).await.unwrap();
    assert_eq!(service.only().target, "/api/v2/query?org=r%C3%A4u%2Fb%26er");
    let fault = try_open_on(&host, "influxdb", "a", None, &json!({ "buckets": ["b"] }), &credentials[..2]).err().unwrap();
    assert_eq!(fault.key.as_deref(), Some("org"));
    for missing in 0..2 {
        let fault = try_open_on(&host, "influxdb", "a", None, &config(), &credentials[missing..=missing]).err().unwrap();
        assert_eq!(fault.key.as_deref(), Some(credentials[1 - missing].0));
    }
}

#[test]
fn a_configuration_shows_its_mistakes_before_anything_is_opened() {
    let kind = ModuleRegistry::with_builtin().get("influxdb").unwrap().clone();
    let agent_type = bailiwick_model::AgentType::parse("t").unwrap();
    let keys = |config: Value| -> Vec<String> {
        let draft = ModuleDraft { agent_id: None, agent_type: &agent_type, access: None, config: config.as_object().unwrap() };
        kind.check(draft).into_iter().map(|fault| fault.key.unwrap()).collect()
    };
    assert!(keys(config()).is_empty());
    assert_eq!(keys(json!({ "buckets": [] })), ["buckets"]);
    assert_eq!(keys(json!({ "buckets": ["a", "b\n"] })), ["buckets.1"]);
    assert_eq!(keys(json!({ "buckets": ["a"], "bucket": "b" })), ["bucket"]);
    for bad in ["", "a", "--x", "/", " ", "---------", "é"] {
        assert_eq!(keys(json!({ "buckets": ["a"], "bucket_separator": bad })), ["bucket_separator"], "{bad:?}");
    }
    let all = json!({ "bucket_separator": "/", "max_rows": 10_001, "timeout_seconds": 0, "allow_private": ["10.0.0.0/33"] });
    assert_eq!(keys(all), ["buckets", "bucket_separator", "max_rows", "timeout_seconds", "allow_private.0"]);
}

#[tokio::test]
async fn failures_are_told_without_the_credential() {
    let kinds = [
        (Reply::new(401, r#"{"code":"unauthorized","message":"unauthorized access"}"#), Code::UpstreamAuth),
        (Reply::new(404, r#"{"code":"not found","message":"bucket \"telemetry\" not found"}"#), Code::UpstreamError),
        (Reply::new(400, "error @1:2 http://inner.example/secret"), Code::UpstreamError),
        (Reply::new(429, ""), Code::UpstreamError),
        (Reply::new(500, vec![0xff; 4_000]), Code::UpstreamError),
        (Reply::new(302, "").with("location", "http://127.0.0.1:1/"), Code::UpstreamRedirect),
        (Reply::new(200, "{\"rows\": []}"), Code::UpstreamProtocol),
        (Reply::new(200, vec![b'x'; (4 << 20) + 1]), Code::LimitExceeded),
        (Reply::new(200, "zip").with("content-encoding", "gzip"), Code::UpstreamProtocol),
    ];
    let mut told = Vec::new();
    for (reply, code) in kinds {
        let (agent, service) = agent(move |_| reply.clone()).await;
        let fault = agent.call("query", &query()).await.unwrap_err();
        assert_eq!(fault.code, code, "{fault:?}");
        told.push((format!("{fault:?}"), service.address.to_string()));
    }
    let gone = FakeService::start(|_| Reply::new(204, "")).await;
    let agent = open_as("agent-1", &network(), &gone, None, &config());
    let address = gone.address.to_string();
    drop(gone);
    tokio::task::yield_now().await;
    let fault = agent.call("query", &query()).await.unwrap_err();
    assert!(matches!(fault.code, Code::UpstreamUnreachable | Code::UpstreamProtocol), "{fault:?}");
    told.push((format!("{fault:?}"), address));
    for (text, address) in told {
        assert!(!text.contains("canary") && !text.contains(&address) && !text.contains("inner.example"), "{text}");
    }
    let broken = [("INFLUXDB_URL", "http://127.0.0.1:1/canary x"), ("INFLUXDB_TOKEN", TOKEN)];
    assert!(!try_open_on(&network(), "influxdb", "a", None, &config(), &broken).err().unwrap().to_string().contains("canary"));
    let broken = [("INFLUXDB_URL", "http://127.0.0.1:1"), ("INFLUXDB_TOKEN", "canary\n")];
    assert!(!try_open_on(&network(), "influxdb", "a", None, &config(), &broken).err().unwrap().to_string().contains("canary"));
}
