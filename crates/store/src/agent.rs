//! Agents: the non-human principals of an organisation.

use bailiwick_model::{AgentId, AgentType, GroupId, OrgId, Role, Subject, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::generation::{Topic, bump};
use crate::org::{self, PAGE_ROWS_MAX};
use crate::scope::{OrgScope, Principal, Scope, Tenant};
use crate::store::{Store, Tx};
use crate::{group, member};

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
    /// Who answers for it.
    pub owner: Option<AgentOwner>,
    /// What it may do in its organisation by itself.
    pub role: Role,
}

/// Who answers for an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentOwner {
    /// A member.
    Member(Subject),
    /// A group.
    Group(GroupId),
}

/// What is to change of an agent; `None` leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentChange {
    /// Who answers for it; `Some(None)`: nobody.
    pub owner: Option<Option<AgentOwner>>,
    /// What it may do by itself.
    pub role: Option<Role>,
    /// Whether its keys and launches are refused.
    pub disabled: Option<bool>,
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
        let scope = Scope::new(
            org.clone(),
            Principal { agent_id: agent_id.clone(), agent_type: agent_type.clone(), key_id: None, sub: None, email: None, claims: None },
        );
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
        let created_by = scope.actor().to_owned();
        Ok(Agent { agent_id, agent_type, created_at, created_by, disabled_at: None, owner: None, role: Role::Member })
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
        let statement = "SELECT agent_id, agent_type, created_at, created_by, disabled_at, owner_sub, owner_group, role FROM agents \
                         WHERE tenant_id = $1 AND agent_id > $2 ORDER BY agent_id LIMIT $3";
        let mut tx = self.0.read(tenant).await?;
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(after).bind(PAGE_ROWS_MAX);
        query.fetch_all(tx.connection()).await?.iter().map(read).collect()
    }

    /// Changes an agent in one step.
    ///
    /// # Errors
    /// `NotFound` when the agent, the member or the group does not exist in this organisation.
    pub async fn change(&self, scope: &OrgScope, agent_id: &AgentId, change: &AgentChange) -> StoreResult<Agent> {
        let mut tx = self.0.write(scope).await?;
        let missing = || StoreError::not_found("the agent");
        let agent = find(&mut tx, scope, agent_id).await?.ok_or_else(missing)?;
        match (&change.owner, change.role) {
            (Some(owner), role) => assign(&mut tx, scope, agent_id, owner.as_ref(), role.unwrap_or(agent.role)).await?,
            // The owner may have left the organisation; that does not stand in the way of a role.
            (None, Some(role)) => set_role(&mut tx, scope, agent_id, role).await?,
            (None, None) => {}
        }
        match change.disabled {
            // Disabling again keeps the time of the first.
            Some(disabled) if disabled != agent.disabled_at.is_some() => {
                disable(&mut tx, scope, agent_id, disabled.then(|| self.0.now())).await?;
            }
            _ => {}
        }
        let agent = find(&mut tx, scope, agent_id).await?.ok_or_else(missing)?;
        tx.commit().await?;
        Ok(agent)
    }

    /// Says who answers for an agent, and gives it a role of its own. Its rights are its own: it has no more than a plain member of the
    /// groups of its owner.
    ///
    /// # Errors
    /// `NotFound` when the agent, the member or the group does not exist in this organisation.
    pub async fn assign(&self, scope: &OrgScope, agent_id: &AgentId, owner: Option<&AgentOwner>, role: Role) -> StoreResult<Agent> {
        let mut tx = self.0.write(scope).await?;
        assign(&mut tx, scope, agent_id, owner, role).await?;
        let agent = find(&mut tx, scope, agent_id).await?.ok_or_else(|| StoreError::not_found("the agent"))?;
        tx.commit().await?;
        Ok(agent)
    }

    /// Refuses (`true`) or admits again (`false`) all keys and launches of an agent, on every replica within a second.
    ///
    /// # Errors
    /// `NotFound`, also for an agent of another organisation.
    pub async fn set_disabled(&self, scope: &OrgScope, agent_id: &AgentId, disabled: bool) -> StoreResult<()> {
        let mut tx = self.0.write(scope).await?;
        disable(&mut tx, scope, agent_id, disabled.then(|| self.0.now())).await?;
        tx.commit().await
    }
}

