//! Answers that are kept for repeated requests, so that a client may send a request again without its effect happening twice
//! (ecosystem reference section 4). An answer that holds a secret is never kept.

use std::time::Duration;

use bailiwick_model::{Subject, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::scope::Scope;
use crate::store::{Store, Tx};

/// How long an answer is kept.
pub const IDEMPOTENCY_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Answers kept for one organisation; beyond them requests with a key are refused.
pub const IDEMPOTENCY_ROWS_PER_ORG_MAX: i64 = 10_000;

/// Answers kept for one principal.
pub const IDEMPOTENCY_ROWS_PER_PRINCIPAL_MAX: i64 = 1_000;

/// One request of a principal as its client named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Method and path.
    pub route: String,
    /// The client's word for the request.
    pub key: String,
    /// Digest of what was asked; the same word for something else is a mistake of the client.
    pub digest: String,
}

/// What is known of a named request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: it is to be done now, and nobody else does it.
    Fresh,
    /// It was answered.
    Done {
        /// The status of the answer.
        status: u16,
        /// Its body; `None` when it held a secret.
        response: Option<String>,
    },
    /// It was begun and has not been answered; begun when.
    Running(Timestamp),
    /// The name stands for something else.
    Other,
}

/// Functions on kept answers; see [`Store::idempotency`].
#[derive(Clone, Copy, Debug)]
pub struct Idempotency<'a>(&'a Store);

impl Store {
    /// Kept answers.
    #[must_use]
    pub const fn idempotency(&self) -> Idempotency<'_> {
        Idempotency(self)
    }
}

impl Idempotency<'_> {
    /// Claims a named request, or says what became of it. Answers older than [`IDEMPOTENCY_KEPT`] are forgotten.
    ///
    /// # Errors
    /// `Full` when the organisation has [`IDEMPOTENCY_ROWS_PER_ORG_MAX`] or the principal [`IDEMPOTENCY_ROWS_PER_PRINCIPAL_MAX`]; otherwise as the database gives them.
    pub async fn claim(&self, scope: &Scope, named: &Named) -> StoreResult<Claim> {
        let now = self.0.now();
        let oldest = now.as_micros().saturating_sub(i64::try_from(IDEMPOTENCY_KEPT.as_micros()).unwrap_or(i64::MAX));
        let mut tx = self.0.write(scope).await?;
        sqlx::query("DELETE FROM idempotency WHERE tenant_id = $1 AND created_at < $2")
            .bind(scope.org().as_str())
            .bind(oldest)
            .execute(tx.connection())
            .await?;
        // What was answered is answered again, however full it is.
        if let Some(claim) = known(&mut tx, scope, named).await? {
            return Ok(claim);
        }
        check_count(&mut tx, scope).await?;
        let insert = "INSERT INTO idempotency (tenant_id, principal, route, idempotency_key, digest, created_at) \
                      VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
        let done = sqlx::query(insert)
            .bind(scope.org().as_str())
            .bind(principal(scope))
            .bind(&named.route)
            .bind(&named.key)
            .bind(&named.digest)
            .bind(now.as_micros())
            .execute(tx.connection())
            .await?;
        let fresh = done.rows_affected() == 1;
        let claim = if fresh { Some(Claim::Fresh) } else { known(&mut tx, scope, named).await? };
        tx.commit().await?;
        claim.ok_or_else(|| StoreError::new(StoreErrorKind::Locked, "the same request ends at this moment", "send it again"))
    }

    /// Keeps the answer of a claimed request; `response` is `None` when it holds a secret.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn settle(&self, scope: &Scope, named: &Named, status: u16, response: Option<&str>) -> StoreResult<()> {
        let statement = "UPDATE idempotency SET status = $5, response = $6 \
                         WHERE tenant_id = $1 AND principal = $2 AND route = $3 AND idempotency_key = $4";
        let mut tx = self.0.write(scope).await?;
        sqlx::query(statement)
            .bind(scope.org().as_str())
            .bind(principal(scope))
            .bind(&named.route)
            .bind(&named.key)
            .bind(i64::from(status))
            .bind(response)
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }

    /// Gives a claimed request up that had no effect; it may be sent again under the same name.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn release(&self, scope: &Scope, named: &Named) -> StoreResult<()> {
        let statement = "DELETE FROM idempotency WHERE tenant_id = $1 AND principal = $2 AND route = $3 AND idempotency_key = $4";
        let mut tx = self.0.write(scope).await?;
        sqlx::query(statement)
            .bind(scope.org().as_str())
            .bind(principal(scope))
            .bind(&named.route)
            .bind(&named.key)
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }
}

/// Agent and member; neither can contain a space.
fn principal(scope: &Scope) -> String {
    let sub = scope.principal().sub.as_ref().map_or("", Subject::as_str);
    format!("{} {sub}", scope.agent_id())
}

async fn known(tx: &mut Tx, scope: &Scope, named: &Named) -> StoreResult<Option<Claim>> {
    let statement = "SELECT digest, status, response, created_at FROM idempotency \
                     WHERE tenant_id = $1 AND principal = $2 AND route = $3 AND idempotency_key = $4";
    let row = sqlx::query(statement)
        .bind(scope.org().as_str())
        .bind(principal(scope))
        .bind(&named.route)
        .bind(&named.key)
        .fetch_optional(tx.connection())
        .await?;
    row.map(|row| read(&row, named)).transpose()
}

fn read(row: &AnyRow, named: &Named) -> StoreResult<Claim> {
    if row.try_get::<String, _>("digest")? != named.digest {
        return Ok(Claim::Other);
    }
    let Some(status) = row.try_get::<Option<i64>, _>("status")? else {
        return Ok(Claim::Running(Timestamp::from_micros(row.try_get("created_at")?)));
    };
    let status = u16::try_from(status).map_err(|_| StoreError::corrupt("a kept answer has no status"))?;
    Ok(Claim::Done { status, response: row.try_get("response")? })
}

/// For one principal and for all together: nobody takes the whole room of his organisation.
async fn check_count(tx: &mut Tx, scope: &Scope) -> StoreResult<()> {
    let statement = "SELECT count(*), coalesce(sum(CASE WHEN principal = $2 THEN 1 ELSE 0 END), 0) FROM idempotency WHERE tenant_id = $1";
    let row = sqlx::query(statement).bind(scope.org().as_str()).bind(principal(scope)).fetch_one(tx.connection()).await?;
    let (kept, own): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let (room, whose) = match () {
        () if own >= IDEMPOTENCY_ROWS_PER_PRINCIPAL_MAX => (IDEMPOTENCY_ROWS_PER_PRINCIPAL_MAX, "this principal"),
        () if kept >= IDEMPOTENCY_ROWS_PER_ORG_MAX => (IDEMPOTENCY_ROWS_PER_ORG_MAX, "this organisation"),
        () => return Ok(()),
    };
    let message = format!("{room} answers are kept for {whose}");
    Err(StoreError::new(StoreErrorKind::Full, message, "wait until the oldest are forgotten, a day after they were given"))
}
