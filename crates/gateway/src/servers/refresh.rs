//! Discovery: open, list, admit; again when the server says so, after a fault, and now and then.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_mcp::client::{Notice, Upstream};
use bailiwick_mcp::{Json, method};
use bailiwick_model::ToolName;
use bailiwick_model::name::{proxy_tool_name, served_names};
use tokio::sync::broadcast::{self, error::RecvError};
use tracing::{info, warn};

use super::{Found, Offer, Reach, Server};
use crate::catalog::{Rejected, admit, admit_prompt, admit_resource, original_name};
use crate::changes::Changes;
use crate::dependency::WAIT_TOTAL_DEFAULT;
use crate::mask::Mask;

/// Pause after the first failed discovery; doubled up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Pause between two discoveries, whatever the server announces.
const RELIST_PAUSE_MIN: Duration = Duration::from_millis(200);
/// How often a healthy server is listed again although it announced no change.
const RELIST_EVERY: Duration = Duration::from_secs(300);

impl Server {
    /// Watches the server until the task is ended.
    pub(crate) async fn watch(self: Arc<Self>, changes: Arc<Changes>, mask: Arc<Mask>) {
        let upstream = match &self.reach {
            Reach::One(upstream) => upstream.clone(),
            Reach::Lent(lending) => return lending.watch(&self, &changes, &mask).await,
        };
        let mut notices = upstream.notices();
        let mut announced: Vec<&'static str> = Vec::new();
        let mut retry = RETRY_MIN;
        if let Some((dependency, egress)) = &self.settings.waits_for {
            dependency.ready(self.name().as_str(), egress, WAIT_TOTAL_DEFAULT).await;
        }
        loop {
            // What was announced before the list is asked for is in it.
            for _ in 0..notices.len() {
                note(&mut announced, notices.try_recv().ok().as_ref().and_then(list_changed));
            }
            let pause = match self.discover(&upstream, &mask).await {
                Ok(changed) => {
                    if changed {
                        changes.bump();
                    }
                    for method in announced.drain(..) {
                        // Without listeners there is nobody to tell.
                        let _ = self.relisted.send(method);
                    }
                    retry = RETRY_MIN;
                    RELIST_EVERY
                }
                Err(failure) => {
                    warn!(server = %self.name(), cause = %failure, "discovery failed");
                    if self.fail(failure) {
                        changes.bump();
                    }
                    let pause = retry;
                    retry = (retry * 2).min(RETRY_MAX);
                    pause
                }
            };
            self.settled.send_replace(true);
            // A server that announces changes without end keeps nobody else busy.
            tokio::time::sleep(RELIST_PAUSE_MIN).await;
            // When the upstream is gone the timer alone keeps the rhythm.
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stale.notified() => {}
                method = offer_changed(&mut notices) => note(&mut announced, method),
            }
        }
    }

    /// One discovery. `true` when the offer is another one than before.
    async fn discover(self: &Arc<Self>, upstream: &Upstream, mask: &Mask) -> Result<bool, String> {
        let limit = self.settings.discovery_timeout;
        let asked = tokio::time::timeout(limit, Found::ask(upstream)).await.map_err(|_| format!("no list within {} s", limit.as_secs()))?;
        let (found, probe) = asked.map_err(|fault| mask.clean_text(&fault.detail).into_owned())?;
        if let Some(note) = &self.settings.note {
            note.write(&probe).await;
        }
        Ok(self.adopt(&found.masked(mask)))
    }

    /// Takes over what was found; `true` when it is another offer than before.
    pub(crate) fn adopt(self: &Arc<Self>, found: &Found) -> bool {
        let offer = self.admitted(found);
        let before = self.offer();
        let same = before.same_as(&offer);
        if !same {
            info!(
                server = %self.name(), revision = found.revision, tools = offer.tools.len(), prompts = offer.prompts.len(), resources = offer.resources.len(),
                rejected = offer.rejected.len(), "tools discovered"
            );
        }
        let changed = !same || before.failure.is_some();
        if changed || before.rejected.len() != offer.rejected.len() {
            self.offer.store(Arc::new(offer));
        }
        changed
    }

    fn admitted(self: &Arc<Self>, found: &Found) -> Offer {
        let mut offer = Offer { capabilities: found.capabilities.clone(), is_legacy: found.is_legacy, ..Offer::default() };
        let named = self.named(&found.tools, |name| self.offers(name), &mut offer.rejected);
        for (served, original, definition) in named {
            match admit(self, served, &original, definition) {
                Ok(tool) => offer.tools.push(Arc::new(tool)),
                Err(rejected) => offer.rejected.push(rejected),
            }
        }
        for (served, original, definition) in self.named(&found.prompts, |name| self.offers_prompt(name), &mut offer.rejected) {
            offer.prompts.push(Arc::new(admit_prompt(self, &served, &original, definition)));
        }
        let parts = [(&found.resources, "uri", &mut offer.resources), (&found.templates, "uriTemplate", &mut offer.templates)];
        for (definitions, member, admitted) in parts.into_iter().filter(|_| self.offers_resources()) {
            for definition in definitions {
                match admit_resource(self, definition, member) {
                    Ok(resource) => admitted.push(Arc::new(resource)),
                    Err(rejected) => offer.rejected.push(rejected),
                }
            }
        }
        for Rejected { name, rule } in &offer.rejected {
            warn!(server = %self.name(), tool = %name, %rule, "not admitted");
        }
        offer
    }

    /// Tools or prompts with their served names, those without a usable name rejected.
    fn named<'d>(
        &self,
        definitions: &'d [Json],
        offers: impl Fn(&str) -> bool,
        rejected: &mut Vec<Rejected>,
    ) -> Vec<(ToolName, Box<str>, &'d Json)> {
        let mut named = Vec::new();
        for definition in definitions {
            match original_name(definition) {
                Ok(name) if offers(&name) => named.push((name, definition)),
                Ok(_) => {}
                Err(fault) => rejected.push(fault),
            }
        }
        let originals: Vec<&str> = named.iter().map(|(name, _)| &**name).collect();
        let served = self.served_names(&originals);
        served.into_iter().zip(named).map(|(served, (name, definition))| (served, name, definition)).collect()
    }

    /// Keeps what the last good discovery found, so that a passing fault empties no list. `true` when it worked before.
    pub(crate) fn fail(&self, failure: String) -> bool {
        let before = self.offer();
        self.offer.store(Arc::new(Offer { failure: Some(failure), ..Offer::clone(&before) }));
        before.failure.is_none()
    }

    /// A manifest that names this server's tools one by one, or binds their arguments, gives nothing that it does not name.
    pub(crate) fn offers_resources(&self) -> bool {
        self.settings.proxy.as_ref().is_none_or(|proxy| proxy.allow.is_empty() && !proxy.bound)
    }

    fn offers_prompt(&self, prompt: &str) -> bool {
        self.settings.proxy.as_ref().is_none_or(|proxy| proxy.admits_prompt(prompt))
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

fn note(announced: &mut Vec<&'static str>, method: Option<&'static str>) {
    announced.extend(method.filter(|method| !announced.contains(method)));
}

/// The notification behind a word about a list.
fn list_changed(notice: &Notice) -> Option<&'static str> {
    match notice {
        Notice::ToolsChanged => Some(method::TOOLS_CHANGED),
        Notice::PromptsChanged => Some(method::PROMPTS_CHANGED),
        Notice::ResourcesChanged => Some(method::RESOURCES_CHANGED),
        _ => None,
    }
}

/// Waits for a word that a list may have changed, and gives it when the server said so itself. Never comes when the upstream is gone.
async fn offer_changed(notices: &mut broadcast::Receiver<Notice>) -> Option<&'static str> {
    loop {
        match notices.recv().await {
            Ok(Notice::Reopened) | Err(RecvError::Lagged(_)) => return None,
            Ok(notice) => {
                if let Some(method) = list_changed(&notice) {
                    return Some(method);
                }
            }
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}
