//! Stages 9 and 12: on the ledger before any effect, and again before the answer leaves.
//!
//! A read-only call writes one record, at its end; anything else, and anything undeclared, writes an intent that survives a
//! power cut before it is dispatched, and an outcome (design section 6, *Ledger durability*).

use std::sync::Arc;
use std::time::Duration;

use bailiwick_mcp::{Json, RpcError, error};
use bailiwick_model::Code;
use bailiwick_model::manifest::Access;
use bailiwick_store::ledger::{Durability, Span};
use tracing::{error as alarm, warn};

use super::admit::Places;
use super::clear::Cleared;
use super::decode::Story;
use super::encode::Answer;
use super::inspect::{Ending, Inspected};
use super::record_values::Line;
pub(crate) use super::record_values::Status;
use super::refused::{Refused, Stopped, Verdict};
use crate::catalog::Tool;
use crate::gateway::Gateway;
use crate::refusal::Refusal;

/// How long an outcome is tried again before the answer leaves without it. The intent is on the ledger and is closed as
/// indeterminate at the next start.
const OUTCOME_RETRY_MAX: Duration = Duration::from_secs(30);
const OUTCOME_RETRY_PAUSE: Duration = Duration::from_millis(100);

/// What every caller gets for a name that is unknown, hidden or somebody else's.
const UNKNOWN_TOOL: &str = "unknown tool";

/// A call that may now have its effect.
pub(crate) struct Recorded {
    story: Story,
    tool: Arc<Tool>,
    places: Places,
}

impl Recorded {
    pub(super) fn into_parts(self) -> (Story, Arc<Tool>, Places) {
        (self.story, self.tool, self.places)
    }
}

/// Writes the intent. No record, no effect.
pub(crate) async fn intend(gateway: &Gateway, call: Cleared) -> Result<Recorded, Refused> {
    if call.tool().access() == Access::Write {
        let line = Line::of(call.story(), Some(call.tool()));
        let entry = line.intent(Span::Intent(call.story().event), Durability::Power);
        if let Err(cause) = gateway.append(entry).await {
            let (story, tool, _) = call.into_parts();
            return Err(Refused::refusal(story, tool, unavailable(cause)));
        }
    }
    let (story, tool, places) = call.into_parts();
    Ok(Recorded { story, tool, places })
}

/// Writes the outcome, then gives the answer. A done deed is never failed: the outcome is tried again, then alarmed. A
/// read-only call without its record had no effect, so its result is kept back.
pub(crate) async fn conclude(gateway: &Gateway, reply: Inspected) -> Result<Answer, Refused> {
    let (story, tool, places, ending) = reply.into_parts();
    let status = Status::of(&ending);
    let wrote_intent = tool.access() == Access::Write;
    let span = if wrote_intent { Span::Outcome(story.event) } else { Span::Single(story.event) };
    let entry = || Line::of(&story, Some(&tool)).ended(gateway.mask(), span, &status);
    if let Err(cause) = gateway.append(entry()).await {
        if !wrote_intent {
            return Err(Refused::refusal(story, tool, unrecorded(cause)));
        }
        warn!(event_id = %story.event, %cause, "the outcome is not on the ledger yet; trying again");
        if !Box::pin(retried(gateway, entry)).await {
            alarm!(event_id = %story.event, "the outcome could not be recorded; the intent stays open");
        }
    }
    gateway.log_call(&story, Some(&tool), &status);
    drop(places);
    Ok(match ending {
        Ending::Result { result, .. } => Answer::result(story.id, story.era, result),
        Ending::Error(fault) => Answer::error(story.id, story.era, fault),
        Ending::Refused(refusal) => tool_refusal(&story, Some(&tool), &refusal),
    })
}

async fn retried(gateway: &Gateway, entry: impl Fn() -> bailiwick_store::ledger::Entry) -> bool {
    let until = tokio::time::Instant::now() + OUTCOME_RETRY_MAX;
    while tokio::time::Instant::now() < until {
        tokio::time::sleep(OUTCOME_RETRY_PAUSE).await;
        if gateway.append(entry()).await.is_ok() {
            return true;
        }
    }
    false
}

/// Records a refusal and answers it. When the ledger cannot take even that, the refusal stands and is logged: refusing has no
/// effect that would need proof.
pub(crate) async fn refuse(gateway: &Gateway, refused: Refused) -> Answer {
    let Stopped { story, tool, verdict } = *refused.0;
    let status = Status::refused(&verdict);
    let entry = Line::of(&story, tool.as_ref()).ended(gateway.mask(), Span::Single(story.event), &status);
    if let Err(cause) = gateway.append(entry).await {
        warn!(event_id = %story.event, code = status.code_word(), %cause, "a refusal is not on the ledger");
    }
    gateway.log_call(&story, tool.as_ref(), &status);
    match verdict {
        Verdict::Refusal(refusal) => tool_refusal(&story, tool.as_ref(), &refusal),
        Verdict::UnknownTool { .. } => Answer::error(story.id, story.era, RpcError::new(error::INVALID_PARAMS, UNKNOWN_TOOL)),
        Verdict::Protocol(fault) => Answer::error(story.id, story.era, fault.to_rpc()),
    }
}

fn tool_refusal(story: &Story, tool: Option<&Arc<Tool>>, refusal: &Refusal) -> Answer {
    let result = refusal.tool_result(story.event, tool.is_some_and(|tool| tool.output().is_some()));
    let result = Json::from_serialize(&result).unwrap_or_else(|_| Json::from_static(r#"{"content":[],"isError":true}"#));
    Answer::result(story.id.clone(), story.era, result)
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
