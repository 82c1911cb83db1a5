//! Agents: the non-human principals of an organisation.

use bailiwick_model::{AgentId, AgentType, OrgId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::generation::{Topic, bump};
use crate::org::{self, PAGE_ROWS_MAX};
use crate::scope::{OrgScope, Principal, Scope, Tenant};
use crate::store::{Store, Tx};

/// Who a local launch acts as, beside the rows it makes.
const LAUNCH_ACTOR: &str = "launch";

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// The instance.
    pub agent_id: AgentId,
    /// The kind, which names its manifest.
    pub agent_type: AgentType,
    /// When it was created.
    pub created_at: Timestamp,
    /// Who created it.
    pub created_by: String,
    /// Since when its keys are refused; `None` while it may act.
    pub disabled_at: Option<Timestamp>,
}

/// Functions on agents; see [`Store::agents`].
#[derive(Clone, Copy, Debug)]
pub struct Agents<'a>(&'a Store);

impl Store {
    /// Agents.
    #[must_use]
    pub const fn agents(&self) -> Agents<'_> {
        Agents(self)
    }

    /// The identity of an agent served over stdio, which comes from the launch configuration of whoever may open this database
    /// (security reference section 9). Creates organisation and agent when they are missing.
    ///
    /// # Errors
    /// `Conflict` when the agent is disabled, or exists with another type and has API keys that would change their meaning.
    pub async fn launch(&self, org: &OrgId, agent_id: &AgentId, agent_type: &AgentType) -> StoreResult<Scope> {
        let scope = Scope::new(org.clone(), Principal { agent_id: agent_id.clone(), agent_type: agent_type.clone(), key_id: None });
        // Most launches find everything in place and need no write lock.
        if find(&mut self.read(&scope).await?, &scope, agent_id)
            .await?
            .is_some_and(|a| a.agent_type == *agent_type && a.disabled_at.is_none())
        {
            return Ok(scope);
        }
        let mut tx = self.write(&scope).await?;
        org::ensure_row(&mut tx, org, self.now(), LAUNCH_ACTOR).await?;
        match find(&mut tx, &scope, agent_id).await? {
            None => insert(&mut tx, &scope, agent_id, agent_type, self.now(), LAUNCH_ACTOR).await?,
            Some(agent) if agent.disabled_at.is_some() => return Err(disabled(agent_id)),
            Some(agent) if agent.agent_type != *agent_type => change_type(&mut tx, &scope, &agent, agent_type).await?,
            Some(_) => {}
        }
        tx.commit().await?;
        Ok(scope)
    }
}

impl Agents<'_> {
    /// Creates an agent.
    ///
    /// # Errors
    /// `Conflict` when it exists or the organisation does not.
    pub async fn create(&self, scope: &OrgScope, agent_id: &AgentId, agent_type: &AgentType) -> StoreResult<Agent> {
        let mut tx = self.0.write(scope).await?;
        let created_at = self.0.now();
        insert(&mut tx, scope, agent_id, agent_type, created_at, scope.actor()).await?;
        tx.commit().await?;
        let (agent_id, agent_type) = (agent_id.clone(), agent_type.clone());
        Ok(Agent { agent_id, agent_type, created_at, created_by: scope.actor().to_owned(), disabled_at: None })
    }

    /// One agent.
    ///
    /// # Errors
    /// `NotFound`, also for an agent of another organisation.
    pub async fn get(&self, tenant: &impl Tenant, agent_id: &AgentId) -> StoreResult<Agent> {
        find(&mut self.0.read(tenant).await?, tenant, agent_id).await?.ok_or_else(|| StoreError::not_found("the agent"))
    }

    /// One page of agents by id, those after `after` (empty: from the beginning), at most [`PAGE_ROWS_MAX`].
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn list(&self, tenant: &impl Tenant, after: &str) -> StoreResult<Vec<Agent>> {
        let statement = "SELECT agent_id, agent_type, created_at, created_by, disabled_at FROM agents \
                         WHERE tenant_id = $1 AND agent_id > $2 ORDER BY agent_id LIMIT $3";
        let mut tx = self.0.read(tenant).await?;
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(after).bind(PAGE_ROWS_MAX);
        query.fetch_all(tx.connection()).await?.iter().map(read).collect()
    }

    /// Refuses (`true`) or admits again (`false`) all keys and launches of an agent, on every replica within a second.
    ///
    /// # Errors
    /// `NotFound`, also for an agent of another organisation.
    pub async fn set_disabled(&self, scope: &OrgScope, agent_id: &AgentId, disabled: bool) -> StoreResult<()> {
        let mut tx = self.0.write(scope).await?;
        let at = disabled.then(|| self.0.now().as_micros());
        let done = sqlx::query("UPDATE agents SET disabled_at = $3 WHERE tenant_id = $1 AND agent_id = $2")
            .bind(scope.org().as_str())
            .bind(agent_id.as_str())
            .bind(at)
            .execute(tx.connection())
            .await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::not_found("the agent"));
        }
        bump(&mut tx, Topic::Agents).await?;
        touch_keys(&mut tx, scope, agent_id).await?;
        tx.commit().await
    }
}

