//! How a token comes into the queue.

use bailiwick_model::registered::{EndpointUrl, TokenHint};
use bailiwick_model::{OrgId, ServerId};
use data_encoding::HEXLOWER;
use secrecy::SecretString;

use crate::error::StoreResult;
use crate::server::ServerClient;
use crate::server::sealed::{Kind, Spot};
use crate::store::{Store, Tx};

/// A token that is to be revoked.
pub(crate) struct Queued<'a> {
    pub(crate) org: &'a OrgId,
    pub(crate) server: ServerId,
    pub(crate) endpoint: &'a EndpointUrl,
    pub(crate) client: &'a ServerClient,
    pub(crate) hint: TokenHint,
    pub(crate) token: &'a SecretString,
}

/// Version of the sealed values of a revocation: they are never set again.
const VERSION: i64 = 1;

/// Puts a token into the queue. The transaction is bound to the organisation.
pub(crate) async fn queue(store: &Store, tx: &mut Tx, new: &Queued<'_>) -> StoreResult<()> {
    let mut id = [0; 16];
    store.random().fill(&mut id);
    let id = HEXLOWER.encode(&id);
    let statement = "INSERT INTO token_revocations (tenant_id, revocation_id, server_id, endpoint, client_id, auth_method, token_hint, \
                     has_secret, attempts, next_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $9)";
    sqlx::query(statement)
        .bind(new.org.as_str())
        .bind(&id)
        .bind(new.server.to_string())
        .bind(new.endpoint.as_str())
        .bind(new.client.info.client_id.as_str())
        .bind(new.client.info.auth_method.as_str())
        .bind(new.hint.as_str())
        .bind(i64::from(new.client.secret.is_some()))
        .bind(store.now().as_micros())
        .execute(tx.connection())
        .await?;
    let spot = |kind| Spot { org: new.org, server: new.server, kind, holder: &id };
    store.seal_at(tx, &spot(Kind::Revoke), VERSION, new.token).await?;
    match &new.client.secret {
        Some(secret) => store.seal_at(tx, &spot(Kind::RevokeSecret), VERSION, secret).await,
        None => Ok(()),
    }
}
