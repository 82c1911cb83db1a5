//! The agent behind a verified token. Keys are rows of ours; a token is the word of an issuer, and only here does it become a [`Scope`].

use std::fmt;

use bailiwick_model::{AgentId, AgentType, OrgId, Subject};

use crate::agent::{find, insert};
use crate::error::{StoreErrorKind, StoreResult};
use crate::org;
use crate::scope::{OrgScope, Principal, Scope, TokenClaims};
use crate::store::Store;

/// Who the rows that a token makes are by.
const TOKEN_ACTOR: &str = "token";

/// The identity that a verified token speaks for.
#[derive(Clone, Copy, Debug)]
pub struct TokenAgent<'t> {
    /// The organisation, one that its issuer may speak for.
    pub org: &'t OrgId,
    /// The instance.
    pub agent_id: &'t AgentId,
    /// The kind.
    pub agent_type: &'t AgentType,
    /// For whom it acts, as the issuer names him.
    pub sub: &'t Subject,
    /// How he is reached, for records.
    pub email: Option<&'t str>,
    /// What else the token says of him.
    pub claims: &'t TokenClaims,
    /// Whether organisation and agent are created when they are missing.
    pub create: bool,
}

/// Why a verified token has no agent here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentRefusal {
    /// The agent does not exist, and is not to be created.
    Unknown,
    /// It may not act.
    Disabled,
    /// It exists with another type, so that the token would give it another manifest.
    OtherType,
}

impl AgentRefusal {
    /// The word for the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "agent_unknown",
            Self::Disabled => "agent_disabled",
            Self::OtherType => "agent_other_type",
        }
    }
}

impl fmt::Display for AgentRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Store {
    /// The scope of a token that was verified: signature, issuer, audience and time are the caller's business, the agent's state is
    /// looked up here. What is found holds while [`Keyring::agent_states`](crate::Keyring::agent_states) stays the same.
    ///
    /// # Errors
    /// As the database gives them. The inner error says why the agent may not act.
    pub async fn admit(&self, token: TokenAgent<'_>) -> StoreResult<Result<Scope, AgentRefusal>> {
        let TokenAgent { org, agent_id, agent_type, sub, email, claims, create } = token;
        let principal = Principal {
            agent_id: agent_id.clone(),
            agent_type: agent_type.clone(),
            key_id: None,
            sub: Some(sub.clone()),
            email: email.map(Into::into),
            claims: Some(claims.clone()),
        };
        let scope = Scope::new(org.clone(), principal);
        // All but the first token of an agent find it in place and need no write lock.
        let known = find(&mut self.read(&scope).await?, &scope, agent_id).await?;
        let known = match known {
            None if create => match self.create_for_token(&scope).await {
                // Somebody else was faster, on another replica.
                Err(error) if error.kind() == StoreErrorKind::Conflict => find(&mut self.read(&scope).await?, &scope, agent_id).await?,
                made => made?,
            },
            known => known,
        };
        Ok(match known {
            None => Err(AgentRefusal::Unknown),
            Some(agent) if agent.disabled_at.is_some() => Err(AgentRefusal::Disabled),
            Some(agent) if agent.agent_type != *agent_type => Err(AgentRefusal::OtherType),
            Some(_) => Ok(scope),
        })
    }

    /// Creates the agent unless somebody else just did, and gives what is there now.
    async fn create_for_token(&self, scope: &Scope) -> StoreResult<Option<crate::Agent>> {
        let within: OrgScope = self.platform(TOKEN_ACTOR)?.within(scope.org());
        let mut tx = self.write(&within).await?;
        org::ensure_row(&mut tx, scope.org(), self.now(), TOKEN_ACTOR).await?;
        if find(&mut tx, &within, scope.agent_id()).await?.is_none() {
            insert(&mut tx, &within, scope.agent_id(), scope.agent_type(), self.now(), TOKEN_ACTOR).await?;
        }
        let now_there = find(&mut tx, &within, scope.agent_id()).await?;
        tx.commit().await?;
        Ok(now_there)
    }
}
