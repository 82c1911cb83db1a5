//! Changing an organisation's key: a new version seals what is new at once, then takes over the data keys, batch by batch.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::tables::{SEALED_TABLES, SealedTable};
use super::{PAGES_MAX, Rotation, endless};
use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::scope::{OrgScope, Tenant};
use crate::seal::{HEAD_BYTES, rewrap};
use crate::store::Tx;
use crate::vault::{count_wraps, newest_tenant_key};

/// Rows that one transaction moves: a few milliseconds in which nobody else writes on SQLite.
const BATCH_ROWS_MAX: i64 = 64;
/// Walks over the rows. A writer that had found the older key just before may add a row to what the first walk has passed.
const WALKS_MAX: usize = 3;

/// What a change of an organisation's key did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The version that seals now.
    pub version: i64,
    /// Whether it was added now; otherwise a change that had not come to its end was finished.
    pub added: bool,
    /// Rows whose data key it took over.
    pub moved: u64,
    /// Rows that older versions still seal: writers were faster. Run it again.
    pub left: u64,
    /// Rows that do not open and so could not be moved.
    pub unreadable: Vec<String>,
}

impl Rotation<'_> {
    /// Adds a version of the organisation's key, or goes on where an earlier change was cut off, and moves every data key under the
    /// newest version.
    ///
    /// # Errors
    /// `NotFound` when the organisation does not exist; `Sealed` without the root key; otherwise as the database gives them, and what was
    /// moved until then stays moved.
    pub async fn rotate_org(&self, scope: &OrgScope) -> StoreResult<Rotated> {
        self.0.orgs().get(scope).await?;
        let (version, added) = self.version_to_move_to(scope).await?;
        let mut rotated = Rotated { version, added, moved: 0, left: 0, unreadable: Vec::new() };
        for _ in 0..WALKS_MAX {
            rotated.unreadable.clear();
            for table in SEALED_TABLES {
                self.move_rows(scope, table, &mut rotated).await?;
            }
            let older: i64 = self.org_keys(scope).await?.iter().filter(|key| key.version < version).map(|key| key.rows()).sum();
            rotated.left = u64::try_from(older).unwrap_or(0).saturating_sub(rotated.unreadable.len() as u64);
            if rotated.left == 0 {
                break;
            }
        }
        Ok(rotated)
    }

    /// Takes a version of the organisation's key away for good.
    ///
    /// # Errors
    /// `NotFound` when there is no such version; `Conflict` while it seals a row, or is the newest.
    pub async fn retire(&self, scope: &OrgScope, version: i64) -> StoreResult<()> {
        self.0.orgs().get(scope).await?;
        let mut tx = self.0.write(scope).await?;
        let keys = self.org_keys_in(&mut tx, scope).await?;
        let Some(key) = keys.iter().find(|key| key.version == version) else {
            let message = format!("the key of organisation `{}` has no version {version}", scope.org());
            return Err(StoreError::new(StoreErrorKind::NotFound, message, "`bailiwick keys status` lists the versions"));
        };
        let again = format!("run `bailiwick keys rotate --org {}` first", scope.org());
        if keys.iter().all(|key| key.version <= version) {
            let message = format!("version {version} is the newest: it seals what is written now");
            return Err(StoreError::new(StoreErrorKind::Conflict, message, again));
        }
        if key.rows() > 0 {
            let message = format!("version {version} still seals {} rows ({})", key.rows(), key.rows_by_table());
            return Err(StoreError::new(StoreErrorKind::Conflict, message, again));
        }
        // Should a row have come under it in this moment, the database refuses: rows refer to their key.
        let delete = sqlx::query("DELETE FROM tenant_keys WHERE tenant_id = $1 AND version = $2").bind(scope.org().as_str()).bind(version);
        delete.execute(tx.connection()).await?;
        tx.commit().await
    }

    /// While older versions still seal something, the newest one is where an earlier change was going.
    async fn version_to_move_to(&self, scope: &OrgScope) -> StoreResult<(i64, bool)> {
        let mut tx = self.0.write(scope).await?;
        let keys = self.org_keys_in(&mut tx, scope).await?;
        let newest = newest_tenant_key(&mut tx, scope.org()).await?.map_or(0, |(version, _)| version);
        if keys.iter().any(|key| key.version < newest && key.rows() > 0) {
            return Ok((newest, false));
        }
        let version = self.0.create_tenant_key(&mut tx, scope.org(), newest + 1).await?;
        tx.commit().await?;
        Ok((version, true))
    }

    async fn move_rows(&self, scope: &OrgScope, table: &SealedTable, rotated: &mut Rotated) -> StoreResult<()> {
        let mut after = (String::new(), 0);
        for _ in 0..PAGES_MAX {
            match self.move_batch(scope, table, after, rotated).await? {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
        Err(endless())
    }

    /// Gives the last row of the batch; `None` when there was none.
    async fn move_batch(
        &self,
        scope: &OrgScope,
        table: &SealedTable,
        after: (String, i64),
        rotated: &mut Rotated,
    ) -> StoreResult<Option<(String, i64)>> {
        let mut tx = self.0.write(scope).await?;
        let query = sqlx::query(table.older).bind(scope.org().as_str()).bind(rotated.version);
        let rows = query.bind(after.0).bind(after.1).bind(BATCH_ROWS_MAX).fetch_all(tx.connection()).await?;
        let Some(last) = rows.last() else { return Ok(None) };
        let last = (last.try_get("row_name")?, last.try_get("version")?);
        // First the key, then the rows: in this order writers of values take them, too.
        count_wraps(&mut tx, scope.org(), rotated.version, i64::try_from(rows.len()).unwrap_or(i64::MAX)).await?;
        let mut moved = 0;
        for row in &rows {
            match self.move_row(&mut tx, scope, table, row, rotated.version).await {
                Ok(count) => moved += count,
                Err(fault) if fault.kind() == StoreErrorKind::Corrupt => rotated.unreadable.push(name_of(table, row)?),
                Err(fault) => return Err(fault),
            }
        }
        tx.commit().await?;
        rotated.moved += moved;
        Ok(Some(last))
    }

    /// Moves a row, unless it was set anew or removed since it was read.
    async fn move_row(&self, tx: &mut Tx, scope: &OrgScope, table: &SealedTable, row: &AnyRow, to: i64) -> StoreResult<u64> {
        let (name, version, from): (String, i64, i64) = (row.try_get("row_name")?, row.try_get("version")?, row.try_get("tenant_key")?);
        let (data_key, head): (Vec<u8>, Vec<u8>) = (row.try_get("data_key")?, row.try_get("head")?);
        debug_assert!(head.len() <= HEAD_BYTES, "only the head is read");
        let old = self.0.tenant_key_for_opening(tx, scope.org(), from).await?;
        let new = self.0.tenant_key_for_opening(tx, scope.org(), to).await?;
        let data_key = rewrap((&old, &new), &table.place(scope, &name, version), &data_key, &head, self.0.random())?;
        let update = sqlx::query(table.update).bind(scope.org().as_str()).bind(to).bind(data_key).bind(name).bind(version).bind(from);
        Ok(update.execute(tx.connection()).await?.rows_affected())
    }
}

fn name_of(table: &SealedTable, row: &AnyRow) -> StoreResult<String> {
    Ok(table.row_name(&row.try_get::<String, _>("row_name")?, row.try_get("version")?))
}
