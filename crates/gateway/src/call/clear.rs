//! Stage 9: calls that need a person or that a flow rule stops.
//!
//! The manifest's `hitl.approval_required` names tools that need a person. Until approvals can be given, such a call is
//! refused, never waved through. Tools of `hitl.shadow` are recorded and not called; that wins, as in the original.

use std::sync::Arc;

use bailiwick_model::Code;

use super::admit::Places;
use super::decode::Story;
use super::refused::{Refused, Verdict};
use super::screen::Screened;
use crate::bailiwick::Hold;
use crate::catalog::Tool;
use crate::gateway::Gateway;
use crate::refusal::Refusal;

/// A call that nothing holds back any more.
pub(crate) struct Cleared {
    story: Story,
    tool: Arc<Tool>,
    places: Places,
}

impl Cleared {
    pub(super) fn into_parts(self) -> (Story, Arc<Tool>, Places) {
        (self.story, self.tool, self.places)
    }

    pub(super) fn story(&self) -> &Story {
        &self.story
    }

    pub(super) fn tool(&self) -> &Arc<Tool> {
        &self.tool
    }
}

/// Refuses what needs an approval, and everything while the gateway stops or lacks its keys.
pub(crate) fn clear(gateway: &Gateway, call: Screened) -> Result<Cleared, Refused> {
    let (story, tool, places) = call.into_parts();
    if gateway.is_stopping() {
        let refusal = Refusal::new(Code::ShuttingDown, "the gateway is stopping", "call again in a moment");
        return Err(Refused::refusal(story, tool, refusal));
    }
    let hold = story.caller.bailiwick().hold(tool.name());
    if hold == Some(Hold::Shadow) {
        return Err(Refused::new(story, Some(tool), Verdict::Shadowed));
    }
    if hold == Some(Hold::Approval) {
        let refusal = Refusal::new(
            Code::ApprovalRequired,
            "this tool needs a person's approval for each call, and this gateway has no way to ask for one yet",
            "use another tool, or ask the operator to take the tool out of `hitl.approval_required`",
        );
        return Err(Refused::refusal(story, tool, refusal));
    }
    Ok(Cleared { story, tool, places })
}
