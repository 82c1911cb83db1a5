//! Groups: flat sets of an organisation's members (reference, governance section 1.1).

use bailiwick_model::{GroupId, Role, Subject, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::generation::{Topic, bump};
use crate::instruction::bury_group;
use crate::member;
use crate::org::PAGE_ROWS_MAX;
use crate::scope::{OrgScope, Tenant};
use crate::store::{Store, Tx};

/// Groups one organisation may have.
pub const GROUPS_PER_ORG_MAX: i64 = 1_000;
/// Longest name.
const NAME_CHARS_MAX: usize = 128;

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its id, for commands and addresses.
    pub group_id: GroupId,
    /// Its name for people; no other group of the organisation has it.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// Who created it.
    pub created_by: String,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// Who.
    pub sub: Subject,
    /// What he is in the group: `member` or `group_admin`.
    pub role: Role,
    /// Since when.
    pub created_at: Timestamp,
    /// Who added him.
    pub created_by: String,
}

/// Functions on groups; see [`Store::groups`].
#[derive(Clone, Copy, Debug)]
pub struct Groups<'a>(&'a Store);

impl Store {
    /// Groups of organisations.
    #[must_use]
    pub const fn groups(&self) -> Groups<'_> {
        Groups(self)
    }
}

impl Groups<'_> {
    /// Creates a group.
    ///
    /// # Errors
    /// `Conflict` when id or name are taken, or the organisation has [`GROUPS_PER_ORG_MAX`]; `Invalid` for a bad name.
    pub async fn create(&self, scope: &OrgScope, group_id: &GroupId, name: &str) -> StoreResult<Group> {
        check_name(name)?;
        let mut tx = self.0.write(scope).await?;
        check_count(&mut tx, scope).await?;
        let created_at = self.0.now();
        // Texts of this owner that stood there before it existed were not written by its administrators.
        bury_group(&mut tx, scope, group_id, created_at).await?;
        sqlx::query("INSERT INTO groups (tenant_id, group_id, name, created_at, created_by) VALUES ($1, $2, $3, $4, $5)")
            .bind(scope.org().as_str())
            .bind(group_id.as_str())
            .bind(name)
            .bind(created_at.as_micros())
            .bind(scope.actor())
            .execute(tx.connection())
            .await?;
        bump(&mut tx, Topic::Members).await?;
        tx.commit().await?;
        Ok(Group { group_id: group_id.clone(), name: name.to_owned(), created_at, created_by: scope.actor().to_owned() })
    }

    /// One group.
    ///
    /// # Errors
    /// `NotFound`, also for a group of another organisation.
    pub async fn get(&self, tenant: &impl Tenant, group_id: &GroupId) -> StoreResult<Group> {
        let mut tx = self.0.read(tenant).await?;
        find(&mut tx, tenant, group_id).await
    }

    /// One page of groups by id, those after `after` (empty: from the beginning), at most [`PAGE_ROWS_MAX`].
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn list(&self, tenant: &impl Tenant, after: &str) -> StoreResult<Vec<Group>> {
        let statement =
            "SELECT group_id, name, created_at, created_by FROM groups WHERE tenant_id = $1 AND group_id > $2 ORDER BY group_id LIMIT $3";
        let mut tx = self.0.read(tenant).await?;
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(after).bind(PAGE_ROWS_MAX);
        query.fetch_all(tx.connection()).await?.iter().map(read).collect()
    }

    /// Deletes a group, who was in it, and its instructions.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` while the group answers for an agent.
    pub async fn delete(&self, scope: &OrgScope, group_id: &GroupId) -> StoreResult<()> {
        let mut tx = self.0.write(scope).await?;
        let statement = "SELECT count(*) FROM agents WHERE tenant_id = $1 AND owner_group = $2";
        let owned: i64 =
            sqlx::query(statement).bind(scope.org().as_str()).bind(group_id.as_str()).fetch_one(tx.connection()).await?.try_get(0)?;
        if owned > 0 {
            let message = format!("the group answers for {owned} agents");
            return Err(StoreError::new(StoreErrorKind::Conflict, message, "let somebody else answer for them first"));
        }
        let statement = "DELETE FROM groups WHERE tenant_id = $1 AND group_id = $2";
        let done = sqlx::query(statement).bind(scope.org().as_str()).bind(group_id.as_str()).execute(tx.connection()).await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::not_found("the group"));
        }
        bury_group(&mut tx, scope, group_id, self.0.now()).await?;
        bump(&mut tx, Topic::Members).await?;
        tx.commit().await
    }

    /// Puts a member of the organisation into a group, or gives him another role in it.
    ///
    /// # Errors
    /// `NotFound` when the group does not exist, `Conflict` when he is no member of the organisation, `Invalid` for `org_admin`.
    pub async fn put_member(&self, scope: &OrgScope, group_id: &GroupId, sub: &Subject, role: Role) -> StoreResult<GroupMember> {
        if role == Role::OrgAdmin {
            return Err(StoreError::invalid("a group has no `org_admin`", "use `member` or `group_admin`"));
        }
        let mut tx = self.0.write(scope).await?;
        find(&mut tx, scope, group_id).await?;
        let created_at = self.0.now();
        let statement = "INSERT INTO group_members (tenant_id, group_id, sub, group_role, created_at, created_by) VALUES ($1, $2, $3, $4, $5, $6) \
                         ON CONFLICT (tenant_id, group_id, sub) DO UPDATE SET group_role = excluded.group_role";
        sqlx::query(statement)
            .bind(scope.org().as_str())
            .bind(group_id.as_str())
            .bind(sub.as_str())
            .bind(role.as_str())
            .bind(created_at.as_micros())
            .bind(scope.actor())
            .execute(tx.connection())
            .await?;
        bump(&mut tx, Topic::Members).await?;
        tx.commit().await?;
        Ok(GroupMember { sub: sub.clone(), role, created_at, created_by: scope.actor().to_owned() })
    }

    /// Takes a member out of a group.
    ///
    /// # Errors
    /// `NotFound` when he is not in it.
    pub async fn remove_member(&self, scope: &OrgScope, group_id: &GroupId, sub: &Subject) -> StoreResult<()> {
        let mut tx = self.0.write(scope).await?;
        let done = sqlx::query("DELETE FROM group_members WHERE tenant_id = $1 AND group_id = $2 AND sub = $3")
            .bind(scope.org().as_str())
            .bind(group_id.as_str())
            .bind(sub.as_str())
            .execute(tx.connection())
            .await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::not_found("the member of the group"));
        }
        bump(&mut tx, Topic::Members).await?;
        tx.commit().await
    }

    /// One page of a group's members by subject, those after `after`, at most [`PAGE_ROWS_MAX`].
    ///
    /// # Errors
    /// `NotFound` when the group does not exist.
    pub async fn members(&self, tenant: &impl Tenant, group_id: &GroupId, after: &str) -> StoreResult<Vec<GroupMember>> {
        let mut tx = self.0.read(tenant).await?;
        find(&mut tx, tenant, group_id).await?;
        let statement = "SELECT sub, group_role, created_at, created_by FROM group_members \
                         WHERE tenant_id = $1 AND group_id = $2 AND sub > $3 ORDER BY sub LIMIT $4";
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(group_id.as_str()).bind(after).bind(PAGE_ROWS_MAX);
        query.fetch_all(tx.connection()).await?.iter().map(read_member).collect()
    }
}

