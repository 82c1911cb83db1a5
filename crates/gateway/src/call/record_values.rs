//! What stands in a record. The chain covers digests and keyed hashes, never values (design section 6, *Ledger values*).

use std::sync::Arc;

use bailiwick_mcp::{Json, Kind};
use bailiwick_model::Code;
use bailiwick_model::manifest::Access;
use bailiwick_store::AuditKey;
use bailiwick_store::event::{Actor, EventKind, EventRow};
use bailiwick_store::ledger::redact;
use bailiwick_store::ledger::{Durability, Entry, Span};
use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;

use super::decode::{Story, Subject};
use super::inspect::Ending;
use super::refused::Verdict;
use crate::catalog::Tool;
use crate::filters::{Hit, MatchedOn};
use crate::mask::Mask;

/// Scalars of one argument object that get a hash each; with more, the object has one hash as a whole.
const HASHED_SCALARS_MAX: usize = 64;

/// How a call ended, for the record.
pub(crate) struct Status {
    /// `ok`, `tool_error`, `input_required`, `error`, `refused`, `failed`, `cancelled`, `shadowed`.
    word: &'static str,
    code: Option<&'static str>,
    /// The word of the rule that refused; the only reason that goes into the chain.
    rule: Option<&'static str>,
    /// For the readable row.
    reason: Option<String>,
    result: Option<Json>,
    /// What a used-up rate says of itself, for the call log.
    details: Option<serde_json::Value>,
}

impl Status {
    pub(super) fn of(ending: &Ending) -> Self {
        match ending {
            Ending::Result { result, is_error } => Self {
                word: if *is_error { "tool_error" } else { "ok" },
                code: None,
                rule: None,
                reason: None,
                result: Some(result.clone()),
                details: None,
            },
            Ending::Input(result) => {
                Self { word: "input_required", code: None, rule: None, reason: None, result: Some(result.clone()), details: None }
            }
            Ending::Error(fault) => Self {
                word: "error",
                code: Some("upstream_error"),
                rule: None,
                reason: Some(format!("JSON-RPC {}", fault.code)),
                result: None,
                details: None,
            },
            Ending::Refused(refusal) => {
                let word = if refusal.code == Code::Cancelled { "cancelled" } else { "failed" };
                Self {
                    word,
                    code: Some(refusal.code.as_str()),
                    rule: None,
                    reason: Some(refusal_reason(refusal)),
                    result: None,
                    details: None,
                }
            }
        }
    }

    pub(super) fn refused(verdict: &Verdict) -> Self {
        let (code, rule, reason) = match verdict {
            Verdict::Shadowed => return Self { word: "shadowed", code: None, rule: None, reason: None, result: None, details: None },
            Verdict::Refusal(refusal) => (refusal.code.as_str(), None, refusal_reason(refusal)),
            Verdict::Unknown { reason } => (Code::PolicyDenied.as_str(), Some(*reason), (*reason).to_owned()),
            Verdict::Protocol(fault) => (Code::InvalidArgument.as_str(), None, fault.message.to_string()),
        };
        let details = match verdict {
            Verdict::Refusal(refusal) if refusal.code == Code::RateLimited => refusal.details.clone(),
            _ => None,
        };
        Self { word: "refused", code: Some(code), rule, reason: Some(reason), result: None, details }
    }

    pub(crate) fn word(&self) -> &'static str {
        self.word
    }

    /// The code, when the call did not simply succeed.
    pub(crate) fn code_word(&self) -> Option<&'static str> {
        self.code.or((self.word == "tool_error").then_some("tool_error"))
    }

    pub(crate) fn result_bytes(&self) -> Option<usize> {
        self.result.as_ref().map(Json::len)
    }

    pub(crate) fn is_ok(&self) -> bool {
        matches!(self.word, "ok" | "input_required" | "shadowed")
    }

    pub(crate) fn details(&self) -> Option<&serde_json::Value> {
        self.details.as_ref()
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}

fn refusal_reason(refusal: &crate::refusal::Refusal) -> String {
    refusal.reason.as_deref().unwrap_or(&refusal.message).to_owned()
}

/// A record in the making.
pub(super) struct Line<'s> {
    story: &'s Story,
    tool: Option<&'s Arc<Tool>>,
}

