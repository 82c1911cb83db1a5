//! Any text inside an HTTP header (reference, protocol section 2.2, "Encoding").

use std::borrow::Cow;

use data_encoding::BASE64;
use http::HeaderValue;

const PREFIX: &str = "=?base64?";
const SUFFIX: &str = "?=";

fn encoded_part(value: &str) -> Option<&str> {
    value.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)
}

/// What a header value of `Mcp-Name` or `Mcp-Param-*` means. A value without the complete marker means itself; None when the marker
/// surrounds what is not Base64 (strict: padding needed, no stray bits) of UTF-8.
#[must_use]
pub fn decode_text(value: &str) -> Option<Cow<'_, str>> {
    let Some(encoded) = encoded_part(value) else { return Some(Cow::Borrowed(value)) };
    let bytes = BASE64.decode(encoded.as_bytes()).ok()?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// `text` as a header value: itself where headers can carry it unchanged and unmistaken, otherwise encoded.
#[must_use]
pub fn encode_text(text: &str) -> HeaderValue {
    let plain = text.bytes().all(|b| matches!(b, 0x20..=0x7e | b'\t'))
        && !text.starts_with([' ', '\t'])
        && !text.ends_with([' ', '\t'])
        && encoded_part(text).is_none();
    let value = if plain { Cow::Borrowed(text) } else { Cow::Owned(format!("{PREFIX}{}{SUFFIX}", BASE64.encode(text.as_bytes()))) };
    // Both forms consist of characters that headers allow.
    HeaderValue::from_str(&value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_only_what_needs_it() {
        for (text, value) in [
            ("us-west1", "us-west1"),
            ("", ""),
            ("a b\tc", "a b\tc"),
            (" lead", "=?base64?IGxlYWQ=?="),
            ("trail\t", "=?base64?dHJhaWwJ?="),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
            ("=?base64?SGVsbG8=", "=?base64?SGVsbG8="),
        ] {
            assert_eq!(encode_text(text), value, "{text}");
            assert_eq!(decode_text(value).as_deref(), Some(text), "{value}");
        }
    }

    #[test]
    fn refuses_what_is_no_strict_base64_of_utf8() {
        for bad in ["=?base64?SGVsbG8?=", "=?base64?SGVs!!!bG8=?=", "=?base64?/w==?=", "=?base64?SGVsbG9=?=", "=?base64? SGVsbG8=?="] {
            assert_eq!(decode_text(bad), None, "{bad}");
        }
        // Markers are case-sensitive and both are needed; anything else is a literal.
        for literal in ["=?BASE64?SGVsbG8=?=", "=?base64?SGVsbG8=", "SGVsbG8=", "=?base64?="] {
            assert_eq!(decode_text(literal).as_deref(), Some(literal));
        }
        assert_eq!(decode_text("=?base64??=").as_deref(), Some(""));
    }
}
