//! The call stream of the scoped-mcp manifest world (reference, tool modules section 7): same event names, same fields, more of them.

use std::sync::Arc;

use bailiwick_model::Code;
use bailiwick_model::manifest::Access;
use bailiwick_store::ledger::redact;
use serde_json::{Value, json};

use crate::call::decode::{Story, Subject};
use crate::call::record::Status;
use crate::catalog::Tool;
use crate::filters::Hit;
use crate::mask::Mask;

/// Version of the fields below.
const SCHEMA_VERSION: u32 = 1;

/// Takes one line object for each call or refusal. Must not block: it is called on the way of the answer.
pub trait CallLog: Send + Sync {
    /// One object, to be written as one line.
    fn line(&self, line: &Value);
}

/// The lines of one call: what filters found, each on its own, then the call itself.
pub(crate) fn lines(mask: &Mask, story: &Story, tool: Option<&Arc<Tool>>, status: &Status) -> Vec<Value> {
    let (blocking, others): (Vec<&Hit>, Vec<&Hit>) = story.hits.iter().partition(|hit| hit.event.ends_with("_blocked"));
    let mut lines: Vec<Value> = others.into_iter().map(|hit| found(story, tool, hit)).collect();
    let mut call = line(mask, story, tool, status);
    if let Some(hit) = blocking.last() {
        call["event"] = json!(hit.event);
        call["level"] = json!("warning");
        call["status"] = json!("blocked");
        // What a rule about arguments keeps from passing on is not to lie in a log either.
        if hit.field.is_some() {
            call["args"] = Value::Null;
        }
        name(&mut call, hit);
    }
    if let Some(details) = status.details() {
        // As the original names it here, beside `tool`.
        call["tool_name"] = json!(story.recorded_name(tool));
        for name in ["limit_type", "current_count", "limit", "window_seconds"] {
            call[name] = details.get(name).cloned().unwrap_or_default();
        }
    }
    lines.push(call);
    lines
}

fn found(story: &Story, tool: Option<&Arc<Tool>>, hit: &Hit) -> Value {
    let scope = story.caller.scope();
    let mut line = json!({
        "schema_version": SCHEMA_VERSION,
        "event": hit.event,
        "level": "warning",
        "logger": "audit",
        "timestamp": story.at.to_string(),
        "agent_id": scope.agent_id().as_str(),
        "agent_type": scope.agent_type().as_str(),
        "tenant": scope.org().as_str(),
        "tool": story.recorded_name(tool),
        "method": method(story),
        "module": tool.map(|t| &**t.source()),
        "request_id": story.event.to_string(),
        "run_id": story.run.as_ref().map(bailiwick_model::RunId::as_str),
    });
    name(&mut line, hit);
    line
}

/// What was asked, when it was no tool call.
fn method(story: &Story) -> Option<&'static str> {
    (story.subject != Subject::Tool).then(|| story.subject.method())
}

/// Names the rule, and for arguments the field; a value is nowhere.
fn name(line: &mut Value, hit: &Hit) {
    line["filter_name"] = json!(&*hit.filter);
    if let (Some(field), Some(matched_on)) = (&hit.field, hit.matched_on) {
        line["field_name"] = json!(&**field);
        line["matched_on"] = json!(matched_on.as_str());
    }
}

fn line(mask: &Mask, story: &Story, tool: Option<&Arc<Tool>>, status: &Status) -> Value {
    let scope = story.caller.scope();
    let (event, level, word) = words(status);
    let log_args = story.caller.bailiwick().manifest().audit.log_args;
    json!({
        "schema_version": SCHEMA_VERSION,
        "event": event,
        "level": level,
        "logger": "audit",
        "timestamp": story.at.to_string(),
        "agent_id": scope.agent_id().as_str(),
        "agent_type": scope.agent_type().as_str(),
        "tenant": scope.org().as_str(),
        "tool": story.recorded_name(tool),
        "method": method(story),
        "module": tool.map(|t| &**t.source()),
        "mode": tool.map(|t| if t.access() == Access::Read { "read" } else { "write" }),
        "args": log_args.then(|| redact::line_args(&mask.clean_text(story.recorded_arguments().as_str()), tool.map_or(&[][..], |t| t.sensitive()))),
        "status": word,
        "code": status.code_word(),
        "error": status.reason(),
        "elapsed_ms": story.began.elapsed().as_secs_f64() * 1000.0,
        "request_id": story.event.to_string(),
        "run_id": story.run.as_ref().map(bailiwick_model::RunId::as_str),
        "bytes_in": story.arguments.len(),
        "bytes_out": status.result_bytes(),
    })
}

/// `event`, `level` and `status` as the original names them.
fn words(status: &Status) -> (&'static str, &'static str, &'static str) {
    let of_scope = [Code::ScopeViolation, Code::PathRefused, Code::SqlRefused, Code::EgressDenied].map(Code::as_str);
    match status.code_word() {
        None if status.word() == "shadowed" => ("hitl_shadowed", "warning", "shadowed"),
        None => ("tool_call", "info", "ok"),
        Some(code) if of_scope.contains(&code) => ("scope_violation", "warning", "blocked"),
        Some(code) if code == Code::RateLimited.as_str() => ("rate_limit_exceeded", "warning", "blocked"),
        Some(code) if code == Code::ApprovalRequired.as_str() => ("hitl_approval_required", "warning", "pending"),
        Some(_) if status.word() == "refused" => ("tool_rejected", "warning", "rejected"),
        Some(_) => ("tool_error", "error", "error"),
    }
}
