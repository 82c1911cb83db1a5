//! A gateway with three issuers in one process: the network leads to fakes on loopback, and the clock stands still until it is moved.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bailiwick_gateway::{Entrance, Gateway, LoadedManifest, Setup};
use bailiwick_model::config::Config;
use bailiwick_model::manifest::Manifest;
use bailiwick_model::{AgentId, AgentType, OrgId, Role, Subject, Timestamp};
use bailiwick_modules::ModuleRegistry;
use bailiwick_store::ledger::{Ledger, LedgerOptions, Place as LedgerPlace, SigningKey};
use bailiwick_store::{DatabaseUrl, Keyring, Migrate, OpenOptions, RootKeySource, Store, TokenAgent, TokenClaims};
use bailiwick_testkit::service::{FakeService, Received, Reply};
use bailiwick_testkit::time::{ManualClock, SeededRandom};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tempfile::TempDir;
use tracing::field::{Field, Visit};

use super::keys;
use super::row::{Ask, CORP, NARROW, NOW, PARTNER};
use crate::town::Town;

const CONFIG: &str = r#"
instructions: {readme: Begin here.}
auth:
  issuers:
    - {name: corp, issuer: "http://127.0.0.1:8485", org: acme, subject_prefix: "corp:", agent_type: research}
    - name: partner
      issuer: "http://127.0.0.1:8486/realms/p"
      jwks_uri: "http://127.0.0.1:8486/realms/p/keys?set=1"
      org_claim: /tenant/id
      orgs: [beta, gamma]
      claims: {groups: groups, role: /access/roles, agent_id: client_id, agent_type: kind, email: email}
      roles: {gateway-admins: org_admin, staff: member}
      scopes_required: ["mcp:tools", "mcp:extra"]
    - name: narrow
      issuer: "http://127.0.0.1:8487/t"
      org: delta
      audience: "api://gateway"
      algorithms: [ES256]
      agent_type: build
      claims: {agent_id: sub}
      allow_untyped: true
      create_agents: false
servers:
  tickets: {url: "http://127.0.0.1:8490/mcp"}
  search: {url: "http://127.0.0.1:8490/mcp"}
"#;

/// What an issuer answers; the test changes it while the gateway runs.
#[derive(Clone)]
pub(crate) struct Words {
    pub(crate) keys: Vec<Value>,
    /// `issuer` of its document.
    pub(crate) named: String,
    /// `jwks_uri` of its document.
    pub(crate) keys_at: String,
    /// Status of every answer, when it is away.
    pub(crate) away: Option<u16>,
}

/// An issuer on loopback.
pub(crate) struct Issuer {
    pub(crate) name: &'static str,
    pub(crate) words: Arc<Mutex<Words>>,
    service: FakeService,
}

impl Issuer {
    /// `documented` is where its document about itself stands.
    async fn start(name: &'static str, issuer: &str, documented: &'static str, keys: Vec<Value>) -> Self {
        let words = Words { keys, named: issuer.to_owned(), keys_at: format!("{issuer}/keys"), away: None };
        let words = Arc::new(Mutex::new(words));
        let shared = words.clone();
        let service = FakeService::start(move |request| answer(&shared.lock().unwrap(), documented, request)).await;
        Self { name, words, service }
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Words)) {
        change(&mut self.words.lock().unwrap());
    }

    /// How often its keys were asked for.
    pub(crate) fn looks(&self) -> usize {
        self.service.received().iter().filter(|request| request.target.contains("/keys")).count()
    }

    /// Every path that was asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.service.received().into_iter().map(|request| request.target).collect()
    }
}

fn answer(words: &Words, documented: &str, request: &Received) -> Reply {
    if let Some(status) = words.away {
        return Reply::new(status, "");
    }
    if request.target == documented {
        return Reply::json(&json!({"issuer": words.named, "jwks_uri": words.keys_at}));
    }
    if request.target.split('?').next().is_some_and(|path| path.ends_with("/keys")) {
        return Reply::json(&json!({"keys": words.keys}));
    }
    Reply::new(404, "")
}

/// The gateway and its surroundings.
pub(crate) struct Place {
    gateway: Gateway,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Store,
    pub(crate) corp: Issuer,
    pub(crate) partner: Issuer,
    pub(crate) narrow: Issuer,
    town: Arc<Town>,
    heard: Ear,
    /// Hears what the gateway says on this thread.
    _listening: tracing::subscriber::DefaultGuard,
    _desk: FakeService,
    _dir: TempDir,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) challenge: String,
    pub(crate) body: String,
    /// The word that the record has.
    pub(crate) reason: String,
}

