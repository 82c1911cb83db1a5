//! One request to a server, whatever carries it.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout_at};

use super::cancel::Cancel;
use super::compose::Parts;
use super::dialect::Dialect;
use super::fault::{FaultKind, UpstreamFault};
use super::question::Question;
use crate::json::Json;

/// What a server says while it works on a request.
#[derive(Clone, Debug)]
pub enum Event {
    /// Params of `notifications/progress`, without the token: it belongs to this hop.
    Progress(Json),
    /// The server's tools have changed.
    ToolsChanged,
    /// Params of `notifications/message`.
    Log(Json),
    /// Params of `notifications/elicitation/complete`: what the user was sent to a web page for is done (2025-11-25).
    ElicitationComplete(Json),
}

/// A request, ready to be sent.
pub(crate) struct Ask<'a> {
    pub(crate) id: u64,
    pub(crate) method: &'a str,
    /// What `Mcp-Name` says, for methods that have one.
    pub(crate) name: Option<&'a str>,
    pub(crate) param_headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Parts,
    pub(crate) dialect: &'a Dialect,
    pub(crate) deadline: Instant,
    pub(crate) cancel: &'a Cancel,
    pub(crate) events: Option<mpsc::Sender<Event>>,
    /// Where the server's own requests go; without it they are declined.
    pub(crate) questions: Option<mpsc::Sender<Question>>,
    /// Whether log messages without an owner are for this request.
    pub(crate) wants_logs: bool,
    /// Whose call it is; none for requests of our own.
    pub(crate) owner: Option<u64>,
    /// Whether doing it twice does no harm, so that it may be sent again when the connection broke.
    pub(crate) replayable: bool,
    /// A subscription: it stays open, and takes no place among the requests.
    pub(crate) standing: bool,
    /// A subscription: told when the server has confirmed it.
    pub(crate) acknowledged: Option<Arc<Notify>>,
}

impl<'a> Ask<'a> {
    /// A request without name and events that may not be repeated; what differs is filled in by the caller.
    pub(crate) fn plain(id: u64, method: &'a str, body: Parts, dialect: &'a Dialect, deadline: Instant, cancel: &'a Cancel) -> Self {
        Self {
            id,
            method,
            name: None,
            param_headers: Vec::new(),
            body,
            dialect,
            deadline,
            cancel,
            events: None,
            questions: None,
            wants_logs: false,
            owner: None,
            replayable: false,
            standing: false,
            acknowledged: None,
        }
    }
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The raw `result`.
    pub(crate) result: Json,
    /// HTTP: the session that the server opened with this answer.
    pub(crate) session: Option<HeaderValue>,
}

/// Runs `work` until it ends, the deadline passes or the caller cancels. `sent` is asked only when it did not end.
pub(crate) async fn within<T>(
    ask: &Ask<'_>,
    sent: impl Fn() -> bool,
    work: impl Future<Output = Result<T, UpstreamFault>>,
) -> Result<T, UpstreamFault> {
    if ask.cancel.is_cancelled() {
        return Err(UpstreamFault::unsent(FaultKind::Cancelled, "cancelled by the caller"));
    }
    let begun = Instant::now();
    tokio::select! {
        biased;
        ended = timeout_at(ask.deadline, work) => match ended {
            Ok(result) => result,
            Err(_) => Err(UpstreamFault::new(FaultKind::Timeout, sent(), timed_out(ask.method, begun.elapsed()))),
        },
        () = ask.cancel.cancelled() => Err(UpstreamFault::new(FaultKind::Cancelled, sent(), "cancelled by the caller")),
    }
}

fn timed_out(method: &str, after: Duration) -> String {
    format!("no answer to {method} within {:.1} s", after.as_secs_f32())
}
