//! One gateway, or two on one database, before a fake provider: the clock is the test's, and every connection goes to loopback.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use bailiwick_gateway::operations::connection;
use bailiwick_gateway::{Gateway, LoadedManifest, Returned, Setup};
use bailiwick_model::config::Config;
use bailiwick_model::manifest::Manifest;
use bailiwick_model::registered::{
    AuthMethod, ClientId, EndpointUrl, Endpoints, ExtraAuthParams, Holder, NewServer, NewToolsPolicy, RegistrationChoice, Scopes,
    ServerEra, ServerStatus, ServerUrl,
};
use bailiwick_model::time::{Clock, Random};
use bailiwick_model::{AgentId, AgentType, OrgId, Role, ServerName, Subject, Timestamp};
use bailiwick_modules::ModuleRegistry;
use bailiwick_modules::egress::SystemNetwork;
use bailiwick_store::ledger::{Ledger, LedgerOptions, Place, SigningKey};
use bailiwick_store::{DatabaseUrl, Keyring, Migrate, NewKey, OpenOptions, OrgScope, RegisteredServer, Registrar, RootKeySource, Store};
use bailiwick_testkit::client::{Client, Era};
use bailiwick_testkit::postgres::{Postgres, TestDatabase};
use bailiwick_testkit::provider::Provider;
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;
use url::Url;

use crate::door::Door;

/// Where people reach the gateway, as the fakes hear it.
pub(crate) const PUBLIC: &str = "https://gateway.example.com";
pub(crate) const CALLBACK: &str = "https://gateway.example.com/v1/mcp/oauth/callback";
const MANIFEST: &str = "agent_type: coder\nservers: {notes: {}}\n";
/// The words of the caller in records.
pub(crate) const ANN: &str = "ann";

/// A clock that stands until it is moved.
pub(crate) struct Watch(AtomicI64);

impl Clock for Watch {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// Different bytes with every call, and from every replica.
struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let number = self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
    }
}

/// Where rows are kept.
#[derive(Clone)]
pub(crate) enum Database {
    Sqlite,
    Postgres(TestDatabase),
}

impl Database {
    /// Both, or SQLite alone with a word about it where there is no PostgreSQL.
    pub(crate) fn each() -> Vec<Self> {
        let mut each = vec![Self::Sqlite];
        match Postgres::shared() {
            Some(postgres) => each.push(Self::Postgres(postgres.database())),
            None => println!("skipped: needs PostgreSQL"),
        }
        each
    }
}

/// One gateway of the bench.
pub(crate) struct Replica {
    pub(crate) gateway: Gateway,
    pub(crate) door: Door,
}

/// See the module.
pub(crate) struct Bench {
    pub(crate) replicas: Vec<Replica>,
    pub(crate) store: Store,
    pub(crate) dir: TempDir,
    clock: Arc<Watch>,
    /// Of Ann, acting through the agent `helper`.
    pub(crate) key: SecretString,
    /// Of the agent `robot`, which acts for nobody.
    pub(crate) robot: SecretString,
}

impl Bench {
    pub(crate) async fn build(replicas: usize, database: Database, profile: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let clock = Arc::new(Watch(AtomicI64::new(1_785_231_000_000_000)));
        let mut built = Vec::new();
        let mut stores = Vec::new();
        for number in 0..replicas {
            let (replica, store) = replica(&dir, &database, &clock, number, profile).await;
            built.push(replica);
            stores.push(store);
        }
        let store = stores.swap_remove(0);
        let scope = store.platform("test").unwrap().within(&org());
        store.members().add(&scope, &Subject::parse(ANN).unwrap(), None, Role::OrgAdmin).await.unwrap();
        let key = key(&store, &scope, "helper", Some(ANN)).await;
        let robot = self::key(&store, &scope, "robot", None).await;
        Self { replicas: built, store, dir, clock, key, robot }
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.replicas[0].gateway
    }

    pub(crate) fn scope(&self) -> OrgScope {
        self.store.platform("test").unwrap().within(&org())
    }

    pub(crate) fn ann() -> Holder {
        Holder::Person(Subject::parse(ANN).unwrap())
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.0.fetch_add(i64::try_from(time.as_micros()).unwrap(), Ordering::Relaxed);
    }

