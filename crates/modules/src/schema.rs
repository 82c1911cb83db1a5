//! JSON Schemas of built-in tools, written as short tables.

use serde_json::{Map, Value, json};

/// A property with its type, description and whatever else the `extra` object says.
#[must_use]
pub fn property(kind: &str, description: &str, extra: Value) -> Value {
    let mut schema = match extra {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    schema.insert("type".to_owned(), kind.into());
    schema.insert("description".to_owned(), description.into());
    Value::Object(schema)
}

/// A closed object: no properties beyond the listed ones.
#[must_use]
pub fn object(properties: &[(&str, Value)], required: &[&str]) -> Value {
    let properties: Map<String, Value> = properties.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// A result object. Open and without required members, because a refusal of the same tool carries its own facts as structured data, and
/// some clients hold those against the schema too.
#[must_use]
pub fn output(properties: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> = properties.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({ "type": "object", "properties": properties })
}

/// The served form of a result that is not an object: `{"result": X}` (reference, tool modules section 5).
#[must_use]
pub fn wrapped(result: Value) -> Value {
    output(&[("result", result)])
}
