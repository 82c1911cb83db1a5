//! Starting: everything is checked before anything is served.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_mcp::client::Launcher;
use bailiwick_mcp::http_rules::HostRules;
use bailiwick_model::config::{AuthMode, Config, ServerConfig};
use bailiwick_model::manifest::Manifest;
use bailiwick_model::time::{Clock, Random};
use bailiwick_model::{AgentType, OrgId, Sensitive};
use bailiwick_modules::ModuleRegistry;
use bailiwick_modules::egress::{Egress, Network};
use bailiwick_store::ledger::Ledger;
use bailiwick_store::{Keyring, Scope, Store, StoreError, StoreErrorKind};
use secrecy::ExposeSecret;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::{AUTH_EVENTS_PER_SECOND_MAX, CALLS_MAX, Gateway, Inner, KEY_LOOKS_PER_SECOND_MAX, OrganisationPlaces, RequestLimits};
use crate::agents::{Agents, AgentsSetup, Opener};
use crate::asking::Asking;
use crate::call::authenticate::Callers;
use crate::call_log::CallLog;
use crate::changes::Changes;
use crate::connections::{Connections, Parts as ConnectionParts, Rests, Roster, Turns};
use crate::credentials::Sources;
use crate::house::{House, OwnParts};
use crate::inflight::Inflight;
use crate::lock::Lock;
use crate::mask::Mask;
use crate::oauth::Settings;
use crate::oauth::profiles::Profiles;
use crate::replay::Streams;
use crate::servers::{ProbeNote, Server, Workshop};
use crate::single::{Single, SingleAgent};
use crate::spool::Spool;
use crate::tokens::Tokens;
use crate::window::Window;

/// Everything a gateway is started with. Clock, randomness, network and environment are arguments.
pub struct Setup {
    /// The configuration.
    pub config: Config,
    /// The manifests, each checked.
    pub manifests: Vec<LoadedManifest>,
    /// The rows.
    pub store: Store,
    /// The ledger.
    pub ledger: Ledger,
    /// The API keys.
    pub keyring: Keyring,
    /// The module kinds of this build.
    pub modules: ModuleRegistry,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Unpredictable bytes.
    pub random: Arc<dyn Random>,
    /// Name resolution and connections.
    pub network: Arc<dyn Network>,
    /// The environment of the process, read once.
    pub environment: BTreeMap<String, String>,
    /// Put in front of the command of a stdio server; confines it.
    pub launcher: Option<Launcher>,
    /// The only agent of the gateway, behind one token; `None` = agents have keys, or `auth: none`.
    pub single_agent: Option<SingleAgent>,
    /// A second stream of call records, as scoped-mcp writes it.
    pub call_log: Option<Arc<dyn CallLog>>,
    /// What the program brings along of its own.
    pub own: OwnParts,
}

/// A manifest and where it came from.
pub struct LoadedManifest {
    /// The file.
    pub path: PathBuf,
    /// Its content.
    pub manifest: Manifest,
}

/// Why the gateway does not start.
#[derive(Debug)]
pub struct StartFault {
    /// What is wrong and where.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl StartFault {
    pub(crate) fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for StartFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.remedy)
    }
}

impl std::error::Error for StartFault {}

impl From<StoreError> for StartFault {
    fn from(error: StoreError) -> Self {
        Self::new(error.message(), error.remedy())
    }
}

