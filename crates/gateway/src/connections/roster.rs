//! The registered servers of each organisation that has callers here, kept as the database has them: another replica, or an administrator
//! at his machine, may change them at any time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bailiwick_contract::TrustClass;
use bailiwick_mcp::{Json, Limits as JsonLimits};
use bailiwick_model::config::Limits;
use bailiwick_model::name::folded;
use bailiwick_model::{OrgId, ServerId};
use bailiwick_store::{OrgScope, RegisteredServer, StoreResult, Topic};
use tracing::warn;

use super::{Connections, Lending};
use crate::changes::Changes;
use crate::lock::Lock;
use crate::mask::Mask;
use crate::servers::{Reach, Server, Settings};

/// How often the rows are compared: what is taken away from somebody is gone within a second (security reference section 9).
const COMPARE_EVERY: Duration = Duration::from_millis(400);
/// Limit for opening and listing.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(15);
/// Organisations held at once; another one crowds one of them out.
const ORGS_MAX: usize = 10_000;

/// The servers of one organisation at this moment.
pub(crate) type OrgServers = Arc<ArcSwap<Vec<Arc<Server>>>>;

/// All of them.
pub(crate) struct Roster {
    connections: Connections,
    /// Names of the configuration; they come first.
    configured: Vec<String>,
    limits: Limits,
    name_max: usize,
    changes: Arc<Changes>,
    mask: Arc<Mask>,
    generation: Arc<AtomicI64>,
    orgs: Lock<HashMap<OrgId, Arc<Town>>>,
    /// Held while an organisation is read for the first time.
    first: tokio::sync::Mutex<()>,
}

/// One organisation.
struct Town {
    servers: OrgServers,
    /// The generation of the rows that they were read in.
    loaded: AtomicI64,
}

impl Roster {
    pub(crate) fn new(
        connections: Connections,
        configured: &[Arc<Server>],
        (limits, name_max): (&Limits, usize),
        changes: &Arc<Changes>,
        mask: &Arc<Mask>,
    ) -> Self {
        let configured = configured.iter().map(|server| folded(server.name().as_str())).collect();
        let (limits, changes, mask) = (limits.clone(), changes.clone(), mask.clone());
        let generation = Arc::new(AtomicI64::new(-1));
        Self {
            connections,
            configured,
            limits,
            name_max,
            changes,
            mask,
            generation,
            orgs: Lock::default(),
            first: tokio::sync::Mutex::default(),
        }
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// The servers of an organisation; read now when nobody of it was here before.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) async fn of(&self, org: &OrgId) -> StoreResult<OrgServers> {
        // Two agents that come at once read them once.
        let _one_at_a_time = self.first.lock().await;
        if let Some(known) = self.orgs.lock().get(org) {
            return Ok(known.servers.clone());
        }
        let town = Arc::new(Town { servers: OrgServers::default(), loaded: AtomicI64::new(self.generation.load(Ordering::Acquire)) });
        self.load(org, &town.servers).await?;
        let crowded_out = {
            let mut orgs = self.orgs.lock();
            let other = if orgs.len() >= ORGS_MAX { orgs.keys().next().cloned() } else { None };
            let crowded_out = other.and_then(|other| orgs.remove(&other));
            orgs.insert(org.clone(), town.clone());
            crowded_out
        };
        for server in crowded_out.iter().flat_map(|town| town.servers.load().to_vec()) {
            server.close().await;
        }
        Ok(town.servers.clone())
    }

    /// Every registered server of organisations that were here.
    pub(crate) fn all(&self) -> Vec<Arc<Server>> {
        let towns: Vec<Arc<Town>> = self.orgs.lock().values().cloned().collect();
        towns.iter().flat_map(|town| town.servers.load().to_vec()).collect()
    }

