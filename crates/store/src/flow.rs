//! Flows: authorizations that wait for their callback (reference, governance 6.2). A flow is found by its state, of which only a digest is kept;
//! looking it up takes it away, whatever comes of it.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use bailiwick_model::registered::{EndpointUrl, Holder, Scopes, ServerUrl};
use bailiwick_model::{OrgId, ServerId, Subject, Timestamp};
use data_encoding::HEXLOWER;
use secrecy::{ExposeSecret, SecretString};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::generation::{Topic, hold};
use crate::scope::{PlatformScope, Tenant};
use crate::server::row::{scopes, server_id, text};
use crate::server::sealed::{Kind, Spot, drop_at};
use crate::server::visible;
use crate::store::{Store, Tx};

/// Open flows that one holder may have; the oldest goes when there are more.
pub const FLOWS_PER_HOLDER_MAX: i64 = 8;
/// Open flows that one organisation may have; the oldest goes when there are more.
pub const FLOWS_PER_ORG_MAX: i64 = 1_000;
/// Flows that one round of pruning takes away.
pub const PRUNED_FLOWS_MAX: i64 = 500;
/// Longest text of a flow.
const TEXT_BYTES_MAX: usize = 2 * 1024;
/// Versions of the sealed verifier: it is set once.
const VERSION: i64 = 1;

/// What an authorization asks for.
#[derive(Clone, Debug)]
pub struct NewFlow<'a> {
    /// At which server.
    pub server: ServerId,
    /// For whom.
    pub holder: &'a Holder,
    /// Who asked, and has to come back.
    pub acting: &'a Subject,
    /// Who is asked.
    pub issuer: &'a EndpointUrl,
    /// Whether the answer has to name the issuer.
    pub iss_required: bool,
    /// Where the answer goes.
    pub redirect_uri: &'a str,
    /// What the token will be for.
    pub resource: &'a ServerUrl,
    /// What was asked.
    pub scopes: &'a Scopes,
    /// The state, as it went to the browser; of it only a digest is kept.
    pub state: &'a SecretString,
    /// The code verifier.
    pub verifier: &'a SecretString,
    /// Until when an answer counts.
    pub expires_at: Timestamp,
}

/// A flow that was taken.
#[derive(Clone, Debug)]
pub struct Flow {
    /// In which organisation.
    pub org: OrgId,
    /// At which server.
    pub server: ServerId,
    /// For whom.
    pub holder: Holder,
    /// Who asked.
    pub acting: Subject,
    /// Who was asked.
    pub issuer: EndpointUrl,
    /// Whether the answer has to name the issuer.
    pub iss_required: bool,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// What the token will be for.
    pub resource: ServerUrl,
    /// What was asked.
    pub scopes: Scopes,
    /// When.
    pub asked_at: Timestamp,
    /// The code verifier.
    pub verifier: SecretString,
}

/// Who comes back with a state.
#[derive(Clone, Copy, Debug)]
pub enum FlowBearer<'a> {
    /// Somebody who is signed in.
    Person {
        /// In this organisation.
        org: &'a OrgId,
        /// As this subject.
        sub: &'a Subject,
    },
    /// A browser that holds this secret.
    Browser(&'a SecretString),
}

/// What became of a state. The flow is gone in every case.
#[derive(Debug)]
pub enum TakenFlow {
    /// It is his, in time.
    Good(Box<Flow>),
    /// It came too late.
    Expired,
    /// It is somebody else's.
    Foreign,
    /// There is none: it never was, was used, or went.
    Unknown,
}

/// Functions on flows; see [`Store::flows`].
#[derive(Clone, Copy, Debug)]
pub struct Flows<'a>(&'a Store);

impl Store {
    /// Authorizations that wait for their callback.
    #[must_use]
    pub const fn flows(&self) -> Flows<'_> {
        Flows(self)
    }
}

