//! One shape, one schema.

use serde_json::{Map, Value, json};

use crate::reader::{ENTRIES_MAX, SECONDS_MAX};
use crate::shape::{Also, Choice, Key, Need, Section, Shape};

/// Text with a variable in it: it may become anything.
const VARIABLE: &str = r"\$\{";
/// The older words for booleans, in any case.
const BOOLEAN_WORDS: &str = r"^\s*([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|[Yy][Ee][Ss]|[Nn][Oo]|[Oo][Nn]|[Oo][Ff][Ff])\s*$";
const WHOLE_NUMBER: &str = "^[0-9]+$";
const ANY_NUMBER: &str = r"^[+-]?[0-9.]+([eE][+-]?[0-9]+)?$";

/// What other schemas refer to, by name.
#[derive(Default)]
pub(super) struct Definitions(Map<String, Value>);

impl Definitions {
    pub(super) fn put(&mut self, name: &str, schema: Value) {
        self.0.insert(name.to_owned(), schema);
    }

    pub(super) fn finish(mut self) -> Value {
        self.put("variable", json!({ "type": "string", "pattern": VARIABLE }));
        let boolean = json!([{ "type": "boolean" }, { "type": "string", "pattern": or_variable(BOOLEAN_WORDS) }]);
        self.put("boolean", json!({ "anyOf": boolean }));
        Value::Object(self.0)
    }

    /// The reference to a section, whose definition is made at its first use.
    fn section(&mut self, section: &'static Section) -> Value {
        let name = name_of(section.path);
        if !self.0.contains_key(&name) {
            let schema = object(section, self);
            self.put(&name, schema);
        }
        json!({ "$ref": format!("#/$defs/{name}") })
    }
}

/// `servers.NAME.tools` as `servers-NAME-tools`.
pub(super) fn name_of(path: &str) -> String {
    path.replace("[]", "").replace(['.', ' '], "-").replace(['(', ')'], "")
}

fn or_variable(pattern: &str) -> String {
    format!("{pattern}|{VARIABLE}")
}

/// The schema of a value that is there.
pub(super) fn of(shape: Shape, definitions: &mut Definitions) -> Value {
    match shape {
        Shape::Text => json!({ "type": "string" }),
        Shape::Filled => json!({ "type": "string", "pattern": r"\S" }),
        Shape::Format(format) => {
            json!({ "type": "string", "pattern": or_variable(format.pattern), "examples": [format.example] })
        }
        Shape::Scalar | Shape::SecretText => json!({ "type": ["string", "integer", "boolean"] }),
        Shape::JsonScalar => json!({ "type": ["string", "number", "boolean"] }),
        Shape::Boolean => json!({ "$ref": "#/$defs/boolean" }),
        Shape::Integer { min, max } => {
            json!({ "type": ["integer", "string"], "minimum": min, "maximum": max, "pattern": or_variable(WHOLE_NUMBER) })
        }
        Shape::Number => json!({ "type": ["number", "string"], "pattern": or_variable(ANY_NUMBER) }),
        Shape::Seconds { zero } => {
            let least = if zero { "minimum" } else { "exclusiveMinimum" };
            json!({ "type": ["number", "string"], least: 0, "maximum": SECONDS_MAX, "pattern": or_variable(ANY_NUMBER) })
        }
        Shape::Word(words, also) => {
            let words = words.iter().map(|word| json!(word)).chain(match also {
                Also::Nothing => None,
                Also::Empty => Some(json!("")),
                Also::False => Some(json!(false)),
            });
            json!({ "anyOf": [{ "enum": words.collect::<Vec<_>>() }, { "$ref": "#/$defs/variable" }] })
        }
        Shape::WordOr(words, section) => {
            let section = definitions.section(section);
            json!({ "anyOf": [{ "enum": words }, { "$ref": "#/$defs/variable" }, section] })
        }
        Shape::List(of_what) => json!({ "type": "array", "maxItems": ENTRIES_MAX, "items": of(*of_what, definitions) }),
        Shape::FullList(of_what) => json!({ "type": "array", "minItems": 1, "maxItems": ENTRIES_MAX, "items": of(*of_what, definitions) }),
        Shape::Entries { names, value, empty } => {
            let value = of(*value, definitions);
            let value = if empty { nullable(value) } else { value };
            let names = json!({ "pattern": names.pattern });
            json!({ "type": "object", "maxProperties": ENTRIES_MAX, "propertyNames": names, "additionalProperties": value })
        }
        Shape::Section(section) => definitions.section(section),
        Shape::Modules => json!({ "$ref": "#/$defs/modules" }),
        Shape::Config | Shape::AnyMap => json!({ "type": "object" }),
        Shape::AnyList => json!({ "type": "array" }),
        Shape::Any => json!({}),
    }
}

