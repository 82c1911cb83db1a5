//! The client side: one [`Upstream`] is one MCP server that we call, of either era, over Streamable HTTP or stdio.
//!
//! The servers are not trusted: every answer is bounded in size and time and checked before it is passed on, and what one of them does
//! never delays another. Results stay the bytes that came.

mod ask;
mod backoff;
mod cancel;
mod compose;
mod dial;
mod dialect;
mod fault;
mod handshake;
mod http;
mod listen;
mod notice;
mod options;
mod state;
mod status;
mod stdio;
pub mod tls;
mod tools;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub use ask::Event;
pub use cancel::Cancel;
pub use dial::{Connection, Dial, DialError, DialErrorKind, Dialling, Target};
pub use fault::{FaultKind, UpstreamFault};
pub use options::{EraSetting, HttpEndpoint, Launcher, Options, Probe, StdioCommand};
pub use status::{Status, UpstreamState};

use crate::error::UNSUPPORTED_VERSION;
use crate::exchange::ParamHeader;
use crate::json::Json;
use ask::Ask;
use compose::{Draft, Parts};
use handshake::{Session, Wire};
use http::HttpWire;
use state::{Inner, Transport};

/// One upstream server. Clones are handles to the same; the last one dropped stops the server's child, without waiting.
#[derive(Clone)]
pub struct Upstream(Arc<Inner>);

/// A request of one of the agents.
pub struct Outgoing<'a> {
    /// `tools/call`, `prompts/get` or `resources/read`.
    pub method: &'a str,
    /// What `params` names: `uri` for resources, `name` for the others; without prefix, as the server knows it.
    pub name: &'a str,
    /// The `arguments` member, sent as it is.
    pub arguments: Option<&'a Json>,
    /// Further members of `params._meta`: trace context, the caller's capabilities. The protocol's own keys are set by the client.
    pub meta: &'a [(&'a str, &'a Json)],
    /// Arguments that the tool's schema wants repeated in headers (HTTP, modern era).
    pub param_headers: &'a [ParamHeader],
    /// Time for all of it, opening included.
    pub deadline: Duration,
    /// Where progress goes, if it is wanted. What does not fit into the channel is dropped.
    pub events: Option<mpsc::Sender<Event>>,
    /// The caller's word that he no longer wants it. Dropping the future of the call says the same.
    pub cancel: &'a Cancel,
}

impl Upstream {
    /// A server reached over HTTP. Nothing is sent until the first request.
    ///
    /// # Errors
    /// When the endpoint's path or host cannot stand in an HTTP request.
    pub fn http(endpoint: &HttpEndpoint, dial: Arc<dyn Dial>, options: Options) -> Result<Self, UpstreamFault> {
        let changes = watch::Sender::new(0);
        let wire = HttpWire::new(endpoint, dial, &options, changes.clone())?;
        Ok(Self(Inner::new(Transport::Http(Arc::new(wire)), options, changes)))
    }

    /// A server run as a child process. Nothing is started until the first request.
    #[must_use]
    pub fn stdio(command: StdioCommand, options: Options) -> Self {
        Self(Inner::new(Transport::Stdio(command), options, watch::Sender::new(0)))
    }

    /// Opens the server unless it is open, and tells what it said of itself. Requests do this by themselves.
    ///
    /// # Errors
    /// Whatever keeps the server from being opened; `sent` is false.
    pub async fn open(&self) -> Result<Probe, UpstreamFault> {
        // A little more than the opening itself has, so that its own words are heard when it is too late.
        let deadline = Instant::now() + self.0.options.open_deadline + Duration::from_secs(1);
        let session = self.0.session(deadline, &Cancel::new()).await?;
        Ok(Probe::clone(&session.probe))
    }

