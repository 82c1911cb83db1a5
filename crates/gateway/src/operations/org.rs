//! Organisations.

use bailiwick_model::OrgId;
use bailiwick_store::Organisation;
use bailiwick_store::event::EventKind;

use super::fault::Done;
use super::{Acting, Deed, Operations, Required};

/// Creates an organisation; only from above.
///
/// # Errors
/// `forbidden`; `conflict` when it exists.
pub async fn create(ops: &Operations, acting: &Acting, org: &OrgId) -> Done<Organisation> {
    const OPERATION: &str = "org create";
    let platform = ops.platform(acting, OPERATION)?;
    let deed = Deed::new(EventKind::Config, OPERATION, org.as_str());
    ops.record(platform.author(), deed, ops.store().orgs().create(platform.scope(), org)).await
}

/// The organisations that the caller may see, those after `after` by name: all from above, otherwise his own.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(ops: &Operations, acting: &Acting, after: &str) -> Done<Vec<Organisation>> {
    if let Some(above) = acting.above() {
        return Ok(ops.store().orgs().list(above, after).await?);
    }
    let Some(scope) = acting.scope().filter(|scope| scope.org().as_str() > after) else { return Ok(Vec::new()) };
    let own = ops.reader(acting, scope.org(), Required::Member, "org list").await?;
    Ok(vec![ops.store().orgs().get(own.scope()).await?])
}

/// One organisation.
///
/// # Errors
/// `not_found`, also for a foreign one.
pub async fn get(ops: &Operations, acting: &Acting, org: &OrgId) -> Done<Organisation> {
    let reader = ops.reader(acting, org, Required::Member, "org show").await?;
    Ok(ops.store().orgs().get(reader.scope()).await?)
}
