//! Rows of the readable index of the ledger: what agents and people did in an organisation.

use bailiwick_model::{EventId, OrgId};
use bailiwick_store::event::{Event, EventFilter, EventPage};

use super::fault::{Done, Fault};
use super::{Acting, Operations, Required};

/// One page of rows, newest first; for administrators of the organisation.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn list(ops: &Operations, acting: &Acting, org: &OrgId, filter: &EventFilter, page: EventPage, limit: u32) -> Done<Vec<Event>> {
    let reader = ops.reader(acting, org, Required::OrgAdmin, "audit list").await?;
    Ok(ops.store().events().list(reader.scope(), filter, page, limit).await?)
}

/// One row; for administrators of the organisation.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn get(ops: &Operations, acting: &Acting, org: &OrgId, id: &EventId) -> Done<Event> {
    let reader = ops.reader(acting, org, Required::OrgAdmin, "audit show").await?;
    ops.store().events().get(reader.scope(), id).await?.ok_or_else(|| Fault::not_found("the event"))
}
