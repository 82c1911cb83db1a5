//! Runs: which procedure of which principal a call belongs to, on any replica and over lost connections (reference, governance
//! section 3).
//!
//! An open run is a row without an outcome. An *implicit* run, which nobody started, is besides over as soon as nothing was seen of it for
//! the idle window; every function here reads it so, whether or not that was written down yet: it then counts as abandoned, at the
//! moment it was last seen.

mod attribute;
mod cache;
mod finish;
mod prune;
mod row;
mod start;

use std::time::Duration;

use bailiwick_model::run::{IDLE_WINDOW_DEFAULT, is_stale};
use bailiwick_model::{DocKind, DocOwner, Outcome, RunId, RunOwner, Timestamp};

use crate::error::StoreResult;
use crate::scope::Tenant;
use crate::store::Store;

pub use attribute::{Attributed, Attribution, Whereabouts};
pub(crate) use cache::RunCache;
pub use finish::{FINISH_REASON_CHARS_MAX, FinishedRun, Finisher};
pub use prune::{PRUNED_ROWS_MAX, PRUNED_RUNS_MAX, PrunedRuns};
pub use start::{NewRun, OPEN_RUNS_PER_OWNER_MAX, RunStart};

/// Runs one listing gives.
pub const RUN_PAGE_MAX: u32 = 200;

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub run_id: RunId,
    /// Whose it is.
    pub owner: RunOwner,
    /// The run that was active when it was started.
    pub parent: Option<RunId>,
    /// What it is about.
    pub label: String,
    /// The slug of the instruction that was named at the start.
    pub doctrine: Option<String>,
    /// The version of it that the run follows; `None` when no instruction was named, or none of this slug existed.
    pub frozen: Option<FrozenDoctrine>,
    /// How it ended; `None` while it is open.
    pub outcome: Option<Outcome>,
    /// What was said at the end.
    pub note: Option<String>,
    /// When it was started.
    pub started_at: Timestamp,
    /// When something was last seen of it; up to [`TOUCH_PERIOD`] behind.
    pub last_seen_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Who ended it.
    pub finished_by: Option<String>,
    /// Why an administrator ended it.
    pub finish_reason: Option<String>,
    /// Whether nobody started it.
    pub implicit: bool,
}

impl Run {
    /// Whether it is to be shown as one without news.
    #[must_use]
    pub fn stale(&self, now: Timestamp) -> bool {
        is_stale(self.outcome, self.last_seen_at, now)
    }
}

/// Which text a run follows; [`get_version`](crate::Instructions::get_version) reads it, also after it was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrozenDoctrine {
    /// Whose text.
    pub owner: DocOwner,
    /// Its kind.
    pub kind: DocKind,
    /// Its version at the start.
    pub version: i64,
}

/// Which runs; an absent member does not restrict.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Only those of this subject, over all its clients.
    pub sub: Option<String>,
    /// Only open ones, or only ended ones.
    pub open: Option<bool>,
    /// Only those that ended so.
    pub outcome: Option<Outcome>,
}

/// Between two writes of the time a run was last seen.
pub const TOUCH_PERIOD: Duration = Duration::from_secs(30);

/// Functions on runs; see [`Store::runs`].
#[derive(Clone, Copy, Debug)]
pub struct Runs<'a> {
    store: &'a Store,
    idle: Duration,
}

impl Store {
    /// Runs, with the idle window of [`IDLE_WINDOW_DEFAULT`].
    #[must_use]
    pub const fn runs(&self) -> Runs<'_> {
        Runs { store: self, idle: IDLE_WINDOW_DEFAULT }
    }
}

impl<'a> Runs<'a> {
    /// The same with another idle window; all replicas should have the same one.
    #[must_use]
    pub const fn with_idle_window(self, idle: Duration) -> Self {
        Self { idle, ..self }
    }

    /// One run; `None` also for one of another organisation. Any run of the organisation: who may see it is for the caller to decide.
    ///
    /// # Errors
    /// `Unavailable`, `Locked` or `Corrupt`.
    pub async fn get(&self, tenant: &impl Tenant, run_id: &RunId) -> StoreResult<Option<Run>> {
        let mut tx = self.store.read(tenant).await?;
        row::get(&mut tx, tenant, run_id, self.idle_before()).await
    }

    /// The runs that were started last, the newest first: at most `limit` and [`RUN_PAGE_MAX`], those before `before`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn list(
        &self,
        tenant: &impl Tenant,
        filter: &RunFilter,
        before: Option<(Timestamp, &RunId)>,
        limit: u32,
    ) -> StoreResult<Vec<Run>> {
        let mut tx = self.store.read(tenant).await?;
        row::list(&mut tx, tenant, filter, before, limit.clamp(1, RUN_PAGE_MAX), self.idle_before()).await
    }

    /// What was last seen before this moment is idle.
    fn idle_before(&self) -> Timestamp {
        let idle = i64::try_from(self.idle.as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(self.store.now().as_micros().saturating_sub(idle))
    }
}
