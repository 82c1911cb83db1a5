//! Discovery: open, list, admit; again when the server says so, after a fault, and now and then.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_mcp::Json;
use bailiwick_mcp::client::{List, Notice};
use bailiwick_model::ToolName;
use bailiwick_model::name::{proxy_tool_name, served_names};
use tokio::sync::broadcast::{self, error::RecvError};
use tracing::{info, warn};

use super::{Offer, Server};
use crate::catalog::{Rejected, admit, original_name};
use crate::changes::Changes;
use crate::mask::Mask;

/// Pause after the first failed discovery; doubled up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// How often a healthy server is listed again although it announced no change.
const RELIST_EVERY: Duration = Duration::from_secs(300);

impl Server {
    /// Watches the server until the task is ended.
    pub(crate) async fn watch(self: Arc<Self>, changes: Arc<Changes>, mask: Arc<Mask>) {
        let mut notices = self.upstream.notices();
        let mut retry = RETRY_MIN;
        loop {
            // What was announced before the list is asked for is in it.
            notices = notices.resubscribe();
            let pause = match self.discover(&mask).await {
                Ok(changed) => {
                    if changed {
                        changes.bump();
                    }
                    retry = RETRY_MIN;
                    RELIST_EVERY
                }
                Err(failure) => {
                    warn!(server = %self.name(), cause = %failure, "discovery failed");
                    self.fail(failure);
                    let pause = retry;
                    retry = (retry * 2).min(RETRY_MAX);
                    pause
                }
            };
            self.settled.send_replace(true);
            // When the upstream is gone the timer alone keeps the rhythm.
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = tools_changed(&mut notices) => {}
            }
        }
    }

    /// One discovery. `true` when the offer is another one than before.
    async fn discover(self: &Arc<Self>, mask: &Mask) -> Result<bool, String> {
        let work = async {
            let probe = self.upstream.open().await.map_err(|fault| mask.clean_text(&fault.detail).into_owned())?;
            if let Some(note) = &self.settings.note {
                note.write(&probe).await;
            }
            let tools = self.upstream.list(List::Tools).await.map_err(|fault| mask.clean_text(&fault.detail).into_owned())?;
            Ok::<_, String>(tools.items)
        };
        let limit = self.settings.discovery_timeout;
        let definitions = tokio::time::timeout(limit, work).await.map_err(|_| format!("no tool list within {} s", limit.as_secs()))??;
        Ok(self.adopt(definitions))
    }

    fn adopt(self: &Arc<Self>, definitions: Vec<Json>) -> bool {
        let offer = self.admitted(&definitions);
        let before = self.offer();
        let same = before.tools.len() == offer.tools.len() && before.tools.iter().zip(&offer.tools).all(|(a, b)| a.same_as(b));
        if !same {
            info!(server = %self.name(), tools = offer.tools.len(), rejected = offer.rejected.len(), "tools discovered");
        }
        if !same || before.failure.is_some() || before.rejected.len() != offer.rejected.len() {
            self.offer.store(Arc::new(offer));
        }
        !same
    }

    fn admitted(self: &Arc<Self>, definitions: &[Json]) -> Offer {
        let mut offer = Offer::default();
        let mut named = Vec::new();
        for definition in definitions {
            match original_name(definition) {
                Ok(name) if self.offers(&name) => named.push((name, definition)),
                Ok(_) => {}
                Err(rejected) => offer.rejected.push(rejected),
            }
        }
        let originals: Vec<&str> = named.iter().map(|(name, _)| &**name).collect();
        for (served, (original, definition)) in self.served_names(&originals).into_iter().zip(&named) {
            match admit(self, served, original, definition) {
                Ok(tool) => offer.tools.push(Arc::new(tool)),
                Err(rejected) => offer.rejected.push(rejected),
            }
        }
        for Rejected { name, rule } in &offer.rejected {
            warn!(server = %self.name(), tool = %name, %rule, "tool not admitted");
        }
        offer
    }

    /// Keeps the tools of the last good discovery, so that a passing fault empties no list.
    fn fail(&self, failure: String) {
        let before = self.offer();
        self.offer.store(Arc::new(Offer { tools: before.tools.clone(), rejected: before.rejected.clone(), failure: Some(failure) }));
    }

    /// Whether the manifest that names this server lets the tool through; always, for a server of the gateway.
    fn offers(&self, tool: &str) -> bool {
        self.settings.proxy.as_ref().is_none_or(|proxy| proxy.admits(tool))
    }

    /// `{server}__{tool}`, or `{key}_{tool}` when a manifest names the server.
    fn served_names(&self, tools: &[&str]) -> Vec<ToolName> {
        let max = self.settings.name_max;
        match &self.settings.proxy {
            Some(proxy) => tools.iter().map(|tool| proxy_tool_name(&proxy.key, tool, max)).collect(),
            None => served_names(&self.settings.name, tools, max),
        }
    }

    pub(crate) fn proxy_key(&self) -> Option<&Arc<str>> {
        self.settings.proxy.as_ref().map(|proxy| &proxy.key)
    }
}

/// Waits for a word that the tools may have changed. Never comes when the upstream is gone.
async fn tools_changed(notices: &mut broadcast::Receiver<Notice>) {
    loop {
        match notices.recv().await {
            Ok(Notice::ToolsChanged | Notice::Reopened) | Err(RecvError::Lagged(_)) => return,
            Ok(_) => {}
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}
