//! Which tools a server has, and which are exposed.

use std::collections::BTreeMap;

use bailiwick_model::OrgId;

use super::super::args::{Form, ServerArgs};
use super::super::desk::Desk;
use super::super::output;
use crate::exit::{Exit, Failure};
use crate::http::api::operation::{Ask, Nothing};
use crate::http::api::server::allowlist::{
    CopyAllowedTools, CopyMcpServerAllowedToolsRequest, SetAllowedTools, UpdateMcpServerAllowedToolsRequest,
};
use crate::http::api::server::tools::{ListServerTools, McpTools};
use crate::http::api::server::upkeep::DiscoverTools;
use crate::http::api::server::{ServerPath, ShowServer};

/// What is to be done before the tools are shown.
pub(super) struct Wanted {
    pub(super) discover: bool,
    pub(super) allow: Vec<String>,
    pub(super) block: Vec<String>,
    pub(super) copy_from: Option<String>,
}

pub(super) async fn tools(form: Form, desk: &Desk, which: ServerArgs, wanted: Wanted) -> Result<(), Failure> {
    let (org, path) = super::find(desk, which).await?;
    if wanted.discover {
        let changes = desk.ask_in::<DiscoverTools>(&org, path.clone(), Nothing {}).await?;
        eprintln!("{} new, {} gone, {} changed.", changes.added.len(), changes.gone.len(), changes.changed.len());
    }
    if let Some(source) = &wanted.copy_from {
        let source_server_id = super::id(desk, &org, source).await?;
        desk.ask_in::<CopyAllowedTools>(&org, path.clone(), CopyMcpServerAllowedToolsRequest { source_server_id }).await?;
    }
    if !wanted.allow.is_empty() || !wanted.block.is_empty() {
        change(desk, &org, &path, wanted).await?;
    }
    let McpTools(tools) = desk.ask_in::<ListServerTools>(&org, path, Nothing {}).await?;
    output::print_rows(form, &tools, ["TOOL", "EXPOSED", "RISK", "LAST SEEN", "DESCRIPTION"], |tool| {
        let exposed = match (tool.present, tool.allowed) {
            (false, _) => "gone",
            (true, Some(true)) => "yes",
            (true, Some(false)) => "no",
            (true, None) => "not configured",
        };
        let risk = tool.contract.get("risk_level").and_then(|risk| risk.as_str()).unwrap_or_default();
        let description = tool.description.lines().next().unwrap_or_default();
        [tool.name.clone(), exposed.to_owned(), risk.to_owned(), tool.last_seen_at.clone(), description.to_owned()]
    })
}

/// Changes single tools on the list, unless somebody else changes the server in between.
async fn change(desk: &Desk, org: &OrgId, path: &ServerPath, wanted: Wanted) -> Result<(), Failure> {
    let server = desk.ask_in::<ShowServer>(org, path.clone(), Nothing {}).await?;
    let mut tools = match server.allowed_tools {
        Some(tools) => tools,
        // Not configured means all, as soon as they are known.
        None => known(desk, org, path).await?,
    };
    tools.extend(wanted.allow.into_iter().map(|tool| (tool, true)));
    tools.extend(wanted.block.into_iter().map(|tool| (tool, false)));
    let body = UpdateMcpServerAllowedToolsRequest { allowed_tools: Some(tools) };
    let ask = Ask { path: path.clone(), query: Nothing {}, body, expected: Some(server.revision), org: Some(org.clone()) };
    desk.send::<SetAllowedTools>(ask).await.map(drop)
}

async fn known(desk: &Desk, org: &OrgId, path: &ServerPath) -> Result<BTreeMap<String, bool>, Failure> {
    let McpTools(tools) = desk.ask_in::<ListServerTools>(org, path.clone(), Nothing {}).await?;
    if tools.is_empty() {
        let failure = Failure::new(Exit::Conflict, "the tools of the server are not known yet");
        return Err(failure.hint("add `--discover`, or say exactly which with `bailiwick server allow`"));
    }
    Ok(tools.into_iter().map(|tool| (tool.name, true)).collect())
}

pub(super) async fn allow(form: Form, desk: &Desk, which: ServerArgs, tools: Option<Vec<String>>) -> Result<(), Failure> {
    let (org, path) = super::find(desk, which).await?;
    let allowed_tools = tools.map(|tools| tools.into_iter().map(|tool| (tool, true)).collect());
    let server = desk.ask_in::<SetAllowedTools>(&org, path, UpdateMcpServerAllowedToolsRequest { allowed_tools }).await?;
    let text = match &server.allowed_tools {
        None => format!("The next discovery of `{}` exposes all tools that there are.", server.display_name),
        Some(tools) => format!("Server `{}` exposes {} tools.", server.display_name, tools.len()),
    };
    output::done(form, &server, &text)
}