async fn find(tx: &mut Tx, tenant: &impl Tenant, agent_id: &AgentId) -> StoreResult<Option<Agent>> {
    let statement = "SELECT agent_id, agent_type, created_at, created_by, disabled_at FROM agents WHERE tenant_id = $1 AND agent_id = $2";
    let row = sqlx::query(statement).bind(tenant.org().as_str()).bind(agent_id.as_str()).fetch_optional(tx.connection()).await?;
    row.as_ref().map(read).transpose()
}

async fn insert(
    tx: &mut Tx,
    tenant: &impl Tenant,
    agent_id: &AgentId,
    agent_type: &AgentType,
    now: Timestamp,
    actor: &str,
) -> StoreResult<()> {
    sqlx::query("INSERT INTO agents (tenant_id, agent_id, agent_type, created_at, created_by) VALUES ($1, $2, $3, $4, $5)")
        .bind(tenant.org().as_str())
        .bind(agent_id.as_str())
        .bind(agent_type.as_str())
        .bind(now.as_micros())
        .bind(actor)
        .execute(tx.connection())
        .await?;
    bump(tx, Topic::Agents).await.map(|_| ())
}

/// A key is bound to one identity (id and type). A launch with another type must not silently give existing keys another manifest.
async fn change_type(tx: &mut Tx, tenant: &impl Tenant, agent: &Agent, agent_type: &AgentType) -> StoreResult<()> {
    let keys: i64 = sqlx::query("SELECT count(*) FROM api_keys WHERE tenant_id = $1 AND agent_id = $2 AND revoked_at IS NULL")
        .bind(tenant.org().as_str())
        .bind(agent.agent_id.as_str())
        .fetch_one(tx.connection())
        .await?
        .try_get(0)?;
    if keys > 0 {
        let message = format!("agent `{}` has type `{}` and API keys; it was launched as `{agent_type}`", agent.agent_id, agent.agent_type);
        return Err(StoreError::new(StoreErrorKind::Conflict, message, "launch with another AGENT_ID, or revoke the agent's keys first"));
    }
    sqlx::query("UPDATE agents SET agent_type = $3 WHERE tenant_id = $1 AND agent_id = $2")
        .bind(tenant.org().as_str())
        .bind(agent.agent_id.as_str())
        .bind(agent_type.as_str())
        .execute(tx.connection())
        .await?;
    bump(tx, Topic::Agents).await.map(|_| ())
}

/// Makes every keyring load the agent's keys anew.
async fn touch_keys(tx: &mut Tx, tenant: &impl Tenant, agent_id: &AgentId) -> StoreResult<()> {
    let generation = bump(tx, Topic::Keys).await?;
    sqlx::query("UPDATE api_keys SET generation = $3 WHERE tenant_id = $1 AND agent_id = $2")
        .bind(tenant.org().as_str())
        .bind(agent_id.as_str())
        .bind(generation)
        .execute(tx.connection())
        .await?;
    Ok(())
}

fn disabled(agent_id: &AgentId) -> StoreError {
    let message = format!("agent `{agent_id}` is disabled");
    StoreError::new(StoreErrorKind::Conflict, message, "enable it with `bailiwick agent enable`, or launch another agent")
}

fn read(row: &AnyRow) -> StoreResult<Agent> {
    let broken = |_| StoreError::corrupt("an agent's stored id or type is not valid");
    Ok(Agent {
        agent_id: AgentId::parse(&row.try_get::<String, _>("agent_id")?).map_err(broken)?,
        agent_type: AgentType::parse(&row.try_get::<String, _>("agent_type")?).map_err(broken)?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        created_by: row.try_get("created_by")?,
        disabled_at: row.try_get::<Option<i64>, _>("disabled_at")?.map(Timestamp::from_micros),
    })
}
