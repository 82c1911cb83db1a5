//! Stage 8: what the manifest's argument filters say. Everything that the caller sends on to a module or server is looked at.

use std::borrow::Cow;
use std::sync::Arc;

use bailiwick_mcp::Json;

use super::admit::{Admitted, Places};
use super::decode::{Story, Subject};
use super::refused::Refused;
use crate::catalog::Tool;
use crate::filters::{Stop, arguments_refused};

/// A call whose content no rule stops.
pub(crate) struct Screened {
    story: Story,
    tool: Arc<Tool>,
    places: Places,
}

impl Screened {
    pub(super) fn into_parts(self) -> (Story, Arc<Tool>, Places) {
        (self.story, self.tool, self.places)
    }
}

/// Looks at arguments, answers to a server's questions, and URIs. What a rule only warns of is noted and passes.
pub(crate) async fn screen(call: Admitted) -> Result<Screened, Refused> {
    let (mut story, tool, places) = call.into_parts();
    if story.caller.bailiwick().filters().arguments().is_empty() {
        return Ok(Screened { story, tool, places });
    }
    let rules = story.caller.bailiwick().filters().arguments().clone();
    match Box::pin(rules.screen(sent(&story))).await {
        Ok(hits) => {
            story.hits.extend(hits);
            Ok(Screened { story, tool, places })
        }
        Err(stop) => {
            let refusal = arguments_refused(&stop);
            if let Stop::Blocked(hit) = stop {
                story.hits.push(hit);
            }
            Err(Refused::refusal(story, tool, refusal))
        }
    }
}

fn sent(story: &Story) -> Vec<(Cow<'static, str>, Json)> {
    let mut sent = Vec::new();
    if matches!(story.subject, Subject::Tool | Subject::Prompt) {
        sent.push((Cow::Borrowed(""), story.arguments.clone()));
    }
    if story.names_uri() {
        sent.push((Cow::Borrowed("uri"), Json::from_text(&story.name)));
    }
    // The state of a question was sealed here; its content is the server's own.
    sent.extend(story.params.iter().filter(|(name, _)| *name != "requestState").map(|(name, value)| (Cow::Borrowed(*name), value.clone())));
    sent
}
