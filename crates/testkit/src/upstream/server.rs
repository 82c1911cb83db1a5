//! The server behind both transports: from one message to what shall be sent.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::sync::broadcast;

use super::answers::severity;
use super::behaviour::{Act, Behaviour, Eras, Fault};
use super::catalog::{Catalog, PROMPTS, RESOURCES, TEMPLATES, TOOLS};
use super::news::Listener;
use super::offer::{FakeQuestion, News};
use super::record::{Arrival, Record};
use super::talk::{self, Questions, Talk};
use super::wire::{self, Arguments, Envelope, LEGACY, MODERN, Params};

/// Notifications that a slow listener may lag behind.
const NOTIFICATIONS_QUEUED_MAX: usize = 256;

pub(crate) struct Server {
    scene: RwLock<Arc<Scene>>,
    pub(crate) record: Record,
    calls: AtomicU64,
    sessions: Mutex<HashSet<String>>,
    next_session: AtomicU64,
    /// What those who listen are told.
    pub(super) news: broadcast::Sender<News>,
    pub(super) questions: Questions,
    /// The last `logging/setLevel`.
    pub(super) log_level: Mutex<Option<usize>>,
    /// Session and URI of the subscriptions of the `initialize` era.
    subscribed: Mutex<BTreeSet<(String, String)>>,
    /// HTTP: answers that wait to be fetched, by the id of the last event.
    parked: Mutex<HashMap<String, (u32, Answer)>>,
    pub(super) connections: AtomicU64,
}

/// A behaviour and what was rendered from it.
pub(super) struct Scene {
    pub(super) behaviour: Behaviour,
    pub(super) catalog: Catalog,
}

/// What to do about one message.
pub(super) enum Plan {
    /// A notification or a response: nothing is sent.
    Nothing,
    /// Send the progress, wait, send the message.
    Answer(Answer),
    /// Misbehave.
    Fault(Fault, String),
    /// Ask back, then answer.
    Talk(Talk),
    /// A `subscriptions/listen`.
    Listen(String, Listener),
    /// The server dies now.
    Crash,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) session: Option<String>,
    pub(super) delay: Duration,
    pub(super) progress: Vec<Vec<u8>>,
    pub(super) message: Vec<u8>,
    /// The answer to a `tools/call`.
    pub(super) is_call: bool,
}

impl Answer {
    pub(super) fn now(status: StatusCode, message: Vec<u8>) -> Plan {
        Plan::Answer(Self { status, session: None, delay: Duration::ZERO, progress: Vec::new(), message, is_call: false })
    }
}

/// One message with what is known around it; `headers` is absent on stdio.
pub(super) struct Incoming<'a> {
    pub(super) body: &'a [u8],
    pub(super) headers: Option<&'a HeaderMap>,
    pub(super) connection: u64,
}

impl Incoming<'_> {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers?.get(name)?.to_str().ok()
    }
}

/// A request after its envelope was read.
pub(super) struct Asked<'a> {
    pub(super) id: &'a str,
    pub(super) method: &'a str,
    pub(super) params: Params<'a>,
    pub(super) modern: bool,
    /// Empty without sessions.
    pub(super) session: &'a str,
    pub(super) scene: &'a Scene,
}

impl Server {
    pub(crate) fn new(behaviour: Behaviour) -> Self {
        Self {
            scene: RwLock::new(Arc::new(Scene::new(behaviour))),
            record: Record::default(),
            calls: AtomicU64::new(0),
            sessions: Mutex::default(),
            next_session: AtomicU64::new(1),
            news: broadcast::channel(NOTIFICATIONS_QUEUED_MAX).0,
            questions: Questions::default(),
            log_level: Mutex::default(),
            subscribed: Mutex::default(),
            parked: Mutex::default(),
            connections: AtomicU64::new(0),
        }
    }