impl Flows<'_> {
    /// Keeps a flow. The oldest ones of its holder and of the organisation go when there are more than [`FLOWS_PER_HOLDER_MAX`] or
    /// [`FLOWS_PER_ORG_MAX`].
    ///
    /// # Errors
    /// `NotFound` for a server that the organisation does not see; `Invalid` for an empty state, or a text beyond 2 KiB; `Conflict` for a
    /// state that is waited for already; `Sealed` without the root key.
    pub async fn begin(&self, tenant: &impl Tenant, new: &NewFlow<'_>) -> StoreResult<()> {
        check(new)?;
        let mut tx = self.0.write(tenant).await?;
        // Held until the end: the organisation goes on seeing the server.
        hold(&mut tx, Topic::Servers).await?;
        visible::check(&mut tx, tenant.org(), new.server).await?;
        let state = state_digest(new.state.expose_secret());
        let statement = "INSERT INTO oauth_flows (tenant_id, state_digest, server_id, holder, acting, issuer, iss_required, redirect_uri, \
                         resource, scopes, asked_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
        sqlx::query(statement)
            .bind(tenant.org().as_str())
            .bind(&state)
            .bind(new.server.to_string())
            .bind(new.holder.as_str())
            .bind(new.acting.as_str())
            .bind(new.issuer.as_str())
            .bind(i64::from(new.iss_required))
            .bind(new.redirect_uri)
            .bind(new.resource.as_str())
            .bind(new.scopes.joined())
            .bind(self.0.now().as_micros())
            .bind(new.expires_at.as_micros())
            .execute(tx.connection())
            .await?;
        let spot = Spot { org: tenant.org(), server: new.server, kind: Kind::Verifier, holder: &state };
        self.0.seal_at(&mut tx, &spot, VERSION, new.verifier).await?;
        drop_oldest(&mut tx, tenant, new.holder).await?;
        tx.commit().await
    }

    /// Binds a flow to the browser that begins it. Once: says whether it was not yet, and the state is waited for.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn set_browser(&self, _scope: &PlatformScope, state: &SecretString, browser: &SecretString) -> StoreResult<bool> {
        let mut tx = self.0.write_servers(None).await?;
        let state = state_digest(state.expose_secret());
        let Some(org) = org_of(&mut tx, &state).await? else { return Ok(false) };
        self.0.bind(&mut tx, &org).await?;
        let statement = "UPDATE oauth_flows SET browser_digest = $3 \
                         WHERE tenant_id = $1 AND state_digest = $2 AND browser_digest IS NULL AND expires_at > $4";
        let query = sqlx::query(statement).bind(org.as_str()).bind(state).bind(state_digest(browser.expose_secret()));
        let done = query.bind(self.0.now().as_micros()).execute(tx.connection()).await?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Takes the flow of a state away and gives it to whom it belongs: to the person who asked, or to the browser that it was bound to. It is
    /// gone afterwards, also for who was too late or is somebody else. The organisation is the one in which it was begun.
    ///
    /// # Errors
    /// `Sealed` without the root key; `Corrupt` when the verifier was altered or moved: the flow is gone then too.
    pub async fn take(&self, _scope: &PlatformScope, state: &SecretString, bearer: FlowBearer<'_>) -> StoreResult<TakenFlow> {
        let mut tx = self.0.write_servers(None).await?;
        let state = state_digest(state.expose_secret());
        let Some(org) = org_of(&mut tx, &state).await? else { return Ok(TakenFlow::Unknown) };
        self.0.bind(&mut tx, &org).await?;
        let statement = "DELETE FROM oauth_flows WHERE tenant_id = $1 AND state_digest = $2 RETURNING server_id, holder, acting, issuer, \
                         iss_required, redirect_uri, resource, scopes, browser_digest, asked_at, expires_at";
        let query = sqlx::query(statement).bind(org.as_str()).bind(&state);
        // Two may come at once: the other one was faster.
        let Some(row) = query.fetch_optional(tx.connection()).await? else { return Ok(TakenFlow::Unknown) };
        let spot = Spot { org: &org, server: server_id(&row, "server_id")?, kind: Kind::Verifier, holder: &state };
        let taken = if !belongs(&row, &org, bearer)? {
            Ok(TakenFlow::Foreign)
        } else if row.try_get::<i64, _>("expires_at")? <= self.0.now().as_micros() {
            Ok(TakenFlow::Expired)
        } else {
            match self.0.open_at(&mut tx, &spot).await {
                Ok(Some(verifier)) => Ok(TakenFlow::Good(Box::new(read(&row, org.clone(), verifier)?))),
                Ok(None) => Err(StoreError::corrupt("the verifier of a pending authorization is missing")),
                // It would not open next time either.
                Err(fault) if matches!(fault.kind(), StoreErrorKind::Sealed | StoreErrorKind::Corrupt) => Err(fault),
                Err(fault) => return Err(fault),
            }
        };
        drop_at(&mut tx, &spot).await?;
        tx.commit().await?;
        taken
    }

    /// Takes flows away that nobody came back for in time, at most [`PRUNED_FLOWS_MAX`]; how many.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn prune(&self, _scope: &PlatformScope) -> StoreResult<u64> {
        let mut tx = self.0.write_servers(None).await?;
        let statement = "SELECT tenant_id, state_digest, server_id FROM oauth_flows WHERE expires_at <= $1 \
                         ORDER BY tenant_id, state_digest LIMIT $2";
        let query = sqlx::query(statement).bind(self.0.now().as_micros()).bind(PRUNED_FLOWS_MAX);
        let rows = query.fetch_all(tx.connection()).await?;
        for row in &rows {
            let org = text(row, "tenant_id", OrgId::parse)?;
            self.0.bind(&mut tx, &org).await?;
            drop_flow(&mut tx, &org, row).await?;
        }
        tx.commit().await?;
        Ok(rows.len() as u64)
    }
}

