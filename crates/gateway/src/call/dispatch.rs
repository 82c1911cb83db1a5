//! Stage 11: the only function that reaches a module or a server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_mcp::client::{Demand, FaultKind, Outgoing, Question, UpstreamFault};
use bailiwick_mcp::{Era, Json, RpcError, error};
use bailiwick_model::Code;
use bailiwick_modules::{CallContext, Cancel as Flag, ToolModule, ToolOutput};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::ask_back::{self, ROUNDS_MAX, can_answer};
use super::decode::{Story, Subject};
use super::record::{Held, Recorded};
use crate::catalog::{Origin, Tool};
use crate::connections::{Need, Unlent};
use crate::gateway::Gateway;
use crate::house::{self, HouseTool};
use crate::refusal::Refusal;
use crate::servers::{Link, Server};

/// Times that one call is sent again with something better after the server refused what was lent: what another has got meanwhile, and what
/// is got for it (security reference section 10).
const RENEWALS_MAX: usize = 2;
const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// What came back, not yet looked at.
pub(crate) enum Raw {
    /// A result object of a server, as its bytes.
    Server(Json),
    /// A module's output.
    Module(ToolOutput),
    /// A JSON-RPC error of a server; it is the tool's own word and is passed on.
    Error(RpcError),
    /// Somebody has to sign in at the server first; nothing was sent to the tool.
    SignIn(Box<Need>),
    /// No result.
    Failed(Refusal),
}

/// A call that has had its effect, whatever that was.
pub(crate) struct Dispatched {
    story: Story,
    tool: Arc<Tool>,
    held: Held,
    raw: Raw,
}

impl Dispatched {
    pub(super) fn into_parts(self) -> (Story, Arc<Tool>, Held, Raw) {
        (self.story, self.tool, self.held, self.raw)
    }
}

/// Does it. Secrets are lent inside the connection that sends them; nothing here holds one.
pub(crate) async fn dispatch(gateway: &Gateway, call: Recorded) -> Dispatched {
    let (mut story, tool, held) = call.into_parts();
    let raw = match tool.origin() {
        Origin::Module { module, tool: name, .. } => to_module(module.as_ref(), name, &story, gateway.limits().module_deadline).await,
        Origin::House { tool, .. } => to_house(gateway, *tool, &mut story).await,
        Origin::Server { server, tool: name, .. } => to_server(gateway, server, name, &tool, &mut story).await,
    };
    Dispatched { story, tool, held, raw }
}

async fn to_house(gateway: &Gateway, tool: HouseTool, story: &mut Story) -> Raw {
    let limit = gateway.limits().module_deadline;
    let cancel = story.cancel.clone();
    let done = tokio::select! {
        biased;
        () = cancel.cancelled() => return Raw::Failed(cancelled_by_caller()),
        done = tokio::time::timeout(limit, Box::pin(house::call(gateway, tool, story))) => done,
    };
    match done {
        Ok(Ok(output)) => Raw::Module(output),
        Ok(Err(refusal)) => Raw::Failed(refusal),
        Err(_) => Raw::Failed(too_slow(limit)),
    }
}

async fn to_module(module: &dyn ToolModule, name: &str, story: &Story, limit: Duration) -> Raw {
    let flag = Flag::new();
    let event = story.event.to_string();
    let context = CallContext { deadline: Instant::now() + limit, cancel: &flag, call: &event, now: story.at };
    let call = module.call(name, story.arguments.as_str(), context);
    tokio::select! {
        biased;
        () = story.cancel.cancelled() => {
            // Work on a blocking thread goes on until it looks at the flag.
            flag.cancel();
            Raw::Failed(cancelled_by_caller())
        }
        done = tokio::time::timeout(limit, call) => match done {
            Ok(Ok(output)) => Raw::Module(output),
            Ok(Err(fault)) => Raw::Failed(fault.into()),
            Err(_) => Raw::Failed(too_slow(limit)),
        },
    }
}

