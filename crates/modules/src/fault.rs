//! Why a call or the opening of a module failed. Text for the agent and text for the operator are kept apart.

use std::fmt;

use bailiwick_model::Code;
use serde_json::Value;

/// A refused or failed call.
///
/// `message`, `remedy` and `details` reach the agent: they show paths and names as the agent gave them and hold no host
/// path, URL, credential or library advice. `cause` reaches the operator only. There is no `Display`, so that neither
/// can be printed in place of the other by accident.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolFault {
    /// The word for the program.
    pub code: Code,
    /// One sentence: what was wrong.
    pub message: String,
    /// One sentence: what the agent may do instead. Empty only for faults of our own.
    pub remedy: String,
    /// Whether the same call may succeed later without any change; the code's own word unless the service said otherwise.
    pub retryable: bool,
    /// Values for the program, an object (for a limit: `limit` and `value`).
    pub details: Option<Value>,
    /// What the operator needs to know and the agent must not.
    pub cause: Option<String>,
}

impl ToolFault {
    /// A fault with both sentences.
    pub fn new(code: Code, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code, message: message.into(), remedy: remedy.into(), retryable: code.retryable(), details: None, cause: None }
    }

    /// The arguments do not fit or make no sense.
    pub fn invalid(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message, remedy)
    }

    /// A limit was crossed; `name` is the configuration key or constant, `value` the limit.
    pub fn limit(name: &str, value: u64, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        let mut fault = Self::new(Code::LimitExceeded, message, remedy);
        fault.details = Some(serde_json::json!({ "limit": name, "value": value }));
        fault
    }

    /// A fault of our own; the agent learns nothing but that.
    pub fn internal(cause: impl Into<String>) -> Self {
        let mut fault = Self::new(Code::Internal, "the tool failed for a reason of its own", "report the event id to the operator");
        fault.cause = Some(cause.into());
        fault
    }

    /// The module has no such tool, or not in this mode.
    #[must_use]
    pub fn no_tool() -> Self {
        Self::new(Code::PolicyDenied, "the module does not offer this tool", "use a tool from the list")
    }

    /// The same fault with a word for the operator.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }
}

/// A module could not be opened for an agent; start-up and `validate` print it to the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFault {
    /// What is wrong; may name host paths, never a credential.
    pub message: String,
    /// What to change.
    pub remedy: String,
    /// The configuration key or credential name it is about.
    pub key: Option<String>,
}

impl OpenFault {
    /// A fault about the configuration key or credential `key`.
    pub fn about(key: impl Into<String>, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: remedy.into(), key: Some(key.into()) }
    }
}

impl fmt::Display for OpenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(key) = &self.key {
            write!(f, "`{key}`: ")?;
        }
        write!(f, "{}; {}", self.message, self.remedy)
    }
}

impl std::error::Error for OpenFault {}
