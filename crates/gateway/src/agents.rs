//! The bailiwicks of the agents that have called: opened at first use, kept while they are used.

mod opening;
mod staff;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_model::manifest::Manifest;
use bailiwick_model::{AgentId, AgentType, OrgId};
use bailiwick_store::{AuditKey, Scope};
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tracing::warn;

use crate::bailiwick::{Bailiwick, Parts};
use crate::catalog::Bindings;
use crate::changes::Changes;
use crate::connections::{OrgServers, Roster};
use crate::credentials::Sources;
use crate::gateway::OrganisationPlaces;
use crate::house::House;
use crate::lock::Lock;
use crate::report::Report;
use crate::servers::Server;

pub(crate) use opening::{Opener, Opening};
use staff::Staff;

/// Most bailiwicks held at once; beyond it the longest unused one is closed.
const AGENTS_MAX: usize = 10_000;

/// Agents of whom health tells that their rules over arguments cannot be applied.
const UNBOUND_TOLD_MAX: usize = 100;

type Key = (OrgId, AgentId, AgentType);

/// What bailiwicks are opened with.
pub(crate) struct Agents {
    manifests: HashMap<AgentType, Arc<Manifest>>,
    house: Arc<House>,
    opener: Arc<Opener>,
    servers: Vec<Arc<Server>>,
    registered: Arc<Roster>,
    changes: Arc<Changes>,
    organisations: OrganisationPlaces,
    open: Lock<HashMap<Key, Arc<Seat>>>,
}

/// One agent's place; opened once, however many calls come at the same time.
struct Seat {
    cell: OnceCell<Opened>,
    used: Lock<Instant>,
}

struct Opened {
    bailiwick: Arc<Bailiwick>,
    staff: Arc<Staff>,
    /// What runs beside the calls; it ends with the seat.
    _watchers: JoinSet<()>,
}

/// The parts that [`Agents::new`] takes.
pub(crate) struct AgentsSetup {
    pub(crate) manifests: HashMap<AgentType, Arc<Manifest>>,
    pub(crate) house: Arc<House>,
    pub(crate) opener: Opener,
    pub(crate) servers: Vec<Arc<Server>>,
    pub(crate) registered: Arc<Roster>,
    pub(crate) changes: Arc<Changes>,
    pub(crate) organisations: OrganisationPlaces,
}

impl Agents {
    pub(crate) fn new(setup: AgentsSetup) -> Self {
        let AgentsSetup { manifests, house, opener, servers, registered, changes, organisations } = setup;
        Self { manifests, house, opener: Arc::new(opener), servers, registered, changes, organisations, open: Lock::default() }
    }

    /// Whether agents of this type have a manifest.
    pub(crate) fn has_type(&self, agent_type: &AgentType) -> bool {
        self.manifests.contains_key(agent_type)
    }

    /// The bailiwick of the agent behind `scope`.
    ///
    /// # Errors
    /// One line for the agent when its manifest or a module cannot be opened; the cause is logged.
    pub(crate) async fn get(&self, scope: &Scope) -> Result<Arc<Bailiwick>, String> {
        let seat = self.seat(scope);
        match seat.cell.get_or_try_init(|| self.open(scope)).await {
            Ok(opened) => Ok(opened.bailiwick.clone()),
            Err(cause) => {
                warn!(agent_id = %scope.agent_id(), agent_type = %scope.agent_type(), %cause, "the agent's manifest cannot be opened");
                Err(cause)
            }
        }
    }

    fn seat(&self, scope: &Scope) -> Arc<Seat> {
        let key = (scope.org().clone(), scope.agent_id().clone(), scope.agent_type().clone());
        let mut open = self.open.lock();
        if let Some(seat) = open.get(&key) {
            *seat.used.lock() = Instant::now();
            return seat.clone();
        }
        if open.len() >= AGENTS_MAX {
            let oldest = open.iter().min_by_key(|(_, seat)| *seat.used.lock()).map(|(key, _)| key.clone());
            oldest.and_then(|key| open.remove(&key));
        }
        let seat = Arc::new(Seat { cell: OnceCell::new(), used: Lock::new(Instant::now()) });
        open.insert(key, seat.clone());
        seat
    }