    pub(super) fn scene(&self) -> Arc<Scene> {
        self.scene.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Behaviour)) {
        let mut behaviour = self.scene().behaviour.clone();
        change(&mut behaviour);
        *self.scene.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Scene::new(behaviour));
    }

    pub(super) fn forget_sessions(&self) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.log_level.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn has_session(&self, id: &str) -> bool {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    pub(super) fn sessions(&self) -> usize {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Keeps an answer until it is fetched. Returns the id of the event to fetch it with.
    pub(super) fn park(&self, ends: u32, answer: Answer) -> String {
        let id = format!("event-{}", self.next_session.fetch_add(1, Ordering::SeqCst));
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), (ends, answer));
        id
    }

    pub(super) fn unpark(&self, id: &str) -> Option<(u32, Answer)> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).remove(id)
    }

    pub(super) fn end_session(&self, id: &str) -> bool {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(id)
    }

    /// Tells everybody who listens.
    pub(super) fn tell(&self, news: News) {
        // An error only says that nobody listens.
        let _ = self.news.send(news);
    }

    pub(super) fn is_subscribed(&self, session: &str, uri: &str) -> bool {
        self.subscriptions().contains(&(session.to_owned(), uri.to_owned()))
    }

    pub(super) fn subscribe(&self, session: &str, uri: &str, on: bool) {
        let key = (session.to_owned(), uri.to_owned());
        let mut subscribed = self.subscribed.lock().unwrap_or_else(PoisonError::into_inner);
        if on {
            subscribed.insert(key)
        } else {
            subscribed.remove(&key)
        };
    }

    /// Session and URI of every subscription of the `initialize` era.
    pub(super) fn subscriptions(&self) -> BTreeSet<(String, String)> {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Calls that arrived, counted even when nothing is recorded.
    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    pub(super) fn plan(&self, scene: &Scene, incoming: &Incoming<'_>) -> Plan {
        let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(incoming.body) else {
            return Answer::now(StatusCode::BAD_REQUEST, wire::error("null", -32700, "Parse error", None));
        };
        let params = match envelope.params.map(|p| serde_json::from_str::<Params<'_>>(p.get())) {
            None => Params::default(),
            Some(Ok(params)) => params,
            Some(Err(_)) => {
                let id = envelope.id.map_or("null", |id| id.get());
                return Answer::now(StatusCode::BAD_REQUEST, wire::error(id, -32602, "Invalid params", None));
            }
        };
        let said = params.meta.as_ref().and_then(|m| m.version.as_deref());
        let modern = said.is_some() || incoming.header("mcp-protocol-version") == Some(MODERN);
        if scene.behaviour.record {
            self.record.note(arrival(&envelope, &params, incoming, modern));
        }
        if envelope.method.is_none()
            && let Ok(message) = serde_json::from_slice(incoming.body)
        {
            self.questions.answered(&message);
        }
        let (Some(method), Some(id)) = (envelope.method.as_deref(), envelope.id) else { return Plan::Nothing };
        if method == "tools/call" {
            let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
            if scene.behaviour.crash_after == Some(number) {
                return Plan::Crash;
            }
        }
        if let Some(fault) = scene.fault(method, params.name.as_deref()) {
            return Plan::Fault(fault.clone(), id.get().to_owned());
        }
        if let Err(refused) = self.admit(scene, incoming, id.get(), method, &params, modern) {
            return refused;
        }
        let session = incoming.header("mcp-session-id").unwrap_or_default();
        self.answer(&Asked { id: id.get(), method, params, modern, session, scene })
    }

    /// Credential, era, headers and session, in this order.
    fn admit(&self, scene: &Scene, incoming: &Incoming<'_>, id: &str, method: &str, params: &Params<'_>, modern: bool) -> Result<(), Plan> {
        let refuse = |status, code, message: &str, data: Option<&str>| Err(Answer::now(status, wire::error(id, code, message, data)));
        let http = incoming.headers.is_some();
        if let (true, Some(bearer)) = (http, &scene.behaviour.bearer)
            && incoming.header("authorization").and_then(|v| v.strip_prefix("Bearer ")) != Some(bearer)
        {
            return refuse(StatusCode::UNAUTHORIZED, -32600, "Unauthorized", None);
        }
        match (scene.behaviour.eras, modern) {
            (Eras::Legacy, true) if http => {
                let old = br#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: Server not initialized"},"id":null}"#;
                return Err(Answer::now(StatusCode::BAD_REQUEST, old.to_vec()));
            }
            (Eras::Legacy, true) => return refuse(StatusCode::OK, -32601, "Method not found", None),
            (Eras::Modern, false) if method == "initialize" => return refuse(StatusCode::NOT_FOUND, -32601, "Method not found", None),
            (Eras::Modern, false) => return refuse(StatusCode::BAD_REQUEST, -32602, "Missing protocol version", None),
            _ => {}
        }
        if modern {
            return check_modern(incoming, id, method, params);
        }
        if let Some(version) = incoming.header("mcp-protocol-version")
            && !LEGACY.contains(&version)
        {
            return refuse(StatusCode::BAD_REQUEST, -32600, "Unsupported protocol version", None);
        }
        if !(http && scene.behaviour.sessions) || method == "initialize" {
            return Ok(());
        }
        match incoming.header("mcp-session-id") {
            None => refuse(StatusCode::BAD_REQUEST, -32600, "Missing session", None),
            Some(session) if self.sessions.lock().unwrap_or_else(PoisonError::into_inner).contains(session) => Ok(()),
            Some(_) => refuse(StatusCode::NOT_FOUND, -32600, "Unknown session", None),
        }
    }

    fn answer(&self, asked: &Asked<'_>) -> Plan {
        let behaviour = &asked.scene.behaviour;
        let opening = Duration::from_millis(behaviour.opening_delay_ms);
        let has_resources = !(behaviour.resources.is_empty() && behaviour.templates.is_empty());
        match asked.method {
            "initialize" if !asked.modern => self.initialize(asked, opening),
            "server/discover" if asked.modern => asked.complete(opening, &discovery(behaviour)),
            "subscriptions/listen" if asked.modern => {
                Plan::Listen(asked.id.to_owned(), Listener::modern(asked.id, asked.params.notifications))
            }
            "ping" if !asked.modern => asked.complete(Duration::ZERO, "{}"),
            "tools/list" => asked.page(TOOLS, "tools", opening),
            "prompts/list" if !behaviour.prompts.is_empty() => asked.page(PROMPTS, "prompts", opening),
            "resources/list" if has_resources => asked.page(RESOURCES, "resources", opening),
            "resources/templates/list" if has_resources => asked.page(TEMPLATES, "resourceTemplates", opening),
            "prompts/get" if !behaviour.prompts.is_empty() => asked.prompt(),
            "resources/read" if has_resources => asked.resource(),
            "resources/subscribe" if has_resources && !asked.modern => self.subscription(asked, true),
            "resources/unsubscribe" if has_resources && !asked.modern => self.subscription(asked, false),
            "completion/complete" if !behaviour.completions.is_empty() => asked.completion(),
            "logging/setLevel" if behaviour.logging && !asked.modern => self.set_level(asked),
            "tools/call" => {
                match asked.params.name.as_deref().and_then(|name| asked.scene.catalog.act(name)) {
                    Some(Act::ChangeTools(tools)) => {
                        self.set(|b| b.tools.clone_from(tools));
                        self.tell(News::Tools);
                    }
                    Some(Act::Announce(news)) => news.iter().cloned().for_each(|one| self.tell(one)),
                    _ => {}
                }
                asked.call(*self.log_level.lock().unwrap_or_else(PoisonError::into_inner))
            }
            _ => {
                let status = if asked.modern { StatusCode::NOT_FOUND } else { StatusCode::OK };
                Answer::now(status, wire::error(asked.id, -32601, "Method not found", None))
            }
        }
    }

    fn initialize(&self, asked: &Asked<'_>, delay: Duration) -> Plan {
        let wanted = asked.params.protocol_version.as_deref().unwrap_or_default();
        let version = LEGACY.into_iter().find(|v| *v == wanted).unwrap_or(LEGACY[0]);
        let version = asked.scene.behaviour.legacy_revision.as_deref().unwrap_or(version);
        let capabilities = asked.scene.behaviour.capabilities();
        let session = asked.scene.behaviour.sessions.then(|| format!("fake-{:08x}", self.next_session.fetch_add(1, Ordering::SeqCst)));
        if let Some(session) = &session {
            self.sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(session.clone());
        }
        let result = format!(
            r#"{{"protocolVersion":"{version}","capabilities":{capabilities},"serverInfo":{{"name":"fake","version":"1"}},"instructions":"A fake."}}"#
        );
        let message = wire::result(asked.id, &result);
        Plan::Answer(Answer { status: StatusCode::OK, session, delay, progress: Vec::new(), message, is_call: false })
    }
}

