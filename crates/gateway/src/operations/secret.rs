//! Secrets: set, named, removed; never read back.

use bailiwick_model::OrgId;
use bailiwick_store::SecretInfo;
use bailiwick_store::event::EventKind;
use secrecy::SecretString;

use super::fault::Done;
use super::{Acting, Deed, Operations, Required};

/// Sets a secret, at version `expected` when one is given; for administrators of the organisation.
///
/// # Errors
/// `version_conflict` when somebody else set it in between; `invalid_argument` for a name or value that cannot be used.
pub async fn set(
    ops: &Operations,
    acting: &Acting,
    (org, name): (&OrgId, &str),
    value: &SecretString,
    expected: Option<i64>,
) -> Done<SecretInfo> {
    const OPERATION: &str = "secret set";
    let admin = ops.admin(acting, org, Required::OrgAdmin, OPERATION).await?;
    let secrets = ops.store().secrets();
    let effect = secrets.put_if(admin.scope(), name, value, expected);
    ops.record(admin.author(), deed(OPERATION, name), effect).await?;
    Ok(ops.store().secrets().info(admin.scope(), name).await?)
}

/// One page of names and dates by name, those after `after`; for administrators of the organisation.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn list(ops: &Operations, acting: &Acting, org: &OrgId, after: &str) -> Done<Vec<SecretInfo>> {
    let reader = ops.reader(acting, org, Required::OrgAdmin, "secret list").await?;
    Ok(ops.store().secrets().list(reader.scope(), after).await?)
}

/// Dates of one secret; for administrators of the organisation.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn get(ops: &Operations, acting: &Acting, org: &OrgId, name: &str) -> Done<SecretInfo> {
    let reader = ops.reader(acting, org, Required::OrgAdmin, "secret show").await?;
    Ok(ops.store().secrets().info(reader.scope(), name).await?)
}

/// Removes a secret, at version `expected` when one is given; for administrators of the organisation.
///
/// # Errors
/// `not_found`; `version_conflict` when somebody else set it in between.
pub async fn remove(ops: &Operations, acting: &Acting, org: &OrgId, name: &str, expected: Option<i64>) -> Done<()> {
    const OPERATION: &str = "secret rm";
    let admin = ops.admin(acting, org, Required::OrgAdmin, OPERATION).await?;
    ops.record(admin.author(), deed(OPERATION, name), ops.store().secrets().delete_if(admin.scope(), name, expected)).await
}

fn deed<'a>(operation: &'static str, name: &'a str) -> Deed<'a> {
    Deed::new(EventKind::Secret, operation, name)
}
