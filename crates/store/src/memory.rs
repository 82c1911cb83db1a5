//! What an agent's modules keep across restarts: sets of short texts, by manifest key and topic.

use std::collections::BTreeSet;

use sqlx::Row;

use crate::error::{StoreError, StoreResult};
use crate::scope::Scope;
use crate::store::Store;

/// Facts of one agent under one module and topic.
const FACTS_PER_TOPIC_MAX: usize = 10_000;
/// Longest name of a module or topic, and longest fact, in bytes.
const FACT_BYTES_MAX: usize = 512;

/// Functions on what modules keep; see [`Store::memory`].
#[derive(Clone, Copy, Debug)]
pub struct Memory<'a>(&'a Store);

impl Store {
    /// What modules keep across restarts.
    #[must_use]
    pub const fn memory(&self) -> Memory<'_> {
        Memory(self)
    }
}

impl Memory<'_> {
    /// Every fact that the acting agent's module has noted under `topic`.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn recall(&self, scope: &Scope, module: &str, topic: &str) -> StoreResult<BTreeSet<String>> {
        let statement = "SELECT fact FROM module_memory WHERE tenant_id = $1 AND agent_id = $2 AND module = $3 AND topic = $4 LIMIT $5";
        let mut tx = self.0.read(scope).await?;
        let rows = sqlx::query(statement)
            .bind(scope.org().as_str())
            .bind(scope.agent_id().as_str())
            .bind(module)
            .bind(topic)
            .bind(i64::try_from(FACTS_PER_TOPIC_MAX).unwrap_or(i64::MAX))
            .fetch_all(tx.connection())
            .await?;
        rows.iter().map(|row| Ok(row.try_get("fact")?)).collect()
    }

    /// Notes a fact; one that is noted already changes nothing.
    ///
    /// # Errors
    /// `Invalid` when a name or the fact is empty or too long, or the topic is full; otherwise `Unavailable`, `Locked` or `Full`.
    pub async fn remember(&self, scope: &Scope, module: &str, topic: &str, fact: &str) -> StoreResult<()> {
        if [module, topic, fact].iter().any(|text| text.is_empty() || text.len() > FACT_BYTES_MAX || text.contains('\0')) {
            return Err(StoreError::invalid("what a module wants to keep is empty or too long", "use shorter names"));
        }
        let mut tx = self.0.write(scope).await?;
        let count = "SELECT count(*) AS facts FROM module_memory WHERE tenant_id = $1 AND agent_id = $2 AND module = $3 AND topic = $4";
        let agent = scope.agent_id().as_str();
        let counted = sqlx::query(count).bind(scope.org().as_str()).bind(agent).bind(module).bind(topic).fetch_one(tx.connection()).await?;
        let facts: i64 = counted.try_get("facts")?;
        if usize::try_from(facts).unwrap_or(usize::MAX) >= FACTS_PER_TOPIC_MAX {
            return Err(StoreError::invalid("the module keeps as much as it may", "remove what the agent created and no longer needs"));
        }
        let insert = "INSERT INTO module_memory (tenant_id, agent_id, module, topic, fact, noted_at) VALUES ($1, $2, $3, $4, $5, $6) \
                      ON CONFLICT (tenant_id, agent_id, module, topic, fact) DO NOTHING";
        sqlx::query(insert)
            .bind(scope.org().as_str())
            .bind(agent)
            .bind(module)
            .bind(topic)
            .bind(fact)
            .bind(self.0.now().as_micros())
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }
}
