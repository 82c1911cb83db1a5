//! Groups and who is in them.

use bailiwick_model::{GroupId, OrgId, Role, Subject};
use bailiwick_store::event::EventKind;
use bailiwick_store::{Group, GroupMember};

use super::fault::Done;
use super::{Acting, Deed, Operations, Required};

/// Creates a group; for administrators of the organisation.
///
/// # Errors
/// `conflict` when its id or name are taken.
pub async fn create(ops: &Operations, acting: &Acting, org: &OrgId, group: &GroupId, name: &str) -> Done<Group> {
    const OPERATION: &str = "group create";
    let admin = ops.admin(acting, org, Required::OrgAdmin, OPERATION).await?;
    ops.record(admin.author(), deed(OPERATION, group.as_str()), ops.store().groups().create(admin.scope(), group, name)).await
}

/// One page of groups by id, those after `after`; for every member.
///
/// # Errors
/// `not_found`.
pub async fn list(ops: &Operations, acting: &Acting, org: &OrgId, after: &str) -> Done<Vec<Group>> {
    let reader = ops.reader(acting, org, Required::Member, "group list").await?;
    Ok(ops.store().groups().list(reader.scope(), after).await?)
}

/// One group; for every member.
///
/// # Errors
/// `not_found`.
pub async fn get(ops: &Operations, acting: &Acting, org: &OrgId, group: &GroupId) -> Done<Group> {
    let reader = ops.reader(acting, org, Required::Member, "group show").await?;
    Ok(ops.store().groups().get(reader.scope(), group).await?)
}

/// Deletes a group; for administrators of the organisation.
///
/// # Errors
/// `conflict` while it answers for an agent.
pub async fn delete(ops: &Operations, acting: &Acting, org: &OrgId, group: &GroupId) -> Done<()> {
    const OPERATION: &str = "group delete";
    let admin = ops.admin(acting, org, Required::OrgAdmin, OPERATION).await?;
    ops.record(admin.author(), deed(OPERATION, group.as_str()), ops.store().groups().delete(admin.scope(), group)).await
}

/// One page of a group's members by subject, those after `after`; for administrators of the group.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn members(ops: &Operations, acting: &Acting, org: &OrgId, group: &GroupId, after: &str) -> Done<Vec<GroupMember>> {
    let reader = ops.reader(acting, org, Required::Group(group), "group members").await?;
    Ok(ops.store().groups().members(reader.scope(), group, after).await?)
}

/// Puts a member of the organisation into a group, or gives him another role in it; for administrators of the group.
///
/// # Errors
/// `conflict` when he is no member of the organisation.
pub async fn put_member(
    ops: &Operations,
    acting: &Acting,
    org: &OrgId,
    group: &GroupId,
    (sub, role): (&Subject, Role),
) -> Done<GroupMember> {
    const OPERATION: &str = "group add";
    let admin = ops.admin(acting, org, Required::Group(group), OPERATION).await?;
    let subject = format!("{group}/{sub}");
    ops.record(admin.author(), deed(OPERATION, &subject), ops.store().groups().put_member(admin.scope(), group, sub, role)).await
}

/// Takes a member out of a group; for administrators of the group.
///
/// # Errors
/// `not_found` when he is not in it.
pub async fn remove_member(ops: &Operations, acting: &Acting, org: &OrgId, group: &GroupId, sub: &Subject) -> Done<()> {
    const OPERATION: &str = "group remove";
    let admin = ops.admin(acting, org, Required::Group(group), OPERATION).await?;
    let subject = format!("{group}/{sub}");
    ops.record(admin.author(), deed(OPERATION, &subject), ops.store().groups().remove_member(admin.scope(), group, sub)).await
}

fn deed<'a>(operation: &'static str, subject: &'a str) -> Deed<'a> {
    Deed::new(EventKind::Config, operation, subject)
}