async fn to_server(gateway: &Gateway, server: &Server, name: &str, tool: &Tool, story: &mut Story) -> Raw {
    // The views follow the rows a moment later; what is not exposed is not called meanwhile.
    if story.subject == Subject::Tool && server.lending().is_some_and(|lending| !lending.allows(name)) {
        let refusal = Refusal::new(Code::PolicyDenied, "the tool is not exposed any more", "look at the list of tools");
        return Raw::Failed(refusal.with_details(json!({"server": server.name().as_str(), "may_have_run": false})));
    }
    let mut link = match lent(server, story).await {
        Ok(link) => link,
        Err(raw) => return raw,
    };
    let mut params = params(story, name);
    let (mut renewals, mut reopened) = (0, false);
    for _ in 0..ROUNDS_MAX {
        let answered = if story.era == Era::Modern && server.offer().is_legacy {
            match ask_for_modern(server, &link, name, tool, story, &params).await {
                Ok(answered) => answered,
                Err(raw) => return raw,
            }
        } else {
            let questions = story.askable.as_ref().map(|askable| askable.questions.clone());
            ask(server, &link, name, tool, story, &params, questions).await
        };
        let result = match answered {
            Ok(result) => result,
            Err(UpstreamFault { kind: FaultKind::Rpc(error), .. }) => {
                if error.code == error::HEADER_MISMATCH {
                    // The headers follow from the tool's schema: the server has another one by now (protocol reference 5.1).
                    server.look_again();
                }
                return Raw::Error(error);
            }
            // The server executed nothing. What was lent may be out of date, or not be enough for this tool.
            Err(UpstreamFault { kind: FaultKind::Auth(demand), .. }) if link.loan.is_some() && renewals < renewals_max(&demand) => {
                renewals += 1;
                match server.renew(story.caller.scope(), &link, &demand).await {
                    Ok(renewed) => {
                        story.lent = renewed.loan.as_ref().map(|loan| loan.kind());
                        link = renewed;
                        continue;
                    }
                    Err(unlent) => return unlent_raw(server, unlent),
                }
            }
            // The way was closed under the call, before anything was sent: the connection was made anew, or taken away.
            Err(UpstreamFault { kind: FaultKind::Closed, sent: false, .. }) if link.loan.is_some() && !reopened => {
                reopened = true;
                link = match lent(server, story).await {
                    Ok(link) => link,
                    Err(raw) => return raw,
                };
                continue;
            }
            // The detail may quote the server, and with it a credential that the server was given.
            Err(fault) => {
                return Raw::Failed(server_fault(server, &fault).because(gateway.mask().clean_text(&fault.detail).into_owned()));
            }
        };
        if story.era == Era::Modern || !ask_back::wants_input(&result) {
            return Raw::Server(result);
        }
        let mut stop = gateway.stop_signal();
        let gathered = tokio::select! {
            gathered = ask_back::gather(story, gateway.mask(), &result, server.timeout()) => gathered,
            _ = stop.wait_for(|stopping| *stopping) => Err(Refusal::new(Code::ShuttingDown, "the gateway is stopping", "call again later")),
        };
        match gathered {
            Ok(answers) => params = answers,
            Err(refusal) => return Raw::Failed(refusal),
        }
    }
    Raw::Failed(ask_back::cannot_be_asked().because("the server asks without end"))
}

/// A token that is refused may have been replaced by one that has ended as well; consent is either enough or it is not.
fn renewals_max(demand: &Demand) -> usize {
    if demand.status == 401 { RENEWALS_MAX } else { 1 }
}

/// The way to the server for this caller, with what is lent to him.
async fn lent(server: &Server, story: &mut Story) -> Result<Link, Raw> {
    let linked = tokio::select! {
        linked = server.link(story.caller.scope()) => linked,
        () = story.cancel.cancelled() => return Err(Raw::Failed(cancelled_by_caller())),
    };
    let link = linked.map_err(|unlent| unlent_raw(server, unlent))?;
    story.lent = link.loan.as_ref().map(|loan| loan.kind());
    Ok(link)
}

fn unlent_raw(server: &Server, unlent: Unlent) -> Raw {
    let name = server.name();
    Raw::Failed(
        match unlent {
            Unlent::SignIn(need) => return Raw::SignIn(need),
            Unlent::NotActive => Refusal::new(
                Code::ServerNotActive,
                format!("server `{name}` is not set up at the moment"),
                format!("ask an administrator: `bailiwick server show {name}` says why"),
            ),
            Unlent::Refused => Refusal::new(
                Code::UpstreamAuth,
                format!("server `{name}` refused the gateway's credential"),
                "ask the operator to renew it",
            ),
            Unlent::Later(cause) => Refusal::new(
                Code::UpstreamUnreachable,
                format!("the sign-in for server `{name}` cannot be renewed at the moment"),
                "try again later",
            )
            .because(cause),
        }
        .with_details(json!({"server": name.as_str(), "may_have_run": false})),
    )
}

