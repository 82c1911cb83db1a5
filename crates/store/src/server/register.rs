//! Registering a server.

use bailiwick_model::name::folded;
use bailiwick_model::registered::{NewServer, RegistrationChoice, RegistrationMode, ServerStatus};
use bailiwick_model::{OrgId, ServerId, Timestamp};
use secrecy::SecretString;
use sqlx::Row;

use super::client::NewClient;
use super::row::json;
use super::{RegisteredServer, Servers, client, names, unknown, visible};
use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::generation::{Topic, bump};
use crate::scope::{OrgScope, PlatformScope, Tenant};
use crate::store::Tx;

/// Servers one organisation may register.
pub const SERVERS_PER_ORG_MAX: i64 = 200;
/// Servers the platform may register.
pub const SERVERS_OF_PLATFORM_MAX: i64 = 1_000;
/// Organisations that one server may name.
pub const ORGS_PER_SERVER_MAX: usize = 1_000;

impl Servers<'_> {
    /// Registers a server that this organisation alone sees. It is `pending_setup`.
    ///
    /// # Errors
    /// `Invalid` for `manual` without what it needs; `Conflict` when the organisation does not exist, sees another server of this name or
    /// has [`SERVERS_PER_ORG_MAX`]; `Sealed` for a client secret without the root key.
    pub async fn register(&self, scope: &OrgScope, new: &NewServer, secret: Option<&SecretString>) -> StoreResult<RegisteredServer> {
        let orgs = std::slice::from_ref(scope.org());
        let id = self.insert(Some(scope.org()), scope.actor(), orgs, new, secret).await?;
        self.get(scope, id).await
    }

    /// Registers a server of the platform for these organisations; for all of them when none is named. It is `pending_setup`.
    ///
    /// # Errors
    /// `Invalid` for `manual` without what it needs, or more than [`ORGS_PER_SERVER_MAX`] organisations; `Conflict` when one does not exist
    /// or sees another server of this name; `Sealed` for a client secret without the root key.
    pub async fn register_for(
        &self,
        scope: &PlatformScope,
        org_ids: &[OrgId],
        new: &NewServer,
        secret: Option<&SecretString>,
    ) -> StoreResult<RegisteredServer> {
        let id = self.insert(None, scope.actor(), org_ids, new, secret).await?;
        self.get_any(scope, id).await
    }

    async fn insert(
        &self,
        owner: Option<&OrgId>,
        actor: &str,
        org_ids: &[OrgId],
        new: &NewServer,
        secret: Option<&SecretString>,
    ) -> StoreResult<ServerId> {
        new.check().map_err(|error| StoreError::invalid(error.to_string(), "give what is missing, or register with `auto`"))?;
        let store = self.0;
        let mut tx = store.write_servers(owner).await?;
        // The counter's row is held until the end: names are checked by one at a time.
        bump(&mut tx, Topic::Servers).await?;
        check_count(&mut tx, owner).await?;
        let id = ServerId::random(store.random());
        insert_row(&mut tx, id, owner, org_ids.is_empty(), new, store.now(), actor).await?;
        super::assign::name_orgs(store, &mut tx, id, org_ids).await?;
        if let Some(owner) = owner {
            store.bind(&mut tx, owner).await?;
        }
        names::check(&mut tx, id).await?;
        if new.choice == RegistrationChoice::Manual {
            let server = visible::find_any(&mut tx, id).await?.ok_or_else(unknown)?;
            client::put_given(store, &mut tx, &server, &given_client(new, secret)?).await?;
        }
        tx.commit().await?;
        Ok(id)
    }
}

/// The client that somebody registered by hand.
fn given_client<'a>(new: &'a NewServer, secret: Option<&'a SecretString>) -> StoreResult<NewClient<'a>> {
    use bailiwick_model::registered::AuthMethod;
    let (Some(issuer), Some(client_id)) = (&new.endpoints.issuer, &new.client_id) else {
        return Err(StoreError::invalid("issuer and client id are missing", "give both"));
    };
    let otherwise = if secret.is_some() { AuthMethod::ClientSecretBasic } else { AuthMethod::None };
    let auth_method = new.auth_method.unwrap_or(otherwise);
    Ok(NewClient { issuer, mode: RegistrationMode::Manual, client_id, auth_method, secret, secret_expires_at: None, redirect_uri: None })
}

async fn check_count(tx: &mut Tx, owner: Option<&OrgId>) -> StoreResult<()> {
    let statement = "SELECT count(*) FROM mcp_servers WHERE coalesce(owner_org, '') = $1";
    let servers: i64 = sqlx::query(statement).bind(owner.map_or("", OrgId::as_str)).fetch_one(tx.connection()).await?.try_get(0)?;
    let most = if owner.is_some() { SERVERS_PER_ORG_MAX } else { SERVERS_OF_PLATFORM_MAX };
    if servers < most {
        return Ok(());
    }
    let message = format!("{most} servers are registered already");
    Err(StoreError::new(StoreErrorKind::Conflict, message, "delete servers that are no longer used"))
}

async fn insert_row(
    tx: &mut Tx,
    id: ServerId,
    owner: Option<&OrgId>,
    is_global: bool,
    new: &NewServer,
    now: Timestamp,
    actor: &str,
) -> StoreResult<()> {
    let statement = "INSERT INTO mcp_servers (server_id, owner_org, is_global, display_name, name_folded, server_url, registration_choice, \
                     auth_method, client_id, given_issuer, given_authorization_endpoint, given_token_endpoint, given_revocation_endpoint, \
                     scopes, extra_auth_params, era, allowed_tools, new_tools_policy, status, status_at, revision, created_at, created_by, \
                     modified_at, modified_by) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, 1, $20, $21, $20, $21)";
    let given = &new.endpoints;
    let url = |url: &Option<bailiwick_model::registered::EndpointUrl>| url.as_ref().map(|url| url.as_str().to_owned());
    sqlx::query(statement)
        .bind(id.to_string())
        .bind(owner.map(|owner| owner.as_str().to_owned()))
        .bind(i64::from(is_global))
        .bind(new.display_name.as_str())
        .bind(folded(new.display_name.as_str()))
        .bind(new.server_url.as_str())
        .bind(new.choice.as_str())
        .bind(new.auth_method.map(|method| method.as_str()))
        .bind(new.client_id.as_ref().map(|client| client.as_str().to_owned()))
        .bind(url(&given.issuer))
        .bind(url(&given.authorization))
        .bind(url(&given.token))
        .bind(url(&given.revocation))
        .bind(new.scopes.joined())
        .bind(json(new.extra_auth_params.as_map())?)
        .bind(new.era.as_str())
        .bind(new.allowed_tools.as_ref().map(|tools| json(tools.as_map())).transpose()?)
        .bind(new.new_tools_policy.as_str())
        .bind(ServerStatus::PendingSetup.as_str())
        .bind(now.as_micros())
        .bind(actor)
        .execute(tx.connection())
        .await?;
    Ok(())
}
