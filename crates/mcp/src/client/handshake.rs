//! Opening a server: which era it speaks (reference, protocol section 4.2), and what it says of itself.

mod judge;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

use self::judge::{Verdict, judge};
use super::ask::{Ask, Reply};
use super::cancel::Cancel;
use super::compose::Draft;
use super::dialect::Dialect;
use super::fault::{FaultKind, UpstreamFault, excerpt};
use super::http::HttpWire;
use super::options::{EraSetting, Options, Probe};
use super::stdio::Pipe;
use crate::json::Json;
use crate::meta::LogLevel;
use crate::revision::{Era, Revision};

/// Turns of the probe; one for each modern revision that both sides could have in common, and one more.
const PROBES_MAX: usize = 3;

/// What carries the messages.
#[derive(Clone)]
pub(crate) enum Wire {
    Http(Arc<HttpWire>),
    Stdio(Arc<Pipe>),
}

impl Wire {
    pub(crate) async fn ask(&self, ask: &Ask<'_>) -> Result<Reply, UpstreamFault> {
        match self {
            Self::Http(wire) => wire.ask(ask).await,
            Self::Stdio(pipe) => pipe.ask(ask).await,
        }
    }

    async fn notify(&self, ask: &Ask<'_>) -> Result<(), UpstreamFault> {
        match self {
            Self::Http(wire) => wire.notify(ask).await,
            Self::Stdio(pipe) => pipe.notify(ask).await,
        }
    }

    fn headers(&self) -> HeaderMap {
        match self {
            Self::Http(wire) => wire.headers(),
            Self::Stdio(_) => HeaderMap::new(),
        }
    }

    fn is_stdio(&self) -> bool {
        matches!(self, Self::Stdio(_))
    }
}

/// A server that is ready for requests.
pub(crate) struct Session {
    pub(crate) wire: Wire,
    pub(crate) dialect: Dialect,
    pub(crate) probe: Arc<Probe>,
    pub(crate) since: Instant,
    /// Legacy: the level of log messages that was asked for, held while it is being asked for.
    pub(crate) log_level: tokio::sync::Mutex<Option<LogLevel>>,
    /// Legacy: the resources that were subscribed to.
    pub(crate) subscribed: Mutex<HashSet<Arc<str>>>,
}

impl Session {
    /// Why it is of no use any more, if so.
    pub(crate) fn ended(&self) -> Option<Arc<str>> {
        match &self.wire {
            Wire::Http(_) => None,
            Wire::Stdio(pipe) => pipe.ended(),
        }
    }
}

/// How to begin.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    /// Nothing is known, or what was known holds no more.
    Detect,
    /// The modern era or nothing.
    Discover(Revision),
    /// `initialize`, and nothing else.
    Initialize(Revision),
    /// `initialize` as it worked before; if it does not work any more, find out.
    Resume(Revision),
    /// As it was before; the modern era needs no opening.
    Keep(Box<Probe>),
}

impl Plan {
    /// `known` counts only where it does not contradict the setting.
    pub(crate) fn new(era: EraSetting, known: Option<&Probe>) -> Self {
        let modern = known.filter(|known| known.revision.era() == Era::Modern);
        match (era, known, modern) {
            (EraSetting::Auto | EraSetting::Modern, _, Some(known)) => Self::Keep(Box::new(known.clone())),
            (EraSetting::Revision(wanted), _, Some(known)) if wanted == known.revision => Self::Keep(Box::new(known.clone())),
            (EraSetting::Auto, Some(known), None) => Self::Resume(known.revision),
            (EraSetting::Auto, None, None) => Self::Detect,
            (EraSetting::Legacy, _, _) => Self::Initialize(Revision::NEWEST_LEGACY),
            (EraSetting::Modern, _, _) => Self::Discover(Revision::NEWEST),
            (EraSetting::Revision(wanted), _, _) if wanted.era() == Era::Modern => Self::Discover(wanted),
            (EraSetting::Revision(wanted), _, _) => Self::Initialize(wanted),
        }
    }
}

