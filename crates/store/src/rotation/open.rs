//! The proof that everything opens: every sealed value is opened once, and forgotten.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::tables::{SEALED_TABLES, SealedTable};
use super::{PAGES_MAX, Rotation, endless};
use crate::error::{StoreErrorKind, StoreResult};
use crate::scope::{OrgScope, Tenant};
use crate::seal::{Envelope, open_value};
use crate::store::Tx;

/// Rows read at once: at most 4 MiB of sealed values.
const BATCH_ROWS_MAX: i64 = 64;

/// What opened and what did not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Values that opened.
    pub opened: u64,
    /// Those that did not, by table and name.
    pub unreadable: Vec<String>,
}

impl Rotation<'_> {
    /// Opens every sealed value of the organisation.
    ///
    /// # Errors
    /// `Sealed` without the root key; otherwise as the database gives them.
    pub async fn open_all(&self, scope: &OrgScope) -> StoreResult<Opened> {
        self.0.vault().keys()?;
        let mut opened = Opened::default();
        for table in SEALED_TABLES {
            self.open_table(scope, table, &mut opened).await?;
        }
        Ok(opened)
    }

    async fn open_table(&self, scope: &OrgScope, table: &SealedTable, opened: &mut Opened) -> StoreResult<()> {
        let mut after = (String::new(), 0_i64);
        for _ in 0..PAGES_MAX {
            let mut tx = self.0.read(scope).await?;
            let query = sqlx::query(table.whole).bind(scope.org().as_str()).bind(after.0).bind(after.1).bind(BATCH_ROWS_MAX);
            let rows = query.fetch_all(tx.connection()).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = (last.try_get("row_name")?, last.try_get("version")?);
            for row in &rows {
                let (name, version): (String, i64) = (row.try_get("row_name")?, row.try_get("version")?);
                match self.open_row(&mut tx, scope, table, row, (&name, version)).await {
                    Ok(()) => opened.opened += 1,
                    Err(fault) if matches!(fault.kind(), StoreErrorKind::Corrupt | StoreErrorKind::Sealed) => {
                        opened.unreadable.push(table.row_name(&name, version));
                    }
                    Err(fault) => return Err(fault),
                }
            }
        }
        Err(endless())
    }

    async fn open_row(
        &self,
        tx: &mut Tx,
        scope: &OrgScope,
        table: &SealedTable,
        row: &AnyRow,
        (name, version): (&str, i64),
    ) -> StoreResult<()> {
        let key = self.0.tenant_key_for_opening(tx, scope.org(), row.try_get("tenant_key")?).await?;
        let envelope = Envelope { data_key: row.try_get("data_key")?, sealed: row.try_get("sealed")? };
        open_value(&key, &table.place(scope, name, version), &envelope).map(drop)
    }
}
