//! Patterns of filters: regular expressions for an engine whose time grows with the text and nothing else.

use std::fmt;

use regex::{Regex, RegexBuilder};

use crate::reader::Field;

/// Longest pattern in bytes.
pub const PATTERN_BYTES_MAX: usize = 4_096;
/// Largest compiled pattern in bytes; repetitions of repetitions grow quickly.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting of groups in a pattern.
const DEPTH_MAX: u32 = 64;

/// A compiled pattern. The syntax is that of the `regex` crate: as in Python without look-around and backreferences, `\z` for `\Z`.
#[derive(Clone)]
pub struct Pattern {
    regex: Regex,
    case_insensitive: bool,
}

impl Pattern {
    /// Compiles.
    ///
    /// # Errors
    /// The rule that is broken, without the pattern.
    pub fn parse(text: &str, case_insensitive: bool) -> Result<Self, String> {
        if text.is_empty() {
            return Err("must not be empty".to_owned());
        }
        if text.len() > PATTERN_BYTES_MAX {
            return Err(format!("is longer than {PATTERN_BYTES_MAX} bytes"));
        }
        let mut builder = RegexBuilder::new(text);
        builder.case_insensitive(case_insensitive).size_limit(COMPILED_BYTES_MAX).nest_limit(DEPTH_MAX);
        builder.build().map(|regex| Self { regex, case_insensitive }).map_err(|fault| rule(&fault))
    }

    /// The expression itself.
    #[must_use]
    pub const fn regex(&self) -> &Regex {
        &self.regex
    }

    /// Whether letter case is ignored.
    #[must_use]
    pub const fn is_case_insensitive(&self) -> bool {
        self.case_insensitive
    }

    /// Whether it matches anywhere. A line break at the very end may be there or not: elsewhere `$` stands before it as well, and a
    /// rule must not become weaker by moving here.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text) || text.strip_suffix('\n').is_some_and(|text| self.regex.is_match(text))
    }
}

/// The engine's message ends in its rule; before it stands the pattern, which may hold a substituted secret.
fn rule(fault: &regex::Error) -> String {
    match fault {
        regex::Error::CompiledTooBig(limit) => format!("the compiled pattern would be larger than {limit} bytes"),
        other => {
            let text = other.to_string();
            let rule = text.lines().last().unwrap_or_default();
            format!("not a pattern: {}", rule.strip_prefix("error: ").unwrap_or(rule))
        }
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pattern")
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.regex.as_str() == other.regex.as_str() && self.case_insensitive == other.case_insensitive
    }
}

impl Eq for Pattern {}

pub(super) fn read(field: &Field<'_>, case_insensitive: bool) -> Option<Pattern> {
    let text = field.text()?;
    match Pattern::parse(text, case_insensitive) {
        Ok(pattern) => Some(pattern),
        Err(rule) if text.is_empty() => {
            field.error_hint(rule, "an empty pattern matches everything");
            None
        }
        Err(rule) => {
            field.error_hint(
                rule,
                "patterns are regular expressions that are matched in linear time: no look-around and no back-references",
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_patterns_use_is_understood() {
        let cases = [
            (r"(password|secret|api.?key|bearer)", true, "my API-Key", true),
            (r"\.\./", false, "a/../b", true),
            (r"(?P<k>sk-[a-zA-Z0-9]{20,}|ghp_[a-zA-Z0-9]{36}|AKIA[A-Z0-9]{16})", false, "AKIAABCDEFGHIJKLMNOP", true),
            (r"\bÄrger\b", true, "ein ärger!", true),
            (r"^x\.exe$", false, "x.exe\n", true),
            (r"^x\.exe$", false, "x.exe\n\n", false),
            (r"a\/b\-c\_d", false, "a/b-c_d", true),
            ("a", false, "A", false),
        ];
        for (pattern, case_insensitive, text, expected) in cases {
            assert_eq!(Pattern::parse(pattern, case_insensitive).unwrap().is_match(text), expected, "{pattern}");
        }
    }

    #[test]
    fn faults_name_the_rule_and_never_the_pattern() {
        let huge = "(?:(?:x{100}){100}){100}";
        for (pattern, rule) in [
            ("", "must not be empty"),
            ("hunter2(?=a)", "look-around"),
            (r"(hunter2)\1", "backreferences"),
            ("hunter2[", "unclosed character class"),
            (r"hunter2\Z", "unrecognized escape"),
            (huge, "compiled"),
        ] {
            let fault = Pattern::parse(pattern, false).unwrap_err();
            assert!(fault.contains(rule) && !fault.contains("hunter2"), "{fault}");
        }
        assert!(Pattern::parse(&"a".repeat(PATTERN_BYTES_MAX + 1), false).is_err());
        assert_eq!(format!("{:?}", Pattern::parse("hunter2", false).unwrap()), "Pattern");
    }
}
