//! The modules of one agent while it is served: those that work, those that are tried again, and the watchers of its own servers.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::manifest::{Manifest, STATUS_KEY};
use bailiwick_modules::ToolModule;
use bailiwick_store::Scope;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::opening::{Opener, Opening};
use crate::bailiwick::Bailiwick;
use crate::catalog::{OpenModule, module_tools};
use crate::changes::Changes;
use crate::limits::Places;
use crate::lock::Lock;
use crate::mask::Mask;
use crate::servers::Server;
use crate::status::Status;

/// Pause before what could not be opened is tried again; doubled up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(300);

/// Opened modules and servers of one agent.
pub(crate) struct Staff {
    bailiwick: Arc<Bailiwick>,
    changes: Arc<Changes>,
    mask: Arc<Mask>,
    modules: Lock<Vec<Arc<dyn ToolModule>>>,
    servers: Lock<Vec<Arc<Server>>>,
    /// Servers that nobody watches yet.
    unwatched: Lock<Vec<Arc<Server>>>,
    came: Notify,
    /// Entries of the manifest that are not opened, by number.
    missing: Lock<Vec<usize>>,
}

impl Staff {
    pub(crate) fn new(bailiwick: &Arc<Bailiwick>, manifest: &Manifest, changes: &Arc<Changes>, opener: &Opener) -> Self {
        if manifest.compat.status_tool {
            let status: Arc<dyn ToolModule> = Arc::new(Status::of(bailiwick));
            let places = Arc::new(Places::new("module", opener.limits.in_flight_per_module_max, &opener.limits));
            bailiwick.add_tools(module_tools(
                &OpenModule { key: &STATUS_KEY.into(), module: &status, places: &places, lends: false },
                opener.name_max,
            ));
        }
        Self {
            bailiwick: bailiwick.clone(),
            changes: changes.clone(),
            mask: opener.mask.clone(),
            modules: Lock::default(),
            servers: Lock::default(),
            unwatched: Lock::default(),
            came: Notify::new(),
            missing: Lock::default(),
        }
    }

    /// Takes in what was opened for entry `number` of the manifest.
    pub(crate) fn join(&self, number: usize, opening: Opening) {
        match opening {
            Opening::Module(module, tools) => {
                self.bailiwick.set_opened(number);
                self.bailiwick.add_tools(tools);
                self.modules.lock().push(module);
            }
            Opening::Server(server) => {
                self.bailiwick.set_opened(number);
                self.bailiwick.add_server(server.clone());
                self.servers.lock().push(server.clone());
                self.unwatched.lock().push(server);
                self.came.notify_one();
            }
        }
    }

    /// Notes that entry `number` is to be tried again.
    pub(crate) fn leave_out(&self, number: usize) {
        self.missing.lock().push(number);
    }

    /// Watches servers and tries again what is missing, until the task is ended.
    pub(crate) async fn run(self: Arc<Self>, opener: Arc<Opener>, scope: Scope, manifest: Arc<Manifest>) {
        let mut watchers = JoinSet::new();
        let mut retry = RETRY_MIN;
        loop {
            for server in std::mem::take(&mut *self.unwatched.lock()) {
                watchers.spawn(server.watch(self.changes.clone(), self.mask.clone()));
            }
            if self.missing.lock().is_empty() {
                self.came.notified().await;
                continue;
            }
            tokio::time::sleep(retry).await;
            retry = (retry * 2).min(RETRY_MAX);
            self.try_again(&opener, &scope, &manifest).await;
        }
    }

    async fn try_again(&self, opener: &Opener, scope: &Scope, manifest: &Manifest) {
        let missing = std::mem::take(&mut *self.missing.lock());
        // What is missing may be a credential that has been put in place since.
        let secrets = opener.secrets(scope, manifest).await;
        for number in missing {
            let Some(entry) = manifest.modules.get(number) else { continue };
            let opened = match &secrets {
                Ok(secrets) => opener.open(scope, entry, secrets).await,
                Err(cause) => Err(cause.clone()),
            };
            match opened {
                Ok(opening) => {
                    info!(target: "ops", event = "module_recovered", module = %entry.key, agent_id = %scope.agent_id(), "the module works now");
                    self.join(number, opening);
                    self.changes.bump();
                }
                Err(cause) => {
                    warn!(target: "ops", event = "module_init_failed", module = %entry.key, %cause, "still left out");
                    self.missing.lock().push(number);
                }
            }
        }
    }

    /// Closes everything that was opened.
    pub(crate) async fn close(&self) {
        let modules = std::mem::take(&mut *self.modules.lock());
        for module in modules {
            module.close().await;
        }
        let servers = std::mem::take(&mut *self.servers.lock());
        for server in servers {
            server.close().await;
        }
    }
}
