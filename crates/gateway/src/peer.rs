//! One stdio client: stages 1 to 3 for lines instead of HTTP requests.

use std::sync::Arc;
use std::time::Instant;

use bailiwick_mcp::client::{Cancel, Event};
use bailiwick_mcp::exchange::unsupported_version;
use bailiwick_mcp::meta::{Declared, LogLevel};
use bailiwick_mcp::{Era, Frame, Message, Request, RequestMeta, Revision, WireError, decode, encode, error};
use bailiwick_model::EventId;
use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::asked::{Asked, Conversation};
use crate::asking::{Asking, CallQuestions};
use crate::call::authenticate::Caller;
use crate::gateway::Gateway;
use crate::inflight::{Inflight, Running, cancelled_id, id_in_use};
use crate::initialize::negotiate;
use crate::listen::{self, Listener, Wanted};
use crate::lock::Lock;
use crate::methods;
use crate::progress::Wants;
use crate::settings;
use crate::stream::Side;
use crate::way::Way;

/// Progress events that wait for the client to read.
const EVENTS_QUEUED_MAX: usize = 64;
/// One pipe is one session, whatever its revision.
const PIPE: &str = "stdio";

/// The client at the other end of the pipe.
pub struct Peer {
    caller: Arc<Caller>,
    /// Tells this pipe from every other, in this process and elsewhere.
    session: Box<str>,
    outbox: mpsc::Sender<Frame>,
    /// Agreed by `initialize`; 2026-07-28 requests carry their own.
    legacy: Lock<Option<Agreed>>,
    inflight: Inflight,
    asking: Arc<Asking>,
    log: Lock<Option<LogLevel>>,
    /// Resources that the client watches.
    watched: watch::Sender<Vec<String>>,
}

/// What `initialize` agreed on.
#[derive(Clone)]
struct Agreed {
    revision: Revision,
    /// What the client can be asked, as JSON text.
    capabilities: Arc<str>,
}

impl Peer {
    /// A client that acts as `caller`; notifications leave through `outbox`.
    #[must_use]
    pub fn new(gateway: &Gateway, caller: Arc<Caller>, outbox: mpsc::Sender<Frame>) -> Arc<Self> {
        Arc::new(Self {
            caller,
            session: EventId::random(gateway.random()).to_string().into(),
            outbox,
            legacy: Lock::default(),
            inflight: Inflight::default(),
            asking: Arc::default(),
            log: Lock::default(),
            watched: watch::Sender::default(),
        })
    }

    pub(crate) fn set_log_level(&self, level: LogLevel) {
        *self.log.lock() = Some(level);
    }

    /// Changes what is watched; `false` when that would be too much.
    pub(crate) fn change_subscriptions(&self, change: impl FnOnce(&mut Vec<String>)) -> bool {
        let mut uris = self.watched.borrow().clone();
        change(&mut uris);
        let fits = settings::fits(&uris);
        if fits {
            self.watched.send_replace(uris);
        }
        fits
    }

    /// A name that no other conversation has.
    pub(crate) fn session(&self) -> &str {
        &self.session
    }

    /// Whether the client of an older revision is to be told of changes of its list.
    fn is_legacy(&self) -> bool {
        self.legacy.lock().is_some()
    }
}

/// A line that has been read, and what is left to do for it.
enum Taken {
    Nothing,
    Refused(Frame),
    Work(Box<Asked>, Running, Option<JoinHandle<()>>),
}

/// Takes one line: decodes it and lets it act on the conversation at once; what it asks for is done by the future.
pub(crate) fn line(gateway: &Gateway, peer: &Arc<Peer>, line: Bytes) -> impl Future<Output = Option<Frame>> + Send + use<> {
    let taken = take(gateway, peer, line);
    let (gateway, outbox) = (gateway.clone(), peer.outbox.clone());
    async move {
        match taken {
            Taken::Nothing => None,
            Taken::Refused(frame) => Some(frame),
            Taken::Work(asked, running, forwarding) => answer(&gateway, *asked, &outbox, running, forwarding).await,
        }
    }
}

fn take(gateway: &Gateway, peer: &Arc<Peer>, line: Bytes) -> Taken {
    match decode(line, &gateway.limits().message) {
        Err(fault) => Taken::Refused(encode::wire_error(&fault)),
        Ok(Message::Request(request)) => ask(gateway, peer, request).unwrap_or_else(|fault| Taken::Refused(encode::wire_error(&fault))),
        Ok(Message::Notification(notification)) => {
            if &*notification.method == "notifications/cancelled"
                && let Some(id) = cancelled_id(&notification)
            {
                peer.inflight.cancel(PIPE, &id);
            }
            Taken::Nothing
        }
        Ok(Message::Response(response)) => {
            peer.asking.answered(PIPE, response);
            Taken::Nothing
        }
    }
}

