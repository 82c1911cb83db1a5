//! Registered servers: who registers, sees, changes them, and what organisations have there (reference, governance section 5).
//!
//! | File | Holds |
//! |---|---|
//! | `server/registration.rs` | a registration, checked part by part |
//! | `server/allowlist.rs` | which tools are exposed |
//! | `server/tools.rs` | which tools there are |
//! | `server/upkeep.rs` | setting up, discovery, the doctor: what is done at the server itself |
//! | `server/reach.rs` | for which organisations a server is |
//! | `server/tenant.rs` | what an organisation says, lends and settles |
//!
//! A server that the acting organisation does not see is not found, for everybody and every operation.

mod allowlist;
mod reach;
mod registration;
mod tenant;
mod tools;
mod upkeep;

use bailiwick_model::registered::Scopes;
use bailiwick_model::{OrgId, ServerId, ServerName};
use bailiwick_store::event::EventKind;
use bailiwick_store::{Cascade, ClientInfo, DetailChange, RegisteredServer, Registrar};

pub use allowlist::{copy_allowed_tools, set_allowed_tools, set_new_tools_policy};
pub use reach::{list_all, register_for, set_orgs};
pub use registration::Registration;
pub use tenant::{clear_credential, context, credential, fallback, set_context, set_credential, set_fallback};
pub use tools::{Tool, tools};
pub use upkeep::{discover, doctor, retry};

use super::fault::{Done, Fault, Wrong};
use super::{Acting, Admin, Deed, Operations, Required};

/// A server, and the client that its issuer knows us as.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The server as the acting organisation is told of it.
    pub server: RegisteredServer,
    /// What may be shown of the client, if there is one.
    pub client: Option<ClientInfo>,
}

/// A change of details as somebody sent it.
#[derive(Clone, Debug, Default)]
pub struct Details {
    /// Another name.
    pub display_name: Option<String>,
    /// Other scopes to ask for.
    pub scopes: Option<Vec<String>>,
}

impl Details {
    fn check(self) -> Done<DetailChange> {
        let mut wrongs = Vec::new();
        let mut wrong = |place: &str, rule: &str| wrongs.push(Wrong { place: place.to_owned(), rule: rule.to_owned() });
        let name = self.display_name.map(|name| ServerName::parse(&name).map_err(|fault| wrong("/display_name", fault.rule())).ok());
        let scopes = self.scopes.map(|scopes| Scopes::new(&scopes).map_err(|fault| wrong("/scopes", fault.rule())).ok());
        if wrongs.is_empty() {
            return Ok(DetailChange { display_name: name.flatten(), scopes: scopes.flatten() });
        }
        Err(registration::refused(wrongs))
    }
}

/// Registers a server that `org` alone sees; for its administrators.
///
/// # Errors
/// `invalid_argument` with every place; `conflict` when the organisation sees another server of this name.
pub async fn register(ops: &Operations, acting: &Acting, org: &OrgId, registration: Registration) -> Done<Shown> {
    const OPERATION: &str = "server add";
    let admin = ops.admin(acting, org, Required::OrgAdmin, OPERATION).await?;
    let (new, secret) = registration.check(ops.allows_loopback_http())?;
    let servers = ops.store().servers();
    let effect = servers.register(admin.scope(), &new, secret.as_ref());
    let server = ops.record(admin.author(), deed(OPERATION, new.display_name.as_str()), effect).await?;
    upkeep::set_up(ops, Registrar::Org(admin.scope()), &server).await;
    let server = ops.store().servers().get(admin.scope(), server.id).await?;
    shown(ops, &admin, server).await
}

/// One page of the servers that `org` sees, by id, those after `after`; for its members.
///
/// # Errors
/// `not_found` for a foreign organisation.
pub async fn list(ops: &Operations, acting: &Acting, org: &OrgId, after: Option<ServerId>) -> Done<Vec<RegisteredServer>> {
    let reader = ops.reader(acting, org, Required::Member, "server list").await?;
    Ok(ops.store().servers().list(reader.scope(), after).await?)
}

