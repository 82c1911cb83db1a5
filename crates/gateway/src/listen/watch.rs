//! One watched resource.

use std::sync::Arc;

use bailiwick_mcp::client::{Notice, Upstream};
use bailiwick_mcp::{Json, method};
use tokio::sync::{OwnedSemaphorePermit, broadcast::error::RecvError, mpsc};
use tokio::task::JoinHandle;

use super::News;
use crate::call::authenticate::Caller;
use crate::catalog::{View, admits};
use crate::mask::Mask;

/// Longest parameters of an update that are passed on; a listener that does not read holds some dozens of them.
const PARAMS_BYTES_MAX: usize = 4 << 10;

/// Where updates go.
pub(super) struct Ear {
    pub(super) tell: mpsc::Sender<News>,
    pub(super) mask: Arc<Mask>,
}

/// A subscription at a server; ends when dropped.
pub(super) struct Watch {
    upstream: Upstream,
    own: String,
    task: JoinHandle<()>,
    _place: OwnedSemaphorePermit,
}

impl Watch {
    /// Subscribes at the server behind `uri`. `None` when the agent may not read it, or the server does not tell of it.
    pub(super) async fn start(caller: &Caller, view: &View, uri: &str, ear: &Ear) -> Option<Self> {
        let bailiwick = caller.bailiwick();
        let (server, own) = view.routes().find(uri)?;
        if !admits(bailiwick.rules(), server, &own) {
            return None;
        }
        let place = bailiwick.watches().clone().try_acquire_owned().ok()?;
        let own = own.into_owned();
        // Before the subscription, so that no notice falls between.
        let upstream = tokio::time::timeout(server.timeout(), server.link(caller.scope())).await.ok()?.ok()?.upstream;
        let mut notices = upstream.notices();
        tokio::time::timeout(server.timeout(), upstream.subscribe(&own)).await.ok()?.ok()?;
        let (tell, mask) = (ear.tell.clone(), ear.mask.clone());
        let (shown, wanted) = (Json::from_text(uri), own.clone());
        let task = tokio::spawn(async move {
            loop {
                let params = match notices.recv().await {
                    Ok(Notice::ResourceUpdated { uri, params }) if *uri == *wanted => told(params, &shown, &mask),
                    // Whatever was missed, this may have been among it.
                    Ok(Notice::Reopened) | Err(RecvError::Lagged(_)) => bailiwick_mcp::encode::object(&[("uri", &shown)]),
                    Ok(_) => continue,
                    Err(RecvError::Closed) => return,
                };
                // A full queue holds a word about some resource already; this one's comes again with its next change.
                let _ = tell.try_send(News { method: method::RESOURCE_UPDATED, params: Some(params) });
            }
        });
        Some(Self { upstream, own, task, _place: place })
    }
}

/// What the client hears: what the server said, unless that is long or holds what must not be shown.
fn told(params: Json, shown: &Json, mask: &Mask) -> Json {
    let bare = || bailiwick_mcp::encode::object(&[("uri", shown)]);
    if params.len() > PARAMS_BYTES_MAX {
        return bare();
    }
    mask.clean(params).map_or_else(|_| bare(), |params| params.edit(&[], &[("uri", shown)]))
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
        let (upstream, own) = (self.upstream.clone(), std::mem::take(&mut self.own));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { upstream.unsubscribe(&own).await });
        }
    }
}
