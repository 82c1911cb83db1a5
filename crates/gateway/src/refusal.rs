//! A refusal: one code, one sentence for the agent, one remedy, and the full reason for the operator.

use std::borrow::Cow;

use bailiwick_model::{Code, EventId};
use serde_json::{Value, json};

use crate::product::META_REFUSAL;

/// Why a call does not happen or did not succeed.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The word of the one vocabulary.
    pub code: Code,
    /// What happened, for the agent. Never a host path, address, rule name or upstream body.
    pub message: Cow<'static, str>,
    /// What the agent may do instead.
    pub remedy: Cow<'static, str>,
    /// Whether the same call may succeed later without any change.
    pub retryable: bool,
    /// Machine-readable extras, e.g. `retry_after_ms`.
    pub details: Option<Value>,
    /// The full reason; goes to the ledger, never to the agent.
    pub reason: Option<Cow<'static, str>>,
}

impl Refusal {
    /// A refusal with a message and a remedy.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), remedy: remedy.into(), retryable: code.retryable(), details: None, reason: None }
    }

    /// Adds the reason that only operators see.
    #[must_use]
    pub fn because(mut self, reason: impl Into<Cow<'static, str>>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Adds machine-readable details.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// The tool result that tells the agent (design section 6): `isError` with the same facts as text and as data.
    ///
    /// A tool that declares what its structured results look like has no place for ours there: some clients hold even errors against
    /// the schema. The facts then stand in `_meta` only.
    #[must_use]
    pub fn tool_result(&self, event: EventId, declares_output: bool) -> Value {
        let mut facts = self.facts(event);
        if let Some(details) = &self.details {
            facts["details"] = details.clone();
        }
        let text = format!("{}: {}\n{}", self.code, self.message, self.remedy);
        let content = json!([{"type": "text", "text": text.trim_end()}]);
        if declares_output {
            return json!({"content": content, "isError": true, "_meta": {META_REFUSAL: facts}});
        }
        json!({"content": content, "isError": true, "structuredContent": facts})
    }

    /// The facts as data.
    pub(crate) fn facts(&self, event: EventId) -> Value {
        json!({
            "code": self.code,
            "message": self.message,
            "remedy": self.remedy,
            "event_id": event.to_string(),
            "retryable": self.retryable,
        })
    }
}

impl From<bailiwick_modules::ToolFault> for Refusal {
    fn from(fault: bailiwick_modules::ToolFault) -> Self {
        let bailiwick_modules::ToolFault { code, message, remedy, retryable, details, cause } = fault;
        Self { code, message: message.into(), remedy: remedy.into(), retryable, details, reason: cause.map(Into::into) }
    }
}
