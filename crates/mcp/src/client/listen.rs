//! The stream on which a server tells what changed, for as long as somebody listens.
//!
//! Modern: `subscriptions/listen` (reference, protocol section 2.7). Legacy over HTTP: GET, unless the server answers that it has no such
//! stream. Legacy over stdio needs none: notices come over the pipe anyway.

mod stream;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use self::stream::{Filter, Stream};
use super::fault::{FaultKind, UpstreamFault};
use super::handshake::Session;
use super::notice::{Notice, Notices};
use super::options::Options;
use super::state::Inner;
use super::subscriptions::{self, Wanted};

/// Between two attempts; doubled with each one that brought nothing.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(120);
/// A stream that lasted so long counts as having worked.
const WORKED_AFTER: Duration = Duration::from_secs(30);
/// A stream that has been replaced is read on for so long.
const OVERLAP: Duration = Duration::from_millis(100);
/// Changes of the subscribed resources are collected for so long before the stream is opened with the new ones.
const DEBOUNCE: Duration = Duration::from_millis(100);

type Ready = watch::Receiver<Option<Arc<Session>>>;

/// Starts listening, once for each upstream. Outside of a runtime nothing happens.
pub(super) fn start(inner: &Inner) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    if !inner.listening.swap(true, Ordering::Relaxed) {
        let listener = Listener {
            ids: inner.ids(),
            notices: inner.notices.clone(),
            wanted: inner.subscriptions.watch(),
            options: inner.options.clone(),
        };
        runtime.spawn(listener.run(inner.ready.subscribe()));
    }
}

/// Holds no handle of the upstream, so that it ends with the last one.
struct Listener {
    ids: Arc<AtomicU64>,
    notices: Notices,
    wanted: watch::Receiver<Wanted>,
    options: Options,
}

impl Listener {
    async fn run(mut self, mut ready: Ready) {
        loop {
            let session = ready.borrow_and_update().clone();
            tokio::select! {
                changed = ready.changed() => if changed.is_err() { return },
                () = self.serve(session) => {}
            }
        }
    }

    /// Does what one session needs. Never ends: another session, or none, ends it.
    async fn serve(&mut self, session: Option<Arc<Session>>) {
        let Some(session) = session else { return pending().await };
        let wanted = self.wanted.borrow().clone();
        let ids = Arc::clone(&self.ids);
        let (notices, options) = (self.notices.clone(), self.options.clone());
        let restoring = async {
            if subscriptions::restore(&session, &wanted, || ids.fetch_add(1, Ordering::Relaxed), &options).await {
                // What changed before was told to nobody.
                notices.tell(Notice::Reopened);
            }
        };
        tokio::join!(restoring, Hold::new(self, &session).run());
    }
}

/// Keeps a stream of one session open.
struct Hold<'a> {
    listener: &'a mut Listener,
    session: &'a Arc<Session>,
    /// The stream that is read. While its successor is being opened it goes on, so that nothing is missed in between.
    standing: Option<(Filter, Stream)>,
    /// For some time nobody heard what the server said.
    missed: bool,
    pause: Duration,
}

impl<'a> Hold<'a> {
    fn new(listener: &'a mut Listener, session: &'a Arc<Session>) -> Self {
        Self { listener, session, standing: None, missed: false, pause: PAUSE_FIRST }
    }

    async fn run(mut self) {
        loop {
            let asked = self.listener.options.client_capabilities.members().next().is_some();
            let filter = Filter::of(self.session, &self.listener.wanted.borrow_and_update(), asked);
            let Some(filter) = filter else {
                self.standing = None;
                changed(&mut self.listener.wanted).await;
                continue;
            };
            let (begun, is_get) = (Instant::now(), filter == Filter::Get);
            let fault = if self.stands_with(&filter) { None } else { self.open(filter).await };
            let ended = match fault {
                Some(fault) => fault,
                None => match self.hold().await {
                    Some(fault) => fault,
                    None => continue,
                },
            };
            if is_get && ended.0.as_ref().is_some_and(is_refusal) {
                return pending().await;
            }
            self.recover(begun, ended.0).await;
        }
    }

    fn stands_with(&self, filter: &Filter) -> bool {
        self.standing.as_ref().is_some_and(|(standing, _)| standing == filter)
    }

    /// Opens a stream beside the one that is read, and puts it in its place when it stands.
    async fn open(&mut self, filter: Filter) -> Option<Ended> {
        let id = self.listener.ids.fetch_add(1, Ordering::Relaxed);
        let mut next = Stream::open(Arc::clone(self.session), id, &filter);
        if let Err(fault) = self.meanwhile(next.stands()).await {
            self.missed |= self.standing.is_none();
            return Some(Ended(fault));
        }
        if self.standing.is_some() {
            // What was said before the new stream stood may still be on its way on the old one.
            self.meanwhile(sleep(OVERLAP)).await;
        }
        self.standing = Some((filter, next));
        if std::mem::take(&mut self.missed) {
            // What the server said before this stream stood was said to nobody.
            self.listener.notices.tell(Notice::Reopened);
        }
        None
    }

    /// Reads the stream until it ends, or until other resources are wanted.
    async fn hold(&mut self) -> Option<Ended> {
        let ended = tokio::select! {
            fault = read(&mut self.standing) => Some(Ended(fault)),
            () = changed(&mut self.listener.wanted) => None,
        };
        match ended {
            Some(_) => {
                self.standing = None;
                self.missed = true;
            }
            None => self.meanwhile(sleep(DEBOUNCE)).await,
        }
        ended
    }

    /// After a stream that could not be opened, or ended: waits until it makes sense to try again.
    async fn recover(&mut self, begun: Instant, fault: Option<UpstreamFault>) {
        if self.session.ended().is_some() {
            return pending().await;
        }
        if fault.as_ref().is_some_and(is_refusal) {
            // Asking again would change nothing, unless other resources are asked for.
            let mut wanted = self.listener.wanted.clone();
            return self.meanwhile(changed(&mut wanted)).await;
        }
        self.pause = if begun.elapsed() >= WORKED_AFTER { PAUSE_FIRST } else { self.pause.saturating_mul(2).min(PAUSE_MAX) };
        self.meanwhile(sleep(self.pause)).await;
    }

    /// Reads the standing stream until `until` is done.
    async fn meanwhile<T>(&mut self, until: impl Future<Output = T>) -> T {
        let mut until = std::pin::pin!(until);
        loop {
            tokio::select! {
                done = &mut until => return done,
                _ = read(&mut self.standing) => {
                    self.standing = None;
                    self.missed = true;
                }
            }
        }
    }
}

/// A stream is over. Without a fault: the server ended it in good order.
struct Ended(Option<UpstreamFault>);

async fn read(standing: &mut Option<(Filter, Stream)>) -> Option<UpstreamFault> {
    match standing {
        Some((_, stream)) => stream.ended().await,
        None => pending().await,
    }
}

/// Waits for another set of resources. Nobody left to want one: the upstream is gone, and this task ends by itself.
async fn changed(wanted: &mut watch::Receiver<Wanted>) {
    if wanted.changed().await.is_err() {
        pending().await
    }
}

/// The server says that it has no such stream, or not for these resources.
fn is_refusal(fault: &UpstreamFault) -> bool {
    matches!(fault.kind, FaultKind::Http(400..=499) | FaultKind::Rpc(_) | FaultKind::Protocol | FaultKind::Auth(_))
}
