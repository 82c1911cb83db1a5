//! One refresh at a time, over all gateways. Refresh tokens are often good for one use, so whoever refreshes takes a lease first; its number
//! goes up with every lease, and who holds an older one changes nothing any more.

use std::time::Duration;

use bailiwick_model::registered::{Holder, TokenStatus};
use bailiwick_model::{ServerId, Timestamp};
use secrecy::SecretString;
use sqlx::Row;

use super::{ConnectionInfo, Connections, NewTokens, check, find, seal, shortened, unknown};
use crate::error::{StoreError, StoreResult};
use crate::generation::{Topic, bump};
use crate::scope::Tenant;
use crate::server::sealed::{Kind, Spot};

/// Longest time for one refresh; a longer one is cut to it.
pub const REFRESH_LEASE_MAX: Duration = Duration::from_secs(120);

/// What became of the wish to refresh.
#[derive(Debug)]
pub enum RefreshLease {
    /// It is the caller's turn.
    Lease(Box<LeasedRefresh>),
    /// Somebody else is at it, until this moment at most.
    Busy {
        /// When to ask again.
        until: Timestamp,
    },
    /// There are other tokens by now.
    Newer,
    /// There is no refresh token, or it is refused for good: only a new authorization helps.
    Impossible,
}

/// The right to use the refresh token once.
#[derive(Debug)]
pub struct LeasedRefresh {
    /// The server.
    pub server: ServerId,
    /// Whose connection it is.
    pub holder: Holder,
    /// What it was when the lease was taken.
    pub info: ConnectionInfo,
    /// The number of the lease.
    pub epoch: i64,
    /// What to send.
    pub refresh: SecretString,
    /// 1, and one more for every earlier use of this refresh token of which nobody knows how it ended.
    pub attempt: i64,
}

/// How a refresh failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshFailure {
    /// The refresh token is refused for good.
    Final,
    /// It was not used; it can be tried again.
    Later,
    /// Nobody knows whether it was used: no answer came.
    Lost,
}

