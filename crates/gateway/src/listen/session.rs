//! GET by a session of the older revisions: a stream for everything that belongs to no request, or a stream that is read on.
//!
//! A session is listened for once, however many streams it opens: each message goes to one of them (2025-11-25, multiple connections). The
//! listener goes on for a while after the last connection is gone, so that a client that comes back has missed nothing.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_mcp::exchange::{Headers, session_of_bare};
use bailiwick_mcp::{Frame, Json, Revision, encode, http_rules, method};
use http::{HeaderMap, Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::interval;

use super::door::{stopped, take_place};
use super::{Listener, News, Wanted};
use crate::bailiwick::Lens;
use crate::body::AnswerBody;
use crate::call::authenticate::Caller;
use crate::exchange::wire_fault;
use crate::fault::HttpFault;
use crate::gateway::Gateway;
use crate::replay::{Cursor, Kind, Lost, Reader, Standpoint, Streams, primes};
use crate::sessions::{self, Session};
use crate::stream::event_stream;

/// How often a session's row is looked at for resources that were added on another replica, or for its end.
const SESSION_LOOK_EVERY: Duration = Duration::from_secs(1);
const LAST_EVENT_ID: &str = "last-event-id";

/// Answers a GET.
pub(crate) async fn stand(
    gateway: &Gateway,
    caller: Arc<Caller>,
    lens: Lens,
    headers: &HeaderMap,
) -> Result<Response<AnswerBody>, HttpFault> {
    let (id, named) = match session_of_bare(&Headers::read(headers)) {
        Ok(found) => found,
        Err(fault) if fault.status() == 405 => return Err(HttpFault::method_not_allowed()),
        Err(fault) => return Ok(wire_fault(&fault)),
    };
    http_rules::check_accept_events(headers).map_err(HttpFault::from)?;
    let Some(session) = sessions::known(gateway, &caller, id).await else {
        return Err(HttpFault::new(StatusCode::NOT_FOUND, "unknown session", "initialize again"));
    };
    let revision = named.unwrap_or(session.revision);
    let standing = Stand { gateway: gateway.clone(), caller, at: (id.into(), lens), session, revision };
    match headers.get(LAST_EVENT_ID) {
        None => standing.fresh(),
        Some(last) => match last.to_str().ok().and_then(Cursor::parse) {
            Some(after) if after.stream.kind() == Kind::Call => standing.call(after),
            Some(after) => standing.again(after).await,
            None => Err(lost(Lost::Unknown)),
        },
    }
}

/// A session that wants a stream.
struct Stand {
    gateway: Gateway,
    caller: Arc<Caller>,
    at: Standpoint,
    session: Session,
    revision: Revision,
}

impl Stand {
    /// A new stream.
    fn fresh(self) -> Result<Response<AnswerBody>, HttpFault> {
        let place = self.place()?;
        self.open(place).map(read)
    }

    /// What follows in the stream of a call. It takes no place: no call has more than one reader.
    fn call(self, after: Cursor) -> Result<Response<AnswerBody>, HttpFault> {
        let reader = self.gateway.streams().resume(&self.at.0, after, None).map_err(lost)?;
        Ok(reader.map_or_else(over, read))
    }

    /// What follows in a GET stream. When that is not known here any more, or was never, a new stream says that everything may have changed:
    /// nothing else is ever said on it, so nothing is missing then.
    async fn again(self, after: Cursor) -> Result<Response<AnswerBody>, HttpFault> {
        let place = self.place()?;
        match self.gateway.streams().resume(&self.at.0, after, Some(place)) {
            Ok(reader) => Ok(reader.map_or_else(over, read)),
            Err(_) => {
                let news = self.everything().await;
                let (streams, at) = (self.gateway.streams().clone(), self.at.clone());
                let place = self.place()?;
                let reader = self.open(place)?;
                for frame in news {
                    streams.tell(&at, frame.into());
                }
                Ok(read(reader))
            }
        }
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, HttpFault> {
        let busy = |fault: bailiwick_mcp::RpcError| HttpFault::new(StatusCode::TOO_MANY_REQUESTS, fault.message, "close a stream first");
        take_place(&self.caller).map_err(busy)
    }

    fn open(self, place: OwnedSemaphorePermit) -> Result<Reader, HttpFault> {
        let Self { gateway, caller, at, revision, .. } = self;
        let owner = caller.bailiwick().owner();
        let stood = gateway.streams().stand(gateway.random(), owner, &at, place, primes(Some(revision)));
        let busy = || HttpFault::new(StatusCode::TOO_MANY_REQUESTS, "too many streams of this session are open", "close a stream first");
        let stood = stood.ok_or_else(busy)?;
        if stood.nobody_listens {
            let listening = Listening { streams: gateway.streams().clone(), at: Some(at) };
            tokio::spawn(async move { follow(&gateway, &caller, listening).await });
        }
        Ok(stood.reader)
    }

    /// That everything the session hears of may have changed.
    async fn everything(&self) -> Vec<Frame> {
        let view = self.caller.bailiwick().view(&self.at.1).await;
        let offered = crate::discover::capabilities(&view);
        let lists = [("tools", method::TOOLS_CHANGED), ("prompts", method::PROMPTS_CHANGED), ("resources", method::RESOURCES_CHANGED)];
        let lists = lists.into_iter().filter(|(kind, _)| offered.get(kind).is_some()).map(|(_, method)| encode::notification(method, None));
        let uris = self.session.row.state.subscriptions.iter().map(|uri| encode::object(&[("uri", &Json::from_text(uri))]));
        lists.chain(uris.map(|params| encode::notification(method::RESOURCE_UPDATED, Some(&params)))).collect()
    }
}

fn read(reader: Reader) -> Response<AnswerBody> {
    event_stream(AnswerBody::kept(reader))
}

/// The client has everything: 204 is how a client of event streams is told not to come back.
fn over() -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// Not 404, which would end the session for its client.
fn lost(why: Lost) -> HttpFault {
    let (message, remedy) = match why {
        Lost::Unknown => (
            "no stream of this session with this Last-Event-ID is kept here",
            "the call may have had its effect: check before you repeat it; without Last-Event-ID a new stream is opened",
        ),
        Lost::Gap => (
            "events after this Last-Event-ID are not kept any more",
            "the call may have had its effect: check before you repeat it; an operator raises `limits.resume_events_max` and `resume_stream_bytes_max`",
        ),
    };
    HttpFault::new(StatusCode::BAD_REQUEST, message, remedy)
}

/// One task listens for a standpoint; its streams end with it.
struct Listening {
    streams: Arc<Streams>,
    at: Option<Standpoint>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(at) = &self.at {
            self.streams.stop_listening(at);
        }
    }
}

async fn follow(gateway: &Gateway, caller: &Arc<Caller>, mut listening: Listening) {
    let Some(at) = listening.at.clone() else { return };
    let streams = listening.streams.clone();
    let everything = Wanted { tools: true, prompts: true, resources: true, uris: Vec::new() };
    let mut stopping = gateway.stop_signal();
    let mut listener = tokio::select! {
        listener = Listener::start(caller, &at.1, gateway.mask(), everything) => listener,
        () = stopped(&mut stopping) => return,
    };
    let mut asked: Vec<String> = Vec::new();
    let mut look = interval(SESSION_LOOK_EVERY);
    loop {
        let heard = tokio::select! {
            news = listener.next() => {
                let Some(News { method, params }) = news else { return };
                streams.tell(&at, encode::notification(method, params.as_ref()).into())
            }
            _ = look.tick() => {
                match gateway.store().sessions().get(caller.scope(), &at.0).await {
                    Ok(Some(row)) if row.state.subscriptions != asked => {
                        // What was refused once is not asked for again until the client changes something.
                        asked.clone_from(&row.state.subscriptions);
                        tokio::select! {
                            () = listener.watch(asked.clone()) => {}
                            () = stopped(&mut stopping) => return,
                        }
                    }
                    Ok(None) => return,
                    // The database is away for a moment: what is watched stays watched.
                    Ok(Some(_)) | Err(_) => {}
                }
                streams.is_heard(&at)
            }
            () = stopped(&mut stopping) => return,
        };
        if !heard {
            // Whoever opens the next stream listens for it.
            listening.at = None;
            return;
        }
    }
}
