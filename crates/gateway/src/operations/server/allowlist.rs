//! Which tools of a server are exposed (reference, governance 5.6); for who registered it.

use std::collections::BTreeMap;

use bailiwick_model::registered::{AllowedTools, NewToolsPolicy};
use bailiwick_model::{OrgId, ServerId};

use super::{Shown, deed, owner, unusable};
use crate::operations::fault::Done;
use crate::operations::{Acting, Operations};

/// Sets the list, at revision `expected` when one is given; `None` lets the next discovery fill it with all that there are.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`; `version_conflict` when somebody else changed the server in between.
pub async fn set_allowed_tools(
    ops: &Operations,
    acting: &Acting,
    at: (&OrgId, ServerId),
    tools: Option<BTreeMap<String, bool>>,
    expected: Option<i64>,
) -> Done<Shown> {
    const OPERATION: &str = "server allow";
    let owner = owner(ops, acting, at, OPERATION).await?;
    let tools = tools.map(AllowedTools::new).transpose().map_err(|fault| unusable("/allowed_tools", &fault))?;
    let servers = ops.store().servers();
    let effect = servers.set_allowed_tools(owner.registrar(), at.1, tools.as_ref(), expected);
    ops.record(owner.admin.author(), deed(OPERATION, &owner.name()), effect).await?;
    owner.shown(ops).await
}

/// Takes over the list of another server as it is. The acting organisation must see both.
///
/// # Errors
/// `not_found`, `forbidden`; `conflict` when the other one has no list.
pub async fn copy_allowed_tools(ops: &Operations, acting: &Acting, at: (&OrgId, ServerId), source: ServerId) -> Done<Shown> {
    const OPERATION: &str = "server allow";
    let owner = owner(ops, acting, at, OPERATION).await?;
    // The platform sees every server; here only those count that the organisation sees.
    ops.store().servers().get(owner.admin.scope(), source).await?;
    let servers = ops.store().servers();
    let effect = servers.copy_allowed_tools(owner.registrar(), at.1, source);
    ops.record(owner.admin.author(), deed(OPERATION, &owner.name()), effect).await?;
    owner.shown(ops).await
}

/// Sets what becomes of tools that appear later.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn set_new_tools_policy(ops: &Operations, acting: &Acting, at: (&OrgId, ServerId), policy: NewToolsPolicy) -> Done<Shown> {
    const OPERATION: &str = "server new-tools";
    let owner = owner(ops, acting, at, OPERATION).await?;
    let servers = ops.store().servers();
    let effect = servers.set_new_tools_policy(owner.registrar(), at.1, policy);
    ops.record(owner.admin.author(), deed(OPERATION, &owner.name()), effect).await?;
    owner.shown(ops).await
}
