//! From argument text to a typed value.

use serde::de::DeserializeOwned;

use crate::fault::ToolFault;

/// Most characters of a library's message that reach an agent.
const MESSAGE_CHARS_MAX: usize = 512;

/// Reads the arguments of one call into `T`, which should refuse unknown fields.
///
/// # Errors
/// `invalid_argument` naming the field and the rule.
pub fn decode<T: DeserializeOwned>(arguments: &str) -> Result<T, ToolFault> {
    serde_json::from_str(arguments)
        .map_err(|e| ToolFault::invalid(format!("arguments do not fit: {}", clean(&e.to_string())), "see the tool's input schema"))
}

/// A library's message without control characters (terminal escapes), cut to [`MESSAGE_CHARS_MAX`].
pub(crate) fn clean(message: &str) -> String {
    message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_CHARS_MAX).collect()
}
