//! Schemas of the usual kind, checked on the text itself.
//!
//! Most tools want an object of plain members. To check that, the validator needs a tree of the whole instance: a copy of every
//! megabyte that is passed on. What is looked at here may only say yes: where it is not certain, the validator decides, and words
//! the refusal.

use bailiwick_mcp::{Json, Kind};
use serde_json::Value;

/// Levels of a schema that are taken. The text of a value is gone over once for each level around it.
const LEVELS_MAX: usize = 4;
/// Longest spelling of a number that is certain to have a value: without an exponent it cannot be too large.
const NUMBER_BYTES_MAX: usize = 64;

/// What a schema says, when it says nothing but this. The default takes every scalar.
#[derive(Default)]
pub(super) struct Plain {
    /// One of these types; any when absent.
    types: Option<Vec<Type>>,
    /// One of these strings; anything when absent.
    words: Option<Vec<Box<str>>>,
    members: Vec<(Box<str>, Plain)>,
    required: Vec<Box<str>>,
    /// Members without a schema are refused.
    closed: bool,
    elements: Option<Box<Plain>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Type {
    Of(Kind),
    Integer,
}

impl Plain {
    /// `None` when the schema says more than is understood here. It must be one that the validator takes.
    pub(super) fn of(schema: &Value) -> Option<Self> {
        Self::level(schema, 0)
    }

    fn level(schema: &Value, level: usize) -> Option<Self> {
        if level > LEVELS_MAX {
            return None;
        }
        let mut plain = Self::default();
        for (keyword, value) in schema.as_object()? {
            plain.keyword(keyword, value, level)?;
        }
        Some(plain)
    }

    fn keyword(&mut self, keyword: &str, value: &Value, level: usize) -> Option<()> {
        match keyword {
            "$schema" | "$comment" | "title" | "description" | "default" | "examples" | "deprecated" | "readOnly" | "writeOnly" => {}
            "type" => self.types = Some(types(value)?),
            "enum" => self.words = Some(words(value)?),
            "required" => self.required = words(value)?,
            "additionalProperties" => self.closed = !value.as_bool()?,
            "items" => self.elements = Some(Box::new(Self::level(value, level + 1)?)),
            "properties" => {
                let member = |(name, schema): (&String, &Value)| Some((name.as_str().into(), Self::level(schema, level + 1)?));
                self.members = value.as_object()?.iter().map(member).collect::<Option<_>>()?;
            }
            _ => return None,
        }
        Some(())
    }

    /// True when the instance certainly fits.
    pub(super) fn accepts(&self, instance: &Json) -> bool {
        let kind = instance.kind();
        let of_type = |of: &Type| match of {
            Type::Of(wanted) => *wanted == kind,
            Type::Integer => instance.integer().is_some(),
        };
        if self.types.as_ref().is_some_and(|types| !types.iter().any(of_type)) {
            return false;
        }
        if let Some(words) = &self.words
            && !instance.string().is_some_and(|text| words.iter().any(|word| **word == *text))
        {
            return false;
        }
        match kind {
            Kind::Object => self.accepts_members(instance),
            Kind::Array => self.elements.as_ref().is_some_and(|plain| instance.elements().all(|element| plain.accepts(&element))),
            Kind::Number => has_value(instance),
            Kind::Null | Kind::Bool | Kind::String => true,
        }
    }

    fn accepts_members(&self, instance: &Json) -> bool {
        let fits = |name: &str, member: &Json| match self.members.iter().find(|(known, _)| **known == *name) {
            Some((_, plain)) => plain.accepts(member),
            None => !self.closed && Self::default().accepts(member),
        };
        self.required.iter().all(|name| instance.has(name)) && instance.members().all(|(name, member)| fits(&name, &member))
    }
}

/// The validator's tree cannot hold every number that JSON can spell.
fn has_value(number: &Json) -> bool {
    number.number_text().is_some_and(|text| text.len() <= NUMBER_BYTES_MAX && !text.contains(['e', 'E']))
}

fn types(value: &Value) -> Option<Vec<Type>> {
    let one = |value: &Value| {
        Some(match value.as_str()? {
            "null" => Type::Of(Kind::Null),
            "boolean" => Type::Of(Kind::Bool),
            "number" => Type::Of(Kind::Number),
            "string" => Type::Of(Kind::String),
            "array" => Type::Of(Kind::Array),
            "object" => Type::Of(Kind::Object),
            "integer" => Type::Integer,
            _ => return None,
        })
    };
    match value {
        Value::Array(several) => several.iter().map(one).collect(),
        single => Some(vec![one(single)?]),
    }
}

fn words(value: &Value) -> Option<Vec<Box<str>>> {
    value.as_array()?.iter().map(|word| word.as_str().map(Into::into)).collect()
}

#[cfg(test)]
mod tests {
    use bailiwick_mcp::Limits;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn accepts(schema: &Value, instance: &str) -> bool {
        let instance = Json::check(instance.to_owned().into(), &Limits::REQUEST).unwrap();
        Plain::of(schema).is_some_and(|plain| plain.accepts(&instance))
    }

