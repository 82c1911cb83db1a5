//! From argument text to a typed value.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::fault::ToolFault;

/// Most characters of a library's message that reach an agent.
const MESSAGE_CHARS_MAX: usize = 512;

/// Reads the arguments of one call into `T`, which should refuse unknown fields. Many clients write `null` for an optional argument that
/// they do not give: where `T` has no use for it, it is left out.
///
/// # Errors
/// `invalid_argument` naming the field and the rule.
pub fn decode<T: DeserializeOwned>(arguments: &str) -> Result<T, ToolFault> {
    serde_json::from_str(arguments)
        .or_else(|error| without_null(arguments).map_or(Err(error), |given| serde_json::from_str(&given)))
        .map_err(|e| ToolFault::invalid(format!("arguments do not fit: {}", clean(&e.to_string())), "see the tool's input schema"))
}

/// The object without the members that are null; `None` when there are none.
fn without_null(arguments: &str) -> Option<String> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(arguments).ok()?;
    let given: BTreeMap<&String, &&RawValue> = members.iter().filter(|(_, value)| value.get() != "null").collect();
    if given.len() < members.len() { serde_json::to_string(&given).ok() } else { None }
}

/// A library's or a service's message without control characters (terminal escapes) and without those that are not seen or turn the text
/// round, cut to [`MESSAGE_CHARS_MAX`].
pub(crate) fn clean(message: &str) -> String {
    message.chars().map(|c| if c.is_control() || is_hidden(c) { ' ' } else { c }).take(MESSAGE_CHARS_MAX).collect()
}

/// Marks of direction, joiners, tags and other characters that leave no trace on a screen.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Arguments {
        path: String,
        #[serde(default = "ten")]
        length: u64,
        body: Option<Box<str>>,
    }

    fn ten() -> u64 {
        10
    }

    #[test]
    fn null_is_an_argument_that_is_not_given() {
        let read = |path: &str, length| Ok(Arguments { path: path.into(), length, body: None });
        for (arguments, expected) in [
            (r#"{"path":"x"}"#, read("x", 10)),
            (r#"{"path":"x","length":null,"body":null}"#, read("x", 10)),
            (r#"{"path":"null","length":3}"#, read("null", 3)),
        ] {
            assert_eq!(decode::<Arguments>(arguments), expected, "{arguments}");
        }
        for arguments in
            [r#"{"path":null}"#, r#"{"path":"x","length":"null"}"#, r#"{"path":"x","other":1,"length":null}"#, "null", "[null]"]
        {
            assert!(decode::<Arguments>(arguments).is_err(), "{arguments}");
        }
    }
}
