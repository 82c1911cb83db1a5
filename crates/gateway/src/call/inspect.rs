//! Stage 12: what came back is bounded, as declared, and holds no secret.

use std::sync::Arc;

use bailiwick_mcp::{Era, Json, Kind, Limits, RpcError, error};
use bailiwick_model::Code;

use super::ask_back;
use super::binary::capped;
use super::decode::{Story, Subject};
use super::dispatch::{Dispatched, Raw, module_result};
use super::record::Held;
use super::{resume, sign_in, task};
use crate::catalog::{Origin, Relabel, Tool};
use crate::filters::{Crossed, Hit, Layout, ResultRules as Rules, Stop, result_refused};
use crate::gateway::Gateway;
use crate::refusal::Refusal;
use crate::schema::Misfit;

/// Longest message of a server's JSON-RPC error that is passed on.
const ERROR_TEXT_BYTES_MAX: usize = 4 << 10;

/// How the call ended, fit to be shown.
pub(crate) enum Ending {
    /// The result object, in no era's dress yet.
    Result { result: Json, is_error: bool },
    /// The server wants input first, and the client said that it can be asked.
    Input(Json),
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
    let (mut story, tool, held, raw) = done.into_parts();
    let ending = match without_huge_blocks(&story, &tool, raw) {
        Raw::Server(result) if ask_back::wants_input(&result) => input_wanted(gateway, &story, &tool, result),
        Raw::Server(result) if story.subject.is_task() || task::is_task(&result) => of_task(gateway, &story, &tool, result),
        Raw::Server(result) if story.subject == Subject::Tool => from_server(gateway, &tool, result).await,
        Raw::Server(result) => from_other(gateway, result),
        Raw::Module(output) => from_module(gateway, module_result(&output)),
        Raw::Error(error) => Ending::Error(mask_error(gateway, &story, error)),
        Raw::SignIn(need) => sign_in::ending(gateway, &story, &tool, &need),
        Raw::Failed(refusal) => Ending::Refused(gateway.mask().clean_refusal(refusal)),
    };
    let ending =
        if story.caller.bailiwick().filters().results().is_empty() { ending } else { Box::pin(screened(&mut story, ending)).await };
    let ending = relabelled(&story, &tool, ending).await;
    Inspected { story, tool, held, ending }
}

fn without_huge_blocks(story: &Story, tool: &Tool, raw: Raw) -> Raw {
    match (raw, story.caller.bailiwick().binary_bytes_max(tool)) {
        (Raw::Server(result), Some(max)) => Raw::Server(capped(result, story.subject, max)),
        (raw, _) => raw,
    }
}

/// What the manifest's response filters leave of the reply; results, errors and our own words about them alike.
async fn screened(story: &mut Story, ending: Ending) -> Ending {
    let rules = story.caller.bailiwick().filters().results().clone();
    let layout = Layout::of(story.subject);
    let mut hits = Vec::new();
    let outcome = match ending {
        Ending::Result { result, is_error } => rules.screen(result.clone(), layout).await.map(|screened| {
            hits = screened.hits;
            Ending::Result { result: screened.changed.unwrap_or(result), is_error }
        }),
        Ending::Input(result) => rules.screen(result.clone(), Layout::Plain).await.map(|screened| {
            hits = screened.hits;
            Ending::Input(screened.changed.unwrap_or(result))
        }),
        Ending::Error(fault) => screened_error(&rules, fault, &mut hits).await.map(Ending::Error),
        Ending::Refused(refusal) => screened_refusal(&rules, refusal, &mut hits).await.map(Ending::Refused),
    };
    let ending = outcome.unwrap_or_else(|stop| {
        let refusal = result_refused(&stop);
        if let Stop::Blocked(hit) = stop {
            hits.push(hit);
        }
        Ending::Refused(refusal)
    });
    story.hits.append(&mut hits);
    ending
}

async fn screened_error(rules: &Rules, fault: RpcError, hits: &mut Vec<Hit>) -> Result<RpcError, Stop> {
    let RpcError { code, message, data } = fault;
    let text = rules.screen_text(&message)?;
    hits.extend(text.hits);
    let data = match data {
        None => None,
        Some(data) => {
            let screened = rules.screen(data.clone(), Layout::Free).await?;
            hits.extend(screened.hits);
            Some(screened.changed.unwrap_or(data))
        }
    };
    Ok(RpcError { code, message: text.changed.map_or(message, Into::into), data })
}

/// A module's word about what went wrong may quote data.
async fn screened_refusal(rules: &Rules, mut refusal: Refusal, hits: &mut Vec<Hit>) -> Result<Refusal, Stop> {
    for text in [&mut refusal.message, &mut refusal.remedy] {
        let screened = rules.screen_text(text)?;
        hits.extend(screened.hits);
        if let Some(changed) = screened.changed {
            *text = changed.into();
        }
    }
    if let Some(details) = refusal.details.take() {
        let json = Json::from_serialize(&details).map_err(|_| Stop::Crossed(Crossed::Bytes))?;
        let screened = rules.screen(json, Layout::Free).await?;
        hits.extend(screened.hits);
        refusal.details = Some(screened.changed.and_then(|changed| changed.decode().ok()).unwrap_or(details));
    }
    Ok(refusal)
}

