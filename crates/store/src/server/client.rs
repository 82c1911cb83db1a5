//! OAuth clients: what an issuer knows us as for a server. Kept by issuer, because what one issuer gave is not shown to another (reference,
//! security section 10). The secret of a client is sealed under the key of the server's owner: an organisation's, or the platform's.

use bailiwick_model::registered::{AuthMethod, ClientId, EndpointUrl, RegistrationMode};
use bailiwick_model::{OrgId, ServerId, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::row::{text, time};
use super::sealed::{self, Kind, Spot, drop_at};
use super::{RegisteredServer, Registrar, unknown, visible};
use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::generation::{Topic, bump};
use crate::scope::{PlatformScope, Tenant};
use crate::seal::{Envelope, Place, open_value, seal_value};
use crate::store::{Store, Tx};

/// Issuers that one server may have clients at.
const CLIENTS_PER_SERVER_MAX: i64 = 16;
/// Longest secret of a client.
const CLIENT_SECRET_BYTES_MAX: usize = 4 * 1024;
/// Longest redirect address.
const REDIRECT_BYTES_MAX: usize = 2 * 1024;

/// A client that is to be kept.
#[derive(Clone, Copy, Debug)]
pub struct NewClient<'a> {
    /// Who gave it.
    pub issuer: &'a EndpointUrl,
    /// How it was got.
    pub mode: RegistrationMode,
    /// What the issuer calls us.
    pub client_id: &'a ClientId,
    /// How we prove it.
    pub auth_method: AuthMethod,
    /// With what.
    pub secret: Option<&'a SecretString>,
    /// Until when that is good; `None`: for ever.
    pub secret_expires_at: Option<Timestamp>,
    /// The redirect address that was registered.
    pub redirect_uri: Option<&'a str>,
}

/// What may be shown of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// Who gave it.
    pub issuer: EndpointUrl,
    /// How it was got.
    pub mode: RegistrationMode,
    /// What the issuer calls us.
    pub client_id: ClientId,
    /// How we prove it.
    pub auth_method: AuthMethod,
    /// Whether there is a secret.
    pub has_secret: bool,
    /// Until when that is good.
    pub secret_expires_at: Option<Timestamp>,
    /// The redirect address that was registered.
    pub redirect_uri: Option<String>,
    /// Since when we are known so.
    pub created_at: Timestamp,
}

/// A client with its secret.
#[derive(Clone, Debug)]
pub struct ServerClient {
    /// What it is.
    pub info: ClientInfo,
    /// With what we prove it.
    pub secret: Option<SecretString>,
}

/// Functions on OAuth clients; see [`Store::server_clients`].
#[derive(Clone, Copy, Debug)]
pub struct ServerClients<'a>(&'a Store);

impl Store {
    /// OAuth clients of registered servers.
    #[must_use]
    pub const fn server_clients(&self) -> ServerClients<'_> {
        ServerClients(self)
    }
}

impl ServerClients<'_> {
    /// Keeps a client in place of an older one of the same issuer.
    ///
    /// # Errors
    /// `NotFound` for a server that the organisation does not see, `Conflict` for one that it does not own or that has clients at 16
    /// issuers, `Invalid` for an empty or too long secret or redirect address, `Sealed` for a secret without the root key.
    pub async fn put(&self, registrar: impl Into<Registrar<'_>>, server: ServerId, new: &NewClient<'_>) -> StoreResult<()> {
        let (mut tx, server) = registrar.into().begin(self.0, server).await?;
        put_given(self.0, &mut tx, &server, new).await?;
        tx.commit().await
    }

    /// The client that this issuer knows, with its secret; `None` when there is none.
    ///
    /// # Errors
    /// `NotFound` for a server that the organisation does not see; `Sealed` without the root key when there is a secret; `Corrupt` when it
    /// was altered or moved.
    pub async fn get(&self, tenant: &impl Tenant, server: ServerId, issuer: &EndpointUrl) -> StoreResult<Option<ServerClient>> {
        let mut tx = self.0.read(tenant).await?;
        let server = visible::find(&mut tx, tenant, server).await?.ok_or_else(unknown)?;
        open(self.0, &mut tx, &server, issuer).await
    }

    /// The same for the platform.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_any(&self, scope: &PlatformScope, server: ServerId, issuer: &EndpointUrl) -> StoreResult<Option<ServerClient>> {
        let mut tx = self.0.read_servers(scope).await?;
        let server = visible::find_any(&mut tx, server).await?.ok_or_else(unknown)?;
        open(self.0, &mut tx, &server, issuer).await
    }

    /// What may be shown of the client that this issuer knows; its secret stays sealed. `None` when there is none.
    ///
    /// # Errors
    /// `NotFound` for a server that the organisation does not see.
    pub async fn info(&self, tenant: &impl Tenant, server: ServerId, issuer: &EndpointUrl) -> StoreResult<Option<ClientInfo>> {
        let mut tx = self.0.read(tenant).await?;
        visible::check(&mut tx, tenant.org(), server).await?;
        find(&mut tx, server, issuer).await?.as_ref().map(read).transpose()
    }

    /// The same for the platform.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn info_any(&self, scope: &PlatformScope, server: ServerId, issuer: &EndpointUrl) -> StoreResult<Option<ClientInfo>> {
        let mut tx = self.0.read_servers(scope).await?;
        find(&mut tx, server, issuer).await?.as_ref().map(read).transpose()
    }

    /// Forgets a client and its secret; no error when there is none.
    ///
    /// # Errors
    /// `NotFound` for a server that the organisation does not see, `Conflict` for one that it does not own.
    pub async fn forget(&self, registrar: impl Into<Registrar<'_>>, server: ServerId, issuer: &EndpointUrl) -> StoreResult<()> {
        let (mut tx, server) = registrar.into().begin(self.0, server).await?;
        bump(&mut tx, Topic::Servers).await?;
        delete(self.0, &mut tx, &server, issuer.as_str()).await?;
        tx.commit().await
    }
}

