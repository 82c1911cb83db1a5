//! One agent's bailiwick: its manifest, its modules opened for it alone, the servers it was granted, its limits and its view.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bailiwick_model::ServerName;
use bailiwick_model::config::Limits;
use bailiwick_model::glob::Glob;
use bailiwick_model::manifest::Manifest;
use bailiwick_model::policy::Rules;
use bailiwick_store::AuditKey;

use crate::catalog::{Bindings, Origin, Stock, Tool, View, ViewSettings};
use crate::changes::Changes;
use crate::connections::OrgServers;
use crate::filters::Filters;
use crate::limits::Places;
use crate::lock::{Lock, SharedLock};
use crate::rates::Rates;
use crate::report::Report;
use crate::servers::Server;
use tokio::sync::Semaphore;
use tracing::warn;

static OWNERS: AtomicU64 = AtomicU64::new(1);

/// Resources that one agent's clients may watch, all together.
const WATCHES_MAX: usize = 200;
/// How long a first list waits for servers that have never been listed. A server that hangs longer joins later.
const FIRST_LIST_WAIT: Duration = Duration::from_secs(4);

/// What one agent may see and do.
pub(crate) struct Bailiwick {
    manifest: Arc<Manifest>,
    rules: Rules,
    house: Vec<Arc<Tool>>,
    roster: ArcSwap<Roster>,
    /// The organisation's registered servers, granted or not; others come and go.
    registered: OrgServers,
    changes: Arc<Changes>,
    rates: Rates,
    filters: Arc<Filters>,
    places: Places,
    view_tools_max: usize,
    page_items: usize,
    organisation: Arc<Places>,
    /// Places for streams that stand for themselves.
    streams: Arc<Semaphore>,
    watches: Arc<Semaphore>,
    audit_key: AuditKey,
    bindings: Bindings,
    /// Tools that are not served because their arguments cannot be bound, and rules that hold for no tool; by server.
    unbound: Lock<BTreeMap<Box<str>, Vec<Unbound>>>,
    approval: Approval,
    agent: String,
    /// Tells this agent's calls from all others' where servers are shared.
    owner: u64,
    view: ArcSwap<View>,
    /// The views of single servers, made when somebody asks for them.
    single: SharedLock<HashMap<ServerName, Arc<View>>>,
    building: Lock<()>,
}

/// What stands behind the agent's tools now; modules may join later.
#[derive(Clone, Default)]
struct Roster {
    module_tools: Vec<Arc<Tool>>,
    servers: Vec<Arc<Server>>,
    /// Entries of the manifest's `modules` that are opened, by number.
    opened: BTreeSet<usize>,
}

/// The parts that [`Bailiwick::new`] puts together.
pub(crate) struct Parts {
    pub(crate) manifest: Arc<Manifest>,
    /// Tools that the house gives to every agent.
    pub(crate) house: Vec<Arc<Tool>>,
    /// Servers of the gateway; those of the manifest join later.
    pub(crate) servers: Vec<Arc<Server>>,
    /// See [`OrgServers`].
    pub(crate) registered: OrgServers,
    pub(crate) changes: Arc<Changes>,
    pub(crate) limits: Limits,
    pub(crate) organisation: Arc<Places>,
    pub(crate) audit_key: AuditKey,
    /// Arguments that the manifest binds to this agent.
    pub(crate) bindings: Bindings,
    /// Who the views are for.
    pub(crate) agent: String,
}

/// Rules over arguments that could not be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unbound {
    /// A tool's own name, or a glob.
    pub(crate) tools: String,
    pub(crate) reason: String,
}

/// What an endpoint shows: everything the agent was granted, or one server under its own names.
pub(crate) type Lens = Option<ServerName>;

/// Why a call is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// It is recorded and never made.
    Shadow,
    /// A person has to agree first.
    Approval,
}

struct Approval {
    required: Vec<Glob>,
    shadow: Vec<Glob>,
}

