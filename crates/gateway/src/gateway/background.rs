//! What runs beside the calls: fresh keys, and the watchers of the servers.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::Timestamp;
use bailiwick_model::time::Clock;
use bailiwick_store::{Store, StoreResult};
use tokio::time::MissedTickBehavior;
use tracing::warn;

use super::Gateway;
use crate::changes::Changes;

/// How often keys are compared with the database. A revoked key is refused within a second (security reference section 9).
const KEY_REFRESH_EVERY: Duration = Duration::from_millis(400);
/// A session that was not used for this long is ended; its client initializes again.
const SESSION_IDLE_MAX: Duration = Duration::from_secs(24 * 3600);
/// How often old rows and unused sessions are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

impl Gateway {
    pub(super) fn begin_background(&self, changes: &Arc<Changes>) {
        let mut tasks = self.0.tasks.lock();
        tasks.spawn(self.0.spool.clone().run());
        tasks.spawn(refresh_keys(self.0.keyring.clone()));
        tasks.spawn(self.0.registered.clone().run());
        tasks.spawn(self.0.registered.connections().clone().give_back());
        tasks.spawn(self.0.streams.clone().expire());
        let keep = self.0.config.audit.retention_days.map(|days| Duration::from_secs(u64::from(days) * 24 * 3600));
        tasks.spawn(prune(self.0.store.clone(), self.0.clock.clone(), keep));
        for server in &self.0.servers {
            tasks.spawn(server.clone().watch(changes.clone(), self.0.mask.clone()));
        }
    }
}

/// Takes away readable rows, runs and feedback that are older than `audit.retention_days` (`keep`), and sessions that nobody uses any more, soon after the
/// start and then every hour.
async fn prune(store: Store, clock: Arc<dyn Clock>, keep: Option<Duration>) {
    let mut every = tokio::time::interval(PRUNE_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let before = keep.map(|keep| {
            let kept = i64::try_from(keep.as_micros()).unwrap_or(i64::MAX);
            Timestamp::from_micros(clock.now().as_micros().saturating_sub(kept))
        });
        if let Err(cause) = prune_sessions(&store).await {
            warn!(%cause, "unused sessions stay for now");
        }
        if let Err(cause) = prune_rates(&store).await {
            warn!(%cause, "rates in which nothing counts any more stay for now");
        }
        if let Some(before) = before
            && let Err(cause) = prune_events(&store, before).await
        {
            warn!(%cause, "old rows of the readable record stay for now");
        }
    }
}

async fn prune_sessions(store: &Store) -> StoreResult<()> {
    let scope = store.platform("retention")?;
    store.sessions().prune(&scope, SESSION_IDLE_MAX).await.map(drop)
}

async fn prune_rates(store: &Store) -> StoreResult<()> {
    let scope = store.platform("retention")?;
    store.rates().prune(&scope).await.map(drop)
}

async fn prune_events(store: &Store, before: Timestamp) -> StoreResult<()> {
    let scope = store.platform("retention")?;
    while store.events().prune_platform(&scope, before).await? > 0 {}
    let mut after = String::new();
    loop {
        let page = store.orgs().list(&scope, &after).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.org.to_string();
        for organisation in &page {
            let within = scope.within(&organisation.org);
            // Each round takes rows away, so the rounds end.
            while store.events().prune(&within, before).await? > 0 {}
            while store.feedback().prune(&within, before).await? > 0 {}
            while store.runs().prune(&within, before).await?.more {}
        }
    }
}

async fn refresh_keys(keyring: bailiwick_store::Keyring) {
    let mut every = tokio::time::interval(KEY_REFRESH_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        every.tick().await;
        let refreshed = keyring.refresh().await;
        // Said once for each outage: until it ends, a caller's key is checked in the database itself.
        if let (Err(cause), false) = (&refreshed, failing) {
            warn!(%cause, "keys cannot be refreshed");
        }
        failing = refreshed.is_err();
    }
}