impl Connections<'_> {
    /// Takes the right to refresh the tokens of `version` until `ttl` is over, [`REFRESH_LEASE_MAX`] at most.
    ///
    /// # Errors
    /// `NotFound` when there is no connection; `Sealed` without the root key; `Corrupt` when the refresh token was altered or moved.
    pub async fn lease_refresh(
        &self,
        tenant: &impl Tenant,
        server: ServerId,
        holder: &Holder,
        version: i64,
        ttl: Duration,
    ) -> StoreResult<RefreshLease> {
        self.0.vault().keys()?;
        let now = self.0.now().as_micros();
        let until = now.saturating_add(i64::try_from(ttl.min(REFRESH_LEASE_MAX).as_micros()).unwrap_or(0));
        let mut tx = self.0.write(tenant).await?;
        let statement = "UPDATE connections SET refresh_until = $5, refresh_epoch = refresh_epoch + 1, \
                         refresh_attempted = refresh_attempted + 1 WHERE tenant_id = $1 AND server_id = $2 AND holder = $3 \
                         AND version = $4 AND coalesce(refresh_until, 0) <= $6 AND has_refresh = 1 AND token_status <> 'refresh_failed' \
                         RETURNING refresh_epoch, refresh_attempted";
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(server.to_string()).bind(holder.as_str());
        let leased = query.bind(version).bind(until).bind(now).fetch_optional(tx.connection()).await?;
        let info = find(&mut tx, tenant, server, holder).await?.ok_or_else(unknown)?;
        let Some(row) = leased else {
            let statement = "SELECT refresh_until FROM connections WHERE tenant_id = $1 AND server_id = $2 AND holder = $3";
            let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(server.to_string()).bind(holder.as_str());
            let until = query.fetch_one(tx.connection()).await?.try_get::<Option<i64>, _>(0)?;
            return Ok(match until {
                _ if info.version != version => RefreshLease::Newer,
                _ if !info.has_refresh || info.status == TokenStatus::RefreshFailed => RefreshLease::Impossible,
                // It ended between the two statements: at once again.
                until => RefreshLease::Busy { until: Timestamp::from_micros(until.unwrap_or(now)) },
            });
        };
        let spot = Spot { org: tenant.org(), server, kind: Kind::Refresh, holder: holder.as_str() };
        let refresh = self.0.open_at(&mut tx, &spot).await?;
        let refresh = refresh.ok_or_else(|| StoreError::corrupt("the refresh token of a connection is missing"))?;
        let (epoch, attempt) = (row.try_get(0)?, row.try_get(1)?);
        tx.commit().await?;
        Ok(RefreshLease::Lease(Box::new(LeasedRefresh { server, holder: holder.clone(), info, epoch, refresh, attempt })))
    }

    /// Keeps what the refresh gave; without another refresh token the one there is stays. `None`, and nothing is kept, when the lease is no
    /// longer the newest one: what it gave is to be thrown away.
    ///
    /// # Errors
    /// `Invalid` for an empty or too long token; `Sealed` without the root key.
    pub async fn finish_refresh(
        &self,
        tenant: &impl Tenant,
        lease: &LeasedRefresh,
        tokens: &NewTokens,
    ) -> StoreResult<Option<ConnectionInfo>> {
        check(tokens)?;
        let mut tx = self.0.write(tenant).await?;
        let statement = "UPDATE connections SET token_status = 'valid', scopes = $6, expires_at = $7, version = version + 1, \
                         failure = NULL, refresh_until = NULL, refresh_attempted = 0, modified_at = $8, last_refresh_at = $8 \
                         WHERE tenant_id = $1 AND server_id = $2 AND holder = $3 AND version = $4 AND refresh_epoch = $5 \
                         AND refresh_until IS NOT NULL RETURNING version";
        let done = sqlx::query(statement)
            .bind(tenant.org().as_str())
            .bind(lease.server.to_string())
            .bind(lease.holder.as_str())
            .bind(lease.info.version)
            .bind(lease.epoch)
            .bind(tokens.scopes.joined())
            .bind(tokens.expires_at.map(Timestamp::as_micros))
            .bind(self.0.now().as_micros())
            .fetch_optional(tx.connection())
            .await?;
        let Some(row) = done else { return Ok(None) };
        let spot = |kind| Spot { org: tenant.org(), server: lease.server, kind, holder: lease.holder.as_str() };
        seal(self.0, &mut tx, spot, row.try_get(0)?, tokens).await?;
        let info = find(&mut tx, tenant, lease.server, &lease.holder).await?;
        tx.commit().await?;
        Ok(info)
    }

    /// Gives the lease back without other tokens. Says whether it was the newest one; otherwise nothing changes.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn fail_refresh(
        &self,
        tenant: &impl Tenant,
        lease: &LeasedRefresh,
        failure: RefreshFailure,
        reason: &str,
    ) -> StoreResult<bool> {
        let mut tx = self.0.write(tenant).await?;
        // First of all, as whoever takes both does.
        bump(&mut tx, Topic::Servers).await?;
        let (status, known) = match failure {
            RefreshFailure::Final => (TokenStatus::RefreshFailed, 1),
            RefreshFailure::Later => (TokenStatus::Expired, 1),
            RefreshFailure::Lost => (TokenStatus::Expired, 0),
        };
        let statement = "UPDATE connections SET token_status = $6, failure = $7, refresh_until = NULL, \
                         refresh_attempted = refresh_attempted - $8, modified_at = $9 WHERE tenant_id = $1 AND server_id = $2 \
                         AND holder = $3 AND version = $4 AND refresh_epoch = $5 AND refresh_until IS NOT NULL";
        let done = sqlx::query(statement)
            .bind(tenant.org().as_str())
            .bind(lease.server.to_string())
            .bind(lease.holder.as_str())
            .bind(lease.info.version)
            .bind(lease.epoch)
            .bind(status.as_str())
            .bind(shortened(reason))
            .bind(i64::from(known))
            .bind(self.0.now().as_micros())
            .execute(tx.connection())
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }
}
