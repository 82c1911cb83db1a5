//! Changing the root key in two walks over all keys: the first wraps each by the new root key as well, the second, when every gateway has
//! the new one, takes the old form away. Between the two, either root key opens everything.

use bailiwick_model::OrgId;
use sqlx::Row;

use super::step::{Aim, Step, step};
use super::{OtherRoot, PAGES_MAX, Rotation, endless};
use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::org::PAGE_ROWS_MAX;
use crate::scope::PlatformScope;
use crate::seal::KeyKind;
use crate::store::Tx;
use crate::vault::{platform_place, tenant_place};
use crate::wrapped::Wrapped;

/// What a walk over all keys did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RootMoved {
    /// Keys that were looked at.
    pub keys: u64,
    /// Those that are stored in another form now.
    pub changed: u64,
    /// Those that none of the root keys at hand opens; they stay as they are.
    lost: u64,
}

/// Whether a walk writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Walk {
    Look,
    Write,
}

impl Rotation<'_> {
    /// Wraps every key by `new` as well. Gateways with the present root key notice nothing; afterwards they can be started with the new one.
    ///
    /// # Errors
    /// `Conflict` while a change to a third root key is under way, and when a key belongs to a root key that is not at hand; `Sealed`
    /// without the root key.
    pub async fn add_root(&self, scope: &PlatformScope, new: &OtherRoot) -> StoreResult<RootMoved> {
        let aim = Aim::Both { own: &self.0.vault().keys()?.root, new: &new.0 };
        // The platform's key comes last: no process opens with the new root key before it opens everything.
        let mut moved = self.walk_orgs(scope, aim, Walk::Write).await?;
        if moved.lost == 0 {
            self.walk_platform(scope, aim, &mut moved).await?;
        }
        complete(moved)
    }

    /// Keeps only what the configured root key opens. What only `old` opens, because it was made meanwhile by a gateway that still had it,
    /// is taken over.
    ///
    /// # Errors
    /// `Conflict`, before anything is changed, when some key can be opened by neither; `Sealed` without the root key.
    pub async fn keep_root(&self, scope: &PlatformScope, old: Option<&OtherRoot>) -> StoreResult<RootMoved> {
        let aim = Aim::Only { own: &self.0.vault().keys()?.root, old: old.map(|old| &old.0) };
        complete(self.walk_orgs(scope, aim, Walk::Look).await?)?;
        // The platform's key comes first: from here on nobody makes keys under the old root key any more.
        let mut moved = RootMoved::default();
        self.walk_platform(scope, aim, &mut moved).await?;
        let orgs = self.walk_orgs(scope, aim, Walk::Write).await?;
        complete(RootMoved { keys: moved.keys + orgs.keys, changed: moved.changed + orgs.changed, lost: orgs.lost })
    }

    async fn walk_orgs(&self, scope: &PlatformScope, aim: Aim<'_>, walk: Walk) -> StoreResult<RootMoved> {
        let (mut moved, mut after) = (RootMoved::default(), None);
        for _ in 0..PAGES_MAX {
            let page = self.orgs_after(scope, after.as_ref()).await?;
            let Some(last) = page.last() else { return Ok(moved) };
            for org in &page {
                self.walk_org(scope, org, (aim, walk), &mut moved).await?;
            }
            after = Some(last.clone());
        }
        Err(endless())
    }

    /// One page of versions is one transaction.
    async fn walk_org(&self, scope: &PlatformScope, org: &OrgId, (aim, walk): (Aim<'_>, Walk), moved: &mut RootMoved) -> StoreResult<()> {
        let (tenant, mut after) = (scope.within(org), 0);
        let statement = "SELECT version, root_key_id, wrapped, next_root_key_id, next_wrapped FROM tenant_keys \
                         WHERE tenant_id = $1 AND version > $2 ORDER BY version LIMIT $3";
        for _ in 0..PAGES_MAX {
            let mut tx = if walk == Walk::Look { self.0.read(&tenant).await? } else { self.0.write(&tenant).await? };
            let query = sqlx::query(statement).bind(org.as_str()).bind(after).bind(PAGE_ROWS_MAX);
            let rows = query.fetch_all(tx.connection()).await?;
            for row in &rows {
                let (version, key) = (row.try_get("version")?, Wrapped::read(row)?);
                let wanted = step(aim, KeyKind::Tenant, &tenant_place(org, version), &key, self.0.random())?;
                let store = if let Step::Store(wrapped) = &wanted { Some(wrapped) } else { None };
                let stored = match store.filter(|_| walk == Walk::Write) {
                    Some(wrapped) => store_tenant_key(&mut tx, org, version, (&key, wrapped)).await?,
                    None => false,
                };
                moved.count(&wanted, stored);
                after = version;
            }
            if walk == Walk::Write {
                tx.commit().await?;
            }
            if rows.is_empty() {
                return Ok(());
            }
        }
        Err(endless())
    }

    async fn walk_platform(&self, scope: &PlatformScope, aim: Aim<'_>, moved: &mut RootMoved) -> StoreResult<()> {
        let mut tx = self.0.write_platform(scope).await?;
        let statement = "SELECT version, root_key_id, wrapped, next_root_key_id, next_wrapped FROM platform_keys ORDER BY version LIMIT $1";
        for row in sqlx::query(statement).bind(PAGE_ROWS_MAX).fetch_all(tx.connection()).await? {
            let (version, key) = (row.try_get("version")?, Wrapped::read(&row)?);
            let wanted = step(aim, KeyKind::Platform, &platform_place(version), &key, self.0.random())?;
            let stored = match &wanted {
                Step::Store(wrapped) => store_platform_key(&mut tx, version, (&key, wrapped)).await?,
                Step::Stay | Step::Lost => false,
            };
            moved.count(&wanted, stored);
        }
        tx.commit().await
    }
}

