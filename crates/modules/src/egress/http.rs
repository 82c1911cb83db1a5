//! HTTP/1.1 towards one service: bounded in time and size, without redirects, cookies and proxies.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::coding::{self, CodingFault};
use super::{BaseUrl, Egress, EgressError, Rules, Tls};
use crate::context::CallContext;

/// Largest response head.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Idle connections kept for later requests.
const IDLE_MAX: usize = 4;
/// Longest time a connection is kept without use.
const IDLE_FOR: Duration = Duration::from_secs(30);

type Sender = http1::SendRequest<Full<Bytes>>;

/// What one exchange may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// From the first look-up to the last byte of the answer. The call's own deadline may be nearer.
    pub timeout: Duration,
    /// Largest body of an answer.
    pub response_bytes_max: usize,
}

/// One request. `target` is the whole path and query, percent-encoded; see [`BaseUrl::at`].
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// Begins with `/`.
    pub target: String,
    /// Headers beside `Host`, `User-Agent` and what describes the body's length. Mark secret values as sensitive.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
}

impl HttpRequest {
    /// A request without headers and body.
    #[must_use]
    pub fn new(method: Method, target: String) -> Self {
        Self { method, target, headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// The same with a header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The same with a body of the type `content_type`.
    #[must_use]
    pub fn with_body(self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut request = self.with(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        request.body = body.into();
        request
    }
}

/// A whole answer, whatever its status.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, decompressed and within [`HttpLimits::response_bytes_max`].
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpFault {
    /// The class.
    pub kind: HttpFaultKind,
    /// Whether the request may have reached the service.
    pub sent: bool,
    /// For operators; names hosts, never a credential.
    pub detail: String,
}

/// The class of an [`HttpFault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpFaultKind {
    /// The address may not be dialled; nothing was.
    Denied,
    /// Nobody answers there.
    Unreachable,
    /// The certificate or the handshake was refused.
    Tls,
    /// The time is up.
    Timeout,
    /// The caller gave up.
    Cancelled,
    /// The answer is larger than allowed; the value is the limit.
    TooLarge(usize),
    /// What came back is not HTTP, broke off, or is compressed in a way that cannot be undone.
    Protocol,
    /// Method, target or a header cannot stand in a request.
    Unsendable,
}

impl fmt::Display for HttpFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for HttpFault {}

/// For a service of another protocol too: nothing was sent yet.
impl From<EgressError> for HttpFault {
    fn from(cause: EgressError) -> Self {
        let kind = match &cause {
            EgressError::Denied(_) | EgressError::BadHost => HttpFaultKind::Denied,
            EgressError::Unreachable(_) => HttpFaultKind::Unreachable,
            EgressError::Tls(_) => HttpFaultKind::Tls,
            EgressError::Timeout => HttpFaultKind::Timeout,
        };
        Self::unsent(kind, cause.to_string())
    }
}

impl HttpFault {
    fn unsent(kind: HttpFaultKind, detail: impl Into<String>) -> Self {
        Self { kind, sent: false, detail: detail.into() }
    }

    fn broken(cause: &hyper::Error) -> Self {
        Self { kind: HttpFaultKind::Protocol, sent: true, detail: format!("the exchange broke off: {cause}") }
    }
}

/// One service and its idle connections. Cheap to make; connections are opened when needed and belong to this client alone.
pub struct HttpClient {
    base: BaseUrl,
    egress: Egress,
    rules: Rules,
    tls: Tls,
    limits: HttpLimits,
    idle: Mutex<Vec<(Sender, Instant)>>,
}

impl HttpClient {
    /// A client for the service at `base`.
    #[must_use]
    pub fn new(base: BaseUrl, egress: Egress, rules: Rules, tls: Tls, limits: HttpLimits) -> Self {
        Self { base, egress, rules, tls, limits, idle: Mutex::default() }
    }

    /// The service.
    #[must_use]
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// What an exchange may cost.
    #[must_use]
    pub fn limits(&self) -> HttpLimits {
        self.limits
    }

    /// A client under the same rules and limits for another origin. What this service's operator trusts beside the platform does not
    /// count there.
    pub(super) fn elsewhere(&self, base: BaseUrl) -> Self {
        Self::new(base, self.egress.clone(), self.rules.clone(), Tls::default(), self.limits)
    }

    /// Sends `request` and reads the whole answer. The request goes out at most once, unless an idle connection turns out to be closed
    /// before a byte of it was written.
    ///
    /// # Errors
    /// [`HttpFault`]; the answer's status is not looked at.
    pub async fn send(&self, request: HttpRequest, context: CallContext<'_>) -> Result<HttpAnswer, HttpFault> {
        let mut sent = false;
        let until = (Instant::now() + self.limits.timeout).min(context.deadline.into());
        let ended = tokio::select! {
            biased;
            () = context.cancel.cancelled() => Err((HttpFaultKind::Cancelled, "the caller gave up")),
            done = tokio::time::timeout_at(until, self.exchange(request, &mut sent)) => done.map_err(|_| (HttpFaultKind::Timeout, "no answer within the time limit")),
        };
        match ended {
            Ok(done) => done,
            Err((kind, detail)) => Err(HttpFault { kind, sent, detail: detail.to_owned() }),
        }
    }

    async fn exchange(&self, request: HttpRequest, sent: &mut bool) -> Result<HttpAnswer, HttpFault> {
        let mut request = self.compose(request)?;
        while let Some(mut idle) = self.take_idle() {
            match idle.try_send_request(request).await {
                Ok(response) => return self.finish(idle, response, sent).await,
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(HttpFault::broken(error.error())),
                },
            }
        }
        let mut fresh = self.open().await?;
        *sent = true;
        let response = fresh.send_request(request).await.map_err(|cause| HttpFault::broken(&cause))?;
        self.finish(fresh, response, sent).await
    }

    fn compose(&self, request: HttpRequest) -> Result<Request<Full<Bytes>>, HttpFault> {
        let unsendable =
            |cause: &dyn fmt::Display| HttpFault::unsent(HttpFaultKind::Unsendable, format!("the request cannot be written: {cause}"));
        let empty = request.body.is_empty();
        let bodyless = empty && matches!(request.method, Method::GET | Method::HEAD | Method::DELETE);
        let mut composed =
            Request::builder().method(request.method).uri(request.target).body(Full::new(request.body)).map_err(|e| unsendable(&e))?;
        let headers = composed.headers_mut();
        *headers = request.headers;
        headers.insert(header::HOST, self.base.host_header());
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(concat!("bailiwick/", env!("CARGO_PKG_VERSION"))));
        if bodyless {
            headers.remove(header::CONTENT_TYPE);
        } else if empty {
            // The library leaves it out, and some servers refuse a POST or PUT that does not say how long it is (RFC 9110, 8.6).
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Ok(composed)
    }

    async fn open(&self) -> Result<Sender, HttpFault> {
        let stream = self.egress.open(&self.base.host, self.base.port, self.base.https.then_some(&self.tls), &self.rules).await;
        let stream = stream.map_err(HttpFault::from)?;
        let opened = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream)).await;
        let (sender, connection) = opened.map_err(|cause| HttpFault::unsent(HttpFaultKind::Protocol, cause.to_string()))?;
        // Ends when the sender is dropped.
        tokio::spawn(async move {
            if let Err(cause) = connection.await {
                tracing::debug!(%cause, "a connection to a service broke off");
            }
        });
        Ok(sender)
    }

    async fn finish(&self, sender: Sender, response: http::Response<Incoming>, sent: &mut bool) -> Result<HttpAnswer, HttpFault> {
        *sent = true;
        let (parts, mut body) = response.into_parts();
        let fault = |kind, detail: String| HttpFault { kind, sent: true, detail };
        let limit = self.limits.response_bytes_max;
        let mut read = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|cause| HttpFault::broken(&cause))?;
            let Some(data) = frame.data_ref() else { continue };
            if read.len() + data.len() > limit {
                return Err(fault(HttpFaultKind::TooLarge(limit), format!("the answer is larger than {limit} bytes")));
            }
            read.extend_from_slice(data);
        }
        self.keep_idle(sender);
        let mut answer = HttpAnswer { status: parts.status, headers: parts.headers, body: read.freeze() };
        if coding::is_coded(&answer.headers) {
            answer.body = decompressed(&answer, limit).await?;
            answer.headers.remove(header::CONTENT_ENCODING);
        }
        Ok(answer)
    }

    fn take_idle(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(sender, since)| !sender.is_closed() && since.elapsed() < IDLE_FOR);
        let ready = idle.iter().rposition(|(sender, _)| sender.is_ready())?;
        Some(idle.swap_remove(ready).0)
    }

    fn keep_idle(&self, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !sender.is_closed() && idle.len() < IDLE_MAX {
            idle.push((sender, Instant::now()));
        }
    }
}

/// On a thread that may block: a small body can stand for much work.
async fn decompressed(answer: &HttpAnswer, limit: usize) -> Result<Bytes, HttpFault> {
    let (headers, body) = (answer.headers.clone(), answer.body.clone());
    let done = tokio::task::spawn_blocking(move || coding::decoded(&headers, body, limit)).await;
    done.unwrap_or(Err(CodingFault::Broken)).map_err(|fault| {
        let kind = if fault == CodingFault::TooLarge { HttpFaultKind::TooLarge(limit) } else { HttpFaultKind::Protocol };
        HttpFault { kind, sent: true, detail: fault.detail().to_owned() }
    })
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The base address may be a secret (a webhook).
        f.debug_struct("HttpClient").field("limits", &self.limits).finish_non_exhaustive()
    }
}
