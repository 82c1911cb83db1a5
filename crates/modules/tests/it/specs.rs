//! What the tools say about themselves.

use bailiwick_modules::{Access, Host, ModuleRegistry, ToolSpec};
use serde_json::{Value, json};

use crate::support::try_open_on;

const DESCRIPTION_BYTES_MAX: usize = 1024;

/// Every credential any kind asks for.
const CREDENTIALS: &[(&str, &str)] = &[
    ("GRAFANA_URL", "https://grafana.example"),
    ("GRAFANA_SERVICE_ACCOUNT_TOKEN", "token"),
    ("INFLUXDB_URL", "https://influxdb.example"),
    ("INFLUXDB_TOKEN", "token"),
    ("INFLUXDB_ORG", "org"),
    ("NTFY_URL", "https://push.example"),
    ("NTFY_TOKEN", "token"),
    ("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/T/B/x"),
    ("SMTP_HOST", "mail.example"),
    ("SMTP_PORT", "587"),
    ("SMTP_USER", "user"),
    ("SMTP_PASSWORD", "password"),
    ("MATRIX_HOMESERVER", "https://matrix.example"),
    ("MATRIX_ACCESS_TOKEN", "token"),
    ("DISCORD_WEBHOOK_URL", "https://discord.com/api/webhooks/1/x"),
];

fn every_tool() -> Vec<(String, ToolSpec)> {
    let dir = tempfile::tempdir().unwrap();
    let kinds = [
        ("filesystem", json!({ "base_path": dir.path(), "extended_tools": true })),
        ("sqlite", json!({ "db_dir": dir.path() })),
        ("ntfy", json!({})),
        ("slack_webhook", json!({})),
        ("discord_webhook", json!({})),
        ("matrix", json!({ "allowed_rooms": ["!a:b"] })),
        ("grafana", json!({})),
        ("http_proxy", json!({ "allowed_services": [{ "name": "s", "base_url": "https://service.example" }] })),
        ("influxdb", json!({ "buckets": ["b"] })),
        ("smtp", json!({ "from_address": "a@b.example", "allowed_recipients": ["c@d.example"] })),
    ];
    let tools = |(kind, config): (&str, Value)| {
        let opened = try_open_on(&Host::isolated(), kind, "a", None, &config, CREDENTIALS).unwrap();
        opened.0.tools().into_iter().map(|tool| (kind.to_owned(), tool)).collect::<Vec<_>>()
    };
    kinds.into_iter().flat_map(tools).collect()
}

#[test]
fn kinds_describe_the_tools_they_name() {
    for kind in bailiwick_modules::builtin() {
        let described: Vec<_> = kind.specs().into_iter().map(|tool| (tool.name.into_owned(), tool.access)).collect();
        let named: Vec<_> = kind.tools().into_iter().map(|(name, access)| (name.to_owned(), access)).collect();
        assert_eq!(described, named, "{}", kind.name());
    }
}

#[test]
fn every_tool_and_argument_is_described() {
    for (kind, tool) in every_tool() {
        let name = format!("{kind}_{}", tool.name);
        assert!(!tool.title.is_empty(), "{name}");
        assert!((20..=DESCRIPTION_BYTES_MAX).contains(&tool.description.len()), "{name}: {}", tool.description.len());
        let schema = &tool.input_schema;
        assert_eq!((&schema["type"], &schema["additionalProperties"]), (&json!("object"), &json!(false)), "{name}");
        let properties = schema["properties"].as_object().unwrap();
        for (argument, property) in properties {
            let described = property["description"].as_str().unwrap_or_default();
            assert!((10..=DESCRIPTION_BYTES_MAX).contains(&described.len()), "{name}.{argument}");
            let required = schema["required"].as_array().is_some_and(|names| names.contains(&json!(argument)));
            assert!(required != property.get("default").is_some(), "{name}.{argument} is either required or has a default");
        }
        for required in schema["required"].as_array().into_iter().flatten() {
            assert!(properties.contains_key(required.as_str().unwrap()), "{name}");
        }
        let output = tool.output_schema.expect(&name);
        // Open and without required members: a refusal has to fit as well.
        assert_eq!(
            (&output["type"], &output["additionalProperties"], &output["required"]),
            (&json!("object"), &Value::Null, &Value::Null),
            "{name}"
        );
    }
}

