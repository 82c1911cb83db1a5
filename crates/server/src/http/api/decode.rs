//! Parts of a request become types, strictly: nothing unknown, nothing twice. What is said of a mistake names the place and the rule and
//! never repeats the value, which may be a secret.

use bailiwick_gateway::operations::{Fault, Wrong};
use bailiwick_mcp::json::{Json, Limits};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize as _, Deserializer};
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};

/// Bodies of the API are flat: this is far more than any needs.
const LIMITS: Limits = Limits { bytes_max: bailiwick_gateway::MANAGE_BODY_BYTES_MAX, depth_max: 16, tokens_max: 10_000 };
/// Characters of a name that a message repeats at most.
const NAME_CHARS_MAX: usize = 64;

/// The body of a request.
///
/// # Errors
/// With a JSON pointer to what cannot be used.
pub(crate) fn body<T: DeserializeOwned>(text: &Bytes) -> Result<T, Fault> {
    let checked = Json::check(text.clone(), &LIMITS).map_err(|fault| Fault::invalid("", fault.to_string()))?;
    let mut reader = serde_json::Deserializer::from_str(checked.as_str());
    serde_path_to_error::deserialize(&mut reader).map_err(|fault| {
        let rule = rule(&fault.inner().to_string());
        wrong(&pointer(fault.path()), rule)
    })
}

/// The parameters of a path or a query.
///
/// # Errors
/// With the name of the parameter.
pub(crate) fn parameters<T: DeserializeOwned>(values: Map<String, Value>) -> Result<T, Fault> {
    serde_path_to_error::deserialize(Value::Object(values)).map_err(|fault| {
        let name = fault.path().iter().find_map(|segment| match segment {
            Segment::Map { key } => Some(key.clone()),
            _ => None,
        });
        let rule = rule(&fault.inner().to_string());
        let place = name.or_else(|| quoted(&rule)).unwrap_or_default();
        Fault::invalid(printable(&place), rule)
    })
}

/// The parameters of a query as values of the types that `schema` gives them. Each at most once.
///
/// # Errors
/// With the name of the parameter.
pub(crate) fn query(text: Option<&str>, schema: &Value) -> Result<Map<String, Value>, Fault> {
    let mut found = Map::new();
    for (name, value) in url::form_urlencoded::parse(text.unwrap_or_default().as_bytes()) {
        let Some(property) = schema["properties"].get(&*name) else {
            return Err(Fault::invalid(printable(&name), "no such parameter"));
        };
        let typed = typed(&value, property).ok_or_else(|| Fault::invalid(&*name, "not of the type that the parameter has"))?;
        if found.insert(name.to_string(), typed).is_some() {
            return Err(Fault::invalid(&*name, "given twice"));
        }
    }
    Ok(found)
}

/// A whole number as JSON Schema has it: `3.0` is one (JSON Schema 2020-12 validation, section 6.1.1).
pub(crate) fn whole<'de, D: Deserializer<'de>>(reader: D) -> Result<u32, D::Error> {
    let number = serde_json::Number::deserialize(reader)?;
    let plain = number.as_u64().and_then(|whole| u32::try_from(whole).ok());
    let written = || format!("{:.0}", number.as_f64().filter(|value| value.fract() == 0.0)?).parse().ok();
    plain.or_else(written).ok_or_else(|| serde::de::Error::custom("expected a whole number"))
}

fn typed(text: &str, property: &Value) -> Option<Value> {
    let of_type = |name: &str| property["type"] == name || property["type"].as_array().is_some_and(|types| types.iter().any(|t| t == name));
    if of_type("integer") {
        let plain = text.bytes().all(|b| b.is_ascii_digit());
        return text.parse::<u64>().ok().filter(|_| plain).map(Value::from);
    }
    if of_type("boolean") {
        return text.parse::<bool>().ok().map(Value::from);
    }
    Some(Value::from(text))
}

