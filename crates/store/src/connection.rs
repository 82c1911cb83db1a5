//! Connections: the authorization of a person, or of an organisation itself, at a registered server (reference, governance 5.4). The tokens are
//! sealed; they leave this module only for the gateway that sends them.

mod refresh;

use bailiwick_model::registered::{EndpointUrl, GrantKind, Holder, Scopes, TokenStatus};
use bailiwick_model::{ServerId, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::generation::{Topic, bump};
use crate::org::PAGE_ROWS_MAX;
use crate::scope::Tenant;
use crate::server::cascade::{Cascade, clear_connection};
use crate::server::row::{scopes, server_id, text, time};
use crate::server::sealed::{Kind, Spot, drop_at};
use crate::server::visible;
use crate::store::{Store, Tx};

pub use refresh::{LeasedRefresh, REFRESH_LEASE_MAX, RefreshFailure, RefreshLease};

/// Longest token.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Longest name of a resource.
const RESOURCE_BYTES_MAX: usize = 2 * 1024;
/// Characters kept of the reason of a failure.
const FAILURE_CHARS_MAX: usize = 500;
/// How often a use is noted at most, in microseconds.
const TOUCH_PERIOD_MICROS: i64 = 60_000_000;

/// What a token endpoint gave.
#[derive(Clone, Debug)]
pub struct NewTokens {
    /// The access token.
    pub access: SecretString,
    /// The refresh token, when one was given.
    pub refresh: Option<SecretString>,
    /// What was granted.
    pub scopes: Scopes,
    /// Until when the access token is good, as far as that was said.
    pub expires_at: Option<Timestamp>,
}

/// Where tokens come from.
#[derive(Clone, Copy, Debug)]
pub struct Grantor<'a> {
    /// Who gave them.
    pub issuer: &'a EndpointUrl,
    /// What they are for, as the server spells it; `None`: the server's address. At most 2 KiB.
    pub resource: Option<&'a str>,
    /// How they were got.
    pub grant: GrantKind,
}

/// With the consent of a person, for the server's address.
impl<'a> From<&'a EndpointUrl> for Grantor<'a> {
    fn from(issuer: &'a EndpointUrl) -> Self {
        Self { issuer, resource: None, grant: GrantKind::Code }
    }
}

/// What may be shown of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// The server.
    pub server: ServerId,
    /// Whose it is.
    pub holder: Holder,
    /// What is known of its tokens.
    pub status: TokenStatus,
    /// Who gave them.
    pub issuer: EndpointUrl,
    /// What they are for, as the server spells it; `None`: the server's address.
    pub resource: Option<String>,
    /// How they were got.
    pub grant: GrantKind,
    /// What was granted.
    pub scopes: Scopes,
    /// Until when the access token is good.
    pub expires_at: Option<Timestamp>,
    /// Another number with every other token.
    pub version: i64,
    /// Whether there is a refresh token.
    pub has_refresh: bool,
    /// Why the last refresh failed.
    pub failure: Option<String>,
    /// Since when there is one.
    pub created_at: Timestamp,
    /// When tokens or status last changed.
    pub modified_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was last refreshed.
    pub last_refresh_at: Option<Timestamp>,
}

/// A connection with its access token.
#[derive(Clone, Debug)]
pub struct OpenConnection {
    /// What it is.
    pub info: ConnectionInfo,
    /// What a call sends.
    pub access: SecretString,
}

/// Functions on connections; see [`Store::connections`].
#[derive(Clone, Copy, Debug)]
pub struct Connections<'a>(&'a Store);

impl Store {
    /// Connections to registered servers.
    #[must_use]
    pub const fn connections(&self) -> Connections<'_> {
        Connections(self)
    }
}

macro_rules! columns {
    () => {
        "server_id, holder, token_status, issuer, resource, grant_kind, scopes, expires_at, version, has_refresh, failure, created_at, modified_at, last_used_at, \
         last_refresh_at"
    };
}