#[derive(Serialize)]
struct Record<'r> {
    at: i64,
    kind: &'static str,
    org: &'r str,
    agent: &'r str,
    agent_type: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'r str>,
    tool: &'r str,
    /// What was asked, when it was no tool call.
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'static str>,
    /// Keyed hash of the URI: it may hold values.
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    /// Keyed hash of the answers to a server's questions.
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'r str>,
    /// Which definition the tool had.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<&'r str>,
    /// Whose credential went along.
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    risk: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<&'r serde_json::value::RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    filters: Vec<Found<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
}

/// What a filter of the manifest found.
#[derive(Serialize)]
struct Found<'r> {
    event: &'static str,
    filter: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    matched_on: Option<&'static str>,
}

impl<'r> Found<'r> {
    fn of(hit: &'r Hit) -> Self {
        Self { event: hit.event, filter: &hit.filter, field: hit.field.as_deref(), matched_on: hit.matched_on.map(MatchedOn::as_str) }
    }
}

impl<'s> Line<'s> {
    pub(super) fn of(story: &'s Story, tool: Option<&'s Arc<Tool>>) -> Self {
        Self { story, tool }
    }

    /// The intent: everything that is known before the effect.
    pub(super) fn intent(&self, span: Span, durability: Durability) -> Entry {
        let bytes = self.bytes(None, true);
        Entry { bytes, durability, span, row: None }
    }

    /// The end of a call: of one that wrote an intent, or the single record of one that did not.
    pub(super) fn ended(&self, mask: &Mask, span: Span, status: &Status) -> Entry {
        let bytes = self.bytes(Some(status), matches!(span, Span::Single(_)));
        Entry { bytes, durability: Durability::Process, span, row: Some(Box::new(self.row(mask, status))) }
    }

    fn bytes(&self, status: Option<&Status>, with_args: bool) -> Vec<u8> {
        let Self { story, tool } = self;
        let scope = story.caller.scope();
        let key = story.caller.bailiwick().audit_key();
        let args = with_args.then(|| keyed(key, &story.arguments));
        let args = args.and_then(|text| serde_json::value::RawValue::from_string(text).ok());
        let record = Record {
            at: story.at.as_micros(),
            kind: "call",
            org: scope.org().as_str(),
            agent: scope.agent_id().as_str(),
            agent_type: scope.agent_type().as_str(),
            key: scope.principal().key_id.map(|id| id.to_string()),
            sub: scope.principal().sub.as_ref().map(bailiwick_model::Subject::as_str),
            client: client(story),
            tool: story.recorded_name(*tool),
            method: (story.subject != Subject::Tool).then(|| story.subject.method()),
            uri: story.names_uri().then(|| hash(key, story.name.as_bytes())),
            input: story.params.iter().find(|(name, _)| *name == "inputResponses").map(|(_, answers)| hash(key, answers.bytes())),
            source: tool.map(|t| &**t.source()),
            revision: tool.and_then(|t| t.revision()).map(|revision| &**revision),
            credential: story.lent.or_else(|| tool.and_then(|t| t.credential_kind())),
            effect: tool.map(|t| if t.access() == Access::Read { "read" } else { "write" }),
            risk: tool.map(|t| t.risk().as_str()),
            args: args.as_deref(),
            run: story.run.as_ref().map(bailiwick_model::RunId::as_str),
            trace: story.trace_id.as_deref(),
            status: status.map(Status::word),
            code: status.and_then(|s| s.code),
            reason: status.and_then(|s| s.rule),
            filters: story.hits.iter().map(Found::of).collect(),
            us: status.map(|_| micros(story)),
            result_bytes: status.and_then(|s| s.result.as_ref()).map(|r| r.bytes().len()),
            result: status.and_then(|s| s.result.as_ref()).map(|r| hash(key, r.bytes())),
        };
        let mut bytes = Vec::with_capacity(512);
        // Serialising plain members into memory cannot fail; an empty record would be refused by the ledger.
        let _ = serde_json::to_writer(&mut bytes, &record);
        bytes
    }

