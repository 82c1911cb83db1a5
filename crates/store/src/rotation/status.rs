//! Which key seals how much.

use std::collections::BTreeMap;

use bailiwick_model::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::Rotation;
use super::tables::SEALED_TABLES;
use crate::error::StoreResult;
use crate::org::PAGE_ROWS_MAX;
use crate::scope::{OrgScope, PlatformScope, Tenant};
use crate::store::Tx;

/// A version of an organisation's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyVersion {
    /// Its number; the highest one seals what is new.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// How often it sealed.
    pub wraps: i64,
    /// The root keys that open it: one, and while the root key is being changed two.
    pub root_keys: Vec<String>,
    /// Rows that it seals, by table.
    pub tables: BTreeMap<&'static str, i64>,
}

impl KeyVersion {
    /// All rows that it seals.
    #[must_use]
    pub fn rows(&self) -> i64 {
        self.tables.values().sum()
    }

    /// The same by table, as text.
    #[must_use]
    pub fn rows_by_table(&self) -> String {
        let filled = self.tables.iter().filter(|(_, rows)| **rows > 0);
        filled.map(|(table, rows)| format!("{table}: {rows}")).collect::<Vec<_>>().join(", ")
    }
}

/// A version of the platform's own key, which keeps API keys and the signature of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformKey {
    /// Its number.
    pub version: i64,
    /// The root keys that open it.
    pub root_keys: Vec<String>,
    /// Values of the platform that it seals.
    pub rows: i64,
}

impl Rotation<'_> {
    /// The versions of the platform's key. Works without the root key.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn platform_keys(&self, scope: &PlatformScope) -> StoreResult<Vec<PlatformKey>> {
        let mut tx = self.0.read_platform(scope).await?;
        // Only the newest version seals; there is no other so far.
        let statement = "SELECT version, root_key_id, next_root_key_id, (SELECT count(*) FROM platform_secrets) AS sealed_rows \
                         FROM platform_keys ORDER BY version LIMIT $1";
        let rows = sqlx::query(statement).bind(PAGE_ROWS_MAX).fetch_all(tx.connection()).await?;
        let read = |row| Ok(PlatformKey { version: row_i64(row, "version")?, root_keys: roots(row)?, rows: row_i64(row, "sealed_rows")? });
        rows.iter().map(read).collect()
    }

    /// The versions of an organisation's key, oldest first, at most [`PAGE_ROWS_MAX`]. Works without the root key.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn org_keys(&self, scope: &OrgScope) -> StoreResult<Vec<KeyVersion>> {
        let mut tx = self.0.read(scope).await?;
        self.org_keys_in(&mut tx, scope).await
    }

    pub(super) async fn org_keys_in(&self, tx: &mut Tx, scope: &OrgScope) -> StoreResult<Vec<KeyVersion>> {
        let statement = "SELECT version, created_at, wraps, root_key_id, next_root_key_id FROM tenant_keys WHERE tenant_id = $1 \
                         ORDER BY version DESC LIMIT $2";
        let rows = sqlx::query(statement).bind(scope.org().as_str()).bind(PAGE_ROWS_MAX).fetch_all(tx.connection()).await?;
        let mut keys = rows.iter().rev().map(read).collect::<StoreResult<Vec<_>>>()?;
        for table in SEALED_TABLES {
            let rows = sqlx::query(table.count).bind(scope.org().as_str()).fetch_all(tx.connection()).await?;
            let counts = rows.iter().map(|row| Ok((row_i64(row, "tenant_key")?, row_i64(row, "sealed_rows")?)));
            let counts = counts.collect::<StoreResult<BTreeMap<i64, i64>>>()?;
            for key in &mut keys {
                key.tables.insert(table.name, counts.get(&key.version).copied().unwrap_or(0));
            }
        }
        Ok(keys)
    }
}

fn read(row: &AnyRow) -> StoreResult<KeyVersion> {
    Ok(KeyVersion {
        version: row_i64(row, "version")?,
        created_at: Timestamp::from_micros(row_i64(row, "created_at")?),
        wraps: row_i64(row, "wraps")?,
        root_keys: roots(row)?,
        tables: BTreeMap::new(),
    })
}

fn row_i64(row: &AnyRow, column: &str) -> StoreResult<i64> {
    Ok(row.try_get(column)?)
}

fn roots(row: &AnyRow) -> StoreResult<Vec<String>> {
    let (now, next): (String, Option<String>) = (row.try_get("root_key_id")?, row.try_get("next_root_key_id")?);
    Ok(std::iter::once(now).chain(next).collect())
}
