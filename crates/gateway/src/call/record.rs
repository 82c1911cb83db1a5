//! Stages 10 and 13: on the ledger before any effect, and again before the answer leaves.
//!
//! A read-only call writes one record, at its end; anything else, and anything undeclared, writes an intent that survives a
//! power cut before it is dispatched, and an outcome (design section 6, *Ledger durability*).

use std::sync::Arc;

use bailiwick_mcp::{Era, Json, RpcError, encode, error};
use bailiwick_model::Code;
use bailiwick_model::config::AuditMode;
use bailiwick_model::manifest::Access;
use bailiwick_store::ledger::{Durability, Entry, Span};
use tracing::warn;

use super::admit::Places;
use super::clear::Cleared;
use super::decode::{Story, Subject};
use super::encode::Answer;
use super::inspect::{Ending, Inspected};
use super::record_values::Line;
pub(crate) use super::record_values::{Status, row};
use super::refused::{Refused, Stopped, Verdict};
use super::task;
use crate::catalog::Tool;
use crate::gateway::Gateway;
use crate::refusal::Refusal;
use crate::spool::Untaken;

/// A call that may now have its effect.
pub(crate) struct Recorded {
    story: Story,
    tool: Arc<Tool>,
    held: Held,
}

/// What a call keeps from here to its end.
pub(crate) struct Held {
    _places: Places,
    /// What its last record will be: the outcome of the intent that is on the ledger, or the only one.
    end: Span,
}

impl Recorded {
    pub(super) fn into_parts(self) -> (Story, Arc<Tool>, Held) {
        (self.story, self.tool, self.held)
    }
}

/// Writes the intent. No record, no effect; and none while the ends of earlier calls cannot be kept.
pub(crate) async fn intend(gateway: &Gateway, call: Cleared) -> Result<Recorded, Refused> {
    let end = if gateway.spool().is_full() && gateway.audit_mode() != AuditMode::BestEffort {
        Err("the ends of too many calls wait to be recorded".to_owned())
    } else if call.tool().access() == Access::Write {
        intent(gateway, &call).await
    } else {
        Ok(Span::Single(call.story().event))
    };
    let (story, tool, places) = call.into_parts();
    match end {
        Ok(end) => Ok(Recorded { story, tool, held: Held { _places: places, end } }),
        Err(cause) => Err(Refused::refusal(story, tool, unavailable(cause))),
    }
}

/// Gives what the last record of the call will be.
async fn intent(gateway: &Gateway, call: &Cleared) -> Result<Span, String> {
    let event = call.story().event;
    let entry = Line::of(call.story(), Some(call.tool())).intent(Span::Intent(event), Durability::Power);
    match gateway.ledger().append(entry).await {
        Ok(_) => Ok(Span::Outcome(event)),
        Err(unavailable) if gateway.audit_mode() == AuditMode::BestEffort => {
            warn!(event_id = %event, reason = unavailable.reason, "a call with effects goes on without its intent (`audit.mode: best-effort`)");
            Ok(Span::Single(event))
        }
        Err(unavailable) => Err(unavailable.reason),
    }
}

/// Writes the end, then gives the answer. The result of a call whose end is neither on the ledger nor kept for it stays here: a deed
/// that is done waits, a read-only call is refused.
pub(crate) async fn conclude(gateway: &Gateway, reply: Inspected) -> Result<Answer, Refused> {
    let (story, tool, held, ending) = reply.into_parts();
    let status = Status::of(&ending);
    let entry = || Line::of(&story, Some(&tool)).ended(gateway.mask(), held.end, &status);
    if let Err(untaken) = gateway.spool().attempt(entry()).await {
        match held.end {
            Span::Outcome(_) => Box::pin(gateway.spool().keep(untaken, entry())).await,
            _ => {
                if let Err(cause) = missing(gateway, untaken, entry()) {
                    return Err(Refused::refusal(story, tool, unrecorded(cause)));
                }
            }
        }
    }
    gateway.log_call(&story, Some(&tool), &status);
    drop(held);
    Ok(match ending {
        Ending::Result { result, .. } if story.subject == Subject::Resource => Answer::cacheable(story.id, story.era, result),
        Ending::Result { result, .. } => Answer::result(story.id, story.era, result),
        Ending::Input(result) => Answer::result(story.id, story.era, result),
        Ending::Error(fault) => Answer::error(story.id, story.era, fault),
        Ending::Refused(refusal) => refusal_answer(&story, Some(&tool), &refusal),
    })
}