    fn row(&self, mask: &Mask, status: &Status) -> EventRow {
        let Self { story, tool } = self;
        let row = EventRow::new(story.event, story.at, EventKind::Call, Actor::Agent(story.caller.scope().clone()));
        EventRow {
            server: tool.map(|t| t.source().clone()),
            tool: recorded_tool(story, *tool),
            tool_revision: tool.and_then(|t| t.revision().cloned()),
            credential_kind: story.lent.or_else(|| tool.and_then(|t| t.credential_kind())).map(Into::into),
            decision: Some(status.word().into()),
            code: status.code.map(Into::into),
            ok: status.is_ok(),
            error: status.reason().map(redact::readable_error),
            duration_ms: Some(u32::try_from(micros(story) / 1000).unwrap_or(u32::MAX)),
            run_id: story.run.clone(),
            run_source: story.run_source.map(|source| source.as_str().into()),
            trace_id: story.trace_id.as_deref().map(Into::into),
            args: self.readable_args().map(|text| mask.clean_text(&text).into_owned()),
            result_bytes: status.result_bytes().map(|bytes| bytes as u64),
            client_id: client(story).map(str::to_owned).or_else(|| story.caller.scope().principal().key_id.map(|key| key.to_string())),
            note: story.hits.last().map(|hit| hit.event.into()),
            ..row
        }
    }

    /// The arguments for the eyes of operators: sensitive members and patterns redacted, cut; nothing, when the manifest says so or a
    /// rule about arguments blocks the call.
    fn readable_args(&self) -> Option<String> {
        let Self { story, tool } = self;
        if story.hits.iter().any(|hit| hit.event == "argument_filter_blocked") {
            return None;
        }
        let sensitive = tool.map_or(&[][..], |t| t.sensitive());
        let arguments = story.recorded_arguments();
        let members = arguments.members().map(|(name, value)| (name, value.bytes().clone()));
        story.caller.bailiwick().manifest().audit.log_args.then(|| redact::readable_args(members, sensitive)).flatten()
    }
}

/// The name for the index: the served one is shared.
fn recorded_tool(story: &Story, tool: Option<&Arc<Tool>>) -> Option<Arc<str>> {
    match tool {
        Some(tool) if !story.names_uri() && !story.subject.is_task() => Some(tool.served_name().clone()),
        _ => Some(story.recorded_name(tool)).filter(|name| !name.is_empty()).map(Into::into),
    }
}

/// The readable row of a call, for whoever hears of calls beside the ledger.
pub(crate) fn row(mask: &Mask, story: &Story, tool: Option<&Arc<Tool>>, status: &Status) -> EventRow {
    Line::of(story, tool).row(mask, status)
}

/// The client that the token names.
fn client(story: &Story) -> Option<&str> {
    story.caller.scope().principal().claims.as_ref()?.client_id.as_deref()
}

fn micros(story: &Story) -> u64 {
    u64::try_from(story.began.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn hash(key: &AuditKey, bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(&key.digest(bytes))
}

/// The arguments with every scalar replaced by its keyed hash, member names kept.
fn keyed(key: &AuditKey, arguments: &Json) -> String {
    let mut out = String::with_capacity(128);
    let mut left = HASHED_SCALARS_MAX;
    if put(key, arguments, &mut out, &mut left) {
        return out;
    }
    format!("\"{}\"", hash(key, arguments.bytes()))
}

/// `false` when there are too many scalars.
fn put(key: &AuditKey, value: &Json, out: &mut String, left: &mut usize) -> bool {
    if value.is_object() {
        out.push('{');
        for (at, (name, member)) in value.members().enumerate() {
            out.push_str(if at > 0 { "," } else { "" });
            out.push_str(&serde_json::to_string(&*name).unwrap_or_default());
            out.push(':');
            if !put(key, &member, out, left) {
                return false;
            }
        }
        out.push('}');
        return true;
    }
    if value.kind() == Kind::Array {
        out.push('[');
        for (at, element) in value.elements().enumerate() {
            out.push_str(if at > 0 { "," } else { "" });
            if !put(key, &element, out, left) {
                return false;
            }
        }
        out.push(']');
        return true;
    }
    if *left == 0 {
        return false;
    }
    *left -= 1;
    out.push('"');
    out.push_str(&hash(key, value.bytes()));
    out.push('"');
    true
}
