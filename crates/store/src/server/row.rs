//! A registered server as a row.

use std::collections::BTreeMap;

use bailiwick_model::id::InvalidId;
use bailiwick_model::registered::{AllowedTools, ClientId, EndpointUrl, Endpoints, ExtraAuthParams, Scopes, ServerUrl};
use bailiwick_model::{OrgId, ServerId, ServerName, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::RegisteredServer;
use crate::error::{StoreError, StoreResult};

/// The columns that [`read`] needs, of a table called `s`.
macro_rules! columns {
    () => {
        "s.server_id, s.owner_org, s.is_global, s.display_name, s.server_url, s.registration_choice, s.registration_mode, s.auth_method, \
         s.client_id, s.given_issuer, s.given_authorization_endpoint, s.given_token_endpoint, s.given_revocation_endpoint, s.found_issuer, \
         s.found_authorization_endpoint, s.found_token_endpoint, s.found_revocation_endpoint, s.scopes, s.extra_auth_params, s.era, \
         s.allowed_tools, s.new_tools_policy, s.status, s.status_reason, s.status_at, s.last_discovery_at, s.revision, s.created_at, \
         s.created_by, s.modified_at, s.modified_by"
    };
}
pub(super) use columns;

/// Reads a row; who sees the server stands elsewhere.
pub(super) fn read(row: &AnyRow) -> StoreResult<RegisteredServer> {
    Ok(RegisteredServer {
        id: server_id(row, "server_id")?,
        owner: optional(row, "owner_org", OrgId::parse)?,
        is_global: row.try_get::<i64, _>("is_global")? == 1,
        org_ids: Vec::new(),
        display_name: text(row, "display_name", ServerName::parse)?,
        server_url: ServerUrl::stored(&row.try_get::<String, _>("server_url")?),
        choice: text(row, "registration_choice", bailiwick_model::registered::RegistrationChoice::parse)?,
        mode: optional(row, "registration_mode", bailiwick_model::registered::RegistrationMode::parse)?,
        auth_method: optional(row, "auth_method", bailiwick_model::registered::AuthMethod::parse)?,
        client_id: optional(row, "client_id", ClientId::parse)?,
        given: endpoints(row, ["given_issuer", "given_authorization_endpoint", "given_token_endpoint", "given_revocation_endpoint"])?,
        found: endpoints(row, ["found_issuer", "found_authorization_endpoint", "found_token_endpoint", "found_revocation_endpoint"])?,
        scopes: scopes(row)?,
        extra_auth_params: params(&row.try_get::<String, _>("extra_auth_params")?)?,
        era: text(row, "era", bailiwick_model::registered::ServerEra::parse)?,
        allowed_tools: row.try_get::<Option<String>, _>("allowed_tools")?.as_deref().map(tools).transpose()?,
        new_tools_policy: text(row, "new_tools_policy", bailiwick_model::registered::NewToolsPolicy::parse)?,
        status: text(row, "status", bailiwick_model::registered::ServerStatus::parse)?,
        status_reason: row.try_get("status_reason")?,
        status_at: Timestamp::from_micros(row.try_get("status_at")?),
        last_discovery_at: time(row, "last_discovery_at")?,
        revision: row.try_get("revision")?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        created_by: row.try_get("created_by")?,
        modified_at: Timestamp::from_micros(row.try_get("modified_at")?),
        modified_by: row.try_get("modified_by")?,
    })
}

pub(crate) fn server_id(row: &AnyRow, column: &str) -> StoreResult<ServerId> {
    text(row, column, ServerId::parse)
}

pub(crate) fn text<T>(row: &AnyRow, column: &str, parse: impl Fn(&str) -> Result<T, InvalidId>) -> StoreResult<T> {
    parse(&row.try_get::<String, _>(column)?).map_err(|_| damaged(column))
}

pub(crate) fn time(row: &AnyRow, column: &str) -> StoreResult<Option<Timestamp>> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_micros))
}

pub(crate) fn scopes(row: &AnyRow) -> StoreResult<Scopes> {
    text(row, "scopes", Scopes::parse)
}

fn optional<T>(row: &AnyRow, column: &str, parse: impl Fn(&str) -> Result<T, InvalidId>) -> StoreResult<Option<T>> {
    let value: Option<String> = row.try_get(column)?;
    value.map(|value| parse(&value).map_err(|_| damaged(column))).transpose()
}

fn endpoints(row: &AnyRow, [issuer, authorization, token, revocation]: [&str; 4]) -> StoreResult<Endpoints> {
    let url = |column| Ok::<_, StoreError>(row.try_get::<Option<String>, _>(column)?.map(|text| EndpointUrl::stored(&text)));
    Ok(Endpoints { issuer: url(issuer)?, authorization: url(authorization)?, token: url(token)?, revocation: url(revocation)? })
}

fn params(text: &str) -> StoreResult<ExtraAuthParams> {
    let map: Option<BTreeMap<String, String>> = serde_json::from_str(text).ok();
    map.and_then(|map| ExtraAuthParams::new(map).ok()).ok_or_else(|| damaged("extra_auth_params"))
}

pub(super) fn tools(text: &str) -> StoreResult<AllowedTools> {
    let map: Option<BTreeMap<String, bool>> = serde_json::from_str(text).ok();
    map.and_then(|map| AllowedTools::new(map).ok()).ok_or_else(|| damaged("allowed_tools"))
}

fn damaged(column: &str) -> StoreError {
    StoreError::corrupt(format!("the stored {column} of a server is not valid"))
}

/// A map as the text of its column.
pub(super) fn json(map: &impl serde::Serialize) -> StoreResult<String> {
    serde_json::to_string(map)
        .map_err(|error| StoreError::invalid("the value cannot be written as JSON", "report this as a defect").with_cause(error))
}