impl Place {
    pub(crate) async fn build() -> Self {
        let dir = TempDir::new().unwrap();
        let corp = Issuer::start("corp", CORP, "/.well-known/openid-configuration", keys::corp()).await;
        let partner = Issuer::start("partner", PARTNER, "-", vec![keys::rsa_jwk("p-1", &keys::PARTNER)]).await;
        let oauth = "/.well-known/oauth-authorization-server/t";
        let narrow =
            Issuer::start("narrow", NARROW, oauth, vec![keys::ec_jwk("n-1", &keys::NARROW), keys::rsa_jwk("n-rsa", &keys::RSA)]).await;
        let desk = FakeService::start(|_| Reply::new(503, "")).await;
        let mut town = Town::default();
        let doors = [(8485, &corp.service), (8486, &partner.service), (8487, &narrow.service), (8490, &desk)];
        doors.iter().for_each(|(port, fake)| town.door("127.0.0.1", *port, fake.address));
        let town = Arc::new(town);
        let heard = Ear::default();
        let listening = tracing::subscriber::set_default(heard.clone());
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(NOW * 1_000_000)));
        let (gateway, store) = start(&dir, clock.clone(), town.clone()).await;
        Self { gateway, clock, store, corp, partner, narrow, town, heard, _listening: listening, _desk: desk, _dir: dir }
    }

    pub(crate) fn issuers(&self) -> [&Issuer; 3] {
        [&self.corp, &self.partner, &self.narrow]
    }

    /// Agents that are there before any token: one that may act, one that may not, one of another type.
    pub(crate) async fn prepare_agents(&self) {
        let platform = self.store.platform("test").unwrap();
        for (org, agent, kind) in [("delta", "known", "build"), ("delta", "disabled", "build"), ("delta", "other-type", "research")] {
            let (org, agent, kind) = (OrgId::parse(org).unwrap(), AgentId::parse(agent).unwrap(), AgentType::parse(kind).unwrap());
            let sub = Subject::parse("test").unwrap();
            let made = TokenAgent {
                org: &org,
                agent_id: &agent,
                agent_type: &kind,
                sub: &sub,
                email: None,
                claims: &TokenClaims::default(),
                create: true,
            };
            self.store.admit(made).await.unwrap().unwrap();
        }
        self.disable("disabled", true).await;
        let beta = OrgId::parse("beta").unwrap();
        self.store.orgs().ensure(&platform, &beta).await.unwrap();
    }

    /// Makes somebody a plain member.
    pub(crate) async fn enlist(&self, org: &str, sub: &str) {
        let (platform, org) = (self.store.platform("test").unwrap(), OrgId::parse(org).unwrap());
        self.store.orgs().ensure(&platform, &org).await.unwrap();
        self.store.members().add(&platform.within(&org), &Subject::parse(sub).unwrap(), None, Role::Member).await.unwrap();
    }

    /// Of the organisation `delta`.
    pub(crate) async fn disable(&self, agent: &str, disabled: bool) {
        let inside = self.store.platform("test").unwrap().within(&OrgId::parse("delta").unwrap());
        self.store.agents().set_disabled(&inside, &AgentId::parse(agent).unwrap(), disabled).await.unwrap();
    }

    /// All agents as `organisation/id/type`.
    pub(crate) async fn agents(&self) -> Vec<String> {
        let platform = self.store.platform("test").unwrap();
        let mut all = Vec::new();
        for org in self.store.orgs().list(&platform, "").await.unwrap() {
            let found = self.store.agents().list(&platform.within(&org.org), "").await.unwrap();
            all.extend(found.iter().map(|agent| format!("{}/{}/{}", org.org, agent.agent_id, agent.agent_type)));
        }
        all
    }

    pub(crate) fn strayed(&self) -> Vec<String> {
        self.town.strayed.lock().unwrap().iter().map(ToString::to_string).collect()
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// A `ping` with these headers.
    pub(crate) async fn ask(&self, ask: &Ask) -> Answer {
        let uri = if ask.query.is_empty() { "/mcp".to_owned() } else { format!("/mcp?{}", ask.query) };
        let mut request = http::Request::post(uri)
            .header("host", "127.0.0.1:8700")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        for (name, value) in &ask.headers {
            request = request.header(*name, http::HeaderValue::from_maybe_shared(value.clone()).unwrap());
        }
        let mut body = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
        if let Some(meta) = &ask.meta {
            let modern = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "readme_agent")];
            request = modern.into_iter().fold(request, |request, (name, value)| request.header(name, value));
            body = reading(meta).to_string().into();
        }
        let mut request = request.body(Full::new(body)).unwrap();
        let (org, server) = (ask.org.map(str::to_owned), ask.server.map(str::to_owned));
        request.extensions_mut().insert(Entrance { org, server });
        self.heard.take();
        let response = self.gateway.http(request).await;
        let challenge = response.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let Ok(body) = response.into_body().collect().await;
        let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        Answer { status, challenge: challenge.unwrap_or_default(), body, reason: self.heard.take() }
    }

    /// In which organisation a caller finds himself, or how he is refused.
    pub(crate) async fn scope(&self, ask: Ask) -> String {
        let meta = ask.meta.clone().unwrap_or_else(|| json!({}));
        let answer = self.ask(&ask.reading(meta)).await;
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let scope = body["result"]["structuredContent"]["scope"].as_str().map(str::to_owned);
        scope.unwrap_or_else(|| format!("{} {}", answer.status, body["error"]["message"].as_str().unwrap_or(&answer.body)))
    }

    /// The status alone, and the word.
    pub(crate) async fn says(&self, ask: impl Into<Ask>) -> (u16, String) {
        let answer = self.ask(&ask.into()).await;
        (answer.status, answer.reason)
    }

    pub(crate) async fn close(self) {
        self.gateway.finish(Duration::ZERO).await;
    }
}

