//! Sealed values that belong to a server, all in one table. A value opens only where it was sealed: the name of its row holds the server, the
//! kind and the holder, so a row that was given to another person, server, organisation or kind does not open.

use bailiwick_model::{OrgId, ServerId};
use secrecy::{ExposeSecret, SecretString};
use sqlx::Row;

use crate::error::{StoreError, StoreResult};
use crate::seal::{Envelope, Place, open_value, seal_value};
use crate::store::{Store, Tx};

/// What a value is. The holder is, in this order: a person or nobody (twice), the digest of a state, an issuer, a revocation (twice).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Access,
    Refresh,
    Verifier,
    ClientSecret,
    Revoke,
    RevokeSecret,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
            Self::Verifier => "verifier",
            Self::ClientSecret => "client_secret",
            Self::Revoke => "revoke",
            Self::RevokeSecret => "revoke_secret",
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot<'a> {
    pub(crate) org: &'a OrgId,
    pub(crate) server: ServerId,
    pub(crate) kind: Kind,
    pub(crate) holder: &'a str,
}

impl Spot<'_> {
    /// The same text as `rotation/tables.rs` makes of the columns.
    fn row_name(&self) -> String {
        format!("{}/{}/{}", self.server, self.kind.as_str(), self.holder)
    }

    fn place<'p>(&'p self, row: &'p str, version: i64) -> Place<'p> {
        Place { tenant: self.org.as_str(), table: "server_secrets", row, field: "sealed", version }
    }
}

impl Store {
    /// Seals a value in the place of an older one. The transaction is bound to the organisation.
    pub(crate) async fn seal_at(&self, tx: &mut Tx, spot: &Spot<'_>, version: i64, value: &SecretString) -> StoreResult<()> {
        let (tenant_key, key) = self.tenant_key_for_sealing(tx, spot.org).await?;
        let row = spot.row_name();
        let envelope = seal_value(&key, &spot.place(&row, version), value.expose_secret().as_bytes(), self.random())?;
        let statement = "INSERT INTO server_secrets (tenant_id, server_id, kind, holder, version, tenant_key, data_key, sealed, created_at) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant_id, server_id, kind, holder) DO UPDATE SET \
                         version = excluded.version, tenant_key = excluded.tenant_key, data_key = excluded.data_key, \
                         sealed = excluded.sealed, created_at = excluded.created_at";
        sqlx::query(statement)
            .bind(spot.org.as_str())
            .bind(spot.server.to_string())
            .bind(spot.kind.as_str())
            .bind(spot.holder)
            .bind(version)
            .bind(tenant_key)
            .bind(envelope.data_key)
            .bind(envelope.sealed)
            .bind(self.now().as_micros())
            .execute(tx.connection())
            .await?;
        Ok(())
    }

    /// Opens a value; `None` when there is none. The transaction is bound to the organisation.
    pub(crate) async fn open_at(&self, tx: &mut Tx, spot: &Spot<'_>) -> StoreResult<Option<SecretString>> {
        self.vault().keys()?;
        let statement = "SELECT version, tenant_key, data_key, sealed FROM server_secrets \
                         WHERE tenant_id = $1 AND server_id = $2 AND kind = $3 AND holder = $4";
        let query = sqlx::query(statement).bind(spot.org.as_str()).bind(spot.server.to_string());
        let found = query.bind(spot.kind.as_str()).bind(spot.holder).fetch_optional(tx.connection()).await?;
        let Some(row) = found else { return Ok(None) };
        let key = self.tenant_key_for_opening(tx, spot.org, row.try_get("tenant_key")?).await?;
        let envelope = Envelope { data_key: row.try_get("data_key")?, sealed: row.try_get("sealed")? };
        let plain = open_value(&key, &spot.place(&spot.row_name(), row.try_get("version")?), &envelope)?;
        text(&plain).map(Some)
    }
}

/// Forgets a value; no error when there is none.
pub(crate) async fn drop_at(tx: &mut Tx, spot: &Spot<'_>) -> StoreResult<()> {
    let statement = "DELETE FROM server_secrets WHERE tenant_id = $1 AND server_id = $2 AND kind = $3 AND holder = $4";
    let query = sqlx::query(statement).bind(spot.org.as_str()).bind(spot.server.to_string());
    query.bind(spot.kind.as_str()).bind(spot.holder).execute(tx.connection()).await?;
    Ok(())
}

pub(crate) fn text(plain: &[u8]) -> StoreResult<SecretString> {
    let text = std::str::from_utf8(plain).map_err(|_| StoreError::corrupt("a sealed value is not text"))?;
    Ok(SecretString::from(text))
}
