//! What an organisation has at a server that it sees: a text, a credential; and its settings for all of them.

use bailiwick_model::registered::{CredentialFallback, OrgContext};
use bailiwick_model::{OrgId, ServerId};
use bailiwick_store::{OrgScope, ServerContext, ServerCredential};

use super::{deed, unusable};
use crate::operations::fault::{Done, Fault};
use crate::operations::{Acting, Operations, Required};

/// What the organisation says of a server; for its members.
///
/// # Errors
/// `not_found`, also when it says nothing.
pub async fn context(ops: &Operations, acting: &Acting, org: &OrgId, id: ServerId) -> Done<ServerContext> {
    let reader = ops.reader(acting, org, Required::Member, "server context").await?;
    let found = ops.store().server_orgs().context(reader.scope(), id).await?;
    found.ok_or_else(|| Fault::not_found("the context of the server"))
}

/// Says something of a server, in at most 4,000 characters; an empty text takes back what was said. For administrators of the
/// organisation.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`.
pub async fn set_context(ops: &Operations, acting: &Acting, (org, id): (&OrgId, ServerId), text: &str) -> Done<ServerContext> {
    const OPERATION: &str = "server context";
    let admin = ops.admin(acting, org, Required::OrgAdmin, OPERATION).await?;
    let name = name(ops, admin.scope(), id).await?;
    let context = OrgContext::new(text).map_err(|fault| unusable("/context", &fault))?;
    let orgs = ops.store().server_orgs();
    ops.record(admin.author(), deed(OPERATION, &name), orgs.set_context(admin.scope(), id, &context)).await?;
    let (now, by) = (ops.now(), bailiwick_store::Tenant::actor(admin.scope()).to_owned());
    let cleared =
        || ServerContext { server: id, context, created_at: now, created_by: by.clone(), modified_at: now, modified_by: by.clone() };
    Ok(orgs.context(admin.scope(), id).await?.unwrap_or_else(cleared))
}

/// Which secret is the organisation's credential at a server; for its administrators.
///
/// # Errors
/// `not_found`, also when it has none; `forbidden`.
pub async fn credential(ops: &Operations, acting: &Acting, org: &OrgId, id: ServerId) -> Done<ServerCredential> {
    let reader = ops.reader(acting, org, Required::OrgAdmin, "server credential").await?;
    let found = ops.store().server_orgs().credential(reader.scope(), id).await?;
    found.ok_or_else(no_credential)
}

/// Chooses a secret of the organisation as its credential at a server; for its administrators.
///
/// # Errors
/// `not_found` for the server and for the secret, `forbidden`.
pub async fn set_credential(ops: &Operations, acting: &Acting, (org, id): (&OrgId, ServerId), secret: &str) -> Done<ServerCredential> {
    const OPERATION: &str = "server credential";
    let admin = ops.admin(acting, org, Required::OrgAdmin, OPERATION).await?;
    let subject = format!("{}/{secret}", name(ops, admin.scope(), id).await?);
    let orgs = ops.store().server_orgs();
    ops.record(admin.author(), deed(OPERATION, &subject), orgs.set_credential(admin.scope(), id, secret)).await?;
    orgs.credential(admin.scope(), id).await?.ok_or_else(no_credential)
}

/// Takes the credential away; the secret stays. For administrators of the organisation.
///
/// # Errors
/// `not_found`, also when there is none; `forbidden`.
pub async fn clear_credential(ops: &Operations, acting: &Acting, org: &OrgId, id: ServerId) -> Done<()> {
    const OPERATION: &str = "server credential";
    let admin = ops.admin(acting, org, Required::OrgAdmin, OPERATION).await?;
    let name = name(ops, admin.scope(), id).await?;
    ops.record(admin.author(), deed(OPERATION, &name), ops.store().server_orgs().clear_credential(admin.scope(), id)).await
}

/// For whom the organisation's credentials stand in; for its members.
///
/// # Errors
/// `not_found` for a foreign organisation.
pub async fn fallback(ops: &Operations, acting: &Acting, org: &OrgId) -> Done<CredentialFallback> {
    let reader = ops.reader(acting, org, Required::Member, "server fallback").await?;
    Ok(ops.store().server_orgs().credential_fallback(reader.scope()).await?)
}

/// Sets for whom they do; for administrators of the organisation.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn set_fallback(ops: &Operations, acting: &Acting, org: &OrgId, fallback: CredentialFallback) -> Done<CredentialFallback> {
    const OPERATION: &str = "server fallback";
    let admin = ops.admin(acting, org, Required::OrgAdmin, OPERATION).await?;
    let orgs = ops.store().server_orgs();
    ops.record(admin.author(), deed(OPERATION, fallback.as_str()), orgs.set_credential_fallback(admin.scope(), fallback)).await?;
    Ok(fallback)
}

/// What the ledger calls a server that the organisation sees.
async fn name(ops: &Operations, scope: &OrgScope, id: ServerId) -> Done<String> {
    Ok(ops.store().servers().get(scope, id).await?.display_name.to_string())
}

fn no_credential() -> Fault {
    Fault::not_found("the credential of the organisation at the server")
}
