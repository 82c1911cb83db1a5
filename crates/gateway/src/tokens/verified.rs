//! What is known of a caller once his token is verified.

use bailiwick_model::{AgentId, AgentType, OrgId, Role, Subject, Timestamp};

use super::Fingerprint;

/// A verified token. Made only by `verify.rs`; one place turns it into a scope (`call/authenticate.rs`).
#[derive(Debug)]
pub(crate) struct Verified {
    /// The subject, with its issuer's prefix: unique within the organisation.
    pub(crate) subject: Subject,
    /// Address of the person; shown, never decisive.
    pub(crate) email: Option<String>,
    /// The organisations, all of them such that the issuer may speak for.
    pub(crate) orgs: Orgs,
    /// Groups as the issuer names them.
    pub(crate) groups: Vec<String>,
    /// The role, when the issuer gives one that is a role here. `None` grants nothing.
    pub(crate) role: Option<Role>,
    /// The agent.
    pub(crate) agent_id: AgentId,
    /// Its type, which names the manifest.
    pub(crate) agent_type: AgentType,
    /// Whether the agent is created when it is missing.
    pub(crate) create_agent: bool,
    /// The OAuth client that asked for the token; shown, never decisive.
    pub(crate) client_id: Option<String>,
    /// When it stops working, leeway included.
    pub(crate) expires_at: Timestamp,
    /// Which endpoints it was issued for.
    pub(crate) reach: Reach,
    /// Which token.
    pub(crate) fingerprint: Fingerprint,
}

/// The organisations of which somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Orgs {
    /// In which he acts when he does not say.
    pub(crate) home: OrgId,
    /// In which he may act when he says so.
    pub(crate) others: Vec<OrgId>,
}

impl Orgs {
    /// The one that is called so; `None` when it is not his.
    pub(crate) fn get(&self, name: &str) -> Option<&OrgId> {
        std::iter::once(&self.home).chain(&self.others).find(|org| org.as_str() == name)
    }
}

/// Which endpoints a token was issued for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All of this gateway.
    Gateway,
    /// Those of these servers alone.
    Servers(Vec<String>),
}

impl Reach {
    /// Whether the token may be used at the endpoint of `server`, or at the one of all.
    pub(crate) fn covers(&self, server: Option<&str>) -> bool {
        match (self, server) {
            (Self::Gateway, _) => true,
            (Self::Servers(names), Some(server)) => names.iter().any(|name| name == server),
            (Self::Servers(_), None) => false,
        }
    }
}
