//! Makes values readable without giving secrets away (reference, tool modules section 7, governance section 4.1, security section 4).
//!
//! Order matters: names first, then patterns, then cutting, so that no half of a secret survives the cut. Lengths of
//! replacements do not depend on what they replace.

mod keys;
mod patterns;
mod values;

use std::borrow::Cow;

use serde_json::Value;

pub use keys::{is_sensitive_key, sensitive_properties};
pub use patterns::scrub;
pub use values::{SecretValues, VALUE_BYTES_MIN, in_json};

/// What stands instead of the value of a sensitive member.
pub const REDACTED: &str = "<redacted>";

/// Characters of one argument in a row of the index.
pub const ARGUMENT_CHARS_MAX: usize = 300;

/// Characters of the text of an error.
pub const ERROR_CHARS_MAX: usize = 500;

/// Characters of one string in an audit line.
pub const LINE_STRING_CHARS_MAX: usize = 500;

/// How much of a text is looked at for patterns: what is shown of it, and enough behind that to recognise what begins there.
const WINDOW_BYTES_MAX: usize = 8 << 10;

/// The longest escape is a pair of surrogates.
const ESCAPE_BYTES_MAX: usize = 12;

/// As many bytes of a JSON string as mean a whole window, even if every character is written as `\uXXXX`.
const ESCAPED_WINDOW_BYTES_MAX: usize = 6 * WINDOW_BYTES_MAX + ESCAPE_BYTES_MAX;

/// Arguments for a row of the index: numbers, booleans and null as they are, everything else as text of at most 300 characters.
/// `None` for no arguments. `members` are names and valid JSON values; `sensitive` are further names to hide, e.g. from
/// [`sensitive_properties`].
#[must_use]
pub fn readable_args<N: AsRef<str>, V: AsRef<[u8]>>(members: impl Iterator<Item = (N, V)>, sensitive: &[String]) -> Option<String> {
    let mut out = String::new();
    for (name, value) in members {
        let (name, value) = (name.as_ref(), value.as_ref());
        out.push(if out.is_empty() { '{' } else { ',' });
        push_string(&mut out, &cut(&scrub(window(name)), ARGUMENT_CHARS_MAX));
        out.push(':');
        if is_sensitive_key(name, sensitive) {
            push_string(&mut out, REDACTED);
        } else {
            push_argument(&mut out, value, sensitive);
        }
    }
    (!out.is_empty()).then(|| out + "}")
}

fn push_argument(out: &mut String, raw: &[u8], sensitive: &[String]) {
    match raw.first() {
        Some(b'"') => push_string(out, &cut(&scrub(window(&string_window(raw))), ARGUMENT_CHARS_MAX)),
        Some(b'{' | b'[') => {
            let mut value: Value = serde_json::from_slice(raw).unwrap_or_default();
            clean(&mut value, sensitive);
            push_string(out, &cut(&value.to_string(), ARGUMENT_CHARS_MAX));
        }
        _ => match std::str::from_utf8(raw) {
            Ok(raw) if raw.len() <= ARGUMENT_CHARS_MAX => out.push_str(raw),
            raw => push_string(out, &cut(raw.unwrap_or_default(), ARGUMENT_CHARS_MAX)),
        },
    }
}

/// What a JSON string means, at least as far as [`window`] looks: of a megabyte nobody sees more than a few hundred characters.
fn string_window(raw: &[u8]) -> Cow<'_, str> {
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    let near = &inner[..inner.len().min(WINDOW_BYTES_MAX)];
    if memchr::memchr(b'\\', near).is_none() {
        return near.utf8_chunks().next().map(|chunk| chunk.valid().into()).unwrap_or_default();
    }
    if inner.len() <= ESCAPED_WINDOW_BYTES_MAX {
        return serde_json::from_slice::<String>(raw).unwrap_or_default().into();
    }
    // The cut may fall into a character or an escape; one a few bytes before does not.
    let cuts = (0..=ESCAPE_BYTES_MAX).map(|back| [b"\"", &inner[..ESCAPED_WINDOW_BYTES_MAX - back], b"\""].concat());
    cuts.into_iter().find_map(|cut| serde_json::from_slice::<String>(&cut).ok()).unwrap_or_default().into()
}