async fn assign(tx: &mut Tx, scope: &OrgScope, agent_id: &AgentId, owner: Option<&AgentOwner>, role: Role) -> StoreResult<()> {
    let (sub, in_group) = match owner {
        Some(AgentOwner::Member(sub)) => {
            member::find(tx, scope, sub).await?.ok_or_else(|| StoreError::not_found("the member"))?;
            (Some(sub.as_str()), None)
        }
        Some(AgentOwner::Group(group)) => {
            group::find(tx, scope, group).await?;
            (None, Some(group.as_str()))
        }
        None => (None, None),
    };
    sqlx::query("UPDATE agents SET owner_sub = $3, owner_group = $4, role = $5 WHERE tenant_id = $1 AND agent_id = $2")
        .bind(scope.org().as_str())
        .bind(agent_id.as_str())
        .bind(sub)
        .bind(in_group)
        .bind(role.as_str())
        .execute(tx.connection())
        .await?;
    bump(tx, Topic::Members).await.map(|_| ())
}

async fn set_role(tx: &mut Tx, scope: &OrgScope, agent_id: &AgentId, role: Role) -> StoreResult<()> {
    sqlx::query("UPDATE agents SET role = $3 WHERE tenant_id = $1 AND agent_id = $2")
        .bind(scope.org().as_str())
        .bind(agent_id.as_str())
        .bind(role.as_str())
        .execute(tx.connection())
        .await?;
    bump(tx, Topic::Members).await.map(|_| ())
}

async fn disable(tx: &mut Tx, scope: &OrgScope, agent_id: &AgentId, at: Option<Timestamp>) -> StoreResult<()> {
    let done = sqlx::query("UPDATE agents SET disabled_at = $3 WHERE tenant_id = $1 AND agent_id = $2")
        .bind(scope.org().as_str())
        .bind(agent_id.as_str())
        .bind(at.map(Timestamp::as_micros))
        .execute(tx.connection())
        .await?;
    if done.rows_affected() == 0 {
        return Err(StoreError::not_found("the agent"));
    }
    bump(tx, Topic::Agents).await?;
    bump(tx, Topic::AgentStates).await?;
    touch_keys(tx, scope, agent_id).await
}

pub(crate) async fn find(tx: &mut Tx, tenant: &impl Tenant, agent_id: &AgentId) -> StoreResult<Option<Agent>> {
    let statement = "SELECT agent_id, agent_type, created_at, created_by, disabled_at, owner_sub, owner_group, role FROM agents \
                     WHERE tenant_id = $1 AND agent_id = $2";
    let row = sqlx::query(statement).bind(tenant.org().as_str()).bind(agent_id.as_str()).fetch_optional(tx.connection()).await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn insert(
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
    bump(tx, Topic::Agents).await?;
    bump(tx, Topic::AgentStates).await.map(|_| ())
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

fn owner(row: &AnyRow) -> StoreResult<Option<AgentOwner>> {
    if row.try_get::<Option<String>, _>("owner_sub")?.is_some() {
        return Ok(Some(AgentOwner::Member(member::subject(row, "owner_sub")?)));
    }
    let group: Option<String> = row.try_get("owner_group")?;
    let broken = |_| StoreError::corrupt("an agent's stored group is not valid");
    group.map(|group| GroupId::parse(&group).map(AgentOwner::Group).map_err(broken)).transpose()
}

fn read(row: &AnyRow) -> StoreResult<Agent> {
    let broken = |_| StoreError::corrupt("an agent's stored id or type is not valid");
    Ok(Agent {
        agent_id: AgentId::parse(&row.try_get::<String, _>("agent_id")?).map_err(broken)?,
        agent_type: AgentType::parse(&row.try_get::<String, _>("agent_type")?).map_err(broken)?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        created_by: row.try_get("created_by")?,
        disabled_at: row.try_get::<Option<i64>, _>("disabled_at")?.map(Timestamp::from_micros),
        owner: owner(row)?,
        role: member::role(row, "role")?,
    })
}
