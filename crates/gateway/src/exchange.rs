//! One HTTP request at the MCP endpoint: stages 1 to 3, the method, and the way back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_mcp::client::{Cancel, Event};
use bailiwick_mcp::exchange::{Exchange, Headers, classify};
use bailiwick_mcp::{Era, Id, Message, Request, RequestMeta, Revision, WireError, decode, encode, error};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body::Body;
use tokio::sync::mpsc;

use crate::asked::Asked;
use crate::body::AnswerBody;
use crate::call::authenticate::{self, Caller};
use crate::call::encode::Answer;
use crate::call::receive::{self, Received};
use crate::detach::Detached;
use crate::fault::{HttpFault, json_response};
use crate::gateway::Gateway;
use crate::inflight::Running;
use crate::initialize::negotiate;
use crate::{inflight, methods, sessions, stream};

/// Progress events that wait for a slow reader; more are dropped, the result never is.
const EVENTS_QUEUED_MAX: usize = 64;
/// A call silent for this long gets a keep-alive comment, so that no client gives up (ecosystem reference 1.4).
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);

const SESSION_HEADER: HeaderName = HeaderName::from_static("mcp-session-id");

/// Answers one HTTP request.
pub(crate) async fn http<B>(gateway: &Gateway, request: http::Request<B>) -> Response<AnswerBody>
where
    B: Body<Data = Bytes> + Send,
{
    match take(gateway, request).await {
        Ok(response) => response,
        Err(fault) => fault.into_response(),
    }
}

async fn take<B>(gateway: &Gateway, request: http::Request<B>) -> Result<Response<AnswerBody>, HttpFault>
where
    B: Body<Data = Bytes> + Send,
{
    let began = Instant::now();
    let received = receive::http(gateway.host_rules(), gateway.limits(), request)?;
    let caller = match authenticate::http(gateway, received.headers()).await {
        Ok(caller) => caller,
        Err(fault) => {
            gateway.note_auth_failure(fault.status());
            return Err(fault);
        }
    };
    // Authentication comes before the method: an unknown caller learns nothing from a 405.
    match *received.method() {
        Method::POST => post(gateway, caller, received, began).await,
        // What is rare is boxed, here and below: room for it would be copied about with every call.
        Method::DELETE => Box::pin(sessions::end(gateway, &caller, received.headers())).await,
        _ => Err(HttpFault::method_not_allowed()),
    }
}

async fn post<B>(gateway: &Gateway, caller: Arc<Caller>, received: Received<B>, began: Instant) -> Result<Response<AnswerBody>, HttpFault>
where
    B: Body<Data = Bytes> + Send,
{
    let (headers, body) = received.read().await?;
    let decoded = decode(body, &gateway.limits().message);
    let exchange = decoded.and_then(|message| {
        let exchange = classify(&Headers::read(&headers), &message)?;
        Ok((message, exchange))
    });
    let (message, exchange) = match exchange {
        Ok(both) => both,
        Err(fault) => return Ok(wire_fault(&fault)),
    };
    if let (Exchange::Legacy { session: Some(session), .. }, false) = (&exchange, matches!(message, Message::Request(_)))
        && sessions::known(gateway, &caller, session).await.is_none()
    {
        return Err(HttpFault::new(StatusCode::NOT_FOUND, "unknown session", "initialize again"));
    }
    match message {
        Message::Request(request) => {
            let opened = open(gateway, &caller, exchange, &request).await;
            match opened {
                Ok(open) => Ok(answer(gateway, caller, request, open, headers, began).await),
                Err(response) => Ok(*response),
            }
        }
        Message::Notification(notification) => {
            if let Exchange::Legacy { session: Some(session), .. } = &exchange {
                inflight::notified(gateway, session, &notification);
            }
            Ok(accepted())
        }
        // We ask clients nothing over HTTP yet, so nobody waits for a response.
        Message::Response(_) => Ok(accepted()),
    }
}

/// What is agreed between this client and us.
struct Open {
    era: Era,
    revision: Option<Revision>,
    meta: RequestMeta,
    /// The legacy session the request belongs to.
    session: Option<Box<str>>,
    /// A session id to hand out with the answer.
    minted: Option<HeaderValue>,
}