/// Opens one server over one wire.
pub(crate) struct Handshake<'a> {
    pub(crate) wire: Wire,
    pub(crate) options: &'a Options,
    /// Gives each request its own id.
    pub(crate) next_id: &'a (dyn Fn() -> u64 + Send + Sync),
    /// When all of it must be done.
    pub(crate) deadline: Instant,
}

impl Handshake<'_> {
    pub(crate) async fn run(&self, plan: Plan) -> Result<Session, UpstreamFault> {
        match plan {
            Plan::Detect => self.detect(Revision::NEWEST, true).await,
            Plan::Discover(revision) => self.detect(revision, false).await,
            Plan::Initialize(revision) => self.initialize(revision).await,
            Plan::Keep(probe) => Ok(self.modern(*probe)),
            Plan::Resume(revision) => match self.initialize(revision).await {
                Err(fault) if judge::not_understood(&fault) => self.detect(Revision::NEWEST, true).await,
                opened => opened,
            },
        }
    }

    /// Asks `server/discover` first. `fall_back`: a server that does not know it is asked to `initialize`.
    async fn detect(&self, first: Revision, fall_back: bool) -> Result<Session, UpstreamFault> {
        let mut revision = first;
        for _ in 0..PROBES_MAX {
            match judge(self.discover(revision).await, revision, self.wire.is_stdio()) {
                Verdict::Modern(probe) => return Ok(self.modern(probe)),
                Verdict::Again(other) => revision = other,
                Verdict::Initialize { wanted, because } if fall_back => return self.fall_back(wanted, &because).await,
                Verdict::Initialize { because, .. } => {
                    let detail =
                        format!("the server does not speak {revision}: {}; set `era: auto` to allow older revisions", because.detail);
                    return Err(UpstreamFault { detail, ..because });
                }
                Verdict::Fault(fault) => return Err(fault),
            }
        }
        Err(UpstreamFault::protocol("the server keeps asking for another revision"))
    }

    async fn fall_back(&self, wanted: Option<Revision>, because: &UpstreamFault) -> Result<Session, UpstreamFault> {
        let opened = self.initialize(wanted.unwrap_or(Revision::NEWEST_LEGACY)).await;
        let Err(fault) = &opened else { return opened };
        // A modern server that only was slow to start has missed the probe, and refuses `initialize`. By now it listens.
        let started_late = self.wire.is_stdio() && matches!(because.kind, FaultKind::Timeout) && matches!(fault.kind, FaultKind::Rpc(_));
        if started_late && let Verdict::Modern(probe) = judge(self.discover(Revision::NEWEST).await, Revision::NEWEST, true) {
            return Ok(self.modern(probe));
        }
        opened.map_err(|fault| {
            let detail = format!("{}; before, the probe for newer revisions failed: {}", fault.detail, because.detail);
            UpstreamFault { detail, ..fault }
        })
    }

    async fn discover(&self, revision: Revision) -> Result<Json, UpstreamFault> {
        let dialect = Dialect::new(revision, None, self.options, self.wire.headers());
        let id = (self.next_id)();
        let body = Draft::request(id, "server/discover").meta(&dialect, None, &[]).end();
        let deadline = self.deadline.min(Instant::now() + self.options.probe_deadline);
        let cancel = Cancel::new();
        let ask = Ask { replayable: true, ..Ask::plain(id, "server/discover", body, &dialect, deadline, &cancel) };
        Ok(self.wire.ask(&ask).await?.result)
    }

    async fn initialize(&self, revision: Revision) -> Result<Session, UpstreamFault> {
        let dialect = Dialect::before_agreement(revision, self.wire.headers());
        let id = (self.next_id)();
        let body = Draft::request(id, "initialize")
            .text("protocolVersion", revision.as_str())
            .raw("capabilities", self.options.client_capabilities.bytes())
            .raw("clientInfo", self.options.client_info.bytes())
            .end();
        let cancel = Cancel::new();
        let ask = Ask { replayable: true, ..Ask::plain(id, "initialize", body, &dialect, self.step_deadline(), &cancel) };
        let reply = self.wire.ask(&ask).await?;
        let probe = initialized(&reply.result, reply.session.is_some())?;
        let session = self.legacy(probe, reply.session);
        let body = Draft::notification("notifications/initialized").end();
        let note = Ask::plain(0, "notifications/initialized", body, &session.dialect, self.step_deadline(), &cancel);
        self.wire.notify(&note).await?;
        Ok(session)
    }

    fn step_deadline(&self) -> Instant {
        self.deadline.min(Instant::now() + self.options.call_deadline)
    }

    fn modern(&self, probe: Probe) -> Session {
        self.session(probe, None)
    }

    fn legacy(&self, probe: Probe, session: Option<HeaderValue>) -> Session {
        self.session(probe, session)
    }

    fn session(&self, probe: Probe, session: Option<HeaderValue>) -> Session {
        let dialect = Dialect::new(probe.revision, session, self.options, self.wire.headers());
        Session {
            wire: self.wire.clone(),
            dialect,
            probe: Arc::new(probe),
            since: Instant::now(),
            log_level: Default::default(),
            subscribed: Default::default(),
        }
    }
}

