//! Members: the people of an organisation and their roles (reference, governance section 1).

use bailiwick_model::{GroupId, OrgId, Role, Standing, Subject, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::generation::{Topic, bump};
use crate::group;
use crate::org::PAGE_ROWS_MAX;
use crate::scope::{OrgScope, PlatformScope, Scope, Tenant};
use crate::server::cascade::clear_person;
use crate::store::{Store, Tx};

/// Members one organisation may have.
pub const MEMBERS_PER_ORG_MAX: i64 = 100_000;
/// Longest email address (RFC 5321 section 4.5.3.1.3).
const EMAIL_CHARS_MAX: usize = 254;

/// A member of an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub sub: Subject,
    /// How this organisation reaches him; never used for a decision.
    pub email: Option<String>,
    /// What he may do in it.
    pub role: Role,
    /// Since when.
    pub created_at: Timestamp,
    /// Who added him.
    pub created_by: String,
}

/// Somebody who may act above organisations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformAdmin {
    /// Who.
    pub sub: Subject,
    /// The organisation as whose member he does; somebody of the same subject elsewhere is somebody else.
    pub org: OrgId,
    /// Since when; his keys from before do not carry it.
    pub created_at: Timestamp,
    /// Who appointed him.
    pub created_by: String,
}

/// Functions on members; see [`Store::members`].
#[derive(Clone, Copy, Debug)]
pub struct Members<'a>(&'a Store);

impl Store {
    /// Members of organisations.
    #[must_use]
    pub const fn members(&self) -> Members<'_> {
        Members(self)
    }
}