    async fn open(&self, scope: &Scope) -> Result<Opened, String> {
        let manifest = self.manifests.get(scope.agent_type());
        let manifest = manifest.ok_or_else(|| format!("no manifest for agent type `{}`", scope.agent_type()))?.clone();
        let audit_key = self.opener.store.audit_key(scope).await.map_err(|error| format!("{}; {}", error.message(), error.remedy()))?;
        let secrets = self.opener.secrets(scope, &manifest).await?;
        self.opener.all_lent(&manifest, &secrets)?;
        let registered = self.registered.of(scope.org()).await.map_err(|error| format!("{}; {}", error.message(), error.remedy()))?;
        self.opener.dependencies(&manifest).await;
        let (mut opened, mut failures) = (Vec::new(), Vec::new());
        for entry in &manifest.modules {
            match self.opener.open(scope, entry, &secrets).await {
                Ok(opening) => opened.push(Some(opening)),
                Err(cause) if entry.optional => {
                    warn!(target: "ops", event = "module_init_failed", module = %entry.key, %cause, "optional module left out for now");
                    opened.push(None);
                }
                Err(cause) => failures.push(format!("module `{}`: {cause}", entry.key)),
            }
        }
        if failures.is_empty() {
            return Ok(self.assemble(scope, manifest, (opened, registered), audit_key));
        }
        for opening in opened.into_iter().flatten() {
            opening.close().await;
        }
        Err(failures.join("; "))
    }

    /// `opened` has a place for each entry of the manifest, empty for those that are tried again in the background.
    fn assemble(
        &self,
        scope: &Scope,
        manifest: Arc<Manifest>,
        (opened, registered): (Vec<Option<Opening>>, OrgServers),
        audit_key: AuditKey,
    ) -> Opened {
        let granted = self.servers.iter().filter(|s| s.serves(scope.org()) && manifest.servers.iter().any(|grant| grant.name == *s.name()));
        let parts = Parts {
            manifest: manifest.clone(),
            house: self.house.tools().to_vec(),
            servers: granted.cloned().collect(),
            registered,
            changes: self.changes.clone(),
            limits: self.opener.limits.clone(),
            organisation: self.organisations.of(scope.org()),
            audit_key,
            bindings: Bindings::of(&manifest, scope.agent_id(), scope.agent_type()),
            agent: format!("{}/{}", scope.agent_type(), scope.agent_id()),
        };
        let bailiwick = Arc::new(Bailiwick::new(parts));
        let staff = Arc::new(Staff::new(&bailiwick, &manifest, &self.changes, &self.opener));
        let mut watchers = JoinSet::new();
        for (number, opening) in opened.into_iter().enumerate() {
            match opening {
                Some(opening) => staff.join(number, opening),
                None => staff.leave_out(number),
            }
        }
        watchers.spawn(staff.clone().run(self.opener.clone(), scope.clone(), manifest));
        Opened { bailiwick, staff, _watchers: watchers }
    }

    /// The bailiwicks of an organisation that are open now.
    pub(crate) fn open_in(&self, org: &OrgId) -> Vec<Arc<Bailiwick>> {
        let open = self.open.lock();
        let seats = open.iter().filter(|((of, _, _), _)| of == org);
        seats.filter_map(|(_, seat)| seat.cell.get()).map(|opened| opened.bailiwick.clone()).collect()
    }

    /// How the modules of all opened agents are.
    pub(crate) fn reports(&self) -> Vec<Report> {
        let seats: Vec<Arc<Seat>> = self.open.lock().values().cloned().collect();
        seats.iter().filter_map(|seat| Some(seat.cell.get()?.bailiwick.report())).collect()
    }

    /// Agents with rules over arguments that cannot be applied, and which.
    pub(crate) fn unbound(&self) -> Vec<(String, String)> {
        let seats: Vec<Arc<Seat>> = self.open.lock().values().cloned().collect();
        let told = |seat: &Arc<Seat>| {
            let bailiwick = &seat.cell.get()?.bailiwick;
            Some((bailiwick.agent().to_owned(), bailiwick.unbound()?))
        };
        seats.iter().filter_map(told).take(UNBOUND_TOLD_MAX).collect()
    }

    /// Where credentials come from.
    pub(crate) fn sources(&self) -> &Sources {
        &self.opener.sources
    }

    /// Closes modules and the servers that manifests named.
    pub(crate) async fn close(&self, limit: Duration) {
        self.opener.sources.close();
        let seats: Vec<Arc<Seat>> = self.open.lock().drain().map(|(_, seat)| seat).collect();
        let closing = async {
            for opened in seats.iter().filter_map(|seat| seat.cell.get()) {
                opened.staff.close().await;
            }
        };
        if tokio::time::timeout(limit, closing).await.is_err() {
            warn!("modules did not close in time");
        }
    }
}
