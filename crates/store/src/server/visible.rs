//! Who sees what: a server is global, or names the organisations that it is for. The statements say so themselves; on PostgreSQL the policies
//! of the tables say it again.

use std::collections::BTreeMap;

use bailiwick_model::name::folded;
use bailiwick_model::{OrgId, ServerId, ServerName};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::row::{columns, read, server_id, text};
use super::{ORGS_PER_SERVER_MAX, RegisteredServer};
use crate::error::StoreResult;
use crate::org::PAGE_ROWS_MAX;
use crate::scope::Tenant;
use crate::store::Tx;

/// Whether organisation `$1` sees the server `s`.
macro_rules! seen {
    () => {
        "(s.is_global = 1 OR EXISTS (SELECT 1 FROM mcp_server_orgs o WHERE o.server_id = s.server_id AND o.tenant_id = $1))"
    };
}

/// The server, if the organisation sees it.
pub(crate) async fn find(tx: &mut Tx, tenant: &impl Tenant, id: ServerId) -> StoreResult<Option<RegisteredServer>> {
    let statement = concat!("SELECT ", columns!(), " FROM mcp_servers s WHERE ", seen!(), " AND s.server_id = $2");
    let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(id.to_string());
    query.fetch_optional(tx.connection()).await?.map(|row| read_for(&row, tenant.org())).transpose()
}

/// The same by name.
pub(super) async fn find_name(tx: &mut Tx, tenant: &impl Tenant, name: &ServerName) -> StoreResult<Option<RegisteredServer>> {
    let statement = concat!("SELECT ", columns!(), " FROM mcp_servers s WHERE ", seen!(), " AND s.name_folded = $2");
    let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(folded(name.as_str()));
    query.fetch_optional(tx.connection()).await?.map(|row| read_for(&row, tenant.org())).transpose()
}

/// Refuses a server that the organisation does not see, as one that does not exist.
pub(crate) async fn check(tx: &mut Tx, org: &OrgId, id: ServerId) -> StoreResult<()> {
    let statement = concat!("SELECT 1 FROM mcp_servers s WHERE ", seen!(), " AND s.server_id = $2");
    let query = sqlx::query(statement).bind(org.as_str()).bind(id.to_string());
    query.fetch_optional(tx.connection()).await?.map(drop).ok_or_else(super::unknown)
}

pub(super) async fn page(tx: &mut Tx, tenant: &impl Tenant, after: Option<ServerId>, rows: i64) -> StoreResult<Vec<RegisteredServer>> {
    let statement =
        concat!("SELECT ", columns!(), " FROM mcp_servers s WHERE ", seen!(), " AND s.server_id > $2 ORDER BY s.server_id LIMIT $3");
    let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(start(after)).bind(rows);
    query.fetch_all(tx.connection()).await?.iter().map(|row| read_for(row, tenant.org())).collect()
}

/// The server, whoever sees it; for a transaction of the platform.
pub(crate) async fn find_any(tx: &mut Tx, id: ServerId) -> StoreResult<Option<RegisteredServer>> {
    let statement = concat!("SELECT ", columns!(), " FROM mcp_servers s WHERE s.server_id = $1");
    let row = sqlx::query(statement).bind(id.to_string()).fetch_optional(tx.connection()).await?;
    let Some(row) = row else { return Ok(None) };
    let mut server = read(&row)?;
    server.org_ids = named(tx, id).await?;
    Ok(Some(server))
}

pub(super) async fn page_of_all(tx: &mut Tx, after: Option<ServerId>, rows: i64) -> StoreResult<Vec<RegisteredServer>> {
    let statement = concat!("SELECT ", columns!(), " FROM mcp_servers s WHERE s.server_id > $1 ORDER BY s.server_id LIMIT $2");
    let found = sqlx::query(statement).bind(start(after)).bind(rows).fetch_all(tx.connection()).await?;
    let mut servers = found.iter().map(read).collect::<StoreResult<Vec<_>>>()?;
    let Some(last) = servers.last().map(|server| server.id.to_string()) else { return Ok(servers) };
    let statement = "SELECT server_id, tenant_id FROM mcp_server_orgs WHERE server_id > $1 AND server_id <= $2 ORDER BY tenant_id LIMIT $3";
    let all = PAGE_ROWS_MAX * ORGS_PER_SERVER_MAX as i64;
    let mut named: BTreeMap<ServerId, Vec<OrgId>> = BTreeMap::new();
    for row in sqlx::query(statement).bind(start(after)).bind(last).bind(all).fetch_all(tx.connection()).await? {
        named.entry(server_id(&row, "server_id")?).or_default().push(text(&row, "tenant_id", OrgId::parse)?);
    }
    for server in &mut servers {
        server.org_ids = named.remove(&server.id).unwrap_or_default();
    }
    Ok(servers)
}

/// The organisations that a server names, by name.
pub(super) async fn named(tx: &mut Tx, id: ServerId) -> StoreResult<Vec<OrgId>> {
    let statement = "SELECT tenant_id FROM mcp_server_orgs WHERE server_id = $1 ORDER BY tenant_id LIMIT $2";
    let query = sqlx::query(statement).bind(id.to_string()).bind(ORGS_PER_SERVER_MAX as i64);
    query.fetch_all(tx.connection()).await?.iter().map(|row| text(row, "tenant_id", OrgId::parse)).collect()
}

/// What one organisation is told: not who else sees the server.
fn read_for(row: &AnyRow, org: &OrgId) -> StoreResult<RegisteredServer> {
    let mut server = read(row)?;
    if row.try_get::<i64, _>("is_global")? == 0 {
        server.org_ids = vec![org.clone()];
    }
    Ok(server)
}

pub(crate) fn start(after: Option<ServerId>) -> String {
    after.map_or_else(String::new, |id| id.to_string())
}
