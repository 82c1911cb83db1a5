//! A service's JSON as it was written: numbers keep their digits and members their order, and nothing is dropped.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::value::RawValue;

/// Arrays and objects inside each other; the same as in a message of the protocol.
const DEPTH_MAX: usize = 64;

/// The one value in `text` without white space between its tokens; `None` for what is no JSON, is nested deeper than [`DEPTH_MAX`], holds
/// half a surrogate pair, or has a member name twice in one object, where readers would see different values.
pub(crate) fn compact(text: &[u8]) -> Option<String> {
    // Checks the syntax; everything below may rely on it.
    let text = serde_json::from_slice::<&RawValue>(text).ok()?.get();
    let mut out = String::with_capacity(text.len());
    let mut names = Names::default();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (token, behind) = rest.split_at(if c == '"' { string_end(rest)? } else { c.len_utf8() });
        rest = behind;
        match c {
            ' ' | '\t' | '\r' | '\n' => continue,
            '"' => names.string(token, behind)?,
            '{' | '[' => names.open(c)?,
            '}' | ']' => names.close(),
            _ => {}
        }
        out.push_str(token);
    }
    Some(out)
}

/// The offset behind the string that `text` begins with.
fn string_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}

/// The member names of the objects that are open, outermost first; an array has none.
#[derive(Default)]
struct Names<'t>(Vec<Option<HashSet<Cow<'t, str>>>>);

impl<'t> Names<'t> {
    fn open(&mut self, bracket: char) -> Option<()> {
        self.0.push((bracket == '{').then(HashSet::new));
        (self.0.len() <= DEPTH_MAX).then_some(())
    }

    fn close(&mut self) {
        self.0.pop();
    }

    /// A string with its quotes; it is a name when a colon stands `behind` it.
    fn string(&mut self, token: &'t str, behind: &str) -> Option<()> {
        let meaning = match token.contains('\\') {
            true => Cow::Owned(serde_json::from_str(token).ok()?),
            false => Cow::Borrowed(token.get(1..token.len() - 1)?),
        };
        match self.0.last_mut() {
            Some(Some(names)) if behind.trim_start_matches([' ', '\t', '\r', '\n']).starts_with(':') => names.insert(meaning).then_some(()),
            _ => Some(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::compact;

    #[test]
    fn only_white_space_goes() {
        for (text, wanted) in [
            (
                r#" { "a" : [ 1.10 , 123456789012345678901234567890 , -0.0, 1E400 ] , "b" : " \" { " } "#,
                Some(r#"{"a":[1.10,123456789012345678901234567890,-0.0,1E400],"b":" \" { "}"#),
            ),
            (r#"{"b":{"x":1},"a":{"x":"x"},"\\":[{"x":1},{"x":2}]}"#, Some(r#"{"b":{"x":1},"a":{"x":"x"},"\\":[{"x":1},{"x":2}]}"#)),
            (" 7 ", Some("7")),
            (r#"{"a":1,"a":2}"#, None),
            (r#"{"a":{"b":1,"\u0062":2}}"#, None),
            (r#"["\ud800"]"#, None),
            ("{} x", None),
            ("", None),
        ] {
            assert_eq!(compact(text.as_bytes()).as_deref(), wanted, "{text}");
        }
        assert!(compact(("[".repeat(64) + &"]".repeat(64)).as_bytes()).is_some());
        assert!(compact(("[".repeat(65) + &"]".repeat(65)).as_bytes()).is_none());
        assert!(compact(b"\"\xff\"").is_none());
    }

    proptest! {
        #[test]
        fn the_meaning_stays(text in "[\\[\\]{}:,\" a1\\\\\n]{0,24}") {
            let parsed = serde_json::from_str::<Value>(&text).ok();
            if let Some(compacted) = compact(text.as_bytes()) {
                prop_assert_eq!(serde_json::from_str::<Value>(&compacted).ok(), parsed);
            }
        }
    }
}
