//! Stage 7: rates and places. A call that is not admitted has cost nothing but this look.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_model::Code;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::confine::Confined;
use super::decode::Story;
use super::refused::Refused;
use crate::catalog::Tool;
use crate::gateway::Gateway;
use crate::limits::Busy;
use crate::rates::Limited;
use crate::refusal::Refusal;

/// The places a call holds until its answer is made: of its principal, its organisation, and its module or server.
pub(crate) struct Places {
    _held: [OwnedSemaphorePermit; 3],
}

/// A call that is within its rates and has its places.
pub(crate) struct Admitted {
    story: Story,
    tool: Arc<Tool>,
    places: Places,
}

impl Admitted {
    pub(super) fn into_parts(self) -> (Story, Arc<Tool>, Places) {
        (self.story, self.tool, self.places)
    }
}

/// Counts the call against the manifest's rates, then waits at most a second for free places.
pub(crate) async fn admit(gateway: &Gateway, call: Confined) -> Result<Admitted, Refused> {
    let (story, tool) = call.into_parts();
    if !story.caller.bailiwick().rates().is_empty()
        && let Err(limited) = Box::pin(counted(gateway, &story, &tool)).await
    {
        return Err(Refused::refusal(story, tool, too_often(&limited)));
    }
    match places(&story, &tool).await {
        Ok(places) => Ok(Admitted { story, tool, places }),
        Err(busy) => Err(Refused::refusal(story, tool, too_many(&busy))),
    }
}

async fn places(story: &Story, tool: &Tool) -> Result<Places, Busy> {
    // The backend first: who waits for a slow server holds no place that others need.
    let backend = tool.places().take().await?;
    let principal = story.caller.bailiwick().places().take().await?;
    let organisation = story.caller.bailiwick().organisation().take().await?;
    Ok(Places { _held: [principal, organisation, backend] })
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1)
}

async fn counted(gateway: &Gateway, story: &Story, tool: &Tool) -> Result<(), Limited> {
    let caller = &story.caller;
    caller.bailiwick().rates().count(gateway.store(), caller.scope(), tool.name(), &Instant::now).await
}

fn too_often(limited: &Limited) -> Refusal {
    let exceeded = match limited {
        Limited::Exceeded(exceeded) => exceeded,
        Limited::Unknown(cause) => {
            let refusal = Refusal::new(Code::RateLimited, "the rate cannot be counted at the moment", "wait a second, then call again");
            return refusal.with_details(json!({"limit_type": "unknown", "retry_after_ms": 1000})).because(cause.clone());
        }
    };
    Refusal::new(
        Code::RateLimited,
        "too many calls in the time window",
        format!("wait {} ms, then call again", millis(exceeded.retry_after)),
    )
    .with_details(json!({
        "limit_type": exceeded.limit_type,
        "current_count": exceeded.current,
        "limit": exceeded.limit,
        "window_seconds": exceeded.window.as_secs(),
        "retry_after_ms": millis(exceeded.retry_after),
    }))
    .because(format!("{} of {} calls in the window", exceeded.current, exceeded.limit))
}

fn too_many(busy: &Busy) -> Refusal {
    Refusal::new(Code::RateLimited, "too many calls at the same time", "wait for running calls to end, then call again")
        .with_details(json!({"limit_type": busy.what, "limit": busy.limit, "retry_after_ms": 1000}))
}
