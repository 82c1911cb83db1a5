//! Texts that people write and read: names, notes, addresses. What cannot be seen is refused, because two texts that look alike must be
//! one, and a list must read as it is.

use serde::{Deserialize, Serialize};

/// Longest text of one line.
pub(crate) const LINE_CHARS_MAX: usize = 128;
/// Longest email address (RFC 5321 section 4.5.3.1.3).
pub(crate) const EMAIL_CHARS_MAX: usize = 254;
/// Longest name of a secret.
pub(crate) const SECRET_NAME_CHARS_MAX: usize = 128;

/// Control characters, line ends, and what Unicode calls default-ignorable or format: directions, joiners, variation selectors, tags.
pub(crate) const HIDDEN: &[(char, char)] = &[
    ('\0', '\u{1f}'),
    ('\u{7f}', '\u{9f}'),
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{ffff}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Spaces of all kinds.
pub(crate) const SPACES: &[(char, char)] = &[
    (' ', ' '),
    ('\u{a0}', '\u{a0}'),
    ('\u{1680}', '\u{1680}'),
    ('\u{2000}', '\u{200a}'),
    ('\u{202f}', '\u{202f}'),
    ('\u{205f}', '\u{205f}'),
    ('\u{3000}', '\u{3000}'),
];

/// Whether a character cannot be seen.
pub(crate) fn is_hidden(c: char) -> bool {
    within(HIDDEN, c)
}

fn within(ranges: &[(char, char)], c: char) -> bool {
    ranges.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// The inside of a bracket expression of a regular expression, in the common subset of ECMA 262 and Python. Beyond U+FFFF the two have no
/// escape in common, and many readers of JSON none that they all take, so those ranges stand in words in the description.
pub(crate) fn class(ranges: &[(char, char)]) -> String {
    let escaped = |c: char| format!("\\u{:04x}", u32::from(c));
    let ranges = ranges.iter().filter(|(first, _)| *first <= '\u{ffff}');
    ranges.map(|(first, last)| if first == last { escaped(*first) } else { format!("{}-{}", escaped(*first), escaped(*last)) }).collect()
}

/// The ranges that [`class`] leaves out, in words.
pub(crate) fn beyond(ranges: &[(char, char)]) -> String {
    let astral = ranges.iter().filter(|(first, _)| *first > '\u{ffff}');
    astral.map(|(first, last)| format!("U+{:04X} to U+{:04X}", u32::from(*first), u32::from(*last))).collect::<Vec<_>>().join(", ")
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $check:path, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub(crate) struct $name(String);

        impl $name {
            /// Checks the text.
            ///
            /// # Errors
            /// The rule; never the text.
            pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
                if $check(text) { Ok(Self(text.to_owned())) } else { Err($rule) }
            }

            /// The text.
            pub(crate) fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = &'static str;

            fn try_from(text: String) -> Result<Self, &'static str> {
                Self::parse(&text)
            }
        }
    };
}

text!(
    /// A line of text: at most 128 characters, all of which can be seen.
    Line,
    line,
    "at most 128 characters on one line, none of them hidden"
);
text!(
    /// An email address.
    Email,
    email,
    "an address `name@host` of at most 254 characters, without spaces and hidden characters"
);
text!(
    /// The name of a secret.
    SecretName,
    secret_name,
    "letters, digits, `_`, `.` and `-`, beginning with a letter or digit, at most 128 characters"
);

impl Default for Line {
    /// The empty line.
    fn default() -> Self {
        Self(String::new())
    }
}

fn line(text: &str) -> bool {
    text.chars().count() <= LINE_CHARS_MAX && !text.chars().any(is_hidden)
}

fn email(text: &str) -> bool {
    let plain = !text.chars().any(|c| is_hidden(c) || within(SPACES, c));
    let parts = text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    plain && parts && text.chars().count() <= EMAIL_CHARS_MAX
}

fn secret_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    text.len() <= SECRET_NAME_CHARS_MAX && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_refused() {
        for good in ["", "Data people", "Ünïcødé 数据 🦀", "a  b"] {
            assert!(Line::parse(good).is_ok(), "{good}");
        }
        for bad in ["a\nb", "a\u{200b}b", "\u{202e}evil", "x\u{feff}", "tag\u{e0041}", "nul\0", &"x".repeat(129)] {
            assert!(Line::parse(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "@", "a@", "@b", "a b@c", "a@b@c", "a@b\u{200b}c", "a@\u{a0}"] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Email::parse("ann@acme.example").is_ok());
        assert!(SecretName::parse("a.b-c_1").is_ok() && SecretName::parse("../x").is_err() && SecretName::parse("").is_err());
    }

    #[test]
    fn the_described_class_is_the_one_that_is_checked() {
        let class = class(HIDDEN);
        assert!(class.starts_with("\\u0000-\\u001f\\u007f-\\u009f\\u00ad"), "{class}");
        assert!(class.ends_with("\\ufff0-\\uffff"), "{class}");
        assert_eq!(beyond(HIDDEN), "U+1BCA0 to U+1BCA3, U+1D173 to U+1D17A, U+E0000 to U+E0FFF");
    }
}