    /// Registers the provider's server as `notes` and sets it up.
    pub(crate) async fn register(&self, provider: &Provider, change: impl FnOnce(&mut NewServer)) -> RegisteredServer {
        let mut new = new_server(&provider.url());
        change(&mut new);
        let secret = (new.choice == RegistrationChoice::Manual).then(|| SecretString::from("by-hand-secret"));
        let scope = self.scope();
        let record = self.store.servers().register(&scope, &new, secret.as_ref()).await.unwrap();
        self.gateway().connections().set_up(Registrar::Org(&scope), &record).await.unwrap();
        self.record(&record).await
    }

    pub(crate) async fn record(&self, record: &RegisteredServer) -> RegisteredServer {
        self.store.servers().get(&self.scope(), record.id).await.unwrap()
    }

    /// Registers, and has to succeed.
    pub(crate) async fn active(&self, provider: &Provider, change: impl FnOnce(&mut NewServer)) -> RegisteredServer {
        let record = self.register(provider, change).await;
        assert_eq!((record.status, record.status_reason.as_deref()), (ServerStatus::Active, None));
        record
    }

    /// Ann connects as somebody who uses the management API: start, consent, callback.
    pub(crate) async fn connect(&self, provider: &Provider, record: &RegisteredServer) {
        let connections = self.gateway().connections();
        let started = connections.start(&self.scope(), &Self::ann(), ANN, record.id, &[]).await.unwrap();
        let back = provider.approve(started.authorization_url.expose_secret());
        connections.finish(&self.scope(), ANN, returned(&back)).await.unwrap();
    }

    /// Ann opens a link that her agent was given, agrees on our page and at the provider, in one browser.
    pub(crate) async fn follow(&self, provider: &Provider, link: &str) {
        let connections = self.gateway().connections();
        let (org_name, handle) = link.strip_prefix(&format!("{PUBLIC}/connect/")).unwrap().split_once('/').unwrap();
        assert_eq!(org_name, "acme");
        let ticket = connections.open_link(&org(), handle).await.unwrap().expect("an open link");
        let (started, browser) = connections.start_in_browser(&org(), &ticket, None).await.unwrap();
        let back = provider.approve(started.authorization_url.expose_secret());
        let path = Url::parse(&back).unwrap().path().to_owned();
        connection::finish_in_browser(&self.gateway().page_operations(), &browser, &path, returned(&back)).await.unwrap();
    }

    /// A client of Ann's agent, at one of the replicas.
    pub(crate) async fn client(&self, replica: usize, era: Era, capabilities: serde_json::Value) -> Client {
        let client = Client::http(self.replicas[replica].door.url(), era).bearer(self.key.expose_secret()).capabilities(capabilities);
        client.open().await.unwrap();
        client
    }

    /// The same, once it sees `tool`: another replica may have changed the rows a moment ago.
    pub(crate) async fn client_with(&self, replica: usize, tool: &str) -> Client {
        let client = self.client(replica, Era::Modern, serde_json::json!({})).await;
        wait_for(&client, tool).await;
        client
    }

    pub(crate) async fn close(self) -> TempDir {
        for replica in &self.replicas {
            replica.gateway.finish(Duration::ZERO).await;
        }
        self.dir
    }
}

