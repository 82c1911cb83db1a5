//! Stage 11: what came back is bounded, as declared, and holds no secret.

use std::sync::Arc;

use bailiwick_mcp::{Json, Kind, Limits, RpcError, error};
use bailiwick_model::Code;

use super::decode::Story;
use super::dispatch::{Dispatched, Raw, module_result};
use super::record::Held;
use crate::catalog::Tool;
use crate::gateway::Gateway;
use crate::refusal::Refusal;
use crate::schema::Misfit;

/// Longest message of a server's JSON-RPC error that is passed on.
const ERROR_TEXT_BYTES_MAX: usize = 4 << 10;

/// How the call ended, fit to be shown.
pub(crate) enum Ending {
    /// The result object, in no era's dress yet.
    Result { result: Json, is_error: bool },
    /// The server's JSON-RPC error.
    Error(RpcError),
    /// Our refusal, after the fact.
    Refused(Refusal),
}

/// An inspected reply.
pub(crate) struct Inspected {
    story: Story,
    tool: Arc<Tool>,
    /// Held until the answer is made, so that the limits count whole calls.
    held: Held,
    ending: Ending,
}

impl Inspected {
    pub(super) fn into_parts(self) -> (Story, Arc<Tool>, Held, Ending) {
        (self.story, self.tool, self.held, self.ending)
    }
}

/// Looks at the reply. A reply that may not be shown becomes a refusal that says so; the effect has happened.
pub(crate) async fn inspect(gateway: &Gateway, done: Dispatched) -> Inspected {
    let (story, tool, held, raw) = done.into_parts();
    let ending = match raw {
        Raw::Server(result) => from_server(gateway, &tool, result).await,
        Raw::Module(output) => from_module(gateway, module_result(&output)),
        Raw::Error(error) => Ending::Error(mask_error(gateway, error)),
        Raw::Failed(refusal) => Ending::Refused(refusal),
    };
    Inspected { story, tool, held, ending }
}

async fn from_server(gateway: &Gateway, tool: &Tool, result: Json) -> Ending {
    let max = gateway.limits().result_bytes_max;
    if result.bytes().len() > max {
        return Ending::Refused(too_large(max));
    }
    let shape = match Shape::read(&result) {
        Ok(shape) => shape,
        Err(rule) => return Ending::Refused(not_as_declared(rule)),
    };
    let text_max = gateway.limits().result_text_bytes_max;
    if result.len() > text_max && text_bytes(&result) > text_max {
        return Ending::Refused(too_large(text_max));
    }
    if let (Some(schema), Some(structured), false) = (tool.output(), &shape.structured, shape.is_error)
        && let Err(misfit) = schema.check(structured).await
    {
        return Ending::Refused(match misfit {
            Misfit::Instance { path, rule } => not_as_declared(format!("structuredContent {path}: {rule}")),
            Misfit::Schema(cause) => not_as_declared(format!("outputSchema: {cause}")),
        });
    }
    match gateway.mask().clean(result) {
        Ok(result) => Ending::Result { result, is_error: shape.is_error },
        Err(refusal) => Ending::Refused(refusal),
    }
}

fn from_module(gateway: &Gateway, result: String) -> Ending {
    let checked = Json::check(result.into(), &Limits::RESULT).map_err(|fault| {
        Refusal::new(Code::Internal, "the result could not be written", "report the event id to the operator").because(fault.to_string())
    });
    match checked.and_then(|result| gateway.mask().clean(result)) {
        Ok(result) => Ending::Result { result, is_error: false },
        Err(refusal) => Ending::Refused(refusal),
    }
}

/// The members of a call result that matter to us.
struct Shape {
    is_error: bool,
    structured: Option<Json>,
}

impl Shape {
    fn read(result: &Json) -> Result<Self, &'static str> {
        if result.kind() != Kind::Object {
            return Err("the result is not an object");
        }
        let mut shape = Self { is_error: false, structured: None };
        for (name, value) in result.members() {
            match &*name {
                "resultType" if value.string().as_deref() != Some("complete") => {
                    return Err("the server asks for more input or hands out a task, which cannot be passed on yet");
                }
                "isError" => shape.is_error = value.boolean() == Some(true),
                "structuredContent" => shape.structured = Some(value),
                "content" if value.kind() != Kind::Array => return Err("`content` is not an array"),
                _ => {}
            }
        }
        Ok(shape)
    }
}

/// Bytes of all text blocks as they stand in the JSON; escapes count as written.
fn text_bytes(result: &Json) -> usize {
    let Some(content) = result.member("content") else { return 0 };
    content.elements().filter_map(|block| Some(block.member("text")?.len().saturating_sub(2))).sum()
}

fn mask_error(gateway: &Gateway, fault: RpcError) -> RpcError {
    // The numbers that govern one hop say nothing on the next (protocol reference 5.1).
    let hop = [error::HEADER_MISMATCH, error::MISSING_CAPABILITY, error::UNSUPPORTED_VERSION].contains(&fault.code);
    let code = if hop { error::INTERNAL } else { fault.code };
    let cut = &fault.message[..fault.message.floor_char_boundary(ERROR_TEXT_BYTES_MAX)];
    let message = gateway.mask().clean_text(cut).into_owned().into();
    let data = fault.data.filter(|data| !hop && data.len() <= gateway.limits().result_text_bytes_max);
    RpcError { code, message, data: data.and_then(|data| gateway.mask().clean(data).ok()) }
}

fn too_large(max: usize) -> Refusal {
    Refusal::new(Code::LimitExceeded, format!("the result is larger than {max} bytes"), "ask for a smaller part of the data")
}

fn not_as_declared(rule: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(Code::UpstreamProtocol, "the server's result is not as it declared", "ask the operator to look at the server")
        .because(rule)
}
