//! What a row of the table says.

use bailiwick_model::Code;
use serde_json::{Value, json};

/// One call of one tool, and what must hold.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) module: &'static str,
    /// Over the usual configuration of the module; for `http_proxy` over that of its one service.
    pub(super) config: Value,
    /// Over the usual credentials.
    pub(super) credentials: Vec<(&'static str, &'static str)>,
    /// When there are variables, the configuration is read from a manifest in which they are replaced.
    pub(super) variables: Vec<(&'static str, &'static str)>,
    pub(super) tool: &'static str,
    /// As they are written.
    pub(super) arguments: String,
    pub(super) holds: Holds,
}

pub(super) enum Holds {
    /// The module does not open, for a reason under this key.
    Unopened(&'static str),
    /// The arguments alone are refused with this word and nobody is asked anything.
    Refused(Code),
    /// Refused after these requests.
    RefusedAfter(Code, Vec<Request>),
    /// These requests go out and not a byte more.
    Sent(Vec<Request>),
    /// One mail goes out.
    Mailed(Mail),
    /// The only file beneath the directory has this path and content.
    Written(&'static str, &'static str),
}

/// One request beside the headers that every request has.
pub(super) struct Request {
    /// Method and target.
    pub(super) line: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<String>,
}

impl Request {
    pub(super) fn new(line: impl Into<String>) -> Self {
        Self { line: line.into(), headers: Vec::new(), body: None }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn text(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self.with("content-type", "text/plain; charset=utf-8")
    }

    pub(super) fn json(mut self, body: &Value) -> Self {
        self.body = Some(body.to_string());
        self.with("content-type", "application/json")
    }
}

/// What a receiver reads.
pub(super) struct Mail {
    /// As it is written.
    pub(super) from: String,
    pub(super) to: String,
    pub(super) subject: String,
    pub(super) body: String,
}

impl Row {
    pub(super) fn new(name: impl Into<String>, module: &'static str, tool: &'static str, arguments: &Value, holds: Holds) -> Self {
        let arguments = arguments.to_string();
        let (config, credentials, variables) = (json!({}), Vec::new(), Vec::new());
        Self { name: name.into(), module, config, credentials, variables, tool, arguments, holds }
    }

    pub(super) fn under(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    pub(super) fn with(mut self, name: &'static str, credential: &'static str) -> Self {
        self.credentials.push((name, credential));
        self
    }

    pub(super) fn where_is(mut self, variable: &'static str, value: &'static str) -> Self {
        self.variables.push((variable, value));
        self
    }

    /// With arguments that no JSON library would write.
    pub(super) fn raw(mut self, arguments: &str) -> Self {
        arguments.clone_into(&mut self.arguments);
        self
    }
}

/// An argument beside those that a tool knows, which it refuses.
pub(super) fn surplus(module: &'static str, tool: &'static str, arguments: &Value, more: &[(&'static str, Value)]) -> Vec<Row> {
    let row = |(name, value): &(&'static str, Value)| {
        let mut arguments = arguments.clone();
        arguments[*name] = value.clone();
        Row::new(format!("another argument `{name}`"), module, tool, &arguments, Holds::Refused(Code::InvalidArgument))
    };
    more.iter().map(row).collect()
}
