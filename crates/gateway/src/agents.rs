//! The bailiwicks of the agents that have called: opened at first use, kept while they are used.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_model::config::Limits;
use bailiwick_model::manifest::{Manifest, ModuleEntry};
use bailiwick_model::{AgentId, AgentType, OrgId, Sensitive};
use bailiwick_modules::{CredentialKey, Credentials, Host, ModuleKind, ModuleRegistry, ModuleSetup, ToolModule};
use bailiwick_store::{AuditKey, Scope, Store};
use secrecy::SecretString;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tracing::warn;

use crate::bailiwick::{Bailiwick, Parts};
use crate::catalog::{Tool, module_tools};
use crate::changes::Changes;
use crate::credentials::Sources;
use crate::gateway::OrganisationPlaces;
use crate::limits::Places;
use crate::lock::Lock;
use crate::mask::Mask;
use crate::memory::StoredMemory;
use crate::servers::{Server, Workshop};

/// Most bailiwicks held at once; beyond it the longest unused one is closed.
const AGENTS_MAX: usize = 10_000;

type Key = (OrgId, AgentId, AgentType);

/// What bailiwicks are opened with.
pub(crate) struct Agents {
    manifests: HashMap<AgentType, Arc<Manifest>>,
    modules: ModuleRegistry,
    servers: Vec<Arc<Server>>,
    workshop: Arc<Workshop>,
    sources: Sources,
    mask: Arc<Mask>,
    changes: Arc<Changes>,
    store: Store,
    /// The installation's own organisation.
    home: OrgId,
    limits: Limits,
    organisations: OrganisationPlaces,
    name_max: usize,
    open: Lock<HashMap<Key, Arc<Seat>>>,
}

/// One agent's place; opened once, however many calls come at the same time.
struct Seat {
    cell: OnceCell<Opened>,
    used: Lock<Instant>,
}

struct Opened {
    bailiwick: Arc<Bailiwick>,
    modules: Vec<Arc<dyn ToolModule>>,
    /// Watchers of the servers that the agent's own manifest names; they end with the seat.
    _watchers: JoinSet<()>,
    own_servers: Vec<Arc<Server>>,
}

/// The parts that [`Agents::new`] takes.
pub(crate) struct AgentsSetup {
    pub(crate) manifests: HashMap<AgentType, Arc<Manifest>>,
    pub(crate) modules: ModuleRegistry,
    pub(crate) servers: Vec<Arc<Server>>,
    pub(crate) workshop: Arc<Workshop>,
    pub(crate) sources: Sources,
    pub(crate) mask: Arc<Mask>,
    pub(crate) changes: Arc<Changes>,
    pub(crate) store: Store,
    pub(crate) home: OrgId,
    pub(crate) limits: Limits,
    pub(crate) organisations: OrganisationPlaces,
    pub(crate) name_max: usize,
}

impl Agents {
    pub(crate) fn new(setup: AgentsSetup) -> Self {
        let AgentsSetup { manifests, modules, servers, workshop, sources, mask, changes, store, home, limits, organisations, name_max } =
            setup;
        Self {
            manifests,
            modules,
            servers,
            workshop,
            sources,
            mask,
            changes,
            store,
            home,
            limits,
            organisations,
            name_max,
            open: Lock::default(),
        }
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
        let audit_key = self.store.audit_key(scope).await.map_err(|error| format!("{}; {}", error.message(), error.remedy()))?;
        let secrets = self.sources.read(&manifest.credentials, scope).await?;
        self.all_lent(&manifest, &secrets)?;
        let mut modules = Vec::new();
        let mut tools = Vec::new();
        let mut own_servers = Vec::new();
        for entry in &manifest.modules {
            if let Some(proxy) = &entry.proxy {
                let made = self.workshop.proxy(&entry.key, proxy, &|name| secrets.get(name).cloned());
                own_servers.push(made.map_err(|unfit| format!("module `{}`: {}; {}", entry.key, unfit.message, unfit.remedy))?);
                continue;
            }
            match self.open_module(scope, entry, &secrets).await {
                Ok(module) => {
                    let places = Arc::new(Places::new("module", self.limits.in_flight_per_module_max, &self.limits));
                    tools.extend(module_tools(&entry.key.as_str().into(), &module, &places, self.name_max));
                    modules.push(module);
                }
                Err(cause) if entry.optional => warn!(module = %entry.key, %cause, "optional module left out"),
                Err(cause) => return Err(format!("module `{}`: {cause}", entry.key)),
            }
        }
        Ok(self.assemble(scope, manifest, modules, tools, own_servers, audit_key))
    }

    fn assemble(
        &self,
        scope: &Scope,
        manifest: Arc<Manifest>,
        modules: Vec<Arc<dyn ToolModule>>,
        module_tools: Vec<Arc<Tool>>,
        own_servers: Vec<Arc<Server>>,
        audit_key: AuditKey,
    ) -> Opened {
        let mut watchers = JoinSet::new();
        for server in &own_servers {
            watchers.spawn(server.clone().watch(self.changes.clone(), self.mask.clone()));
        }
        let granted = self.servers.iter().filter(|s| s.serves(scope.org()) && manifest.servers.iter().any(|grant| grant.name == *s.name()));
        let servers = granted.chain(&own_servers).cloned().collect();
        let parts = Parts {
            manifest,
            module_tools,
            servers,
            changes: self.changes.clone(),
            limits: self.limits.clone(),
            organisation: self.organisations.of(scope.org()),
            audit_key,
            agent: format!("{}/{}", scope.agent_type(), scope.agent_id()),
        };
        Opened { bailiwick: Arc::new(Bailiwick::new(parts)), modules, _watchers: watchers, own_servers }
    }

