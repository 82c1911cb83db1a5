//! The life of one upstream: opened by the first request, opened again when it is lost, never by two at once.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::backoff::{Admission, Backoff};
use super::cancel::Cancel;
use super::fault::{FaultKind, UpstreamFault};
use super::handshake::{Handshake, Plan, Session, Wire};
use super::http::HttpWire;
use super::logging::{self, Verbosity};
use super::notice::{Notice, Notices};
use super::options::{Options, Probe, StdioCommand};
use super::status::{Status, UpstreamState};
use super::stdio::Pipe;
use super::subscriptions::Subscriptions;

/// A request waits this long for the next attempt; otherwise it fails at once.
const RESTART_WAIT_MAX: Duration = Duration::from_secs(1);
/// How often one request takes part in opening: its own attempt, and one more when the server is lost in between.
const TURNS_MAX: usize = 4;

/// What stays the same over all openings.
pub(super) enum Transport {
    Http(Arc<HttpWire>),
    Stdio(StdioCommand),
}

/// Everything behind an `Upstream`.
pub(super) struct Inner {
    transport: Transport,
    pub(super) options: Options,
    pub(super) notices: Notices,
    pub(super) verbosity: Verbosity,
    pub(super) subscriptions: Subscriptions,
    ids: Arc<AtomicU64>,
    pub(super) in_flight: AtomicUsize,
    pub(super) tools_cut: AtomicBool,
    /// The session that is ready, for those who live beside the requests.
    pub(super) ready: watch::Sender<Option<Arc<Session>>>,
    pub(super) listening: AtomicBool,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    backoff: Backoff,
    known: Option<Arc<Probe>>,
    opened: u64,
    last_error: Option<String>,
    /// Since when it has not been ready, while it is failing.
    failing_since: Option<Instant>,
}

enum Phase {
    Idle,
    Opening { outcome: watch::Receiver<Outcome>, task: AbortHandle },
    Ready(Arc<Session>),
    Failing(UpstreamFault),
    Closed,
}

type Outcome = Option<Result<Arc<Session>, UpstreamFault>>;

/// What a request has to do before it can be sent.
enum Step {
    Go(Arc<Session>),
    Wait(watch::Receiver<Outcome>),
    Sleep(Instant),
    Fail(UpstreamFault),
}

impl Inner {
    pub(super) fn new(transport: Transport, options: Options, notices: Notices) -> Arc<Self> {
        let limited = matches!(transport, Transport::Stdio(_));
        let state = State {
            phase: Phase::Idle,
            backoff: Backoff::new(limited, options.jitter_seed),
            known: options.known.clone().map(Arc::new),
            opened: 0,
            last_error: None,
            failing_since: None,
        };
        Arc::new(Self {
            transport,
            options,
            notices,
            verbosity: Verbosity::default(),
            subscriptions: Subscriptions::default(),
            ids: Arc::new(AtomicU64::new(1)),
            in_flight: AtomicUsize::new(0),
            tools_cut: AtomicBool::new(false),
            ready: watch::Sender::new(None),
            listening: AtomicBool::new(false),
            state: Mutex::new(state),
        })
    }