/// Arguments for an audit line: the same shape with sensitive members replaced and long strings cut to 500 characters and
/// `...<truncated N bytes>`. Null for a text that is no JSON.
#[must_use]
pub fn line_args(arguments: &str, sensitive: &[String]) -> Value {
    let mut value: Value = serde_json::from_str(arguments).unwrap_or_default();
    clean(&mut value, sensitive);
    value
}

/// A sentence for the column `error`: without secrets, on one line, at most 500 characters.
#[must_use]
pub fn readable_error(text: &str) -> String {
    escape_line(&cut(&scrub(window(text)), ERROR_CHARS_MAX)).into_owned()
}

/// What stands for bytes that are no text.
#[must_use]
pub fn binary(len: usize) -> String {
    format!("<binary {len} bytes>")
}

/// Replaces sensitive members at any depth, and patterns in every string, and cuts strings. Depth is bounded by the parser.
fn clean(value: &mut Value, sensitive: &[String]) {
    match value {
        Value::String(text) => *text = line_string(text),
        Value::Array(items) => items.iter_mut().for_each(|item| clean(item, sensitive)),
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                if is_sensitive_key(name, sensitive) {
                    *member = Value::String(REDACTED.to_owned());
                } else {
                    clean(member, sensitive);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn line_string(text: &str) -> String {
    let shown = scrub(window(text));
    match shown.char_indices().nth(LINE_STRING_CHARS_MAX) {
        None if window(text).len() == text.len() => shown.into_owned(),
        found => {
            let end = found.map_or(shown.len(), |(at, _)| at);
            // Counted on the original, so that the length of what was replaced does not show.
            let kept: usize = text.chars().take(LINE_STRING_CHARS_MAX).map(char::len_utf8).sum();
            format!("{}...<truncated {} bytes>", &shown[..end], text.len() - kept)
        }
    }
}

/// The first `chars` characters, with `…` when there are more.
fn cut(text: &str, chars: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}\u{2026}", &text[..end])),
    }
}

fn window(text: &str) -> &str {
    &text[..text.floor_char_boundary(WINDOW_BYTES_MAX)]
}

fn push_string(out: &mut String, text: &str) {
    let quoted = serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned());
    out.push_str(&escape_line(&quoted));
}

