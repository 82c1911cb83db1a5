//! Secrets of an organisation: sealed values with a name. Operators set them and never read them back; the gateway opens one for a call.

use bailiwick_model::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::{StoreError, StoreResult};
use crate::generation::{Topic, bump};
use crate::org::PAGE_ROWS_MAX;
use crate::scope::{OrgScope, Tenant};
use crate::seal::{Envelope, Place, open_value, seal_value};
use crate::store::{Store, Tx};

/// Longest name of a secret.
const NAME_CHARS_MAX: usize = 128;
/// Largest secret: room for a certificate chain with its key.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;

/// What may be shown of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretInfo {
    /// Its name.
    pub name: String,
    /// How often it was set.
    pub version: i64,
    /// When it was first set.
    pub created_at: Timestamp,
    /// When it was last set.
    pub updated_at: Timestamp,
    /// Who set it last.
    pub updated_by: String,
}

/// Functions on secrets; see [`Store::secrets`].
#[derive(Clone, Copy, Debug)]
pub struct Secrets<'a>(&'a Store);

impl Store {
    /// Sealed values.
    #[must_use]
    pub const fn secrets(&self) -> Secrets<'_> {
        Secrets(self)
    }
}

impl Secrets<'_> {
    /// Sets a secret and gives its version, 1 for a new one. Each version is sealed under a key of its own.
    ///
    /// # Errors
    /// `Invalid` for a bad name or an empty or too large value, `Sealed` without the root key, `Conflict` when the organisation does
    /// not exist.
    pub async fn put(&self, scope: &OrgScope, name: &str, value: &SecretString) -> StoreResult<i64> {
        self.put_if(scope, name, value, None).await
    }

    /// The same, if the present version is `expected`, when one is given.
    ///
    /// # Errors
    /// As [`put`](Self::put); `Outdated` when the version is another, or there is none.
    pub async fn put_if(&self, scope: &OrgScope, name: &str, value: &SecretString, expected: Option<i64>) -> StoreResult<i64> {
        check(name, value)?;
        let store = self.0;
        let mut tx = store.write(scope).await?;
        let (tenant_key, key) = store.tenant_key_for_sealing(&mut tx, scope.org()).await?;
        let present = newest_version(&mut tx, scope, name).await?;
        check_version(present, expected)?;
        let version = present + 1;
        let place = place(scope, name, version);
        let envelope = seal_value(&key, &place, value.expose_secret().as_bytes(), store.random())?;
        let statement = "INSERT INTO secrets (tenant_id, name, version, tenant_key, data_key, sealed, created_at, updated_at, updated_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8) ON CONFLICT (tenant_id, name) DO UPDATE SET version = excluded.version, \
             tenant_key = excluded.tenant_key, data_key = excluded.data_key, sealed = excluded.sealed, \
             updated_at = excluded.updated_at, updated_by = excluded.updated_by WHERE secrets.version = excluded.version - 1";
        let done = sqlx::query(statement)
            .bind(scope.org().as_str())
            .bind(name)
            .bind(version)
            .bind(tenant_key)
            .bind(envelope.data_key)
            .bind(envelope.sealed)
            .bind(store.now().as_micros())
            .bind(scope.actor())
            .execute(tx.connection())
            .await?;
        if done.rows_affected() == 0 {
            let message = format!("secret `{name}` was set by somebody else at the same moment");
            return Err(StoreError::new(crate::StoreErrorKind::Conflict, message, "look which value is wanted and set it again"));
        }
        bump(&mut tx, Topic::Secrets).await?;
        tx.commit().await?;
        Ok(version)
    }

    /// Opens a secret.
    ///
    /// # Errors
    /// `NotFound`, also for a secret of another organisation; `Sealed` without the root key; `Corrupt` when the stored form was
    /// altered or moved.
    pub async fn open(&self, tenant: &impl Tenant, name: &str) -> StoreResult<SecretString> {
        let store = self.0;
        store.vault().keys()?;
        let mut tx = store.read(tenant).await?;
        let statement = "SELECT version, tenant_key, data_key, sealed FROM secrets WHERE tenant_id = $1 AND name = $2";
        let row = sqlx::query(statement).bind(tenant.org().as_str()).bind(name).fetch_optional(tx.connection()).await?;
        let row = row.ok_or_else(|| StoreError::not_found("the secret"))?;
        let key = store.tenant_key_for_opening(&mut tx, tenant.org(), row.try_get("tenant_key")?).await?;
        let envelope = Envelope { data_key: row.try_get("data_key")?, sealed: row.try_get("sealed")? };
        let plain = open_value(&key, &place(tenant, name, row.try_get("version")?), &envelope)?;
        let text = std::str::from_utf8(&plain).map_err(|_| StoreError::corrupt("a sealed value is not text"))?;
        Ok(SecretString::from(text))
    }

    /// Name and dates of one secret, never its value.
    ///
    /// # Errors
    /// `NotFound`, also for a secret of another organisation.
    pub async fn info(&self, tenant: &impl Tenant, name: &str) -> StoreResult<SecretInfo> {
        let statement = "SELECT name, version, created_at, updated_at, updated_by FROM secrets WHERE tenant_id = $1 AND name = $2";
        let mut tx = self.0.read(tenant).await?;
        let row = sqlx::query(statement).bind(tenant.org().as_str()).bind(name).fetch_optional(tx.connection()).await?;
        row.as_ref().map(read).transpose()?.ok_or_else(|| StoreError::not_found("the secret"))
    }

    /// One page of names and dates, never values, those after `after` (empty: from the beginning), at most [`PAGE_ROWS_MAX`].
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn list(&self, tenant: &impl Tenant, after: &str) -> StoreResult<Vec<SecretInfo>> {
        let statement = "SELECT name, version, created_at, updated_at, updated_by FROM secrets \
                         WHERE tenant_id = $1 AND name > $2 ORDER BY name LIMIT $3";
        let mut tx = self.0.read(tenant).await?;
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(after).bind(PAGE_ROWS_MAX);
        let rows = query.fetch_all(tx.connection()).await?;
        rows.iter().map(read).collect()
    }

    /// Deletes a secret. Works without the root key.
    ///
    /// # Errors
    /// `NotFound`, also for a secret of another organisation.
    pub async fn delete(&self, scope: &OrgScope, name: &str) -> StoreResult<()> {
        self.delete_if(scope, name, None).await
    }

    /// The same, if the present version is `expected`, when one is given.
    ///
    /// # Errors
    /// As [`delete`](Self::delete); `Outdated` when the version is another.
    pub async fn delete_if(&self, scope: &OrgScope, name: &str, expected: Option<i64>) -> StoreResult<()> {
        let mut tx = self.0.write(scope).await?;
        let present = newest_version(&mut tx, scope, name).await?;
        if present > 0 {
            check_version(present, expected)?;
        }
        let query = sqlx::query("DELETE FROM secrets WHERE tenant_id = $1 AND name = $2").bind(scope.org().as_str()).bind(name);
        if query.execute(tx.connection()).await?.rows_affected() == 0 {
            return Err(StoreError::not_found("the secret"));
        }
        bump(&mut tx, Topic::Secrets).await?;
        tx.commit().await
    }
}