impl Connections<'_> {
    /// Keeps new tokens, in place of older ones of this holder: the connection is valid.
    ///
    /// # Errors
    /// `NotFound` for a server that the organisation does not see; `Invalid` for an empty or too long token; `Sealed` without the root key.
    pub async fn put(
        &self,
        tenant: &impl Tenant,
        server: ServerId,
        holder: &Holder,
        from: impl Into<Grantor<'_>>,
        tokens: &NewTokens,
    ) -> StoreResult<ConnectionInfo> {
        let from = from.into();
        check(tokens)?;
        if from.resource.is_some_and(|resource| resource.len() > RESOURCE_BYTES_MAX) {
            return Err(StoreError::invalid("the resource is longer than 2 KiB", "the server has to name itself more briefly"));
        }
        let mut tx = self.0.write(tenant).await?;
        // Held until the end: the organisation goes on seeing the server.
        bump(&mut tx, Topic::Servers).await?;
        visible::check(&mut tx, tenant.org(), server).await?;
        // A connection that was deleted and made again has other numbers, so that who still knows the old one changes nothing.
        let first = self.random_number();
        let statement = "INSERT INTO connections (tenant_id, server_id, holder, token_status, issuer, scopes, expires_at, version, \
                         has_refresh, refresh_epoch, refresh_attempted, created_at, modified_at, resource, grant_kind) \
                         VALUES ($1, $2, $3, 'valid', $4, $5, $6, $7, $8, $9, 0, $10, $10, $11, $12) \
                         ON CONFLICT (tenant_id, server_id, holder) DO UPDATE SET token_status = 'valid', issuer = excluded.issuer, \
                         resource = excluded.resource, grant_kind = excluded.grant_kind, \
                         scopes = excluded.scopes, expires_at = excluded.expires_at, version = connections.version + 1, \
                         has_refresh = excluded.has_refresh, failure = NULL, refresh_until = NULL, \
                         refresh_epoch = connections.refresh_epoch + 1, refresh_attempted = 0, created_at = CASE WHEN connections.grant_kind = 'client_credentials' AND excluded.grant_kind = 'client_credentials' \
                         THEN connections.created_at ELSE excluded.created_at END, \
                         modified_at = excluded.modified_at \
                         RETURNING version";
        let row = sqlx::query(statement)
            .bind(tenant.org().as_str())
            .bind(server.to_string())
            .bind(holder.as_str())
            .bind(from.issuer.as_str())
            .bind(tokens.scopes.joined())
            .bind(tokens.expires_at.map(Timestamp::as_micros))
            .bind(first)
            .bind(i64::from(tokens.refresh.is_some()))
            .bind(first)
            .bind(self.0.now().as_micros())
            .bind(from.resource)
            .bind(from.grant.as_str())
            .fetch_one(tx.connection())
            .await?;
        let spot = |kind| Spot { org: tenant.org(), server, kind, holder: holder.as_str() };
        if tokens.refresh.is_none() {
            drop_at(&mut tx, &spot(Kind::Refresh)).await?;
        }
        seal(self.0, &mut tx, spot, row.try_get(0)?, tokens).await?;
        let info = find(&mut tx, tenant, server, holder).await?;
        tx.commit().await?;
        info.ok_or_else(unknown)
    }

    /// What may be shown of a connection; `None` when there is none.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn info(&self, tenant: &impl Tenant, server: ServerId, holder: &Holder) -> StoreResult<Option<ConnectionInfo>> {
        let mut tx = self.0.read(tenant).await?;
        find(&mut tx, tenant, server, holder).await
    }

    /// One page of the connections at a server by holder, those after `after` (`None`: from the beginning), at most [`PAGE_ROWS_MAX`].
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn list(&self, tenant: &impl Tenant, server: ServerId, after: Option<&Holder>) -> StoreResult<Vec<ConnectionInfo>> {
        let statement = concat!(
            "SELECT ",
            columns!(),
            " FROM connections WHERE tenant_id = $1 AND server_id = $2 AND ($3 = 1 OR holder > $4) ORDER BY holder LIMIT $5"
        );
        let mut tx = self.0.read(tenant).await?;
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(server.to_string()).bind(i64::from(after.is_none()));
        let query = query.bind(after.map_or("", Holder::as_str)).bind(PAGE_ROWS_MAX);
        query.fetch_all(tx.connection()).await?.iter().map(read).collect()
    }

    /// One page of the connections of a holder by server, those after `after` (`None`: from the beginning), at most [`PAGE_ROWS_MAX`].
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn list_of(&self, tenant: &impl Tenant, holder: &Holder, after: Option<ServerId>) -> StoreResult<Vec<ConnectionInfo>> {
        let statement = concat!(
            "SELECT ",
            columns!(),
            " FROM connections WHERE tenant_id = $1 AND holder = $2 AND server_id > $3 ORDER BY server_id LIMIT $4"
        );
        let mut tx = self.0.read(tenant).await?;
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(holder.as_str()).bind(visible::start(after));
        query.bind(PAGE_ROWS_MAX).fetch_all(tx.connection()).await?.iter().map(read).collect()
    }

    /// A connection with its access token, whatever its status; `None` when there is none.
    ///
    /// # Errors
    /// `Sealed` without the root key; `Corrupt` when the stored form was altered or moved.
    pub async fn open_access(&self, tenant: &impl Tenant, server: ServerId, holder: &Holder) -> StoreResult<Option<OpenConnection>> {
        self.0.vault().keys()?;
        let mut tx = self.0.read(tenant).await?;
        // In this order the token is never older than what is said of it.
        let Some(info) = find(&mut tx, tenant, server, holder).await? else { return Ok(None) };
        let spot = Spot { org: tenant.org(), server, kind: Kind::Access, holder: holder.as_str() };
        match self.0.open_at(&mut tx, &spot).await? {
            Some(access) => Ok(Some(OpenConnection { info, access })),
            // Deleted in between.
            None if find(&mut tx, tenant, server, holder).await?.is_none() => Ok(None),
            None => Err(StoreError::corrupt("the token of a connection is missing")),
        }
    }

    /// Sets the status, if the tokens are still those of `version`: says whether they were. Whoever used an older token knows nothing of
    /// the present one.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn mark(
        &self,
        tenant: &impl Tenant,
        server: ServerId,
        holder: &Holder,
        version: i64,
        status: TokenStatus,
        failure: Option<&str>,
    ) -> StoreResult<bool> {
        let mut tx = self.0.write(tenant).await?;
        bump(&mut tx, Topic::Servers).await?;
        let statement = "UPDATE connections SET token_status = $5, failure = $6, modified_at = $7 \
                         WHERE tenant_id = $1 AND server_id = $2 AND holder = $3 AND version = $4";
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(server.to_string()).bind(holder.as_str()).bind(version);
        let query = query.bind(status.as_str()).bind(failure.map(shortened)).bind(self.0.now().as_micros());
        if query.execute(tx.connection()).await?.rows_affected() == 0 {
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Notes a use, at most once a minute.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn touch_used(&self, tenant: &impl Tenant, server: ServerId, holder: &Holder) -> StoreResult<()> {
        let now = self.0.now().as_micros();
        let due = "SELECT 1 FROM connections WHERE tenant_id = $1 AND server_id = $2 AND holder = $3 AND coalesce(last_used_at, 0) <= $4";
        let mut tx = self.0.read(tenant).await?;
        let query = sqlx::query(due).bind(tenant.org().as_str()).bind(server.to_string()).bind(holder.as_str());
        if query.bind(now - TOUCH_PERIOD_MICROS).fetch_optional(tx.connection()).await?.is_none() {
            return Ok(());
        }
        drop(tx);
        let statement = "UPDATE connections SET last_used_at = $4 WHERE tenant_id = $1 AND server_id = $2 AND holder = $3 \
                         AND coalesce(last_used_at, 0) <= $5";
        let mut tx = self.0.write(tenant).await?;
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(server.to_string()).bind(holder.as_str());
        query.bind(now).bind(now - TOUCH_PERIOD_MICROS).execute(tx.connection()).await?;
        tx.commit().await
    }

    /// Deletes a connection; its tokens wait to be revoked, as far as the server can be told. Works without the root key; nothing can be
    /// revoked then.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub async fn delete(&self, tenant: &impl Tenant, server: ServerId, holder: &Holder) -> StoreResult<Cascade> {
        let mut tx = self.0.write(tenant).await?;
        bump(&mut tx, Topic::Servers).await?;
        let cascade = clear_connection(self.0, &mut tx, tenant, server, holder.as_str()).await?;
        if cascade.connections == 0 {
            return Err(unknown());
        }
        tx.commit().await?;
        Ok(cascade)
    }

    /// A number that nobody had before, far from the end.
    fn random_number(&self) -> i64 {
        let mut bytes = [0; 8];
        self.0.random().fill(&mut bytes);
        i64::from_be_bytes(bytes) >> 2 & (i64::MAX >> 2)
    }
}

