//! Tokens whose connection is gone, until their server was told (RFC 7009). They outlive connection, person and server.

mod queue;

use std::time::Duration;

use bailiwick_model::registered::{AuthMethod, ClientId, EndpointUrl, TokenHint};
use bailiwick_model::{OrgId, ServerId, Timestamp};
use secrecy::SecretString;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::scope::PlatformScope;
use crate::server::row::{server_id, text};
use crate::server::sealed::{Kind, Spot, drop_at};
use crate::store::{Store, Tx};

pub(crate) use queue::{Queued, queue};

/// How often a token is tried; then it is forgotten.
pub const REVOCATION_ATTEMPTS_MAX: i64 = 12;
/// Tokens leased at once.
pub const REVOCATIONS_LEASED_MAX: i64 = 32;
/// Longest time for one try; a longer one is cut to it.
pub const REVOCATION_LEASE_MAX: Duration = Duration::from_secs(300);
/// Wait after the first failure; doubled with each further one.
const BACK_OFF_MICROS: i64 = 30_000_000;
/// Longest wait: twelve tries take about two days.
const BACK_OFF_MICROS_MAX: i64 = 8 * 3_600_000_000;

/// A token that is to be revoked now, by whoever holds this.
#[derive(Clone, Debug)]
pub struct DueRevocation {
    /// Its id.
    pub id: String,
    /// The organisation whose token it was.
    pub org: OrgId,
    /// The server, which may be gone.
    pub server: ServerId,
    /// Whom to tell.
    pub endpoint: EndpointUrl,
    /// As whom.
    pub client_id: ClientId,
    /// How to prove it.
    pub auth_method: AuthMethod,
    /// With what.
    pub client_secret: Option<SecretString>,
    /// Which kind of token it is.
    pub hint: TokenHint,
    /// The token.
    pub token: SecretString,
    /// How often it was tried before.
    pub attempts: i64,
    leased_until: i64,
}

/// What became of a token that could not be revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedRevocation {
    /// It is tried again at this moment.
    Again(Timestamp),
    /// It was tried [`REVOCATION_ATTEMPTS_MAX`] times and is forgotten.
    GivenUp,
    /// Somebody else has it by now; nothing changed.
    Foreign,
}

/// Functions on tokens to be revoked; see [`Store::revocations`].
#[derive(Clone, Copy, Debug)]
pub struct Revocations<'a>(&'a Store);

impl Store {
    /// Tokens that wait to be revoked.
    #[must_use]
    pub const fn revocations(&self) -> Revocations<'_> {
        Revocations(self)
    }
}

impl Revocations<'_> {
    /// Takes tokens whose time has come, the longest waiting first, at most [`REVOCATIONS_LEASED_MAX`]: nobody else gets them before `ttl`
    /// is over ([`REVOCATION_LEASE_MAX`] at most). What does not open is put off as a failure.
    ///
    /// # Errors
    /// `Sealed` without the root key.
    pub async fn lease_due(&self, _scope: &PlatformScope, ttl: Duration) -> StoreResult<Vec<DueRevocation>> {
        let store = self.0;
        store.vault().keys()?;
        let now = store.now().as_micros();
        let until = now.saturating_add(i64::try_from(ttl.min(REVOCATION_LEASE_MAX).as_micros()).unwrap_or(0));
        let mut tx = store.write_servers(None).await?;
        let statement = "SELECT tenant_id, revocation_id, server_id, endpoint, client_id, auth_method, token_hint, has_secret, attempts \
                         FROM token_revocations WHERE next_at <= $1 AND coalesce(leased_until, 0) <= $1 ORDER BY next_at LIMIT $2";
        let rows = sqlx::query(statement).bind(now).bind(REVOCATIONS_LEASED_MAX).fetch_all(tx.connection()).await?;
        let mut due = Vec::new();
        for row in &rows {
            let org = text(row, "tenant_id", OrgId::parse)?;
            store.bind(&mut tx, &org).await?;
            let id: String = row.try_get("revocation_id")?;
            if !lease(&mut tx, (&org, &id), until, now).await? {
                continue;
            }
            match open(store, &mut tx, row, org, until).await {
                Ok(revocation) => due.push(revocation),
                Err(fault) if matches!(fault.kind(), StoreErrorKind::Sealed | StoreErrorKind::Corrupt) => {
                    let attempts: i64 = row.try_get("attempts")?;
                    let org = text(row, "tenant_id", OrgId::parse)?;
                    put_off(&mut tx, (&org, server_id(row, "server_id")?, &id), attempts, now).await?;
                }
                Err(fault) => return Err(fault),
            }
        }
        tx.commit().await?;
        Ok(due)
    }

    /// Forgets a token that was revoked.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`: then it is revoked once more, which does no harm.
    pub async fn done(&self, scope: &PlatformScope, revocation: &DueRevocation) -> StoreResult<()> {
        let mut tx = self.0.write(&scope.within(&revocation.org)).await?;
        if is_held(&mut tx, revocation).await? {
            forget(&mut tx, (&revocation.org, revocation.server, &revocation.id)).await?;
        }
        tx.commit().await
    }

    /// Puts a token off that could not be revoked, longer each time; after [`REVOCATION_ATTEMPTS_MAX`] tries it is forgotten.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`: then it is tried again when the lease is over.
    pub async fn failed(&self, scope: &PlatformScope, revocation: &DueRevocation) -> StoreResult<FailedRevocation> {
        let mut tx = self.0.write(&scope.within(&revocation.org)).await?;
        if !is_held(&mut tx, revocation).await? {
            return Ok(FailedRevocation::Foreign);
        }
        let at = (&revocation.org, revocation.server, revocation.id.as_str());
        let next = put_off(&mut tx, at, revocation.attempts, self.0.now().as_micros()).await?;
        tx.commit().await?;
        Ok(next.map_or(FailedRevocation::GivenUp, FailedRevocation::Again))
    }
}

