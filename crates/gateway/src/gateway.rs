//! The gateway of one process: what it holds, how it starts and how it stops.

mod background;
mod start;

pub use start::{LoadedManifest, Setup, StartFault};
pub(crate) use start::{oauth_profiles, oauth_settings, public_fault};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_mcp::Frame;
use bailiwick_mcp::http_rules::HostRules;
use bailiwick_model::config::{AuditMode, Config, Limits};
use bailiwick_model::time::{Clock, Random};
use bailiwick_model::{AgentId, AgentType, EventId, OrgId, Timestamp};
use bailiwick_store::ledger::{Durability, Entry, Ledger, Span};
use bailiwick_store::{Keyring, Scope, Store, StoreResult};
use bytes::Bytes;
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::agents::Agents;
use crate::asking::Asking;
use crate::bailiwick::Bailiwick;
use crate::body::AnswerBody;
use crate::call::authenticate::{self, Caller, Callers};
use crate::call::decode::Story;
use crate::call::record;
use crate::call_log::CallLog;
use crate::catalog::Tool;
use crate::connections::{Connections, Roster};
use crate::fault::HttpFault;
use crate::house::{CallSink, House, Identity, ScopeResolver};
use crate::inflight::Inflight;
use crate::limits::Places;
use crate::lock::{Lock, SharedLock};
use crate::mask::Mask;
use crate::operations::{Operations, OperationsSetup};
use crate::peer::{self, Peer};
use crate::replay::Streams;
use crate::report::Report;
use crate::servers::Server;
use crate::single::{Burst, Single};
use crate::spool::Spool;
use crate::tokens::Tokens;
use crate::window::Window;
use crate::{call_log, exchange};

/// Refused credentials that are recorded in one second; the rest is counted, so that a flood cannot fill the ledger.
const AUTH_EVENTS_PER_SECOND_MAX: usize = 10;
/// Looks into the database for keys that are not known yet, in one second.
const KEY_LOOKS_PER_SECOND_MAX: usize = 5;
/// Calls in flight that the stop waits for are counted with this many permits.
const CALLS_MAX: u32 = 1 << 20;

/// The limits of a request, read once from the configuration.
pub(crate) struct RequestLimits {
    /// Size, depth and tokens of one message.
    pub(crate) message: bailiwick_mcp::Limits,
    pub(crate) result_bytes_max: usize,
    pub(crate) result_text_bytes_max: usize,
    pub(crate) body_read: Duration,
    pub(crate) module_deadline: Duration,
}

/// A running gateway. Clones share it.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    config: Config,
    limits: RequestLimits,
    store: Store,
    ledger: Ledger,
    spool: Arc<Spool>,
    keyring: Keyring,
    agents: Agents,
    house: Arc<House>,
    servers: Vec<Arc<Server>>,
    registered: Arc<Roster>,
    host_rules: HostRules,
    mask: Arc<Mask>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    call_log: Option<Arc<dyn CallLog>>,
    scopes: Option<Arc<dyn ScopeResolver>>,
    calls_heard: Option<Arc<dyn CallSink>>,
    /// Whom a caller without credential acts as (`auth: none`).
    open_agent: Option<Scope>,
    /// The only agent, and its token.
    single: Option<Single>,
    /// Issuers whose tokens are accepted beside keys.
    tokens: Option<Tokens>,
    bursts: Lock<Burst>,
    inflight: Inflight,
    asking: Arc<Asking>,
    streams: Arc<Streams>,
    callers: Callers,
    calls: Arc<Semaphore>,
    stopping: watch::Sender<bool>,
    auth_events: Lock<Window>,
    key_looks: Lock<Window>,
    tasks: Lock<JoinSet<()>>,
}

impl Gateway {
    /// Answers one request at the MCP endpoint, whatever its method; every refusal is an answer too.
    pub async fn http<B>(&self, request: http::Request<B>) -> http::Response<AnswerBody>
    where
        B: http_body::Body<Data = Bytes> + Send,
    {
        exchange::http(self, request).await
    }

    /// Takes one line of a stdio client; `None` for notifications and responses. The line is read and has its effect on the
    /// conversation when this is called, so lines must be given in their order; the answers may be awaited in any.
    pub fn line(&self, peer: &Arc<Peer>, line: Bytes) -> impl Future<Output = Option<Frame>> + Send + use<> {
        peer::line(self, peer, line)
    }

    /// The caller of a stdio door: its identity comes from the launch configuration.
    ///
    /// # Errors
    /// When the agent's manifest or one of its modules cannot be opened.
    pub async fn local_agent(&self, agent_id: &AgentId, agent_type: &AgentType) -> Result<Arc<Caller>, StartFault> {
        let who = Identity { sub: None, email: None, agent_id: agent_id.clone(), agent_type: agent_type.clone() };
        let org = self.org_of(&who, &self.0.config.org).await?;
        let org = org
            .ok_or_else(|| StartFault::new("the agent acts in no organisation", "look at what the program's scope resolver says of it"))?;
        let scope = self.0.store.launch(&org, agent_id, agent_type).await?;
        authenticate::local(self, scope)
            .await
            .map_err(|message| StartFault::new(message, "correct the manifest; `bailiwick validate` shows every mistake"))
    }