fn ask(gateway: &Gateway, peer: &Arc<Peer>, request: Request) -> Result<Taken, WireError> {
    let (era, revision, meta) = agreed(peer, &request)?;
    let cancel = Cancel::new();
    let running = peer.inflight.enter(PIPE, &request.id, &cancel).ok_or_else(|| id_in_use(&request.id))?;
    let legacy = peer.legacy.lock().clone().filter(|_| era == Era::Legacy);
    let wants = Wants { token: meta.progress_token.clone(), log: meta.log_level.or_else(|| legacy.as_ref().and(*peer.log.lock())) };
    let wants_log = wants.log;
    let (askable, questions) = legacy.map_or((None, None), |agreed| peer.asking.begin(PIPE, &agreed.capabilities));
    let (events, forwarding) = forward(peer, gateway, wants, questions);
    let Request { id, method, params } = request;
    let (caller, began, log) = (peer.caller.clone(), Instant::now(), wants_log);
    let conversation = if era == Era::Legacy { Conversation::Pipe(peer.clone()) } else { Conversation::None };
    let asked = Asked {
        caller,
        id,
        method,
        params,
        meta,
        era,
        revision,
        lens: None,
        conversation,
        log,
        param_headers: None,
        cancel,
        events,
        askable,
        began,
    };
    Ok(Taken::Work(Box::new(asked), running, forwarding))
}

async fn answer(
    gateway: &Gateway,
    asked: Asked,
    outbox: &mpsc::Sender<Frame>,
    running: Running,
    forwarding: Option<JoinHandle<()>>,
) -> Option<Frame> {
    let (cancel, listens) = (asked.cancel.clone(), listen::is_listen(&asked.method, asked.era));
    let answer = if listens { listen::over_pipe(gateway, asked, outbox).await } else { methods::answer(gateway, asked).await };
    drop(running);
    // Progress may not follow the answer (protocol reference 2.10): the last event leaves first.
    if let Some(forwarding) = forwarding {
        let _ = forwarding.await;
    }
    // Who cancels a call hears no more of it; the end of a subscription has a last word.
    (listens || !cancel.is_cancelled()).then(|| answer.into_frame())
}

/// Era and revision of a request on a pipe (protocol reference 4.1): its own metadata, else what `initialize` agreed on.
fn agreed(peer: &Peer, request: &Request) -> Result<(Era, Option<Revision>, RequestMeta), WireError> {
    let meta = RequestMeta::read(request.params.as_ref()).map_err(|fault| fault.with_id(Some(request.id.clone())))?;
    if meta.revision.is_some() {
        let revision = modern_revision(&meta).map_err(|fault| fault.with_id(Some(request.id.clone())))?;
        return Ok((Era::Modern, Some(revision), meta));
    }
    if &*request.method == "initialize" {
        let revision = negotiate(request.params.as_ref());
        let capabilities = request.params.as_ref().and_then(|params| params.member("capabilities"));
        let capabilities = capabilities.map_or_else(|| "{}".into(), |capabilities| capabilities.as_str().into());
        *peer.legacy.lock() = revision.map(|revision| Agreed { revision, capabilities });
        return Ok((Era::Legacy, revision, meta));
    }
    let revision = peer.legacy.lock().as_ref().map(|agreed| agreed.revision);
    if revision.is_none() && &*request.method != "ping" {
        // Neither era: a 2026-07-28 request without its metadata, or an older one before `initialize`.
        let rule = "Invalid request: send `initialize` first, or `_meta` with io.modelcontextprotocol/protocolVersion";
        return Err(WireError::new(error::INVALID_REQUEST, rule).with_id(Some(request.id.clone())));
    }
    Ok((Era::Legacy, revision, meta))
}

/// The revision of a request that carries its own metadata; a pipe has no headers to compare it with.
fn modern_revision(meta: &RequestMeta) -> Result<Revision, WireError> {
    if meta.client_capabilities.is_none() {
        let rule = "Invalid params: `_meta` needs io.modelcontextprotocol/clientCapabilities";
        return Err(WireError::new(error::INVALID_PARAMS, rule));
    }
    match &meta.revision {
        Some(Declared::Known(revision)) if Revision::MODERN.contains(revision) => Ok(*revision),
        Some(other) => Err(unsupported_version(other.as_str())),
        None => Err(unsupported_version("")),
    }
}

/// A channel whose events leave as notifications, and questions as requests, for as long as the call runs.
fn forward(
    peer: &Arc<Peer>,
    gateway: &Gateway,
    wants: Wants,
    questions: Option<CallQuestions>,
) -> (Option<mpsc::Sender<Event>>, Option<JoinHandle<()>>) {
    if wants.nothing() && questions.is_none() {
        return (None, None);
    }
    let (sender, receiver) = mpsc::channel(EVENTS_QUEUED_MAX);
    let (outbox, way) = (peer.outbox.clone(), Way::new(gateway.mask(), &peer.caller));
    let forwarding = tokio::spawn(async move {
        let mut side = Side { events: Some(receiver), questions, wants, way };
        while let Some(said) = side.next_until_closed().await {
            if outbox.send(said.frame).await.is_err() {
                break;
            }
        }
    });
    (Some(sender), Some(forwarding))
}

/// Tells a legacy client what has changed, until the client is gone. Clients of 2026-07-28 ask for it themselves.
pub(crate) async fn announce_changes(gateway: &Gateway, peer: Arc<Peer>) {
    let everything = Wanted { tools: true, prompts: true, resources: true, uris: Vec::new() };
    let mut listener = Listener::start(&peer.caller, &None, gateway.mask(), everything).await;
    let mut watched = peer.watched.subscribe();
    loop {
        tokio::select! {
            news = listener.next() => {
                let Some(news) = news else { return };
                if peer.is_legacy() && peer.outbox.send(encode::notification(news.method, news.params.as_ref())).await.is_err() {
                    return;
                }
            }
            Ok(()) = watched.changed() => {
                let uris = watched.borrow_and_update().clone();
                listener.watch(uris).await;
            }
            () = peer.outbox.closed() => return,
        }
    }
}
