//! Stage 2: who calls, inside which organisation. What a client says of itself never decides anything.

use std::collections::HashMap;
use std::sync::Arc;

use bailiwick_model::KeyId;
use bailiwick_store::{KeyRefusal, Scope};
use http::{HeaderMap, header};

use crate::bailiwick::Bailiwick;
use crate::fault::HttpFault;
use crate::gateway::Gateway;
use crate::lock::SharedLock;

/// Longest credential that is looked at.
const CREDENTIAL_BYTES_MAX: usize = 8 << 10;
/// Callers held ready at once.
const CALLERS_MAX: usize = 10_000;

/// An authenticated caller with its bailiwick; made only here.
pub struct Caller {
    scope: Scope,
    bailiwick: Arc<Bailiwick>,
}

impl Caller {
    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(crate) fn bailiwick(&self) -> &Arc<Bailiwick> {
        &self.bailiwick
    }
}

/// HTTP: exactly one credential in `Authorization`, an API key or the only agent's token; with `auth: none` (loopback only) the configured
/// agent.
pub(crate) async fn http(gateway: &Gateway, headers: &HeaderMap) -> Result<Arc<Caller>, HttpFault> {
    let scope = match (gateway.single(), gateway.open_agent()) {
        (Some(single), _) => single.admit(bearer(headers)?).cloned().ok_or_else(|| invalid("the token is not valid"))?,
        (None, Some(scope)) => scope.clone(),
        (None, None) => by_key(gateway, bearer(headers)?).await?,
    };
    caller(gateway, scope).await.map_err(HttpFault::unavailable)
}

/// stdio: the identity comes from the launch configuration.
pub(crate) async fn local(gateway: &Gateway, scope: Scope) -> Result<Arc<Caller>, String> {
    caller(gateway, scope).await
}

async fn caller(gateway: &Gateway, scope: Scope) -> Result<Arc<Caller>, String> {
    if let Some(known) = gateway.callers().get(&scope) {
        return Ok(known);
    }
    let bailiwick = Box::pin(gateway.bailiwick(&scope)).await?;
    Ok(gateway.callers().put(Arc::new(Caller { scope, bailiwick })))
}

/// Callers by key, so that a call of a known key builds nothing anew. Keys are verified before this is asked.
#[derive(Default)]
pub(crate) struct Callers(SharedLock<HashMap<KeyId, Arc<Caller>>>);

impl Callers {
    fn get(&self, scope: &Scope) -> Option<Arc<Caller>> {
        let known = self.0.read().get(&scope.principal().key_id?)?.clone();
        (known.scope == *scope).then_some(known)
    }

    fn put(&self, caller: Arc<Caller>) -> Arc<Caller> {
        if let Some(key) = caller.scope.principal().key_id {
            let mut known = self.0.write();
            // Filling it again is cheap; what counts is the bound.
            if known.len() >= CALLERS_MAX {
                known.clear();
            }
            known.insert(key, caller.clone());
        }
        caller
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, HttpFault> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = given.next() else { return Err(HttpFault::unauthorized("no credential", "Bearer")) };
    if given.next().is_some() {
        return Err(HttpFault::new(http::StatusCode::BAD_REQUEST, "more than one credential", "send one `Authorization` header"));
    }
    let text = value.to_str().ok().filter(|text| text.len() <= CREDENTIAL_BYTES_MAX);
    let token = text.and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    token.ok_or_else(|| invalid("not a bearer credential"))
}

async fn by_key(gateway: &Gateway, token: &str) -> Result<Scope, HttpFault> {
    let verified = match gateway.keyring().verify(token, gateway.now()) {
        // What is known of keys is older than a second: nothing is believed before it is fresh again.
        Err(KeyRefusal::Stale) => {
            Box::pin(gateway.keyring().refresh()).await.map_err(|_| HttpFault::unavailable("keys cannot be checked at the moment"))?;
            gateway.keyring().verify(token, gateway.now())
        }
        // It may have been made a moment ago. A look for every guess would be a lever, so there are few.
        Err(KeyRefusal::Unknown) if gateway.may_look_for_key() => {
            let _ = Box::pin(gateway.keyring().refresh()).await;
            gateway.keyring().verify(token, gateway.now())
        }
        verified => verified,
    };
    verified.map_err(|refusal| match refusal {
        KeyRefusal::Stale => HttpFault::unavailable("keys cannot be checked at the moment"),
        KeyRefusal::Sealed => HttpFault::unavailable("the gateway is sealed: its root key is missing"),
        KeyRefusal::Expired => invalid("the key has expired"),
        KeyRefusal::Revoked | KeyRefusal::Disabled | KeyRefusal::Unknown | KeyRefusal::Malformed => invalid("the key is not valid"),
    })
}

fn invalid(message: &'static str) -> HttpFault {
    HttpFault::unauthorized(message, "Bearer error=\"invalid_token\"")
}
