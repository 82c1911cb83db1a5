//! Progress and log messages on their way back to the caller.

use bailiwick_mcp::client::Event;
use bailiwick_mcp::meta::LogLevel;
use bailiwick_mcp::{Frame, Json, encode, method};

use crate::way::Way;

/// What a caller wants to hear while a call runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wants {
    /// Progress, under this token of his.
    pub(crate) token: Option<Json>,
    /// Log messages of this severity and above.
    pub(crate) log: Option<LogLevel>,
}

impl Wants {
    pub(crate) fn nothing(&self) -> bool {
        self.token.is_none() && self.log.is_none()
    }

    /// The notification of an event, without secrets and what filters take away; `None` for what the caller did not ask for.
    pub(crate) fn notification(&self, event: Event, way: &Way) -> Option<Frame> {
        let event = match event {
            Event::Progress(params) => Event::Progress(way.clean(params)?),
            Event::Log(params) => Event::Log(way.clean(params)?),
            Event::ElicitationComplete(params) => Event::ElicitationComplete(way.clean(params)?),
            Event::ToolsChanged => Event::ToolsChanged,
        };
        match event {
            Event::Progress(params) => {
                let params = params.edit(&[], &[("progressToken", self.token.as_ref()?)]);
                Some(encode::notification(method::PROGRESS, Some(&params)))
            }
            Event::Log(params) => {
                let level = params.text_of("level").and_then(|level| LogLevel::parse(&level))?;
                (level >= self.log?).then(|| encode::notification(method::LOG_MESSAGE, Some(&params)))
            }
            Event::ElicitationComplete(params) => Some(encode::notification(method::ELICITATION_COMPLETE, Some(&params))),
            Event::ToolsChanged => None,
        }
    }
}
