//! Stage 1: what came in is of a shape, size and origin that may be looked at further.

use std::pin::{Pin, pin};
use std::time::Duration;

use bailiwick_mcp::bulk::Bulk;
use bailiwick_mcp::http_rules::HostRules;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header, request};
use http_body::Body;
use http_body_util::BodyExt;

use crate::fault::HttpFault;
use crate::gateway::RequestLimits;

/// Bytes of a body that is too large which are read and thrown away before the answer. Closing a connection that holds unread bytes
/// resets it, and the sender, still writing, would never see why.
const DISCARDED_BYTES_MAX: usize = 16 << 20;

/// A request whose head is in order; its body has not been read.
pub(crate) struct Received<B> {
    head: request::Parts,
    body: B,
    body_max: usize,
    body_read: Duration,
}

impl<B> Received<B> {
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    pub(crate) fn method(&self) -> &Method {
        &self.head.method
    }

    /// What follows the `?` of the request.
    pub(crate) fn query(&self) -> Option<&str> {
        self.head.uri.query()
    }

    /// Lowers the limit of the body.
    pub(crate) fn limit_body(&mut self, max: usize) {
        self.body_max = self.body_max.min(max);
    }
}

/// Checks Host and Origin. Comes before authentication, so that a web page cannot even try a credential.
pub(crate) fn http<B>(rules: &HostRules, limits: &RequestLimits, request: http::Request<B>) -> Result<Received<B>, HttpFault> {
    let (head, body) = request.into_parts();
    rules.check(&head.headers, &head.uri).map_err(HttpFault::from)?;
    Ok(Received { head, body, body_max: limits.message.bytes_max, body_read: limits.body_read })
}

impl<B> Received<B>
where
    B: Body<Data = Bytes> + Send,
{
    /// Reads the body within its limits of size and time.
    pub(crate) async fn read(self) -> Result<(HeaderMap, Bytes), HttpFault> {
        let Self { head, body, body_max, body_read } = self;
        bailiwick_mcp::http_rules::check_content(&head.headers).map_err(HttpFault::from)?;
        let declared = head.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
        let mut body = pin!(body);
        if let Some(length) = declared.filter(|length| *length > body_max) {
            // Who waits for `100 Continue` has sent nothing yet and must not be invited to.
            if length <= DISCARDED_BYTES_MAX && !head.headers.contains_key(header::EXPECT) {
                let _ = tokio::time::timeout(body_read, discard(body)).await;
            }
            return Err(too_large(body_max));
        }
        let reading = collect(body.as_mut(), declared.unwrap_or(0), body_max);
        match tokio::time::timeout(body_read, reading).await {
            Ok(Ok(bytes)) => Ok((head.headers, bytes)),
            Ok(Err(fault)) => {
                if fault.status() == StatusCode::PAYLOAD_TOO_LARGE {
                    let _ = tokio::time::timeout(body_read, discard(body)).await;
                }
                Err(fault)
            }
            Err(_) => Err(HttpFault::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time", "send the whole body at once")),
        }
    }
}

async fn discard<B: Body<Data = Bytes> + Send>(mut body: Pin<&mut B>) {
    let mut left = DISCARDED_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let read = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(read) else { return };
        left = rest;
    }
}

async fn collect<B: Body<Data = Bytes> + Send>(mut body: Pin<&mut B>, expected: usize, max: usize) -> Result<Bytes, HttpFault> {
    let mut whole: Option<Bulk> = None;
    let mut first: Option<Bytes> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| HttpFault::new(StatusCode::BAD_REQUEST, "the body broke off", "send it again"))?;
        let Ok(data) = frame.into_data() else { continue };
        let so_far = whole.as_ref().map_or(0, Bulk::len) + first.as_ref().map_or(0, Bytes::len);
        if so_far + data.len() > max {
            return Err(too_large(max));
        }
        // Nearly every body is one frame: keep it as it is, and copy only when there are more.
        match (&mut whole, first.take()) {
            (None, None) => first = Some(data),
            (None, Some(head)) => {
                let mut joined = Bulk::with_capacity(expected.clamp(head.len() + data.len(), max));
                joined.extend(&head);
                joined.extend(&data);
                whole = Some(joined);
            }
            (Some(joined), _) => joined.extend(&data),
        }
    }
    Ok(whole.map(Bulk::freeze).or(first).unwrap_or_default())
}

fn too_large(max: usize) -> HttpFault {
    HttpFault::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {max} bytes"), "send less in one request")
}
