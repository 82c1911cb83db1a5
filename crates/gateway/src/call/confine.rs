//! Stage 6: the arguments fit the tool's schema and stay inside the agent's resources.

use std::sync::Arc;

use bailiwick_mcp::Json;
use bailiwick_mcp::exchange::check_param_headers;
use bailiwick_model::Code;
use serde_json::json;

use super::decode::{Story, Subject};
use super::permit::Permitted;
use super::refused::{Refused, Verdict};
use super::resume;
use crate::catalog::{Origin, Tool};
use crate::refusal::Refusal;
use crate::schema::Misfit;

/// A call whose arguments are checked.
pub(crate) struct Confined {
    story: Story,
    tool: Arc<Tool>,
}

impl Confined {
    pub(super) fn into_parts(self) -> (Story, Arc<Tool>) {
        (self.story, self.tool)
    }
}

/// The arguments that the manifest binds, headers against body, schema, then the module's own lexical check. Nothing has any effect yet.
pub(crate) async fn confine(call: Permitted) -> Result<Confined, Refused> {
    let (mut story, tool) = call.into_parts();
    let bound = match bind(&story, &tool) {
        Ok(bound) => bound,
        Err(refusal) => return Err(Refused::refusal(story, tool, refusal)),
    };
    // Against what the caller sent: a header never speaks for an argument that is filled in for him.
    if let Some(headers) = &story.param_headers
        && let Err(fault) = check_param_headers(headers, tool.param_headers(), Some(&story.arguments))
    {
        return Err(Refused::new(story, Some(tool), Verdict::Protocol(fault)));
    }
    // From here on, the story has the arguments as the server gets them; the state of a question belongs to these.
    if let Some(sent) = bound {
        story.arguments = sent;
    }
    if let Err(fault) = resume::open(&mut story, &tool) {
        return Err(Refused::new(story, Some(tool), Verdict::Protocol(fault)));
    }
    if let Err(refusal) = fits_schema(&story, &tool).await {
        return Err(Refused::refusal(story, tool, refusal));
    }
    if let Origin::Module { module, tool: name, .. } = tool.origin()
        && let Err(fault) = module.confine(name, story.arguments.as_str())
    {
        return Err(Refused::refusal(story, tool.clone(), fault.into()));
    }
    Ok(Confined { story, tool })
}

/// The arguments with those that are filled in; `None` when the call goes on with its own.
fn bind(story: &Story, tool: &Tool) -> Result<Option<Json>, Refusal> {
    match tool.bound() {
        Some(level) if story.subject == Subject::Tool => Ok(level.apply(&story.arguments)?),
        _ => Ok(None),
    }
}

fn has_null(arguments: &Json) -> bool {
    arguments.members().any(|(_, value)| value.is_null())
}

fn without_null(arguments: &Json) -> Json {
    let names: Vec<String> = arguments.members().filter(|(_, value)| value.is_null()).map(|(name, _)| name.into_owned()).collect();
    arguments.edit(&names.iter().map(String::as_str).collect::<Vec<_>>(), &[])
}

async fn fits_schema(story: &Story, tool: &Arc<Tool>) -> Result<(), Refusal> {
    if story.subject.is_task() {
        return Ok(());
    }
    let checked = match tool.input().check(&story.arguments).await {
        // Many clients write `null` for an optional argument that they do not give. The server gets it as it is.
        Err(Misfit::Instance { .. }) if has_null(&story.arguments) => tool.input().check(&without_null(&story.arguments)).await,
        checked => checked,
    };
    match checked {
        Ok(()) => Ok(()),
        Err(Misfit::Instance { path, rule }) => Err(Refusal::new(
            Code::InvalidArgument,
            format!("argument `{path}` does not fit the tool's input schema: {rule}"),
            "correct the argument and call again",
        )
        .with_details(json!({"path": path}))),
        Err(Misfit::Schema(cause)) => Err(Refusal::new(
            Code::UpstreamProtocol,
            "the tool's declared input schema cannot be used",
            "use another tool, or ask the operator to look at the server",
        )
        .because(cause)),
    }
}
