//! One agent's bailiwick: its manifest, its modules opened for it alone, the servers it was granted, its limits and its view.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bailiwick_model::config::Limits;
use bailiwick_model::glob::Glob;
use bailiwick_model::manifest::Manifest;
use bailiwick_model::policy::Rules;
use bailiwick_store::AuditKey;

use crate::catalog::{Tool, View};
use crate::changes::Changes;
use crate::limits::{Places, Rates};
use crate::lock::Lock;
use crate::servers::Server;

/// How long a first list waits for servers that have never been listed. A server that hangs longer joins later.
const FIRST_LIST_WAIT: Duration = Duration::from_secs(4);

/// What one agent may see and do.
pub(crate) struct Bailiwick {
    manifest: Arc<Manifest>,
    rules: Rules,
    module_tools: Vec<Arc<Tool>>,
    servers: Vec<Arc<Server>>,
    changes: Arc<Changes>,
    rates: Rates,
    places: Places,
    view_tools_max: usize,
    organisation: Arc<Places>,
    audit_key: AuditKey,
    approval: Approval,
    view: ArcSwap<View>,
    building: Lock<()>,
}

/// The parts that [`Bailiwick::new`] puts together.
pub(crate) struct Parts {
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) module_tools: Vec<Arc<Tool>>,
    pub(crate) servers: Vec<Arc<Server>>,
    pub(crate) changes: Arc<Changes>,
    pub(crate) limits: Limits,
    pub(crate) organisation: Arc<Places>,
    pub(crate) audit_key: AuditKey,
}

struct Approval {
    required: Vec<Glob>,
    shadow: Vec<Glob>,
}

impl Bailiwick {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { manifest, module_tools, servers, changes, limits, organisation, audit_key } = parts;
        Self {
            rules: Rules::of(&manifest),
            rates: Rates::new(&manifest.rate_limits),
            places: Places::new("principal", limits.in_flight_per_principal_max, &limits),
            view_tools_max: usize::try_from(limits.tools_per_view_max).unwrap_or(usize::MAX),
            approval: Approval { required: manifest.hitl.approval_required.clone(), shadow: manifest.hitl.shadow.clone() },
            view: ArcSwap::from_pointee(View::build(0, &Rules::default(), Vec::new(), 0)),
            building: Lock::new(()),
            manifest,
            module_tools,
            servers,
            changes,
            organisation,
            audit_key,
        }
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(crate) fn rates(&self) -> &Rates {
        &self.rates
    }

    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    /// The places of the whole organisation.
    pub(crate) fn organisation(&self) -> &Places {
        &self.organisation
    }

    /// The organisation's key for hashes on the ledger.
    pub(crate) fn audit_key(&self) -> &AuditKey {
        &self.audit_key
    }

    pub(crate) fn changes(&self) -> &Arc<Changes> {
        &self.changes
    }

    /// Whether `hitl` wants a person for each call of this tool.
    pub(crate) fn needs_approval(&self, tool: &str) -> bool {
        let among = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(tool));
        among(&self.approval.required) && !among(&self.approval.shadow)
    }

    /// The view of this moment; built once for each generation of the catalog.
    pub(crate) async fn view(&self) -> Arc<View> {
        let view = self.view.load_full();
        if view.generation() == self.changes.generation() {
            return view;
        }
        Box::pin(self.first_discovery()).await;
        self.rebuild()
    }

    async fn first_discovery(&self) {
        let waiting = self.servers.iter().filter(|server| !server.is_settled());
        let all = async {
            for server in waiting {
                server.settled().await;
            }
        };
        // Whoever is late appears with the next generation.
        let _ = tokio::time::timeout(FIRST_LIST_WAIT, all).await;
    }

    fn rebuild(&self) -> Arc<View> {
        let _one_at_a_time = self.building.lock();
        let generation = self.changes.generation();
        let current = self.view.load_full();
        if current.generation() == generation {
            return current;
        }
        let mut tools = self.module_tools.clone();
        for server in &self.servers {
            tools.extend(server.offer().tools.iter().cloned());
        }
        let view = Arc::new(View::build(generation, &self.rules, tools, self.view_tools_max));
        self.view.store(view.clone());
        view
    }
}