impl Gateway {
    /// Starts: makes the servers, begins their discovery, and the background work.
    ///
    /// # Errors
    /// [`StartFault`] for anything in configuration or manifests that cannot work. Nothing is left running then.
    pub async fn start(setup: Setup) -> Result<Self, StartFault> {
        let Setup {
            config,
            manifests,
            store,
            ledger,
            keyring,
            modules,
            clock,
            random,
            network,
            environment,
            launcher,
            single_agent,
            call_log,
            own,
        } = setup;
        let OwnParts { scopes, roles, contents, calls } = own;
        let contents = contents.unwrap_or_else(|| Arc::new(store.clone()));
        let roles = roles.unwrap_or_else(|| Arc::new(store.clone()));
        let house = Arc::new(House::new(&config, contents, roles));
        let mask = Arc::new(Mask::default());
        let changes = Arc::new(Changes::new());
        let mut seed = [0; 8];
        random.fill(&mut seed);
        let workshop = Arc::new(Workshop {
            egress: Egress::new(network).without_own(&[config.listen.0]),
            launcher,
            environment: environment.clone(),
            limits: config.limits.clone(),
            name_max: config.names.max_length,
            mask: mask.clone(),
            jitter_seed: u64::from_le_bytes(seed),
        });
        let mut servers = Vec::new();
        for server in &config.servers {
            servers.push(make_server(&workshop, &store, &config.org, server).await?);
        }
        let manifests = by_type(manifests)?;
        known_servers(&manifests, &config)?;
        let connections = Connections::new(ConnectionParts {
            store: store.clone(),
            oauth: oauth_settings(&config, &workshop.egress)?,
            profiles: oauth_profiles(&config)?,
            workshop: workshop.clone(),
            mask: mask.clone(),
            clock: clock.clone(),
            random: random.clone(),
            rests: Rests::default(),
            turns: Turns::default(),
            unreachable: public_fault(&config),
            is_single: single_agent.is_some() || config.auth == AuthMode::None,
        });
        let limits = (&config.limits, config.names.max_length);
        let registered = Arc::new(Roster::new(connections, &servers, limits, &changes, &mask));
        let single = match single_agent {
            Some(agent) => Some(single(&config, &store, &mask, agent).await?),
            None => None,
        };
        // One agent behind one token: nobody else is let in.
        let tokens = if single.is_some() { None } else { Tokens::new(&config, &workshop.egress)? };
        let open_agent = if single.is_some() { None } else { open_agent(&config, &manifests, &store).await? };
        let sources = Sources::new(environment.clone(), workshop.egress.clone(), mask.clone());
        let agents = Agents::new(AgentsSetup {
            manifests,
            house: house.clone(),
            opener: Opener {
                modules,
                workshop,
                environment: Arc::new(environment),
                sources,
                mask: mask.clone(),
                store: store.clone(),
                home: config.org.clone(),
                limits: config.limits.clone(),
                name_max: config.names.max_length,
            },
            servers: servers.clone(),
            registered: registered.clone(),
            changes: changes.clone(),
            organisations: OrganisationPlaces::new(&config.limits),
        });
        let asking: Arc<Asking> = Arc::default();
        let gateway = Self(Arc::new(Inner {
            limits: RequestLimits::of(&config),
            streams: Streams::new(&config.limits, asking.clone()),
            host_rules: host_rules(&config)?,
            agents,
            house,
            servers,
            registered,
            mask,
            store,
            spool: Arc::new(Spool::new(ledger.clone(), &config.limits)),
            ledger,
            keyring,
            clock,
            random,
            call_log,
            scopes,
            calls_heard: calls,
            open_agent,
            single,
            tokens,
            bursts: Lock::default(),
            config,
            inflight: Inflight::default(),
            asking,
            callers: Callers::default(),
            calls: Arc::new(Semaphore::new(CALLS_MAX as usize)),
            stopping: watch::Sender::new(false),
            auth_events: Lock::new(Window::new(AUTH_EVENTS_PER_SECOND_MAX, Duration::from_secs(1))),
            key_looks: Lock::new(Window::new(KEY_LOOKS_PER_SECOND_MAX, Duration::from_secs(1))),
            tasks: Lock::new(JoinSet::new()),
        }));
        gateway.begin_background(&changes);
        Ok(gateway)
    }
}

impl RequestLimits {
    fn of(config: &Config) -> Self {
        let limits = &config.limits;
        let count = |limit: u64| u32::try_from(limit).unwrap_or(u32::MAX);
        Self {
            message: bailiwick_mcp::Limits {
                bytes_max: at_most(limits.request_bytes_max),
                depth_max: count(limits.json_depth_max),
                tokens_max: count(limits.json_tokens_max),
            },
            result_bytes_max: at_most(limits.upstream_response_bytes_max),
            result_text_bytes_max: at_most(limits.result_text_bytes_max),
            body_read: Duration::from_secs(limits.body_read_seconds),
            module_deadline: Duration::from_secs(limits.module_deadline_seconds),
        }
    }
}

