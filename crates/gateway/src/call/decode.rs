//! Stage 3 for calls: from a decoded message to the story that every later stage reads and adds to.

use std::sync::Arc;
use std::time::Instant;

use bailiwick_mcp::client::{Cancel, Event};
use bailiwick_mcp::meta::LogLevel;
use bailiwick_mcp::{Era, Id, Json, RequestMeta, RpcError, error, method};
use bailiwick_model::run::RunSource;
use bailiwick_model::{EventId, RunId, Timestamp};
use http::HeaderMap;
use tokio::sync::mpsc;

use super::ask_back::Askable;
use super::authenticate::Caller;
use crate::asked::{Asked, Conversation};
use crate::bailiwick::Lens;
use crate::catalog::Tool;
use crate::filters::Hit;
use crate::product::{META_ORG, META_RUN_ID};

/// What a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Tool,
    Prompt,
    Resource,
    /// What may be typed next for an argument of a prompt or a variable of a template.
    Completion,
    /// A task that a tool handed out (extension `io.modelcontextprotocol/tasks`, protocol reference 6.1).
    TaskGet,
    TaskUpdate,
    TaskCancel,
}

impl Subject {
    /// The subject of a method; `None` for methods that take another path.
    pub(crate) fn of(method: &str) -> Option<Self> {
        match method {
            method::TOOLS_CALL => Some(Self::Tool),
            method::PROMPTS_GET => Some(Self::Prompt),
            method::RESOURCES_READ => Some(Self::Resource),
            method::COMPLETE => Some(Self::Completion),
            method::TASKS_GET => Some(Self::TaskGet),
            method::TASKS_UPDATE => Some(Self::TaskUpdate),
            method::TASKS_CANCEL => Some(Self::TaskCancel),
            _ => None,
        }
    }

    pub(crate) const fn method(self) -> &'static str {
        match self {
            Self::Tool => method::TOOLS_CALL,
            Self::Prompt => method::PROMPTS_GET,
            Self::Resource => method::RESOURCES_READ,
            Self::Completion => method::COMPLETE,
            Self::TaskGet => method::TASKS_GET,
            Self::TaskUpdate => method::TASKS_UPDATE,
            Self::TaskCancel => method::TASKS_CANCEL,
        }
    }

    pub(crate) const fn is_task(self) -> bool {
        matches!(self, Self::TaskGet | Self::TaskUpdate | Self::TaskCancel)
    }
}

/// Everything known about one call. Later stages read it; only its maker fills it in.
pub(crate) struct Story {
    pub(crate) event: EventId,
    pub(crate) at: Timestamp,
    pub(crate) began: Instant,
    pub(crate) caller: Arc<Caller>,
    pub(crate) id: Id,
    pub(crate) era: Era,
    pub(crate) subject: Subject,
    /// What the endpoint shows.
    pub(crate) lens: Lens,
    /// The name of the tool or prompt, or the URI, as the caller wrote it.
    pub(crate) name: Box<str>,
    /// Validated; `{}` when the caller sent none.
    pub(crate) arguments: Json,
    /// The task as its server knows it, once the caller's name for it was opened.
    pub(crate) task: Option<Box<str>>,
    /// Further members of `params` that the server gets as they are.
    pub(crate) params: Vec<(&'static str, Json)>,
    /// What the client can be asked, as this very request declares it (2026-07-28).
    pub(crate) capabilities: Option<Json>,
    /// Of which severity log messages are wanted.
    pub(crate) log: Option<LogLevel>,
    /// How an older client is asked.
    pub(crate) askable: Option<Askable>,
    pub(crate) run: Option<RunId>,
    /// How the run was found.
    pub(crate) run_source: Option<RunSource>,
    /// The older revisions' conversation that it belongs to: where a stack of runs is kept.
    pub(crate) session: Option<Box<str>>,
    pub(crate) trace_id: Option<Box<str>>,
    /// The request's headers, only when an `Mcp-Param-*` is among them or the era demands the check.
    pub(crate) param_headers: Option<HeaderMap>,
    pub(crate) cancel: Cancel,
    /// Where progress goes; only when the caller gave a token.
    pub(crate) events: Option<mpsc::Sender<Event>>,
    /// What filters found so far.
    pub(crate) hits: Vec<Hit>,
    /// The person was asked to sign in at the server, and would not.
    pub(crate) declined: bool,
    /// Whose credential went along, where that is decided with each call.
    pub(crate) lent: Option<&'static str>,
}

/// Longest part of a name that is recorded; an unknown one may be anything.
const NAME_BYTES_MAX: usize = 128;

impl Story {
    /// The name as the caller wrote it, cut.
    pub(crate) fn shown_name(&self) -> &str {
        &self.name[..self.name.floor_char_boundary(NAME_BYTES_MAX)]
    }

    /// What stands as the tool in records. A URI or the name of a task may hold values: there it is the module or server, empty when the call
    /// led to none.
    pub(crate) fn recorded_name<'s>(&'s self, tool: Option<&'s Arc<Tool>>) -> &'s str {
        if self.names_uri() || self.subject.is_task() { tool.map_or("", |t| &**t.source()) } else { self.shown_name() }
    }

    /// The arguments for the eyes of operators, not yet redacted; a URI is one of them.
    pub(crate) fn recorded_arguments(&self) -> Json {
        if self.names_uri() { self.arguments.edit(&["uri"], &[("uri", &Json::from_text(&self.name))]) } else { self.arguments.clone() }
    }
}

impl Story {
    /// Whether its name is a URI.
    pub(crate) fn names_uri(&self) -> bool {
        self.subject == Subject::Resource || self.subject == Subject::Completion && !self.refers_to_prompt()
    }