    /// All tools as the server describes them, over all pages, in its order. Beyond `tools_max`, `list_pages_max` or the size of a list
    /// they are cut, and [`Status::tools_cut`] says so.
    ///
    /// # Errors
    /// The first fault of any page; a cursor that comes back a second time is one.
    pub async fn list_tools(&self) -> Result<Vec<Json>, UpstreamFault> {
        let (tools, cut) = tools::list(&self.0).await?;
        self.0.tools_cut.store(cut, Ordering::Relaxed);
        Ok(tools)
    }

    /// Sends a request and gives the raw `result`.
    ///
    /// It is sent a second time only when the server certainly has not executed it: it did not know the session, or the connection or
    /// child was dead before a byte was taken.
    ///
    /// # Errors
    /// [`UpstreamFault`]; its `sent` tells whether the server may have executed the request.
    pub async fn call(&self, outgoing: Outgoing<'_>) -> Result<Json, UpstreamFault> {
        let deadline = Instant::now() + outgoing.deadline;
        let subject = if outgoing.method == "resources/read" { "uri" } else { "name" };
        let compose = |session: &Session, id: u64| {
            let token = outgoing.events.is_some().then_some(id);
            let draft = Draft::request(id, outgoing.method).text(subject, outgoing.name).meta(&session.dialect, token, outgoing.meta);
            match outgoing.arguments {
                Some(arguments) => draft.end_with("arguments", arguments),
                None => draft.end(),
            }
        };
        let request = Request {
            method: outgoing.method,
            name: Some(outgoing.name),
            compose: &compose,
            param_headers: &|| param_headers(outgoing.param_headers, outgoing.arguments),
            deadline,
            cancel: outgoing.cancel,
            events: outgoing.events.as_ref(),
            replayable: false,
        };
        request.send(&self.0).await
    }

    /// Counts what may have changed the server's tools: its own notices, and every time it was opened again. From the first call on,
    /// while the server is open and says that it gives such notices, a stream for them is kept open. Must be called inside a runtime.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        let changes = self.0.changes.subscribe();
        listen::start(&self.0);
        changes
    }

    /// Where the upstream stands.
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.status()
    }

    /// The last 64 KiB that a running child wrote to standard error, escaped. To be redacted before it is shown.
    #[must_use]
    pub fn diagnostics(&self) -> Option<String> {
        self.0.last_words()
    }

    /// An operator's word: forget earlier failures, so that the next request tries at once.
    pub fn forgive(&self) {
        self.0.forgive();
    }

    /// Closes for good. A child: its input is closed, after 5 s its group gets SIGTERM, after 3 s more SIGKILL. Returns when it is gone;
    /// a child that is still being opened is stopped in the same way, but not waited for.
    pub async fn close(&self) {
        self.0.close().await;
    }
}

fn param_headers(wanted: &[ParamHeader], arguments: Option<&Json>) -> Vec<(HeaderName, HeaderValue)> {
    let Some(arguments) = arguments.filter(|_| !wanted.is_empty()) else { return Vec::new() };
    wanted.iter().filter_map(|param| Some((param.header().clone(), param.value(Some(arguments))?))).collect()
}

/// A request that may have to be composed twice, for one session and the next.
struct Request<'a> {
    method: &'a str,
    name: Option<&'a str>,
    compose: &'a (dyn Fn(&Session, u64) -> Parts + Send + Sync),
    param_headers: &'a (dyn Fn() -> Vec<(HeaderName, HeaderValue)> + Send + Sync),
    deadline: Instant,
    cancel: &'a Cancel,
    events: Option<&'a mpsc::Sender<Event>>,
    replayable: bool,
}

impl Request<'_> {
    async fn send(&self, inner: &Arc<Inner>) -> Result<Json, UpstreamFault> {
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
        let modern_http = session.dialect.is_modern() && matches!(session.wire, Wire::Http(_));
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
            replayable: self.replayable,
            standing: false,
        };
        Ok(session.wire.ask(&ask).await?.result)
    }
}

/// Whether the fault says that the server does not know this session or this era (any more), and so has executed nothing.
fn is_lost(fault: &UpstreamFault, session: &Session) -> bool {
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