impl Members<'_> {
    /// Adds a member.
    ///
    /// # Errors
    /// `Conflict` when he is one already, the organisation does not exist or is full; `Invalid` for a text that is no email address.
    pub async fn add(&self, scope: &OrgScope, sub: &Subject, email: Option<&str>, role: Role) -> StoreResult<Member> {
        check_email(email)?;
        let mut tx = self.0.write(scope).await?;
        check_count(&mut tx, scope).await?;
        let created_at = self.0.now();
        let insert = "INSERT INTO memberships (tenant_id, sub, email, role, created_at, created_by) VALUES ($1, $2, $3, $4, $5, $6)";
        sqlx::query(insert)
            .bind(scope.org().as_str())
            .bind(sub.as_str())
            .bind(email)
            .bind(role.as_str())
            .bind(created_at.as_micros())
            .bind(scope.actor())
            .execute(tx.connection())
            .await?;
        bump(&mut tx, Topic::Members).await?;
        touch_keys(&mut tx, scope, sub).await?;
        tx.commit().await?;
        Ok(Member { sub: sub.clone(), email: email.map(str::to_owned), role, created_at, created_by: scope.actor().to_owned() })
    }

    /// One member.
    ///
    /// # Errors
    /// `NotFound`, also for a member of another organisation.
    pub async fn get(&self, tenant: &impl Tenant, sub: &Subject) -> StoreResult<Member> {
        let mut tx = self.0.read(tenant).await?;
        find(&mut tx, tenant, sub).await?.ok_or_else(|| StoreError::not_found("the member"))
    }

    /// One page of members by subject, those after `after` (empty: from the beginning), at most [`PAGE_ROWS_MAX`].
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn list(&self, tenant: &impl Tenant, after: &str) -> StoreResult<Vec<Member>> {
        let statement =
            "SELECT sub, email, role, created_at, created_by FROM memberships WHERE tenant_id = $1 AND sub > $2 ORDER BY sub LIMIT $3";
        let mut tx = self.0.read(tenant).await?;
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(after).bind(PAGE_ROWS_MAX);
        query.fetch_all(tx.connection()).await?.iter().map(read).collect()
    }

    /// Gives a member another role.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when he is the last administrator and would not be one any more.
    pub async fn set_role(&self, scope: &OrgScope, sub: &Subject, role: Role) -> StoreResult<Member> {
        let mut tx = self.0.write(scope).await?;
        lock_organisation(&mut tx, scope).await?;
        let member = find(&mut tx, scope, sub).await?.ok_or_else(|| StoreError::not_found("the member"))?;
        if member.role == Role::OrgAdmin && role != Role::OrgAdmin {
            check_not_last_admin(&mut tx, scope, sub).await?;
        }
        sqlx::query("UPDATE memberships SET role = $3 WHERE tenant_id = $1 AND sub = $2")
            .bind(scope.org().as_str())
            .bind(sub.as_str())
            .bind(role.as_str())
            .execute(tx.connection())
            .await?;
        bump(&mut tx, Topic::Members).await?;
        tx.commit().await?;
        Ok(Member { role, ..member })
    }

    /// Removes a member: from his groups too, and his keys are revoked on every replica within a second, so that they do not work again for
    /// whoever is called so later. His connections to servers go as well, and their tokens wait to be revoked. Agents that he answers for
    /// stay, and so does what he wrote.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when he is the last administrator.
    pub async fn remove(&self, scope: &OrgScope, sub: &Subject) -> StoreResult<()> {
        let mut tx = self.0.write(scope).await?;
        lock_organisation(&mut tx, scope).await?;
        let member = find(&mut tx, scope, sub).await?.ok_or_else(|| StoreError::not_found("the member"))?;
        if member.role == Role::OrgAdmin {
            check_not_last_admin(&mut tx, scope, sub).await?;
        }
        sqlx::query("DELETE FROM memberships WHERE tenant_id = $1 AND sub = $2")
            .bind(scope.org().as_str())
            .bind(sub.as_str())
            .execute(tx.connection())
            .await?;
        bump(&mut tx, Topic::Members).await?;
        revoke_keys(&mut tx, scope, sub, self.0.now()).await?;
        clear_person(self.0, &mut tx, scope, sub).await?;
        tx.commit().await
    }

    /// What the acting principal is in its organisation now: of a person his membership and groups, of an agent its own role and the
    /// groups of whoever answers for it, as a plain member of each. What the issuer of a token says counts too: its role before that of a
    /// membership, its groups beside those of rows, as far as the organisation has them.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`. Who is nobody has a standing without role, which is no error.
    pub async fn standing(&self, scope: &Scope) -> StoreResult<Standing> {
        let mut tx = self.0.read(scope).await?;
        match &scope.principal().sub {
            Some(sub) => standing_of_person(&mut tx, scope, sub).await,
            None => standing_of_agent(&mut tx, scope).await,
        }
    }

    /// Whether somebody of the organisation may act above all of them.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn is_platform_admin(&self, tenant: &impl Tenant, sub: &Subject) -> StoreResult<bool> {
        let mut tx = self.0.read(tenant).await?;
        Ok(appointed_at(&mut tx, tenant, sub).await?.is_some())
    }

    /// Lets a person of `org` act above organisations, with keys that are made from now on: those he has already may be in the hands of
    /// whoever made them. Doing it again changes nothing but the organisation, if it is another.
    ///
    /// # Errors
    /// `Conflict` when the organisation does not exist.
    pub async fn add_platform_admin(&self, scope: &PlatformScope, org: &OrgId, sub: &Subject) -> StoreResult<PlatformAdmin> {
        let mut tx = self.0.write_platform(scope).await?;
        let statement = "INSERT INTO platform_admins (sub, org_id, created_at, created_by) VALUES ($1, $2, $3, $4) \
                         ON CONFLICT (sub) DO UPDATE SET org_id = excluded.org_id, created_at = excluded.created_at, \
                         created_by = excluded.created_by WHERE platform_admins.org_id <> excluded.org_id";
        sqlx::query(statement)
            .bind(sub.as_str())
            .bind(org.as_str())
            .bind(self.0.now().as_micros())
            .bind(scope.actor())
            .execute(tx.connection())
            .await?;
        let statement = "SELECT sub, org_id, created_at, created_by FROM platform_admins WHERE sub = $1";
        let row = sqlx::query(statement).bind(sub.as_str()).fetch_one(tx.connection()).await?;
        let admin = read_platform_admin(&row)?;
        tx.commit().await?;
        Ok(admin)
    }

    /// Takes that away again.
    ///
    /// # Errors
    /// `NotFound` when he was none.
    pub async fn remove_platform_admin(&self, scope: &PlatformScope, sub: &Subject) -> StoreResult<()> {
        let mut tx = self.0.write_platform(scope).await?;
        let done = sqlx::query("DELETE FROM platform_admins WHERE sub = $1").bind(sub.as_str()).execute(tx.connection()).await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::new(StoreErrorKind::NotFound, "he is no platform administrator", "list them and check the subject"));
        }
        tx.commit().await
    }

    /// Who may act above organisations: one page by subject, those after `after`, at most [`PAGE_ROWS_MAX`].
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn platform_admins(&self, scope: &PlatformScope, after: &str) -> StoreResult<Vec<PlatformAdmin>> {
        let statement = "SELECT sub, org_id, created_at, created_by FROM platform_admins WHERE sub > $1 ORDER BY sub LIMIT $2";
        let mut tx = self.0.read_platform(scope).await?;
        let query = sqlx::query(statement).bind(after).bind(PAGE_ROWS_MAX);
        query.fetch_all(tx.connection()).await?.iter().map(read_platform_admin).collect()
    }

    /// The scope above organisations of the person who acts, if he may have it: he was appointed in the organisation in which he acts,
    /// with a key that was made afterwards. An issuer speaks for its organisations, never for the platform.
    ///
    /// # Errors
    /// `NotFound` when he is no platform administrator.
    pub async fn as_platform(&self, scope: &Scope) -> StoreResult<PlatformScope> {
        let none = || StoreError::new(StoreErrorKind::NotFound, "the caller is no platform administrator", "ask one");
        let (sub, key) = scope.principal().sub.as_ref().zip(scope.principal().key_id).ok_or_else(none)?;
        let mut tx = self.0.read(scope).await?;
        let appointed = appointed_at(&mut tx, scope, sub).await?.ok_or_else(none)?;
        let statement = "SELECT 1 FROM api_keys WHERE tenant_id = $1 AND key_id = $2 AND created_at >= $3";
        let query = sqlx::query(statement).bind(scope.org().as_str()).bind(key.to_string()).bind(appointed);
        query.fetch_optional(tx.connection()).await?.ok_or_else(none)?;
        Ok(PlatformScope::of_person(scope.org(), sub))
    }
}

