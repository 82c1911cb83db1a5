//! What every message of a server passes that reaches the agent beside a result: progress, log messages, questions.

use std::borrow::Cow;
use std::sync::Arc;

use bailiwick_mcp::{Json, RpcError, error};
use tracing::warn;

use crate::call::authenticate::Caller;
use crate::filters::{Filters, Layout, arguments_refused, result_refused};
use crate::mask::Mask;

/// The mask and the response filters of one agent.
#[derive(Clone)]
pub(crate) struct Way {
    mask: Arc<Mask>,
    filters: Arc<Filters>,
}

impl Way {
    pub(crate) fn new(mask: &Arc<Mask>, caller: &Caller) -> Self {
        Self { mask: mask.clone(), filters: caller.bailiwick().filters().clone() }
    }

    /// The parameters without secrets and without what filters take away; `None` when they may not be told. Such messages have no record
    /// of their own, so what filters find in them stands in the operational log.
    pub(crate) fn clean(&self, params: Json) -> Option<Json> {
        let masked = self.mask.clean(params).ok()?;
        let rules = self.filters.results();
        if rules.is_empty() {
            return Some(masked);
        }
        match rules.screen_now(&masked, Layout::Plain) {
            Ok(screened) => {
                for hit in &screened.hits {
                    warn!(target: "ops", event = hit.event, filter = &*hit.filter, "in a message on the way of a call");
                }
                Some(screened.changed.unwrap_or(masked))
            }
            Err(stop) => {
                warn!(target: "ops", event = "response_filter_blocked", reason = ?result_refused(&stop).reason, "a message on the way of a call is not told");
                None
            }
        }
    }

    /// A client's answer to a server's question, if the argument filters let it pass; else what the server hears instead.
    pub(crate) fn may_send(&self, answer: Json) -> Result<Json, RpcError> {
        let rules = self.filters.arguments();
        if rules.is_empty() {
            return Ok(answer);
        }
        let sent = [(Cow::Borrowed("inputResponses"), answer)];
        let found = rules.screen_now(&sent);
        let [(_, answer)] = sent;
        match found {
            Ok(hits) => {
                for hit in &hits {
                    warn!(target: "ops", event = hit.event, filter = &*hit.filter, "in an answer to a server's question");
                }
                Ok(answer)
            }
            Err(stop) => {
                let refusal = arguments_refused(&stop);
                warn!(target: "ops", event = "argument_filter_blocked", reason = ?refusal.reason, "an answer to a server's question is not passed on");
                Err(RpcError::new(error::INTERNAL, "the answer is not passed on"))
            }
        }
    }
}
