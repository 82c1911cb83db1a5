//! What goes with a server that an organisation sees no longer, with a member, or with a connection.

use bailiwick_model::registered::{AuthMethod, EndpointUrl, Endpoints, TokenHint};
use bailiwick_model::{OrgId, ServerId, Subject};
use sqlx::Row;

use super::client::{self, ServerClient};
use super::row::{server_id, text};
use super::sealed::{Kind, Spot};
use super::{RegisteredServer, visible};
use crate::error::{StoreErrorKind, StoreResult};
use crate::generation::{Topic, bump};
use crate::revocation::{self, Queued};
use crate::scope::{OrgScope, Tenant};
use crate::store::{Store, Tx};

/// Connections read at once.
const BATCH_ROWS: i64 = 256;

/// How much went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cascade {
    /// Organisations that saw the server and see it no longer.
    pub organisations: u64,
    /// Connections.
    pub connections: u64,
    /// Contexts.
    pub contexts: u64,
    /// Links to a credential.
    pub credentials: u64,
    /// Pending authorizations.
    pub flows: u64,
    /// Known tools.
    pub tools: u64,
    /// Tokens that wait to be revoked.
    pub revocations: u64,
    /// Tokens that are forgotten without: nobody takes them back, or they cannot be opened.
    pub unrevoked: u64,
}

/// Whom to tell of tokens that are given up.
pub(crate) struct Revoker {
    server: ServerId,
    issuer: Option<EndpointUrl>,
    endpoint: Option<EndpointUrl>,
    clients: Vec<ServerClient>,
}

impl Revoker {
    /// Reads the clients of a server; the transaction may be bound to another organisation afterwards.
    pub(crate) async fn of(store: &Store, tx: &mut Tx, server: &RegisteredServer) -> StoreResult<Self> {
        let Endpoints { issuer, revocation: endpoint, .. } = server.endpoints();
        let clients = if endpoint.is_some() { client::all(store, tx, server).await? } else { Vec::new() };
        Ok(Self { server: server.id, issuer, endpoint, clients })
    }

    /// Gives up a connection: its tokens are queued for revocation if that is possible. The row itself is the caller's.
    pub(crate) async fn give_up(
        &self,
        store: &Store,
        tx: &mut Tx,
        (org, holder): (&OrgId, &str),
        issuer: &str,
        cascade: &mut Cascade,
    ) -> StoreResult<()> {
        // The refresh token first: with it the server usually drops the others.
        for (kind, hint) in [(Kind::Refresh, TokenHint::Refresh), (Kind::Access, TokenHint::Access)] {
            let spot = Spot { org, server: self.server, kind, holder };
            let token = match store.open_at(tx, &spot).await {
                Ok(None) => continue,
                Ok(Some(token)) => Some(token),
                Err(fault) if matches!(fault.kind(), StoreErrorKind::Sealed | StoreErrorKind::Corrupt) => None,
                Err(fault) => return Err(fault),
            };
            // The endpoint is that of the server's present issuer: what another one gave is not for it.
            let is_its = self.issuer.as_ref().is_some_and(|own| own.as_str() == issuer);
            let client = self.clients.iter().find(|client| is_its && client.info.issuer.as_str() == issuer);
            let client = client.filter(|client| client.info.auth_method == AuthMethod::None || client.secret.is_some());
            match (&self.endpoint, token, client) {
                (Some(endpoint), Some(token), Some(client)) => {
                    let queued = Queued { org, server: self.server, endpoint, client, hint, token: &token };
                    revocation::queue(store, tx, &queued).await?;
                    cascade.revocations += 1;
                }
                _ => cascade.unrevoked += 1,
            }
        }
        Ok(())
    }
}