#[test]
fn names_arguments_and_types_are_those_of_the_reference() {
    let tools = every_tool();
    let arguments = |kind: &str, name: &str| -> Value {
        let schema = &tools.iter().find(|(k, t)| k == kind && t.name == name).unwrap().1.input_schema;
        let types = schema["properties"].as_object().unwrap().iter().map(|(n, p)| (n.clone(), p["type"].clone()));
        json!({ "types": types.collect::<serde_json::Map<_, _>>(), "required": schema.get("required").cloned().unwrap_or(json!([])) })
    };
    assert_eq!(arguments("filesystem", "read_file"), json!({ "types": { "path": "string" }, "required": ["path"] }));
    assert_eq!(arguments("filesystem", "list_dir"), json!({ "types": { "path": "string" }, "required": [] }));
    let write = json!({ "types": { "path": "string", "content": "string" }, "required": ["path", "content"] });
    assert_eq!(arguments("filesystem", "write_file"), write);
    assert_eq!(arguments("filesystem", "delete_file"), json!({ "types": { "path": "string" }, "required": ["path"] }));
    let sql = json!({ "types": { "sql": "string", "params": "array" }, "required": ["sql"] });
    assert_eq!((arguments("sqlite", "query"), arguments("sqlite", "execute")), (sql.clone(), sql));
    assert_eq!(arguments("sqlite", "list_tables"), json!({ "types": {}, "required": [] }));
    let create = json!({ "types": { "name": "string", "columns": "object" }, "required": ["name", "columns"] });
    assert_eq!(arguments("sqlite", "create_table"), create);
    let texts = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), json!("string"))).collect::<serde_json::Map<_, _>>();
    let notify = json!({ "types": texts(&["title", "message", "priority", "tags"]), "required": ["title", "message"] });
    assert_eq!(arguments("ntfy", "send"), notify);
    assert_eq!(arguments("slack_webhook", "send"), json!({ "types": texts(&["text"]), "required": ["text"] }));
    assert_eq!(arguments("matrix", "send"), json!({ "types": texts(&["room", "message"]), "required": ["room", "message"] }));
    let mail = json!({ "types": texts(&["to", "subject", "body"]), "required": ["to", "subject", "body"] });
    assert_eq!(arguments("smtp", "send"), mail);
    assert_eq!(arguments("discord_webhook", "send"), json!({ "types": texts(&["content"]), "required": ["content"] }));
    let maybe = json!(["object", "null"]);
    let wanted = |more: &str| json!({ "types": { "service": "string", "path": "string", more: maybe }, "required": ["service", "path"] });
    assert_eq!(arguments("http_proxy", "get"), wanted("params"));
    assert_eq!((arguments("http_proxy", "post"), arguments("http_proxy", "put")), (wanted("body"), wanted("body")));
    let delete = json!({ "types": { "service": "string", "path": "string" }, "required": ["service", "path"] });
    assert_eq!(arguments("http_proxy", "delete"), delete);
    let bucket = |mut more: Value, required: &[&str]| -> Value {
        more["bucket"] = json!("string");
        let required = [&["bucket"], required].concat();
        json!({ "types": more, "required": required })
    };
    let query = json!({ "filters": "array", "range_start": "string", "range_stop": "string", "logical_op": "string", "raw": "boolean" });
    assert_eq!(arguments("influxdb", "query"), bucket(query, &["filters"]));
    assert_eq!(arguments("influxdb", "list_measurements"), bucket(json!({}), &[]));
    assert_eq!(arguments("influxdb", "get_schema"), bucket(json!({ "measurement": "string" }), &["measurement"]));
    let write = json!({ "measurement": "string", "points": "array" });
    assert_eq!(arguments("influxdb", "write_points"), bucket(write, &["measurement", "points"]));
    let create = json!({ "types": { "name": "string", "retention_days": "integer" }, "required": ["name"] });
    assert_eq!(arguments("influxdb", "create_bucket"), create);
    let delete = json!({ "measurement": "string", "start": "string", "stop": "string", "dry_run": "boolean" });
    assert_eq!(arguments("influxdb", "delete_points"), bucket(delete, &["measurement", "start", "stop"]));
    let none = json!({ "types": {}, "required": [] });
    assert_eq!((arguments("grafana", "list_dashboards"), arguments("grafana", "list_datasources")), (none.clone(), none));
    let uid = json!({ "types": { "uid": "string" }, "required": ["uid"] });
    assert_eq!((arguments("grafana", "get_dashboard"), arguments("grafana", "delete_dashboard")), (uid.clone(), uid));
    let query = json!({ "types": { "datasource": "string", "query": "string", "from": "string", "to": "string", "max_points": "integer" },
        "required": ["datasource", "query"] });
    assert_eq!(arguments("grafana", "query_datasource"), query);
    let create = json!({ "types": { "title": "string", "panels": "array" }, "required": ["title", "panels"] });
    assert_eq!(arguments("grafana", "create_dashboard"), create);
    let update = json!({ "types": { "uid": "string", "panels": "array" }, "required": ["uid", "panels"] });
    assert_eq!(arguments("grafana", "update_dashboard"), update);
    let rule = json!({ "types": { "name": "string", "condition": "object" }, "required": ["name", "condition"] });
    assert_eq!(arguments("grafana", "create_alert_rule"), rule);
}