async fn open(gateway: &Gateway, caller: &Caller, exchange: Exchange, request: &Request) -> Result<Open, Box<Response<AnswerBody>>> {
    let refuse = |fault: WireError| Box::new(wire_fault(&fault.with_id(Some(request.id.clone()))));
    let legacy_meta = || RequestMeta::read(request.params.as_ref()).map_err(refuse);
    match exchange {
        Exchange::Modern(modern) => {
            Ok(Open { era: Era::Modern, revision: Some(modern.revision), meta: modern.meta, session: None, minted: None })
        }
        Exchange::Initialize => {
            let revision = negotiate(request.params.as_ref());
            let minted = match revision {
                Some(revision) => Box::pin(sessions::begin(gateway, caller, revision, request.params.as_ref())).await,
                None => None,
            };
            Ok(Open { era: Era::Legacy, revision, meta: legacy_meta()?, session: None, minted })
        }
        Exchange::Legacy { session: Some(id), header_version } => {
            let Some(session) = sessions::known(gateway, caller, &id).await else {
                return Err(Box::new(session_unknown(&request.id)));
            };
            let revision = header_version.unwrap_or(session.revision);
            Ok(Open { era: Era::Legacy, revision: Some(revision), meta: legacy_meta()?, session: Some(id), minted: None })
        }
        // Without a session the request stands alone; that is allowed, only cancelling by id is not possible then.
        Exchange::Legacy { session: None, header_version } => {
            Ok(Open { era: Era::Legacy, revision: header_version, meta: legacy_meta()?, session: None, minted: None })
        }
    }
}

async fn answer(
    gateway: &Gateway,
    caller: Arc<Caller>,
    request: Request,
    open: Open,
    headers: HeaderMap,
    began: Instant,
) -> Response<AnswerBody> {
    let Open { era, revision, meta, session, minted } = open;
    let cancel = Cancel::new();
    let (events, received) = channel(&meta);
    let token = meta.progress_token.clone();
    let running = session.map(|session| gateway.inflight().enter(&session, &request.id, &cancel));
    let param_headers = (era == Era::Modern && methods::is_call(&request.method)).then_some(headers);
    let Request { id, method, params } = request;
    let asked = Asked { caller, id, method, params, meta, era, revision, param_headers, cancel: cancel.clone(), events, began };
    if !methods::is_call(&asked.method) {
        return finish(methods::quick(asked).await, minted);
    }
    // Closing the stream cancels in the 2026-07-28 era; in the older ones the call goes on (protocol reference 5.1).
    let on_drop = (era == Era::Modern).then_some(cancel);
    let work = detached(gateway.clone(), asked, running, on_drop);
    stream::answer(work, received, token, minted).await
}

/// Not part of the function above: a future keeps room for every value that was made in it, also for those it has given away.
fn detached(gateway: Gateway, asked: Asked, running: Option<Running>, on_drop: Option<Cancel>) -> Detached<Answer> {
    let work = async move {
        let answer = methods::tools_call(&gateway, asked).await;
        drop(running);
        answer
    };
    Detached::new(Box::pin(work), on_drop)
}

type Events = Option<mpsc::Receiver<Event>>;

fn channel(meta: &RequestMeta) -> (Option<mpsc::Sender<Event>>, Events) {
    if meta.progress_token.is_none() {
        return (None, None);
    }
    let (sender, receiver) = mpsc::channel(EVENTS_QUEUED_MAX);
    (Some(sender), Some(receiver))
}

/// The answer as one JSON body.
pub(crate) fn finish(answer: Answer, minted: Option<HeaderValue>) -> Response<AnswerBody> {
    let status = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::OK);
    let mut response = json_response(status, answer.into_frame());
    if let Some(id) = minted {
        response.headers_mut().insert(SESSION_HEADER, id);
    }
    response
}

fn wire_fault(fault: &WireError) -> Response<AnswerBody> {
    let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::BAD_REQUEST);
    json_response(status, encode::wire_error(fault))
}

fn session_unknown(id: &Id) -> Response<AnswerBody> {
    let fault = bailiwick_mcp::RpcError::new(error::INVALID_REQUEST, "unknown session; initialize again");
    json_response(StatusCode::NOT_FOUND, encode::error(Some(id), &fault))
}

fn accepted() -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}
