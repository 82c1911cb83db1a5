//! Stage 4: from a name to a tool, prompt or resource in this agent's view.

use std::sync::Arc;

use super::decode::{Story, Subject};
use super::refused::{Refused, Verdict};
use super::task;
use crate::catalog::Tool;
use crate::house::Attributed;

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

/// Looks the name up. What does not exist, is hidden or belongs to somebody else is absent in the same way.
pub(crate) async fn resolve(request: Attributed) -> Result<Resolved, Refused> {
    let mut story = request.into_story();
    let view = story.caller.bailiwick().view(&story.lens).await;
    if story.subject.is_task() && !task::declared(&story) {
        return Err(Refused::new(story, None, Verdict::Protocol(task::not_declared())));
    }
    let found = match story.subject {
        Subject::Tool => view.tool(&story.name),
        Subject::Prompt => view.prompt(&story.name),
        Subject::Resource => view.resource(&story.name),
        Subject::TaskGet | Subject::TaskUpdate | Subject::TaskCancel => task::find(&mut story, &view),
        // A prompt's name must not be taken for a URI: what hides the prompt would not hide it then.
        Subject::Completion if story.refers_to_prompt() => view.prompt(&story.name),
        Subject::Completion => view.resource(&story.name),
    };
    match found {
        Some(tool) => Ok(Resolved { story, tool }),
        None => {
            let reason = view.why_absent(&story.name);
            Err(Refused::new(story, None, Verdict::Unknown { reason }))
        }
    }
}