/// The organisation that waits for a state; the transaction sees all of them.
async fn org_of(tx: &mut Tx, state: &str) -> StoreResult<Option<OrgId>> {
    let query = sqlx::query("SELECT tenant_id FROM oauth_flows WHERE state_digest = $1").bind(state);
    query.fetch_optional(tx.connection()).await?.map(|row| text(&row, "tenant_id", OrgId::parse)).transpose()
}

/// Deletes the oldest flows beyond the limits.
async fn drop_oldest(tx: &mut Tx, tenant: &impl Tenant, holder: &Holder) -> StoreResult<()> {
    let of_holder = "SELECT state_digest, server_id FROM oauth_flows WHERE tenant_id = $1 AND holder = $2 \
                     ORDER BY asked_at DESC, expires_at DESC, state_digest LIMIT $4 OFFSET $3";
    let of_org = "SELECT state_digest, server_id FROM oauth_flows WHERE tenant_id = $1 AND $2 = $2 \
                  ORDER BY asked_at DESC, expires_at DESC, state_digest LIMIT $4 OFFSET $3";
    for (statement, most) in [(of_holder, FLOWS_PER_HOLDER_MAX), (of_org, FLOWS_PER_ORG_MAX)] {
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(holder.as_str()).bind(most).bind(PRUNED_FLOWS_MAX);
        for row in query.fetch_all(tx.connection()).await? {
            drop_flow(tx, tenant.org(), &row).await?;
        }
    }
    Ok(())
}

async fn drop_flow(tx: &mut Tx, org: &OrgId, row: &AnyRow) -> StoreResult<()> {
    let state: String = row.try_get("state_digest")?;
    let query = sqlx::query("DELETE FROM oauth_flows WHERE tenant_id = $1 AND state_digest = $2").bind(org.as_str()).bind(&state);
    query.execute(tx.connection()).await?;
    drop_at(tx, &Spot { org, server: server_id(row, "server_id")?, kind: Kind::Verifier, holder: &state }).await
}

fn belongs(row: &AnyRow, org: &OrgId, bearer: FlowBearer<'_>) -> StoreResult<bool> {
    Ok(match bearer {
        FlowBearer::Person { org: of, sub } => of == org && sub.as_str() == row.try_get::<String, _>("acting")?,
        FlowBearer::Browser(secret) => {
            let kept: Option<String> = row.try_get("browser_digest")?;
            let given = state_digest(secret.expose_secret());
            kept.is_some_and(|kept| verify_slices_are_equal(kept.as_bytes(), given.as_bytes()).is_ok())
        }
    })
}

fn read(row: &AnyRow, org: OrgId, verifier: SecretString) -> StoreResult<Flow> {
    Ok(Flow {
        org,
        server: server_id(row, "server_id")?,
        holder: text(row, "holder", Holder::parse)?,
        acting: text(row, "acting", Subject::parse)?,
        issuer: EndpointUrl::stored(&row.try_get::<String, _>("issuer")?),
        iss_required: row.try_get::<i64, _>("iss_required")? == 1,
        redirect_uri: row.try_get("redirect_uri")?,
        resource: ServerUrl::stored(&row.try_get::<String, _>("resource")?),
        scopes: scopes(row)?,
        asked_at: Timestamp::from_micros(row.try_get("asked_at")?),
        verifier,
    })
}

fn state_digest(state: &str) -> String {
    HEXLOWER.encode(digest(&SHA256, state.as_bytes()).as_ref())
}

fn check(new: &NewFlow<'_>) -> StoreResult<()> {
    let (state, verifier) = (new.state.expose_secret(), new.verifier.expose_secret());
    if state.is_empty() || verifier.is_empty() {
        return Err(StoreError::invalid("state or verifier of the authorization is empty", "make both of unpredictable bytes"));
    }
    if [state, verifier, new.redirect_uri].iter().any(|text| text.len() > TEXT_BYTES_MAX) {
        return Err(StoreError::invalid("a text of the authorization is longer than 2 KiB", "configure a shorter public address"));
    }
    Ok(())
}
