//! Connections with registered servers: a person's own, and what administrators may know of them. No token is in any answer.

use bailiwick_model::registered::{Holder, TokenStatus};
use bailiwick_model::{OrgId, ServerId, Subject};
use bailiwick_store::event::EventKind;
use bailiwick_store::{Cascade, ConnectionInfo, Tenant as _};
use secrecy::SecretString;

use super::fault::{Done, Fault};
use super::{Acting, Admin, Author, Deed, Operations, Required};
use crate::connections::{Connected, Returned, Started};

/// Whose connection a link is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The caller's.
    Own,
    /// Another member's; for administrators of the organisation.
    Member(Subject),
    /// The organisation's; for its administrators.
    Organisation,
}

/// One page of the caller's own connections by server, those after `after`.
///
/// # Errors
/// `forbidden` for an agent that acts for nobody.
pub async fn list_own(ops: &Operations, acting: &Acting, org: &OrgId, after: Option<ServerId>) -> Done<Vec<ConnectionInfo>> {
    let person = ops.person(acting, org, "server tokens").await?;
    let holder = Holder::Person(person.sub().clone());
    let rows = ops.store().connections().list_of(person.scope(), &holder, after).await?;
    Ok(rows.into_iter().map(|row| as_of_now(ops, row)).collect())
}

/// One page of all connections of the organisation at a server by holder, those after `after`; for its administrators.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn list(ops: &Operations, acting: &Acting, org: &OrgId, (id, after): (ServerId, Option<Holder>)) -> Done<Vec<ConnectionInfo>> {
    let reader = ops.reader(acting, org, Required::OrgAdmin, "server connections").await?;
    ops.store().servers().get(reader.scope(), id).await?;
    let rows = ops.store().connections().list(reader.scope(), id, after.as_ref()).await?;
    Ok(rows.into_iter().map(|row| as_of_now(ops, row)).collect())
}

/// Begins an authorization for the caller himself, who alone can end it.
///
/// # Errors
/// `not_found`; `forbidden` for an agent that acts for nobody; `server_not_active`; whatever keeps its authorization server from being
/// found.
pub async fn start(ops: &Operations, acting: &Acting, org: &OrgId, id: ServerId) -> Done<Started> {
    const OPERATION: &str = "server connect";
    let person = ops.person(acting, org, OPERATION).await?;
    let name = ops.store().servers().get(person.scope(), id).await?.display_name;
    let holder = Holder::Person(person.sub().clone());
    let connections = ops.connections();
    let effect = connections.start(person.scope(), &holder, person.sub().as_str(), id, &[]);
    ops.record_any(person.author(), deed(OPERATION, name.as_str()), effect).await
}

/// Ends an authorization that the caller began, good or bad; in the organisation in which he began it.
///
/// # Errors
/// `expired` for one that is too old, was ended already or was begun by somebody else; what the authorization server says.
pub async fn finish(ops: &Operations, acting: &Acting, org: &OrgId, returned: Returned) -> Done<ConnectionInfo> {
    const OPERATION: &str = "server connect";
    let person = ops.person(acting, org, OPERATION).await?;
    let connections = ops.connections();
    let effect = connections.finish(person.scope(), person.sub().as_str(), returned);
    let connected = ops.record_any(person.author(), deed(OPERATION, person.sub().as_str()), effect).await?;
    let info = ops.store().connections().info(person.scope(), connected.server, &connected.holder).await?;
    info.map(|row| as_of_now(ops, row)).ok_or_else(|| Fault::not_found("the connection"))
}

/// Ends an authorization in the browser that began it: there is a record of it, as of every other.
///
/// # Errors
/// `not_found` for one that is too old, was ended already or was begun in another browser; what the authorization server says.
pub async fn finish_in_browser(ops: &Operations, secret: &SecretString, path: &str, returned: Returned) -> Done<Connected> {
    let connections = ops.connections();
    let pending = connections.take_in_browser(secret, path, returned).await?;
    let author = Author::browser(pending.org(), pending.begun_by());
    let scope = ops.store().platform("gateway")?.within(pending.org());
    let name = ops.store().servers().get(&scope, pending.server()).await?.display_name;
    let subject = format!("{name}/{}", pending.holder());
    ops.record_any(&author, deed("server connect", &subject), connections.complete(pending)).await
}

/// A link to open in a browser, good for ten minutes: for the caller, or as `whose` says.
///
/// # Errors
/// `not_found`, also for who is no member; `forbidden`.
pub async fn link(ops: &Operations, acting: &Acting, (org, id): (&OrgId, ServerId), whose: Whose) -> Done<String> {
    const OPERATION: &str = "server connect";
    let (scope, author, holder) = match whose {
        Whose::Own => {
            let person = ops.person(acting, org, OPERATION).await?;
            (person.scope().clone(), person.author().clone(), Holder::Person(person.sub().clone()))
        }
        Whose::Member(sub) => {
            let admin = ops.admin(acting, org, Required::OrgAdmin, OPERATION).await?;
            let sub = ops.store().members().get(admin.scope(), &sub).await?.sub;
            (admin.scope().clone(), admin.author().clone(), Holder::Person(sub))
        }
        Whose::Organisation => {
            let admin = ops.admin(acting, org, Required::OrgAdmin, OPERATION).await?;
            (admin.scope().clone(), admin.author().clone(), Holder::Organisation)
        }
    };
    let server = ops.store().servers().get(&scope, id).await?;
    let connections = ops.connections();
    let effect = connections.person_link(&scope, &server, &holder, scope.actor());
    ops.record_any(&author, deed(OPERATION, server.display_name.as_str()), effect).await
}

/// Takes the caller's own connection away; its tokens wait to be revoked.
///
/// # Errors
/// `not_found`, also without a connection; `forbidden` for an agent that acts for nobody.
pub async fn revoke(ops: &Operations, acting: &Acting, org: &OrgId, id: ServerId) -> Done<Cascade> {
    const OPERATION: &str = "server disconnect";
    let person = ops.person(acting, org, OPERATION).await?;
    let name = ops.store().servers().get(person.scope(), id).await?.display_name;
    let holder = Holder::Person(person.sub().clone());
    let connections = ops.store().connections();
    let effect = connections.delete(person.scope(), id, &holder);
    ops.record(person.author(), deed(OPERATION, name.as_str()), effect).await
}

/// Takes a connection of somebody else, or of the organisation itself, away; for administrators of the organisation.
///
/// # Errors
/// `not_found`, also without a connection; `forbidden`.
pub async fn revoke_of(ops: &Operations, acting: &Acting, (org, id): (&OrgId, ServerId), holder: &Holder) -> Done<Cascade> {
    const OPERATION: &str = "server disconnect";
    let admin: Admin = ops.admin(acting, org, Required::OrgAdmin, OPERATION).await?;
    let name = ops.store().servers().get(admin.scope(), id).await?.display_name;
    let subject = format!("{name}/{}", holder.as_str());
    let connections = ops.store().connections();
    ops.record(admin.author(), deed(OPERATION, &subject), connections.delete(admin.scope(), id, holder)).await
}

/// A row says `valid` until somebody uses the token; the clock says more.
fn as_of_now(ops: &Operations, mut row: ConnectionInfo) -> ConnectionInfo {
    if row.status == TokenStatus::Valid && row.expires_at.is_some_and(|end| end <= ops.now()) {
        row.status = TokenStatus::Expired;
    }
    row
}

fn deed<'a>(operation: &'static str, subject: &'a str) -> Deed<'a> {
    Deed::new(EventKind::Config, operation, subject)
}
