//! Stage 5: manifest, mode and lists. The same pure function decides what is listed.

use std::sync::Arc;

use bailiwick_model::policy::{Decision, decide};

use super::decode::Story;
use super::refused::{Refused, Verdict};
use super::resolve::Resolved;
use crate::catalog::Tool;

/// A call that policy allows.
pub(crate) struct Permitted {
    story: Story,
    tool: Arc<Tool>,
}

impl Permitted {
    pub(super) fn into_parts(self) -> (Story, Arc<Tool>) {
        (self.story, self.tool)
    }
}

/// Asks [`decide`] with the rules of this very moment. A denial is answered like a name that does not exist.
pub(crate) fn permit(call: Resolved) -> Result<Permitted, Refused> {
    let (story, tool) = call.into_parts();
    match decide(story.caller.bailiwick().rules(), &tool.facts()) {
        Decision::Allow => Ok(Permitted { story, tool }),
        Decision::Deny(denial) => Err(Refused::new(story, Some(tool), Verdict::Unknown { reason: denial.as_str() })),
    }
}
