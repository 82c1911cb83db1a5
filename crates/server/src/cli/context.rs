//! What every command works with: the environment, the form of results, the clock, and the settings when it needs them.

use std::path::PathBuf;
use std::sync::Arc;

use bailiwick_gateway::{Connections, OwnParts};
use bailiwick_model::time::{Clock, Random};
use bailiwick_modules::ModuleRegistry;
use bailiwick_modules::egress::SystemNetwork;
use bailiwick_store::{PlatformScope, Store};

use super::args::{Common, Form};
use super::desk::{Desk, Here, Work};
use super::remote::Remote;
use crate::Program;
use crate::app;
use crate::check::Checks;
use crate::environment::Environment;
use crate::exit::{Exit, Failure};
use crate::logging::LogFormat;
use crate::settings::Settings;
use crate::system::{SystemClock, SystemRandomness};

/// High-level arguments that all commands share.
pub(crate) struct Context {
    pub(crate) environment: Environment,
    pub(crate) config: Option<PathBuf>,
    /// The gateway whose API is spoken instead of opening the database.
    pub(crate) server: Option<String>,
    pub(crate) form: Form,
    pub(crate) log_format: Option<LogFormat>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    /// The module kinds of this build.
    pub(crate) modules: ModuleRegistry,
    /// What the program brings along of its own.
    pub(crate) own: OwnParts,
    /// Steps of hardening that this place does not allow; told once logging has started.
    pub(crate) unhardened: Vec<String>,
}

impl Context {
    /// From the arguments and the environment of the process.
    pub(crate) fn new(common: Common, environment: Environment, unhardened: Vec<String>, program: Program) -> Self {
        let Program { modules, own } = program;
        Self {
            environment,
            config: common.config,
            server: common.server,
            form: common.output,
            log_format: common.log_format,
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandomness::default()),
            modules,
            own,
            unhardened,
        }
    }

    /// The configuration.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        Settings::load(self.config.as_deref(), &self.environment)
    }

    /// Full checks of manifests.
    pub(crate) fn checks(&self, strict: bool) -> Checks<'_> {
        Checks { environment: &self.environment, modules: &self.modules, credentials: true, strict }
    }

    /// Opens the store for an operator's command, as `serve` does, with the operator's scope.
    ///
    /// # Errors
    /// When the state directory or the database cannot be used; with `--server`, which would be left unheard.
    pub(crate) async fn store(&self, settings: &Settings) -> Result<(Store, PlatformScope), Failure> {
        if self.server.is_some() {
            return Err(Failure::new(Exit::Usage, "this can only be done at the machine").hint("leave `--server` out"));
        }
        let store = settings.open_store(&self.clock, &self.random).await?;
        let scope = store.platform(&self.actor())?;
        Ok((store, scope))
    }

    /// Where an administrator's command is done: at the gateway of `--server`, or here.
    ///
    /// # Errors
    /// When neither can be reached or opened.
    pub(crate) async fn desk(&self, work: Work) -> Result<Desk, Failure> {
        if let Some(server) = &self.server {
            return Ok(Desk::there(Remote::new(server, &self.environment, &self.clock)?));
        }
        self.local_desk(&self.settings()?, work).await
    }

    /// The store and the ledger for a command that can only be done here and changes something.
    ///
    /// # Errors
    /// When one of them cannot be opened.
    pub(crate) async fn recording_desk(&self, settings: &Settings) -> Result<Desk, Failure> {
        self.local_desk(settings, Work::Changes).await
    }

    async fn local_desk(&self, settings: &Settings, work: Work) -> Result<Desk, Failure> {
        let (store, scope) = self.store(settings).await?;
        let ledger = match work {
            Work::Reads => None,
            Work::Changes => Some(app::open_ledger(settings, &store, &self.clock, &self.random).await?),
        };
        let rules = settings.config.instructions.as_ref().map(|config| config.rules.clone()).unwrap_or_default();
        let idle = settings.config.runs.unwrap_or_default().idle;
        let connections = Connections::for_operator(&settings.config, &store, Arc::new(SystemNetwork), &self.clock, &self.random)
            .map_err(|fault| Failure::new(Exit::Usage, fault.to_string()))?;
        let home = settings.config.org.clone();
        Ok(Desk::here(Here { store, scope, ledger, home, rules, idle, connections }, &self.clock, &self.random))
    }

    /// Who is written down as the author of a change.
    fn actor(&self) -> String {
        let user = self.environment.get("USER").or_else(|| self.environment.get("LOGNAME"));
        let name: String = user.map(String::as_str).unwrap_or("operator").chars().filter(|c| !c.is_control()).take(64).collect();
        format!("cli:{name}")
    }
}