impl Scene {
    fn new(behaviour: Behaviour) -> Self {
        let mut catalog = Catalog::new(&behaviour);
        if !behaviour.record {
            // Benchmarks ask for one size again and again.
            catalog.prepare_text(1 << 20);
        }
        Self { behaviour, catalog }
    }

    fn fault(&self, method: &str, tool: Option<&str>) -> Option<&Fault> {
        if self.behaviour.faults.is_empty() {
            return None;
        }
        let by_tool = tool.and_then(|t| self.behaviour.faults.get(&format!("tool:{t}")));
        by_tool.or_else(|| self.behaviour.faults.get(method))
    }
}

impl Asked<'_> {
    pub(super) fn complete(&self, delay: Duration, result: &str) -> Plan {
        let message = wire::result(self.id, result);
        Plan::Answer(Answer { status: StatusCode::OK, session: None, delay, progress: Vec::new(), message, is_call: false })
    }

    /// What a complete result begins with in this era.
    pub(super) const fn head(&self) -> &'static str {
        if self.modern { r#""resultType":"complete","# } else { "" }
    }

    /// `level`: what the client of the `initialize` era set.
    fn call(&self, level: Option<usize>) -> Plan {
        let behaviour = &self.scene.behaviour;
        let name = self.params.name.as_deref().unwrap_or_default();
        let Some(act) = self.scene.catalog.act(name) else {
            return Answer::now(StatusCode::OK, wire::error(self.id, -32602, "Unknown tool", None));
        };
        let arguments: Arguments<'_> = self.params.arguments.and_then(|a| serde_json::from_str(a.get()).ok()).unwrap_or_default();
        let payload = arguments.payload.map_or("\"\"", |p| p.get());
        let mut delay = Duration::from_millis(behaviour.delay_ms);
        let result = match act {
            Act::Echo => self.text(payload, false),
            Act::Sleep => {
                delay += Duration::from_millis(arguments.ms.unwrap_or(0));
                self.text(payload, false)
            }
            Act::Big => self.text(&format!("\"{}\"", self.scene.catalog.text(arguments.bytes.unwrap_or(0))), false),
            Act::Fail(why) => self.text(&Value::from(why.as_str()).to_string(), true),
            Act::Result(result) => result.to_string(),
            Act::ResultText(text) => text.clone(),
            Act::ChangeTools(_) | Act::Announce(_) | Act::Log { .. } | Act::Notify(_) => self.text("\"\"", false),
            Act::Ask { method, params } => {
                return self.ask(&[vec![FakeQuestion { method: method.clone(), params: params.clone() }]]);
            }
            Act::AskRounds(rounds) => return self.ask(rounds),
        };
        let token = self.params.meta.as_ref().and_then(|m| m.progress_token);
        let mut progress = token.map(|t| progress(t.get(), behaviour)).unwrap_or_default();
        progress.extend(self.words(act, level));
        let message = wire::result(self.id, &result);
        Plan::Answer(Answer { status: StatusCode::OK, session: None, delay, progress, message, is_call: true })
    }

    fn ask(&self, rounds: &[Vec<FakeQuestion>]) -> Plan {
        let head = self.head();
        self.converse(rounds, move |id, answers| wire::result(id, &text(head, &talk::summary(answers), false)))
    }

    /// The notifications that come before the answer.
    fn words(&self, act: &Act, level: Option<usize>) -> Vec<Vec<u8>> {
        match act {
            Act::Notify(notifications) => notifications
                .iter()
                .map(|one| wire::notification(one["method"].as_str().unwrap_or_default(), &one["params"].to_string()))
                .collect(),
            Act::Log { level: at, count } => {
                let wanted = match self.params.meta.as_ref().and_then(|meta| meta.log_level.as_deref()) {
                    Some(wanted) if self.modern => severity(wanted),
                    _ if self.modern => None,
                    _ => Some(level.unwrap_or(0)),
                };
                let said = wanted.zip(severity(at)).is_some_and(|(wanted, at)| at >= wanted);
                let message = |n| format!(r#"{{"level":"{at}","logger":"fake","data":"message {n}"}}"#);
                let count = if said { *count } else { 0 };
                (1..=count).map(|n| wire::notification("notifications/message", &message(n))).collect()
            }
            _ => Vec::new(),
        }
    }

    fn text(&self, json_string: &str, is_error: bool) -> String {
        text(self.head(), json_string, is_error)
    }
}