/// A single record that the ledger did not take: `audit.mode` decides whether the answer leaves without it.
fn missing(gateway: &Gateway, untaken: Untaken, entry: Entry) -> Result<(), String> {
    let (mode, cause) = (gateway.audit_mode(), untaken.reason.clone());
    if mode == AuditMode::Strict {
        return Err(cause);
    }
    if !untaken.never && gateway.spool().try_keep(untaken, entry) {
        return Ok(());
    }
    if mode == AuditMode::StrictWrites {
        return Err(cause);
    }
    warn!(cause, "a record is missing on the ledger (`audit.mode: best-effort`)");
    Ok(())
}

/// Records a refusal and answers it. When the ledger cannot take even that, the refusal stands and is logged: refusing has no
/// effect that would need proof.
pub(crate) async fn refuse(gateway: &Gateway, refused: Refused) -> Answer {
    let Stopped { story, tool, verdict } = *refused.0;
    let status = Status::refused(&verdict);
    let entry = Line::of(&story, tool.as_ref()).ended(gateway.mask(), Span::Single(story.event), &status);
    if let Err(cause) = gateway.ledger().append(entry).await {
        warn!(event_id = %story.event, code = status.code_word(), %cause, "a refusal is not on the ledger");
    }
    gateway.log_call(&story, tool.as_ref(), &status);
    match verdict {
        Verdict::Refusal(refusal) => refusal_answer(&story, tool.as_ref(), &refusal),
        Verdict::Unknown { .. } => Answer::error(story.id.clone(), story.era, unknown(&story)),
        Verdict::Shadowed => shadowed(&story, tool.as_ref()),
        Verdict::Protocol(fault) => Answer::error(story.id, story.era, fault.to_rpc()),
    }
}

/// A tool tells of its refusal in a result; prompts and resources have none, so theirs is a JSON-RPC error (design section 6).
fn refusal_answer(story: &Story, tool: Option<&Arc<Tool>>, refusal: &Refusal) -> Answer {
    let (id, era) = (story.id.clone(), story.era);
    if story.subject != Subject::Tool {
        let data = Json::from_serialize(&refusal.facts(story.event)).unwrap_or_else(|_| Json::from_static("{}"));
        return Answer::error(id, era, RpcError::new(refusal.code.number(), refusal.message.clone()).with_data(data));
    }
    let result = refusal.tool_result(story.event, tool.is_some_and(|tool| tool.output().is_some()));
    let result = Json::from_serialize(&result).unwrap_or_else(|_| Json::from_static(r#"{"content":[],"isError":true}"#));
    Answer::result(id, era, result)
}

/// The answer to a call that is only recorded (reference, tool modules section 10).
fn shadowed(story: &Story, tool: Option<&Arc<Tool>>) -> Answer {
    const MESSAGE: &str = "the call is recorded and was not made";
    if story.subject != Subject::Tool {
        let refusal = Refusal::new(Code::PolicyDenied, MESSAGE, "");
        return refusal_answer(story, tool, &refusal);
    }
    let facts = serde_json::json!({"shadow": true, "message": MESSAGE});
    let mut result = serde_json::json!({"content": [{"type": "text", "text": facts.to_string()}], "isError": false});
    // What a tool declares of its results holds for ours too.
    if tool.is_none_or(|tool| tool.output().is_none()) {
        result["structuredContent"] = facts;
    }
    let result = Json::from_serialize(&result).unwrap_or_else(|_| Json::from_static(r#"{"content":[]}"#));
    Answer::result(story.id.clone(), story.era, result)
}

/// What every caller gets for what is unknown, hidden or somebody else's.
fn unknown(story: &Story) -> RpcError {
    match story.subject {
        Subject::Tool => RpcError::new(error::INVALID_PARAMS, "unknown tool"),
        Subject::TaskGet | Subject::TaskUpdate | Subject::TaskCancel => task::unknown(),
        Subject::Prompt => RpcError::new(error::INVALID_PARAMS, "unknown prompt"),
        Subject::Completion => RpcError::new(error::INVALID_PARAMS, "unknown prompt or resource"),
        Subject::Resource => {
            let code = if story.era == Era::Modern { error::INVALID_PARAMS } else { error::LEGACY_RESOURCE_NOT_FOUND };
            let uri = Json::from_text(story.shown_name());
            RpcError::new(code, "unknown resource").with_data(encode::object(&[("uri", &uri)]))
        }
    }
}

fn unrecorded(cause: String) -> Refusal {
    Refusal::new(
        Code::AuditUnavailable,
        format!("the ledger cannot record at the moment ({cause}), so the result is kept back"),
        "it was a read-only call: call again later",
    )
}

fn unavailable(cause: String) -> Refusal {
    Refusal::new(
        Code::AuditUnavailable,
        format!("the ledger cannot record at the moment ({cause}), so the call was not made"),
        "call again later; the operational log has the cause, and `/readyz?verbose` names the part that fails",
    )
}