/// Replaces every character that could end a line, move the cursor, hide, or turn the direction of text by its `\uXXXX` form. In
/// JSON text these characters stand only inside strings, so that JSON stays JSON.
#[must_use]
pub fn escape_line(text: &str) -> Cow<'_, str> {
    let plain = text.bytes().all(|b| (0x20..0x7F).contains(&b));
    if plain || !text.chars().any(is_deceptive) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_deceptive(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Controls, separators of lines, marks of direction, characters without width, and tags.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}')
        || matches!(c, '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use proptest::prelude::*;
    use serde::de::{Deserializer as _, MapAccess, Visitor};
    use serde_json::json;
    use serde_json::value::RawValue;

    use super::*;

    fn readable_args(arguments: &str, sensitive: &[String]) -> Option<String> {
        super::readable_args(members(arguments).iter().map(|(name, value)| (name, value.get())), sensitive)
    }

    /// Top-level members in their order, values as they are written; none of what is no object.
    fn members(arguments: &str) -> Vec<(String, Box<RawValue>)> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(String, Box<RawValue>)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        serde_json::Deserializer::from_str(arguments).deserialize_map(Members).unwrap_or_default()
    }

    #[test]
    fn arguments_keep_their_shape_and_lose_their_secrets() {
        let args = r#"{"path":"a/b","n":12345678901234567890123,"deep":{"password":"hunter2","list":[{"X_API_KEY":"k","q":1}]},"apiKey":"s","ok":null}"#;
        let out = readable_args(args, &[]).unwrap();
        assert!(!out.contains("hunter2"), "{out}");
        let value: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(value["path"], "a/b");
        assert!(out.contains("12345678901234567890123"), "numbers are not rounded");
        assert_eq!(value["deep"], r#"{"list":[{"X_API_KEY":"<redacted>","q":1}],"password":"<redacted>"}"#);
        assert_eq!((value["apiKey"].as_str(), value["ok"].clone()), (Some(REDACTED), Value::Null));
        assert_eq!(readable_args("{}", &[]), None);
        assert_eq!(readable_args("[1]", &[]), None);
    }

    #[test]
    fn names_from_a_schema_are_hidden_too() {
        let schema = json!({"properties": {"pin": {"format": "password"}, "o": {"properties": {"cvc": {"x-sensitive": true}}}, "n": {}}});
        let names = sensitive_properties(&schema);
        let out = readable_args(r#"{"pin":"1234","n":1,"o":{"cvc":"777"}}"#, &names).unwrap();
        assert!(!out.contains("1234") && !out.contains("777") && out.contains("\"n\":1"), "{out}");
    }

    #[test]
    fn cuts_come_after_redaction() {
        let secret = format!("{}ghp_{}", "x".repeat(295), "A".repeat(36));
        let out = readable_args(&json!({ "q": secret }).to_string(), &[]).unwrap();
        assert!(!out.contains("ghp_"), "{out}");
        let long = "ü".repeat(400);
        assert_eq!(readable_args(&json!({ "q": long }).to_string(), &[]).unwrap().matches('ü').count(), 300);
        assert_eq!(line_args(&json!({ "q": long }).to_string(), &[])["q"], long, "400 characters stay whole in a line");
        let longer = "y".repeat(700);
        assert_eq!(line_args(&json!({ "q": longer }).to_string(), &[])["q"], format!("{}...<truncated 200 bytes>", "y".repeat(500)));
    }

    #[test]
    fn the_window_of_a_string_is_that_of_its_meaning() {
        for unit in ["x", "\u{fc}", "\u{1f600}", "\n", "\\", "\"\u{1f600}a"] {
            for lead in 0..13 {
                for count in [0, 7, 4000, 9000, 60_000] {
                    let text = "y".repeat(lead) + &unit.repeat(count);
                    let plain = serde_json::to_string(&text).unwrap();
                    let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
                    for raw in [plain, format!("\"{escaped}\"")] {
                        assert_eq!(window(&string_window(raw.as_bytes())), window(&text), "{unit:?} {lead} {count}");
                    }
                }
            }
        }
    }

    #[test]
    fn no_character_can_forge_a_line() {
        let hostile = "ok\r\n2026 \u{1b}[2J \u{202e}drow \u{2066}x\u{200b}\u{feff}\u{e0041}\u{85}\u{2028}\u{7f}";
        for out in [readable_error(hostile), readable_args(&json!({ "a": hostile, hostile: { "b": [hostile] } }).to_string(), &[]).unwrap()]
        {
            assert!(!out.chars().any(is_deceptive), "{out:?}");
        }
        assert!(matches!(escape_line("plain ünïcode 漢字"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn output_is_json_on_one_line_whatever_comes_in(keys in proptest::collection::vec(("\\PC{0,8}|password", "\\PC{0,40}|.{0,20}"), 0..6)) {
            let object: serde_json::Map<String, Value> = keys.iter().map(|(k, v)| (k.clone(), json!([v, {"token": v}]))).collect();
            if let Some(out) = readable_args(&Value::Object(object).to_string(), &[]) {
                prop_assert!(serde_json::from_str::<Value>(&out).is_ok(), "{}", out);
                prop_assert!(!out.chars().any(is_deceptive));
            }
        }
    }
}