async fn appointed_at(tx: &mut Tx, tenant: &impl Tenant, sub: &Subject) -> StoreResult<Option<i64>> {
    let statement = "SELECT created_at FROM platform_admins WHERE sub = $1 AND org_id = $2";
    let found = sqlx::query(statement).bind(sub.as_str()).bind(tenant.org().as_str()).fetch_optional(tx.connection()).await?;
    found.map_or(Ok(None), |row| Ok(Some(row.try_get(0)?)))
}

/// One after the other: two administrators who remove each other must not both succeed.
async fn lock_organisation(tx: &mut Tx, scope: &OrgScope) -> StoreResult<()> {
    let statement = "UPDATE organisations SET created_at = created_at WHERE org_id = $1";
    sqlx::query(statement).bind(scope.org().as_str()).execute(tx.connection()).await?;
    Ok(())
}

async fn check_not_last_admin(tx: &mut Tx, scope: &OrgScope, sub: &Subject) -> StoreResult<()> {
    let statement = "SELECT count(*) FROM memberships WHERE tenant_id = $1 AND role = 'org_admin' AND sub <> $2";
    let others: i64 = sqlx::query(statement).bind(scope.org().as_str()).bind(sub.as_str()).fetch_one(tx.connection()).await?.try_get(0)?;
    if others > 0 {
        return Ok(());
    }
    let message = "he is the last administrator of the organisation";
    Err(StoreError::new(StoreErrorKind::Conflict, message, "make somebody else `org_admin` first"))
}

async fn check_count(tx: &mut Tx, scope: &OrgScope) -> StoreResult<()> {
    let statement = "SELECT count(*) FROM memberships WHERE tenant_id = $1";
    let members: i64 = sqlx::query(statement).bind(scope.org().as_str()).fetch_one(tx.connection()).await?.try_get(0)?;
    if members < MEMBERS_PER_ORG_MAX {
        return Ok(());
    }
    let message = format!("the organisation has {MEMBERS_PER_ORG_MAX} members");
    Err(StoreError::new(StoreErrorKind::Conflict, message, "remove members who left"))
}

fn check_email(email: Option<&str>) -> StoreResult<()> {
    let fits = |text: &str| {
        let printable = text.chars().all(|c| !c.is_control() && !c.is_whitespace());
        printable
            && text.chars().count() <= EMAIL_CHARS_MAX
            && text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
    };
    match email {
        Some(text) if !fits(text) => Err(StoreError::invalid("the email address is not one", "give `name@host`, at most 254 characters")),
        _ => Ok(()),
    }
}

/// Every keyring loads the keys of this person anew.
async fn touch_keys(tx: &mut Tx, tenant: &impl Tenant, sub: &Subject) -> StoreResult<()> {
    let generation = bump(tx, Topic::Keys).await?;
    sqlx::query("UPDATE api_keys SET generation = $3 WHERE tenant_id = $1 AND sub = $2")
        .bind(tenant.org().as_str())
        .bind(sub.as_str())
        .bind(generation)
        .execute(tx.connection())
        .await?;
    Ok(())
}