fn text(head: &str, json_string: &str, is_error: bool) -> String {
    format!(r#"{{{head}"content":[{{"type":"text","text":{json_string}}}],"isError":{is_error}}}"#)
}

fn progress(token: &str, behaviour: &Behaviour) -> Vec<Vec<u8>> {
    let count = behaviour.progress;
    let one = |n| {
        let message = Value::from(behaviour.progress_message.clone().unwrap_or_else(|| format!("step {n}")));
        let params = format!(r#"{{"progressToken":{token},"progress":{n},"total":{count},"message":{message}}}"#);
        wire::notification("notifications/progress", &params)
    };
    (1..=count).map(one).collect()
}

fn discovery(behaviour: &Behaviour) -> String {
    let capabilities = behaviour.capabilities();
    let older = if behaviour.eras == Eras::Both { r#","2025-11-25","2025-06-18","2025-03-26""# } else { "" };
    format!(
        r#"{{"resultType":"complete","supportedVersions":["{MODERN}"{older}],"capabilities":{capabilities},"instructions":"A fake.","ttlMs":60000,"cacheScope":"public","_meta":{{"io.modelcontextprotocol/serverInfo":{{"name":"fake","version":"1"}}}}}}"#
    )
}

/// The rules of a 2026-07-28 request (protocol reference 2.2 and 2.3), so that a sloppy client is caught here.
fn check_modern(incoming: &Incoming<'_>, id: &str, method: &str, params: &Params<'_>) -> Result<(), Plan> {
    let refuse = |code, message: &str, data: Option<&str>| Err(Answer::now(StatusCode::BAD_REQUEST, wire::error(id, code, message, data)));
    let meta = params.meta.as_ref();
    let version = meta.and_then(|m| m.version.as_deref());
    if incoming.headers.is_some() {
        let named = params.name.as_deref().or(params.uri.as_deref());
        let needs_name = matches!(method, "tools/call" | "prompts/get" | "resources/read");
        let name = incoming.header("mcp-name").and_then(wire::decode_header);
        if incoming.header("mcp-protocol-version") != version
            || incoming.header("mcp-method") != Some(method)
            || (needs_name && name.as_deref() != named)
        {
            return refuse(-32020, "Header mismatch", None);
        }
        let accept = incoming.header("accept").unwrap_or_default();
        if !(accept.contains("application/json") && accept.contains("text/event-stream")) {
            return Err(Answer::now(StatusCode::NOT_ACCEPTABLE, wire::error(id, -32600, "Not acceptable", None)));
        }
    }
    match version {
        Some(MODERN) => {}
        None => return refuse(-32602, "Missing protocol version", None),
        Some(other) => {
            let requested = Value::from(other);
            return refuse(
                -32022,
                "Unsupported protocol version",
                Some(&format!(r#"{{"supported":["{MODERN}"],"requested":{requested}}}"#)),
            );
        }
    }
    if !meta.and_then(|m| m.capabilities).is_some_and(|c| c.get().starts_with('{')) {
        return refuse(-32602, "Missing client capabilities", None);
    }
    Ok(())
}

fn arrival(envelope: &Envelope<'_>, params: &Params<'_>, incoming: &Incoming<'_>, modern: bool) -> Arrival {
    let mut headers = std::collections::BTreeMap::<String, String>::new();
    for (name, value) in incoming.headers.into_iter().flatten() {
        let value = String::from_utf8_lossy(value.as_bytes());
        headers.entry(name.as_str().to_owned()).and_modify(|v| *v = format!("{v}, {value}")).or_insert_with(|| value.into_owned());
    }
    let method = envelope.method.as_deref().unwrap_or_default();
    Arrival {
        method: method.to_owned(),
        tool: (method == "tools/call").then(|| params.name.as_deref().unwrap_or_default().to_owned()),
        arguments: params.arguments.map(|a| a.get().to_owned()),
        message: serde_json::from_slice(incoming.body).unwrap_or_default(),
        headers,
        modern,
        connection: incoming.connection,
    }
}
