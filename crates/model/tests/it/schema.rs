//! The schemas against the reader: what the reader accepts is valid, and every described key is read.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use bailiwick_model::document::{Document, Node, Value as Tree};
use bailiwick_model::{Config, schema};
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::catalog::{Kinds, MANIFEST, parse};

/// Configurations, as an editor checks them.
pub(crate) static CONFIGURATION: LazyLock<Validator> = LazyLock::new(|| validator(&schema::configuration()));

pub(crate) fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::meta::validate(schema).unwrap_or_else(|fault| panic!("{fault} at {}", fault.instance_path()));
    jsonschema::draft202012::new(schema).unwrap_or_else(|fault| panic!("{fault}"))
}

/// The text as an editor sees it.
pub(crate) fn json(text: &str) -> Value {
    fn value(node: &Node) -> Value {
        match &node.value {
            Tree::Null => Value::Null,
            Tree::Bool(value) => json!(value),
            Tree::Number(number) => Value::Number(number.clone()),
            Tree::Text(text) => json!(text),
            Tree::List(items) => items.iter().map(value).collect(),
            Tree::Map(entries) => Value::Object(entries.iter().map(|entry| (entry.key.clone(), value(&entry.node))).collect()),
            Tree::Pieces(_) | Tree::Unknown => panic!("nothing is substituted here"),
        }
    }
    let document = Document::parse("x.yml", text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    // An empty file is an empty configuration to the reader; an editor checks nothing in it.
    Some(value(&document.root)).filter(|value| !value.is_null()).unwrap_or_else(|| json!({}))
}

/// The test ends when the schema refuses what the reader accepts.
#[track_caller]
pub(crate) fn admits(validator: &Validator, text: &str) {
    let instance = json(text);
    let faults: Vec<String> = validator.iter_errors(&instance).map(|fault| format!("{} at {}", fault, fault.instance_path())).collect();
    assert!(faults.is_empty(), "{}\n{text}", faults.join("\n"));
}

/// Every property of every mapping of the schema, as `definition/name`.
fn described(schema: &Value) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut add = |at: &str, object: &Value| {
        if object["additionalProperties"] == json!(false) {
            all.extend(object["properties"].as_object().unwrap().keys().map(|name| format!("{at}/{name}")));
        }
    };
    add("", schema);
    schema["$defs"].as_object().unwrap().iter().for_each(|(name, definition)| add(name, definition));
    all
}

/// Follows `instance` through the schema and takes every property that it has out of `left`.
fn visit(root: &Value, at: &str, schema: &Value, instance: &Value, left: &mut BTreeSet<String>) {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) {
        visit(root, name, &root["$defs"][name], instance, left);
    }
    for keyword in ["anyOf", "allOf"] {
        schema[keyword].as_array().into_iter().flatten().for_each(|part| visit(root, at, part, instance, left));
    }
    for keyword in ["then", "else"] {
        visit_some(root, at, schema.get(keyword), instance, left);
    }
    match instance {
        Value::Array(items) => items.iter().for_each(|item| visit_some(root, at, schema.get("items"), item, left)),
        Value::Object(members) => {
            for (name, member) in members {
                left.remove(&format!("{at}/{name}"));
                let property = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
                visit_some(root, at, property.filter(|schema| schema.is_object()), member, left);
            }
        }
        _ => {}
    }
}

fn visit_some(root: &Value, at: &str, schema: Option<&Value>, instance: &Value, left: &mut BTreeSet<String>) {
    if let Some(schema) = schema {
        visit(root, at, schema, instance, left);
    }
}