async fn revoke_keys(tx: &mut Tx, tenant: &impl Tenant, sub: &Subject, now: Timestamp) -> StoreResult<()> {
    let generation = bump(tx, Topic::Keys).await?;
    sqlx::query("UPDATE api_keys SET revoked_at = coalesce(revoked_at, $3), generation = $4 WHERE tenant_id = $1 AND sub = $2")
        .bind(tenant.org().as_str())
        .bind(sub.as_str())
        .bind(now.as_micros())
        .bind(generation)
        .execute(tx.connection())
        .await?;
    Ok(())
}

pub(crate) async fn find(tx: &mut Tx, tenant: &impl Tenant, sub: &Subject) -> StoreResult<Option<Member>> {
    let statement = "SELECT sub, email, role, created_at, created_by FROM memberships WHERE tenant_id = $1 AND sub = $2";
    let row = sqlx::query(statement).bind(tenant.org().as_str()).bind(sub.as_str()).fetch_optional(tx.connection()).await?;
    row.as_ref().map(read).transpose()
}

/// A person's groups by id.
pub(crate) async fn groups_of(tx: &mut Tx, tenant: &impl Tenant, sub: &Subject) -> StoreResult<Vec<(GroupId, Role)>> {
    let statement = "SELECT group_id, group_role FROM group_members WHERE tenant_id = $1 AND sub = $2 ORDER BY group_id";
    let rows = sqlx::query(statement).bind(tenant.org().as_str()).bind(sub.as_str()).fetch_all(tx.connection()).await?;
    rows.iter().map(|row| Ok((group_id(row)?, role(row, "group_role")?))).collect()
}

async fn standing_of_person(tx: &mut Tx, scope: &Scope, sub: &Subject) -> StoreResult<Standing> {
    let claims = scope.principal().claims.clone().unwrap_or_default();
    let row = find(tx, scope, sub).await?.map(|member| member.role);
    let Some(role) = claims.role.or(row) else { return Ok(Standing::default()) };
    let mut groups = if row.is_some() { groups_of(tx, scope, sub).await? } else { Vec::new() };
    for group in claims.groups {
        let known = groups.iter().any(|(own, _)| *own == group);
        if !known && group::exists(tx, scope, &group).await? {
            groups.push((group, Role::Member));
        }
    }
    Ok(Standing { role: Some(role), groups })
}

async fn standing_of_agent(tx: &mut Tx, scope: &Scope) -> StoreResult<Standing> {
    let statement = "SELECT role, owner_sub, owner_group FROM agents WHERE tenant_id = $1 AND agent_id = $2 AND disabled_at IS NULL";
    let found = sqlx::query(statement).bind(scope.org().as_str()).bind(scope.agent_id().as_str()).fetch_optional(tx.connection()).await?;
    let Some(row) = found else { return Ok(Standing::default()) };
    let mut groups = Vec::new();
    if row.try_get::<Option<String>, _>("owner_sub")?.is_some() {
        let owner = subject(&row, "owner_sub")?;
        // Its owner's rights over a group are not the agent's.
        groups.extend(groups_of(tx, scope, &owner).await?.into_iter().map(|(group, _)| (group, Role::Member)));
    }
    if let Some(owner) = row.try_get::<Option<String>, _>("owner_group")? {
        let group = GroupId::parse(&owner).map_err(|_| StoreError::corrupt("an agent's stored group is not valid"))?;
        groups.push((group, Role::Member));
    }
    Ok(Standing { role: Some(role(&row, "role")?), groups })
}

pub(crate) fn subject(row: &AnyRow, column: &str) -> StoreResult<Subject> {
    Subject::parse(&row.try_get::<String, _>(column)?).map_err(|_| StoreError::corrupt("a stored subject is not valid"))
}

pub(crate) fn role(row: &AnyRow, column: &str) -> StoreResult<Role> {
    Role::parse(&row.try_get::<String, _>(column)?).map_err(|_| StoreError::corrupt("a stored role is not valid"))
}

pub(crate) fn group_id(row: &AnyRow) -> StoreResult<GroupId> {
    GroupId::parse(&row.try_get::<String, _>("group_id")?).map_err(|_| StoreError::corrupt("a stored group is not valid"))
}

fn read(row: &AnyRow) -> StoreResult<Member> {
    Ok(Member {
        sub: subject(row, "sub")?,
        email: row.try_get("email")?,
        role: role(row, "role")?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        created_by: row.try_get("created_by")?,
    })
}

fn read_platform_admin(row: &AnyRow) -> StoreResult<PlatformAdmin> {
    Ok(PlatformAdmin {
        sub: subject(row, "sub")?,
        org: OrgId::parse(&row.try_get::<String, _>("org_id")?).map_err(|_| StoreError::corrupt("a stored organisation is not valid"))?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        created_by: row.try_get("created_by")?,
    })
}
