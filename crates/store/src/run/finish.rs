//! Ending runs.

use bailiwick_model::instruction::hides;
use bailiwick_model::{Outcome, RunId, RunNote, RunOwner};

use super::{Run, Runs, row};
use crate::error::{StoreError, StoreResult};
use crate::scope::Tenant;

/// Longest reason of an administrator.
pub const FINISH_REASON_CHARS_MAX: usize = 500;

/// Who ends a run.
#[derive(Clone, Copy, Debug)]
pub enum Finisher<'a> {
    /// Its own subject, through whichever client and session.
    Owner(&'a RunOwner),
    /// An administrator of the organisation; whether he is one is for the caller to decide before.
    Admin {
        /// Why, for the row; 1 to [`FINISH_REASON_CHARS_MAX`] characters.
        reason: &'a str,
    },
}

/// The answer to [`Runs::finish`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedRun {
    /// Whether this call has ended it. A run that is unknown, another's or ended already gives `false`, and nothing changed.
    pub was_open: bool,
    /// The run as it is now, where this call has ended it.
    pub run: Option<Run>,
}

impl Runs<'_> {
    /// Ends a run, wherever it lies in its stack; the runs nested in it stay open.
    ///
    /// # Errors
    /// `Invalid` for an administrator's reason that is empty, too long or holds control characters; `Unavailable`, `Locked` or `Full`.
    pub async fn finish(
        &self,
        tenant: &impl Tenant,
        by: Finisher<'_>,
        run_id: &RunId,
        outcome: Outcome,
        note: Option<&RunNote>,
    ) -> StoreResult<FinishedRun> {
        let (sub, reason) = match by {
            Finisher::Owner(owner) => (Some(owner.sub()), None),
            Finisher::Admin { reason } => (None, Some(checked(reason)?)),
        };
        let statement = "UPDATE runs SET outcome = $3, note = $4, finished_at = $5, last_seen_at = $5, finished_by = $6, finish_reason = $7 \
                         WHERE tenant_id = $1 AND run_id = $2 AND outcome IS NULL AND ($8 IS NULL OR sub = $8) \
                         AND (implicit = 0 OR last_seen_at >= $9)";
        let mut tx = self.store.write(tenant).await?;
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(run_id.as_str()).bind(outcome.as_str());
        let query = query.bind(note.map(RunNote::as_str)).bind(self.store.now().as_micros()).bind(sub.unwrap_or(tenant.actor()));
        let query = query.bind(reason).bind(sub).bind(self.idle_before().as_micros());
        if query.execute(tx.connection()).await?.rows_affected() == 0 {
            return Ok(FinishedRun { was_open: false, run: None });
        }
        let run = row::get(&mut tx, tenant, run_id, self.idle_before()).await?;
        tx.commit().await?;
        Ok(FinishedRun { was_open: true, run })
    }
}

fn checked(reason: &str) -> StoreResult<&str> {
    let chars = reason.trim().chars().count();
    if (1..=FINISH_REASON_CHARS_MAX).contains(&chars) && !reason.chars().any(char::is_control) && !hides(reason) {
        return Ok(reason.trim());
    }
    let message = "ending somebody else's run needs a reason of 1 to 500 characters without control characters";
    Err(StoreError::invalid(message, "say why the run has to end"))
}