#[test]
fn every_described_key_is_read() {
    // The reader reports a key that it does not ask for; so what is accepted here is read.
    let schema = schema::manifest(&Kinds);
    let mut left = described(&schema);
    assert!(left.contains("/agent_type") && left.contains("config-filesystem/base_path") && left.contains("hitl-notify/topic"), "{left:?}");
    let rest = "agent_type: a\nservers: {s: {prompts: {allow: [x], deny: []}, resources: {allow: [x], deny: []}}}\nhitl: {notify: \
                {type: ntfy, url: 'https://n', topic: t}}\ncredentials: {source: vault, vault: {addr: 'https://v', path: p, mount: kv, \
                allow_private: [10.0.0.0/8]}}\nmodules:\n  note: {config: {allowed_recipients: [x], credential_map: {A: B}}}\n  \
                sqlite: {mode: read, config: {db_dir: /x, credential_map: {A: B}}}\n  filesystem: {mode: read, config: {base_path: /x, \
                max_write_bytes: 1}}\n";
    for text in [crate::manifest::FULL, rest] {
        parse(text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        visit(&schema, "", &schema, &json(text), &mut left);
    }
    assert_eq!(left, BTreeSet::new(), "described, and in no accepted text");

    let schema = schema::configuration();
    let mut left = described(&schema);
    let limits: String = left.iter().filter_map(|key| key.strip_prefix("limits/")).map(|key| format!("  {key}: 1000\n")).collect();
    // Within their ranges or not: a limit that is not read would be an unknown key.
    let refused = Config::parse("b.yml", &format!("limits:\n{limits}"), &|_| None).map(drop).map_err(|mistakes| mistakes.to_string());
    assert!(refused.as_ref().err().is_none_or(|told| !told.contains("unknown key") && !told.contains("cannot read")), "{refused:?}");
    left.retain(|key| !key.starts_with("limits/"));
    visit(&schema, "", &schema, &json(crate::config::FULL), &mut left);
    assert_eq!(left, BTreeSet::new(), "described, and in no accepted text");
}

/// Every default of a schema, written out.
fn defaults(root: &Value, schema: &Value) -> Value {
    let mut written = Map::new();
    for (name, property) in schema["properties"].as_object().unwrap() {
        let reference = property["$ref"].as_str().or_else(|| property["anyOf"][0]["$ref"].as_str());
        let inner = reference.and_then(|reference| root["$defs"].get(reference.strip_prefix("#/$defs/").unwrap()));
        if let Some(default) = property.get("default") {
            written.insert(name.clone(), default.clone());
        } else if let Some(inner) = inner.filter(|inner| inner["properties"].is_object() && inner.get("required").is_none()) {
            written.insert(name.clone(), defaults(root, inner));
        }
    }
    Value::Object(written)
}

#[test]
fn writing_the_defaults_out_changes_nothing() {
    let schema = schema::configuration();
    let written = defaults(&schema, &schema);
    assert!(written["limits"]["json_depth_max"] == 64 && written["auth"] == "key", "{written}");
    // These are switched on by being there; what their own defaults say is compared with nothing being said in them.
    let (mut written, mut bare) = (written, json!({}));
    let switched =
        ["instructions", "runs", "connections"].map(|section| (section, written.as_object_mut().unwrap().remove(section).unwrap()));
    for (section, own) in &switched {
        bare[section] = json!({});
        written[section] = own.clone();
    }
    admits(&CONFIGURATION, &written.to_string());
    let read = |text: &str| {
        let (mut config, warnings) = Config::parse("b.yml", text, &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!(warnings, []);
        config.origins.clear();
        format!("{config:?}")
    };
    assert_eq!(read(&written.to_string()), read(&bare.to_string()));
    switched.iter().for_each(|(section, _)| drop(written.as_object_mut().unwrap().remove(*section)));
    assert_eq!(read(&written.to_string()), read(""));

    let schema = schema::manifest(&Kinds);
    let mut written = defaults(&schema, &schema);
    assert!(written["hitl"]["signing"]["mode"] == "off" && written["audit"]["log_args"] == true, "{written}");
    written.as_object_mut().unwrap().remove("modules");
    // Both texts begin alike, so that places are the same.
    let lines = |sections: &Value| {
        let lines = sections.as_object().unwrap().iter().map(|(key, value)| format!("{key}: {value}\n"));
        format!("agent_type: a\nmodules: {{filesystem: {{mode: read, config: {{base_path: /x}}}}}}\n{}", lines.collect::<String>())
    };
    let read = |text: &str| format!("{:?}", crate::catalog::good(text));
    assert_eq!(read(&lines(&written)), read(&lines(&json!({}))));
    // Within a module and a filter.
    let with = |wait: &str, filter: &str| {
        let filter = format!("agent_type: a\nargument_filters: [{{name: n, pattern: x{filter}}}]\n");
        read(&format!("{filter}modules:\n  filesystem:\n    mode: read\n    config: {{base_path: /x}}\n{wait}"))
    };
    let default = |section: &str| {
        let all = defaults(&schema, &schema["$defs"][section]);
        all.as_object().unwrap().iter().map(|(key, value)| format!("{key}: {value}")).collect::<Vec<_>>()
    };
    let waits: String = default("module").iter().map(|line| format!("    {line}\n")).collect();
    assert_eq!(with(&waits, &format!(", {}", default("argument_filters").join(", "))), with("", ""));
}

#[test]
fn what_an_editor_can_know_to_be_wrong_is_refused() {
    let module = |text: &str| format!("agent_type: a\nmodules: {{{text}}}\n");
    let section = |text: &str| format!("agent_type: a\nmodules: {{filesystem: {{mode: read, config: {{base_path: /x}}}}}}\n{text}\n");
    let manifests = [
        "{}".to_owned(),
        "agent_type: a\n".to_owned(),
        "agent_type: A\nservers: {t: }\n".to_owned(),
        "agent_type: 5\nservers: {t: }\n".to_owned(),
        module(""),
        module("filesystem: "),
        module("filesystem: {mode: read}"),
        module("filesystem: {mode: reed, config: {base_path: /x}}"),
        module("filesystem: {moed: read, config: {base_path: /x}}"),
        module("filesystem: {config: {base_path: 5}}"),
        module("filesystem: {config: {base_path: /x, db_dir: /x}}"),
        module("filesystem: {config: {base_path: /x, layout: '{agent}'}}"),
        module("filesystem: {type: sqlite, config: {base_path: /x}}"),
        module("x: {type: sqlite, config: {base_path: /x}}"),
        module("x: {config: {base_path: /x}}"),
        module("x: {type: nothing, config: {}}"),
        module("a__b: {type: sqlite, config: {db_dir: /x}}"),
        module("note: {config: {allowed_recipients: x}}"),
        module("note: {config: {allowed_recipients: [x], max_priority: hihg}}"),
        module("p: {type: mcp_proxy, config: {}}"),
        module("p: {type: mcp_proxy, config: {url: 'https://h', command: x}}"),
        module("p: {type: mcp_proxy, config: {url: 'ftp://h'}}"),
        module("p: {type: mcp_proxy, config: {command: x, era: old}}"),
        module("p: {type: mcp_proxy, config: {command: x, arguments: {t: {a: {}}}}}"),
        section("servers: {s: {arguments: {t: {a: {alow: [x]}}}}}"),
        section("servers: {s: {arguments: {t: {a: {allow: []}}}}}"),
        section("servers: {s: {arguments: {t: {a: {fixed: [x]}}}}}"),
        section("servers: {s: {arguments: {t: {a: {prefix: '{org}/'}}}}}"),
        section("servers: {s: {arguments: {t: {a//b: {fixed: x}}}}}"),
        section("servers: {s: {arguments: {'t t': {a: {fixed: x}}}}}"),
        section("unknown: 1"),
        section("rate_limits: {global: 5/day}"),
        section("rate_limits: {per_tool: {'a b': 5/hour}}"),
        section("credentials: {source: file}"),
        section("credentials: {source: vault, vault: {addr: 'https://h'}}"),
        section("state_backend: {type: dragonfly}"),
        section("hitl: {timeout_seconds: 0}"),
        section("hitl: {notify: {type: webhook}}"),
        section("hitl: {signing: {mode: enforce}}"),
        section("argument_filters: [{name: n}]"),
        section("argument_filters: [{name: n, pattern: x, action: redact}]"),
        section("argument_filters: [{name: n, pattern: x, fields: []}]"),
        section("workspace_access: [{path: x}]"),
        section("content_limits: {max_binary_bytes: -1}"),
    ];
    for text in &manifests {
        assert!(parse(text).is_err(), "the reader accepts\n{text}");
        assert!(!MANIFEST.is_valid(&json(text)), "the schema accepts\n{text}");
    }
    for text in [
        "lisen: x\n",
        "auth: open\n",
        "path: mcp\n",
        "names: {max_length: 65}\n",
        "limits: {idle_seconds: 0}\n",
        "servers: {x: }\n",
        "servers: {x: {url: 'https://h', command: y}}\n",
        "servers: {x: {command: y, trust: no}}\n",
        "servers: {x: {command: y, timeout_seconds: 0}}\n",
        "servers: {x_: {command: y}}\n",
        "database: mysql://h/x\n",
        "manifests: x.yml\n",
        "shutdown: {drain_seconds: soon}\n",
    ] {
        assert!(Config::parse("b.yml", text, &|_| None).is_err(), "the reader accepts\n{text}");
        assert!(!CONFIGURATION.is_valid(&json(text)), "the schema accepts\n{text}");
    }
}

#[test]
fn every_key_has_a_description() {
    for schema in [schema::manifest(&Kinds), schema::configuration()] {
        let objects = schema["$defs"].as_object().unwrap().values().chain([&schema]);
        for object in objects.filter(|object| object["additionalProperties"] == json!(false)) {
            for (name, property) in object["properties"].as_object().unwrap() {
                let text = property["description"].as_str().unwrap_or_default();
                assert!(!text.is_empty(), "{name}");
            }
        }
    }
}

#[test]
fn pages_have_every_key() {
    for (schema, page) in [(schema::manifest(&Kinds), schema::manifest_page()), (schema::configuration(), schema::configuration_page())] {
        for key in described(&schema).iter().filter(|key| !key.starts_with("config-")) {
            let (_, name) = key.rsplit_once('/').unwrap();
            assert!(page.contains(&format!("\n| `{name}` | ")), "{key}");
        }
    }
    let page = schema::configuration_page();
    for variable in bailiwick_model::config::VARIABLES {
        assert!(page.contains(&format!("`{}`", variable.name)), "{}", variable.name);
    }
}
