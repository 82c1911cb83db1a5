//! One HTTP request at the MCP endpoint: stages 1 to 3, the method, and the way back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_mcp::client::{Cancel, Event};
use bailiwick_mcp::exchange::{Exchange, Headers, classify};
use bailiwick_mcp::http_rules;
use bailiwick_mcp::meta::LogLevel;
use bailiwick_mcp::{Era, Id, Message, Request, RequestMeta, Revision, WireError, decode, encode, error};
use bailiwick_model::ServerName;
use bailiwick_store::Session;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body::Body;
use tokio::sync::mpsc;

use crate::asked::{Asked, Conversation};
use crate::bailiwick::Lens;
use crate::body::AnswerBody;
use crate::call::authenticate::{self, Caller, Presented};
use crate::call::decode::{Subject, org_named};
use crate::call::encode::Answer;
use crate::call::receive::{self, Received};
use crate::detach::Detached;
use crate::fault::{HttpFault, json_response};
use crate::gateway::Gateway;
use crate::inflight::Running;
use crate::initialize::negotiate;
use crate::progress::Wants;
use crate::replay::Resumable;
use crate::stream::Side;
use crate::way::Way;
use crate::{batch, inflight, listen, methods, sessions, stream};

/// Put into the extensions of a request that came to an endpoint of a part of the gateway: the names as the path has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entrance {
    /// The organisation in which the caller wants to act.
    pub org: Option<String>,
    /// The one server that he wants to see.
    pub server: Option<String>,
}

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
    let Entrance { org, server } = request.extensions().get::<Entrance>().cloned().unwrap_or_default();
    let received = receive::http(gateway.host_rules(), gateway.limits(), request)?;
    let presented = Presented { headers: received.headers(), query: received.query(), org: org.as_deref(), server: server.as_deref() };
    let caller = match authenticate::http(gateway, presented).await {
        Ok(caller) => caller,
        Err(fault) => {
            gateway.note_auth_failure(&fault);
            return Err(fault);
        }
    };
    let lens = server.map(|server| lens(&caller, &server)).transpose()?;
    // Authentication comes before the method: an unknown caller learns nothing from a 405.
    match *received.method() {
        Method::POST => post(gateway, caller, lens, received, began).await,
        // What is rare is boxed, here and below: room for it would be copied about with every call.
        Method::GET => Box::pin(listen::stand(gateway, caller, lens, received.headers())).await,
        Method::DELETE => Box::pin(sessions::end(gateway, &caller, received.headers())).await,
        _ => Err(HttpFault::method_not_allowed()),
    }
}

/// The server of an endpoint of its own. One that does not exist and one that the agent was not granted are the same.
fn lens(caller: &Caller, server: &str) -> Result<ServerName, HttpFault> {
    let name = ServerName::parse(server).ok().filter(|name| caller.bailiwick().has_server(name));
    name.ok_or_else(|| HttpFault::new(StatusCode::NOT_FOUND, "no server of this name", "look at the list of the endpoint without a server"))
}

async fn post<B>(
    gateway: &Gateway,
    caller: Arc<Caller>,
    lens: Lens,
    received: Received<B>,
    began: Instant,
) -> Result<Response<AnswerBody>, HttpFault>
where
    B: Body<Data = Bytes> + Send,
{
    let (headers, body) = received.read().await?;
    if batch::is_batch(&body) {
        http_rules::check_accept(&headers, Era::Legacy).map_err(HttpFault::from)?;
        return Ok(Box::pin(batch::answer(gateway, &caller, &lens, &headers, body)).await);
    }
    let decoded = decode(body, &gateway.limits().message);
    let exchange = decoded.and_then(|message| {
        let exchange = classify(&Headers::read(&headers), &message)?;
        Ok((message, exchange))
    });
    let (message, exchange) = match exchange {
        Ok(both) => both,
        Err(fault) => return Ok(wire_fault(&fault)),
    };
    let era = if matches!(exchange, Exchange::Modern(_)) { Era::Modern } else { Era::Legacy };
    http_rules::check_accept(&headers, era).map_err(HttpFault::from)?;
    if let (Exchange::Legacy { session: Some(session), .. }, false) = (&exchange, matches!(message, Message::Request(_)))
        && sessions::known(gateway, &caller, session).await.is_none()
    {
        return Err(HttpFault::new(StatusCode::NOT_FOUND, "unknown session", "initialize again"));
    }
    match message {
        Message::Request(request) => {
            let opened = open(gateway, &caller, exchange, &request).await;
            let caller = match &opened {
                Ok(open) => choose_org(gateway, caller, open).await?,
                Err(_) => caller,
            };
            match opened {
                Ok(open) => Ok(answer(gateway, caller, lens, request, open, headers, began).await),
                Err(response) => Ok(*response),
            }
        }
        Message::Notification(notification) => {
            if let Exchange::Legacy { session: Some(session), .. } = &exchange {
                inflight::notified(gateway, session, &notification);
            }
            Ok(accepted())
        }
        Message::Response(response) => {
            if let Exchange::Legacy { session: Some(session), .. } = &exchange {
                gateway.asking().answered(session, response);
            }
            Ok(accepted())
        }
    }
}

/// What is agreed between this client and us.
struct Open {
    era: Era,
    revision: Option<Revision>,
    meta: RequestMeta,
    /// The legacy session the request belongs to.
    session: Option<Box<str>>,
    /// What the client said in `initialize` that it can be asked.
    capabilities: Option<Arc<Session>>,
    /// A session id to hand out with the answer.
    minted: Option<HeaderValue>,
}