/// The answer to `initialize`.
fn initialized(result: &Json, session: bool) -> Result<Probe, UpstreamFault> {
    let chosen =
        result.text_of("protocolVersion").ok_or_else(|| UpstreamFault::protocol("the answer to initialize names no protocolVersion"))?;
    let revision = Revision::parse(&chosen).filter(|revision| revision.era() == Era::Legacy).ok_or_else(|| {
        UpstreamFault::protocol(format!("the server answered initialize with the unknown revision `{}`", excerpt(&chosen)))
    })?;
    Ok(Probe {
        revision,
        session,
        capabilities: object_or_empty(result.member("capabilities")),
        server_info: object_or_empty(result.member("serverInfo")),
        instructions: result.text_of("instructions").map(Into::into),
    })
}

fn object_or_empty(value: Option<Json>) -> Json {
    value.filter(Json::is_object).unwrap_or(Json::from_static("{}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(revision: Revision) -> Probe {
        Probe { revision, session: false, capabilities: Json::from_static("{}"), server_info: Json::from_static("{}"), instructions: None }
    }

    #[test]
    fn what_is_known_counts_where_it_fits_the_setting() {
        let (modern, legacy) = (probe(Revision::R2026_07_28), probe(Revision::R2025_06_18));
        let plan = |era, known: Option<&Probe>| format!("{:?}", Plan::new(era, known)).split(['{', '(']).next().unwrap().trim().to_owned();
        assert_eq!(plan(EraSetting::Auto, None), "Detect");
        assert_eq!(plan(EraSetting::Auto, Some(&modern)), "Keep");
        assert_eq!(plan(EraSetting::Auto, Some(&legacy)), "Resume");
        assert_eq!(plan(EraSetting::Legacy, Some(&modern)), "Initialize");
        assert_eq!(plan(EraSetting::Modern, Some(&legacy)), "Discover");
        assert_eq!(plan(EraSetting::Modern, Some(&modern)), "Keep");
        assert_eq!(plan(EraSetting::Revision(Revision::R2026_07_28), None), "Discover");
        assert_eq!(plan(EraSetting::Revision(Revision::R2025_03_26), Some(&modern)), "Initialize");
    }

    #[test]
    fn initialize_accepts_any_legacy_revision_and_nothing_else() {
        for revision in Revision::ALL {
            let result = Json::from_serialize(&serde_json::json!({"protocolVersion": revision, "capabilities": 1})).unwrap();
            assert_eq!(initialized(&result, true).is_ok(), revision.era() == Era::Legacy, "{revision}");
        }
        for odd in ["{}", r#"{"protocolVersion":1}"#, r#"{"protocolVersion":"next"}"#, "[]"] {
            assert!(initialized(&Json::from_static(odd), false).is_err(), "{odd}");
        }
    }
}
