//! What an organisation has at a server that it sees: a context, a credential; and its settings for all of them.

use bailiwick_model::registered::{CredentialFallback, OrgContext};
use bailiwick_model::{ServerId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::row::{server_id, text};
use super::visible;
use crate::error::{StoreError, StoreResult};
use crate::generation::{Topic, bump};
use crate::org::PAGE_ROWS_MAX;
use crate::scope::{OrgScope, Tenant};
use crate::store::{Store, Tx};

/// What an organisation says of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerContext {
    /// The server.
    pub server: ServerId,
    /// The text.
    pub context: OrgContext,
    /// When it was first said.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it was last changed.
    pub modified_at: Timestamp,
    /// By whom.
    pub modified_by: String,
}

/// Which secret of the organisation stands in for people without a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCredential {
    /// The server.
    pub server: ServerId,
    /// The secret. It existed when it was chosen; it may have been deleted since.
    pub secret_name: String,
    /// When one was first chosen.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When one was last chosen; setting the secret anew does not count.
    pub modified_at: Timestamp,
    /// By whom.
    pub modified_by: String,
}

/// Functions on what organisations have at servers; see [`Store::server_orgs`].
#[derive(Clone, Copy, Debug)]
pub struct ServerOrgs<'a>(&'a Store);

impl Store {
    /// Contexts, credentials and settings of organisations.
    #[must_use]
    pub const fn server_orgs(&self) -> ServerOrgs<'_> {
        ServerOrgs(self)
    }
}

