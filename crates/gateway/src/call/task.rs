//! Tasks that tools hand out instead of a result (extension `io.modelcontextprotocol/tasks`, protocol reference 6.1), between clients and
//! servers of 2026-07-28.
//!
//! A task's name is sealed for the agent that made it: whoever else learns it cannot use it, and any replica finds the server behind it.

use std::sync::Arc;

use bailiwick_mcp::{Json, RpcError, WireError, encode, error};
use bailiwick_model::ServerName;
use bailiwick_model::time::Random;
use serde::{Deserialize, Serialize};

use super::decode::Story;
use crate::catalog::{Origin, Tool, View};

/// The extension's name.
pub(crate) const EXTENSION: &str = "io.modelcontextprotocol/tasks";
const TASK_ID: &str = "taskId";
const NEEDED: &str = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;

#[derive(Serialize, Deserialize)]
struct Sealed {
    server: ServerName,
    tool: Box<str>,
    task: Box<str>,
}

/// Whether the result is a task.
pub(super) fn is_task(result: &Json) -> bool {
    result.text_of("resultType").as_deref() == Some("task")
}

/// Whether this request says that its client knows tasks.
pub(super) fn declared(story: &Story) -> bool {
    let extensions = story.capabilities.as_ref().and_then(|capabilities| capabilities.member("extensions"));
    extensions.is_some_and(|extensions| extensions.has(EXTENSION))
}

/// `-32021` for a client that does not say so.
pub(super) fn not_declared() -> WireError {
    let data = encode::object(&[("requiredCapabilities", &Json::from_static(NEEDED))]);
    WireError::new(error::MISSING_CAPABILITY, "tasks need the extension io.modelcontextprotocol/tasks in the request's capabilities")
        .with_data(data)
}

/// The tool behind the caller's name of a task; the story then knows the server's name for it. `None` for what is no task of this agent.
pub(super) fn find(story: &mut Story, view: &View) -> Option<Arc<Tool>> {
    let content = story.caller.bailiwick().audit_key().open_handle(&purpose(story), &story.name)?;
    let Sealed { server, tool, task } = serde_json::from_slice(&content).ok()?;
    let found = view.tool_of(&server, &tool)?;
    story.task = Some(task);
    Some(found)
}

/// The result with the task's name sealed, or with the name that the caller used.
///
/// # Errors
/// When the server's result names no task.
pub(super) fn renamed(story: &Story, tool: &Tool, result: &Json, random: &dyn Random) -> Result<Json, &'static str> {
    let Some(task) = result.text_of(TASK_ID) else {
        return if story.task.is_some() { Ok(result.clone()) } else { Err("a task without a name") };
    };
    let shown = match (&story.task, tool.origin()) {
        (Some(own), _) if **own == *task => story.name.to_string(),
        (None, Origin::Server { server, tool, .. }) => {
            let sealed = Sealed { server: server.name().clone(), tool: tool.clone(), task: task.into() };
            let content = serde_json::to_vec(&sealed).map_err(|_| "a task whose name cannot be kept")?;
            let handle = story.caller.bailiwick().audit_key().seal_handle(&purpose(story), &content, random);
            handle.ok_or("a task whose name is too long")?
        }
        _ => return Err("the state of another task"),
    };
    Ok(result.edit(&[], &[(TASK_ID, &Json::from_text(&shown))]))
}

/// The one answer for what is no task of this agent.
pub(super) fn unknown() -> RpcError {
    RpcError::new(error::INVALID_PARAMS, "unknown task")
}

fn purpose(story: &Story) -> Vec<u8> {
    let scope = story.caller.scope();
    format!("task\0{}\0{}\0{}", scope.org().as_str(), scope.agent_type().as_str(), scope.agent_id().as_str()).into_bytes()
}