pub(crate) async fn find(tx: &mut Tx, tenant: &impl Tenant, group_id: &GroupId) -> StoreResult<Group> {
    let statement = "SELECT group_id, name, created_at, created_by FROM groups WHERE tenant_id = $1 AND group_id = $2";
    let row = sqlx::query(statement).bind(tenant.org().as_str()).bind(group_id.as_str()).fetch_optional(tx.connection()).await?;
    row.as_ref().map(read).transpose()?.ok_or_else(|| StoreError::not_found("the group"))
}

pub(crate) async fn exists(tx: &mut Tx, tenant: &impl Tenant, group_id: &GroupId) -> StoreResult<bool> {
    let statement = "SELECT 1 FROM groups WHERE tenant_id = $1 AND group_id = $2";
    let row = sqlx::query(statement).bind(tenant.org().as_str()).bind(group_id.as_str()).fetch_optional(tx.connection()).await?;
    Ok(row.is_some())
}

fn check_name(name: &str) -> StoreResult<()> {
    let printable = name.chars().all(|c| !c.is_control());
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX || !printable {
        return Err(StoreError::invalid(
            "the group's name is empty, too long or contains control characters",
            "use 1 to 128 printable characters",
        ));
    }
    Ok(())
}

async fn check_count(tx: &mut Tx, scope: &OrgScope) -> StoreResult<()> {
    let statement = "SELECT count(*) FROM groups WHERE tenant_id = $1";
    let groups: i64 = sqlx::query(statement).bind(scope.org().as_str()).fetch_one(tx.connection()).await?.try_get(0)?;
    if groups < GROUPS_PER_ORG_MAX {
        return Ok(());
    }
    let message = format!("the organisation has {GROUPS_PER_ORG_MAX} groups");
    Err(StoreError::new(StoreErrorKind::Conflict, message, "delete groups that are no longer used"))
}

fn read(row: &AnyRow) -> StoreResult<Group> {
    Ok(Group {
        group_id: member::group_id(row)?,
        name: row.try_get("name")?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        created_by: row.try_get("created_by")?,
    })
}

fn read_member(row: &AnyRow) -> StoreResult<GroupMember> {
    Ok(GroupMember {
        sub: member::subject(row, "sub")?,
        role: member::role(row, "group_role")?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        created_by: row.try_get("created_by")?,
    })
}