/// Looks again until the agent has the tool; the rows are compared twice a second.
pub(crate) async fn wait_for(client: &Client, tool: &str) {
    for _ in 0..500 {
        if client.tool_names().await.unwrap().iter().any(|name| name == tool) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no tool `{tool}`: {:?}", client.tool_names().await);
}

pub(crate) fn org() -> OrgId {
    OrgId::parse("acme").unwrap()
}

/// What a browser was sent back with.
pub(crate) fn returned(location: &str) -> Returned {
    Returned::read(Url::parse(location).unwrap().query().unwrap_or_default()).unwrap()
}

pub(crate) fn new_server(url: &str) -> NewServer {
    NewServer {
        display_name: ServerName::parse("notes").unwrap(),
        server_url: ServerUrl::parse(url, true).unwrap(),
        choice: RegistrationChoice::Auto,
        endpoints: Endpoints::default(),
        client_id: None,
        auth_method: None,
        scopes: Scopes::default(),
        extra_auth_params: ExtraAuthParams::default(),
        era: ServerEra::Auto,
        allowed_tools: None,
        new_tools_policy: NewToolsPolicy::Review,
    }
}

/// What an administrator fills in for a provider that registers nobody by request.
pub(crate) fn by_hand(provider: &Provider, authorize: &str, token: &str) -> impl FnOnce(&mut NewServer) + use<> {
    let (origin, issuer) = (provider.origin(), provider.issuer());
    let url = |text: String| Some(EndpointUrl::parse(&text, true).unwrap());
    let endpoints = Endpoints {
        issuer: url(issuer),
        authorization: url(format!("{origin}{authorize}")),
        token: url(format!("{origin}{token}")),
        revocation: None,
    };
    move |new| {
        new.choice = RegistrationChoice::Manual;
        new.endpoints = endpoints;
        new.client_id = Some(ClientId::parse("by-hand").unwrap());
        new.auth_method = Some(AuthMethod::ClientSecretPost);
    }
}

async fn key(store: &Store, scope: &OrgScope, agent: &str, sub: Option<&str>) -> SecretString {
    let agent_id = AgentId::parse(agent).unwrap();
    store.agents().create(scope, &agent_id, &AgentType::parse("coder").unwrap()).await.unwrap();
    let sub = sub.map(|sub| Subject::parse(sub).unwrap());
    let new = NewKey { agent_id, sub, label: String::new(), expires_at: None };
    store.keys().create(scope, new).await.unwrap().token
}

async fn replica(dir: &TempDir, database: &Database, clock: &Arc<Watch>, number: usize, profile: &str) -> (Replica, Store) {
    let random: Arc<dyn Random> = Arc::new(Counting(AtomicU64::new(1 + (number as u64) * 1_000_000_007)));
    let clock: Arc<dyn Clock> = clock.clone();
    let url = match database {
        Database::Sqlite => DatabaseUrl::sqlite(&dir.path().join("bw.db")).unwrap(),
        Database::Postgres(database) => DatabaseUrl::parse(&database.url).unwrap(),
    };
    let options = OpenOptions {
        database: url,
        root_key: RootKeySource::File { path: dir.path().join("root.key"), create: true },
        clock: clock.clone(),
        random: random.clone(),
        migrate: Migrate::Apply,
    };
    let store = Store::open(options).await.unwrap();
    store.orgs().ensure(&store.platform("test").unwrap(), &org()).await.unwrap();
    let ledger_dir = dir.path().join(format!("ledger-{number}"));
    std::fs::create_dir(&ledger_dir).unwrap();
    let signing = SigningKey::sealed(store.checkpoint_key().await.unwrap());
    let options = LedgerOptions::new(Place::Segments { dir: ledger_dir }, Arc::new(signing), clock.clone());
    let ledger = Ledger::open(options.with_index(Arc::new(store.clone()))).await.unwrap();
    let config = format!(
        "org: acme\npublic_url: {PUBLIC}\nconnections: {{allow_loopback_http: true, profiles: {{\"127.0.0.1\": {profile}}}}}\n\
         allowed_hosts: [\"127.0.0.1\"]\n"
    );
    let (config, _) = Config::parse("bailiwick.yml", &config, &|_| None).unwrap();
    let modules = ModuleRegistry::with_builtin();
    let (manifest, _) = Manifest::parse("coder.yml", MANIFEST, &|_| None, &modules).unwrap();
    let setup = Setup {
        config,
        manifests: vec![LoadedManifest { path: "coder.yml".into(), manifest }],
        keyring: Keyring::start(store.clone()).await.unwrap(),
        store: store.clone(),
        ledger,
        modules,
        clock,
        random,
        network: Arc::new(SystemNetwork),
        environment: BTreeMap::new(),
        launcher: None,
        call_log: None,
        own: Default::default(),
        single_agent: None,
    };
    let gateway = Gateway::start(setup).await.unwrap();
    let door = Door::open(&gateway).await;
    (Replica { gateway, door }, store)
}