impl RootMoved {
    fn count(&mut self, wanted: &Step, stored: bool) {
        self.keys += 1;
        self.changed += u64::from(stored);
        self.lost += u64::from(matches!(wanted, Step::Lost));
    }
}

fn complete(moved: RootMoved) -> StoreResult<RootMoved> {
    if moved.lost == 0 {
        return Ok(moved);
    }
    let message = format!("{} of {} keys of organisations belong to a root key that is not at hand", moved.lost, moved.keys);
    let remedy =
        "`bailiwick keys status` shows which; give that root key's file with `--old-root-key-file`, with the one to keep configured";
    Err(StoreError::new(StoreErrorKind::Conflict, message, remedy))
}

/// Stores the form unless another process has changed the row since it was read.
async fn store_tenant_key(tx: &mut Tx, org: &OrgId, version: i64, (was, is): (&Wrapped, &Wrapped)) -> StoreResult<bool> {
    let statement = "UPDATE tenant_keys SET root_key_id = $3, wrapped = $4, next_root_key_id = $5, next_wrapped = $6 \
                     WHERE tenant_id = $1 AND version = $2 AND root_key_id = $7 AND coalesce(next_root_key_id, '') = $8";
    let done = sqlx::query(statement)
        .bind(org.as_str())
        .bind(version)
        .bind(is.now.root_key_id.clone())
        .bind(is.now.form.clone())
        .bind(is.next.as_ref().map(|next| next.root_key_id.clone()))
        .bind(is.next.as_ref().map(|next| next.form.clone()))
        .bind(was.now.root_key_id.clone())
        .bind(was.next.as_ref().map_or_else(String::new, |next| next.root_key_id.clone()))
        .execute(tx.connection())
        .await?;
    Ok(done.rows_affected() > 0)
}

/// As [`store_tenant_key`].
async fn store_platform_key(tx: &mut Tx, version: i64, (was, is): (&Wrapped, &Wrapped)) -> StoreResult<bool> {
    let statement = "UPDATE platform_keys SET root_key_id = $2, wrapped = $3, next_root_key_id = $4, next_wrapped = $5 \
                     WHERE version = $1 AND root_key_id = $6 AND coalesce(next_root_key_id, '') = $7";
    let done = sqlx::query(statement)
        .bind(version)
        .bind(is.now.root_key_id.clone())
        .bind(is.now.form.clone())
        .bind(is.next.as_ref().map(|next| next.root_key_id.clone()))
        .bind(is.next.as_ref().map(|next| next.form.clone()))
        .bind(was.now.root_key_id.clone())
        .bind(was.next.as_ref().map_or_else(String::new, |next| next.root_key_id.clone()))
        .execute(tx.connection())
        .await?;
    Ok(done.rows_affected() > 0)
}
