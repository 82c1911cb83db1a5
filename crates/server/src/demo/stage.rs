//! The demonstration's stage: a temporary directory, the ticket server, the gateway, two agents with their keys.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bailiwick_model::config::Listen;
use bailiwick_model::{AgentId, AgentType, KeyId, OrgId, Timestamp};
use bailiwick_modules::{CallContext, Cancel, Credentials, Host, ModuleRegistry, ModuleSetup};
use bailiwick_store::{NewKey, PlatformScope, Store};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::client::{Client, get};
use super::desk::DeskProcess;
use super::scene::{self, ACME, BUILD, GLOBEX, NOTES, RESEARCH, TOKEN_SECRET};
use super::steps::Parties;
use crate::app::{self, Plan};
use crate::cli::Context;
use crate::exit::{Exit, Failure};
use crate::http::{HttpLimits, Reserved};
use crate::serve::Serving;
use crate::settings::Settings;

/// How long the gateway may take to know what the ticket server offers.
const SERVERS_MAX: Duration = Duration::from_secs(10);

/// Everything that runs and lies around for the demonstration; the directory goes away with it.
pub(super) struct Stage {
    home: TempDir,
    store: Store,
    operator: PlatformScope,
    build_key: KeyId,
    /// The key of the research agent, for a client that is to be attached afterwards.
    pub(super) research_token: String,
    pub(super) gateway: SocketAddr,
    pub(super) ledger_dir: PathBuf,
    serving: Serving,
    desk: DeskProcess,
}

impl Stage {
    /// Sets everything up and starts it.
    pub(super) async fn set_up(context: &Context) -> Result<(Self, Parties), Failure> {
        let home = tempfile::Builder::new().prefix("bailiwick-demo-").tempdir().map_err(|cause| no_place(&cause))?;
        let desk_token = random_token(context);
        let desk = DeskProcess::start(&desk_token).await?;
        scene::lay_out(home.path(), desk.address.port()).map_err(|cause| no_place(&cause))?;
        write_notes(home.path(), context.clock.now()).await?;

        let mut settings = Settings::load(Some(&home.path().join("bailiwick.yml")), &context.environment)?;
        settings.quiet = true;
        let reserved = Reserved::bind(settings.config.listen.0)?;
        settings.config.listen = Listen(reserved.address());
        // The store is opened a second time, as the command line of an operator would beside a running gateway.
        let store = settings.open_store(&context.clock, &context.random).await?;
        let operator = store.platform("demo")?;
        seal_token(&store, &operator, &desk_token).await?;
        let (_, research_token) = create_key(&store, &operator, ACME, RESEARCH).await?;
        let (build_key, build_token) = create_key(&store, &operator, GLOBEX, BUILD).await?;

        let (ledger_dir, path) = (settings.ledger_dir(), settings.config.path.clone());
        let manifests = app::load_manifests(&settings.manifest_files()?, &settings.config, context.checks(false))?;
        let gateway = app::start(Plan {
            settings,
            manifests,
            environment: context.environment.clone(),
            modules: context.modules.clone(),
            own: context.own.clone(),
            clock: context.clock.clone(),
            random: context.random.clone(),
            single_agent: None,
            call_log: None,
        })
        .await?;
        let address = reserved.address();
        let serving = Serving::begin(gateway, reserved.listen()?, path, HttpLimits::default());
        wait_for_servers(address).await?;
        let parties = Parties {
            gateway: address,
            desk: desk.address,
            desk_token,
            research: Client::modern(address, &research_token),
            build: Client::legacy(address, &build_token).await.map_err(|fault| Failure::new(Exit::Failed, fault))?,
        };
        Ok((Self { home, store, operator, build_key, research_token, gateway: address, ledger_dir, serving, desk }, parties))
    }

    /// The demonstration's directory.
    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Revokes the second agent's key, as `bailiwick key revoke` does, and says when.
    pub(super) async fn revoke_build_key(&self) -> Result<Instant, String> {
        let inside = self.operator.within(&org(GLOBEX).map_err(|failure| failure.to_string())?);
        self.store.keys().revoke(&inside, self.build_key).await.map_err(|fault| fault.to_string())?;
        Ok(Instant::now())
    }

    /// Makes everything recorded so far durable and readable.
    pub(super) async fn flush_ledger(&self) {
        self.serving.gateway().flush_ledger().await;
    }

