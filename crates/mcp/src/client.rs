//! The client side: one [`Upstream`] is one MCP server that we call, of either era, over Streamable HTTP or stdio.
//!
//! The servers are not trusted: every answer is bounded in size and time and checked before it is passed on, and what one of them does
//! never delays another. Results stay the bytes that came.

mod ask;
mod authorization;
mod backoff;
mod cancel;
mod compose;
mod dial;
mod dialect;
mod fault;
mod handshake;
mod http;
mod list;
mod listen;
mod logging;
mod notice;
mod options;
mod outgoing;
mod question;
mod request;
mod state;
mod status;
mod stdio;
mod subscriptions;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::time::Instant;

pub use ask::Event;
pub use authorization::{Authorization, Demand};
pub use cancel::Cancel;
pub use dial::{Connection, Dial, DialError, DialErrorKind, Dialling, Target};
pub use fault::{FaultKind, UpstreamFault};
pub use list::{List, Listed};
pub use notice::Notice;
pub use options::{EraSetting, HttpEndpoint, Launcher, Options, Probe, StdioCommand};
pub use outgoing::Outgoing;
pub use question::Question;
pub use status::{Status, UpstreamState};

use crate::json::Json;
use crate::meta::LogLevel;
use handshake::Session;
use http::HttpWire;
use notice::Notices;
use request::Request;
use state::{Inner, Transport};

/// One upstream server. Clones are handles to the same; the last one dropped stops the server's child, without waiting.
#[derive(Clone)]
pub struct Upstream(Arc<Inner>);

impl Upstream {
    /// A server reached over HTTP. Nothing is sent until the first request.
    ///
    /// # Errors
    /// When the endpoint's path or host cannot stand in an HTTP request.
    pub fn http(endpoint: &HttpEndpoint, dial: Arc<dyn Dial>, options: Options) -> Result<Self, UpstreamFault> {
        let notices = Notices::new();
        let wire = HttpWire::new(endpoint, dial, &options, notices.clone())?;
        Ok(Self(Inner::new(Transport::Http(Arc::new(wire)), options, notices)))
    }

    /// A server run as a child process. Nothing is started until the first request.
    #[must_use]
    pub fn stdio(command: StdioCommand, options: Options) -> Self {
        Self(Inner::new(Transport::Stdio(command), options, Notices::new()))
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

    /// A whole list as the server gives it, over all pages, in its order. Beyond [`Options::list_items_max`], [`Options::list_pages_max`] or
    /// the size of a list it is cut, and [`Listed::cut`] says so; of the tools [`Status::tools_cut`] as well.
    ///
    /// # Errors
    /// The first fault of any page; a cursor that comes back a second time is one.
    pub async fn list(&self, what: List) -> Result<Listed, UpstreamFault> {
        let listed = list::list(&self.0, what).await?;
        if what == List::Tools {
            self.0.tools_cut.store(listed.cut, Ordering::Relaxed);
        }
        Ok(listed)
    }

    /// Sends a request and gives the raw `result`.
    ///
    /// It is sent a second time only when the server certainly has not executed it: it did not know the session, or the connection or
    /// child was dead before a byte was taken.
    ///
    /// # Errors
    /// [`UpstreamFault`]; its `sent` tells whether the server may have executed the request.
    pub async fn call(&self, outgoing: Outgoing<'_>) -> Result<Json, UpstreamFault> {
        let compose = |session: &Session, id: u64| outgoing.compose(session, id);
        let request = Request {
            method: outgoing.method,
            name: outgoing.name,
            compose: &compose,
            param_headers: &|| outgoing.headers(),
            deadline: Instant::now() + outgoing.deadline,
            cancel: outgoing.cancel,
            events: outgoing.events.as_ref(),
            questions: outgoing.questions.as_ref(),
            wants_logs: outgoing.wants_logs(),
            owner: Some(outgoing.owner),
            replayable: false,
        };
        request.send(&self.0).await
    }

    /// What changes at the server from now on, and every time it was opened again ([`Notice::Reopened`]). From the first call on, while the
    /// server is open and says that it gives such notices, a stream for them is kept open (reference, protocol sections 2.7 and 3.1). A
    /// receiver that lags misses notices and is told so; he then has to list again. Must be called inside a runtime.
    #[must_use]
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        let notices = self.0.notices.receiver();
        listen::start(&self.0);
        notices
    }

    /// Wants to hear of a resource ([`Notice::ResourceUpdated`]), as often as it is unsubscribed again. Opens the server. A legacy server has
    /// agreed when this returns, and is asked again in every later session; a modern one is asked shortly afterwards, with the next stream
    /// of notices, and may refuse silently.
    ///
    /// # Errors
    /// `Rpc` with -32601 when the server does not announce `resources.subscribe`; `TooLarge` beyond 1000 resources or 8 KiB of URI; and
    /// whatever a legacy server answers. Then nothing is subscribed.
    pub async fn subscribe(&self, uri: &str) -> Result<(), UpstreamFault> {
        subscriptions::subscribe(&self.0, uri).await
    }

    /// Takes one [`Upstream::subscribe`] back. The server is told with the last one of a resource; what it says to that does not matter.
    pub async fn unsubscribe(&self, uri: &str) {
        subscriptions::unsubscribe(&self.0, uri).await;
    }

    /// Legacy servers log at one level for all: the most verbose that was ever asked for here, also in later sessions. Nothing is sent to a
    /// server that does not announce `logging`, nor in the modern era, where each request says `io.modelcontextprotocol/logLevel` in
    /// [`Outgoing::meta`].
    ///
    /// # Errors
    /// Whatever keeps the server from being opened, or it answers.
    pub async fn log_level(&self, level: LogLevel) -> Result<(), UpstreamFault> {
        logging::raise(&self.0, level).await
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
