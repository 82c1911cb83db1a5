//! Live secret values, replaced wherever they occur, in the forms in which they travel.

use aho_corasick::{AhoCorasick, MatchKind};
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// Shorter values are not searched for: they would hide ordinary words.
pub const VALUE_BYTES_MIN: usize = 12;

/// A matcher for a set of secrets; built again when the set changes.
pub struct SecretValues {
    matcher: Option<AhoCorasick>,
    /// Replacement per pattern.
    replacements: Vec<String>,
}

impl SecretValues {
    /// Searches for every value of at least [`VALUE_BYTES_MIN`] bytes: as it is, and in base64, base64url, hexadecimal, percent and
    /// JSON form. The name is shown in the replacement `<redacted-value:NAME>`.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a SecretString)>) -> Self {
        let mut patterns: Vec<Zeroizing<String>> = Vec::new();
        let mut replacements = Vec::new();
        for (name, secret) in secrets {
            let value = secret.expose_secret();
            if value.len() < VALUE_BYTES_MIN {
                continue;
            }
            for form in forms(value) {
                patterns.push(form);
                replacements.push(format!("<redacted-value:{}>", super::escape_line(name)));
            }
        }
        let matcher = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(patterns.iter().map(|p| p.as_bytes())).ok();
        Self { matcher, replacements }
    }

    /// `text` without any of the values. When the matcher could not be built, nothing of the text is shown.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        match &self.matcher {
            Some(matcher) => matcher.replace_all(text, &self.replacements),
            None => super::REDACTED.to_owned(),
        }
    }
}

/// JSON inside a JSON string, and so on: how deep a value is looked for. A service's answer that repeats a body with a text of JSON in it is
/// at the third by the time it is a result.
const JSON_LEVELS: usize = 5;

/// A text as it is, and as it stands in JSON strings inside each other. Some writers escape the slash as well.
#[must_use]
pub fn in_json(text: &str) -> Vec<String> {
    let levels = |first: String| std::iter::successors(Some(first), |text| Some(escaped(text))).take(JSON_LEVELS);
    let mut all: Vec<String> = levels(text.to_owned()).chain(levels(escaped(text).replace('/', "\\/"))).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn escaped(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
}

fn forms(value: &str) -> Vec<Zeroizing<String>> {
    let bytes = value.as_bytes();
    let mut forms = vec![
        BASE64.encode(bytes),
        BASE64_NOPAD.encode(bytes),
        BASE64URL.encode(bytes),
        BASE64URL_NOPAD.encode(bytes),
        HEXLOWER.encode(bytes),
        HEXUPPER.encode(bytes),
        percent(bytes, &HEXUPPER),
        percent(bytes, &HEXLOWER),
    ];
    forms.extend(in_json(value));
    forms.sort_unstable();
    forms.dedup();
    forms.into_iter().map(Zeroizing::new).collect()
}

fn percent(bytes: &[u8], digits: &data_encoding::Encoding) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 3), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            out.push(char::from(*byte));
        } else {
            out.push('%');
            out.push_str(&digits.encode(&[*byte]));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_in_every_form() {
        let value = "p\u{e4}ss/w\"rd+1234=";
        let secret = SecretString::from(value);
        let short = SecretString::from("short");
        let values = SecretValues::new([("DB", &secret), ("S", &short)]);
        for form in forms(value) {
            let out = values.scrub(&format!("a {} short b", form.as_str()));
            assert_eq!(out, "a <redacted-value:DB> short b");
        }
        assert_eq!(SecretValues::new([]).scrub("text"), "text");
        let last = SecretString::from("a-quote-at-the-end\"");
        let values = SecretValues::new([("Q", &last)]);
        assert_eq!(values.scrub(r#"{\\\"x\\\":\\\"a-quote-at-the-end\\\\\\\"\\\"}"#), r#"{\\\"x\\\":\\\"<redacted-value:Q>\\\"}"#);
    }
}
