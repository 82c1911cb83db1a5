//! Rates that several gateways keep together. Each takes small shares of a rate, uses them up by itself, and reports what it used with
//! the next one; what a gateway took and did not report counts as used. So the sum over all gateways never exceeds the rate.

mod tally;

use std::time::Duration;

use bailiwick_model::{OrgId, Timestamp};
use sqlx::Row;

use crate::error::{StoreError, StoreResult};
use crate::scope::{PlatformScope, Scope};
use crate::store::{Store, Tx};
use tally::Tally;

/// Longest name of a counter in bytes.
const COUNTER_BYTES_MAX: usize = 512;
/// Counters that one call may be held against.
const WANTS_MAX: usize = 4;

/// What a gateway wants of one counter.
#[derive(Clone, Debug)]
pub struct Want<'a> {
    /// Name of the counter, one for each rate of the agent.
    pub counter: &'a str,
    /// Calls that may be in any stretch of `window`, over all gateways.
    pub calls_max: u32,
    /// The stretch.
    pub window: Duration,
    /// Calls wanted at once; fewer are given when little is left.
    pub share: u32,
    /// How long the share may be used after it was asked for.
    pub hold: Duration,
    /// What became of the last share.
    pub settled: Option<Settled>,
}

/// A share that is not used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Of which share.
    pub id: u64,
    /// Calls that it was used for.
    pub used: u32,
    /// From when on they do not count any more: `window` after the last of them.
    pub ends_at: Timestamp,
}

/// Calls that a gateway may let through within `hold` without asking again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Tells it from others of the same counter.
    pub id: u64,
    /// How many calls, at least one.
    pub calls: u32,
    /// When it was given, by the clock that all gateways on this counter follow.
    pub at: Timestamp,
}

/// The answer to a number of [`Want`]s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// One share for each.
    Shares(Vec<Share>),
    /// Nothing was given, since one of them is used up.
    Full {
        /// Which one.
        index: usize,
        /// Calls that count now.
        current: u32,
        /// When the first of them ends to count, at the latest.
        retry_after: Duration,
    },
}

/// Functions on rates; see [`Store::rates`].
#[derive(Clone, Copy, Debug)]
pub struct Rates<'a>(&'a Store);

impl Store {
    /// Rates of agents.
    #[must_use]
    pub const fn rates(&self) -> Rates<'_> {
        Rates(self)
    }
}

