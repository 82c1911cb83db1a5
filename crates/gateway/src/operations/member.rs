//! Members of an organisation and their roles.

use bailiwick_model::{OrgId, Role, Subject};
use bailiwick_store::Member;
use bailiwick_store::event::EventKind;

use super::fault::Done;
use super::{Acting, Deed, Operations, Required};

/// Adds a member; for administrators of the organisation.
///
/// # Errors
/// `conflict` when he is one already; `invalid_argument` for a text that is no email address.
pub async fn add(ops: &Operations, acting: &Acting, org: &OrgId, new: (&Subject, Option<&str>, Role)) -> Done<Member> {
    const OPERATION: &str = "user add";
    let (sub, email, role) = new;
    let admin = ops.admin(acting, org, Required::OrgAdmin, OPERATION).await?;
    let members = ops.store().members();
    let effect = members.add(admin.scope(), sub, email, role);
    ops.record(admin.author(), deed(OPERATION, sub), effect).await
}

/// One page of members by subject, those after `after`; for administrators of a group.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn list(ops: &Operations, acting: &Acting, org: &OrgId, after: &str) -> Done<Vec<Member>> {
    let reader = ops.reader(acting, org, Required::GroupAdmin, "user list").await?;
    Ok(ops.store().members().list(reader.scope(), after).await?)
}

/// One member; for himself and for administrators of a group.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn get(ops: &Operations, acting: &Acting, org: &OrgId, sub: &Subject) -> Done<Member> {
    let reader = ops.reader(acting, org, Required::Himself(sub), "user show").await?;
    Ok(ops.store().members().get(reader.scope(), sub).await?)
}

/// Gives a member another role; for administrators of the organisation.
///
/// # Errors
/// `conflict` when he is the last administrator.
pub async fn set_role(ops: &Operations, acting: &Acting, org: &OrgId, sub: &Subject, role: Role) -> Done<Member> {
    const OPERATION: &str = "user role";
    let admin = ops.admin(acting, org, Required::OrgAdmin, OPERATION).await?;
    ops.record(admin.author(), deed(OPERATION, sub), ops.store().members().set_role(admin.scope(), sub, role)).await
}

/// Removes a member; for administrators of the organisation.
///
/// # Errors
/// `conflict` when he is the last administrator.
pub async fn remove(ops: &Operations, acting: &Acting, org: &OrgId, sub: &Subject) -> Done<()> {
    const OPERATION: &str = "user remove";
    let admin = ops.admin(acting, org, Required::OrgAdmin, OPERATION).await?;
    ops.record(admin.author(), deed(OPERATION, sub), ops.store().members().remove(admin.scope(), sub)).await
}

fn deed<'a>(operation: &'static str, sub: &'a Subject) -> Deed<'a> {
    Deed::new(EventKind::Config, operation, sub.as_str())
}
