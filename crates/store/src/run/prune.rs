//! Taking old runs away, each together with its rows (reference 4.1).

use bailiwick_model::Timestamp;
use sqlx::Row;

use super::Runs;
use crate::error::StoreResult;
use crate::scope::Tenant;
use crate::store::Tx;

/// Runs one round takes away.
pub const PRUNED_RUNS_MAX: i64 = 100;
/// Rows of runs one round takes away; keeps the write lock short.
pub const PRUNED_ROWS_MAX: u64 = 1_000;

/// What one round took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrunedRuns {
    /// Runs.
    pub runs: u64,
    /// Their rows in the readable index; the ledger keeps its records.
    pub events: u64,
    /// Feedback given during them.
    pub feedback: u64,
    /// Whether another round may find more.
    pub more: bool,
}

impl Runs<'_> {
    /// Takes away runs of which nothing was seen since `before`, open ones included, the oldest first, with their events and their feedback:
    /// at most [`PRUNED_RUNS_MAX`] runs and [`PRUNED_ROWS_MAX`] rows of them. A run goes last, so that a round that ends in its midst is
    /// continued by the next.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`: then this round took nothing away.
    pub async fn prune(&self, tenant: &impl Tenant, before: Timestamp) -> StoreResult<PrunedRuns> {
        let mut tx = self.store.write(tenant).await?;
        let old = oldest(&mut tx, tenant, before).await?;
        let mut pruned = PrunedRuns { more: i64::try_from(old.len()).unwrap_or(i64::MAX) >= PRUNED_RUNS_MAX, ..PrunedRuns::default() };
        for run_id in &old {
            let events = "DELETE FROM events WHERE tenant_id = $1 AND id IN \
                          (SELECT id FROM events WHERE tenant_id = $1 AND run_id = $2 ORDER BY id LIMIT $3)";
            let feedback = "DELETE FROM tool_feedback WHERE tenant_id = $1 AND id IN \
                            (SELECT id FROM tool_feedback WHERE tenant_id = $1 AND run_id = $2 ORDER BY id LIMIT $3)";
            pruned.events += delete(&mut tx, tenant, events, run_id, pruned.room()).await?;
            pruned.feedback += delete(&mut tx, tenant, feedback, run_id, pruned.room()).await?;
            if pruned.room() == 0 {
                pruned.more = true;
                break;
            }
            let run = "DELETE FROM runs WHERE tenant_id = $1 AND run_id = $2";
            let query = sqlx::query(run).bind(tenant.org().as_str()).bind(run_id.as_str());
            pruned.runs += query.execute(tx.connection()).await?.rows_affected();
        }
        tx.commit().await?;
        Ok(pruned)
    }
}

impl PrunedRuns {
    const fn room(&self) -> u64 {
        PRUNED_ROWS_MAX.saturating_sub(self.events + self.feedback)
    }
}

async fn oldest(tx: &mut Tx, tenant: &impl Tenant, before: Timestamp) -> StoreResult<Vec<String>> {
    // Whatever was last seen before was started before: the index of starts bounds the search.
    let statement = "SELECT run_id FROM runs WHERE tenant_id = $1 AND started_at < $2 AND last_seen_at < $2 ORDER BY started_at LIMIT $3";
    let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(before.as_micros()).bind(PRUNED_RUNS_MAX);
    query.fetch_all(tx.connection()).await?.iter().map(|row| Ok(row.try_get("run_id")?)).collect()
}

async fn delete(tx: &mut Tx, tenant: &impl Tenant, statement: &'static str, run_id: &str, room: u64) -> StoreResult<u64> {
    let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(run_id).bind(i64::try_from(room).unwrap_or(i64::MAX));
    Ok(query.execute(tx.connection()).await?.rows_affected())
}
