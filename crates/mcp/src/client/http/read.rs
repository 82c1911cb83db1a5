//! Reading answers: bounded, and copied at most once.

use std::future::poll_fn;
use std::pin::Pin;

use bytes::Bytes;
use http::response::Parts as Head;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::Body as _;
use hyper::body::Incoming;

use super::link::Link;
use crate::bulk::Bulk;
use crate::client::ask::Ask;
use crate::client::authorization::Demand;
use crate::client::fault::{FaultKind, UpstreamFault, excerpt};
use crate::error::RpcError;
use crate::json::{Json, Limits};
use crate::message::{self, Id, Message, decode};

/// What is read of the body of an unsuccessful answer.
pub(super) const REFUSAL_BYTES_MAX: usize = 64 << 10;
const MCP_SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// Longest session id that is sent back with every request.
const SESSION_BYTES_MAX: usize = 1 << 10;
/// Depth and number of values of an answer; its bytes are the caller's to set.
const SHAPE: Limits = Limits::RESULT;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Events,
}

pub(super) fn form(headers: &HeaderMap) -> Result<Form, UpstreamFault> {
    if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding.as_bytes() != b"identity") {
        return Err(UpstreamFault::protocol("the answer is compressed, which was not asked for"));
    }
    let value = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case(b"application/json") {
        Ok(Form::Json)
    } else if essence.eq_ignore_ascii_case(b"text/event-stream") {
        Ok(Form::Events)
    } else {
        let said = excerpt(&String::from_utf8_lossy(essence));
        Err(UpstreamFault::protocol(format!(
            "the answer is neither JSON nor an event stream but `{said}`; is this the address of an MCP endpoint?"
        )))
    }
}

/// The session id of an `initialize` answer.
pub(super) fn session(headers: &HeaderMap) -> Result<Option<HeaderValue>, UpstreamFault> {
    let Some(id) = headers.get(&MCP_SESSION_ID) else { return Ok(None) };
    let valid = id.len() <= SESSION_BYTES_MAX && !id.is_empty() && id.as_bytes().iter().all(|byte| matches!(byte, 0x21..=0x7e));
    if !valid {
        return Err(UpstreamFault::protocol(format!("the session id is not 1 to {SESSION_BYTES_MAX} visible ASCII characters")));
    }
    let mut id = id.clone();
    id.set_sensitive(true);
    Ok(Some(id))
}

/// The next piece of a body, `None` at its end.
pub(super) async fn piece(link: &mut Link, body: &mut Incoming) -> Result<Option<Bytes>, UpstreamFault> {
    loop {
        let frame = link.drive(poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx))).await;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => return Err(broken(&error, true)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Ok(Some(data)),
                Err(_trailers) => {}
            },
        }
    }
}

/// The whole body in one buffer. A body that comes in one piece is not copied.
pub(super) async fn whole(link: &mut Link, mut body: Incoming, bytes_max: usize) -> Result<Bytes, UpstreamFault> {
    let promised = body.size_hint().lower();
    let too_large = || UpstreamFault::too_large(format!("the answer is larger than {bytes_max} bytes"));
    let promised = usize::try_from(promised).ok().filter(|promised| *promised <= bytes_max).ok_or_else(too_large)?;
    let Some(first) = piece(link, &mut body).await? else { return Ok(Bytes::new()) };
    if first.len() > bytes_max {
        return Err(too_large());
    }
    if body.is_end_stream() {
        return Ok(first);
    }
    let Some(second) = piece(link, &mut body).await? else { return Ok(first) };
    let mut all = Bulk::with_capacity(promised.max(first.len() + second.len()));
    all.extend(&first);
    drop(first);
    let mut next = Some(second);
    while let Some(more) = next {
        if all.len() + more.len() > bytes_max {
            return Err(too_large());
        }
        all.extend(&more);
        // Given back before the next read: the connection fills the same memory again.
        drop(more);
        next = if body.is_end_stream() { None } else { piece(link, &mut body).await? };
    }
    Ok(all.freeze())
}

/// Whether nothing is left to read, without waiting.
pub(super) fn is_empty(body: &Incoming) -> bool {
    body.is_end_stream()
}

/// Waits for the end of a body that has nothing more to say. `false` when it goes on.
pub(super) async fn ends(link: &mut Link, body: &mut Incoming) -> bool {
    matches!(piece(link, body).await, Ok(None))
}

/// Messages in one array (2025-03-26).
const BATCH_MAX: usize = 1_000;