/// How many organisations see the server.
pub(super) async fn seers(tx: &mut Tx, server: &RegisteredServer) -> StoreResult<u64> {
    if !server.is_global {
        return Ok(server.org_ids.len() as u64);
    }
    let count: i64 = sqlx::query("SELECT count(*) FROM organisations").fetch_one(tx.connection()).await?.try_get(0)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Deletes what organisations have at a server, except for those in `kept`.
pub(super) async fn clear_others(store: &Store, tx: &mut Tx, server: &RegisteredServer, kept: &[OrgId]) -> StoreResult<Cascade> {
    let statement = "SELECT tenant_id FROM connections WHERE server_id = $1 UNION SELECT tenant_id FROM oauth_flows WHERE server_id = $1 \
                     UNION SELECT tenant_id FROM server_org_contexts WHERE server_id = $1 \
                     UNION SELECT tenant_id FROM server_org_credentials WHERE server_id = $1 \
                     UNION SELECT tenant_id FROM mcp_server_tools WHERE server_id = $1";
    let rows = sqlx::query(statement).bind(server.id.to_string()).fetch_all(tx.connection()).await?;
    let revoker = Revoker::of(store, tx, server).await?;
    let mut cascade = Cascade::default();
    for row in &rows {
        let org = text(row, "tenant_id", OrgId::parse)?;
        if !kept.contains(&org) {
            store.bind(tx, &org).await?;
            clear_org(store, tx, &org, &revoker, &mut cascade).await?;
        }
    }
    Ok(cascade)
}

async fn clear_org(store: &Store, tx: &mut Tx, org: &OrgId, revoker: &Revoker, cascade: &mut Cascade) -> StoreResult<()> {
    let mut after: Option<String> = None;
    loop {
        let statement = "SELECT holder, issuer FROM connections WHERE tenant_id = $1 AND server_id = $2 AND ($3 = 1 OR holder > $4) \
                         ORDER BY holder LIMIT $5";
        let query = sqlx::query(statement).bind(org.as_str()).bind(revoker.server.to_string()).bind(i64::from(after.is_none()));
        let rows = query.bind(after.clone().unwrap_or_default()).bind(BATCH_ROWS).fetch_all(tx.connection()).await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.try_get("holder")?);
        for row in &rows {
            let (holder, issuer): (String, String) = (row.try_get("holder")?, row.try_get("issuer")?);
            revoker.give_up(store, tx, (org, &holder), &issuer, cascade).await?;
        }
    }
    let values = "DELETE FROM server_secrets WHERE tenant_id = $1 AND server_id = $2 AND kind IN ('access', 'refresh', 'verifier')";
    delete(tx, values, org, revoker.server).await?;
    let server = revoker.server;
    cascade.connections += delete(tx, "DELETE FROM connections WHERE tenant_id = $1 AND server_id = $2", org, server).await?;
    cascade.flows += delete(tx, "DELETE FROM oauth_flows WHERE tenant_id = $1 AND server_id = $2", org, server).await?;
    cascade.contexts += delete(tx, "DELETE FROM server_org_contexts WHERE tenant_id = $1 AND server_id = $2", org, server).await?;
    cascade.credentials += delete(tx, "DELETE FROM server_org_credentials WHERE tenant_id = $1 AND server_id = $2", org, server).await?;
    cascade.tools += delete(tx, "DELETE FROM mcp_server_tools WHERE tenant_id = $1 AND server_id = $2", org, server).await?;
    Ok(())
}

async fn delete(tx: &mut Tx, statement: &'static str, org: &OrgId, server: ServerId) -> StoreResult<u64> {
    let query = sqlx::query(statement).bind(org.as_str()).bind(server.to_string());
    Ok(query.execute(tx.connection()).await?.rows_affected())
}

/// Deletes one connection, if there is one. The transaction holds the topic of servers and is bound to the organisation.
pub(crate) async fn clear_connection(
    store: &Store,
    tx: &mut Tx,
    tenant: &impl Tenant,
    server: ServerId,
    holder: &str,
) -> StoreResult<Cascade> {
    let org = tenant.org();
    let mut cascade = Cascade::default();
    let statement = "SELECT issuer FROM connections WHERE tenant_id = $1 AND server_id = $2 AND holder = $3";
    let query = sqlx::query(statement).bind(org.as_str()).bind(server.to_string()).bind(holder);
    let Some(row) = query.fetch_optional(tx.connection()).await? else { return Ok(cascade) };
    let issuer: String = row.try_get(0)?;
    if let Some(found) = visible::find(tx, tenant, server).await? {
        let revoker = Revoker::of(store, tx, &found).await?;
        store.bind(tx, org).await?;
        revoker.give_up(store, tx, (org, holder), &issuer, &mut cascade).await?;
    }
    let values = "DELETE FROM server_secrets WHERE tenant_id = $1 AND server_id = $2 AND holder = $3 AND kind IN ('access', 'refresh')";
    let row = "DELETE FROM connections WHERE tenant_id = $1 AND server_id = $2 AND holder = $3";
    for statement in [values, row] {
        sqlx::query(statement).bind(org.as_str()).bind(server.to_string()).bind(holder).execute(tx.connection()).await?;
    }
    cascade.connections = 1;
    Ok(cascade)
}

/// Deletes the connections of a person who leaves the organisation, and the authorizations that he began or that are for him.
pub(crate) async fn clear_person(store: &Store, tx: &mut Tx, scope: &OrgScope, sub: &Subject) -> StoreResult<()> {
    let org = scope.org().as_str();
    bump(tx, Topic::Servers).await?;
    let statement = "SELECT server_id FROM connections WHERE tenant_id = $1 AND holder = $2 ORDER BY server_id";
    let rows = sqlx::query(statement).bind(org).bind(sub.as_str()).fetch_all(tx.connection()).await?;
    for row in &rows {
        clear_connection(store, tx, scope, server_id(row, "server_id")?, sub.as_str()).await?;
    }
    let values = "DELETE FROM server_secrets WHERE tenant_id = $1 AND kind = 'verifier' AND holder IN \
                  (SELECT state_digest FROM oauth_flows WHERE tenant_id = $1 AND (holder = $2 OR acting = $2))";
    let flows = "DELETE FROM oauth_flows WHERE tenant_id = $1 AND (holder = $2 OR acting = $2)";
    for statement in [values, flows] {
        sqlx::query(statement).bind(org).bind(sub.as_str()).execute(tx.connection()).await?;
    }
    Ok(())
}