/// Keeps a client. The transaction may change the server and holds the topic of servers.
pub(super) async fn put_given(store: &Store, tx: &mut Tx, server: &RegisteredServer, new: &NewClient<'_>) -> StoreResult<()> {
    check(new)?;
    // The counter never goes back, so no version of a secret comes twice.
    let version = bump(tx, Topic::Servers).await?;
    delete(store, tx, server, new.issuer.as_str()).await?;
    check_count(tx, server).await?;
    let statement = "INSERT INTO server_clients (server_id, issuer, registration_mode, client_id, auth_method, secret_version, \
                     secret_expires_at, redirect_uri, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    sqlx::query(statement)
        .bind(server.id.to_string())
        .bind(new.issuer.as_str())
        .bind(new.mode.as_str())
        .bind(new.client_id.as_str())
        .bind(new.auth_method.as_str())
        .bind(new.secret.map(|_| version))
        .bind(new.secret_expires_at.map(Timestamp::as_micros))
        .bind(new.redirect_uri)
        .bind(store.now().as_micros())
        .execute(tx.connection())
        .await?;
    let Some(secret) = new.secret else { return Ok(()) };
    match &server.owner {
        Some(owner) => {
            store.bind(tx, owner).await?;
            store.seal_at(tx, &spot(owner, server.id, new.issuer.as_str()), version, secret).await
        }
        None => seal_for_platform(store, tx, &name(server.id, new.issuer.as_str()), version, secret).await,
    }
}

/// Every client of a server. A secret that does not open is missing.
pub(super) async fn all(store: &Store, tx: &mut Tx, server: &RegisteredServer) -> StoreResult<Vec<ServerClient>> {
    let statement = concat!("SELECT ", columns!(), " FROM server_clients WHERE server_id = $1 ORDER BY issuer LIMIT $2");
    let rows = sqlx::query(statement).bind(server.id.to_string()).bind(CLIENTS_PER_SERVER_MAX).fetch_all(tx.connection()).await?;
    let mut clients = Vec::new();
    for row in &rows {
        let info = read(row)?;
        let secret = match secret_of(store, tx, server, row).await {
            Err(fault) if matches!(fault.kind(), StoreErrorKind::Sealed | StoreErrorKind::Corrupt) => None,
            other => other?,
        };
        clients.push(ServerClient { info, secret });
    }
    Ok(clients)
}

/// Forgets the clients of a server.
pub(super) async fn delete_all(store: &Store, tx: &mut Tx, server: &RegisteredServer) -> StoreResult<()> {
    let statement = "SELECT issuer FROM server_clients WHERE server_id = $1";
    for row in sqlx::query(statement).bind(server.id.to_string()).fetch_all(tx.connection()).await? {
        delete(store, tx, server, &row.try_get::<String, _>(0)?).await?;
    }
    Ok(())
}

macro_rules! columns {
    () => {
        "issuer, registration_mode, client_id, auth_method, secret_version, secret_expires_at, redirect_uri, created_at"
    };
}
use columns;

async fn find(tx: &mut Tx, server: ServerId, issuer: &EndpointUrl) -> StoreResult<Option<AnyRow>> {
    let statement = concat!("SELECT ", columns!(), " FROM server_clients WHERE server_id = $1 AND issuer = $2");
    let query = sqlx::query(statement).bind(server.to_string()).bind(issuer.as_str());
    Ok(query.fetch_optional(tx.connection()).await?)
}

async fn open(store: &Store, tx: &mut Tx, server: &RegisteredServer, issuer: &EndpointUrl) -> StoreResult<Option<ServerClient>> {
    let Some(row) = find(tx, server.id, issuer).await? else { return Ok(None) };
    Ok(Some(ServerClient { info: read(&row)?, secret: secret_of(store, tx, server, &row).await? }))
}

