//! `bailiwick serve`: the gateway behind its HTTP door, and how it stops.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bailiwick_gateway::{AnswerBody, Gateway};
use bailiwick_model::config::ShutdownConfig;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::exit::{Exit, Failure};
use crate::http::connect;
use crate::http::{Api, Door, Endpoint, Health, HttpLimits, Part, StopSwitch};
use crate::signals::{Ending, Signals};

/// How long an observation of the parts is told again: probes come often, and anybody may ask.
const HEALTH_KEPT_MAX: Duration = Duration::from_secs(1);

/// How long calls that were cut off may take to be written down.
const CUT_MAX: Duration = Duration::from_secs(2);

/// The gateway as the door sees it.
#[derive(Clone)]
pub(crate) struct Service {
    gateway: Gateway,
    /// Set first when the process is to stop: load balancers look elsewhere while calls are still taken.
    leaving: Arc<AtomicBool>,
    observed: Arc<Mutex<Option<(Instant, Health)>>>,
}

impl Service {
    pub(crate) fn new(gateway: Gateway) -> Self {
        Self { gateway, leaving: Arc::default(), observed: Arc::default() }
    }

    async fn observe(&self) -> Health {
        let found = self.gateway.health().await;
        let (servers, own): (Vec<_>, Vec<_>) = found.parts.into_iter().partition(|part| part.name.starts_with("server:"));
        let (unbound, own): (Vec<_>, Vec<_>) = own.into_iter().partition(|part| part.name.starts_with("arguments:"));
        // Names and details of servers are a tenant's business; here only how many there are.
        let failing = servers.iter().filter(|part| !part.ok).count();
        let counts = [
            ("servers", servers.len()),
            ("servers_failing", failing),
            ("agents_open", found.agents),
            ("agents_with_unbound_arguments", unbound.len()),
            ("modules", found.modules),
            ("modules_failing", found.modules_failing),
            ("modules_offline", found.modules_offline),
            ("tools", found.server_tools),
            ("calls_unrecorded", found.unrecorded),
        ];
        Health {
            ready: found.ready,
            degraded: failing > 0 || !unbound.is_empty() || found.modules_failing > 0 || found.unproven,
            parts: own.into_iter().map(|part| Part { name: part.name, ok: part.ok }).collect(),
            counts: counts.into_iter().map(|(name, count)| (name.to_owned(), count as u64)).collect(),
        }
    }
}

impl Endpoint for Service {
    type Answer = AnswerBody;

    fn mcp(&self, request: Request<Incoming>) -> impl Future<Output = Response<AnswerBody>> + Send {
        self.gateway.http(request)
    }

    fn resource_document(&self, path: &str) -> Option<String> {
        self.gateway.resource_document(path)
    }

    fn api(&self) -> Option<Api> {
        Api::of(&self.gateway)
    }

    async fn connect(&self, request: Request<Incoming>) -> Response<axum::body::Body> {
        match self.gateway.admit_anybody(&request) {
            Ok(()) => connect::answer(self.gateway.connections(), &self.gateway.page_operations(), &request).await,
            Err(denied) => connect::denied(&denied),
        }
    }

    async fn health(&self) -> Health {
        let mut observed = self.observed.lock().await;
        let kept = observed.as_ref().filter(|(at, _)| at.elapsed() < HEALTH_KEPT_MAX).map(|(_, health)| health.clone());
        let mut health = match kept {
            Some(health) => health,
            None => {
                let fresh = self.observe().await;
                *observed = Some((Instant::now(), fresh.clone()));
                fresh
            }
        };
        health.ready &= !self.leaving.load(Relaxed);
        health
    }
}

/// What a second signal does: what is recorded becomes durable, everything else is cut off.
pub(crate) async fn interrupted(gateway: &Gateway) -> Failure {
    gateway.flush_ledger().await;
    Failure::new(Exit::Interrupted, "interrupted by a second signal: the ledger is flushed, running calls are cut off")
}

/// A gateway that is being served.
pub(crate) struct Serving {
    service: Service,
    stop: StopSwitch,
    door: JoinHandle<()>,
}

impl Serving {
    /// Begins to accept connections.
    pub(crate) fn begin(gateway: Gateway, door: Door, path: String, limits: HttpLimits) -> Self {
        let (service, stop) = (Service::new(gateway), StopSwitch::default());
        let (endpoint, switch) = (service.clone(), stop.clone());
        let door = tokio::spawn(async move { door.serve(endpoint, &path, limits, switch).await });
        Self { service, stop, door }
    }

    /// The gateway behind the door.
    pub(crate) fn gateway(&self) -> &Gateway {
        &self.service.gateway
    }

    /// Serves until a signal comes, then stops in stages; a second signal only makes the ledger durable.
    ///
    /// # Errors
    /// [`Exit::Interrupted`] after a second signal.
    pub(crate) async fn until_signal(self, signals: &mut Signals, shutdown: ShutdownConfig) -> Result<(), Failure> {
        let ending = signals.next().await;
        tracing::info!(target: "ops", event = ending.event(), "stopping: no longer ready");
        let delay = match ending {
            Ending::Terminate => shutdown.ready_delay,
            // A person at a terminal: no load balancer has to notice.
            Ending::Interrupt => Duration::ZERO,
        };
        let gateway = self.service.gateway.clone();
        tokio::select! {
            () = self.stop(delay, shutdown.drain) => Ok(()),
            _ = signals.next() => Err(interrupted(&gateway).await),
        }
    }

    /// Stops: not ready, `delay`, no new connections, at most `drain` for what runs, then the rest.
    pub(crate) async fn stop(self, delay: Duration, drain: Duration) {
        let Self { service, stop, mut door } = self;
        service.leaving.store(true, Relaxed);
        tokio::time::sleep(delay).await;
        stop.drain();
        service.gateway.begin_stop();
        let began = Instant::now();
        if tokio::time::timeout(drain, &mut door).await.is_err() {
            tracing::warn!(target: "ops", event = "drain_over", "calls were still running; they are cut off");
            // Their clients see the connection close, the gateway sees them as cancelled and writes that down.
            stop.cut();
            let _ = tokio::time::timeout(CUT_MAX, door).await;
        }
        service.gateway.finish(drain.saturating_sub(began.elapsed()).max(CUT_MAX)).await;
        tracing::info!(target: "ops", event = "stopped", "stopped");
    }
}