    /// In which organisation somebody acts: as the program's own resolver says, else in `default`.
    pub(crate) async fn org_of(&self, who: &Identity, default: &OrgId) -> StoreResult<Option<OrgId>> {
        match &self.0.scopes {
            Some(scopes) => scopes.org(who).await,
            None => Ok(Some(default.clone())),
        }
    }

    /// From now on `/readyz` says no and new calls are refused.
    pub fn begin_stop(&self) {
        self.0.stopping.send_replace(true);
    }

    /// Waits for running calls and for their ends to be recorded, closes modules and servers, and makes the ledger whole. All running
    /// calls together may take `drain`.
    pub async fn finish(&self, drain: Duration) {
        self.begin_stop();
        let end = Instant::now() + drain;
        if tokio::time::timeout(drain, self.0.calls.acquire_many(CALLS_MAX)).await.is_err() {
            warn!("calls were still running when the time to stop was over");
        }
        let unrecorded = self.0.spool.drain(end.saturating_duration_since(Instant::now())).await;
        if unrecorded > 0 {
            warn!(unrecorded, "the ledger did not take the ends of these calls; the next start closes them as indeterminate");
        }
        let mut tasks = std::mem::take(&mut *self.0.tasks.lock());
        tasks.shutdown().await;
        if let Err(cause) = self.0.keyring.write_uses().await {
            warn!(%cause, "the time of last use of keys is not written");
        }
        self.0.agents.close(drain).await;
        futures_close(&self.0.servers).await;
        self.0.registered.close().await;
        if let Err(cause) = self.0.ledger.close().await {
            warn!(%cause, "the ledger could not be closed cleanly");
        }
        self.0.store.close().await;
    }