impl Bailiwick {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { manifest, house, servers, registered, changes, limits, organisation, audit_key, bindings, agent } = parts;
        Self {
            rules: Rules::of(&manifest),
            rates: Rates::new(&manifest.rate_limits),
            streams: Arc::new(Semaphore::new(at_most(limits.streams_per_principal_max))),
            filters: Filters::of(&manifest, &limits),
            places: Places::new("principal", limits.in_flight_per_principal_max, &limits),
            view_tools_max: at_most(limits.tools_per_view_max),
            approval: Approval { required: manifest.hitl.approval_required.clone(), shadow: manifest.hitl.shadow.clone() },
            page_items: at_most(limits.list_page_items),
            view: ArcSwap::from_pointee(View::empty()),
            single: SharedLock::default(),
            agent,
            owner: OWNERS.fetch_add(1, Ordering::Relaxed),
            building: Lock::new(()),
            manifest,
            house,
            registered,
            roster: ArcSwap::from_pointee(Roster { servers, ..Roster::default() }),
            changes,
            organisation,
            watches: Arc::new(Semaphore::new(WATCHES_MAX)),
            audit_key,
            bindings,
            unbound: Lock::default(),
        }
    }

    /// From the next view on the agent has these tools as well.
    pub(crate) fn add_tools(&self, tools: Vec<Arc<Tool>>) {
        self.change(|roster| roster.module_tools.extend_from_slice(&tools));
    }

    /// The same with what this server offers.
    pub(crate) fn add_server(&self, server: Arc<Server>) {
        self.change(|roster| roster.servers.push(server.clone()));
    }

    /// Notes that entry `number` of the manifest's modules works.
    pub(crate) fn set_opened(&self, number: usize) {
        self.change(|roster| {
            roster.opened.insert(number);
        });
    }

    fn change(&self, change: impl Fn(&mut Roster)) {
        self.roster.rcu(|roster| {
            let mut roster = Roster::clone(roster);
            change(&mut roster);
            roster
        });
    }

    /// How the modules are.
    pub(crate) fn report(&self) -> Report {
        let roster = self.roster.load();
        let server =
            |key: &str| roster.servers.iter().find(|server| server.proxy_key().is_some_and(|own| **own == *key)).map(|server| &**server);
        Report::of(&self.manifest, |number| roster.opened.contains(&number), server)
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

    /// Largest binary block in a result of this tool; `None` = any.
    pub(crate) fn binary_bytes_max(&self, tool: &Tool) -> Option<usize> {
        let own = match tool.origin() {
            Origin::Server { server, .. } => server.binary_bytes_max(),
            Origin::Module { .. } | Origin::House { .. } => None,
        };
        own.unwrap_or(self.manifest.binary_bytes_max).map(|max| usize::try_from(max).unwrap_or(usize::MAX))
    }

    pub(crate) fn filters(&self) -> &Arc<Filters> {
        &self.filters
    }

    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    /// The places of the whole organisation.
    pub(crate) fn organisation(&self) -> &Places {
        &self.organisation
    }

    pub(crate) fn watches(&self) -> &Arc<Semaphore> {
        &self.watches
    }

    pub(crate) fn owner(&self) -> u64 {
        self.owner
    }

    pub(crate) fn streams(&self) -> &Arc<Semaphore> {
        &self.streams
    }

    /// The organisation's key for hashes on the ledger.
    pub(crate) fn audit_key(&self) -> &AuditKey {
        &self.audit_key
    }

    pub(crate) fn changes(&self) -> &Arc<Changes> {
        &self.changes
    }

    /// Whether `hitl` holds each call of this tool back.
    pub(crate) fn hold(&self, tool: &str) -> Option<Hold> {
        let among = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(tool));
        let shadow = || among(&self.approval.shadow).then_some(Hold::Shadow);
        shadow().or_else(|| among(&self.approval.required).then_some(Hold::Approval))
    }

    /// The view of this moment; built once for each generation of the catalog.
    pub(crate) async fn view(&self, lens: &Lens) -> Arc<View> {
        match self.ready(lens) {
            Some(view) => view,
            None => {
                Box::pin(self.first_discovery()).await;
                self.rebuild(lens)
            }
        }
    }

    /// The view of this moment, if it has been built.
    fn ready(&self, lens: &Lens) -> Option<Arc<View>> {
        let view = match lens {
            None => Some(self.view.load_full()),
            Some(server) => self.single.read().get(server).cloned(),
        };
        view.filter(|view| view.generation() == self.changes.generation())
    }

    /// Whether the agent was granted a server of this name, so that it has an endpoint of its own.
    pub(crate) fn has_server(&self, name: &ServerName) -> bool {
        self.servers().iter().any(|server| server.name() == name)
    }

    /// Every server that the agent was granted, as of now: those of the configuration and the manifest, then the registered ones by name.
    fn servers(&self) -> Vec<Arc<Server>> {
        let mut all = self.roster.load().servers.clone();
        let registered = self.registered.load();
        let granted = registered.iter().filter(|server| self.manifest.servers.iter().any(|grant| grant.name == *server.name()));
        let before = all.len();
        all.extend(granted.cloned());
        if let Some(registered) = all.get_mut(before..) {
            registered.sort_by(|a, b| a.name().cmp(b.name()));
        }
        all
    }

    async fn first_discovery(&self) {
        let servers = self.servers();
        let all = async {
            for server in servers.iter().filter(|server| !server.is_settled()) {
                server.settled().await;
            }
        };
        // Whoever is late appears with the next generation.
        let _ = tokio::time::timeout(FIRST_LIST_WAIT, all).await;
    }

    fn rebuild(&self, lens: &Lens) -> Arc<View> {
        let _one_at_a_time = self.building.lock();
        if let Some(view) = self.ready(lens) {
            return view;
        }
        let generation = self.changes.generation();
        let code = |text: &[u8]| self.audit_key.digest(text);
        let settings = ViewSettings {
            rules: &self.rules,
            code: &code,
            agent: &self.agent,
            tools_max: self.view_tools_max,
            page_items: self.page_items,
            transparent: lens.is_some(),
            doubled: self.manifest.compat.doubled_names,
        };
        let view = Arc::new(View::build(generation, &settings, self.stock(lens)));
        match lens {
            None => self.view.store(view.clone()),
            Some(server) => drop(self.single.write().insert(server.clone(), view.clone())),
        }
        view
    }

    fn stock(&self, lens: &Lens) -> Stock {
        let roster = self.roster.load();
        let mut stock = Stock::default();
        if lens.is_none() {
            // First, so that nothing else can be called like one of them.
            stock.tools = self.house.iter().chain(&roster.module_tools).cloned().collect();
        }
        let servers = self.servers();
        for server in servers.iter().filter(|server| lens.as_ref().is_none_or(|only| only == server.name())) {
            let offer = server.offer();
            self.bind(server, &offer.tools, &mut stock);
            stock.prompts.extend(offer.prompts.iter().cloned());
            stock.resources.extend(offer.resources.iter().cloned());
            stock.templates.extend(offer.templates.iter().cloned());
            stock.servers.push(server.clone());
        }
        stock
    }

    /// Puts the server's tools into the stock, each under the rules of this agent.
    fn bind(&self, server: &Server, tools: &[Arc<Tool>], stock: &mut Stock) {
        let source = server.source();
        if !self.bindings.concern(source) {
            stock.tools.extend(tools.iter().cloned());
            return;
        }
        let mut unbound = Vec::new();
        for tool in tools {
            match self.bindings.bind(tool) {
                Ok(bound) => stock.tools.push(bound),
                Err(reason) => {
                    unbound.push(Unbound { tools: tool.original().to_owned(), reason: format!("not served: {reason}") });
                    stock.withheld.push(tool.clone());
                }
            }
        }
        if !tools.is_empty() {
            let idle = |glob: &Glob| Unbound { tools: glob.to_string(), reason: "its rules match no tool of the server".into() };
            unbound.extend(self.bindings.idle(source, tools).map(idle));
        }
        self.note_unbound(source, unbound);
    }

    /// Tells operators once, and again when it becomes another.
    fn note_unbound(&self, source: &str, unbound: Vec<Unbound>) {
        let mut known = self.unbound.lock();
        if known.get(source).map_or(&[][..], Vec::as_slice) == unbound {
            return;
        }
        for Unbound { tools, reason } in &unbound {
            warn!(agent = %self.agent, server = source, %tools, %reason, "the manifest's `arguments` cannot be applied");
        }
        known.insert(source.into(), unbound);
    }

    /// Rules over arguments that cannot be applied now, in one line; `None` when all are.
    pub(crate) fn unbound(&self) -> Option<String> {
        let known = self.unbound.lock();
        let mut lines =
            known.iter().flat_map(|(source, all)| all.iter().map(move |one| format!("`{}` of `{source}`: {}", one.tools, one.reason)));
        let first = lines.next()?;
        let more = lines.count();
        Some(if more > 0 { format!("{first}; and {more} more") } else { first })
    }

    /// Who it is of: `TYPE/ID`.
    pub(crate) fn agent(&self) -> &str {
        &self.agent
    }
}

fn at_most(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(Semaphore::MAX_PERMITS)
}