    /// Whether a completion is about a prompt; else it is about a resource.
    pub(crate) fn refers_to_prompt(&self) -> bool {
        let kind = self.params.iter().find(|(name, _)| *name == "ref").and_then(|(_, reference)| reference.member("type"));
        kind.and_then(|kind| kind.string().map(|kind| kind == "ref/prompt")) == Some(true)
    }
}

/// A well-formed call.
pub(crate) struct Call {
    story: Story,
}

impl Call {
    pub(crate) fn into_story(self) -> Story {
        self.story
    }
}

/// What a call names and brings along.
struct Named {
    name: Box<str>,
    arguments: Json,
    params: Vec<(&'static str, Json)>,
}

/// Reads what the method needs.
///
/// # Errors
/// `-32602` when the name is missing or not a string, or `arguments` is not an object.
pub(crate) fn decode(asked: Asked, subject: Subject, event: EventId, at: Timestamp) -> Result<Call, RpcError> {
    let params = asked.params.as_ref().ok_or_else(|| invalid("`params` is missing"))?;
    let Named { name, arguments, params } = match subject {
        Subject::Tool | Subject::Prompt => by_name(params)?,
        Subject::Resource => by_uri(params)?,
        Subject::Completion => by_reference(params)?,
        Subject::TaskGet | Subject::TaskUpdate | Subject::TaskCancel => by_task(params)?,
    };
    check_org(&asked.meta, &asked.caller)?;
    let run = run_id(&asked.meta)?;
    let trace_id = asked.meta.traceparent.as_deref().and_then(trace_id);
    let Asked { caller, id, era, lens, meta, log, param_headers, cancel, events, askable, began, conversation, .. } = asked;
    let session = match conversation {
        Conversation::Session(id) => Some(id),
        Conversation::Pipe(peer) if era == Era::Legacy => Some(peer.session().into()),
        Conversation::Pipe(_) | Conversation::None => None,
    };
    let capabilities = meta.client_capabilities.filter(|_| era == Era::Modern);
    let story = Story {
        event,
        at,
        began,
        caller,
        id,
        era,
        subject,
        lens,
        name,
        arguments,
        task: None,
        params,
        capabilities,
        log,
        askable,
        run_source: run.as_ref().map(|_| RunSource::Explicit),
        run,
        session,
        trace_id,
        param_headers,
        cancel,
        events,
        hits: Vec::new(),
        declined: false,
        lent: None,
    };
    Ok(Call { story })
}

fn by_name(params: &Json) -> Result<Named, RpcError> {
    let name = params.text_of("name").ok_or_else(|| invalid("`params.name` must be a string"))?;
    let arguments = match params.member("arguments") {
        None => Json::from_static("{}"),
        Some(arguments) if arguments.is_object() => arguments,
        Some(_) => return Err(invalid("`params.arguments` must be an object")),
    };
    Ok(Named { name: name.into(), arguments, params: input(params) })
}

fn by_uri(params: &Json) -> Result<Named, RpcError> {
    let uri = params.text_of("uri").ok_or_else(|| invalid("`params.uri` must be a string"))?;
    Ok(Named { name: uri.into(), arguments: Json::from_static("{}"), params: input(params) })
}

/// The rest of the params is the server's to understand.
fn by_task(params: &Json) -> Result<Named, RpcError> {
    let task = params.text_of("taskId").ok_or_else(|| invalid("`params.taskId` must be a string"))?;
    let answers = params.member("inputResponses").map(|answers| ("inputResponses", answers));
    Ok(Named { name: task.into(), arguments: Json::from_static("{}"), params: answers.into_iter().collect() })
}

/// The answers to a server's questions, and what it wants to see again with them (protocol reference 2.8).
fn input(params: &Json) -> Vec<(&'static str, Json)> {
    let member = |name: &'static str| params.member(name).map(|value| (name, value));
    ["inputResponses", "requestState"].into_iter().filter_map(member).collect()
}

/// `ref` names a prompt or a resource template; the name stands in the story, the reference itself is made anew for the server.
fn by_reference(params: &Json) -> Result<Named, RpcError> {
    let reference = params.member("ref").filter(Json::is_object).ok_or_else(|| invalid("`params.ref` must be an object"))?;
    let named_by = match reference.text_of("type").as_deref() {
        Some("ref/prompt") => "name",
        Some("ref/resource") => "uri",
        _ => return Err(invalid("`params.ref.type` must be `ref/prompt` or `ref/resource`")),
    };
    let name = reference.text_of(named_by).ok_or_else(|| invalid("`params.ref` names no prompt and no resource"))?.into();
    let argument = params.member("argument").filter(Json::is_object).ok_or_else(|| invalid("`params.argument` must be an object"))?;
    let mut rest = vec![("ref", reference), ("argument", argument.clone())];
    rest.extend(params.member("context").map(|context| ("context", context)));
    Ok(Named { name, arguments: argument, params: rest })
}

fn invalid(message: &'static str) -> RpcError {
    RpcError::new(error::INVALID_PARAMS, message)
}

/// The organisation that a request names.
pub(crate) fn org_named(meta: &RequestMeta) -> Option<String> {
    let named = meta.raw.as_ref()?.member(META_ORG)?;
    // What is no text is no name of any organisation.
    Some(named.string().map_or_else(|| "?".to_owned(), std::borrow::Cow::into_owned))
}

/// Nothing is ever done in another organisation than the one that the request names.
pub(crate) fn check_org(meta: &RequestMeta, caller: &Caller) -> Result<(), RpcError> {
    match org_named(meta) {
        Some(named) if named != caller.scope().org().as_str() => {
            Err(invalid("`_meta[\"dev.bailiwick/org\"]` is not the organisation of this session or credential"))
        }
        _ => Ok(()),
    }
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