fn place<'a>(tenant: &'a impl Tenant, name: &'a str, version: i64) -> Place<'a> {
    Place { tenant: tenant.org().as_str(), table: "secrets", row: name, field: "sealed", version }
}

async fn newest_version(tx: &mut Tx, tenant: &impl Tenant, name: &str) -> StoreResult<i64> {
    let query = sqlx::query("SELECT version FROM secrets WHERE tenant_id = $1 AND name = $2").bind(tenant.org().as_str()).bind(name);
    query.fetch_optional(tx.connection()).await?.map_or(Ok(0), |row| Ok(row.try_get(0)?))
}

fn check_version(present: i64, expected: Option<i64>) -> StoreResult<()> {
    if expected.is_none_or(|expected| expected == present) {
        return Ok(());
    }
    let message = format!("the secret has version {present} by now");
    Err(StoreError::new(crate::StoreErrorKind::Outdated, message, "look what was changed, and by whom, before changing it again"))
}

fn read(row: &AnyRow) -> StoreResult<SecretInfo> {
    Ok(SecretInfo {
        name: row.try_get("name")?,
        version: row.try_get("version")?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        updated_at: Timestamp::from_micros(row.try_get("updated_at")?),
        updated_by: row.try_get("updated_by")?,
    })
}

fn check(name: &str, value: &SecretString) -> StoreResult<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    let first = name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    if !first || name.len() > NAME_CHARS_MAX || !name.bytes().all(plain) {
        return Err(StoreError::invalid(
            "the name of the secret is not usable",
            "use letters, digits, `_`, `.` and `-`, beginning with a letter or digit, at most 128 characters",
        ));
    }
    match value.expose_secret().len() {
        0 => Err(StoreError::invalid("the secret is empty", "give a value, or delete the secret")),
        1..=SECRET_BYTES_MAX => Ok(()),
        _ => Err(StoreError::invalid("the secret is larger than 64 KiB", "store only the secret part of the value")),
    }
}
