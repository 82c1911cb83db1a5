//! Opening the modules of an agent, and opening again what could not be opened.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::config::Limits;
use bailiwick_model::manifest::{Manifest, ModuleEntry};
use bailiwick_model::upstream::Transport;
use bailiwick_model::{OrgId, Sensitive};
use bailiwick_modules::{CredentialKey, Credentials, Host, ModuleKind, ModuleRegistry, ModuleSetup, ToolModule};
use bailiwick_store::{Scope, Store};
use secrecy::SecretString;
use tokio::task::JoinSet;

use crate::catalog::{OpenModule, Tool, module_tools};
use crate::credentials::Sources;
use crate::dependency::{Dependency, WAIT_TOTAL_DEFAULT, WAIT_TOTAL_VARIABLE};
use crate::limits::Places;
use crate::mask::Mask;
use crate::memory::StoredMemory;
use crate::servers::{Server, Workshop};

/// Shorter parts of an address are words such as `api` and `webhooks`.
const ADDRESS_KEY_BYTES_MIN: usize = 16;

pub(crate) type Secrets = HashMap<String, Sensitive>;

/// What modules are opened with.
pub(crate) struct Opener {
    pub(crate) modules: ModuleRegistry,
    pub(crate) workshop: Arc<Workshop>,
    pub(crate) environment: Arc<BTreeMap<String, String>>,
    pub(crate) sources: Sources,
    pub(crate) mask: Arc<Mask>,
    pub(crate) store: Store,
    /// The installation's own organisation.
    pub(crate) home: OrgId,
    pub(crate) limits: Limits,
    pub(crate) name_max: usize,
}

/// One opened entry of `modules`.
pub(crate) enum Opening {
    /// A built-in module and its tools.
    Module(Arc<dyn ToolModule>, Vec<Arc<Tool>>),
    /// A server of its own, which is discovered in the background.
    Server(Arc<Server>),
}

impl Opener {
    /// The credentials of a manifest, as they are now.
    pub(crate) async fn secrets(&self, scope: &Scope, manifest: &Manifest) -> Result<Secrets, String> {
        self.sources.read(&manifest.credentials, scope).await
    }

    /// Waits for services of this machine that modules need before they are opened, for all at the same time.
    pub(crate) async fn dependencies(&self, manifest: &Manifest) {
        let written = self.environment.get(WAIT_TOTAL_VARIABLE).and_then(|text| text.trim().parse().ok());
        let limit = written.map_or(WAIT_TOTAL_DEFAULT, Duration::from_secs);
        let mut waiting = JoinSet::new();
        for entry in manifest.modules.iter().filter(|entry| entry.proxy.is_none()) {
            let Some(dependency) = entry.config.get("url").and_then(|url| dependency(entry, url.as_str()?)) else { continue };
            let (module, egress) = (entry.key.clone(), self.workshop.egress.clone());
            waiting.spawn(async move { dependency.ready(&module, &egress, limit).await });
        }
        while waiting.join_next().await.is_some() {}
    }

    /// Opens one entry.
    ///
    /// # Errors
    /// One line for operators.
    pub(crate) async fn open(&self, scope: &Scope, entry: &ModuleEntry, secrets: &Secrets) -> Result<Opening, String> {
        if let Some(proxy) = &entry.proxy {
            let waits_for = match &proxy.transport {
                Transport::Http { url, .. } => dependency(entry, url),
                Transport::Stdio { .. } => None,
            };
            let made = self.workshop.proxy(&entry.key, proxy, waits_for, &|name| secrets.get(name).cloned());
            return made.map(Opening::Server).map_err(|unfit| format!("{}; {}", unfit.message, unfit.remedy));
        }
        let module = self.open_module(scope, entry, secrets).await?;
        let places = Arc::new(Places::new("module", self.limits.in_flight_per_module_max, &self.limits));
        let declared = self.kind(entry)?.credentials(&entry.config);
        let lends = declared.iter().any(|key| value(secrets, source_name(entry, &key.name)).is_some());
        let key = entry.key.as_str().into();
        let tools = module_tools(&OpenModule { key: &key, module: &module, places: &places, lends }, self.name_max);
        Ok(Opening::Module(module, tools))
    }

    fn kind(&self, entry: &ModuleEntry) -> Result<&Arc<dyn ModuleKind>, String> {
        self.modules.get(&entry.kind).ok_or_else(|| format!("this build has no module `{}`", entry.kind))
    }

