//! A call that a stage stopped: the story so far and the answer it gets.

use std::sync::Arc;

use bailiwick_mcp::WireError;

use super::decode::Story;
use crate::catalog::Tool;
use crate::refusal::Refusal;

/// How the caller is told.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// A tool result with `isError`.
    Refusal(Refusal),
    /// The one answer for what is unknown, hidden or somebody else's. The reason is for the ledger.
    Unknown { reason: &'static str },
    /// The manifest wants to see what the agent would have done (`hitl.shadow`): recorded, not done.
    Shadowed,
    /// A fault of the protocol, e.g. a header that contradicts the body.
    Protocol(WireError),
}

/// A stopped call. Boxed: refusals are rare and must not make every stage's `Result` large.
pub(crate) struct Refused(pub(crate) Box<Stopped>);

/// What is behind [`Refused`].
pub(crate) struct Stopped {
    pub(crate) story: Story,
    pub(crate) tool: Option<Arc<Tool>>,
    pub(crate) verdict: Verdict,
}

impl Refused {
    pub(crate) fn new(story: Story, tool: Option<Arc<Tool>>, verdict: Verdict) -> Self {
        Self(Box::new(Stopped { story, tool, verdict }))
    }

    pub(crate) fn refusal(story: Story, tool: Arc<Tool>, refusal: Refusal) -> Self {
        Self::new(story, Some(tool), Verdict::Refusal(refusal))
    }
}