/// One server that `org` sees; for its members.
///
/// # Errors
/// `not_found`.
pub async fn get(ops: &Operations, acting: &Acting, org: &OrgId, id: ServerId) -> Done<Shown> {
    let reader = ops.reader(acting, org, Required::Member, "server show").await?;
    let server = ops.store().servers().get(reader.scope(), id).await?;
    let client = client(ops, reader.scope(), &server).await?;
    Ok(Shown { server, client })
}

/// Changes name or scopes, at revision `expected` when one is given; for who registered it.
///
/// # Errors
/// `not_found`, `forbidden`; `conflict` for a name that is taken; `version_conflict` when somebody else changed it in between.
pub async fn update(
    ops: &Operations,
    acting: &Acting,
    (org, id): (&OrgId, ServerId),
    details: Details,
    expected: Option<i64>,
) -> Done<Shown> {
    const OPERATION: &str = "server update";
    let owner = owner(ops, acting, (org, id), OPERATION).await?;
    let change = details.check()?;
    let servers = ops.store().servers();
    let effect = servers.update(owner.registrar(), id, &change, expected);
    ops.record(owner.admin.author(), deed(OPERATION, &owner.name()), effect).await?;
    owner.shown(ops).await
}

/// Deletes a server with all that organisations have there; for who registered it. Tokens wait to be revoked.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn delete(ops: &Operations, acting: &Acting, (org, id): (&OrgId, ServerId)) -> Done<Cascade> {
    const OPERATION: &str = "server rm";
    let owner = owner(ops, acting, (org, id), OPERATION).await?;
    let servers = ops.store().servers();
    ops.record(owner.admin.author(), deed(OPERATION, &owner.name()), servers.delete(owner.registrar(), id)).await
}

/// Whoever may change a server, and the server.
struct Owner {
    admin: Admin,
    /// Where it is not the organisation that changes its own.
    platform: Option<super::Platform>,
    server: RegisteredServer,
}

impl Owner {
    fn registrar(&self) -> Registrar<'_> {
        self.platform.as_ref().map_or(Registrar::Org(self.admin.scope()), |platform| Registrar::Platform(platform.scope()))
    }

    /// What the ledger calls it.
    fn name(&self) -> String {
        self.server.display_name.to_string()
    }

    /// The server as it is now, for the acting organisation.
    async fn shown(&self, ops: &Operations) -> Done<Shown> {
        let server = ops.store().servers().get(self.admin.scope(), self.server.id).await?;
        shown(ops, &self.admin, server).await
    }
}

/// Lets an administrator of the organisation change its own server, and a platform administrator every one that the organisation sees.
async fn owner(ops: &Operations, acting: &Acting, (org, id): (&OrgId, ServerId), operation: &'static str) -> Done<Owner> {
    let admin = ops.admin(acting, org, Required::OrgAdmin, operation).await?;
    let server = ops.store().servers().get(admin.scope(), id).await?;
    if server.owner.as_ref() == Some(org) {
        return Ok(Owner { admin, platform: None, server });
    }
    if !admin.is_platform() {
        return Err(ops.not_registrar(acting, operation));
    }
    let platform = Some(ops.platform(acting, operation)?);
    Ok(Owner { admin, platform, server })
}

async fn shown(ops: &Operations, admin: &Admin, server: RegisteredServer) -> Done<Shown> {
    let client = client(ops, admin.scope(), &server).await?;
    Ok(Shown { server, client })
}

async fn client(ops: &Operations, scope: &bailiwick_store::OrgScope, server: &RegisteredServer) -> Done<Option<ClientInfo>> {
    let Some(issuer) = server.endpoints().issuer else { return Ok(None) };
    Ok(ops.store().server_clients().info(scope, server.id, &issuer).await?)
}

fn deed<'a>(operation: &'static str, subject: &'a str) -> Deed<'a> {
    Deed::new(EventKind::Config, operation, subject)
}

/// A text of a request that cannot be used.
fn unusable(place: &str, fault: &bailiwick_model::id::InvalidId) -> Fault {
    Fault::invalid(place, fault.rule())
}
