//! The two ways in which a client of 2026-07-28 listens.

use std::time::Duration;

use bailiwick_mcp::{Era, Frame, Id, Json, RpcError, encode, error, method};
use bytes::Bytes;
use http::Response;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::Instant;

use super::{Listener, News, Wanted};
use crate::asked::Asked;
use crate::body::AnswerBody;
use crate::call::authenticate::Caller;
use crate::call::encode::Answer;
use crate::exchange::{KEEP_ALIVE, finish};
use crate::gateway::Gateway;
use crate::product::SERVER_INFO;
use crate::stream::event_stream;

/// Frames that wait for a slow client; the listener then waits too.
const FRAMES_QUEUED_MAX: usize = 16;
/// A client that takes nothing for so long is not listening any more.
const DELIVERY_MAX: Duration = Duration::from_secs(3);
const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
const SERVER_INFO_KEY: &str = "io.modelcontextprotocol/serverInfo";

/// `subscriptions/listen` over HTTP: a stream of its own that ends when the client closes it or the gateway stops.
pub(crate) async fn modern(gateway: &Gateway, asked: Asked) -> Response<AnswerBody> {
    let place = match accepted(&asked) {
        Ok(place) => place,
        Err(fault) => return finish(Answer::error(asked.id, asked.era, fault), None),
    };
    let (frames, receiver) = mpsc::channel(FRAMES_QUEUED_MAX);
    let gateway = gateway.clone();
    tokio::spawn(async move {
        let (id, era) = (asked.id.clone(), asked.era);
        let result = subscribed(&gateway, asked, &frames).await;
        // A client that is gone needs no last word.
        deliver(&frames, Answer::rendered(id, era, result).into_frame()).await;
        drop(place);
    });
    event_stream(AnswerBody::standing(receiver))
}

/// The same on a pipe, among other messages.
pub(crate) async fn over_pipe(gateway: &Gateway, asked: Asked, outbox: &mpsc::Sender<Frame>) -> Answer {
    let _place = match accepted(&asked) {
        Ok(place) => place,
        Err(fault) => return Answer::error(asked.id, asked.era, fault),
    };
    let (id, era) = (asked.id.clone(), asked.era);
    Answer::rendered(id, era, subscribed(gateway, asked, outbox).await)
}

/// Checks the request and takes a place for the stream.
fn accepted(asked: &Asked) -> Result<OwnedSemaphorePermit, RpcError> {
    let filter = asked.params.as_ref().and_then(|params| params.member("notifications"));
    if !filter.is_some_and(|filter| filter.is_object()) {
        return Err(RpcError::new(error::INVALID_PARAMS, "`params.notifications` must be an object"));
    }
    take_place(&asked.caller)
}

pub(super) fn take_place(caller: &Caller) -> Result<OwnedSemaphorePermit, RpcError> {
    let busy = || RpcError::new(4290, "too many streams of this agent are open; close one first");
    caller.bailiwick().streams().clone().try_acquire_owned().map_err(|_| busy())
}

/// Acknowledges, then sends what changes. Gives the last result.
async fn subscribed(gateway: &Gateway, asked: Asked, frames: &mpsc::Sender<Frame>) -> Json {
    let id = id_json(&asked.id);
    let mut stopping = gateway.stop_signal();
    let mut listener = tokio::select! {
        listener = Listener::start(&asked.caller, &asked.lens, gateway.mask(), wanted(&asked)) => listener,
        () = stopped(&mut stopping) => return ended(&id),
    };
    let honoured = honoured(listener.wanted());
    let own = encode::object(&[(SUBSCRIPTION_ID, &id)]);
    let params = encode::object(&[("notifications", &honoured), ("_meta", &own)]);
    let acknowledged = encode::notification(method::LISTEN_ACKNOWLEDGED, Some(&params));
    // Nothing to wait for: the stream would stand for ever and say nothing.
    let mut open = honoured.members().next().is_some() && deliver(frames, acknowledged.clone()).await;
    if !open {
        deliver(frames, acknowledged).await;
    }
    while open {
        open = tokio::select! {
            news = listener.next() => match news {
                Some(news) => deliver(frames, tagged(news, &own)).await,
                None => false,
            },
            () = asked.cancel.cancelled() => false,
            () = frames.closed() => false,
            () = stopped(&mut stopping) => false,
        };
    }
    ended(&id)
}

