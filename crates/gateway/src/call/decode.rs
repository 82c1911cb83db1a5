//! Stage 3 for tool calls: from a decoded message to the story that every later stage reads and adds to.

use std::sync::Arc;
use std::time::Instant;

use bailiwick_mcp::client::{Cancel, Event};
use bailiwick_mcp::{Era, Id, Json, RequestMeta, RpcError, error};
use bailiwick_model::{EventId, RunId, Timestamp};
use http::HeaderMap;
use tokio::sync::mpsc;

use super::authenticate::Caller;
use crate::asked::Asked;
use crate::product::META_RUN_ID;

/// Everything known about one call. Later stages read it; only its maker fills it in.
pub(crate) struct Story {
    pub(crate) event: EventId,
    pub(crate) at: Timestamp,
    pub(crate) began: Instant,
    pub(crate) caller: Arc<Caller>,
    pub(crate) id: Id,
    pub(crate) era: Era,
    /// The tool's name as the caller wrote it.
    pub(crate) name: Box<str>,
    /// Validated; `{}` when the caller sent none.
    pub(crate) arguments: Json,
    pub(crate) run: Option<RunId>,
    pub(crate) trace_id: Option<Box<str>>,
    /// The request's headers, only when an `Mcp-Param-*` is among them or the era demands the check.
    pub(crate) param_headers: Option<HeaderMap>,
    pub(crate) cancel: Cancel,
    /// Where progress goes; only when the caller gave a token.
    pub(crate) events: Option<mpsc::Sender<Event>>,
}

/// Longest part of a name that is recorded; an unknown one may be anything.
const NAME_BYTES_MAX: usize = 128;

impl Story {
    /// The tool's name as the caller wrote it, cut.
    pub(crate) fn shown_name(&self) -> &str {
        &self.name[..self.name.floor_char_boundary(NAME_BYTES_MAX)]
    }
}

/// A well-formed `tools/call`.
pub(crate) struct ToolCall {
    story: Story,
}

impl ToolCall {
    pub(super) fn into_story(self) -> Story {
        self.story
    }
}

/// Reads `name` and `arguments`.
///
/// # Errors
/// `-32602` when `name` is missing or not a string, or `arguments` is not an object.
pub(crate) fn tool_call(asked: Asked, event: EventId, at: Timestamp) -> Result<ToolCall, RpcError> {
    let params = asked.params.as_ref().ok_or_else(|| invalid("`params` is missing"))?;
    let name = params.text_of("name").map(|name| name.into_owned().into_boxed_str());
    let name = name.ok_or_else(|| invalid("`params.name` must be a string"))?;
    let arguments = match params.member("arguments") {
        None => Json::from_static("{}"),
        Some(arguments) if arguments.is_object() => arguments,
        Some(_) => return Err(invalid("`params.arguments` must be an object")),
    };
    let run = run_id(&asked.meta)?;
    let trace_id = asked.meta.traceparent.as_deref().and_then(trace_id);
    let Asked { caller, id, era, param_headers, cancel, events, began, .. } = asked;
    let story = Story { event, at, began, caller, id, era, name, arguments, run, trace_id, param_headers, cancel, events };
    Ok(ToolCall { story })
}

fn invalid(message: &'static str) -> RpcError {
    RpcError::new(error::INVALID_PARAMS, message)
}

fn run_id(meta: &RequestMeta) -> Result<Option<RunId>, RpcError> {
    let Some(named) = meta.raw.as_ref().and_then(|raw| raw.member(META_RUN_ID)) else { return Ok(None) };
    let run = named.string().and_then(|text| RunId::parse(&text).ok());
    run.map(Some).ok_or_else(|| invalid("`_meta[\"dev.bailiwick/runId\"]` must be 1 to 64 letters, digits, `-` or `_`"))
}

/// The trace id of a W3C `traceparent`: `00-<32 hex>-<16 hex>-<2 hex>`.
fn trace_id(traceparent: &str) -> Option<Box<str>> {
    let id = traceparent.split('-').nth(1)?;
    (id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())).then(|| id.into())
}
