//! Credentials from a vault (HashiCorp Vault and OpenBao, HTTP API): AppRole login, one read from the key/value engine for each agent that is
//! opened, and a token that is kept alive for as long as the process runs.
//!
//! All manifests that name the same vault and role share one token. A token is renewed at two thirds of its lease. What cannot be renewed
//! stays visible in health; logging in again is done only where the operator allows it (`SCOPED_MCP_VAULT_REAUTH`), because a secret id
//! may be good for one login.
//!
//! | File | Holds |
//! |---|---|
//! | `vault.rs` | which vaults there are, and the addresses of secrets |
//! | `vault/api.rs` | the four requests |
//! | `vault/session.rs` | one login: its token, its renewal, its state |

mod api;
mod session;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bailiwick_model::manifest::Vault;
use bailiwick_model::{AgentId, AgentType, Sensitive};
use bailiwick_modules::egress::{BaseUrl, Egress, HttpClient, Rules, Tls, segment};
use http::HeaderValue;
use serde_json::Value;
use tokio::task::JoinSet;
use tracing::warn;

use crate::health::Part;
use crate::lock::Lock;
use crate::mask::Mask;
use api::Api;
use session::{Role, Session};

/// Lets a session log in again when its token is refused: `1`, `true`, `yes` or `on`.
const REAUTH: &str = "SCOPED_MCP_VAULT_REAUTH";
/// Namespace of every request.
const NAMESPACE: &str = "VAULT_NAMESPACE";
/// PEM file of a further certificate authority.
const CA_FILE: &str = "VAULT_CACERT";

/// Address, private ranges and the two variables of the role: what makes a login.
type Key = (String, Vec<String>, String, String);

pub(super) struct Vaults {
    environment: Arc<BTreeMap<String, String>>,
    egress: Egress,
    mask: Arc<Mask>,
    /// One for each login that manifests name, so their number is bounded by theirs.
    sessions: Lock<BTreeMap<Key, Arc<Session>>>,
    keepers: Lock<JoinSet<()>>,
}

impl Vaults {
    pub(super) fn new(environment: Arc<BTreeMap<String, String>>, egress: Egress, mask: Arc<Mask>) -> Self {
        Self { environment, egress, mask, sessions: Lock::default(), keepers: Lock::default() }
    }

    /// The texts, numbers and truth values of the agent's secret.
    pub(super) async fn read(&self, settings: &Vault, id: &AgentId, kind: &AgentType) -> Result<HashMap<String, Sensitive>, String> {
        let path = settings.path_for(id, kind).map_err(|fault| fault.to_string())?;
        let place = Place::new(settings, &path);
        let session = self.session(settings).await?;
        let found = session.read(&place).await.map_err(|fault| format!("vault `{}`: {fault}", session.name()))?;
        Ok(found.into_iter().filter_map(|(key, value)| Some((key, scalar(value)?))).collect())
    }

    async fn session(&self, settings: &Vault) -> Result<Arc<Session>, String> {
        let ranges = settings.allow_private.iter().map(|range| format!("{range:?}")).collect();
        let key = (settings.addr.clone(), ranges, settings.role_id_env.clone(), settings.secret_id_env.clone());
        if let Some(known) = self.sessions.lock().get(&key) {
            return Ok(known.clone());
        }
        let made = Arc::new(self.make(settings).await?);
        let mut sessions = self.sessions.lock();
        if let Some(known) = sessions.get(&key) {
            return Ok(known.clone());
        }
        self.keepers.lock().spawn(made.clone().keep());
        sessions.insert(key, made.clone());
        Ok(made)
    }

