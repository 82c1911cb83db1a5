//! Organisations: the tenants. Their rows are the platform's, because they exist before anything belongs to them.

use bailiwick_model::{OrgId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::{StoreError, StoreResult};
use crate::generation::{Topic, bump};
use crate::scope::{PlatformScope, Tenant};
use crate::store::{Store, Tx};

/// Rows a listing gives at once; ask again with the last one's name for more.
pub const PAGE_ROWS_MAX: i64 = 500;

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organisation {
    /// Its name.
    pub org: OrgId,
    /// When it was created.
    pub created_at: Timestamp,
    /// Who created it.
    pub created_by: String,
}

/// Functions on organisations; see [`Store::orgs`].
#[derive(Clone, Copy, Debug)]
pub struct Orgs<'a>(&'a Store);

impl Store {
    /// Organisations.
    #[must_use]
    pub const fn orgs(&self) -> Orgs<'_> {
        Orgs(self)
    }
}

impl Orgs<'_> {
    /// Creates an organisation.
    ///
    /// # Errors
    /// `Conflict` when it exists.
    pub async fn create(&self, scope: &PlatformScope, org: &OrgId) -> StoreResult<Organisation> {
        let mut tx = self.0.write_platform(scope).await?;
        let created_at = self.0.now();
        sqlx::query("INSERT INTO organisations (org_id, created_at, created_by) VALUES ($1, $2, $3)")
            .bind(org.as_str())
            .bind(created_at.as_micros())
            .bind(scope.actor())
            .execute(tx.connection())
            .await?;
        bump(&mut tx, Topic::Organisations).await?;
        tx.commit().await?;
        Ok(Organisation { org: org.clone(), created_at, created_by: scope.actor().to_owned() })
    }

    /// Creates an organisation unless it exists, e.g. the default one at start.
    ///
    /// # Errors
    /// `Unavailable`, `Locked`, `Full`.
    pub async fn ensure(&self, scope: &PlatformScope, org: &OrgId) -> StoreResult<()> {
        let mut tx = self.0.write_platform(scope).await?;
        ensure_row(&mut tx, org, self.0.now(), scope.actor()).await?;
        tx.commit().await
    }

    /// One page of organisations by name, those after `after` (empty: from the beginning), at most [`PAGE_ROWS_MAX`].
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn list(&self, scope: &PlatformScope, after: &str) -> StoreResult<Vec<Organisation>> {
        let mut tx = self.0.read_platform(scope).await?;
        let rows = sqlx::query("SELECT org_id, created_at, created_by FROM organisations WHERE org_id > $1 ORDER BY org_id LIMIT $2")
            .bind(after)
            .bind(PAGE_ROWS_MAX)
            .fetch_all(tx.connection())
            .await?;
        rows.iter().map(read).collect()
    }

    /// The organisation of the scope; there is no way to ask for another.
    ///
    /// # Errors
    /// `NotFound` when an operator named one that does not exist.
    pub async fn get(&self, tenant: &impl Tenant) -> StoreResult<Organisation> {
        let mut tx = self.0.read(tenant).await?;
        let row = sqlx::query("SELECT org_id, created_at, created_by FROM organisations WHERE org_id = $1")
            .bind(tenant.org().as_str())
            .fetch_optional(tx.connection())
            .await?;
        row.as_ref().map(read).transpose()?.ok_or_else(|| {
            let message = format!("organisation `{}` does not exist", tenant.org());
            StoreError::new(crate::StoreErrorKind::NotFound, message, "create it with `bailiwick org create`")
        })
    }
}

/// Inserts the row unless it is there.
pub(crate) async fn ensure_row(tx: &mut Tx, org: &OrgId, now: Timestamp, actor: &str) -> StoreResult<()> {
    let done = sqlx::query("INSERT INTO organisations (org_id, created_at, created_by) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(org.as_str())
        .bind(now.as_micros())
        .bind(actor)
        .execute(tx.connection())
        .await?;
    if done.rows_affected() > 0 {
        bump(tx, Topic::Organisations).await?;
    }
    Ok(())
}

fn read(row: &AnyRow) -> StoreResult<Organisation> {
    let org: String = row.try_get("org_id")?;
    Ok(Organisation {
        org: OrgId::parse(&org).map_err(|_| StoreError::corrupt("an organisation's stored name is not valid"))?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        created_by: row.try_get("created_by")?,
    })
}
