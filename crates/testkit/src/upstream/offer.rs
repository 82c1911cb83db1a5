//! What a fake server offers besides tools.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FakePrompt {
    /// The whole prompt object of `prompts/list`; `name` must be in it.
    pub definition: Value,
    /// The result of `prompts/get`; without it, one message with the arguments as JSON text.
    pub result: Option<Value>,
    /// What is asked before the result, round by round. The answers are ignored.
    #[serde(default)]
    pub ask: Vec<Vec<FakeQuestion>>,
}

impl FakePrompt {
    /// A prompt with one argument, `name`, that gives its arguments back.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let arguments = json!([{"name": "name", "description": "Whom it concerns.", "required": false}]);
        let definition = json!({"name": name, "description": format!("Fake prompt {name}."), "arguments": arguments});
        Self { definition, result: None, ask: Vec::new() }
    }
}

/// One resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FakeResource {
    /// The whole resource object of `resources/list`; `uri` must be in it.
    pub definition: Value,
    /// The `contents` of `resources/read`.
    pub contents: Value,
}

impl FakeResource {
    /// A text.
    #[must_use]
    pub fn text(uri: &str, text: &str) -> Self {
        Self {
            definition: json!({"uri": uri, "name": uri, "mimeType": "text/plain"}),
            contents: json!([{"uri": uri, "mimeType": "text/plain", "text": text}]),
        }
    }
}

/// What a server asks its client: `elicitation/create`, `sampling/createMessage`, `roots/list`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FakeQuestion {
    /// The method.
    pub method: String,
    /// Its parameters.
    pub params: Value,
}

impl FakeQuestion {
    /// A form with one text field, `answer`.
    #[must_use]
    pub fn form(message: &str) -> Self {
        let schema = json!({"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]});
        Self { method: "elicitation/create".into(), params: json!({"mode": "form", "message": message, "requestedSchema": schema}) }
    }

    /// The roots of the client.
    #[must_use]
    pub fn roots() -> Self {
        Self { method: "roots/list".into(), params: json!({}) }
    }

    /// A model's words.
    #[must_use]
    pub fn sampling(text: &str) -> Self {
        let message = json!({"role": "user", "content": {"type": "text", "text": text}});
        Self { method: "sampling/createMessage".into(), params: json!({"messages": [message], "maxTokens": 100}) }
    }

    /// The client capability that allows the question.
    pub(super) fn capability(&self) -> &str {
        self.method.split('/').next().unwrap_or_default()
    }
}

/// What a server tells those who listen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum News {
    /// `notifications/tools/list_changed`
    Tools,
    /// `notifications/prompts/list_changed`
    Prompts,
    /// `notifications/resources/list_changed`
    Resources,
    /// `notifications/resources/updated`, for those who subscribed to this URI.
    Updated(String),
    /// Any other notification, to everybody.
    Other {
        /// The method.
        method: String,
        /// Its parameters as JSON text.
        params: String,
    },
}

/// How event streams of the `initialize` era end before their answer (2025-11-25, polling).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Polling {
    /// The `retry` field of each stream.
    pub retry_ms: u64,
    /// How many streams of a call end before the one that brings the answer; at least one does.
    pub ends: u32,
}
