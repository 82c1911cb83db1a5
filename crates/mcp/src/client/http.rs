//! Requests over Streamable HTTP: one POST each, answered by one JSON object or by an event stream.

mod link;
mod parcel;
mod pool;
pub(crate) mod read;
mod resume;
mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use self::link::Link;
use self::parcel::Parcel;
use self::pool::Pool;
use super::ask::{Ask, Reply, within};
use super::authorization::Authorization;
use super::compose::{Draft, Parts};
use super::dial::Dial;
use super::dialect::Dialect;
use super::fault::{FaultKind, UpstreamFault};
use super::notice::Notices;
use super::options::{HttpEndpoint, Options};
use super::question::Askers;
use crate::exchange::encode_text;

/// Time for a message that nobody waits for: a cancellation, an answer to the server's own request.
const ASIDE_DEADLINE: Duration = Duration::from_secs(10);
/// Such messages on their way at once; further ones are dropped.
const ASIDES_MAX: usize = 16;
/// Headers that belong to the connection or to the protocol, never to the operator.
const RESERVED: [HeaderName; 7] =
    [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::TE, header::UPGRADE, header::EXPECT];

const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");
const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// One endpoint and its connections.
pub(crate) struct HttpWire {
    pool: Arc<Pool>,
    uri: Uri,
    headers: HeaderMap,
    authorization: Authorization,
    limits: Limits,
    notices: Notices,
    asides: Arc<Semaphore>,
    askers: Askers,
}

/// What an answer may measure.
#[derive(Clone, Copy, Debug)]
struct Limits {
    result_bytes_max: usize,
    event_bytes_max: usize,
}