/// Seals the tokens of a version; an older refresh token stays when no other was given.
async fn seal<'a>(store: &Store, tx: &mut Tx, spot: impl Fn(Kind) -> Spot<'a>, version: i64, tokens: &NewTokens) -> StoreResult<()> {
    store.seal_at(tx, &spot(Kind::Access), version, &tokens.access).await?;
    match &tokens.refresh {
        Some(refresh) => store.seal_at(tx, &spot(Kind::Refresh), version, refresh).await,
        None => Ok(()),
    }
}

async fn find(tx: &mut Tx, tenant: &impl Tenant, server: ServerId, holder: &Holder) -> StoreResult<Option<ConnectionInfo>> {
    let statement = concat!("SELECT ", columns!(), " FROM connections WHERE tenant_id = $1 AND server_id = $2 AND holder = $3");
    let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(server.to_string()).bind(holder.as_str());
    query.fetch_optional(tx.connection()).await?.as_ref().map(read).transpose()
}

fn read(row: &AnyRow) -> StoreResult<ConnectionInfo> {
    Ok(ConnectionInfo {
        server: server_id(row, "server_id")?,
        holder: text(row, "holder", Holder::parse)?,
        status: text(row, "token_status", TokenStatus::parse)?,
        issuer: EndpointUrl::stored(&row.try_get::<String, _>("issuer")?),
        resource: row.try_get("resource")?,
        grant: text(row, "grant_kind", GrantKind::parse)?,
        scopes: scopes(row)?,
        expires_at: time(row, "expires_at")?,
        version: row.try_get("version")?,
        has_refresh: row.try_get::<i64, _>("has_refresh")? == 1,
        failure: row.try_get("failure")?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        modified_at: Timestamp::from_micros(row.try_get("modified_at")?),
        last_used_at: time(row, "last_used_at")?,
        last_refresh_at: time(row, "last_refresh_at")?,
    })
}

fn check(tokens: &NewTokens) -> StoreResult<()> {
    let fits = |token: &SecretString| (1..=TOKEN_BYTES_MAX).contains(&token.expose_secret().len());
    if fits(&tokens.access) && tokens.refresh.as_ref().is_none_or(fits) {
        return Ok(());
    }
    Err(StoreError::invalid("a token is empty or larger than 16 KiB", "the issuer has to give shorter tokens"))
}

fn shortened(reason: &str) -> String {
    reason.chars().filter(|c| !c.is_control()).take(FAILURE_CHARS_MAX).collect()
}

fn unknown() -> StoreError {
    StoreError::new(StoreErrorKind::NotFound, "the connection does not exist in this organisation", "authorize at the server first")
}
