//! Names whose values are never shown.

use serde_json::Value;

/// Compared without case, `_` and `-`, so that `apiKey`, `API-KEY` and `api_key` are one.
const NAMES: &[&str] = &[
    "authorization",
    "cookie",
    "session",
    "bearer",
    "password",
    "passwd",
    "token",
    "secret",
    "apikey",
    "accesstoken",
    "refreshtoken",
    "leaseid",
    "accessor",
    "secretid",
    "roleid",
];

/// Last words of names, after `_` or `-`.
const ENDINGS: &[&str] = &["token", "password", "secret", "key", "credentials", "pwd", "pass", "auth"];

/// Longest name that is compared; a longer one is hidden without looking.
const NAME_BYTES_MAX: usize = 256;

/// Whether the value of the member `name` must not be shown. `more` are further names, compared as they are.
#[must_use]
pub fn is_sensitive_key(name: &str, more: &[String]) -> bool {
    if name.len() > NAME_BYTES_MAX {
        return true;
    }
    let ending = name.rsplit(['_', '-']).next().filter(|last| last.len() < name.len());
    ending.is_some_and(|last| ENDINGS.iter().any(|e| last.eq_ignore_ascii_case(e)))
        || NAMES.iter().any(|known| same(name, known))
        || more.iter().any(|m| m == name)
}

fn same(name: &str, known: &str) -> bool {
    let mut letters = name.bytes().filter(|b| *b != b'_' && *b != b'-').map(|b| b.to_ascii_lowercase());
    known.bytes().all(|k| letters.next() == Some(k)) && letters.next().is_none()
}

/// Names of properties that a JSON Schema marks as secret (`format: password`, `writeOnly`, `x-sensitive`), at any depth.
#[must_use]
pub fn sensitive_properties(schema: &Value) -> Vec<String> {
    let mut names = Vec::new();
    collect(schema, &mut names);
    names.sort_unstable();
    names.dedup();
    names
}

fn collect(schema: &Value, names: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get("properties") {
                names.extend(properties.iter().filter(|(_, p)| is_marked(p)).map(|(name, _)| name.clone()));
            }
            members.values().for_each(|m| collect(m, names));
        }
        Value::Array(items) => items.iter().for_each(|i| collect(i, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_marked(property: &Value) -> bool {
    let is_true = |name: &str| property.get(name).and_then(Value::as_bool) == Some(true);
    property.get("format").and_then(Value::as_str) == Some("password") || is_true("writeOnly") || is_true("x-sensitive")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_reference() {
        for name in [
            "Authorization",
            "COOKIE",
            "api_key",
            "apikey",
            "apiKey",
            "access-token",
            "GH_TOKEN",
            "my_pwd",
            "x_pass",
            "X-Auth",
            "db_credentials",
        ] {
            assert!(is_sensitive_key(name, &[]), "{name}");
        }
        for name in ["path", "key", "keyboard", "tokens", "compass", "auth", "author", "monkey", ""] {
            assert!(!is_sensitive_key(name, &[]), "{name}");
        }
        assert!(is_sensitive_key("pin", &["pin".to_owned()]));
        assert!(is_sensitive_key(&"a".repeat(300), &[]));
    }
}
