//! Platform administrators: people who act above organisations, always inside one that they name.

use bailiwick_model::{OrgId, Subject};
use bailiwick_store::PlatformAdmin;
use bailiwick_store::event::EventKind;

use super::fault::Done;
use super::{Acting, Deed, Operations};

/// Lets a person of `org` act above organisations, with keys that are made from now on; only from above.
///
/// # Errors
/// `forbidden`; `conflict` when the organisation does not exist.
pub async fn add(ops: &Operations, acting: &Acting, org: &OrgId, sub: &Subject) -> Done<PlatformAdmin> {
    const OPERATION: &str = "platform-admin add";
    let platform = ops.platform(acting, OPERATION)?;
    let members = ops.store().members();
    let effect = members.add_platform_admin(platform.scope(), org, sub);
    ops.record(platform.author(), deed(OPERATION, sub), effect).await
}

/// Takes that away again; only from above.
///
/// # Errors
/// `forbidden`; `not_found` when he was none.
pub async fn remove(ops: &Operations, acting: &Acting, sub: &Subject) -> Done<()> {
    const OPERATION: &str = "platform-admin remove";
    let platform = ops.platform(acting, OPERATION)?;
    ops.record(platform.author(), deed(OPERATION, sub), ops.store().members().remove_platform_admin(platform.scope(), sub)).await
}

/// One page of them by subject, those after `after`; only from above.
///
/// # Errors
/// `forbidden`.
pub async fn list(ops: &Operations, acting: &Acting, after: &str) -> Done<Vec<PlatformAdmin>> {
    let platform = ops.platform(acting, "platform-admin list")?;
    Ok(ops.store().members().platform_admins(platform.scope(), after).await?)
}

fn deed<'a>(operation: &'static str, sub: &'a Subject) -> Deed<'a> {
    Deed::new(EventKind::Config, operation, sub.as_str())
}
