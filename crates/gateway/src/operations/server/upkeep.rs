//! What is done at the server itself: setting it up, asking it for its tools, looking for what is wrong.

use bailiwick_model::registered::{Holder, ServerStatus};
use bailiwick_model::{OrgId, ServerId};
use bailiwick_store::{RegisteredServer, Registrar, ToolChanges};
use tracing::warn;

use super::{Shown, deed, owner};
use crate::connections::{ConnectFault, Diagnosis};
use crate::operations::fault::Done;
use crate::operations::{Acting, Operations, Required};

/// Sets a new server up. That is no part of registering it: whatever keeps it from being set up is told by its status.
pub(super) async fn set_up(ops: &Operations, registrar: Registrar<'_>, server: &RegisteredServer) {
    if let Err(cause) = ops.connections().set_up(registrar, server).await {
        warn!(server = %server.display_name, %cause, "a server is registered, and not set up");
    }
}

/// Sets a server up anew; for who registered it. A server that cannot be set up is no error here: its status says why.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn retry(ops: &Operations, acting: &Acting, at: (&OrgId, ServerId)) -> Done<Shown> {
    const OPERATION: &str = "server retry";
    let owner = owner(ops, acting, at, OPERATION).await?;
    let effect = async {
        ops.store().servers().set_status(owner.registrar(), at.1, ServerStatus::PendingSetup, None).await?;
        ops.connections().set_up(owner.registrar(), &owner.server).await
    };
    ops.record_any::<_, ConnectFault>(owner.admin.author(), deed(OPERATION, &owner.name()), effect).await?;
    owner.shown(ops).await
}

/// Asks a server for its tools, with the caller's own connection if he has one, otherwise with the organisation's; for administrators of
/// the organisation.
///
/// # Errors
/// `not_found`, `forbidden`; `needs_authorization` when there is no connection; `server_not_active`; what keeps the server from answering.
pub async fn discover(ops: &Operations, acting: &Acting, org: &OrgId, id: ServerId) -> Done<ToolChanges> {
    const OPERATION: &str = "server discover";
    let admin = ops.admin(acting, org, Required::OrgAdmin, OPERATION).await?;
    let server = ops.store().servers().get(admin.scope(), id).await?;
    let own = acting.scope().filter(|scope| scope.org() == org).and_then(|scope| scope.principal().sub.clone()).map(Holder::Person);
    let connections = ops.connections();
    let effect = connections.list_tools(admin.scope(), &server, own.as_ref());
    ops.record_any(admin.author(), deed(OPERATION, server.display_name.as_str()), effect).await
}

/// Walks from the server's address to the page that a person would open, and says what is found; for administrators of the organisation.
/// A client is made at the authorization server only if `may_register`, and only for who registered the server.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn doctor(ops: &Operations, acting: &Acting, at: (&OrgId, ServerId), may_register: bool) -> Done<Diagnosis> {
    const OPERATION: &str = "server doctor";
    let (admin, server) = if may_register {
        let owner = owner(ops, acting, at, OPERATION).await?;
        (owner.admin, owner.server)
    } else {
        let admin = ops.admin(acting, at.0, Required::OrgAdmin, OPERATION).await?;
        let server = ops.store().servers().get(admin.scope(), at.1).await?;
        (admin, server)
    };
    let connections = ops.connections();
    let effect = connections.doctor(Some(admin.scope()), &server, may_register);
    ops.record_any(admin.author(), deed(OPERATION, server.display_name.as_str()), effect).await
}
