//! What the tools say about themselves.

use bailiwick_modules::{Access, Host, ModuleRegistry, ToolSpec};
use serde_json::{Value, json};

use crate::support::{open, try_open_on};

const DESCRIPTION_BYTES_MAX: usize = 1024;

fn every_tool() -> Vec<(String, ToolSpec)> {
    let dir = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for (kind, config) in
        [("filesystem", json!({ "base_path": dir.path(), "extended_tools": true })), ("sqlite", json!({ "db_dir": dir.path() }))]
    {
        all.extend(open(kind, "a", None, &config).0.tools().into_iter().map(|tool| (kind.to_owned(), tool)));
    }
    let url = json!({ "grafana_url": "https://grafana.example" });
    let grafana = try_open_on(&Host::isolated(), "grafana", "a", None, &url, &[("GRAFANA_SERVICE_ACCOUNT_TOKEN", "t")]).unwrap();
    all.extend(grafana.0.tools().into_iter().map(|tool| ("grafana".to_owned(), tool)));
    let services = json!({ "allowed_services": [{ "name": "s", "base_url": "https://service.example" }] });
    all.extend(open("http_proxy", "a", None, &services).0.tools().into_iter().map(|tool| ("http_proxy".to_owned(), tool)));
    all
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
    let maybe = json!(["object", "null"]);
    let wanted = |more: &str| json!({ "types": { "service": "string", "path": "string", more: maybe }, "required": ["service", "path"] });
    assert_eq!(arguments("http_proxy", "get"), wanted("params"));
    assert_eq!((arguments("http_proxy", "post"), arguments("http_proxy", "put")), (wanted("body"), wanted("body")));
    let delete = json!({ "types": { "service": "string", "path": "string" }, "required": ["service", "path"] });
    assert_eq!(arguments("http_proxy", "delete"), delete);
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
            ("filesystem", "append_file" | "move_file") => (false, false, false, false),
            ("filesystem", "delete_file" | "delete_dir") | ("sqlite", "execute") | ("http_proxy", "delete") => (false, true, false, false),
            ("grafana", "update_dashboard") => (false, true, true, false),
            ("grafana", "delete_dashboard") => (false, true, false, false),
            ("grafana", "create_dashboard" | "create_alert_rule") => (false, false, false, false),
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
        let credentials: Vec<_> =
            registry.get(kind).unwrap().credentials(&serde_json::Map::new()).into_iter().map(|key| key.name).collect();
        let wanted: &[&str] = if kind == "grafana" { &["GRAFANA_URL", "GRAFANA_SERVICE_ACCOUNT_TOKEN"] } else { &[] };
        assert_eq!(credentials, wanted, "{kind}");
    }
}
