//! What the tools say of themselves. Models choose tools by these words.

use bailiwick_modules::{Access, ContentTrust, Hints, ToolSpec, schema};
use serde_json::{Value, json};

/// Longest time to live: a hundred years.
pub(crate) const TTL_SECONDS_MAX: u64 = 3_155_760_000;

pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) access: Access,
    pub(crate) spec: fn() -> ToolSpec,
}

pub(crate) const ALL: &[Tool] = &[
    Tool { name: "get_key", access: Access::Read, spec: get_key },
    Tool { name: "list_keys", access: Access::Read, spec: list_keys },
    Tool { name: "set_key", access: Access::Write, spec: set_key },
    Tool { name: "delete_key", access: Access::Write, spec: delete_key },
];

fn key() -> (&'static str, Value) {
    ("key", schema::property("string", "Name of the key among your own keys.", json!({ "minLength": 1 })))
}

fn get_key() -> ToolSpec {
    ToolSpec {
        name: "get_key".into(),
        title: "Read a key".into(),
        description: "Returns the text under one of your keys, or null when there is none.".into(),
        input_schema: schema::object(&[key()], &["key"]),
        output_schema: Some(schema::wrapped(json!({ "type": ["string", "null"], "description": "The value, or null." }))),
        access: Access::Read,
        hints: Hints::READ,
    }
}

fn list_keys() -> ToolSpec {
    let pattern = schema::property("string", "Glob over the names of your keys: `*`, `?` and `[abc]`.", json!({ "default": "*" }));
    ToolSpec {
        name: "list_keys".into(),
        title: "List keys".into(),
        description: "Returns the names of your keys that match a pattern, sorted.".into(),
        input_schema: schema::object(&[("pattern", pattern)], &[]),
        output_schema: Some(schema::wrapped(schema::property("array", "The names.", json!({ "items": { "type": "string" } })))),
        access: Access::Read,
        hints: Hints::READ,
    }
}

fn set_key() -> ToolSpec {
    let ttl = json!({ "default": 0, "minimum": 0, "maximum": TTL_SECONDS_MAX });
    ToolSpec {
        name: "set_key".into(),
        title: "Write a key".into(),
        description: "Keeps a text under one of your keys; what was there is replaced.".into(),
        input_schema: schema::object(
            &[
                key(),
                ("value", schema::property("string", "The text to keep.", json!({}))),
                ("ttl", schema::property("integer", "Seconds after which the key is gone; 0 keeps it.", ttl)),
            ],
            &["key", "value"],
        ),
        output_schema: Some(schema::wrapped(schema::property("boolean", "Always true; a refusal is an error.", json!({ "const": true })))),
        access: Access::Write,
        hints: Hints { destructive: true, idempotent: true, open_world: false, content: ContentTrust::Trusted },
    }
}

fn delete_key() -> ToolSpec {
    ToolSpec {
        name: "delete_key".into(),
        title: "Delete a key".into(),
        description: "Removes one of your keys.".into(),
        input_schema: schema::object(&[key()], &["key"]),
        output_schema: Some(schema::wrapped(schema::property("boolean", "Whether the key existed.", json!({})))),
        access: Access::Write,
        hints: Hints { destructive: true, idempotent: false, open_world: false, content: ContentTrust::Trusted },
    }
}
