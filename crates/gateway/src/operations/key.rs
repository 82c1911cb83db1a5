//! API keys. Their text is given once, to whoever makes them.

use std::time::Duration;

use bailiwick_model::{Code, KeyId, OrgId, Subject, Timestamp};
use bailiwick_store::event::EventKind;
use bailiwick_store::{CreatedKey, KeyInfo, NewKey};

use super::fault::{Done, Fault};
use super::{Acting, Admin, Deed, Operations, Required};

/// Longest time that a rotated key works beside the new one.
pub const OVERLAP_MAX: Duration = Duration::from_secs(30 * 86_400);

/// Makes a key; for administrators of the organisation.
///
/// # Errors
/// `conflict` when the agent does not exist, `not_found` when the member does not, `forbidden` for the key of somebody who may act above
/// organisations.
pub async fn create(ops: &Operations, acting: &Acting, org: &OrgId, new: NewKey) -> Done<(CreatedKey, KeyInfo)> {
    const OPERATION: &str = "key create";
    let admin = ops.admin(acting, org, Required::OrgAdmin, OPERATION).await?;
    check_person(ops, &admin, new.sub.as_ref()).await?;
    let subject = new.agent_id.to_string();
    let created = ops.record(admin.author(), deed(OPERATION, &subject), ops.store().keys().create(admin.scope(), new)).await?;
    let info = ops.store().keys().get(admin.scope(), created.id).await?;
    Ok((created, info))
}

/// One page of keys by id, those after `after`, without their secret part; for administrators of the organisation.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn list(ops: &Operations, acting: &Acting, org: &OrgId, after: &str) -> Done<Vec<KeyInfo>> {
    let reader = ops.reader(acting, org, Required::OrgAdmin, "key list").await?;
    Ok(ops.store().keys().list(reader.scope(), after).await?)
}

/// One key without its secret part; for administrators of the organisation.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn get(ops: &Operations, acting: &Acting, org: &OrgId, id: KeyId) -> Done<KeyInfo> {
    let reader = ops.reader(acting, org, Required::OrgAdmin, "key show").await?;
    Ok(ops.store().keys().get(reader.scope(), id).await?)
}

/// Revokes a key: it stops working within a second, everywhere; for administrators of the organisation.
///
/// # Errors
/// `not_found`.
pub async fn revoke(ops: &Operations, acting: &Acting, org: &OrgId, id: KeyId) -> Done<()> {
    const OPERATION: &str = "key revoke";
    let admin = ops.admin(acting, org, Required::OrgAdmin, OPERATION).await?;
    ops.record(admin.author(), deed(OPERATION, &id.to_string()), ops.store().keys().revoke(admin.scope(), id)).await
}

/// Makes another key for whomever `id` identifies; the old one works for `overlap` yet. For administrators of the organisation.
///
/// # Errors
/// As [`create`]; `conflict` for a key that works no more.
pub async fn rotate(
    ops: &Operations,
    acting: &Acting,
    (org, id): (&OrgId, KeyId),
    expires_at: Option<Timestamp>,
    overlap: Duration,
) -> Done<(CreatedKey, KeyInfo)> {
    const OPERATION: &str = "key rotate";
    let admin = ops.admin(acting, org, Required::OrgAdmin, OPERATION).await?;
    let old = ops.store().keys().get(admin.scope(), id).await?;
    check_person(ops, &admin, old.sub.as_ref()).await?;
    let keys = ops.store().keys();
    let effect = keys.rotate(admin.scope(), id, expires_at, overlap.min(OVERLAP_MAX));
    let created = ops.record(admin.author(), deed(OPERATION, &id.to_string()), effect).await?;
    let info = ops.store().keys().get(admin.scope(), created.id).await?;
    Ok((created, info))
}

/// Who makes a key of somebody knows it. For somebody who may act above organisations an administrator of one may therefore make none.
async fn check_person(ops: &Operations, admin: &Admin, sub: Option<&Subject>) -> Done<()> {
    let Some(sub) = sub.filter(|_| !admin.is_platform()) else { return Ok(()) };
    if !ops.store().members().is_platform_admin(admin.scope(), sub).await? {
        return Ok(());
    }
    let message = "the member is a platform administrator";
    Err(Fault::new(Code::Forbidden, message, "a platform administrator makes his key, or the operator with `bailiwick key create`"))
}

fn deed<'a>(operation: &'static str, subject: &'a str) -> Deed<'a> {
    Deed::new(EventKind::Key, operation, subject)
}