/// Reference, tool modules section 9: read only, destructive, idempotent, open world.
#[test]
fn hints_are_those_of_the_reference() {
    let hints = |tool: &ToolSpec| (tool.access == Access::Read, tool.hints.destructive, tool.hints.idempotent, tool.hints.open_world);
    for (kind, tool) in every_tool() {
        let wanted = match (kind.as_str(), tool.name.as_ref()) {
            ("filesystem", "write_file") => (false, true, true, false),
            ("filesystem", "make_dir") | ("sqlite", "create_table") => (false, false, true, false),
            ("filesystem", "append_file" | "move_file")
            | ("influxdb", "write_points" | "create_bucket")
            | ("grafana", "create_dashboard" | "create_alert_rule") => (false, false, false, false),
            ("filesystem", "delete_file" | "delete_dir")
            | ("sqlite", "execute")
            | ("http_proxy", "delete")
            | ("grafana", "delete_dashboard")
            | ("influxdb", "delete_points") => (false, true, false, false),
            ("grafana", "update_dashboard") => (false, true, true, false),
            (_, "send") => (false, false, false, true),
            ("http_proxy", "get") | ("grafana", "query_datasource") => (true, false, true, true),
            ("http_proxy", "post") => (false, false, false, true),
            ("http_proxy", "put") => (false, true, true, true),
            _ => (true, false, true, false),
        };
        assert_eq!(hints(&tool), wanted, "{kind}_{}", tool.name);
    }
}

#[test]
fn a_kind_announces_exactly_what_its_instances_can_offer() {
    let registry = ModuleRegistry::with_builtin();
    for kind in registry.names() {
        let announced = registry.get(kind).unwrap().tools();
        let offered: Vec<_> = every_tool().into_iter().filter(|(of, _)| of == kind).map(|(_, t)| (t.name.into_owned(), t.access)).collect();
        assert_eq!(announced.into_iter().map(|(n, a)| (n.to_owned(), a)).collect::<Vec<_>>(), offered, "{kind}");
        for key in registry.get(kind).unwrap().config_keys() {
            assert!(!key.doc.is_empty() && key.doc.len() < 200, "{kind}.{}", key.name);
        }
        let keys = registry.get(kind).unwrap().credentials(&serde_json::Map::new());
        assert!(keys.iter().all(|key| CREDENTIALS.iter().any(|(known, _)| *known == key.name)), "{kind}: {keys:?}");
    }
}
