//! Values between JSON and the engine.

use data_encoding::BASE64;
use rusqlite::types::{Value, ValueRef};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::fault::ToolFault;

/// Most values in `params`; the engine has the same limit.
const PARAMS_MAX: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Blob {
    #[serde(rename = "$base64")]
    base64: String,
}

/// The values of `params` as the engine takes them: null, booleans (as 0 and 1), numbers, texts and `{"$base64": "..."}`.
///
/// Read from the raw text, because a JSON library turns an integer beyond 64 bits into a rounded number.
pub(super) fn params(raw: &[Box<RawValue>]) -> Result<Vec<Value>, ToolFault> {
    if raw.len() > PARAMS_MAX {
        return Err(ToolFault::limit(
            "params",
            PARAMS_MAX as u64,
            format!("params has more than {PARAMS_MAX} values"),
            "use several calls",
        ));
    }
    raw.iter().enumerate().map(|(index, value)| param(value.get()).ok_or_else(|| unfit(index))).collect()
}

fn param(text: &str) -> Option<Value> {
    match text.as_bytes().first()? {
        b'n' => Some(Value::Null),
        b't' => Some(Value::Integer(1)),
        b'f' => Some(Value::Integer(0)),
        b'"' => serde_json::from_str(text).ok().map(Value::Text),
        b'{' => {
            let blob: Blob = serde_json::from_str(text).ok()?;
            BASE64.decode(blob.base64.as_bytes()).ok().map(Value::Blob)
        }
        b'-' | b'0'..=b'9' if text.contains(['.', 'e', 'E']) => text.parse().ok().filter(|real: &f64| real.is_finite()).map(Value::Real),
        b'-' | b'0'..=b'9' => text.parse().ok().map(Value::Integer),
        _ => None,
    }
}

fn unfit(index: usize) -> ToolFault {
    ToolFault::invalid(
        format!("params[{index}] cannot be bound"),
        "use null, a boolean, a text, a number (integers within 64 bits), or {\"$base64\": \"...\"} for bytes",
    )
}

/// Appends one value to JSON text. Integers stay exact, infinities become null, bytes and torn text become `{"$base64": "..."}`.
pub(super) fn write(out: &mut Vec<u8>, value: ValueRef<'_>) -> Result<(), ToolFault> {
    let written = match value {
        ValueRef::Null => serde_json::to_writer(out, &()),
        ValueRef::Integer(number) => serde_json::to_writer(out, &number),
        ValueRef::Real(number) => serde_json::to_writer(out, &Some(number).filter(|n| n.is_finite())),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => serde_json::to_writer(out, text),
            Err(_) => return write_bytes(out, bytes),
        },
        ValueRef::Blob(bytes) => return write_bytes(out, bytes),
    };
    written.map_err(|e| ToolFault::internal(format!("value has no JSON form: {e}")))
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), ToolFault> {
    out.extend_from_slice(b"{\"$base64\":\"");
    out.extend_from_slice(BASE64.encode(bytes).as_bytes());
    out.extend_from_slice(b"\"}");
    Ok(())
}

/// The members' names of a row object: columns as named, a repeated name with `_2`, `_3` and so on.
pub(super) fn column_names(columns: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(columns.len());
    for (index, column) in columns.iter().enumerate() {
        let mut name = (*column).to_owned();
        let mut count = 1;
        // A suffixed name must not meet a column that really has that name, before or after it.
        while names.contains(&name) || (count > 1 && columns[index..].contains(&name.as_str())) {
            count += 1;
            name = format!("{column}_{count}");
        }
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn repeated_names_get_suffixes() {
        assert_eq!(column_names(&["a", "b", "a", "a"]), ["a", "b", "a_2", "a_3"]);
        assert_eq!(column_names(&["a", "a", "a_2"]), ["a", "a_3", "a_2"]);
        assert_eq!(column_names(&["a_2", "a", "a"]), ["a_2", "a", "a_3"]);
    }

    #[test]
    fn parameters_are_exact_or_refused() {
        for (text, value) in [
            ("null", Value::Null),
            ("true", Value::Integer(1)),
            ("-9223372036854775808", Value::Integer(i64::MIN)),
            ("9007199254740993", Value::Integer(9_007_199_254_740_993)),
            ("1e3", Value::Real(1000.0)),
            ("\"\\u00e9\"", Value::Text("é".into())),
            ("{\"$base64\":\"AP8=\"}", Value::Blob(vec![0, 255])),
        ] {
            assert_eq!(param(text), Some(value), "{text}");
        }
        for text in ["9223372036854775808", "1e999", "[]", "{}", "{\"$base64\":\"?\"}", "{\"$base64\":\"\",\"x\":1}"] {
            assert_eq!(param(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn names_are_unique(columns in proptest::collection::vec("[ab](_[23])?", 0..8)) {
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            let mut names = column_names(&columns);
            names.sort();
            names.dedup();
            prop_assert_eq!(names.len(), columns.len());
        }
    }
}