fn reading(more: &Value) -> Value {
    let mut meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "table", "version": "1"},
    });
    meta.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "readme_agent", "arguments": {}, "_meta": meta}})
}

async fn start(dir: &TempDir, clock: Arc<ManualClock>, network: Arc<Town>) -> (Gateway, Store) {
    let random = Arc::new(SeededRandom::new(7));
    let options = OpenOptions {
        database: DatabaseUrl::sqlite(&dir.path().join("bw.db")).unwrap(),
        root_key: RootKeySource::File { path: dir.path().join("root.key"), create: true },
        clock: clock.clone(),
        random: random.clone(),
        migrate: Migrate::Apply,
    };
    let store = Store::open(options).await.unwrap();
    let key = SigningKey::sealed(store.checkpoint_key().await.unwrap());
    std::fs::create_dir(dir.path().join("ledger")).unwrap();
    let options = LedgerOptions::new(LedgerPlace::Segments { dir: dir.path().join("ledger") }, Arc::new(key), clock.clone());
    let ledger = Ledger::open(options.with_index(Arc::new(store.clone()))).await.unwrap();
    let (config, _) = Config::parse("bailiwick.yml", CONFIG, &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let modules = ModuleRegistry::with_builtin();
    let manifests = ["research", "build"].map(|kind| {
        let text = format!("agent_type: {kind}\nservers: {{tickets: , search: }}\n");
        let (manifest, _) = Manifest::parse("m.yml", &text, &|_| None, &modules).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        LoadedManifest { path: kind.into(), manifest }
    });
    let setup = Setup {
        config,
        manifests: manifests.into(),
        keyring: Keyring::start(store.clone()).await.unwrap(),
        store: store.clone(),
        ledger,
        modules,
        clock,
        random,
        network,
        environment: Default::default(),
        launcher: None,
        call_log: None,
        own: Default::default(),
        single_agent: None,
    };
    (Gateway::start(setup).await.unwrap(), store)
}

/// Hears the word with which a refused credential is recorded.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<String>>);

impl Ear {
    fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl tracing::Subscriber for Ear {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("bailiwick_gateway")
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::Id {
        tracing::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::Id, _: &tracing::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut Reason(&self.0));
    }
    fn enter(&self, _: &tracing::Id) {}
    fn exit(&self, _: &tracing::Id) {}
}

struct Reason<'e>(&'e Mutex<String>);

impl Visit for Reason<'_> {
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "reason" {
            *self.0.lock().unwrap() = value.to_owned();
        }
    }
}