    /// Only makes what has been recorded durable; for a second stop signal.
    pub async fn flush_ledger(&self) {
        if let Err(cause) = self.0.ledger.flush().await {
            warn!(%cause, "not everything could be saved");
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.0.stopping.borrow()
    }

    /// Becomes true when the gateway begins to stop.
    pub(crate) fn stop_signal(&self) -> watch::Receiver<bool> {
        self.0.stopping.subscribe()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    pub(crate) fn random(&self) -> &dyn Random {
        self.0.random.as_ref()
    }

    pub(crate) fn limits(&self) -> &RequestLimits {
        &self.0.limits
    }

    pub(crate) fn asking(&self) -> &Arc<Asking> {
        &self.0.asking
    }

    /// The streams of older sessions that are kept for a while.
    pub(crate) fn streams(&self) -> &Arc<Streams> {
        &self.0.streams
    }

    pub(crate) fn mask(&self) -> &Arc<Mask> {
        &self.0.mask
    }

    /// What people do on the pages of this gateway, also where there is nothing to manage.
    #[must_use]
    pub fn page_operations(&self) -> Operations {
        self.make_operations()
    }

    pub(crate) fn make_operations(&self) -> Operations {
        Operations::new(OperationsSetup {
            store: self.0.store.clone(),
            ledger: Some(self.0.ledger.clone()),
            rules: self.0.house.instructions().map(|config| config.rules.clone()).unwrap_or_default(),
            idle: self.0.house.runs().copied().unwrap_or_default().idle,
            tools: Some(Arc::new(self.clone())),
            connections: self.connections().clone(),
            clock: self.0.clock.clone(),
            random: self.0.random.clone(),
        })
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn keyring(&self) -> &Keyring {
        &self.0.keyring
    }

    pub(crate) fn host_rules(&self) -> &HostRules {
        &self.0.host_rules
    }

    pub(crate) fn inflight(&self) -> &Inflight {
        &self.0.inflight
    }

    pub(crate) fn callers(&self) -> &Callers {
        &self.0.callers
    }

    pub(crate) fn open_agent(&self) -> Option<&Scope> {
        self.0.open_agent.as_ref()
    }

    /// The only agent of this gateway, if there is but one.
    pub(crate) fn single(&self) -> Option<&Single> {
        self.0.single.as_ref()
    }

    /// The issuers whose tokens are accepted, if there are any.
    pub(crate) fn tokens(&self) -> Option<&Tokens> {
        self.0.tokens.as_ref()
    }

    /// The document at a path below `/.well-known/oauth-protected-resource` that tells clients where tokens for an endpoint come from
    /// (RFC 9728); `None` where there is no such endpoint, or no issuer.
    #[must_use]
    pub fn resource_document(&self, path: &str) -> Option<String> {
        self.tokens()?.resource().document(path)
    }

    pub(crate) fn servers(&self) -> &[Arc<Server>] {
        &self.0.servers
    }

    /// Connections to registered servers.
    #[must_use]
    pub fn connections(&self) -> &Connections {
        self.0.registered.connections()
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    pub(crate) fn house(&self) -> &Arc<House> {
        &self.0.house
    }

    pub(crate) fn agents(&self) -> &Agents {
        &self.0.agents
    }

    pub(crate) fn module_reports(&self) -> Vec<Report> {
        self.0.agents.reports()
    }

    /// How the modules of `caller` are: `modules`, `failed_count`, `total_count`, `healthy` and more, as scoped-mcp has it; no address,
    /// path or message.
    #[must_use]
    pub fn module_report(&self, caller: &Caller) -> serde_json::Value {
        caller.bailiwick().report().to_value()
    }

    /// Resolves when something about tools, modules or servers may have changed since `seen`; gives what to bring next time.
    pub async fn changed(&self, caller: &Caller, seen: u64) -> u64 {
        let mut generation = caller.bailiwick().changes().subscribe();
        let waited = generation.wait_for(|generation| *generation != seen).await.map(|generation| *generation);
        match waited {
            Ok(generation) => generation,
            Err(_) => std::future::pending().await,
        }
    }

    /// Tells a stdio client of an older revision when its list of tools changes, until the client is gone.
    pub async fn announce_changes(&self, peer: Arc<Peer>) {
        peer::announce_changes(self, peer).await;
    }

    /// Counts a call that the stop has to wait for; `None` when there are absurdly many.
    pub(crate) fn enter_call(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        self.0.calls.clone().try_acquire_owned().ok()
    }

    pub(crate) async fn bailiwick(&self, scope: &Scope) -> Result<Arc<Bailiwick>, String> {
        self.0.agents.get(scope).await
    }

    pub(crate) fn spool(&self) -> &Arc<Spool> {
        &self.0.spool
    }

    pub(crate) fn audit_mode(&self) -> AuditMode {
        self.0.config.audit.mode
    }

    pub(crate) fn log_call(&self, story: &Story, tool: Option<&Arc<Tool>>, status: &record::Status) {
        if let Some(log) = &self.0.call_log {
            call_log::lines(&self.0.mask, story, tool, status).iter().for_each(|line| log.line(line));
        }
        if let Some(heard) = &self.0.calls_heard {
            heard.call(&record::row(&self.0.mask, story, tool, status));
        }
    }

    /// Whether an unknown key may be looked for in the database now; see [`KEY_LOOKS_PER_SECOND_MAX`].
    pub(crate) fn may_look_for_key(&self) -> bool {
        let now = Instant::now();
        let mut window = self.0.key_looks.lock();
        let free = window.wait(now).is_none();
        if free {
            window.count(now);
        }
        free
    }

    /// Records a refused credential, at most [`AUTH_EVENTS_PER_SECOND_MAX`] a second.
    pub(crate) fn note_auth_failure(&self, fault: &HttpFault) {
        let (status, now) = (fault.status(), Instant::now());
        let mut body = json!({"kind": "auth", "status": "denied", "http": status.as_u16()});
        if let Some(cause) = fault.cause() {
            let token = cause.fingerprint.to_string();
            debug!(reason = cause.reason, token, "a credential is refused");
            body["reason"] = json!(cause.reason);
            body["token"] = json!(token);
        }
        if status == http::StatusCode::UNAUTHORIZED
            && let Some(count_in_window) = self.0.bursts.lock().note(now)
        {
            let agent_id = self.0.single.as_ref().map(|single| single.scope.agent_id().as_str());
            warn!(target: "ops", event = "bearer_auth_401_burst", agent_id, count_in_window, window_seconds = 60, "a client has no valid credential");
        }
        let mut window = self.0.auth_events.lock();
        if window.wait(now).is_some() {
            return;
        }
        window.count(now);
        drop(window);
        let now = self.now();
        let event = EventId::fresh(now, self.random());
        body["at"] = json!(now.as_micros());
        let entry = Entry { bytes: body.to_string().into_bytes(), durability: Durability::Process, span: Span::Event(event), row: None };
        let append = self.ledger().append(entry);
        tokio::spawn(async move {
            if let Err(cause) = append.await {
                warn!(%cause, "a refused credential is not on the ledger");
            }
        });
    }
}

async fn futures_close(servers: &[Arc<Server>]) {
    let mut closing = JoinSet::new();
    for server in servers {
        let server = server.clone();
        closing.spawn(async move { server.close().await });
    }
    while closing.join_next().await.is_some() {}
}

/// The places of organisations, made when an organisation first calls.
pub(crate) struct OrganisationPlaces {
    limits: Limits,
    places: SharedLock<BTreeMap<OrgId, Arc<Places>>>,
}

impl OrganisationPlaces {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { limits: limits.clone(), places: SharedLock::default() }
    }

    pub(crate) fn of(&self, org: &OrgId) -> Arc<Places> {
        if let Some(places) = self.places.read().get(org) {
            return places.clone();
        }
        let fresh = || Arc::new(Places::new("organisation", self.limits.in_flight_per_org_max, &self.limits));
        self.places.write().entry(org.clone()).or_insert_with(fresh).clone()
    }
}