impl HttpWire {
    /// # Errors
    /// When path or host cannot stand in a request.
    pub(crate) fn new(endpoint: &HttpEndpoint, dial: Arc<dyn Dial>, options: &Options, notices: Notices) -> Result<Self, UpstreamFault> {
        let unusable =
            |what: &str| UpstreamFault::unsent(FaultKind::Unreachable, format!("the {what} of the server's address cannot be sent"));
        let path = PathAndQuery::try_from(endpoint.path.as_str()).map_err(|_| unusable("path"))?;
        let host = HeaderValue::try_from(endpoint.authority()).map_err(|_| unusable("host"))?;
        let mut headers: HeaderMap = endpoint.headers.iter().filter(|(name, _)| !RESERVED.contains(name)).cloned().collect();
        headers.values_mut().for_each(|value| value.set_sensitive(true));
        headers.insert(header::HOST, host);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(concat!("bailiwick/", env!("CARGO_PKG_VERSION"))));
        let pool = Pool::new(dial, endpoint.target.clone(), options.open_deadline, options.connections_max);
        let limits = Limits { result_bytes_max: options.result_bytes_max, event_bytes_max: options.event_bytes_max };
        Ok(Self {
            pool,
            uri: Uri::from(path),
            headers,
            authorization: endpoint.authorization.clone(),
            limits,
            notices,
            asides: Arc::new(Semaphore::new(ASIDES_MAX)),
            askers: Askers::default(),
        })
    }

    /// The headers every request to this endpoint carries.
    pub(crate) fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    /// Closes the idle connections; exchanges on their way end by themselves.
    pub(crate) fn close(&self) {
        self.pool.close();
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn ask(self: &Arc<Self>, ask: &Ask<'_>) -> Result<Reply, UpstreamFault> {
        let sent = AtomicBool::new(false);
        let _asker = self.askers.enter(ask.id, ask.owner, ask.questions.as_ref());
        let mut withdrawal = Withdrawal { wire: self, ask, sent: &sent, answered: false };
        let result = within(ask, || sent.load(Ordering::Relaxed), self.exchange(ask, &sent)).await;
        withdrawal.answered = !matches!(&result, Err(UpstreamFault { kind: FaultKind::Timeout | FaultKind::Cancelled, .. }));
        result
    }

    /// Sends a notification; the server has nothing to say but that it took it.
    pub(crate) async fn notify(self: &Arc<Self>, ask: &Ask<'_>) -> Result<(), UpstreamFault> {
        let sent = AtomicBool::new(false);
        let work = async {
            let _slot = if ask.standing { None } else { Some(self.pool.slot().await?) };
            let (mut link, response) = self.transmit(ask, &sent).await?;
            if !response.status().is_success() {
                return Err(self.refusal(&mut link, response, ask).await);
            }
            // A body has no meaning here; what is not read at once is not waited for.
            if read::is_empty(response.body()) {
                drop(response);
                self.pool.give_back(link).await;
            }
            Ok(())
        };
        within(ask, || sent.load(Ordering::Relaxed), work).await
    }

    /// Holds the stream open on which a legacy server sends what belongs to no request. Ends with the fault that ended it.
    pub(crate) async fn listen(self: &Arc<Self>, ask: &Ask<'_>) -> UpstreamFault {
        let work = async {
            let (link, body) = self.get(ask, None).await?;
            self.follow(link, body, ask).await
        };
        match within(ask, || true, work).await {
            Ok(_) => UpstreamFault::protocol("an answer on a stream without a question"),
            Err(fault) => fault,
        }
    }

    /// Opens an event stream by GET; behind an event when there is one.
    async fn get(&self, ask: &Ask<'_>, last_event: Option<&str>) -> Result<(Link, Incoming), UpstreamFault> {
        let mut request = self.request(ask);
        *request.method_mut() = Method::GET;
        *request.body_mut() = Parcel::default();
        request.headers_mut().remove(header::CONTENT_TYPE);
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(id) = last_event {
            let id = HeaderValue::from_str(id).map_err(|_| UpstreamFault::protocol("the id of an event cannot be sent in a header"))?;
            request.headers_mut().insert(LAST_EVENT_ID, id);
        }
        let mut link = self.pool.open().await?;
        let response = link.send(request).await.map_err(|error| read::broken(&error, true))?;
        if !response.status().is_success() {
            return Err(self.refusal(&mut link, response, ask).await);
        }
        match read::form(response.headers())? {
            read::Form::Json => Err(UpstreamFault::protocol("the answer to GET is no event stream")),
            read::Form::Events => Ok((link, response.into_body())),
        }
    }

    async fn exchange(self: &Arc<Self>, ask: &Ask<'_>, sent: &AtomicBool) -> Result<Reply, UpstreamFault> {
        let _slot = if ask.standing { None } else { Some(self.pool.slot().await?) };
        let (mut link, response) = self.transmit(ask, sent).await?;
        if !response.status().is_success() {
            return Err(Box::pin(self.refusal(&mut link, response, ask)).await);
        }
        // Only there it means something; elsewhere a server may send what it likes.
        let session = if ask.method == "initialize" { read::session(response.headers())? } else { None };
        let result = match read::form(response.headers())? {
            read::Form::Json => {
                let body = read::whole(&mut link, response.into_body(), self.limits.result_bytes_max).await?;
                self.pool.give_back(link).await;
                self.answer_of(body, ask)?
            }
            read::Form::Events => Box::pin(self.follow(link, response.into_body(), ask)).await?,
        };
        Ok(Reply { result: result.map_err(UpstreamFault::rpc)?, session })
    }

    /// Writes the request and waits for the head of the answer. A kept connection may have died meanwhile: as long as none of the
    /// request's bytes were taken, or the request does no harm twice, a new connection gets it.
    async fn transmit(&self, ask: &Ask<'_>, sent: &AtomicBool) -> Result<(Link, Response<Incoming>), UpstreamFault> {
        if let Some(mut link) = self.pool.reuse() {
            let before = link.written();
            sent.store(true, Ordering::Relaxed);
            match link.send(self.request(ask)).await {
                Ok(response) => return Ok((link, response)),
                Err(error) => {
                    let taken = link.written() != before;
                    if error.is_parse() || (taken && !ask.replayable) {
                        return Err(read::broken(&error, taken));
                    }
                    sent.store(false, Ordering::Relaxed);
                }
            }
        }
        let mut link = self.pool.open().await?;
        sent.store(true, Ordering::Relaxed);
        match link.send(self.request(ask)).await {
            Ok(response) => Ok((link, response)),
            Err(error) => Err(read::broken(&error, link.written() > 0)),
        }
    }

    fn request(&self, ask: &Ask<'_>) -> Request<Parcel> {
        let mut request = Request::new(Parcel::new(&ask.body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = ask.dialect.headers.clone();
        self.authorization.put_into(request.headers_mut());
        if ask.dialect.is_modern() {
            let headers = request.headers_mut();
            headers.insert(MCP_METHOD, method_value(ask.method));
            if let Some(name) = ask.name {
                headers.insert(MCP_NAME, encode_text(name));
            }
            for (name, value) in &ask.param_headers {
                headers.append(name, value.clone());
            }
        }
        request
    }

    /// What an unsuccessful status means.
    async fn refusal(&self, link: &mut Link, response: Response<Incoming>, ask: &Ask<'_>) -> UpstreamFault {
        let (head, body) = response.into_parts();
        let readable = matches!(read::form(&head.headers), Ok(read::Form::Json));
        let body = if readable { read::whole(link, body, read::REFUSAL_BYTES_MAX).await.unwrap_or_default() } else { Bytes::new() };
        read::refusal(&head, body, ask)
    }

    /// Sends a message that nobody waits for, besides the requests. Beyond [`ASIDES_MAX`] it is dropped.
    fn aside(self: &Arc<Self>, body: Parts, dialect: &Dialect) {
        if let Ok(permit) = Arc::clone(&self.asides).try_acquire_owned() {
            self.post(body, dialect, permit);
        }
    }

    /// As [`HttpWire::aside`], but waits for its turn: a server that asked waits for the answer.
    async fn reply(self: Arc<Self>, body: Parts, dialect: Dialect) {
        if let Ok(permit) = Arc::clone(&self.asides).acquire_owned().await {
            self.post(body, &dialect, permit);
        }
    }

    fn post(self: &Arc<Self>, body: Parts, dialect: &Dialect, permit: OwnedSemaphorePermit) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (wire, dialect) = (Arc::clone(self), dialect.clone());
        runtime.spawn(async move {
            let cancel = super::Cancel::new();
            let deadline = Instant::now() + ASIDE_DEADLINE;
            // Twice does no harm, and it takes no place among the requests: one of them may be waiting for it.
            let ask = Ask { replayable: true, standing: true, ..Ask::plain(0, "", body, &dialect, deadline, &cancel) };
            // Nobody is there to hear of a failure, and the server's own limits end what this was to end.
            let _ = wire.notify(&ask).await;
            drop(permit);
        });
    }

    /// Reads a connection to the end of its answer, so that it can be used again; not for long.
    fn drain(self: &Arc<Self>, mut link: Link, mut body: Incoming) {
        const DRAIN_DEADLINE: Duration = Duration::from_secs(1);
        let pool = Arc::clone(&self.pool);
        tokio::spawn(async move {
            if let Ok(true) = timeout(DRAIN_DEADLINE, read::ends(&mut link, &mut body)).await {
                drop(body);
                pool.give_back(link).await;
            }
        });
    }
}

/// Methods are sent with every call; the usual ones need no copy.
fn method_value(method: &str) -> HeaderValue {
    match method {
        "tools/call" => HeaderValue::from_static("tools/call"),
        "tools/list" => HeaderValue::from_static("tools/list"),
        other => encode_text(other),
    }
}

/// Tells a legacy server that nobody waits any longer: there, a closed connection does not say so (reference, protocol section 3.1).
/// In the modern era closing the connection is the cancellation, and dropping the exchange closes it.
struct Withdrawal<'a> {
    wire: &'a Arc<HttpWire>,
    ask: &'a Ask<'a>,
    sent: &'a AtomicBool,
    answered: bool,
}

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        // `initialize` must not be cancelled (specification 2025-11-25, basic/utilities/cancellation).
        if self.answered || self.ask.dialect.is_modern() || !self.sent.load(Ordering::Relaxed) || self.ask.method == "initialize" {
            return;
        }
        let notice = Draft::notification("notifications/cancelled").number("requestId", self.ask.id).end();
        self.wire.aside(notice, self.ask.dialect);
    }
}