    #[test]
    fn the_usual_schemas_are_taken() {
        let schema = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "additionalProperties": false,
            "properties": {"path": {"type": "string", "description": "d"}, "n": {"type": ["integer", "null"], "default": 1},
                "mode": {"type": "string", "enum": ["a", "b"]}, "list": {"type": "array", "items": {"type": "object"}}},
            "required": ["path"]});
        for good in [r#"{"path":""}"#, r#"{"path":"x","n":null,"mode":"b","list":[{},{"x":1}]}"#, r#"{"p\u0061th":"x","n":-3}"#] {
            assert!(accepts(&schema, good), "{good}");
        }
        for other in [
            "{}",
            "[]",
            r#"{"path":1}"#,
            r#"{"path":"","n":1.0}"#,
            r#"{"path":"","mode":"c"}"#,
            r#"{"path":"","list":[1]}"#,
            r#"{"path":"","x":1}"#,
            r#"{"path":"","list":[{"x":[]}]}"#,
        ] {
            assert!(!accepts(&schema, other), "{other}");
        }
    }

    #[test]
    fn whatever_else_a_schema_says_is_left_to_the_validator() {
        let more = [
            json!(true),
            json!({"type": "string", "format": "uri"}),
            json!({"minimum": 1}),
            json!({"items": [{}]}),
            json!({"enum": [1]}),
            json!({"additionalProperties": {"type": "string"}}),
            json!({"properties": {"a": {"$ref": "#"}}}),
            json!({"required": true}),
            json!({"properties": {"a": {"properties": {"b": {"properties": {"c": {"properties": {"d": {"properties": {"e": {}}}}}}}}}}}),
        ];
        for schema in more {
            assert!(Plain::of(&schema).is_none(), "{schema}");
        }
        assert!(!accepts(&json!({}), "1e999") && accepts(&json!({}), "1.5"));
    }

    /// Schemas of the keywords that are taken, and some that are not.
    fn schema() -> impl Strategy<Value = Value> {
        let types =
            prop::sample::select(vec![json!("string"), json!("integer"), json!("number"), json!("object"), json!(["array", "null"])]);
        let leaf = prop_oneof![
            Just(json!({})),
            types.prop_map(|t| json!({ "type": t })),
            Just(json!({"enum": ["a", "b"]})),
            Just(json!({"minLength": 2})),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|items| json!({"type": "array", "items": items})),
                (prop::collection::btree_map("[abc]", inner, 0..3), prop::collection::vec("[abc]", 0..2), any::<bool>()).prop_map(
                    |(properties, required, open)| json!({"properties": properties, "required": required, "additionalProperties": open})
                ),
            ]
        })
        .prop_filter("`required` names differ", |schema| jsonschema::options().build(schema).is_ok())
    }

    fn instance() -> impl Strategy<Value = Value> {
        let numbers = prop::sample::select(vec![json!(0), json!(1.0), json!(-2.5), json!(1e300), json!(u64::MAX)]);
        let leaf = prop_oneof![Just(json!(null)), any::<bool>().prop_map(Value::from), numbers, "[abc]{0,3}".prop_map(Value::from)];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[abcd]", inner, 0..3).prop_map(|members| json!(members)),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_yes_is_the_validators_yes(schema in schema(), instance in instance()) {
            if accepts(&schema, &instance.to_string()) {
                prop_assert!(jsonschema::options().build(&schema).unwrap().is_valid(&instance), "{} {}", schema, instance);
            }
        }
    }
}