/// Binds the transaction to the owner of the server.
async fn secret_of(store: &Store, tx: &mut Tx, server: &RegisteredServer, row: &AnyRow) -> StoreResult<Option<SecretString>> {
    let Some(version) = row.try_get::<Option<i64>, _>("secret_version")? else { return Ok(None) };
    let issuer: String = row.try_get("issuer")?;
    let secret = match &server.owner {
        Some(owner) => {
            store.bind(tx, owner).await?;
            store.open_at(tx, &spot(owner, server.id, &issuer)).await?
        }
        None => open_for_platform(store, tx, &name(server.id, &issuer), version).await?,
    };
    secret.map(Some).ok_or_else(|| StoreError::corrupt("the secret of a client is missing"))
}

async fn delete(store: &Store, tx: &mut Tx, server: &RegisteredServer, issuer: &str) -> StoreResult<()> {
    let statement = "DELETE FROM server_clients WHERE server_id = $1 AND issuer = $2";
    sqlx::query(statement).bind(server.id.to_string()).bind(issuer).execute(tx.connection()).await?;
    match &server.owner {
        Some(owner) => {
            store.bind(tx, owner).await?;
            drop_at(tx, &spot(owner, server.id, issuer)).await
        }
        None => {
            sqlx::query("DELETE FROM platform_secrets WHERE name = $1").bind(name(server.id, issuer)).execute(tx.connection()).await?;
            Ok(())
        }
    }
}

const fn spot<'a>(owner: &'a OrgId, server: ServerId, issuer: &'a str) -> Spot<'a> {
    Spot { org: owner, server, kind: Kind::ClientSecret, holder: issuer }
}

/// What the secret of a client of the platform is called among the platform's own.
fn name(server: ServerId, issuer: &str) -> String {
    format!("server_client/{server}/{issuer}")
}

const fn platform_place(name: &str, version: i64) -> Place<'_> {
    Place { tenant: "", table: "platform_secrets", row: name, field: "sealed", version }
}

async fn seal_for_platform(store: &Store, tx: &mut Tx, name: &str, version: i64, secret: &SecretString) -> StoreResult<()> {
    let keys = store.vault().keys()?;
    let envelope = seal_value(&keys.platform, &platform_place(name, version), secret.expose_secret().as_bytes(), store.random())?;
    sqlx::query("INSERT INTO platform_secrets (name, version, data_key, sealed, created_at) VALUES ($1, $2, $3, $4, $5)")
        .bind(name)
        .bind(version)
        .bind(envelope.data_key)
        .bind(envelope.sealed)
        .bind(store.now().as_micros())
        .execute(tx.connection())
        .await?;
    Ok(())
}

async fn open_for_platform(store: &Store, tx: &mut Tx, name: &str, version: i64) -> StoreResult<Option<SecretString>> {
    let keys = store.vault().keys()?;
    let statement = "SELECT data_key, sealed FROM platform_secrets WHERE name = $1 AND version = $2";
    let Some(row) = sqlx::query(statement).bind(name).bind(version).fetch_optional(tx.connection()).await? else { return Ok(None) };
    let envelope = Envelope { data_key: row.try_get("data_key")?, sealed: row.try_get("sealed")? };
    sealed::text(&open_value(&keys.platform, &platform_place(name, version), &envelope)?).map(Some)
}

async fn check_count(tx: &mut Tx, server: &RegisteredServer) -> StoreResult<()> {
    let statement = "SELECT count(*) FROM server_clients WHERE server_id = $1";
    let clients: i64 = sqlx::query(statement).bind(server.id.to_string()).fetch_one(tx.connection()).await?.try_get(0)?;
    if clients < CLIENTS_PER_SERVER_MAX {
        return Ok(());
    }
    let message = format!("server `{}` has clients at {CLIENTS_PER_SERVER_MAX} issuers", server.display_name);
    Err(StoreError::new(StoreErrorKind::Conflict, message, "forget those of issuers that it has no longer"))
}

fn check(new: &NewClient<'_>) -> StoreResult<()> {
    if new.secret.is_some_and(|secret| !(1..=CLIENT_SECRET_BYTES_MAX).contains(&secret.expose_secret().len())) {
        return Err(StoreError::invalid("the client secret is empty or larger than 4 KiB", "give the secret alone, or none"));
    }
    if new.redirect_uri.is_some_and(|uri| uri.len() > REDIRECT_BYTES_MAX) {
        return Err(StoreError::invalid("the redirect address is longer than 2048 bytes", "configure a shorter public address"));
    }
    Ok(())
}

fn read(row: &AnyRow) -> StoreResult<ClientInfo> {
    Ok(ClientInfo {
        issuer: EndpointUrl::stored(&row.try_get::<String, _>("issuer")?),
        mode: text(row, "registration_mode", RegistrationMode::parse)?,
        client_id: text(row, "client_id", ClientId::parse)?,
        auth_method: text(row, "auth_method", AuthMethod::parse)?,
        has_secret: row.try_get::<Option<i64>, _>("secret_version")?.is_some(),
        secret_expires_at: time(row, "secret_expires_at")?,
        redirect_uri: row.try_get("redirect_uri")?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
    })
}