impl ServerOrgs<'_> {
    /// Says something of a server; an empty text takes back what was said.
    ///
    /// # Errors
    /// `NotFound` for a server that the organisation does not see.
    pub async fn set_context(&self, scope: &OrgScope, server: ServerId, context: &OrgContext) -> StoreResult<()> {
        let mut tx = self.begin(scope, server).await?;
        if context.is_empty() {
            let query = sqlx::query("DELETE FROM server_org_contexts WHERE tenant_id = $1 AND server_id = $2");
            query.bind(scope.org().as_str()).bind(server.to_string()).execute(tx.connection()).await?;
            return tx.commit().await;
        }
        let statement = "INSERT INTO server_org_contexts (tenant_id, server_id, context, created_at, created_by, modified_at, modified_by) \
                         VALUES ($1, $2, $3, $4, $5, $4, $5) ON CONFLICT (tenant_id, server_id) DO UPDATE SET context = excluded.context, \
                         modified_at = excluded.modified_at, modified_by = excluded.modified_by";
        self.upsert(tx, statement, scope, server, context.as_str()).await
    }

    /// What the organisation says of a server.
    ///
    /// # Errors
    /// `NotFound` for a server that the organisation does not see.
    pub async fn context(&self, tenant: &impl Tenant, server: ServerId) -> StoreResult<Option<ServerContext>> {
        let mut tx = self.0.read(tenant).await?;
        visible::check(&mut tx, tenant.org(), server).await?;
        let statement = "SELECT server_id, context, created_at, created_by, modified_at, modified_by FROM server_org_contexts \
                         WHERE tenant_id = $1 AND server_id = $2";
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(server.to_string());
        query.fetch_optional(tx.connection()).await?.as_ref().map(read_context).transpose()
    }

    /// One page of contexts by server, those after `after` (`None`: from the beginning), at most [`PAGE_ROWS_MAX`].
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn contexts(&self, tenant: &impl Tenant, after: Option<ServerId>) -> StoreResult<Vec<ServerContext>> {
        let statement = "SELECT server_id, context, created_at, created_by, modified_at, modified_by FROM server_org_contexts \
                         WHERE tenant_id = $1 AND server_id > $2 ORDER BY server_id LIMIT $3";
        let mut tx = self.0.read(tenant).await?;
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(visible::start(after)).bind(PAGE_ROWS_MAX);
        query.fetch_all(tx.connection()).await?.iter().map(read_context).collect()
    }

    /// Chooses a secret of the organisation as its credential at a server.
    ///
    /// # Errors
    /// `NotFound` for a server that the organisation does not see, and for a secret that it does not have.
    pub async fn set_credential(&self, scope: &OrgScope, server: ServerId, secret_name: &str) -> StoreResult<()> {
        let mut tx = self.begin(scope, server).await?;
        let secret = sqlx::query("SELECT 1 FROM secrets WHERE tenant_id = $1 AND name = $2").bind(scope.org().as_str()).bind(secret_name);
        secret.fetch_optional(tx.connection()).await?.ok_or_else(|| StoreError::not_found("the secret"))?;
        let statement = "INSERT INTO server_org_credentials (tenant_id, server_id, secret_name, created_at, created_by, modified_at, \
                         modified_by) VALUES ($1, $2, $3, $4, $5, $4, $5) ON CONFLICT (tenant_id, server_id) DO UPDATE SET \
                         secret_name = excluded.secret_name, modified_at = excluded.modified_at, modified_by = excluded.modified_by";
        self.upsert(tx, statement, scope, server, secret_name).await
    }

    /// The organisation's credential at a server.
    ///
    /// # Errors
    /// `NotFound` for a server that the organisation does not see.
    pub async fn credential(&self, tenant: &impl Tenant, server: ServerId) -> StoreResult<Option<ServerCredential>> {
        let mut tx = self.0.read(tenant).await?;
        visible::check(&mut tx, tenant.org(), server).await?;
        let statement = "SELECT server_id, secret_name, created_at, created_by, modified_at, modified_by FROM server_org_credentials \
                         WHERE tenant_id = $1 AND server_id = $2";
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(server.to_string());
        query.fetch_optional(tx.connection()).await?.as_ref().map(read_credential).transpose()
    }

    /// One page of credentials by server, those after `after` (`None`: from the beginning), at most [`PAGE_ROWS_MAX`].
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn credentials(&self, tenant: &impl Tenant, after: Option<ServerId>) -> StoreResult<Vec<ServerCredential>> {
        let statement = "SELECT server_id, secret_name, created_at, created_by, modified_at, modified_by FROM server_org_credentials \
                         WHERE tenant_id = $1 AND server_id > $2 ORDER BY server_id LIMIT $3";
        let mut tx = self.0.read(tenant).await?;
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(visible::start(after)).bind(PAGE_ROWS_MAX);
        query.fetch_all(tx.connection()).await?.iter().map(read_credential).collect()
    }

    /// Takes the credential away; the secret stays.
    ///
    /// # Errors
    /// `NotFound` for a server that the organisation does not see, and when it has no credential there.
    pub async fn clear_credential(&self, scope: &OrgScope, server: ServerId) -> StoreResult<()> {
        let mut tx = self.begin(scope, server).await?;
        let query = sqlx::query("DELETE FROM server_org_credentials WHERE tenant_id = $1 AND server_id = $2");
        let done = query.bind(scope.org().as_str()).bind(server.to_string()).execute(tx.connection()).await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::not_found("the credential of the server"));
        }
        tx.commit().await
    }

    /// For whom the organisation's credentials stand in; `on` unless it was set.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn credential_fallback(&self, tenant: &impl Tenant) -> StoreResult<CredentialFallback> {
        let mut tx = self.0.read(tenant).await?;
        let query = sqlx::query("SELECT credential_fallback FROM org_settings WHERE tenant_id = $1").bind(tenant.org().as_str());
        let row = query.fetch_optional(tx.connection()).await?;
        row.map_or(Ok(CredentialFallback::On), |row| text(&row, "credential_fallback", CredentialFallback::parse))
    }

    /// Sets for whom the organisation's credentials stand in.
    ///
    /// # Errors
    /// `Conflict` when the organisation does not exist.
    pub async fn set_credential_fallback(&self, scope: &OrgScope, fallback: CredentialFallback) -> StoreResult<()> {
        let mut tx = self.0.write(scope).await?;
        bump(&mut tx, Topic::Servers).await?;
        let statement = "INSERT INTO org_settings (tenant_id, credential_fallback, modified_at, modified_by) VALUES ($1, $2, $3, $4) \
                         ON CONFLICT (tenant_id) DO UPDATE SET credential_fallback = excluded.credential_fallback, \
                         modified_at = excluded.modified_at, modified_by = excluded.modified_by";
        sqlx::query(statement)
            .bind(scope.org().as_str())
            .bind(fallback.as_str())
            .bind(self.0.now().as_micros())
            .bind(scope.actor())
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }

    /// The organisation goes on seeing the server until the transaction ends.
    async fn begin(&self, scope: &OrgScope, server: ServerId) -> StoreResult<Tx> {
        let mut tx = self.0.write(scope).await?;
        bump(&mut tx, Topic::Servers).await?;
        visible::check(&mut tx, scope.org(), server).await?;
        Ok(tx)
    }

    async fn upsert(&self, mut tx: Tx, statement: &'static str, scope: &OrgScope, server: ServerId, value: &str) -> StoreResult<()> {
        sqlx::query(statement)
            .bind(scope.org().as_str())
            .bind(server.to_string())
            .bind(value)
            .bind(self.0.now().as_micros())
            .bind(scope.actor())
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }
}

fn read_context(row: &AnyRow) -> StoreResult<ServerContext> {
    let context: String = row.try_get("context")?;
    Ok(ServerContext {
        server: server_id(row, "server_id")?,
        context: OrgContext::new(&context).map_err(|_| StoreError::corrupt("a stored context is not valid"))?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        created_by: row.try_get("created_by")?,
        modified_at: Timestamp::from_micros(row.try_get("modified_at")?),
        modified_by: row.try_get("modified_by")?,
    })
}

fn read_credential(row: &AnyRow) -> StoreResult<ServerCredential> {
    Ok(ServerCredential {
        server: server_id(row, "server_id")?,
        secret_name: row.try_get("secret_name")?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        created_by: row.try_get("created_by")?,
        modified_at: Timestamp::from_micros(row.try_get("modified_at")?),
        modified_by: row.try_get("modified_by")?,
    })
}
