//! Arrays of messages, which only 2025-03-26 knows (protocol reference 3.1): each is answered as if it had come alone, the answers together.

use std::sync::Arc;
use std::time::Instant;

use bailiwick_mcp::client::Cancel;
use bailiwick_mcp::exchange::{Exchange, Headers, classify, session_of_batch};
use bailiwick_mcp::{Era, Frame, Json, Message, Request, RequestMeta, Revision, WireError, decode, encode, error};
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use tokio::task::JoinHandle;

use crate::asked::{Asked, Conversation};
use crate::bailiwick::Lens;
use crate::body::AnswerBody;
use crate::call::authenticate::Caller;
use crate::exchange::{accepted, wire_fault};
use crate::fault::json_response;
use crate::gateway::Gateway;
use crate::stream::event_stream;
use crate::{inflight, methods, sessions};

/// Messages in one array.
const MESSAGES_MAX: usize = 100;

/// Whether a body is an array.
pub(crate) fn is_batch(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

/// Answers an array.
pub(crate) async fn answer(gateway: &Gateway, caller: &Arc<Caller>, lens: &Lens, headers: &HeaderMap, body: Bytes) -> Response<AnswerBody> {
    match begun(gateway, caller, lens, headers, body).await {
        Ok(running) => joined(running).await,
        Err(fault) => wire_fault(&fault),
    }
}

/// One request on its way, or an answer that is there already.
enum Part {
    /// Gives nothing when the client cancelled it.
    Running(JoinHandle<Option<Frame>>),
    Done(Frame),
}

async fn begun(gateway: &Gateway, caller: &Arc<Caller>, lens: &Lens, headers: &HeaderMap, body: Bytes) -> Result<Vec<Part>, WireError> {
    let invalid = |rule: &'static str| WireError::new(error::INVALID_REQUEST, rule);
    let array = Json::check(body, &gateway.limits().message).map_err(|fault| WireError::new(error::PARSE, fault.to_string()))?;
    let messages: Vec<Json> = array.elements().take(MESSAGES_MAX + 1).collect();
    if messages.is_empty() || messages.len() > MESSAGES_MAX {
        return Err(invalid("Invalid request: an array holds 1 to 100 messages"));
    }
    let session = conversation(gateway, caller, headers).await?;
    let mut parts = Vec::new();
    for message in messages {
        match decode(message.bytes().clone(), &gateway.limits().message) {
            Err(fault) => parts.push(Part::Done(encode::wire_error(&fault))),
            Ok(message) if !matches!(classify(&Headers::read(headers), &message), Ok(Exchange::Legacy { .. })) => {
                let fault = invalid("Invalid request: this message may not stand in an array").with_id(message.request_id().cloned());
                parts.push(Part::Done(encode::wire_error(&fault)));
            }
            Ok(Message::Request(request)) => parts.push(begin(gateway, caller, lens, session.as_deref(), request)),
            Ok(Message::Notification(notification)) => {
                if let Some(session) = &session {
                    inflight::notified(gateway, session, &notification);
                }
            }
            Ok(Message::Response(response)) => {
                if let Some(session) = &session {
                    gateway.asking().answered(session, response);
                }
            }
        }
    }
    Ok(parts)
}

/// The session that the array belongs to, if any. Its revision has to be the one that knows arrays; so has that of a client without
/// session, which then names no revision at all.
async fn conversation(gateway: &Gateway, caller: &Caller, headers: &HeaderMap) -> Result<Option<Box<str>>, WireError> {
    let refused = || WireError::new(error::INVALID_REQUEST, "Invalid request: arrays of messages exist in 2025-03-26 only");
    let (id, named) = session_of_batch(&Headers::read(headers))?;
    let Some(id) = id else { return if named.is_none() { Ok(None) } else { Err(refused()) } };
    let known = sessions::known(gateway, caller, id).await;
    let known = known.ok_or_else(|| WireError::new(error::INVALID_REQUEST, "unknown session; initialize again").with_status(404))?;
    if known.revision == Revision::R2025_03_26 { Ok(Some(id.into())) } else { Err(refused()) }
}

/// A task of its own for each: in this era a client that goes away does not cancel.
fn begin(gateway: &Gateway, caller: &Arc<Caller>, lens: &Lens, session: Option<&str>, request: Request) -> Part {
    let meta = match RequestMeta::read(request.params.as_ref()) {
        Ok(meta) => meta,
        Err(fault) => return Part::Done(encode::wire_error(&fault.with_id(Some(request.id)))),
    };
    let cancel = Cancel::new();
    let running = match session.map(|session| gateway.inflight().enter(session, &request.id, &cancel)) {
        Some(None) => return Part::Done(encode::wire_error(&inflight::id_in_use(&request.id))),
        running => running,
    };
    let Request { id, method, params } = request;
    let asked = Asked {
        caller: caller.clone(),
        id,
        method,
        params,
        meta,
        era: Era::Legacy,
        revision: Some(Revision::R2025_03_26),
        lens: lens.clone(),
        conversation: session.map_or(Conversation::None, |session| Conversation::Session(session.into())),
        log: None,
        param_headers: None,
        cancel: cancel.clone(),
        // There is one answer for all, so nothing can come before it.
        events: None,
        askable: None,
        began: Instant::now(),
    };
    let gateway = gateway.clone();
    Part::Running(tokio::spawn(async move {
        let answer = methods::answer(&gateway, asked).await;
        drop(running);
        (!cancel.is_cancelled()).then(|| answer.into_frame())
    }))
}

async fn joined(parts: Vec<Part>) -> Response<AnswerBody> {
    if parts.is_empty() {
        return accepted();
    }
    let mut answers = Vec::new();
    for part in parts {
        let frame = match part {
            Part::Done(frame) => Some(frame),
            Part::Running(running) => match running.await {
                Ok(frame) => frame,
                Err(_) => Some(encode::error(None, &bailiwick_mcp::RpcError::new(error::INTERNAL, "internal error"))),
            },
        };
        answers.extend(frame);
    }
    if answers.is_empty() {
        return event_stream(AnswerBody::said(std::iter::empty()));
    }
    json_response(StatusCode::OK, encode::batch(&answers))
}
