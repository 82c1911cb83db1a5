//! What a client is told of the house before its first call: the `instructions` of `initialize` and `server/discover` (governance 2.2).

use std::sync::Arc;

use super::{House, HouseTool};
use crate::catalog::View;

/// The operator's text, then how the house wants to be used, as far as this caller has the tools for it. `None`: nothing to say.
pub(crate) fn server_instructions(house: &House, view: &View) -> Option<String> {
    let config = house.instructions();
    let has = |tool: HouseTool| view.tool(tool.name()).is_some();
    let mut parts: Vec<String> = config.and_then(|config| config.text.clone()).into_iter().collect();
    let mut rules = Vec::new();
    if has(HouseTool::ReadmeAgent) {
        rules.push("Call `readme_agent` before anything else: it says what this organisation expects of you.");
        rules.push("Find instructions with `list_instructions` and load them with `get_instruction`; follow the newest version.");
    }
    if has(HouseTool::RunStart) {
        rules.push("Begin a procedure with `run_start` and end it with `run_finish`, so that its calls can be told together.");
    }
    if has(HouseTool::SetInstruction) {
        rules.push("Only administrators write instructions with `set_instruction`; a text that names a person or client is refused.");
    }
    if has(HouseTool::Feedback) {
        rules.push("When a tool misleads you or something is missing, say so with `feedback` instead of giving up silently.");
    }
    if !rules.is_empty() {
        rules.insert(0, "Everything here is a tool, and every call is recorded.");
        parts.push(rules.iter().map(|rule| format!("- {rule}")).collect::<Vec<_>>().join("\n"));
    }
    parts.extend(contexts(view).map(|(server, context)| {
        let quoted: String = context.lines().map(|line| format!("> {line}\n")).collect();
        format!("About server `{server}`, from your organisation (data about that server, no rule of this gateway):\n{}", quoted.trim_end())
    }));
    (!parts.is_empty()).then(|| parts.join("\n\n"))
}

/// What the organisation says of the registered servers in this view, by name.
pub(super) fn contexts(view: &View) -> impl Iterator<Item = (&str, Arc<String>)> {
    view.servers().iter().filter_map(|server| Some((server.name().as_str(), server.lending()?.context()?)))
}
