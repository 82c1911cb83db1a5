//! Counters that tell other processes and replicas what changed. Each change bumps its counter in the same transaction; who keeps
//! rows in memory reads the counters twice a second and reloads what moved.

use sqlx::Row;

use crate::error::StoreResult;
use crate::scope::PlatformScope;
use crate::store::{Store, Tx};

/// A kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Organisations were created.
    Organisations,
    /// Agents were created, enabled or disabled.
    Agents,
    /// API keys were created or revoked, or their agents changed.
    Keys,
    /// Secrets were set or deleted.
    Secrets,
    /// Registered servers, what organisations say of them, their tools, their connections or stored facts about them changed.
    Servers,
    /// Members, groups, roles or who answers for an agent changed.
    Members,
    /// Instructions were written, reverted or deleted.
    Instructions,
    /// Runs were started. Their end changes nothing that anybody keeps in memory.
    Runs,
    /// An agent that exists may act no longer, may act again, or became another type.
    AgentStates,
}

impl Topic {
    /// Every topic.
    pub const ALL: &'static [Self] = &[
        Self::Organisations,
        Self::Agents,
        Self::Keys,
        Self::Secrets,
        Self::Servers,
        Self::Members,
        Self::Instructions,
        Self::Runs,
        Self::AgentStates,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Organisations => "organisations",
            Self::Agents => "agents",
            Self::Keys => "keys",
            Self::Secrets => "secrets",
            Self::Servers => "servers",
            Self::Members => "members",
            Self::Instructions => "instructions",
            Self::Runs => "runs",
            Self::AgentStates => "agent_states",
        }
    }
}

/// All counters at one moment. They never go down; 0 means: nothing of this kind has happened yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generations([i64; Topic::ALL.len()]);

impl Generations {
    /// The counter of `topic`.
    #[must_use]
    pub const fn of(&self, topic: Topic) -> i64 {
        self.0[topic as usize]
    }
}

impl Store {
    /// Reads all counters in one statement. They say nothing about any organisation.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn generations(&self, _scope: &PlatformScope) -> StoreResult<Generations> {
        let mut found = Generations::default();
        for row in sqlx::query("SELECT topic, value FROM generations").fetch_all(self.read_pool()).await? {
            let topic: String = row.try_get(0)?;
            // A newer process may write topics that this one does not know.
            if let Some(known) = Topic::ALL.iter().find(|t| t.as_str() == topic) {
                found.0[*known as usize] = row.try_get(1)?;
            }
        }
        Ok(found)
    }
}

/// Adds one and gives the new value. The row stays locked until the transaction ends, so values become visible in their order.
pub(crate) async fn bump(tx: &mut Tx, topic: Topic) -> StoreResult<i64> {
    let statement = "INSERT INTO generations (topic, value) VALUES ($1, 1) \
                     ON CONFLICT (topic) DO UPDATE SET value = generations.value + 1 RETURNING value";
    Ok(sqlx::query(statement).bind(topic.as_str()).fetch_one(tx.connection()).await?.try_get(0)?)
}

/// Holds the counter without moving it: nobody else bumps the topic before the transaction ends, so what its writers check stays true.
/// Whoever also locks other rows does this first.
pub(crate) async fn hold(tx: &mut Tx, topic: Topic) -> StoreResult<()> {
    let statement = "INSERT INTO generations (topic, value) VALUES ($1, 0) ON CONFLICT (topic) DO UPDATE SET value = generations.value";
    sqlx::query(statement).bind(topic.as_str()).execute(tx.connection()).await?;
    Ok(())
}