impl Rates<'_> {
    /// Takes a share of every counter, or of none when one of them is used up; settled shares are entered in both cases. Callers name
    /// several counters in one order, so that none waits for another in a ring.
    ///
    /// Over all gateways on this database the calls let through by shares are at most `calls_max` in any stretch of `window`, as long as
    /// their clocks agree to within five seconds; a clock that is ahead lets calls pass earlier by as much as it is ahead.
    ///
    /// # Errors
    /// `Invalid` for names that are too long or too many; `Unavailable`, `Locked`, `Full` or `Corrupt`: then nothing was taken.
    pub async fn take(&self, scope: &Scope, wants: &[Want<'_>]) -> StoreResult<Taken> {
        if wants.is_empty() || wants.len() > WANTS_MAX || wants.iter().any(|want| want.counter.len() > COUNTER_BYTES_MAX) {
            return Err(StoreError::invalid("a rate has too long a name, or a call is held against too many", "shorten the pattern"));
        }
        let mut tx = self.0.write(scope).await?;
        let mut tallies = Vec::with_capacity(wants.len());
        for want in wants {
            let mut tally = locked(&mut tx, scope, want.counter).await?;
            tally.advance(self.0.now(), want.window + want.hold);
            if let Some(settled) = &want.settled {
                tally.settle(settled);
            }
            tallies.push(tally);
        }
        let full = wants.iter().zip(&tallies).position(|(want, tally)| tally.free(want.calls_max) == 0);
        let taken = match full {
            Some(index) => {
                let (want, tally) = (&wants[index], &tallies[index]);
                Taken::Full { index, current: tally.sum(), retry_after: tally.wait(want.calls_max).unwrap_or(want.window) }
            }
            None => {
                let take = |(want, tally): (&Want<'_>, &mut Tally)| tally.take(want, self.fresh_id());
                Taken::Shares(wants.iter().zip(&mut tallies).map(take).collect())
            }
        };
        for (want, tally) in wants.iter().zip(&tallies) {
            save(&mut tx, scope, want.counter, tally).await?;
        }
        tx.commit().await?;
        Ok(taken)
    }

    /// Removes counters of all organisations in which nothing counts any more; gives their number.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`; what was removed until then stays removed.
    pub async fn prune(&self, scope: &PlatformScope) -> StoreResult<u64> {
        let (mut pruned, mut after) = (0, String::new());
        loop {
            let page = self.0.orgs().list(scope, &after).await?;
            let Some(last) = page.last() else { return Ok(pruned) };
            after = last.org.to_string();
            for organisation in &page {
                pruned += self.prune_within(scope, &organisation.org).await?;
            }
        }
    }

    async fn prune_within(&self, scope: &PlatformScope, org: &OrgId) -> StoreResult<u64> {
        let mut tx = self.0.write(&scope.within(org)).await?;
        let query = sqlx::query("DELETE FROM rate_counters WHERE tenant_id = $1 AND ends_at < $2");
        let pruned = query.bind(org.as_str()).bind(self.0.now().as_micros()).execute(tx.connection()).await?.rows_affected();
        tx.commit().await?;
        Ok(pruned)
    }

    /// Zero stands for what is settled.
    fn fresh_id(&self) -> u64 {
        let mut bytes = [0; 8];
        self.0.random().fill(&mut bytes);
        u64::from_le_bytes(bytes).max(1)
    }
}

/// The tally of a counter; its row is this transaction's alone until it ends.
async fn locked(tx: &mut Tx, scope: &Scope, counter: &str) -> StoreResult<Tally> {
    // Writing the row is what locks it in both databases.
    let touch = "UPDATE rate_counters SET ends_at = ends_at WHERE tenant_id = $1 AND agent_id = $2 AND counter = $3";
    let insert = "INSERT INTO rate_counters (tenant_id, agent_id, counter, tally, ends_at) VALUES ($1, $2, $3, '[]', 0) \
                  ON CONFLICT (tenant_id, agent_id, counter) DO NOTHING";
    let select = "SELECT tally FROM rate_counters WHERE tenant_id = $1 AND agent_id = $2 AND counter = $3";
    let (org, agent) = (scope.org().as_str(), scope.agent_id().as_str());
    let touched = sqlx::query(touch).bind(org).bind(agent).bind(counter).execute(tx.connection()).await?.rows_affected();
    if touched == 0 {
        sqlx::query(insert).bind(org).bind(agent).bind(counter).execute(tx.connection()).await?;
        sqlx::query(touch).bind(org).bind(agent).bind(counter).execute(tx.connection()).await?;
    }
    let row = sqlx::query(select).bind(org).bind(agent).bind(counter).fetch_one(tx.connection()).await?;
    Tally::parse(&row.try_get::<String, _>("tally")?).ok_or_else(|| StoreError::corrupt("the tally of a rate is damaged"))
}

async fn save(tx: &mut Tx, scope: &Scope, counter: &str, tally: &Tally) -> StoreResult<()> {
    let statement = "UPDATE rate_counters SET tally = $4, ends_at = $5 WHERE tenant_id = $1 AND agent_id = $2 AND counter = $3";
    sqlx::query(statement)
        .bind(scope.org().as_str())
        .bind(scope.agent_id().as_str())
        .bind(counter)
        .bind(tally.to_text())
        .bind(tally.ends_at())
        .execute(tx.connection())
        .await?;
    Ok(())
}
