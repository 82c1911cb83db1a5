//! Who acts, and inside which organisation. The constructors are private to this crate: a [`Scope`] is made only by
//! [`Keyring::verify`](crate::Keyring::verify), [`Store::admit`](crate::Store::admit) and [`Store::launch`](crate::Store::launch), so
//! code that holds one is past authentication (security reference section 13).

use std::fmt;
use std::sync::Arc;

use bailiwick_model::{AgentId, AgentType, GroupId, KeyId, OrgId, Role, Subject};

use crate::error::{StoreError, StoreResult};

/// Characters an operator's name may have at most; it is stored beside what he did.
const ACTOR_CHARS_MAX: usize = 128;

/// The authenticated agent. `key_id` is absent when the identity came from the launch configuration (stdio).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The instance.
    pub agent_id: AgentId,
    /// The kind, which names the manifest.
    pub agent_type: AgentType,
    /// The API key that was presented.
    pub key_id: Option<KeyId>,
    /// The member for whom it acts; `None` for an agent that acts by itself.
    pub sub: Option<Subject>,
    /// How the organisation reaches that member, for records; never used for a decision.
    pub email: Option<Box<str>>,
    /// What the issuer of a token says of him; `None` when no token was presented.
    pub claims: Option<TokenClaims>,
}

/// What a verified token says of its subject beside his name, as far as its issuer may say so here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenClaims {
    /// The OAuth client that asked for the token. Tells a person's programs apart.
    pub client_id: Option<Box<str>>,
    /// His role. It counts before that of his membership.
    pub role: Option<Role>,
    /// Groups that he is a plain member of, as far as the organisation has them.
    pub groups: Vec<GroupId>,
}

/// An authenticated principal inside its organisation. A clone costs one atomic increment.
#[derive(Clone, PartialEq, Eq)]
pub struct Scope(Arc<ScopeFacts>);

#[derive(PartialEq, Eq)]
struct ScopeFacts {
    org: OrgId,
    principal: Principal,
    actor: Box<str>,
}

impl Scope {
    pub(crate) fn new(org: OrgId, principal: Principal) -> Self {
        let actor = match &principal.sub {
            Some(sub) => sub.as_str().into(),
            // No person is called so: nobody writes under another's name.
            None => format!("agent:{}", principal.agent_id).into(),
        };
        Self(Arc::new(ScopeFacts { org, principal, actor }))
    }

    /// The organisation; every row read or written through this scope belongs to it.
    #[must_use]
    pub fn org(&self) -> &OrgId {
        &self.0.org
    }

    /// The acting agent and its credential.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.0.principal
    }

    /// The acting agent.
    #[must_use]
    pub fn agent_id(&self) -> &AgentId {
        &self.0.principal.agent_id
    }

    /// The kind of the acting agent.
    #[must_use]
    pub fn agent_type(&self) -> &AgentType {
        &self.0.principal.agent_type
    }

    /// The same principal administering its organisation. Whoever asks for it must have checked the standing
    /// ([`Members::standing`](crate::Members::standing)) before.
    #[must_use]
    pub fn operator(&self) -> OrgScope {
        OrgScope { org: self.org().clone(), actor: Tenant::actor(self).into() }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({}/{})", self.org(), self.agent_id())
    }
}

/// The operator of the installation, above organisations. Reads and writes platform rows; for an organisation's rows he must
/// name it with [`within`](Self::within).
#[derive(Clone, Debug)]
pub struct PlatformScope {
    actor: Box<str>,
}

impl PlatformScope {
    pub(crate) fn new(actor: &str) -> StoreResult<Self> {
        let printable = actor.chars().all(|c| !c.is_control());
        if actor.is_empty() || actor.chars().count() > ACTOR_CHARS_MAX || !printable {
            return Err(StoreError::invalid(
                "the operator's name is empty, too long or contains control characters",
                "use 1 to 128 printable characters",
            ));
        }
        Ok(Self { actor: actor.into() })
    }

    /// A person of `org` who may act above organisations; both names stand beside what he does.
    pub(crate) fn of_person(org: &OrgId, sub: &Subject) -> Self {
        Self { actor: format!("{org}/{sub}").into() }
    }

    /// What background work inside the store itself acts as.
    pub(crate) fn system() -> Self {
        Self { actor: "system".into() }
    }

    /// Who acts.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// The operator acting inside one named organisation.
    #[must_use]
    pub fn within(&self, org: &OrgId) -> OrgScope {
        OrgScope { org: org.clone(), actor: self.actor.clone() }
    }
}

/// An operator acting inside one organisation.
#[derive(Clone, Debug)]
pub struct OrgScope {
    org: OrgId,
    actor: Box<str>,
}

impl OrgScope {
    /// The organisation, for constant functions.
    pub(crate) const fn org_id(&self) -> &OrgId {
        &self.org
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Scope {}
    impl Sealed for super::OrgScope {}
}

/// One organisation whose rows may be touched: a [`Scope`] (an agent) or an [`OrgScope`] (an operator). No other type can be one.
pub trait Tenant: sealed::Sealed + Send + Sync {
    /// The organisation.
    fn org(&self) -> &OrgId;
    /// Who acts, as stored beside what was done.
    fn actor(&self) -> &str;
}

impl Tenant for Scope {
    fn org(&self) -> &OrgId {
        &self.0.org
    }

    fn actor(&self) -> &str {
        &self.0.actor
    }
}

impl Tenant for OrgScope {
    fn org(&self) -> &OrgId {
        &self.org
    }

    fn actor(&self) -> &str {
        &self.actor
    }
}