/// The caller in the organisation that the request names in its `_meta`, if it names one. A session is of one organisation, the one of
/// the address at which it began; naming another in it is refused further on.
async fn choose_org(gateway: &Gateway, caller: Arc<Caller>, open: &Open) -> Result<Arc<Caller>, HttpFault> {
    match org_named(&open.meta) {
        Some(named) if open.era == Era::Modern && *named != *caller.scope().org().as_str() => {
            Box::pin(authenticate::within(gateway, &caller, &named)).await
        }
        _ => Ok(caller),
    }
}

async fn open(gateway: &Gateway, caller: &Caller, exchange: Exchange, request: &Request) -> Result<Open, Box<Response<AnswerBody>>> {
    let refuse = |fault: WireError| Box::new(wire_fault(&fault.with_id(Some(request.id.clone()))));
    let legacy_meta = || RequestMeta::read(request.params.as_ref()).map_err(refuse);
    match exchange {
        Exchange::Modern(modern) => Ok(Open {
            era: Era::Modern,
            revision: Some(modern.revision),
            meta: modern.meta,
            session: None,
            capabilities: None,
            minted: None,
        }),
        Exchange::Initialize => {
            let revision = negotiate(request.params.as_ref());
            let minted = match revision {
                Some(revision) => Box::pin(sessions::begin(gateway, caller, revision, request.params.as_ref())).await,
                None => None,
            };
            Ok(Open { era: Era::Legacy, revision, meta: legacy_meta()?, session: None, capabilities: None, minted })
        }
        Exchange::Legacy { session: Some(id), header_version } => {
            let Some(session) = sessions::known(gateway, caller, &id).await else {
                return Err(Box::new(session_unknown(&request.id)));
            };
            let revision = Some(header_version.unwrap_or(session.revision));
            let (meta, capabilities) = (legacy_meta()?, Some(session.row));
            Ok(Open { era: Era::Legacy, revision, meta, session: Some(id), capabilities, minted: None })
        }
        // Without a session the request stands alone; that is allowed, only cancelling by id is not possible then.
        Exchange::Legacy { session: None, header_version } => {
            Ok(Open { era: Era::Legacy, revision: header_version, meta: legacy_meta()?, session: None, capabilities: None, minted: None })
        }
    }
}

async fn answer(
    gateway: &Gateway,
    caller: Arc<Caller>,
    lens: Lens,
    request: Request,
    open: Open,
    headers: HeaderMap,
    began: Instant,
) -> Response<AnswerBody> {
    let Open { era, revision, meta, session, capabilities, minted } = open;
    let cancel = Cancel::new();
    let log = meta.log_level.or_else(|| LogLevel::parse(capabilities.as_ref()?.state.log_level.as_deref()?));
    let wants = Wants { token: meta.progress_token.clone(), log };
    let (events, received) = channel(&wants);
    let (askable, questions) = match (&session, &capabilities) {
        (Some(session), Some(row)) => gateway.asking().begin(session, &row.facts.capabilities),
        _ => (None, None),
    };
    let running = match session.as_ref().map(|session| gateway.inflight().enter(session, &request.id, &cancel)) {
        Some(None) => return wire_fault(&inflight::id_in_use(&request.id)),
        running => running.flatten(),
    };
    let resumable = session.as_ref().map(|session| {
        let owner = caller.bailiwick().owner();
        Resumable { gateway: gateway.clone(), owner, session: session.clone(), lens: lens.clone(), revision }
    });
    let conversation = session.map_or(Conversation::None, Conversation::Session);
    let subject = Subject::of(&request.method);
    let param_headers = (era == Era::Modern && subject == Some(Subject::Tool)).then_some(headers);
    let Request { id, method, params } = request;
    let asked = Asked {
        caller,
        id,
        method,
        params,
        meta,
        era,
        revision,
        lens,
        conversation,
        log,
        param_headers,
        cancel: cancel.clone(),
        events,
        askable,
        began,
    };
    if listen::is_listen(&asked.method, era) {
        return Box::pin(listen::modern(gateway, asked)).await;
    }
    let Some(subject) = subject else { return finish(Box::pin(methods::quick(gateway, asked)).await, minted) };
    // Closing the stream cancels in the 2026-07-28 era; in the older ones the call goes on (protocol reference 5.1).
    let on_drop = (era == Era::Modern).then_some(cancel);
    let way = Way::new(gateway.mask(), &asked.caller);
    let work = detached(gateway.clone(), asked, subject, running, on_drop);
    stream::answer(work, Side { events: received, questions, wants, way }, resumable).await
}

/// Not part of the function above: a future keeps room for every value that was made in it, also for those it has given away.
fn detached(
    gateway: Gateway,
    asked: Asked,
    subject: Subject,
    running: Option<Running>,
    on_drop: Option<Cancel>,
) -> Detached<Option<Answer>> {
    let cancel = asked.cancel.clone();
    let work = async move {
        let answer = methods::call(&gateway, asked, subject).await;
        drop(running);
        // Who cancels a call hears no more of it.
        (!cancel.is_cancelled()).then_some(answer)
    };
    Detached::new(Box::pin(work), on_drop)
}

type Events = Option<mpsc::Receiver<Event>>;

fn channel(wants: &Wants) -> (Option<mpsc::Sender<Event>>, Events) {
    if wants.nothing() {
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

pub(crate) fn wire_fault(fault: &WireError) -> Response<AnswerBody> {
    let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::BAD_REQUEST);
    json_response(status, encode::wire_error(fault))
}

fn session_unknown(id: &Id) -> Response<AnswerBody> {
    let fault = bailiwick_mcp::RpcError::new(error::INVALID_REQUEST, "unknown session; initialize again");
    json_response(StatusCode::NOT_FOUND, encode::error(Some(id), &fault))
}

pub(crate) fn accepted() -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}
