//! The stream on which a server tells that its tools have changed, for as long as somebody watches.
//!
//! Modern: `subscriptions/listen` (reference, protocol section 2.7). Legacy over HTTP: GET, unless the server answers that it has no such
//! stream. Legacy over stdio needs none: notices come over the pipe anyway.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::ask::Ask;
use super::cancel::Cancel;
use super::compose::{Draft, Parts};
use super::fault::{FaultKind, UpstreamFault};
use super::handshake::{Session, Wire};
use super::notice;
use super::state::Inner;

/// Between two attempts; doubled with each one that brought nothing.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(120);
/// A stream that lasted so long counts as having worked.
const WORKED_AFTER: Duration = Duration::from_secs(30);
/// A stream that has not failed by then stands.
const STANDS_AFTER: Duration = Duration::from_millis(500);
/// A stream is opened anew at least so often.
const STREAM_MAX: Duration = Duration::from_secs(24 * 3600);

type Ready = watch::Receiver<Option<Arc<Session>>>;

/// Starts listening, once for each upstream. Outside of a runtime nothing happens.
pub(super) fn start(inner: &Inner) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    if !inner.listening.swap(true, Ordering::Relaxed) {
        runtime.spawn(run(inner.ready.subscribe(), inner.ids(), inner.changes.clone()));
    }
}

/// Holds no handle of the upstream, so that it ends with the last one.
async fn run(mut ready: Ready, ids: Arc<AtomicU64>, changes: watch::Sender<u64>) {
    loop {
        let session = ready.borrow_and_update().clone();
        tokio::select! {
            changed = ready.changed() => if changed.is_err() { return },
            () = follow(session, &ids, &changes) => {}
        }
    }
}

/// Keeps a stream of this session open. Never ends: another session, or none, ends it.
async fn follow(session: Option<Arc<Session>>, ids: &AtomicU64, changes: &watch::Sender<u64>) {
    let Some(session) = session.filter(|session| gives_notices(session)) else { return std::future::pending().await };
    let mut pause = PAUSE_FIRST;
    let mut missed = false;
    loop {
        let begun = Instant::now();
        let mut stream = pin!(listen(&session, ids.fetch_add(1, Ordering::Relaxed)));
        let fault = match timeout(STANDS_AFTER, &mut stream).await {
            Ok(fault) => fault,
            Err(_) => {
                if missed {
                    // What the server said before this stream stood was said to nobody.
                    notice::count(changes);
                }
                stream.await
            }
        };
        missed = true;
        if session.ended().is_some() || fault.as_ref().is_some_and(has_no_stream) {
            return std::future::pending().await;
        }
        pause = if begun.elapsed() >= WORKED_AFTER { PAUSE_FIRST } else { pause.saturating_mul(2).min(PAUSE_MAX) };
        sleep(pause).await;
    }
}

fn gives_notices(session: &Session) -> bool {
    let announced = session.probe.capabilities.member("tools").and_then(|tools| tools.member("listChanged"));
    let stream = session.dialect.is_modern() || (session.dialect.session && matches!(session.wire, Wire::Http(_)));
    stream && announced.and_then(|announced| announced.boolean()) == Some(true)
}

/// One stream from its opening to its end. Without a fault: the server ended it in good order.
async fn listen(session: &Session, id: u64) -> Option<UpstreamFault> {
    let (cancel, deadline) = (Cancel::new(), Instant::now() + STREAM_MAX);
    match &session.wire {
        Wire::Http(wire) if !session.dialect.is_modern() => {
            let ask = Ask::plain(0, "", Parts::default(), &session.dialect, deadline, &cancel);
            Some(wire.listen(&Ask { standing: true, ..ask }).await)
        }
        wire => {
            let draft = Draft::request(id, "subscriptions/listen").raw("notifications", br#"{"toolsListChanged":true}"#);
            let body = draft.meta(&session.dialect, None, &[]).end();
            let ask = Ask::plain(id, "subscriptions/listen", body, &session.dialect, deadline, &cancel);
            wire.ask(&Ask { standing: true, ..ask }).await.err()
        }
    }
}

/// The server says that it has no such stream; asking again would change nothing.
fn has_no_stream(fault: &UpstreamFault) -> bool {
    matches!(fault.kind, FaultKind::Http(400..=499) | FaultKind::Rpc(_) | FaultKind::Protocol | FaultKind::Auth(_))
}
