//! What a call gives back.

use serde::Serialize;

use crate::fault::ToolFault;

/// The result of a call that went well.
///
/// The gateway renders it as one text block plus `structuredContent`; a value that is not an object is wrapped there as
/// `{"result": X}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolOutput {
    /// JSON text of one value as a serializer wrote it: valid, compact, without duplicate members.
    pub structured: String,
    /// The text block when it differs from [`Self::structured`]: the plain content of a string result.
    pub text: Option<String>,
}

impl ToolOutput {
    /// A string result: the text block is the string itself.
    ///
    /// # Errors
    /// [`ToolFault`] `internal` when the text cannot be encoded, which does not happen for strings.
    pub fn text(text: String) -> Result<Self, ToolFault> {
        Ok(Self { structured: encode(&text)?, text: Some(text) })
    }

    /// Any other result: the text block is its compact JSON.
    ///
    /// # Errors
    /// [`ToolFault`] `internal` when `value` has no JSON form.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, ToolFault> {
        Ok(Self { structured: encode(value)?, text: None })
    }

    /// The answer of tools that only confirm: `true`.
    #[must_use]
    pub fn done() -> Self {
        Self { structured: "true".to_owned(), text: None }
    }
}

fn encode<T: Serialize + ?Sized>(value: &T) -> Result<String, ToolFault> {
    serde_json::to_string(value).map_err(|e| ToolFault::internal(format!("result has no JSON form: {e}")))
}
