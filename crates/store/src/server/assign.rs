//! For whom a server is (reference, governance 5.7).

use std::collections::BTreeSet;

use bailiwick_model::{OrgId, ServerId};

use super::change::unname;
use super::{Cascade, ORGS_PER_SERVER_MAX, Registrar, Servers, cascade, names};
use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::scope::PlatformScope;
use crate::store::{Store, Tx};

impl Servers<'_> {
    /// Makes the server visible to exactly these organisations; to all of them when none is named. Whoever saw it and does no longer loses
    /// connections, pending authorizations, context, credential and list of tools there, all in one transaction; tokens wait to be revoked,
    /// as far as the server can be told.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` for more than [`ORGS_PER_SERVER_MAX`]; `Conflict` when an organisation does not exist or sees another server
    /// of this name.
    pub async fn set_orgs(&self, scope: &PlatformScope, id: ServerId, org_ids: &[OrgId]) -> StoreResult<Cascade> {
        let store = self.0;
        let registrar = Registrar::Platform(scope);
        let (mut tx, server) = registrar.begin(store, id).await?;
        let wanted: BTreeSet<&OrgId> = org_ids.iter().collect();
        let mut cascade = Cascade::default();
        if !wanted.is_empty() {
            cascade = cascade::clear_others(store, &mut tx, &server, org_ids).await?;
            let kept = server.org_ids.iter().filter(|org| wanted.contains(org)).count();
            let (seen, kept) = if server.is_global {
                (cascade::seers(&mut tx, &server).await?, wanted.len())
            } else {
                (server.org_ids.len() as u64, kept)
            };
            cascade.organisations = seen.saturating_sub(kept as u64);
        }
        for org in server.org_ids.iter().filter(|org| !wanted.contains(org)) {
            store.bind(&mut tx, org).await?;
            unname(&mut tx, id, org).await?;
        }
        let added: Vec<OrgId> = wanted.iter().filter(|org| !server.org_ids.contains(org)).map(|org| (*org).clone()).collect();
        check_count(wanted.len())?;
        name_orgs(store, &mut tx, id, &added).await?;
        let query = sqlx::query("UPDATE mcp_servers SET is_global = $2 WHERE server_id = $1").bind(id.to_string());
        query.bind(i64::from(wanted.is_empty())).execute(tx.connection()).await?;
        names::check(&mut tx, id).await?;
        self.finish(tx, registrar, id).await?;
        Ok(cascade)
    }
}

/// Puts organisations on the server's list.
pub(super) async fn name_orgs(store: &Store, tx: &mut Tx, id: ServerId, org_ids: &[OrgId]) -> StoreResult<()> {
    let distinct: BTreeSet<&OrgId> = org_ids.iter().collect();
    check_count(distinct.len())?;
    for org in distinct {
        let known = sqlx::query("SELECT 1 FROM organisations WHERE org_id = $1").bind(org.as_str()).fetch_optional(tx.connection()).await?;
        if known.is_none() {
            let message = format!("organisation `{org}` does not exist");
            return Err(StoreError::new(StoreErrorKind::Conflict, message, "create it with `bailiwick org create`"));
        }
        store.bind(tx, org).await?;
        let query = sqlx::query("INSERT INTO mcp_server_orgs (tenant_id, server_id) VALUES ($1, $2)");
        query.bind(org.as_str()).bind(id.to_string()).execute(tx.connection()).await?;
    }
    Ok(())
}

fn check_count(orgs: usize) -> StoreResult<()> {
    if orgs <= ORGS_PER_SERVER_MAX {
        return Ok(());
    }
    Err(StoreError::invalid(format!("a server names at most {ORGS_PER_SERVER_MAX} organisations"), "name none, for all of them"))
}
