//! A homeserver that asks for fewer calls is waited for, once.

use std::time::Duration;

use bailiwick_model::Code;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::context::{CallContext, cancelled};
use crate::egress::{HttpAnswer, HttpClient, HttpRequest};
use crate::fault::ToolFault;
use crate::service::{millis, retry_after, success};
use crate::withheld::Withheld;

/// Longest wait; a homeserver that asks for more is answered with a refusal at once.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Sends `request`, and once more when the homeserver answers 429 with a time to wait that is within [`WAIT_MAX`] and the call's deadline.
///
/// # Errors
/// As [`success`]; after a 429 `details.retry_after_ms` holds the time the homeserver asked for last, when it named one.
pub(super) async fn send(
    client: &HttpClient,
    withheld: &Withheld,
    request: HttpRequest,
    context: CallContext<'_>,
) -> Result<HttpAnswer, ToolFault> {
    let first = withheld.clean_refusal(client.send(request.clone(), context).await?);
    let Some(wait) = asked_for(&first) else { return accepted(first) };
    if wait > WAIT_MAX || Instant::now() + wait >= Instant::from_std(context.deadline) {
        return accepted(first);
    }
    tokio::select! {
        biased;
        () = context.cancel.cancelled() => return Err(cancelled()),
        () = sleep(wait) => {}
    }
    accepted(withheld.clean_refusal(client.send(request, context).await?))
}

/// The time after which the same request is welcome: `retry_after_ms` of the body, or the header `Retry-After` in seconds.
fn asked_for(answer: &HttpAnswer) -> Option<Duration> {
    if answer.status != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let millis = body.and_then(|body| body["retry_after_ms"].as_u64()).map(Duration::from_millis);
    millis.or_else(|| retry_after(answer))
}

fn accepted(answer: HttpAnswer) -> Result<HttpAnswer, ToolFault> {
    let wait = asked_for(&answer);
    success(answer).map_err(|mut fault| {
        if let (Some(wait), Code::UpstreamError, Some(details)) = (wait, fault.code, fault.details.as_mut()) {
            details["retry_after_ms"] = json!(millis(wait));
            fault.remedy = format!("wait {} ms, then call again", millis(wait));
        }
        fault
    })
}