    fn kind(&self, entry: &ModuleEntry) -> Result<&Arc<dyn ModuleKind>, String> {
        self.modules.get(&entry.kind).ok_or_else(|| format!("this build has no module `{}`", entry.kind))
    }

    /// Every missing credential of every module that has to start, in one message.
    fn all_lent(&self, manifest: &Manifest, secrets: &HashMap<String, Sensitive>) -> Result<(), String> {
        let mut missing = Vec::new();
        for entry in manifest.modules.iter().filter(|entry| !entry.optional && entry.proxy.is_none()) {
            let declared = self.kind(entry)?.credentials(&entry.config);
            let names = missing_credentials(&declared, entry, secrets);
            if !names.is_empty() {
                missing.push(format!("{} (module `{}`)", names.join(", "), entry.key));
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(format!("missing credentials: {}", missing.join("; "))) }
    }

    async fn open_module(
        &self,
        scope: &Scope,
        entry: &ModuleEntry,
        secrets: &HashMap<String, Sensitive>,
    ) -> Result<Arc<dyn ToolModule>, String> {
        let kind = self.kind(entry)?.clone();
        let credentials = lend(&kind.credentials(&entry.config), entry, secrets, &self.mask)?;
        let memory = Arc::new(StoredMemory::new(self.store.clone(), scope.clone(), &entry.key));
        let host = Host { egress: self.workshop.egress.clone(), secrets: self.mask.clone(), memory };
        let (scope, key, access, config) = (scope.clone(), entry.key.clone(), entry.access, entry.config.clone());
        let abroad = *scope.org() != self.home;
        // Opening touches the disk.
        let opened = tokio::task::spawn_blocking(move || {
            let setup = ModuleSetup {
                key: &key,
                org: abroad.then(|| scope.org()),
                agent_id: scope.agent_id(),
                agent_type: scope.agent_type(),
                access,
                config: &config,
                credentials: &credentials,
                host: &host,
            };
            kind.open(setup)
        });
        match opened.await {
            Ok(Ok(module)) => Ok(module),
            Ok(Err(fault)) => Err(fault.to_string()),
            Err(panicked) => Err(panicked.to_string()),
        }
    }

    /// Every tool of every opened agent, for counting.
    pub(crate) fn opened(&self) -> usize {
        self.open.lock().len()
    }

    /// Where credentials come from.
    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Closes modules and the servers that manifests named.
    pub(crate) async fn close(&self, limit: Duration) {
        self.sources.close();
        let seats: Vec<Arc<Seat>> = self.open.lock().drain().map(|(_, seat)| seat).collect();
        let closing = async {
            for opened in seats.iter().filter_map(|seat| seat.cell.get()) {
                for module in &opened.modules {
                    module.close().await;
                }
                for server in &opened.own_servers {
                    server.upstream().close().await;
                }
            }
        };
        if tokio::time::timeout(limit, closing).await.is_err() {
            warn!("modules did not close in time");
        }
    }
}

/// The name under which the source has the credential that the module calls `name`.
fn source_name<'a>(entry: &'a ModuleEntry, name: &'a str) -> &'a str {
    entry.credential_map.get(name).map_or(name, String::as_str)
}

/// An empty value counts as missing.
fn value<'a>(secrets: &'a HashMap<String, Sensitive>, name: &str) -> Option<&'a Sensitive> {
    secrets.get(name).filter(|value| !value.expose().is_empty())
}

fn missing_credentials<'a>(declared: &'a [CredentialKey], entry: &'a ModuleEntry, secrets: &HashMap<String, Sensitive>) -> Vec<&'a str> {
    let needed = declared.iter().filter(|key| key.required).map(|key| source_name(entry, &key.name));
    needed.filter(|name| value(secrets, name).is_none()).collect()
}

/// Hands over the credentials that the kind declares, masked from now on, under the names of the manifest's `credential_map`; names all missing ones.
fn lend(declared: &[CredentialKey], entry: &ModuleEntry, secrets: &HashMap<String, Sensitive>, mask: &Mask) -> Result<Credentials, String> {
    let missing = missing_credentials(declared, entry, secrets);
    if !missing.is_empty() {
        return Err(format!("missing credentials: {}", missing.join(", ")));
    }
    let lent: Vec<(&str, &Sensitive)> =
        declared.iter().filter_map(|key| Some((key.name.as_ref(), value(secrets, source_name(entry, &key.name))?))).collect();
    mask.learn(lent.iter().map(|(_, value)| value.expose()));
    Ok(lent.into_iter().map(|(name, value)| (name.to_owned(), SecretString::from(value.expose()))).collect())
}
