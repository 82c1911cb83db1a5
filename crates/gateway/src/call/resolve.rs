//! Stage 4: from a name to a tool in this agent's view.

use std::sync::Arc;

use super::decode::{Story, ToolCall};
use super::refused::{Refused, Verdict};
use crate::catalog::Tool;

/// A call whose tool exists in the agent's view.
pub(crate) struct Resolved {
    story: Story,
    tool: Arc<Tool>,
}

impl Resolved {
    pub(super) fn into_parts(self) -> (Story, Arc<Tool>) {
        (self.story, self.tool)
    }
}

/// Looks the name up. A tool that does not exist, is hidden or belongs to somebody else is absent in the same way.
pub(crate) async fn resolve(request: ToolCall) -> Result<Resolved, Refused> {
    let story = request.into_story();
    let view = story.caller.bailiwick().view().await;
    match view.tool(&story.name) {
        Some(tool) => Ok(Resolved { story, tool }),
        None => {
            let reason = view.why_absent(&story.name);
            Err(Refused::new(story, None, Verdict::UnknownTool { reason }))
        }
    }
}
