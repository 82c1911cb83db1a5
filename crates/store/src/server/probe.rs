//! What an external server said of itself when it was last asked, so that a restart need not ask again.

use bailiwick_model::{ServerName, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::{StoreError, StoreResult};
use crate::generation::{Topic, bump};
use crate::org::PAGE_ROWS_MAX;
use crate::scope::Tenant;
use crate::store::Store;

/// Largest stored answer.
pub const PROBE_BYTES_MAX: usize = 1024 * 1024;
/// Largest fingerprint of an endpoint.
const ENDPOINT_BYTES_MAX: usize = 1024;

/// A stored probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerProbe {
    /// The server.
    pub server: ServerName,
    /// What the probe was made of: a fingerprint of URL or command without secrets. Another endpoint needs another probe.
    pub endpoint: String,
    /// The answer as JSON text.
    pub probe: String,
    /// When it was asked.
    pub probed_at: Timestamp,
}

/// Functions on stored probes; see [`Store::server_probes`].
#[derive(Clone, Copy, Debug)]
pub struct ServerProbes<'a>(&'a Store);

impl Store {
    /// Stored probes of external servers.
    #[must_use]
    pub const fn server_probes(&self) -> ServerProbes<'_> {
        ServerProbes(self)
    }
}

impl ServerProbes<'_> {
    /// Stores a probe in place of an older one. Writes nothing, and bumps nothing, when the answer is the same as before.
    ///
    /// # Errors
    /// `Invalid` when the answer is larger than [`PROBE_BYTES_MAX`], `Conflict` when the organisation does not exist.
    pub async fn put(&self, tenant: &impl Tenant, server: &ServerName, endpoint: &str, probe: &str) -> StoreResult<()> {
        if probe.len() > PROBE_BYTES_MAX || endpoint.len() > ENDPOINT_BYTES_MAX {
            return Err(StoreError::invalid(
                "what the server says of itself is larger than 1 MiB",
                "the server has to describe itself more briefly",
            ));
        }
        let known = self.get(tenant, server, endpoint).await?;
        if known.is_some_and(|known| known.probe == probe) {
            return Ok(());
        }
        let mut tx = self.0.write(tenant).await?;
        let statement = "INSERT INTO server_probes (tenant_id, server, endpoint, probe, probed_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (tenant_id, server) DO UPDATE SET endpoint = excluded.endpoint, probe = excluded.probe, probed_at = excluded.probed_at";
        sqlx::query(statement)
            .bind(tenant.org().as_str())
            .bind(server.as_str())
            .bind(endpoint)
            .bind(probe)
            .bind(self.0.now().as_micros())
            .execute(tx.connection())
            .await?;
        bump(&mut tx, Topic::Servers).await?;
        tx.commit().await
    }

    /// The probe of this server at this endpoint; `None` when there is none, or one of another endpoint.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn get(&self, tenant: &impl Tenant, server: &ServerName, endpoint: &str) -> StoreResult<Option<ServerProbe>> {
        let statement =
            "SELECT server, endpoint, probe, probed_at FROM server_probes WHERE tenant_id = $1 AND server = $2 AND endpoint = $3";
        let mut tx = self.0.read(tenant).await?;
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(server.as_str()).bind(endpoint);
        query.fetch_optional(tx.connection()).await?.as_ref().map(read).transpose()
    }

    /// One page of probes by server, those after `after` (empty: from the beginning), at most [`PAGE_ROWS_MAX`].
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn list(&self, tenant: &impl Tenant, after: &str) -> StoreResult<Vec<ServerProbe>> {
        let statement =
            "SELECT server, endpoint, probe, probed_at FROM server_probes WHERE tenant_id = $1 AND server > $2 ORDER BY server LIMIT $3";
        let mut tx = self.0.read(tenant).await?;
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(after).bind(PAGE_ROWS_MAX);
        query.fetch_all(tx.connection()).await?.iter().map(read).collect()
    }

    /// Forgets a probe; no error when there is none.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn delete(&self, tenant: &impl Tenant, server: &ServerName) -> StoreResult<()> {
        let mut tx = self.0.write(tenant).await?;
        let query = sqlx::query("DELETE FROM server_probes WHERE tenant_id = $1 AND server = $2");
        let done = query.bind(tenant.org().as_str()).bind(server.as_str()).execute(tx.connection()).await?;
        if done.rows_affected() > 0 {
            bump(&mut tx, Topic::Servers).await?;
        }
        tx.commit().await
    }
}

fn read(row: &AnyRow) -> StoreResult<ServerProbe> {
    let server: String = row.try_get("server")?;
    Ok(ServerProbe {
        server: ServerName::parse(&server).map_err(|_| StoreError::corrupt("a server's stored name is not valid"))?,
        endpoint: row.try_get("endpoint")?,
        probe: row.try_get("probe")?,
        probed_at: Timestamp::from_micros(row.try_get("probed_at")?),
    })
}