/// The messages of a batch in their order; none when the text is no array, or the revision knows no batches.
pub(crate) fn batch(text: &Bytes, limits: &Limits) -> Option<Result<Vec<Message>, UpstreamFault>> {
    if text.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'[') {
        return None;
    }
    let broken = |what: &str| UpstreamFault::protocol(format!("the batch cannot be read: {what}"));
    let array = match Json::check(text.clone(), limits) {
        Ok(array) => array,
        Err(fault) => return Some(Err(broken(&fault.to_string()))),
    };
    let messages: Result<Vec<Message>, _> = array.elements().take(BATCH_MAX + 1).map(|one| message::read(&one)).collect();
    Some(match messages {
        Ok(messages) if messages.len() > BATCH_MAX => Err(broken("it holds too many messages")),
        Ok(messages) => Ok(messages),
        Err(error) => Err(broken(&error.message)),
    })
}

/// The outcome that a JSON body carries for request `id`.
pub(super) fn answer(body: Bytes, id: u64, bytes_max: usize) -> Result<Result<Json, RpcError>, UpstreamFault> {
    let limits = Limits { bytes_max, ..SHAPE };
    match decode(body, &limits) {
        Ok(Message::Response(response)) if response.id.is_none() && response.outcome.is_err() => Ok(response.outcome),
        Ok(Message::Response(response)) if is_ours(response.id.as_ref(), id) => Ok(response.outcome),
        Ok(Message::Response(_)) => Err(UpstreamFault::protocol("the answer carries the id of another request")),
        Ok(_) => Err(UpstreamFault::protocol("the answer is a request or a notification instead of a response")),
        Err(error) => Err(UpstreamFault::protocol(format!("the answer is no JSON-RPC message: {}", error.message))),
    }
}

pub(super) fn is_ours(id: Option<&Id>, ours: u64) -> bool {
    match id {
        Some(Id::Integer(id)) => u64::try_from(*id).is_ok_and(|id| id == ours),
        Some(Id::Unsigned(id)) => *id == ours,
        Some(Id::Text(_)) | None => false,
    }
}

/// What an unsuccessful answer means. A JSON-RPC error counts only when it answers this very request, or is one of the modern era's own:
/// anything else is what a server says that did not understand the request (reference, protocol section 4.2).
pub(super) fn refusal(head: &Head, body: Bytes, ask: &Ask<'_>) -> UpstreamFault {
    let status = head.status;
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return UpstreamFault::new(
            FaultKind::Auth(Demand::of(status.as_u16(), &head.headers)),
            true,
            format!("the server answered {status}: it wants other credentials"),
        );
    }
    if status.is_redirection() {
        return UpstreamFault::new(
            FaultKind::Http(status.as_u16()),
            true,
            format!("the server answered {status}; redirects are not followed, configure the final address"),
        );
    }
    let error = match decode(body, &SHAPE) {
        Ok(Message::Response(response)) => response.outcome.err().map(|error| (is_ours(response.id.as_ref(), ask.id), error)),
        _ => None,
    };
    let session_lost = status == StatusCode::NOT_FOUND && ask.dialect.session;
    match error {
        Some((ours, error)) if (ours && !session_lost) || is_modern_error(error.code) => UpstreamFault::rpc(error),
        Some((_, error)) => {
            let detail = format!("the server answered {status} with error {}: {}", error.code, excerpt(&error.message));
            UpstreamFault::new(FaultKind::Http(status.as_u16()), true, detail)
        }
        None => UpstreamFault::new(FaultKind::Http(status.as_u16()), true, format!("the server answered {status}")),
    }
}

/// The errors by which a server shows that it speaks the modern era.
pub(crate) fn is_modern_error(code: i64) -> bool {
    use crate::error::{HEADER_MISMATCH, MISSING_CAPABILITY, UNSUPPORTED_VERSION};
    matches!(code, HEADER_MISMATCH | MISSING_CAPABILITY | UNSUPPORTED_VERSION)
}

/// The fault behind a broken exchange.
pub(super) fn broken(error: &hyper::Error, sent: bool) -> UpstreamFault {
    let mut cause = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        cause = format!("{cause}: {inner}");
        source = inner.source();
    }
    if error.is_parse() || error.is_parse_too_large() || error.is_parse_status() {
        return UpstreamFault::new(FaultKind::Protocol, sent, format!("the answer is not HTTP/1.1: {}", excerpt(&cause)));
    }
    UpstreamFault::new(FaultKind::Closed, sent, format!("the connection ended before the answer: {}", excerpt(&cause)))
}
