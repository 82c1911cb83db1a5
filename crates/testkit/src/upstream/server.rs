//! The server behind both transports: from one message to what shall be sent.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::sync::broadcast;

use super::behaviour::{Act, Behaviour, Eras, Fault};
use super::catalog::Catalog;
use super::record::{Arrival, Record};
use super::wire::{self, Arguments, Envelope, LEGACY, MODERN, Params};

/// Notifications that a slow listener may lag behind.
const NOTIFICATIONS_QUEUED_MAX: usize = 256;

pub(super) struct Server {
    scene: RwLock<Arc<Scene>>,
    pub(super) record: Record,
    calls: AtomicU64,
    sessions: Mutex<HashSet<String>>,
    next_session: AtomicU64,
    /// One tick for each `tools/list_changed`.
    pub(super) news: broadcast::Sender<()>,
    pub(super) connections: AtomicU64,
}

/// A behaviour and what was rendered from it.
pub(super) struct Scene {
    pub(super) behaviour: Behaviour,
    catalog: Catalog,
}

/// What to do about one message.
pub(super) enum Plan {
    /// A notification or a response: nothing is sent.
    Nothing,
    /// Send the progress, wait, send the message.
    Answer(Answer),
    /// Misbehave.
    Fault(Fault, String),
    /// A `subscriptions/listen` under this id.
    Listen(String),
    /// The server dies now.
    Crash,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) session: Option<String>,
    pub(super) delay: Duration,
    pub(super) progress: Vec<Vec<u8>>,
    pub(super) message: Vec<u8>,
}

impl Answer {
    fn now(status: StatusCode, message: Vec<u8>) -> Plan {
        Plan::Answer(Self { status, session: None, delay: Duration::ZERO, progress: Vec::new(), message })
    }
}

/// One message with what is known around it; `headers` is absent on stdio.
pub(super) struct Incoming<'a> {
    pub(super) body: &'a [u8],
    pub(super) headers: Option<&'a HeaderMap>,
    pub(super) connection: u64,
}

impl Incoming<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers?.get(name)?.to_str().ok()
    }
}

/// A request after its envelope was read.
struct Asked<'a> {
    id: &'a str,
    method: &'a str,
    params: Params<'a>,
    modern: bool,
    scene: &'a Scene,
}

impl Server {
    pub(super) fn new(behaviour: Behaviour) -> Self {
        Self {
            scene: RwLock::new(Arc::new(Scene::new(behaviour))),
            record: Record::default(),
            calls: AtomicU64::new(0),
            sessions: Mutex::default(),
            next_session: AtomicU64::new(1),
            news: broadcast::channel(NOTIFICATIONS_QUEUED_MAX).0,
            connections: AtomicU64::new(0),
        }
    }

    pub(super) fn scene(&self) -> Arc<Scene> {
        self.scene.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Behaviour)) {
        let mut behaviour = self.scene().behaviour.clone();
        change(&mut behaviour);
        *self.scene.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Scene::new(behaviour));
    }

    pub(super) fn forget_sessions(&self) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn end_session(&self, id: &str) -> bool {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(id)
    }

    /// Sends `tools/list_changed` to everybody who listens.
    pub(super) fn announce(&self) {
        // An error only says that nobody listens.
        let _ = self.news.send(());
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
        self.answer(&Asked { id: id.get(), method, params, modern, scene })
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
        match asked.method {
            "initialize" if !asked.modern => self.initialize(asked, opening),
            "server/discover" if asked.modern => asked.complete(opening, &discovery(behaviour.eras)),
            "subscriptions/listen" if asked.modern => Plan::Listen(asked.id.to_owned()),
            "ping" if !asked.modern => asked.complete(Duration::ZERO, "{}"),
            "tools/list" => asked.list(opening),
            "tools/call" => {
                if let Some(Act::ChangeTools(tools)) = asked.params.name.as_deref().and_then(|name| asked.scene.catalog.act(name)) {
                    self.set(|b| b.tools.clone_from(tools));
                    self.announce();
                }
                asked.call()
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
        let session = asked.scene.behaviour.sessions.then(|| format!("fake-{:08x}", self.next_session.fetch_add(1, Ordering::SeqCst)));
        if let Some(session) = &session {
            self.sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(session.clone());
        }
        let result = format!(
            r#"{{"protocolVersion":"{version}","capabilities":{{"tools":{{"listChanged":true}}}},"serverInfo":{{"name":"fake","version":"1"}},"instructions":"A fake."}}"#
        );
        let message = wire::result(asked.id, &result);
        Plan::Answer(Answer { status: StatusCode::OK, session, delay, progress: Vec::new(), message })
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
    fn complete(&self, delay: Duration, result: &str) -> Plan {
        let message = wire::result(self.id, result);
        Plan::Answer(Answer { status: StatusCode::OK, session: None, delay, progress: Vec::new(), message })
    }

    /// What a complete result begins with in this era.
    const fn head(&self) -> &'static str {
        if self.modern { r#""resultType":"complete","# } else { "" }
    }

    fn list(&self, delay: Duration) -> Plan {
        let Some((page, next)) = self.scene.catalog.page(self.params.cursor.as_deref()) else {
            return Answer::now(StatusCode::OK, wire::error(self.id, -32602, "Invalid cursor", None));
        };
        let next = next.map(|n| format!(r#","nextCursor":"page-{n}""#)).unwrap_or_default();
        let hints = if self.modern { r#","ttlMs":60000,"cacheScope":"public""# } else { "" };
        self.complete(delay, &format!(r#"{{{}"tools":{page}{next}{hints}}}"#, self.head()))
    }

    fn call(&self) -> Plan {
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
            Act::ChangeTools(_) => self.text("\"\"", false),
        };
        let token = self.params.meta.as_ref().and_then(|m| m.progress_token);
        let progress = token.map(|t| progress(t.get(), behaviour.progress)).unwrap_or_default();
        let message = wire::result(self.id, &result);
        Plan::Answer(Answer { status: StatusCode::OK, session: None, delay, progress, message })
    }

    fn text(&self, json_string: &str, is_error: bool) -> String {
        format!(r#"{{{}"content":[{{"type":"text","text":{json_string}}}],"isError":{is_error}}}"#, self.head())
    }
}

fn progress(token: &str, count: u32) -> Vec<Vec<u8>> {
    let one = |n| {
        let params = format!(r#"{{"progressToken":{token},"progress":{n},"total":{count},"message":"step {n}"}}"#);
        wire::notification("notifications/progress", &params)
    };
    (1..=count).map(one).collect()
}

fn discovery(eras: Eras) -> String {
    let older = if eras == Eras::Both { r#","2025-11-25","2025-06-18","2025-03-26""# } else { "" };
    format!(
        r#"{{"resultType":"complete","supportedVersions":["{MODERN}"{older}],"capabilities":{{"tools":{{"listChanged":true}}}},"instructions":"A fake.","ttlMs":60000,"cacheScope":"public","_meta":{{"io.modelcontextprotocol/serverInfo":{{"name":"fake","version":"1"}}}}}}"#
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
