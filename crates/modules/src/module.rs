//! The two traits every module implements.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bailiwick_model::{AgentId, AgentType, OrgId};
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::config::ConfigKey;
use crate::context::CallContext;
use crate::fault::{OpenFault, ToolFault};
use crate::host::Host;
use crate::output::ToolOutput;
use crate::spec::{Access, ToolSpec};

/// A future that may borrow from its maker. A box and no `async fn`, because modules are used as trait objects.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A module opened for one agent. All methods may be called concurrently.
pub trait ToolModule: Send + Sync + 'static {
    /// The tools this instance offers in its mode, in the order in which they are listed. Does not change over time.
    fn tools(&self) -> Vec<ToolSpec>;

    /// Refuses arguments that name something outside the agent's resources or make no sense. Pure and quick: it runs
    /// before anything is recorded and before any effect. `call` may still refuse what only the resource itself shows.
    ///
    /// # Errors
    /// The fault that `call` would give for the same arguments.
    fn confine(&self, tool: &str, arguments: &str) -> Result<(), ToolFault>;

    /// Runs one call. `arguments` is the text of a JSON object that passed the tool's input schema.
    ///
    /// Dropping the future cancels the call. Errors are part of the answer to the agent, see [`ToolFault`].
    fn call<'a>(&'a self, tool: &'a str, arguments: &'a str, context: CallContext<'a>) -> Pending<'a, Result<ToolOutput, ToolFault>>;

    /// Gives resources back; called once, after the last call.
    fn close(&self) -> Pending<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A credential that a module kind asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialKey {
    /// Name in the credential source, e.g. `NTFY_URL`.
    pub name: Cow<'static, str>,
    /// Whether the module cannot start without it.
    pub required: bool,
}

impl CredentialKey {
    /// One that the module cannot start without.
    #[must_use]
    pub const fn required(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), required: true }
    }

    /// One that may be missing.
    #[must_use]
    pub const fn optional(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), required: false }
    }
}

/// The credentials handed to one instance: only the ones its kind declares.
#[derive(Clone, Debug, Default)]
pub struct Credentials(BTreeMap<String, SecretString>);

impl Credentials {
    /// The value of `name`; an empty value counts as missing and is never stored here.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&SecretString> {
        self.0.get(name)
    }
}

impl FromIterator<(String, SecretString)> for Credentials {
    fn from_iter<I: IntoIterator<Item = (String, SecretString)>>(entries: I) -> Self {
        use secrecy::ExposeSecret;
        Self(entries.into_iter().filter(|(_, value)| !value.expose_secret().is_empty()).collect())
    }
}

/// What a kind is given to open an instance.
#[derive(Clone, Copy, Debug)]
pub struct ModuleSetup<'a> {
    /// Name of the instance in the manifest; the gateway prefixes its tools with it.
    pub key: &'a str,
    /// The agent's organisation, unless it is the installation's home organisation. Agents of two organisations may have the same id: what
    /// is kept for one of another organisation has to lie apart (see `ConfigReader::place`).
    pub org: Option<&'a OrgId>,
    /// The agent whose resources are opened.
    pub agent_id: &'a AgentId,
    /// The type of that agent.
    pub agent_type: &'a AgentType,
    /// The mode; `None` = none given, which offers every tool.
    pub access: Option<Access>,
    /// The `config` mapping, variables replaced.
    pub config: &'a Map<String, Value>,
    /// The credentials the kind declares.
    pub credentials: &'a Credentials,
    /// What the program lends.
    pub host: &'a Host,
}

/// A configuration to look at before anything is opened: the shape of every value fits its [`ConfigKey`] already.
#[derive(Clone, Copy, Debug)]
pub struct ModuleDraft<'a> {
    /// The agent's id, when it is known.
    pub agent_id: Option<&'a AgentId>,
    /// The agent's type.
    pub agent_type: &'a AgentType,
    /// The mode; `None` = none given, which offers every tool.
    pub access: Option<Access>,
    /// The `config` mapping, variables replaced.
    pub config: &'a Map<String, Value>,
}

/// A family of tools, before it is opened for an agent.
pub trait ModuleKind: Send + Sync + 'static {
    /// The word used as key or `type` in a manifest.
    fn name(&self) -> &'static str;

    /// The keys understood under `config`.
    fn config_keys(&self) -> &'static [ConfigKey];

    /// The credentials asked for under this configuration.
    fn credentials(&self, config: &Map<String, Value>) -> Vec<CredentialKey> {
        let _ = config;
        Vec::new()
    }

    /// Every mistake that the configuration alone shows, without disk, network or credentials; `OpenFault::key` is the dotted path beneath
    /// `config`, list places counted from 0 (`allowed_services.2.base_url`). [`open`](Self::open) refuses the same.
    fn check(&self, draft: ModuleDraft<'_>) -> Vec<OpenFault> {
        let _ = draft;
        Vec::new()
    }

    /// Every tool the kind can offer under any configuration, without prefix; for checking patterns before anything is opened.
    fn tools(&self) -> Vec<(&'static str, Access)>;

    /// The tools that [`tools`](Self::tools) names, as they describe themselves; for the reference.
    fn specs(&self) -> Vec<ToolSpec> {
        Vec::new()
    }

    /// Opens an instance. May touch the disk; call it where blocking is allowed.
    ///
    /// # Errors
    /// [`OpenFault`] naming the configuration key or credential and what to change.
    fn open(&self, setup: ModuleSetup<'_>) -> Result<Arc<dyn ToolModule>, OpenFault>;
}