    async fn make(&self, settings: &Vault) -> Result<Session, String> {
        let base = BaseUrl::parse(&settings.addr).map_err(|rule| format!("`credentials.vault.addr` {rule}"))?;
        let name = base.host.clone();
        if !base.https && !is_loopback(&name) {
            warn!(vault = name, "the vault is reached without TLS: anyone on the way reads its secrets; write an https address");
        }
        let rules = Rules::for_configured_host(&name, settings.allow_private.clone());
        let client = HttpClient::new(base, self.egress.clone(), rules, self.trust().await?, api::LIMITS);
        let namespace = self.variable(NAMESPACE).map(HeaderValue::try_from).transpose();
        let namespace = namespace.map_err(|_| format!("`{NAMESPACE}` holds a character that cannot stand in a header"))?;
        let role = role(settings, &self.environment)?;
        self.mask.learn([role.secret_id.expose()]);
        let again = self.variable(REAUTH).is_some_and(|flag| matches!(flag.trim().to_lowercase().as_str(), "1" | "true" | "yes" | "on"));
        Ok(Session::new(name, Api::new(client, namespace), role, again, self.mask.clone()))
    }

    fn variable(&self, name: &str) -> Option<&str> {
        variable(&self.environment, name)
    }

    async fn trust(&self) -> Result<Tls, String> {
        let Some(path) = self.variable(CA_FILE) else { return Ok(Tls::default()) };
        let pem = tokio::fs::read(path).await.map_err(|cause| format!("`{CA_FILE}` names a file that cannot be read: {cause}"))?;
        Tls::trusting(&pem).map_err(|cause| format!("`{CA_FILE}`: {cause}"))
    }

    pub(super) fn health(&self) -> Option<Part> {
        let sessions = self.sessions.lock();
        let failing: Vec<String> = sessions.values().filter_map(|s| Some(format!("{}: {}", s.name(), s.trouble()?))).collect();
        let ok = failing.is_empty();
        let detail = if ok { format!("{} in use", sessions.len()) } else { failing.join("; ") };
        (!sessions.is_empty()).then(|| Part { name: "vault".into(), ok, detail })
    }

    pub(super) fn close(&self) {
        self.keepers.lock().abort_all();
    }
}

/// An empty variable counts as missing.
fn variable<'e>(environment: &'e BTreeMap<String, String>, name: &str) -> Option<&'e str> {
    environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

/// What logs in.
///
/// # Errors
/// One line that names every variable the environment lacks.
pub(super) fn role(settings: &Vault, environment: &BTreeMap<String, String>) -> Result<Role, String> {
    let names = [settings.role_id_env.as_str(), settings.secret_id_env.as_str()];
    if let [Some(role_id), Some(secret_id)] = names.map(|name| variable(environment, name)) {
        return Ok(Role { role_id: Sensitive::new(role_id), secret_id: Sensitive::new(secret_id) });
    }
    let missing: Vec<&str> = names.into_iter().filter(|name| variable(environment, name).is_none()).collect();
    Err(format!("the environment has no {}, which the login to the vault needs", missing.join(" and no ")))
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn scalar(value: Value) -> Option<Sensitive> {
    match value {
        Value::String(text) => Some(Sensitive::new(text)),
        Value::Number(number) => Some(Sensitive::new(number.to_string())),
        Value::Bool(flag) => Some(Sensitive::new(flag.to_string())),
        _ => None,
    }
}

/// Where a secret is.
struct Place {
    /// For messages: engine and path as a person would say them.
    said: String,
    /// The request's path, percent-encoded.
    target: String,
    versioned: bool,
}

impl Place {
    /// `path` is beneath the mount; written as the API has it (`secret/data/x`), it means the same.
    fn new(settings: &Vault, path: &str) -> Self {
        let versioned = settings.kv_version == 2;
        let mount = settings.mount.as_str();
        let inner = if versioned { "/data/" } else { "/" };
        let path = path.trim_matches('/');
        let path = path.strip_prefix(mount).and_then(|rest| rest.strip_prefix(inner)).unwrap_or(path);
        let encoded: Vec<String> = format!("{mount}{inner}{path}").split('/').map(segment).collect();
        Self { said: format!("`{path}` in the engine `{mount}`"), target: format!("/v1/{}", encoded.join("/")), versioned }
    }
}