/// An older server before a client of 2026-07-28. A question of the server ends the call: with the word that the client did not declare
/// that it can be asked, or that it cannot be asked across these revisions.
async fn ask_for_modern(
    server: &Server,
    link: &Link,
    name: &str,
    tool: &Tool,
    story: &Story,
    params: &[(&'static str, Json)],
) -> Result<Result<Json, UpstreamFault>, Raw> {
    let (questions, mut asked) = mpsc::channel(1);
    let mut call = std::pin::pin!(ask(server, link, name, tool, story, params, Some(questions)));
    loop {
        let question: Question = tokio::select! {
            answered = &mut call => return Ok(answered),
            Some(question) = asked.recv() => question,
        };
        let none = Json::from_static("{}");
        match can_answer(story.capabilities.as_ref().unwrap_or(&none), &question.method, question.params.as_ref()) {
            Ok(()) => return Err(Raw::Failed(ask_back::cannot_be_asked().because("an older server asks a client of 2026-07-28"))),
            Err(Some(needed)) => return Err(Raw::Error(ask_back::not_declared(&Json::from_static(needed)))),
            Err(None) => question.answer(Err(RpcError::method_not_found())),
        }
    }
}

async fn ask(
    server: &Server,
    link: &Link,
    name: &str,
    tool: &Tool,
    story: &Story,
    params: &[(&'static str, Json)],
    questions: Option<mpsc::Sender<Question>>,
) -> Result<Json, UpstreamFault> {
    let params: Vec<(&str, &Json)> = params.iter().map(|(name, value)| (*name, value)).collect();
    let none = Json::from_static("{}");
    let declared = story.capabilities.as_ref().or_else(|| story.askable.as_ref().map(|askable| &askable.capabilities));
    let level = story.log.map(|level| Json::from_text(level.as_str()));
    let mut meta = vec![(CLIENT_CAPABILITIES, declared.unwrap_or(&none))];
    meta.extend(level.as_ref().map(|level| (LOG_LEVEL, level)));
    if let Some(level) = story.log
        && server.offer().announces("logging")
    {
        // Older servers log at one level for everybody. One that cannot be told will say less.
        let _ = tokio::time::timeout(server.timeout(), link.upstream.log_level(level)).await;
    }
    let outgoing = Outgoing {
        method: story.subject.method(),
        name: (story.subject != Subject::Completion).then(|| story.task.as_deref().unwrap_or(name)),
        arguments: matches!(story.subject, Subject::Tool | Subject::Prompt).then_some(&story.arguments),
        params: &params,
        meta: &meta,
        questions,
        param_headers: tool.param_headers(),
        deadline: server.timeout(),
        events: story.events.clone(),
        owner: story.caller.bailiwick().owner(),
        cancel: &story.cancel,
    };
    link.upstream.call(outgoing).await
}

/// Further members of `params`; a reference names the prompt or resource as the server knows it.
fn params(story: &Story, name: &str) -> Vec<(&'static str, Json)> {
    let own = |(member, value): &(&'static str, Json)| match *member {
        "ref" => {
            let named_by = if story.refers_to_prompt() { "name" } else { "uri" };
            ("ref", value.edit(&[], &[(named_by, &Json::from_text(name))]))
        }
        other => (other, value.clone()),
    };
    story.params.iter().map(own).collect()
}

fn cancelled_by_caller() -> Refusal {
    Refusal::new(Code::Cancelled, "the call was cancelled", "")
}

fn too_slow(limit: Duration) -> Refusal {
    Refusal::new(Code::Deadline, format!("no result within {} s", limit.as_secs()), "ask for less, or try again later")
}

/// Says who is at fault and whether trying again helps; the detail stays with the operator.
fn server_fault(server: &Server, fault: &UpstreamFault) -> Refusal {
    let name = server.name();
    let refusal = match &fault.kind {
        FaultKind::Unreachable | FaultKind::Refused(_) => {
            Refusal::new(Code::UpstreamUnreachable, format!("server `{name}` cannot be reached"), "try again later")
        }
        FaultKind::Timeout => Refusal::new(Code::UpstreamTimeout, format!("server `{name}` did not answer in time"), "try again later"),
        FaultKind::Cancelled => cancelled_by_caller(),
        FaultKind::Auth(_) => {
            Refusal::new(Code::UpstreamAuth, format!("server `{name}` refused the gateway's credential"), "ask the operator to renew it")
        }
        FaultKind::TooLarge => {
            Refusal::new(Code::LimitExceeded, format!("the answer of server `{name}` is too large"), "ask for a smaller part of the data")
        }
        FaultKind::Closed => Refusal::new(
            Code::UpstreamUnreachable,
            format!("server `{name}` ended the connection before it answered"),
            if fault.sent { "the call may have had its effect: check before you repeat it" } else { "try again later" },
        ),
        FaultKind::Http(_) | FaultKind::Protocol | FaultKind::Rpc(_) => Refusal::new(
            Code::UpstreamProtocol,
            format!("server `{name}` gave an answer that is not valid MCP"),
            "ask the operator to look at the server",
        ),
    };
    refusal.with_details(json!({"server": name.as_str(), "may_have_run": fault.sent}))
}

/// The result object for a module's output: one text block, and the data beside it; what is no object is wrapped as
/// `{"result": X}` (reference, tool modules section 5).
pub(super) fn module_result(output: &ToolOutput) -> String {
    let structured = &output.structured;
    let text = output.text.as_deref().unwrap_or(structured);
    let block = Value::String(text.to_owned());
    let wrapped = if structured.starts_with('{') { structured.clone() } else { format!(r#"{{"result":{structured}}}"#) };
    format!(r#"{{"content":[{{"type":"text","text":{block}}}],"structuredContent":{wrapped},"isError":false}}"#)
}