async fn lease(tx: &mut Tx, (org, id): (&OrgId, &str), until: i64, now: i64) -> StoreResult<bool> {
    let statement = "UPDATE token_revocations SET leased_until = $3 \
                     WHERE tenant_id = $1 AND revocation_id = $2 AND next_at <= $4 AND coalesce(leased_until, 0) <= $4";
    let query = sqlx::query(statement).bind(org.as_str()).bind(id).bind(until).bind(now);
    Ok(query.execute(tx.connection()).await?.rows_affected() > 0)
}

/// Whether the lease is still this one's. The row stays as it is until the transaction ends.
async fn is_held(tx: &mut Tx, revocation: &DueRevocation) -> StoreResult<bool> {
    let statement = "UPDATE token_revocations SET leased_until = leased_until \
                     WHERE tenant_id = $1 AND revocation_id = $2 AND leased_until = $3 AND attempts = $4";
    let query = sqlx::query(statement).bind(revocation.org.as_str()).bind(&revocation.id).bind(revocation.leased_until);
    Ok(query.bind(revocation.attempts).execute(tx.connection()).await?.rows_affected() > 0)
}

/// When it is tried again; `None` when it is forgotten.
async fn put_off(tx: &mut Tx, at: (&OrgId, ServerId, &str), attempts: i64, now: i64) -> StoreResult<Option<Timestamp>> {
    let attempts = attempts + 1;
    if attempts >= REVOCATION_ATTEMPTS_MAX {
        forget(tx, at).await?;
        return Ok(None);
    }
    let next = now + (BACK_OFF_MICROS << (attempts - 1).min(20)).min(BACK_OFF_MICROS_MAX);
    let statement =
        "UPDATE token_revocations SET attempts = $3, next_at = $4, leased_until = NULL WHERE tenant_id = $1 AND revocation_id = $2";
    let query = sqlx::query(statement).bind(at.0.as_str()).bind(at.2).bind(attempts).bind(next);
    query.execute(tx.connection()).await?;
    Ok(Some(Timestamp::from_micros(next)))
}

async fn forget(tx: &mut Tx, (org, server, id): (&OrgId, ServerId, &str)) -> StoreResult<()> {
    let query = sqlx::query("DELETE FROM token_revocations WHERE tenant_id = $1 AND revocation_id = $2").bind(org.as_str()).bind(id);
    query.execute(tx.connection()).await?;
    for kind in [Kind::Revoke, Kind::RevokeSecret] {
        drop_at(tx, &Spot { org, server, kind, holder: id }).await?;
    }
    Ok(())
}

async fn open(store: &Store, tx: &mut Tx, row: &AnyRow, org: OrgId, leased_until: i64) -> StoreResult<DueRevocation> {
    let (id, server): (String, ServerId) = (row.try_get("revocation_id")?, server_id(row, "server_id")?);
    let missing = || StoreError::corrupt("a token to be revoked is missing");
    let token = store.open_at(tx, &Spot { org: &org, server, kind: Kind::Revoke, holder: &id }).await?.ok_or_else(missing)?;
    let client_secret = match row.try_get::<i64, _>("has_secret")? {
        0 => None,
        _ => Some(store.open_at(tx, &Spot { org: &org, server, kind: Kind::RevokeSecret, holder: &id }).await?.ok_or_else(missing)?),
    };
    Ok(DueRevocation {
        endpoint: EndpointUrl::stored(&row.try_get::<String, _>("endpoint")?),
        client_id: text(row, "client_id", ClientId::parse)?,
        auth_method: text(row, "auth_method", AuthMethod::parse)?,
        hint: text(row, "token_hint", TokenHint::parse)?,
        attempts: row.try_get("attempts")?,
        id,
        org,
        server,
        client_secret,
        token,
        leased_until,
    })
}