/// The last result of a subscription.
fn ended(id: &Json) -> Json {
    let info = Json::from_static(SERVER_INFO);
    let meta = encode::object(&[(SUBSCRIPTION_ID, id), (SERVER_INFO_KEY, &info)]);
    encode::object(&[("resultType", &Json::from_static("\"complete\"")), ("_meta", &meta)])
}

/// Gives a frame to a client; `false` when he is gone or does not read.
async fn deliver(frames: &mpsc::Sender<Frame>, frame: Frame) -> bool {
    matches!(tokio::time::timeout(DELIVERY_MAX, frames.send(frame)).await, Ok(Ok(())))
}

pub(super) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Members with other types are taken as absent, unknown ones are not honoured.
fn wanted(asked: &Asked) -> Wanted {
    let Some(filter) = asked.params.as_ref().and_then(|params| params.member("notifications")) else { return Wanted::default() };
    let asks = |name: &str| filter.member(name).and_then(|value| value.boolean()) == Some(true);
    let uris = filter.member("resourceSubscriptions");
    let uris = uris.iter().flat_map(Json::elements).filter_map(|uri| uri.string().map(|uri| uri.into_owned())).collect();
    Wanted { tools: asks("toolsListChanged"), prompts: asks("promptsListChanged"), resources: asks("resourcesListChanged"), uris }
}

fn honoured(wanted: &Wanted) -> Json {
    let yes = Json::from_static("true");
    let uris = Json::from_serialize(&wanted.uris).unwrap_or_else(|_| Json::from_static("[]"));
    let lists = [("toolsListChanged", wanted.tools), ("promptsListChanged", wanted.prompts), ("resourcesListChanged", wanted.resources)];
    let mut members: Vec<(&str, &Json)> = lists.iter().filter(|(_, wanted)| *wanted).map(|(name, _)| (*name, &yes)).collect();
    if !wanted.uris.is_empty() {
        members.push(("resourceSubscriptions", &uris));
    }
    encode::object(&members)
}

/// The notification with the id of the subscription that it belongs to.
fn tagged(news: News, own: &Json) -> Frame {
    let params = news.params.unwrap_or_else(|| Json::from_static("{}"));
    let meta = match params.member("_meta").filter(Json::is_object) {
        Some(meta) => own.member(SUBSCRIPTION_ID).map_or_else(|| meta.clone(), |id| meta.edit(&[], &[(SUBSCRIPTION_ID, &id)])),
        None => own.clone(),
    };
    encode::notification(news.method, Some(&params.edit(&[], &[("_meta", &meta)])))
}

fn id_json(id: &Id) -> Json {
    id.as_json()
}

/// The body of a standing stream: frames as events, and a comment when there was nothing for a while.
pub(crate) struct Standing {
    frames: mpsc::Receiver<Frame>,
    ready: std::collections::VecDeque<Bytes>,
    keep_alive: std::pin::Pin<Box<tokio::time::Sleep>>,
    ended: bool,
}

impl Standing {
    pub(crate) fn new(frames: mpsc::Receiver<Frame>) -> Self {
        // A first comment lets clients and proxies see at once that the stream stands.
        let ready = [Bytes::from_static(encode::SSE_KEEP_ALIVE)].into();
        Self { frames, ready, keep_alive: Box::pin(tokio::time::sleep(KEEP_ALIVE)), ended: false }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.ended && self.ready.is_empty()
    }

    /// The next piece of the stream.
    pub(crate) fn poll_next(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<Option<Bytes>> {
        use std::task::Poll;
        loop {
            if let Some(piece) = self.ready.pop_front() {
                self.keep_alive.as_mut().reset(Instant::now() + KEEP_ALIVE);
                return Poll::Ready(Some(piece));
            }
            match self.frames.poll_recv(context) {
                Poll::Ready(Some(frame)) => self.ready.extend(frame.into_sse_event(None).into_parts()),
                Poll::Ready(None) => {
                    self.ended = true;
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    if std::future::Future::poll(self.keep_alive.as_mut(), context).is_ready() {
                        self.ready.push_back(Bytes::from_static(encode::SSE_KEEP_ALIVE));
                        continue;
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

/// Which era listens by request.
pub(crate) fn is_listen(method: &str, era: Era) -> bool {
    era == Era::Modern && method == method::LISTEN
}