fn at_most(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// The listener's own names, what the configuration adds, and the host of `public_url`.
fn host_rules(config: &Config) -> Result<HostRules, StartFault> {
    let listen = config.listen.0;
    let mut rules = HostRules::loopback(&[listen.port()]);
    let mut hosts = config.allowed_hosts.clone();
    let mut origins = config.allowed_origins.clone();
    if !listen.ip().is_unspecified() && !listen.ip().is_loopback() {
        hosts.push(listen.to_string());
    }
    if let Some(url) = &config.public_url {
        hosts.extend(url.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or(rest).to_owned()));
        origins.push(url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/"));
    }
    let fault =
        |rule: bailiwick_mcp::http_rules::InvalidRule| StartFault::new(rule.to_string(), "correct `allowed_hosts` or `allowed_origins`");
    rules.allow(&hosts, &origins).map_err(fault)?;
    Ok(rules)
}

fn by_type(manifests: Vec<LoadedManifest>) -> Result<HashMap<AgentType, Arc<Manifest>>, StartFault> {
    let mut known: HashMap<AgentType, (PathBuf, Arc<Manifest>)> = HashMap::new();
    for LoadedManifest { path, manifest } in manifests {
        let agent_type = manifest.agent_type.clone();
        if let Some((first, _)) = known.get(&agent_type) {
            let message = format!("`{}` and `{}` are both for agent type `{agent_type}`", first.display(), path.display());
            return Err(StartFault::new(message, "keep one manifest for each agent type"));
        }
        warn_of_approvals(&manifest);
        known.insert(agent_type, (path, Arc::new(manifest)));
    }
    Ok(known.into_iter().map(|(agent_type, (_, manifest))| (agent_type, manifest)).collect())
}

/// Says what happens to calls that wait for a person: a rule that reads as if somebody were asked must not surprise.
fn warn_of_approvals(manifest: &Manifest) {
    let tools: Vec<&str> = manifest.hitl.approval_required.iter().map(bailiwick_model::glob::Glob::as_str).collect();
    if !tools.is_empty() {
        let (file, tools) = (&manifest.file, tools.join(", "));
        tracing::warn!(target: "ops", event = "approvals_not_available", file, tools, "nobody can be asked yet: calls of these tools are refused with `approval_required`");
    }
}

/// How the gateway appears to authorization servers.
pub(crate) fn oauth_settings(config: &Config, egress: &Egress) -> Result<Settings, StartFault> {
    let connections = config.connections.clone().unwrap_or_default();
    // Where nobody is sent anywhere, the address does not matter.
    let public = public(config).filter(|_| public_fault(config).is_none()).unwrap_or_else(|| "http://127.0.0.1".to_owned());
    let fault = |message: String| StartFault::new(message, "correct `public_url` or `connections`");
    let mut settings = Settings::new(&public, &connections.client_name, egress.clone()).map_err(fault)?;
    settings = settings.with_private(connections.allow_private);
    if let Some(hosts) = connections.allow_hosts {
        settings = settings.only_hosts(hosts);
    }
    if connections.allow_loopback_http {
        settings = settings.with_loopback_http();
    }
    match (connections.client_metadata_url, &config.public_url) {
        (Some(url), _) => settings.with_client_metadata_url(&url).map_err(fault),
        (None, Some(public)) if public.starts_with("https://") => {
            settings.with_client_metadata_url(&format!("{public}/oauth/client-metadata.json")).map_err(fault)
        }
        (None, _) => Ok(settings),
    }
}

/// What is known of providers.
pub(crate) fn oauth_profiles(config: &Config) -> Result<Profiles, StartFault> {
    let hosts = config.connections.as_ref().map(|connections| connections.profiles.as_slice()).unwrap_or_default();
    let profiles = Profiles::own().and_then(|profiles| profiles.with_hosts(hosts));
    profiles.map_err(|fault| StartFault::new(fault.to_string(), "correct `connections.profiles`"))
}

/// Where people reach the gateway; `None` for a port that is not known yet.
fn public(config: &Config) -> Option<String> {
    let made = || (config.listen.0.port() != 0).then(|| format!("http://{}", reachable(config.listen.0)));
    config.public_url.clone().or_else(made)
}

/// Why nobody can be sent to an authorization server from here: it has to send him back, and to an address of this machine or https.
pub(crate) fn public_fault(config: &Config) -> Option<String> {
    let Some(public) = public(config) else { return Some("the port of the gateway is not known before it starts".to_owned()) };
    let probe = Settings::new(&public, "Bailiwick", Egress::new(Arc::new(bailiwick_modules::egress::NoNetwork)));
    probe.err()
}

/// Where a browser on this machine finds what listens on `address`.
fn reachable(address: std::net::SocketAddr) -> std::net::SocketAddr {
    match address {
        any if any.ip().is_unspecified() => (std::net::Ipv4Addr::LOCALHOST, any.port()).into(),
        other => other,
    }
}

/// A manifest may only grant servers that exist. Where servers are registered, one that does not exist yet may come.
fn known_servers(manifests: &HashMap<AgentType, Arc<Manifest>>, config: &Config) -> Result<(), StartFault> {
    for manifest in manifests.values() {
        for grant in &manifest.servers {
            if !config.servers.iter().any(|server| server.name == grant.name) {
                if config.connections.is_some() {
                    tracing::info!(manifest = %manifest.file, server = %grant.name, "granted, and not configured: agents see it when it is registered");
                    continue;
                }
                let message = format!("{}:{}: server `{}` is not configured", manifest.file, grant.place.line, grant.name);
                return Err(StartFault::new(
                    message,
                    "add it under `servers` in bailiwick.yml, or write `connections: {}` there if it is registered; or take it out of the manifest",
                ));
            }
        }
    }
    Ok(())
}

/// The agent of the launch configuration, and its token.
async fn single(config: &Config, store: &Store, mask: &Mask, agent: SingleAgent) -> Result<Single, StartFault> {
    let SingleAgent { agent_id, agent_type, bearer } = agent;
    mask.learn([bearer.expose_secret()]);
    Ok(Single { scope: store.launch(&config.org, &agent_id, &agent_type).await?, bearer })
}

/// With `auth: none` everybody on loopback is one agent: `local`, of the only manifest's type.
async fn open_agent(config: &Config, manifests: &HashMap<AgentType, Arc<Manifest>>, store: &Store) -> Result<Option<Scope>, StartFault> {
    if config.auth != AuthMode::None {
        return Ok(None);
    }
    let mut types = manifests.keys();
    let (Some(agent_type), None) = (types.next(), types.next()) else {
        return Err(StartFault::new(
            format!("`auth: none` needs exactly one manifest, and there are {}", manifests.len()),
            "name one manifest, or use `auth: key` so that each agent is told apart",
        ));
    };
    let agent_id = bailiwick_model::AgentId::parse("local").map_err(|rule| StartFault::new(rule.to_string(), ""))?;
    Ok(Some(store.launch(&config.org, &agent_id, agent_type).await?))
}

async fn make_server(workshop: &Workshop, store: &Store, home: &OrgId, config: &ServerConfig) -> Result<Arc<Server>, StartFault> {
    let org = config.org.as_ref().unwrap_or(home);
    let scope = store.platform("gateway")?.within(org);
    let mut secrets: HashMap<String, Sensitive> = HashMap::new();
    for name in config.transport.secret_names() {
        match store.secrets().open(&scope, name).await {
            Ok(value) => drop(secrets.insert(name.to_owned(), Sensitive::new(value.expose_secret()))),
            Err(error) if error.kind() == StoreErrorKind::NotFound => {}
            Err(error) => return Err(StartFault::new(format!("server `{}`: {}", config.name, error.message()), error.remedy())),
        }
    }
    let note = ProbeNote::new(store, scope, &config.name, &config.transport);
    let known = note.read().await;
    // What is lent an organisation's secret serves that organisation alone.
    let lends = config.transport.secret_names().next().is_some();
    let only = config.org.clone().or_else(|| lends.then(|| home.clone()));
    let made = workshop.server(config, only, note, known, &|name| secrets.get(name).cloned());
    made.map_err(|unfit| StartFault::new(format!("server `{}`: {}", config.name, unfit.message), unfit.remedy))
}
