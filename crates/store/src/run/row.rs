//! Reading rows of runs, and the statements that more than one file needs.

use bailiwick_model::{DocKind, DocOwner, Outcome, RunId, RunOwner, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{FrozenDoctrine, Run, RunFilter};
use crate::error::{StoreError, StoreResult};
use crate::scope::Tenant;
use crate::store::Tx;

pub(super) async fn get(tx: &mut Tx, tenant: &impl Tenant, run_id: &RunId, idle_before: Timestamp) -> StoreResult<Option<Run>> {
    let statement = "SELECT run_id, sub, client_id, parent_run_id, label, doctrine, doctrine_kind, doctrine_version, doctrine_owner_type, \
                     doctrine_owner_id, outcome, note, started_at, last_seen_at, finished_at, finished_by, finish_reason, implicit \
                     FROM runs WHERE tenant_id = $1 AND run_id = $2";
    let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(run_id.as_str());
    query.fetch_optional(tx.connection()).await?.map(|row| read(&row, idle_before)).transpose()
}

/// `outcome` as it is to be read stands in the statement once, since an implicit run ends without a write.
pub(super) async fn list(
    tx: &mut Tx,
    tenant: &impl Tenant,
    filter: &RunFilter,
    before: Option<(Timestamp, &RunId)>,
    limit: u32,
    idle_before: Timestamp,
) -> StoreResult<Vec<Run>> {
    let statement = "SELECT run_id, sub, client_id, parent_run_id, label, doctrine, doctrine_kind, doctrine_version, doctrine_owner_type, \
                     doctrine_owner_id, outcome, note, started_at, last_seen_at, finished_at, finished_by, finish_reason, implicit \
                     FROM (SELECT r.*, CASE WHEN outcome IS NULL AND implicit = 1 AND last_seen_at < $2 THEN 'abandoned' \
                     ELSE coalesce(outcome, '') END AS ended FROM runs r WHERE tenant_id = $1) AS known \
                     WHERE (started_at < $3 OR (started_at = $3 AND run_id < $4)) AND ($5 IS NULL OR sub = $5) \
                     AND ($6 IS NULL OR $6 = CASE WHEN ended = '' THEN 'open' ELSE 'ended' END) AND ($7 IS NULL OR ended = $7) \
                     ORDER BY started_at DESC, run_id DESC LIMIT $8";
    let (at, id) = before.map_or((i64::MAX, ""), |(at, id)| (at.as_micros(), id.as_str()));
    let rows = sqlx::query(statement)
        .bind(tenant.org().as_str())
        .bind(idle_before.as_micros())
        .bind(at)
        .bind(id)
        .bind(filter.sub.as_deref())
        .bind(filter.open.map(|open| if open { "open" } else { "ended" }))
        .bind(filter.outcome.map(Outcome::as_str))
        .bind(i64::from(limit))
        .fetch_all(tx.connection())
        .await?;
    rows.iter().map(|row| read(row, idle_before)).collect()
}

fn read(row: &AnyRow, idle_before: Timestamp) -> StoreResult<Run> {
    let text = |name| row.try_get::<Option<String>, _>(name);
    let time = |name| row.try_get::<Option<i64>, _>(name).map(|at| at.map(Timestamp::from_micros));
    let outcome = text("outcome")?.map(|word| Outcome::parse(&word).map_err(|_| damaged())).transpose()?;
    let mut run = Run {
        run_id: read_id(row.try_get("run_id")?)?,
        owner: RunOwner::from_parts(row.try_get("sub")?, row.try_get("client_id")?).map_err(|_| damaged())?,
        parent: text("parent_run_id")?.as_deref().map(read_id).transpose()?,
        label: row.try_get("label")?,
        doctrine: text("doctrine")?,
        frozen: read_frozen(row)?,
        outcome,
        note: text("note")?,
        started_at: Timestamp::from_micros(row.try_get("started_at")?),
        last_seen_at: Timestamp::from_micros(row.try_get("last_seen_at")?),
        finished_at: time("finished_at")?,
        finished_by: text("finished_by")?,
        finish_reason: text("finish_reason")?,
        implicit: row.try_get::<i64, _>("implicit")? != 0,
    };
    if run.implicit && run.outcome.is_none() && run.last_seen_at < idle_before {
        (run.outcome, run.finished_at) = (Some(Outcome::Abandoned), Some(run.last_seen_at));
    }
    Ok(run)
}

fn read_frozen(row: &AnyRow) -> StoreResult<Option<FrozenDoctrine>> {
    let Some(version) = row.try_get("doctrine_version")? else { return Ok(None) };
    let owner = DocOwner::parse(row.try_get("doctrine_owner_type")?, row.try_get("doctrine_owner_id")?).map_err(|_| damaged())?;
    let kind = DocKind::parse(row.try_get("doctrine_kind")?).map_err(|_| damaged())?;
    Ok(Some(FrozenDoctrine { owner, kind, version }))
}

pub(super) fn read_id(text: &str) -> StoreResult<RunId> {
    RunId::parse(text).map_err(|_| damaged())
}

fn damaged() -> StoreError {
    StoreError::corrupt("a row of a run is damaged")
}