    /// Stops the gateway and the ticket server, and removes the directory.
    pub(super) async fn tear_down(self) {
        let Self { serving, desk, store, .. } = self;
        serving.stop(Duration::ZERO, Duration::from_secs(5)).await;
        store.close().await;
        desk.stop().await;
    }
}

/// The gateway looks its servers up while it already serves; the story begins when it knows them.
async fn wait_for_servers(gateway: SocketAddr) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        let health = get(gateway, "/health").await.map_err(|fault| Failure::new(Exit::Failed, fault))?;
        if health["tools"].as_u64().is_some_and(|tools| tools > 0) {
            return Ok(());
        }
        if began.elapsed() > SERVERS_MAX {
            return Err(Failure::new(Exit::Failed, format!("the gateway does not find the ticket server's tools: {health}")));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn no_place(cause: &std::io::Error) -> Failure {
    Failure::new(Exit::Unavailable, format!("cannot use a temporary directory: {cause}"))
        .hint("set `TMPDIR` to a directory that you may write")
}

fn org(name: &str) -> Result<OrgId, Failure> {
    OrgId::parse(name).map_err(|fault| Failure::new(Exit::Failed, fault.to_string()))
}

fn agent((id, kind): (&str, &str)) -> Result<(AgentId, AgentType), Failure> {
    let failed = |fault: bailiwick_model::id::InvalidId| Failure::new(Exit::Failed, fault.to_string());
    Ok((AgentId::parse(id).map_err(failed)?, AgentType::parse(kind).map_err(failed)?))
}

/// 128 random bits as text.
fn random_token(context: &Context) -> String {
    bailiwick_model::EventId::random(context.random.as_ref()).to_string()
}

async fn seal_token(store: &Store, operator: &PlatformScope, token: &str) -> Result<(), Failure> {
    let acme = org(ACME)?;
    store.orgs().ensure(operator, &acme).await?;
    store.secrets().put(&operator.within(&acme), TOKEN_SECRET, &SecretString::from(token)).await?;
    Ok(())
}

async fn create_key(store: &Store, operator: &PlatformScope, org_name: &str, who: (&str, &str)) -> Result<(KeyId, String), Failure> {
    let (org, (agent_id, agent_type)) = (org(org_name)?, agent(who)?);
    let inside = operator.within(&org);
    store.orgs().ensure(operator, &org).await?;
    store.agents().create(&inside, &agent_id, &agent_type).await?;
    let key = store.keys().create(&inside, NewKey { agent_id, sub: None, label: "demonstration".to_owned(), expires_at: None }).await?;
    Ok((key.id, key.token.expose_secret().to_owned()))
}

/// Fills the research agent's database through the module itself, opened with write access; the agent only gets to read.
async fn write_notes(home: &Path, now: Timestamp) -> Result<(), Failure> {
    let failed = |what: String| Failure::new(Exit::Failed, format!("cannot prepare the agent's database: {what}"));
    let (agent_id, agent_type) = agent(RESEARCH)?;
    let mut config = Map::new();
    config.insert("db_dir".to_owned(), json!(home.join("databases")));
    let registry = ModuleRegistry::with_builtin();
    let kind = registry.get("sqlite").ok_or_else(|| failed("no module `sqlite`".to_owned()))?;
    let credentials = Credentials::default();
    let setup = ModuleSetup {
        key: "notes",
        org: None,
        agent_id: &agent_id,
        agent_type: &agent_type,
        access: None,
        config: &config,
        credentials: &credentials,
        host: &Host::isolated(),
    };
    let notes = kind.open(setup).map_err(|fault| failed(fault.message.to_string()))?;
    let cancel = Cancel::new();
    let mut calls: Vec<(&str, Value)> =
        vec![("create_table", json!({"name": "notes", "columns": {"id": "INTEGER PRIMARY KEY", "text": "TEXT"}}))];
    calls.extend(NOTES.map(|note| ("execute", json!({"sql": "INSERT INTO notes (text) VALUES (?1)", "params": [note]}))));
    for (tool, arguments) in calls {
        let call = CallContext { deadline: Instant::now() + Duration::from_secs(10), cancel: &cancel, call: "demo", now };
        notes.call(tool, &arguments.to_string(), call).await.map_err(|fault| failed(fault.message.to_string()))?;
    }
    notes.close().await;
    Ok(())
}
