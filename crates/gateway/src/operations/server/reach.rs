//! Servers from above organisations: the platform's own, and for whom every one is.

use bailiwick_model::{OrgId, ServerId};
use bailiwick_store::{Cascade, RegisteredServer, Registrar};

use super::{Registration, Shown, deed, upkeep};
use crate::operations::fault::Done;
use crate::operations::{Acting, Operations};

/// Registers a server of the platform for these organisations, for all of them when none is named; only from above.
///
/// # Errors
/// `forbidden`; `invalid_argument` with every place; `conflict` when an organisation does not exist or sees another server of this name.
pub async fn register_for(ops: &Operations, acting: &Acting, org_ids: &[OrgId], registration: Registration) -> Done<Shown> {
    const OPERATION: &str = "server add";
    let platform = ops.platform(acting, OPERATION)?;
    let (new, secret) = registration.check(ops.allows_loopback_http())?;
    let servers = ops.store().servers();
    let effect = servers.register_for(platform.scope(), org_ids, &new, secret.as_ref());
    let server = ops.record(platform.author(), deed(OPERATION, new.display_name.as_str()), effect).await?;
    upkeep::set_up(ops, Registrar::Platform(platform.scope()), &server).await;
    let server = servers.get_any(platform.scope(), server.id).await?;
    let client = match server.endpoints().issuer {
        Some(issuer) => ops.store().server_clients().info_any(platform.scope(), server.id, &issuer).await?,
        None => None,
    };
    Ok(Shown { server, client })
}

/// One page of all servers by id, those after `after`, with everybody who sees them; only from above.
///
/// # Errors
/// `forbidden`.
pub async fn list_all(ops: &Operations, acting: &Acting, after: Option<ServerId>) -> Done<Vec<RegisteredServer>> {
    let platform = ops.platform(acting, "server list")?;
    Ok(ops.store().servers().list_all(platform.scope(), after).await?)
}

/// Makes a server visible to exactly these organisations, to all of them when none is named; only from above. What the others had there
/// is gone; tokens wait to be revoked.
///
/// # Errors
/// `forbidden`, `not_found`; `conflict` when an organisation does not exist or sees another server of this name.
pub async fn set_orgs(ops: &Operations, acting: &Acting, id: ServerId, org_ids: &[OrgId]) -> Done<(RegisteredServer, Cascade)> {
    const OPERATION: &str = "server orgs";
    let platform = ops.platform(acting, OPERATION)?;
    let servers = ops.store().servers();
    let name = servers.get_any(platform.scope(), id).await?.display_name.to_string();
    let effect = async {
        let cascade = servers.set_orgs(platform.scope(), id, org_ids).await?;
        Ok((servers.get_any(platform.scope(), id).await?, cascade))
    };
    ops.record(platform.author(), deed(OPERATION, &name), effect).await
}