    /// Every missing credential of every module that has to start, in one message.
    pub(crate) fn all_lent(&self, manifest: &Manifest, secrets: &Secrets) -> Result<(), String> {
        let mut missing = Vec::new();
        for entry in manifest.modules.iter().filter(|entry| !entry.optional && entry.proxy.is_none()) {
            let declared = self.kind(entry)?.credentials(&entry.config);
            let names = missing_credentials(&declared, entry, secrets);
            if !names.is_empty() {
                missing.push(format!("{} (module `{}`)", names.join(", "), entry.key));
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(format!("missing credentials: {}", missing.join("; "))) }
    }

    async fn open_module(&self, scope: &Scope, entry: &ModuleEntry, secrets: &Secrets) -> Result<Arc<dyn ToolModule>, String> {
        let kind = self.kind(entry)?.clone();
        let credentials = lend(&kind.credentials(&entry.config), entry, secrets, &self.mask)?;
        let memory = Arc::new(StoredMemory::new(self.store.clone(), scope.clone(), &entry.key));
        let host = Host { egress: self.workshop.egress.clone(), secrets: self.mask.clone(), memory };
        let (scope, key, access, config) = (scope.clone(), entry.key.clone(), entry.access, entry.config.clone());
        let abroad = *scope.org() != self.home;
        // Opening touches the disk.
        let opened = tokio::task::spawn_blocking(move || {
            let setup = ModuleSetup {
                key: &key,
                org: abroad.then(|| scope.org()),
                agent_id: scope.agent_id(),
                agent_type: scope.agent_type(),
                access,
                config: &config,
                credentials: &credentials,
                host: &host,
            };
            kind.open(setup)
        });
        match opened.await {
            Ok(Ok(module)) => Ok(module),
            Ok(Err(fault)) => Err(fault.to_string()),
            Err(panicked) => Err(panicked.to_string()),
        }
    }
}

fn dependency(entry: &ModuleEntry, url: &str) -> Option<Dependency> {
    Dependency::of(url, entry.dependency_wait_timeout, entry.dependency_wait_interval)
}

/// The name under which the source has the credential that the module calls `name`.
fn source_name<'a>(entry: &'a ModuleEntry, name: &'a str) -> &'a str {
    entry.credential_map.get(name).map_or(name, String::as_str)
}

/// An empty value counts as missing.
fn value<'a>(secrets: &'a Secrets, name: &str) -> Option<&'a Sensitive> {
    secrets.get(name).filter(|value| !value.expose().is_empty())
}

fn missing_credentials<'a>(declared: &'a [CredentialKey], entry: &'a ModuleEntry, secrets: &Secrets) -> Vec<&'a str> {
    let needed = declared.iter().filter(|key| key.required).map(|key| source_name(entry, &key.name));
    needed.filter(|name| value(secrets, name).is_none()).collect()
}

/// Hands over the credentials that the kind declares, masked from now on, under the names of the manifest's `credential_map`; names all missing ones.
fn lend(declared: &[CredentialKey], entry: &ModuleEntry, secrets: &Secrets, mask: &Mask) -> Result<Credentials, String> {
    let missing = missing_credentials(declared, entry, secrets);
    if !missing.is_empty() {
        return Err(format!("missing credentials: {}", missing.join(", ")));
    }
    let lent: Vec<(&str, &Sensitive)> =
        declared.iter().filter_map(|key| Some((key.name.as_ref(), value(secrets, source_name(entry, &key.name))?))).collect();
    mask.learn(lent.iter().flat_map(|(_, value)| std::iter::once(value.expose()).chain(keys_in_address(value.expose()))));
    Ok(lent.into_iter().map(|(name, value)| (name.to_owned(), SecretString::from(value.expose()))).collect())
}

impl Opening {
    /// Gives back what was opened for nothing.
    pub(crate) async fn close(self) {
        match self {
            Self::Module(module, _) => module.close().await,
            Self::Server(server) => server.close().await,
        }
    }
}

/// The long parts of an address behind its host: webhooks and shared links carry their key there, and a service may repeat a part alone.
fn keys_in_address(value: &str) -> impl Iterator<Item = &str> {
    let behind = value.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    behind.split(['/', '?', '&', '=', '#']).filter(|part| part.len() >= ADDRESS_KEY_BYTES_MIN)
}