/// A mapping with known keys.
pub(super) fn object(section: &'static Section, definitions: &mut Definitions) -> Value {
    let properties: Map<String, Value> =
        section.keys.iter().map(|key| (key.name.to_owned(), documented(key, of(key.shape, definitions)))).collect();
    let mut schema = json!({ "description": section.doc, "type": "object", "additionalProperties": false, "properties": properties });
    let required: Vec<&str> = section.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    let needs: Vec<Value> = section.needs.iter().map(need).collect();
    if !needs.is_empty() {
        schema["allOf"] = json!(needs);
    }
    match section.choice {
        Choice::Free => {}
        Choice::OneOf(keys) => schema["oneOf"] = keys.iter().map(|key| has(key)).collect(),
        Choice::AnyOf(keys) => schema["anyOf"] = keys.iter().map(|key| has(key)).collect(),
    }
    schema
}

/// The schema of a key of `section` with another schema for its value.
pub(super) fn described(section: &Section, name: &str, schema: Value) -> Value {
    match section.keys.iter().find(|key| key.name == name) {
        Some(key) => documented(key, schema),
        None => schema,
    }
}

fn documented(key: &Key, schema: Value) -> Value {
    present(schema, key.doc, default_of(key), key.required)
}

/// What is shown of a key in an editor; one that may be absent may be null too.
pub(super) fn present(schema: Value, doc: &str, default: Option<Value>, required: bool) -> Value {
    let mut shown = json!({ "description": doc });
    if let Some(default) = default {
        shown["default"] = default;
    }
    let schema = if required { schema } else { nullable(schema) };
    if let (Value::Object(shown), Value::Object(rest)) = (&mut shown, schema) {
        shown.extend(rest);
    }
    shown
}

/// The default as a value.
pub(super) fn default_of(key: &Key) -> Option<Value> {
    match key.shape {
        Shape::Text => Some(json!(key.default)),
        _ if key.default.is_empty() => None,
        Shape::Integer { .. } => key.default.replace('_', "").parse::<u64>().ok().map(Value::from),
        Shape::Boolean | Shape::Number | Shape::Seconds { .. } | Shape::List(_) | Shape::FullList(_) => {
            serde_json::from_str(key.default).ok()
        }
        _ => Some(json!(key.default)),
    }
}

fn nullable(mut schema: Value) -> Value {
    let nothing = json!({ "type": "null" });
    // Keywords beside `type` speak about one type of values each, so that another type can be added to it.
    match schema.get_mut("type") {
        Some(Value::String(only)) => {
            schema["type"] = json!([only, "null"]);
            return schema;
        }
        Some(Value::Array(types)) => {
            types.push(json!("null"));
            return schema;
        }
        _ => {}
    }
    match schema.get_mut("anyOf") {
        Some(Value::Array(any)) => {
            any.push(nothing);
            schema
        }
        _ => json!({ "anyOf": [schema, nothing] }),
    }
}

/// `key` is there and not null.
fn has(key: &str) -> Value {
    json!({ "required": [key], "properties": { key: { "not": { "type": "null" } } } })
}

fn need(need: &Need) -> Value {
    json!({ "if": { "required": [need.when], "properties": { need.when: { "const": need.word } } }, "then": has(need.key) })
}
