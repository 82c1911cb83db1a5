//! One request on its way: sent in the session that is ready, and once more in the next one when the server had lost it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::{HeaderName, HeaderValue};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::ask::{Ask, Event};
use super::cancel::Cancel;
use super::compose::Parts;
use super::fault::{FaultKind, UpstreamFault};
use super::handshake::{Session, Wire};
use super::question::Question;
use super::state::Inner;
use crate::error::UNSUPPORTED_VERSION;
use crate::json::Json;

/// A request that may have to be composed twice, for one session and the next.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) name: Option<&'a str>,
    pub(super) compose: &'a (dyn Fn(&Session, u64) -> Parts + Send + Sync),
    pub(super) param_headers: &'a (dyn Fn() -> Vec<(HeaderName, HeaderValue)> + Send + Sync),
    pub(super) deadline: Instant,
    pub(super) cancel: &'a Cancel,
    pub(super) events: Option<&'a mpsc::Sender<Event>>,
    pub(super) questions: Option<&'a mpsc::Sender<Question>>,
    pub(super) wants_logs: bool,
    /// None for requests of our own.
    pub(super) owner: Option<u64>,
    pub(super) replayable: bool,
}

impl<'a> Request<'a> {
    /// A request of ours that does no harm when it is sent twice.
    pub(super) fn own(
        method: &'a str,
        compose: &'a (dyn Fn(&Session, u64) -> Parts + Send + Sync),
        deadline: Instant,
        cancel: &'a Cancel,
    ) -> Self {
        Self {
            method,
            name: None,
            compose,
            param_headers: &Vec::new,
            deadline,
            cancel,
            events: None,
            questions: None,
            wants_logs: false,
            owner: None,
            replayable: true,
        }
    }

    pub(super) async fn send(&self, inner: &Arc<Inner>) -> Result<Json, UpstreamFault> {
        let _guest = Guest::enter(inner);
        let session = inner.session(self.deadline, self.cancel).await?;
        let first = self.send_in(inner, &session).await;
        let result = match first {
            Err(fault) if is_lost(&fault, &session) => {
                inner.forget(&session);
                let session = inner.session(self.deadline, self.cancel).await?;
                self.send_in(inner, &session).await
            }
            other => other,
        };
        result.inspect_err(|fault| inner.note(fault))
    }

    async fn send_in(&self, inner: &Inner, session: &Session) -> Result<Json, UpstreamFault> {
        let id = inner.next_id();
        let modern = session.dialect.is_modern();
        let modern_http = modern && matches!(session.wire, Wire::Http(_));
        let ask = Ask {
            id,
            method: self.method,
            name: self.name,
            param_headers: if modern_http { (self.param_headers)() } else { Vec::new() },
            body: (self.compose)(session, id),
            dialect: &session.dialect,
            deadline: self.deadline,
            cancel: self.cancel,
            events: self.events.cloned(),
            // A modern server must not ask (reference, protocol section 2.1).
            questions: self.questions.filter(|_| !modern).cloned(),
            wants_logs: self.wants_logs,
            owner: self.owner,
            replayable: self.replayable,
            standing: false,
            acknowledged: None,
        };
        Ok(session.wire.ask(&ask).await?.result)
    }
}

/// Whether the fault says that the server does not know this session or this era (any more), and so has executed nothing.
pub(super) fn is_lost(fault: &UpstreamFault, session: &Session) -> bool {
    let dialect = &session.dialect;
    match (&fault.kind, &session.wire) {
        (FaultKind::Closed, Wire::Stdio(_)) => !fault.sent,
        (FaultKind::Rpc(error), _) => error.code == UNSUPPORTED_VERSION,
        (FaultKind::Http(404), Wire::Http(_)) => true,
        (FaultKind::Http(400), Wire::Http(_)) => dialect.is_modern() || dialect.session,
        (FaultKind::Http(405), Wire::Http(_)) => dialect.is_modern(),
        _ => false,
    }
}

/// Counted among the requests on their way.
struct Guest<'a>(&'a Inner);

impl<'a> Guest<'a> {
    fn enter(inner: &'a Inner) -> Self {
        inner.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(inner)
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