fn wrong(parent: &str, rule: String) -> Fault {
    // What is missing or unknown is a member of the place that serde names.
    let member = ["unknown field", "missing field"].iter().any(|word| rule.starts_with(word)).then(|| quoted(&rule)).flatten();
    let place = match member {
        Some(name) if !parent.ends_with(&format!("/{}", escaped(&name))) => format!("{parent}/{}", escaped(&name)),
        _ => parent.to_owned(),
    };
    let message = if place.is_empty() { format!("the body: {rule}") } else { format!("`{place}`: {rule}") };
    let fault = Fault::invalid("", "");
    Fault { message: message.into(), errors: vec![Wrong { place, rule }], ..fault }
}

/// RFC 6901.
fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", escaped(&printable(key)))),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// serde repeats the value in front of what it expected; only the latter is said.
fn rule(text: &str) -> String {
    let text = text.rsplit_once(" at line ").map_or(text, |(text, _)| text);
    match text.split_once("expected ") {
        Some((_, "f64" | "u32" | "u8" | "i64")) => "expected a number".to_owned(),
        Some((front, expected)) if !front.starts_with("unknown field") => format!("expected {expected}"),
        _ if text.starts_with("invalid ") => "not a usable value".to_owned(),
        _ => printable(text),
    }
}

/// What stands between the first two backticks.
fn quoted(text: &str) -> Option<String> {
    text.split('`').nth(1).map(str::to_owned)
}

/// A name as it came from outside, made safe for terminals and cut.
fn printable(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(NAME_CHARS_MAX * 4)
        .flat_map(|c| if super::text::is_hidden(c) { c.escape_unicode().collect() } else { vec![c] })
        .collect();
    if text.chars().count() > NAME_CHARS_MAX * 4 {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[allow(dead_code, reason = "read by nobody, decoded all the same")]
        name: String,
        #[allow(dead_code, reason = "read by nobody, decoded all the same")]
        list: Vec<u8>,
    }

    fn refused(text: &str) -> (String, String) {
        let fault = body::<Body>(&Bytes::from(text.to_owned())).unwrap_err();
        let wrong = fault.errors.into_iter().next().unwrap();
        (wrong.place, wrong.rule)
    }

    #[test]
    fn mistakes_name_their_place_and_not_the_value() {
        assert_eq!(refused(r#"{"name": 5, "list": []}"#), ("/name".into(), "expected a string".into()));
        assert_eq!(refused(r#"{"name": "x", "list": ["hunter2"]}"#), ("/list/0".into(), "expected a number".into()));
        assert_eq!(refused(r#"{"name": "x"}"#), ("/list".into(), "missing field `list`".into()));
        assert_eq!(refused(r#"{"name": "x", "list": [], "a/b": 1}"#).0, "/a~1b");
        assert_eq!(refused(r#"{"name": "x", "name": "y", "list": []}"#).1, "a member name occurs twice in one object at byte 14");
        assert_eq!(refused("{").0, "");
        assert!(!format!("{:?}", refused(r#"["hunter2"]"#)).contains("hunter2"));
        assert!(!format!("{:?}", refused(r#"{"name": "x", "list": "hunter2"}"#)).contains("hunter2"));
    }

    #[test]
    fn parameters_are_typed_and_come_once() {
        let schema = serde_json::json!({"properties": {"limit": {"type": ["integer", "null"]}, "cursor": {"type": "string"}, "ok": {"type": "boolean"}}});
        let read = |text| query(Some(text), &schema).map(Value::Object).map_err(|fault| fault.errors[0].place.clone());
        assert_eq!(read("limit=5&cursor=a%20b&ok=true").unwrap(), serde_json::json!({"limit": 5, "cursor": "a b", "ok": true}));
        for (text, name) in
            [("limit=x", "limit"), ("limit=+5", "limit"), ("limit=1&limit=2", "limit"), ("other=1", "other"), ("ok=1", "ok")]
        {
            assert_eq!(read(text).unwrap_err(), name, "{text}");
        }
    }
}
