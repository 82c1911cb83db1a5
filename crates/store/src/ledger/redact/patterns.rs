//! Secrets that are known by their shape.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// One alternative per shape, in the order of preference; the name of the group is the replacement.
const PATTERN: &str = r"(?x)
    (?<pem>-----BEGIN\ [A-Z0-9\ ]{0,40}PRIVATE\ KEY-----(?s:.*?)(?:-----END\ [A-Z0-9\ ]{0,40}PRIVATE\ KEY-----|\z))
  | (?<jwt>eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?)
  | (?<bearer>(?i:\bbearer[\ \t:=]+)[A-Za-z0-9._~+/=-]{4,})
  | (?<gh>(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}))
  | (?<vault>hv[sbr]\.[A-Za-z0-9_-]{16,}|\b(?:[sb]\.[A-Za-z0-9]{24,}))
  | (?<aws>(?:AKIA|ASIA)[A-Z0-9]{16})
  | (?<slack>xox[a-z]-[A-Za-z0-9-]{8,})
  | (?<hex>[0-9A-Fa-f]{32,})";

/// Without it the text is returned as it is, and the search for patterns is saved.
const SHORTEST_BYTES: usize = 11;

static SHAPES: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(PATTERN).ok());

/// Replaces every secret of a known shape: JSON Web Tokens, bearer credentials, tokens of GitHub, Vault, AWS and Slack, private
/// keys, and 32 or more hexadecimal digits.
#[must_use]
pub fn scrub(text: &str) -> Cow<'_, str> {
    if text.len() < SHORTEST_BYTES {
        return Cow::Borrowed(text);
    }
    match SHAPES.as_ref() {
        Some(shapes) => shapes.replace_all(text, replacement),
        // The pattern is a constant and tested; without it nothing may be shown.
        None => Cow::Borrowed(super::REDACTED),
    }
}

fn replacement(found: &Captures<'_>) -> &'static str {
    const NAMES: [(&str, &str); 8] = [
        ("pem", "<redacted-private-key>"),
        ("jwt", "<redacted-jwt>"),
        ("bearer", "<redacted-bearer>"),
        ("gh", "<redacted-gh-token>"),
        ("vault", "<redacted-vault-token>"),
        ("aws", "<redacted-aws-key>"),
        ("slack", "<redacted-slack-token>"),
        ("hex", "<redacted-hex>"),
    ];
    NAMES.iter().find(|(group, _)| found.name(group).is_some()).map_or(super::REDACTED, |(_, replacement)| replacement)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_of_the_reference() {
        let hex = "0123456789abcdef".repeat(2);
        let cases = [
            ("a eyJhbGciOi.eyJzdWIiOiIx.c2ln b", "a <redacted-jwt> b"),
            ("Authorization: Bearer abc.DEF-123", "Authorization: <redacted-bearer>"),
            ("x ghp_0123456789abcdefghij y", "x <redacted-gh-token> y"),
            ("github_pat_0123456789abcdefghij", "<redacted-gh-token>"),
            ("hvs.CAESIAbcdefghijklmnop", "<redacted-vault-token>"),
            ("AKIAIOSFODNN7EXAMPLE", "<redacted-aws-key>"),
            ("xoxb-123456789012-abc", "<redacted-slack-token>"),
            ("k=-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----;", "k=<redacted-private-key>;"),
            ("-----BEGIN PRIVATE KEY-----\nMIIE cut off", "<redacted-private-key>"),
        ];
        for (text, expected) in cases {
            assert_eq!(scrub(text), expected);
        }
        assert_eq!(scrub(&format!("id {hex}00 end")), "id <redacted-hex> end");
        for harmless in ["eyJ is a prefix", "0123456789abcdef0123456789abcde", "plain words only here", "b.short", "a bearer"] {
            assert_eq!(scrub(harmless), harmless);
        }
    }
}