/// URIs in what a server gave get the names that they have in this view.
async fn relabelled(story: &Story, tool: &Tool, ending: Ending) -> Ending {
    let (Origin::Server { server, .. }, Ending::Result { .. }) = (tool.origin(), &ending) else { return ending };
    let view = story.caller.bailiwick().view(&story.lens).await;
    match (Relabel::new(view.routes(), server.name()), ending) {
        (Some(relabel), Ending::Result { result, is_error }) => {
            let result = match story.subject {
                Subject::Tool => relabel.tool_result(result),
                Subject::Prompt => relabel.prompt_result(result),
                Subject::Resource => relabel.contents(result),
                Subject::Completion | Subject::TaskGet | Subject::TaskUpdate | Subject::TaskCancel => result,
            };
            Ending::Result { result, is_error }
        }
        (_, ending) => ending,
    }
}

/// The server asks back. Only a client of 2026-07-28 gets here: older ones were asked on the way.
fn input_wanted(gateway: &Gateway, story: &Story, tool: &Tool, result: Json) -> Ending {
    let Some(capabilities) = &story.capabilities else { return Ending::Refused(ask_back::cannot_be_asked()) };
    if story.subject == Subject::Completion {
        return Ending::Refused(not_as_declared("completion asks for input"));
    }
    match ask_back::missing(capabilities, &result) {
        Err(rule) => return Ending::Refused(not_as_declared(rule)),
        Ok(Some(needed)) => return Ending::Error(ask_back::not_declared(&needed)),
        Ok(None) => {}
    }
    let sealed = resume::seal(story, tool, &result, gateway.now(), gateway.random());
    let Some(sealed) = sealed else { return Ending::Refused(not_as_declared("its state is too large")) };
    match gateway.mask().clean(sealed) {
        Ok(result) => Ending::Input(result),
        Err(refusal) => Ending::Refused(refusal),
    }
}

/// A task, or the state of one.
fn of_task(gateway: &Gateway, story: &Story, tool: &Tool, result: Json) -> Ending {
    if !task::declared(story) || !matches!(story.subject, Subject::Tool) && !story.subject.is_task() {
        return Ending::Refused(not_as_declared("the server hands out a task that nobody asked for"));
    }
    let max = gateway.limits().result_bytes_max;
    if result.bytes().len() > max {
        return Ending::Refused(too_large(max));
    }
    // A task may ask back as well.
    let none = Json::from_static("{}");
    match ask_back::missing(story.capabilities.as_ref().unwrap_or(&none), &result) {
        Err(rule) => return Ending::Refused(not_as_declared(rule)),
        Ok(Some(needed)) => return Ending::Error(ask_back::not_declared(&needed)),
        Ok(None) => {}
    }
    match task::renamed(story, tool, &result, gateway.random()) {
        Err(rule) => Ending::Refused(not_as_declared(rule)),
        Ok(result) => match gateway.mask().clean(result) {
            Ok(result) => Ending::Result { result, is_error: false },
            Err(refusal) => Ending::Refused(refusal),
        },
    }
}

/// The result of a prompt, a resource or a completion.
fn from_other(gateway: &Gateway, result: Json) -> Ending {
    let max = gateway.limits().result_bytes_max;
    if result.bytes().len() > max {
        return Ending::Refused(too_large(max));
    }
    if let Err(rule) = Shape::read(&result) {
        return Ending::Refused(not_as_declared(rule));
    }
    let text_max = gateway.limits().result_text_bytes_max;
    if result.len() > text_max && contents_bytes(&result) > text_max {
        return Ending::Refused(too_large(text_max));
    }
    match gateway.mask().clean(result) {
        Ok(result) => Ending::Result { result, is_error: false },
        Err(refusal) => Ending::Refused(refusal),
    }
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
                    return Err("the server hands out a task, which cannot be passed on yet");
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

/// Bytes of all texts of a resource; what is encoded in it is not for reading.
fn contents_bytes(result: &Json) -> usize {
    let Some(contents) = result.member("contents") else { return 0 };
    contents.elements().filter_map(|one| Some(one.member("text")?.len().saturating_sub(2))).sum()
}

/// Bytes of all text blocks as they stand in the JSON; escapes count as written.
fn text_bytes(result: &Json) -> usize {
    let Some(content) = result.member("content") else { return 0 };
    content.elements().filter_map(|block| Some(block.member("text")?.len().saturating_sub(2))).sum()
}

fn mask_error(gateway: &Gateway, story: &Story, fault: RpcError) -> RpcError {
    // The numbers that govern one hop say nothing on the next (protocol reference 5.1). What the client cannot be asked is its own word,
    // which was passed on to the server.
    let hop = match fault.code {
        error::HEADER_MISMATCH | error::UNSUPPORTED_VERSION => true,
        error::MISSING_CAPABILITY => story.capabilities.is_none(),
        _ => false,
    };
    let code = match (fault.code, story.era) {
        _ if hop => error::INTERNAL,
        (error::LEGACY_RESOURCE_NOT_FOUND, Era::Modern) => error::INVALID_PARAMS,
        (error::INVALID_PARAMS, Era::Legacy) if story.subject == Subject::Resource => error::LEGACY_RESOURCE_NOT_FOUND,
        (code, _) => code,
    };
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
