//! Runs of agents, for people who look after them.

use bailiwick_model::{OrgId, Outcome, RunId, RunNote, Timestamp};
use bailiwick_store::event::EventKind;
use bailiwick_store::{Finisher, Run, RunFilter, StoreError, StoreErrorKind};

use super::fault::{Done, Fault};
use super::{Acting, Deed, Operations, Required};

/// One page of runs, those that were started last first; for administrators of the organisation.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn list(
    ops: &Operations,
    acting: &Acting,
    org: &OrgId,
    filter: &RunFilter,
    (before, limit): (Option<(Timestamp, RunId)>, u32),
) -> Done<Vec<Run>> {
    let reader = ops.reader(acting, org, Required::OrgAdmin, "run-log list").await?;
    let before = before.as_ref().map(|(at, id)| (*at, id));
    Ok(ops.runs().list(reader.scope(), filter, before, limit).await?)
}

/// One run; for administrators of the organisation.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn get(ops: &Operations, acting: &Acting, org: &OrgId, id: &RunId) -> Done<Run> {
    let reader = ops.reader(acting, org, Required::OrgAdmin, "run-log show").await?;
    ops.runs().get(reader.scope(), id).await?.ok_or_else(|| Fault::not_found("the run"))
}

/// Ends somebody's run, saying why; for administrators of the organisation. The runs nested in it stay open.
///
/// # Errors
/// `not_found`; `conflict` when it has ended already; `invalid_argument` for a reason that cannot be kept.
pub async fn finish(
    ops: &Operations,
    acting: &Acting,
    (org, id): (&OrgId, &RunId),
    (outcome, note): (Outcome, Option<&RunNote>),
    reason: &str,
) -> Done<Run> {
    const OPERATION: &str = "run-log finish";
    let admin = ops.admin(acting, org, Required::OrgAdmin, OPERATION).await?;
    let deed = Deed::new(EventKind::Config, OPERATION, id.as_str()).because(reason);
    let runs = ops.runs();
    let effect = async {
        let ended = runs.finish(admin.scope(), Finisher::Admin { reason }, id, outcome, note).await?;
        match (ended.run, runs.get(admin.scope(), id).await?) {
            (Some(run), _) => Ok(run),
            (None, Some(_)) => Err(StoreError::new(StoreErrorKind::Conflict, "the run has ended already", "look at how it ended")),
            (None, None) => Err(StoreError::new(StoreErrorKind::NotFound, "the run does not exist", "list the runs and check the id")),
        }
    };
    ops.record(admin.author(), deed, effect).await
}