    /// Compares with the rows until the task is ended.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut failing = false;
        loop {
            tokio::time::sleep(COMPARE_EVERY).await;
            let compared = self.compare().await;
            if let (Err(cause), false) = (&compared, failing) {
                warn!(%cause, "registered servers cannot be compared with the database; what is known of them stays");
            }
            failing = compared.is_err();
        }
    }

    /// One comparison.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) async fn compare(&self) -> StoreResult<()> {
        let platform = self.connections.platform()?;
        let now = self.connections.store().generations(&platform).await?;
        // Either may change what is lent.
        let seen = now.of(Topic::Servers).wrapping_add(now.of(Topic::Secrets));
        // First: from now on, whoever lends a token reads its row again.
        self.generation.store(seen, Ordering::Release);
        let known: Vec<(OrgId, Arc<Town>)> = self.orgs.lock().iter().map(|(org, town)| (org.clone(), town.clone())).collect();
        for (org, town) in known.into_iter().filter(|(_, town)| town.loaded.load(Ordering::Acquire) != seen) {
            // What is broken in one organisation is no reason to leave another as it was.
            match self.load(&org, &town.servers).await {
                Ok(()) => town.loaded.store(seen, Ordering::Release),
                Err(cause) => warn!(%org, %cause, "the registered servers of an organisation cannot be read"),
            }
        }
        Ok(())
    }

    /// Reads the servers of one organisation, keeps those that are the same, and tells of what changed.
    async fn load(&self, org: &OrgId, into: &OrgServers) -> StoreResult<()> {
        let mut changed = false;
        let loaded = self.load_noting(org, into, &mut changed).await;
        if changed {
            self.changes.bump();
        }
        loaded
    }

    async fn load_noting(&self, org: &OrgId, into: &OrgServers, changed: &mut bool) -> StoreResult<()> {
        let scope = self.connections.within(org)?;
        let before = into.load_full();
        let records = self.records(&scope).await?;
        // What was taken away goes before anything else is looked at.
        for server in before.iter() {
            let Some(lending) = server.lending() else { continue };
            match records.iter().find(|record| lending.is_of(record)) {
                Some(record) => lending.set_record(record.clone()),
                None => server.close().await,
            }
            lending.close_stale().await?;
        }
        let contexts = self.contexts(&scope).await?;
        let mut after = Vec::new();
        for record in records {
            let known = before.iter().find(|server| server.lending().is_some_and(|lending| lending.is_of(&record)));
            let server = known.cloned().unwrap_or_else(|| {
                *changed = true;
                self.server(&scope, org, record.clone())
            });
            after.push(server.clone());
            if let Some(lending) = server.lending() {
                lending.context.store(contexts.get(&record.id).cloned().map(Arc::new));
                *changed |= self.offer(&scope, &server, lending, &record).await?;
            }
        }
        *changed |= before.len() != after.len();
        into.store(Arc::new(after));
        Ok(())
    }

    async fn records(&self, scope: &OrgScope) -> StoreResult<Vec<RegisteredServer>> {
        let mut all: Vec<RegisteredServer> = Vec::new();
        loop {
            let after: Option<ServerId> = all.last().map(|record| record.id);
            let page = self.connections.store().servers().list(scope, after).await?;
            if page.is_empty() {
                break;
            }
            all.extend(page);
        }
        all.retain(|record| {
            let taken = self.configured.contains(&folded(record.display_name.as_str()));
            if taken {
                warn!(server = %record.display_name, "a configured server has the same name; the registered one is not served");
            }
            !taken
        });
        Ok(all)
    }

    async fn contexts(&self, scope: &OrgScope) -> StoreResult<HashMap<ServerId, String>> {
        let mut all = HashMap::new();
        let mut after = None;
        loop {
            let page = self.connections.store().server_orgs().contexts(scope, after).await?;
            let Some(last) = page.last() else { return Ok(all) };
            after = Some(last.server);
            all.extend(page.into_iter().map(|one| (one.server, one.context.as_str().to_owned())));
        }
    }

    fn server(&self, scope: &OrgScope, org: &OrgId, record: RegisteredServer) -> Arc<Server> {
        let settings = Settings {
            name: record.display_name.clone(),
            org: Some(org.clone()),
            trust: TrustClass::ThirdParty,
            timeout: Duration::from_secs(self.limits.call_deadline_seconds),
            discovery_timeout: DISCOVERY_TIMEOUT,
            name_max: self.name_max,
            proxy: None,
            waits_for: None,
            note: None,
            lends: true,
        };
        let lending = Arc::new(Lending::new(self.connections.clone(), scope.clone(), record, self.generation.clone()));
        let server = Server::new(settings, Reach::Lent(lending.clone()), &self.limits);
        let watcher = tokio::spawn(server.clone().watch(self.changes.clone(), self.mask.clone()));
        *lending.watcher.lock() = Some(watcher.abort_handle());
        server
    }

    /// Offers what the rows say that the server has and the allowlist exposes; `true` when that is another offer than before.
    async fn offer(&self, scope: &OrgScope, server: &Arc<Server>, lending: &Lending, record: &RegisteredServer) -> StoreResult<bool> {
        let known = self.connections.store().servers().tools(scope, record.id).await?;
        let exposed = known.into_iter().filter(|tool| tool.present && lending.allows(&tool.name));
        let definitions: Vec<Json> = exposed.filter_map(|tool| Json::check(tool.definition.into(), &JsonLimits::RESULT).ok()).collect();
        lending.exposed.store(Arc::new(definitions));
        Ok(lending.offer(server, &self.mask))
    }

    /// Closes every way to every registered server.
    pub(crate) async fn close(&self) {
        for server in self.all() {
            server.close().await;
        }
    }
}
