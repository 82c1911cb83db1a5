//! Changing a server: by whoever registered it.

use bailiwick_model::name::folded;
use bailiwick_model::registered::{AllowedTools, ClientId, EndpointUrl, Endpoints, NewToolsPolicy, RegistrationMode, Scopes, ServerStatus};
use bailiwick_model::{OrgId, ServerId, ServerName};

use super::row::json;
use super::{Cascade, RegisteredServer, Registrar, Servers, cascade, client, names, unknown, visible};
use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::generation::{Topic, bump};
use crate::scope::Tenant;
use crate::store::Tx;

/// Characters kept of the reason of a status.
const REASON_CHARS_MAX: usize = 500;

/// What is changed of a server; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DetailChange {
    /// Another name.
    pub display_name: Option<ServerName>,
    /// Other scopes to ask for.
    pub scopes: Option<Scopes>,
}

/// What discovery found out about a server's authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// How we became known to the issuer.
    pub mode: RegistrationMode,
    /// What it calls us.
    pub client_id: Option<ClientId>,
    /// Where it is.
    pub endpoints: Endpoints,
}

impl Servers<'_> {
    /// Changes name or scopes, if the present revision is `expected`, when one is given.
    ///
    /// # Errors
    /// `NotFound` for a server that the organisation does not see; `Conflict` for one that it does not own, and for a name that some
    /// organisation which sees it knows already; `Outdated` when the revision is another.
    pub async fn update(
        &self,
        registrar: impl Into<Registrar<'_>>,
        id: ServerId,
        change: &DetailChange,
        expected: Option<i64>,
    ) -> StoreResult<RegisteredServer> {
        let registrar = registrar.into();
        let (mut tx, server) = registrar.begin(self.0, id).await?;
        check_revision(&server, expected)?;
        let name = change.display_name.as_ref().unwrap_or(&server.display_name);
        let scopes = change.scopes.as_ref().unwrap_or(&server.scopes);
        sqlx::query("UPDATE mcp_servers SET display_name = $2, name_folded = $3, scopes = $4 WHERE server_id = $1")
            .bind(id.to_string())
            .bind(name.as_str())
            .bind(folded(name.as_str()))
            .bind(scopes.joined())
            .execute(tx.connection())
            .await?;
        names::check(&mut tx, id).await?;
        self.finish(tx, registrar, id).await
    }

    /// Sets the status, and why. Not a change that somebody makes: the revision stays.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn set_status(
        &self,
        registrar: impl Into<Registrar<'_>>,
        id: ServerId,
        status: ServerStatus,
        reason: Option<&str>,
    ) -> StoreResult<()> {
        let (mut tx, _) = registrar.into().begin(self.0, id).await?;
        let reason = reason.map(|reason| reason.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect::<String>());
        sqlx::query("UPDATE mcp_servers SET status = $2, status_reason = $3, status_at = $4 WHERE server_id = $1")
            .bind(id.to_string())
            .bind(status.as_str())
            .bind(reason)
            .bind(self.0.now().as_micros())
            .execute(tx.connection())
            .await?;
        bump(&mut tx, Topic::Servers).await?;
        tx.commit().await
    }

    /// Keeps what discovery found, in place of what it found before. What was given by hand stays beside it.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn set_found(&self, registrar: impl Into<Registrar<'_>>, id: ServerId, found: &Found) -> StoreResult<()> {
        let (mut tx, _) = registrar.into().begin(self.0, id).await?;
        let url = |url: &Option<EndpointUrl>| url.as_ref().map(|url| url.as_str().to_owned());
        let statement = "UPDATE mcp_servers SET registration_mode = $2, client_id = $3, found_issuer = $4, \
                         found_authorization_endpoint = $5, found_token_endpoint = $6, found_revocation_endpoint = $7 WHERE server_id = $1";
        sqlx::query(statement)
            .bind(id.to_string())
            .bind(found.mode.as_str())
            .bind(found.client_id.as_ref().map(|client| client.as_str().to_owned()))
            .bind(url(&found.endpoints.issuer))
            .bind(url(&found.endpoints.authorization))
            .bind(url(&found.endpoints.token))
            .bind(url(&found.endpoints.revocation))
            .execute(tx.connection())
            .await?;
        bump(&mut tx, Topic::Servers).await?;
        tx.commit().await
    }

    /// Sets which tools are exposed; `None` lets the next discovery fill the list with all that there are.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn set_allowed_tools(
        &self,
        registrar: impl Into<Registrar<'_>>,
        id: ServerId,
        tools: Option<&AllowedTools>,
        expected: Option<i64>,
    ) -> StoreResult<RegisteredServer> {
        let registrar = registrar.into();
        let (mut tx, server) = registrar.begin(self.0, id).await?;
        check_revision(&server, expected)?;
        store_tools(&mut tx, id, tools).await?;
        self.finish(tx, registrar, id).await
    }

    /// Takes over the list of another server as it is.
    ///
    /// # Errors
    /// As [`update`](Self::update); `NotFound` too when the organisation does not see the other one, `Conflict` too when that has no list.
    pub async fn copy_allowed_tools(
        &self,
        registrar: impl Into<Registrar<'_>>,
        id: ServerId,
        source: ServerId,
    ) -> StoreResult<RegisteredServer> {
        let registrar = registrar.into();
        let (mut tx, _) = registrar.begin(self.0, id).await?;
        if let Registrar::Org(scope) = registrar {
            visible::check(&mut tx, scope.org(), source).await?;
        }
        let source = visible::find_any(&mut tx, source).await?.ok_or_else(unknown)?;
        let Some(tools) = &source.allowed_tools else {
            let message = format!("server `{}` has no list of allowed tools", source.display_name);
            return Err(StoreError::new(StoreErrorKind::Conflict, message, "discover its tools first, or choose another server"));
        };
        store_tools(&mut tx, id, Some(tools)).await?;
        self.finish(tx, registrar, id).await
    }

    /// Sets what becomes of tools that appear later.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn set_new_tools_policy(
        &self,
        registrar: impl Into<Registrar<'_>>,
        id: ServerId,
        policy: NewToolsPolicy,
    ) -> StoreResult<RegisteredServer> {
        let registrar = registrar.into();
        let (mut tx, _) = registrar.begin(self.0, id).await?;
        let query = sqlx::query("UPDATE mcp_servers SET new_tools_policy = $2 WHERE server_id = $1");
        query.bind(id.to_string()).bind(policy.as_str()).execute(tx.connection()).await?;
        self.finish(tx, registrar, id).await
    }

    /// Deletes a server with all that organisations have there. Tokens wait to be revoked, as far as the server can be told.
    ///
    /// # Errors
    /// `NotFound` for a server that the organisation does not see, `Conflict` for one that it does not own.
    pub async fn delete(&self, registrar: impl Into<Registrar<'_>>, id: ServerId) -> StoreResult<Cascade> {
        let store = self.0;
        let (mut tx, server) = registrar.into().begin(store, id).await?;
        let seen = cascade::seers(&mut tx, &server).await?;
        let mut cascade = cascade::clear_others(store, &mut tx, &server, &[]).await?;
        cascade.organisations = seen;
        client::delete_all(store, &mut tx, &server).await?;
        for org in &server.org_ids {
            store.bind(&mut tx, org).await?;
            unname(&mut tx, id, org).await?;
        }
        sqlx::query("DELETE FROM mcp_servers WHERE server_id = $1").bind(id.to_string()).execute(tx.connection()).await?;
        bump(&mut tx, Topic::Servers).await?;
        tx.commit().await?;
        Ok(cascade)
    }

    /// Notes who changed what and ends the transaction.
    pub(super) async fn finish(&self, mut tx: Tx, registrar: Registrar<'_>, id: ServerId) -> StoreResult<RegisteredServer> {
        sqlx::query("UPDATE mcp_servers SET revision = revision + 1, modified_at = $2, modified_by = $3 WHERE server_id = $1")
            .bind(id.to_string())
            .bind(self.0.now().as_micros())
            .bind(registrar.actor())
            .execute(tx.connection())
            .await?;
        bump(&mut tx, Topic::Servers).await?;
        let server = match registrar {
            Registrar::Org(scope) => visible::find(&mut tx, scope, id).await?,
            Registrar::Platform(_) => visible::find_any(&mut tx, id).await?,
        };
        tx.commit().await?;
        server.ok_or_else(unknown)
    }
}

pub(super) async fn store_tools(tx: &mut Tx, id: ServerId, tools: Option<&AllowedTools>) -> StoreResult<()> {
    let text = tools.map(|tools| json(tools.as_map())).transpose()?;
    let query = sqlx::query("UPDATE mcp_servers SET allowed_tools = $2 WHERE server_id = $1").bind(id.to_string()).bind(text);
    query.execute(tx.connection()).await?;
    Ok(())
}

/// Takes an organisation off the server's list; the transaction is bound to it.
pub(super) async fn unname(tx: &mut Tx, id: ServerId, org: &OrgId) -> StoreResult<()> {
    let query = sqlx::query("DELETE FROM mcp_server_orgs WHERE tenant_id = $1 AND server_id = $2");
    query.bind(org.as_str()).bind(id.to_string()).execute(tx.connection()).await?;
    Ok(())
}

fn check_revision(server: &RegisteredServer, expected: Option<i64>) -> StoreResult<()> {
    if expected.is_none_or(|expected| expected == server.revision) {
        return Ok(());
    }
    let message = format!("the server has revision {} by now", server.revision);
    Err(StoreError::new(StoreErrorKind::Outdated, message, "look what was changed, and by whom, before changing it again"))
}
