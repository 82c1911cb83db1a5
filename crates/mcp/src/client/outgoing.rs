//! A request of one of the agents, and how it is written down.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tokio::sync::mpsc;

use super::ask::Event;
use super::cancel::Cancel;
use super::compose::{Draft, Parts};
use super::handshake::Session;
use super::question::Question;
use crate::exchange::ParamHeader;
use crate::json::Json;
use crate::meta::LOG_LEVEL;

/// A request of one of the agents.
pub struct Outgoing<'a> {
    /// `tools/call`, `prompts/get`, `resources/read` or `completion/complete`.
    pub method: &'a str,
    /// What `params` names: `uri` for resources, `name` for tools and prompts, without prefix, as the server knows it; none for others.
    pub name: Option<&'a str>,
    /// The `arguments` member, sent as it is.
    pub arguments: Option<&'a Json>,
    /// Further members of `params`, sent as they are: `inputResponses`, `requestState`, `ref`, `argument`, `context`. What the other
    /// fields say (`name` or `uri`, `arguments`, `_meta`) is left out here.
    pub params: &'a [(&'a str, &'a Json)],
    /// Further members of `params._meta`: trace context, the caller's capabilities. The protocol's own keys are set by the client; those
    /// that say something of the caller are sent in the modern era only. `io.modelcontextprotocol/logLevel` says in both that he wants
    /// log messages.
    pub meta: &'a [(&'a str, &'a Json)],
    /// Arguments that the tool's schema wants repeated in headers (HTTP, modern era).
    pub param_headers: &'a [ParamHeader],
    /// Time for all of it, opening and questions included.
    pub deadline: Duration,
    /// Where progress and log messages go, if they are wanted. What does not fit into the channel is dropped.
    pub events: Option<mpsc::Sender<Event>>,
    /// Where a legacy server's questions go; without it, or when the channel is full, they are answered with -32601. A modern server
    /// answers `input_required` instead, which is a result.
    pub questions: Option<mpsc::Sender<Question>>,
    /// Whose call it is; any number. As soon as calls of two owners have been sent in one session, what the server says on a stream of all of
    /// them (questions, log messages) is nobody's any more: it might be meant for the other.
    pub owner: u64,
    /// The caller's word that he no longer wants it. Dropping the future of the call says the same.
    pub cancel: &'a Cancel,
}

impl Outgoing<'_> {
    pub(super) fn compose(&self, session: &Session, id: u64) -> Parts {
        let subject = crate::exchange::named_by(self.method).unwrap_or("name");
        let token = self.events.is_some().then_some(id);
        let mut draft = Draft::request(id, self.method);
        if let Some(name) = self.name {
            draft = draft.text(subject, name);
        }
        draft = draft.meta(&session.dialect, token, self.meta);
        for (key, value) in self.params {
            if *key != "_meta" && (*key != subject || self.name.is_none()) && (*key != "arguments" || self.arguments.is_none()) {
                draft = draft.raw(key, value.bytes());
            }
        }
        match self.arguments {
            Some(arguments) => draft.end_with("arguments", arguments),
            None => draft.end(),
        }
    }

    pub(super) fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let Some(arguments) = self.arguments.filter(|_| !self.param_headers.is_empty()) else { return Vec::new() };
        self.param_headers.iter().filter_map(|param| Some((param.header().clone(), param.value(Some(arguments))?))).collect()
    }

    /// Whether log messages without an owner are his. The key is looked for only where there is somebody to hear them.
    pub(super) fn wants_logs(&self) -> bool {
        self.events.is_some() && self.meta.iter().any(|(key, _)| *key == LOG_LEVEL)
    }
}