    pub(super) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Gives each request its own id.
    pub(super) fn ids(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.ids)
    }

    /// A session that is ready, opened now if need be.
    pub(super) async fn session(self: &Arc<Self>, deadline: Instant, cancel: &Cancel) -> Result<Arc<Session>, UpstreamFault> {
        for _ in 0..TURNS_MAX {
            match self.step(Instant::now(), deadline) {
                Step::Go(session) => return Ok(session),
                Step::Fail(fault) => return Err(fault),
                Step::Sleep(at) => tokio::select! {
                    () = sleep_until(at) => {}
                    () = cancel.cancelled() => return Err(UpstreamFault::unsent(FaultKind::Cancelled, "cancelled by the caller")),
                },
                Step::Wait(outcome) => return await_opening(outcome, deadline, cancel).await,
            }
        }
        Err(UpstreamFault::unsent(FaultKind::Unreachable, "the server is lost as soon as it is open"))
    }

    fn step(self: &Arc<Self>, now: Instant, deadline: Instant) -> Step {
        let mut state = self.state();
        state.notice_end(now);
        match &state.phase {
            Phase::Ready(session) => return Step::Go(Arc::clone(session)),
            Phase::Opening { outcome, .. } => return Step::Wait(outcome.clone()),
            Phase::Closed => return Step::Fail(UpstreamFault::unsent(FaultKind::Closed, "the upstream is closed")),
            Phase::Idle | Phase::Failing(_) => {}
        }
        match state.backoff.admit(now) {
            Admission::Now => Step::Wait(self.begin(&mut state)),
            Admission::At(at) if at <= deadline.min(now + RESTART_WAIT_MAX) => Step::Sleep(at),
            Admission::At(at) => Step::Fail(state.not_yet(at - now, "is failing")),
            Admission::Exhausted(at) => Step::Fail(state.not_yet(at - now, "has failed too often")),
        }
    }

    /// Opens in a task of its own: the opening must not end with the patience of the request that happened to be first.
    fn begin(self: &Arc<Self>, state: &mut State) -> watch::Receiver<Outcome> {
        let (word, outcome) = watch::channel(None);
        let plan = Plan::new(self.options.era, state.known.as_deref());
        let inner = Arc::clone(self);
        let task = tokio::spawn(async move {
            let opened = inner.open(plan).await.map(Arc::new);
            inner.finish(&opened);
            word.send_replace(Some(opened));
        });
        state.phase = Phase::Opening { outcome: outcome.clone(), task: task.abort_handle() };
        outcome
    }

    async fn open(&self, plan: Plan) -> Result<Session, UpstreamFault> {
        let deadline = Instant::now() + self.options.open_deadline;
        let probing = matches!(plan, Plan::Detect);
        let opened = self.open_once(plan, deadline).await;
        match &opened {
            // Some older servers end when they hear anything but `initialize` first.
            Err(UpstreamFault { kind: FaultKind::Closed, .. }) if probing && matches!(self.transport, Transport::Stdio(_)) => {
                self.open_once(Plan::Initialize(crate::revision::Revision::NEWEST_LEGACY), deadline).await
            }
            _ => opened,
        }
    }

    async fn open_once(&self, plan: Plan, deadline: Instant) -> Result<Session, UpstreamFault> {
        let wire = match &self.transport {
            Transport::Http(wire) => Wire::Http(Arc::clone(wire)),
            Transport::Stdio(command) => {
                self.state().backoff.started(Instant::now());
                Wire::Stdio(Arc::new(Pipe::start(command, &self.options, self.notices.clone())?))
            }
        };
        let next_id = || self.next_id();
        let handshake = Handshake { wire, options: &self.options, next_id: &next_id, deadline };
        let late =
            || UpstreamFault::unsent(FaultKind::Timeout, format!("not open within {:.1} s", self.options.open_deadline.as_secs_f32()));
        let opening = async {
            let session = handshake.run(plan).await?;
            logging::restore(self, &session).await;
            Ok(session)
        };
        timeout_at(deadline, opening).await.unwrap_or_else(|_| Err(late()))
    }

    fn finish(&self, opened: &Result<Arc<Session>, UpstreamFault>) {
        let mut state = self.state();
        if matches!(state.phase, Phase::Closed) {
            return;
        }
        match opened {
            Ok(session) => {
                state.known = Some(Arc::clone(&session.probe));
                state.phase = Phase::Ready(Arc::clone(session));
                self.ready.send_replace(Some(Arc::clone(session)));
                state.backoff.succeeded();
                state.failing_since = None;
                state.opened += 1;
                if state.opened > 1 {
                    self.notices.tell(Notice::Reopened);
                }
            }
            Err(fault) => state.fail(Instant::now(), Duration::ZERO, fault.clone()),
        }
    }

    /// The server no longer knows this session, or no longer speaks as it did: the next request opens it anew.
    pub(super) fn forget(&self, session: &Arc<Session>) {
        let mut state = self.state();
        if matches!(&state.phase, Phase::Ready(current) if Arc::ptr_eq(current, session)) {
            state.phase = Phase::Idle;
            self.ready.send_replace(None);
            if session.dialect.is_modern() {
                state.known = None;
            }
        }
    }

    pub(super) fn note(&self, fault: &UpstreamFault) {
        if !matches!(fault.kind, FaultKind::Cancelled | FaultKind::Rpc(_)) {
            self.state().last_error = Some(fault.detail.clone());
        }
    }

    pub(super) fn forgive(&self) {
        self.state().backoff.forgive();
    }

    pub(super) fn status(&self) -> Status {
        let now = Instant::now();
        let mut state = self.state();
        state.notice_end(now);
        Status {
            state: state.describe(now),
            probe: state.known.clone(),
            restarts: state.opened.saturating_sub(1),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            last_error: state.last_error.clone(),
            tools_cut: self.tools_cut.load(Ordering::Relaxed),
        }
    }

    /// The child's last words, when there is a child.
    pub(super) fn last_words(&self) -> Option<String> {
        match &self.state().phase {
            Phase::Ready(session) => match &session.wire {
                Wire::Stdio(pipe) => Some(pipe.last_words()),
                Wire::Http(_) => None,
            },
            _ => None,
        }
    }

    pub(super) async fn close(&self) {
        let phase = std::mem::replace(&mut self.state().phase, Phase::Closed);
        self.ready.send_replace(None);
        match phase {
            Phase::Opening { outcome, task } => {
                // Aborted, it drops what it had started; the child is then stopped by its own supervisor.
                task.abort();
                drop(outcome);
            }
            Phase::Ready(session) => {
                if let Wire::Stdio(pipe) = &session.wire {
                    pipe.close().await;
                }
            }
            Phase::Idle | Phase::Failing(_) | Phase::Closed => {}
        }
        if let Transport::Http(wire) = &self.transport {
            wire.close();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A child may have ended since somebody looked.
    fn notice_end(&mut self, now: Instant) {
        let Phase::Ready(session) = &self.phase else { return };
        let Some(reason) = session.ended() else { return };
        let up = now.duration_since(session.since);
        self.fail(now, up, UpstreamFault::unsent(FaultKind::Closed, reason.to_string()));
    }

    fn fail(&mut self, now: Instant, up: Duration, fault: UpstreamFault) {
        self.backoff.failed(now, up);
        self.last_error = Some(fault.detail.clone());
        self.failing_since.get_or_insert(now);
        self.phase = Phase::Failing(fault);
    }

    /// The fault of a request that comes before the next attempt.
    fn not_yet(&self, wait: Duration, what: &str) -> UpstreamFault {
        let reason = self.last_error.as_deref().unwrap_or("no reason is known");
        let kind = match &self.phase {
            Phase::Failing(UpstreamFault { kind: kind @ (FaultKind::Auth(_) | FaultKind::Refused(_)), .. }) => kind.clone(),
            _ => FaultKind::Unreachable,
        };
        UpstreamFault::unsent(kind, format!("the server {what} and is tried again in {:.1} s: {reason}", wait.as_secs_f32()))
    }

    fn describe(&mut self, now: Instant) -> UpstreamState {
        let reason = match &self.phase {
            Phase::Idle => return UpstreamState::Idle,
            Phase::Opening { .. } => return UpstreamState::Opening,
            Phase::Ready(_) => return UpstreamState::Ready,
            Phase::Closed => return UpstreamState::Closed,
            Phase::Failing(fault) => fault.detail.clone(),
        };
        let since = self.failing_since.map_or(Duration::ZERO, |since| now.duration_since(since));
        match self.backoff.admit(now) {
            Admission::Now => UpstreamState::Failing { since, reason, next_try: Duration::ZERO },
            Admission::At(at) => UpstreamState::Failing { since, reason, next_try: at - now },
            Admission::Exhausted(at) => UpstreamState::Failed { since, reason, next_try: at - now },
        }
    }
}

async fn await_opening(mut outcome: watch::Receiver<Outcome>, deadline: Instant, cancel: &Cancel) -> Result<Arc<Session>, UpstreamFault> {
    let opened = async {
        match outcome.wait_for(Option::is_some).await {
            Ok(opened) => opened.clone(),
            Err(_) => None,
        }
    };
    tokio::select! {
        opened = timeout_at(deadline, opened) => match opened {
            Ok(Some(Ok(session))) => Ok(session),
            // Nothing of this request has been sent, whatever the handshake did.
            Ok(Some(Err(fault))) => Err(UpstreamFault { sent: false, ..fault }),
            Ok(None) => Err(UpstreamFault::unsent(FaultKind::Closed, "the upstream is closed")),
            Err(_) => Err(UpstreamFault::unsent(FaultKind::Timeout, "the server was not open in time")),
        },
        () = cancel.cancelled() => Err(UpstreamFault::unsent(FaultKind::Cancelled, "cancelled by the caller")),
    }
}
