//! The resources whose changes somebody wants to hear of, counted by how many do.
//!
//! Modern: they are part of the one `subscriptions/listen` (see `listen`). Legacy: one `resources/subscribe` each, sent again in every new
//! session.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::ask::Ask;
use super::cancel::Cancel;
use super::compose::{Draft, Parts};
use super::fault::{FaultKind, UpstreamFault};
use super::handshake::Session;
use super::notice::URI_BYTES_MAX;
use super::request::Request;
use super::state::Inner;
use super::{Options, listen};
use crate::error::RpcError;

/// Resources of one server that are subscribed to at once; a further one is refused.
const SUBSCRIPTIONS_MAX: usize = 1_000;

/// How many want each resource.
pub(super) type Wanted = BTreeMap<Arc<str>, usize>;

#[derive(Default)]
pub(super) struct Subscriptions {
    wanted: watch::Sender<Wanted>,
    /// One change at a time, so that the second one who wants a resource hears as well when the server refuses it.
    turn: Mutex<()>,
}

impl Subscriptions {
    /// Changes whenever the set of resources does.
    pub(super) fn watch(&self) -> watch::Receiver<Wanted> {
        self.wanted.subscribe()
    }

    /// One more wants `uri`. Returns whether he is the first.
    fn add(&self, uri: &Arc<str>) -> Result<bool, UpstreamFault> {
        let mut full = false;
        let first = self.wanted.send_if_modified(|wanted| {
            if let Some(count) = wanted.get_mut(uri) {
                *count += 1;
                return false;
            }
            full = wanted.len() >= SUBSCRIPTIONS_MAX;
            if !full {
                wanted.insert(Arc::clone(uri), 1);
            }
            !full
        });
        let too_many = || format!("no more than {SUBSCRIPTIONS_MAX} resources of one server can be subscribed to");
        if full { Err(UpstreamFault::unsent(FaultKind::TooLarge, too_many())) } else { Ok(first) }
    }

    /// One less wants `uri`. Returns whether he was the last.
    fn remove(&self, uri: &str) -> bool {
        self.wanted.send_if_modified(|wanted| match wanted.get_mut(uri) {
            Some(count @ 2..) => {
                *count -= 1;
                false
            }
            Some(_) => wanted.remove(uri).is_some(),
            None => false,
        })
    }
}

/// A wish that is withdrawn unless it was granted.
struct Wish<'a> {
    subscriptions: &'a Subscriptions,
    uri: &'a str,
    granted: bool,
}

impl Drop for Wish<'_> {
    fn drop(&mut self) {
        if !self.granted {
            self.subscriptions.remove(self.uri);
        }
    }
}

pub(super) async fn subscribe(inner: &Arc<Inner>, uri: &str) -> Result<(), UpstreamFault> {
    if uri.len() > URI_BYTES_MAX {
        return Err(UpstreamFault::unsent(FaultKind::TooLarge, format!("a URI of more than {URI_BYTES_MAX} bytes")));
    }
    listen::start(inner);
    let (cancel, deadline) = (Cancel::new(), Instant::now() + inner.options.call_deadline);
    let session = inner.session(deadline, &cancel).await?;
    if !session.probe.offers_also("resources", "subscribe") {
        let fault = FaultKind::Rpc(RpcError::method_not_found());
        return Err(UpstreamFault::unsent(fault, "the server does not announce `resources.subscribe`"));
    }
    let _turn = inner.subscriptions.turn.lock().await;
    let uri: Arc<str> = uri.into();
    let first = inner.subscriptions.add(&uri)?;
    let mut wish = Wish { subscriptions: &inner.subscriptions, uri: &uri, granted: false };
    if first && !session.dialect.is_modern() {
        let compose = |session: &Session, id: u64| {
            session.mark(&uri);
            message(id, SUBSCRIBE, &uri)
        };
        let answer = Request::own(SUBSCRIBE, &compose, deadline, &cancel).send(inner).await;
        if let Err(fault) = answer {
            session.unmark(&uri);
            return Err(fault);
        }
    }
    wish.granted = true;
    Ok(())
}

pub(super) async fn unsubscribe(inner: &Arc<Inner>, uri: &str) {
    let _turn = inner.subscriptions.turn.lock().await;
    if !inner.subscriptions.remove(uri) {
        return;
    }
    // A session that is not open knows of no subscription.
    let session = inner.ready.borrow().clone();
    if let Some(session) = session.filter(|session| !session.dialect.is_modern() && session.unmark(uri)) {
        // Refused or not: what still comes concerns nobody.
        let _ = ask(&session, inner.next_id(), UNSUBSCRIBE, uri, &inner.options).await;
    }
}

/// Subscribes again in a new legacy session. Returns whether there was anything to subscribe to.
pub(super) async fn restore(session: &Session, wanted: &Wanted, next_id: impl Fn() -> u64, options: &Options) -> bool {
    if session.dialect.is_modern() || !session.probe.offers_also("resources", "subscribe") {
        return false;
    }
    let mut any = false;
    for uri in wanted.keys() {
        if session.mark(uri) {
            any = true;
            if ask(session, next_id(), SUBSCRIBE, uri, options).await.is_err() {
                session.unmark(uri);
            }
        }
    }
    any
}

const SUBSCRIBE: &str = "resources/subscribe";
const UNSUBSCRIBE: &str = "resources/unsubscribe";

fn message(id: u64, method: &str, uri: &str) -> Parts {
    Draft::request(id, method).text("uri", uri).end()
}

async fn ask(session: &Session, id: u64, method: &str, uri: &str, options: &Options) -> Result<(), UpstreamFault> {
    let (cancel, deadline) = (Cancel::new(), Instant::now() + options.call_deadline);
    let ask = Ask { replayable: true, ..Ask::plain(id, method, message(id, method, uri), &session.dialect, deadline, &cancel) };
    session.wire.ask(&ask).await.map(drop)
}

impl Session {
    /// Notes that the server was asked to watch `uri`. `false`: it had been asked before.
    fn mark(&self, uri: &Arc<str>) -> bool {
        self.marks().insert(Arc::clone(uri))
    }

    fn unmark(&self, uri: &str) -> bool {
        self.marks().remove(uri)
    }

    fn marks(&self) -> MutexGuard<'_, std::collections::HashSet<Arc<str>>> {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
