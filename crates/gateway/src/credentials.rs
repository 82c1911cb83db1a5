//! Where the credentials of modules come from (reference, tool modules section 4).
//!
//! | File | Source |
//! |---|---|
//! | `credentials.rs` | the environment that the gateway was given, read once |
//! | `credentials/file.rs` | a YAML mapping |
//! | `credentials/vault.rs` | Vault and what speaks its protocol, by AppRole |

mod file;
mod vault;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bailiwick_model::Sensitive;
use bailiwick_model::manifest::{CredentialSource, Credentials};
use bailiwick_modules::egress::Egress;
use bailiwick_store::Scope;

use crate::health::Part;
use crate::mask::Mask;
use vault::Vaults;

/// Every source that manifests name.
pub(crate) struct Sources {
    environment: Arc<BTreeMap<String, String>>,
    vaults: Vaults,
}

impl Sources {
    /// Over the environment of the process; vaults are reached through `egress`, and `mask` learns what opens them.
    pub(crate) fn new(environment: BTreeMap<String, String>, egress: Egress, mask: Arc<Mask>) -> Self {
        let environment = Arc::new(environment);
        Self { vaults: Vaults::new(environment.clone(), egress, mask), environment }
    }

    /// Reads the source for one agent, once.
    ///
    /// # Errors
    /// One line with the remedy; it never holds a value.
    pub(crate) async fn read(&self, settings: &Credentials, scope: &Scope) -> Result<HashMap<String, Sensitive>, String> {
        match &settings.source {
            CredentialSource::Env => Ok(entries(&self.environment)),
            CredentialSource::File { path } => {
                let (path, strict) = (path.clone(), settings.strict_permissions);
                let read = tokio::task::spawn_blocking(move || file::read(&path, strict));
                read.await.unwrap_or_else(|_| Err("reading the secrets file broke off".into()))
            }
            CredentialSource::Vault(settings) => self.vaults.read(settings, scope.agent_id(), scope.agent_type()).await,
        }
    }

    /// How the vaults in use are doing; none is used, none is told.
    pub(crate) fn health(&self) -> Option<Part> {
        self.vaults.health()
    }

    /// Ends the renewal of tokens.
    pub(crate) fn close(&self) {
        self.vaults.close();
    }
}

/// What the source holds as far as that can be seen without dialling; `None` for a vault, of which only the login is looked at. Blocks.
///
/// # Errors
/// As [`Sources::read`].
pub(crate) fn look(settings: &Credentials, environment: &BTreeMap<String, String>) -> Result<Option<HashMap<String, Sensitive>>, String> {
    match &settings.source {
        CredentialSource::Env => Ok(Some(entries(environment))),
        CredentialSource::File { path } => file::read(path, settings.strict_permissions).map(Some),
        CredentialSource::Vault(settings) => vault::role(settings, environment).map(|_| None),
    }
}

fn entries(environment: &BTreeMap<String, String>) -> HashMap<String, Sensitive> {
    environment.iter().map(|(name, value)| (name.clone(), Sensitive::new(value.as_str()))).collect()
}
