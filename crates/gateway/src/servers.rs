//! External servers: each has a watcher of its own, so that a slow or dead one delays nobody else.

mod found;
mod probe_note;
mod reach;
mod refresh;
mod set;

pub(crate) use found::Found;
pub(crate) use probe_note::ProbeNote;
pub(crate) use reach::{Link, Reach};
pub(crate) use set::{Unfit, Workshop};

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bailiwick_contract::TrustClass;
use bailiwick_mcp::Json;
use bailiwick_model::config::Limits;
use bailiwick_model::{OrgId, ServerName};
use bailiwick_modules::egress::Egress;
use tokio::sync::{Notify, broadcast, watch};

use crate::catalog::{Rejected, Resource, Tool};
use crate::dependency::Dependency;
use crate::limits::Places;

/// Announcements of lists that a slow listener may lag behind before he misses some; there are three kinds, and the next one says the same.
const RELISTED_QUEUED_MAX: usize = 16;

/// What a server offers now.
#[derive(Clone, Default)]
pub(crate) struct Offer {
    pub(crate) tools: Vec<Arc<Tool>>,
    pub(crate) prompts: Vec<Arc<Tool>>,
    pub(crate) resources: Vec<Arc<Resource>>,
    pub(crate) templates: Vec<Arc<Resource>>,
    /// Whether it speaks one of the `initialize` revisions.
    pub(crate) is_legacy: bool,
    /// What the server says it can do.
    pub(crate) capabilities: Option<Json>,
    /// Definitions that were not admitted, with the reason for operators.
    pub(crate) rejected: Vec<Rejected>,
    /// Why the last discovery failed; the tools are then those of the last good one.
    pub(crate) failure: Option<String>,
}

impl Offer {
    /// Whether the server says that it has `capability`, e.g. `prompts`.
    pub(crate) fn announces(&self, capability: &str) -> bool {
        self.capabilities.as_ref().and_then(|all| all.member(capability)).is_some_and(|one| one.is_object())
    }

    fn same_as(&self, other: &Self) -> bool {
        let tools = |a: &[Arc<Tool>], b: &[Arc<Tool>]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same_as(b));
        let resources = |a: &[Arc<Resource>], b: &[Arc<Resource>]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same_as(b));
        let capabilities = |offer: &Self| offer.capabilities.as_ref().map(|json| json.bytes().clone());
        tools(&self.tools, &other.tools)
            && tools(&self.prompts, &other.prompts)
            && resources(&self.resources, &other.resources)
            && resources(&self.templates, &other.templates)
            && capabilities(self) == capabilities(other)
    }
}

/// Settings of one server that do not change while it lives.
pub(crate) struct Settings {
    pub(crate) name: ServerName,
    /// The only organisation that sees it; `None` = all.
    pub(crate) org: Option<OrgId>,
    pub(crate) trust: TrustClass,
    /// Deadline of one call.
    pub(crate) timeout: Duration,
    /// Limit for opening and listing.
    pub(crate) discovery_timeout: Duration,
    /// Longest served name.
    pub(crate) name_max: usize,
    /// Set for a server that a manifest names as one of its modules.
    pub(crate) proxy: Option<Proxy>,
    /// A port of this machine that is waited for before the first discovery, and the way there.
    pub(crate) waits_for: Option<(Dependency, Egress)>,
    /// Where its probe is kept; not for servers of manifests.
    pub(crate) note: Option<ProbeNote>,
    /// Whether a credential of the organisation goes along with what is sent.
    pub(crate) lends: bool,
}

/// How an `mcp_proxy` module narrows and names its server's tools (reference, tool modules section 8.10).
pub(crate) struct Proxy {
    pub(crate) key: Arc<str>,
    pub(crate) allow: Vec<String>,
    pub(crate) deny: Vec<String>,
    /// Whether the manifest binds arguments of its tools.
    pub(crate) bound: bool,
    /// Largest binary block in a result; `None` = as the manifest says, `Some(None)` = any.
    pub(crate) binary_bytes_max: Option<Option<u64>>,
}

impl Proxy {
    /// Deny after allow; an empty allowlist admits all.
    fn admits(&self, tool: &str) -> bool {
        (self.allow.is_empty() || self.allow.iter().any(|t| t == tool)) && !self.deny.iter().any(|t| t == tool)
    }

    /// What a manifest narrows to tools, or to arguments of them, gives no prompt that it does not name.
    fn admits_prompt(&self, prompt: &str) -> bool {
        self.admits(prompt) && (!self.bound || self.allow.iter().any(|t| t == prompt))
    }
}

/// One external server.
pub(crate) struct Server {
    settings: Settings,
    reach: Reach,
    places: Places,
    offer: ArcSwap<Offer>,
    settled: watch::Sender<bool>,
    /// Somebody found that what is known of the server is out of date.
    stale: Notify,
    relisted: broadcast::Sender<&'static str>,
}

impl Server {
    pub(crate) fn new(settings: Settings, reach: Reach, limits: &Limits) -> Arc<Self> {
        let places = Places::new("server", limits.in_flight_per_upstream_max, limits);
        let (settled, relisted) = (watch::Sender::new(false), broadcast::Sender::new(RELISTED_QUEUED_MAX));
        Arc::new(Self { settings, reach, places, offer: ArcSwap::default(), settled, stale: Notify::new(), relisted })
    }

    pub(crate) fn reach(&self) -> &Reach {
        &self.reach
    }

    pub(crate) fn name(&self) -> &ServerName {
        &self.settings.name
    }

    pub(crate) fn trust(&self) -> TrustClass {
        self.settings.trust
    }

    /// Whether a credential of the organisation goes along with what is sent.
    pub(crate) fn lends(&self) -> bool {
        self.settings.lends
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    /// Largest binary block in a result, when the server's own entry says: `Some(None)` = any.
    pub(crate) fn binary_bytes_max(&self) -> Option<Option<u64>> {
        self.settings.proxy.as_ref().and_then(|proxy| proxy.binary_bytes_max)
    }

    pub(crate) fn offer(&self) -> Arc<Offer> {
        self.offer.load_full()
    }

    /// What a test wants the server to have offered.
    #[cfg(test)]
    pub(crate) fn set_offer(&self, offer: Offer) {
        self.offer.store(Arc::new(offer));
    }

    /// Whether agents of `org` may be granted this server at all.
    pub(crate) fn serves(&self, org: &OrgId) -> bool {
        self.settings.org.as_ref().is_none_or(|only| only == org)
    }

    /// The key or name under which manifests know it.
    pub(crate) fn source(&self) -> &str {
        self.settings.proxy.as_ref().map_or(self.settings.name.as_str(), |proxy| &proxy.key)
    }

    /// There is nothing to wait for before its first list.
    pub(crate) fn settle(&self) {
        self.settled.send_replace(true);
    }

    /// Waits until somebody asks for a new discovery.
    pub(crate) async fn found_stale(&self) {
        self.stale.notified().await;
    }

    /// Asks for a new discovery soon.
    pub(crate) fn look_again(&self) {
        self.stale.notify_one();
    }

    /// Waits until the first discovery has ended, well or not.
    pub(crate) async fn settled(&self) {
        let _ = self.settled.subscribe().wait_for(|done| *done).await;
    }

    /// The notifications with which the server says that a list changed, each after the list has been asked for again.
    pub(crate) fn relisted(&self) -> broadcast::Receiver<&'static str> {
        self.relisted.subscribe()
    }

    pub(crate) fn is_settled(&self) -> bool {
        *self.settled.borrow()
    }
}
