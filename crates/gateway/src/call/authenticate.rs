//! Stage 2: who calls, inside which organisation. What a client says of itself never decides anything.

use std::collections::HashMap;
use std::sync::Arc;

use bailiwick_model::{GroupId, KeyId, OrgId};
use bailiwick_store::{KeyRefusal, Scope, TokenAgent, TokenClaims};
use http::{HeaderMap, header};

use crate::bailiwick::Bailiwick;
use crate::fault::HttpFault;
use crate::gateway::Gateway;
use crate::house::Identity;
use crate::lock::SharedLock;
use crate::tokens::{Fingerprint, Reason, Refusal, Tokens, Verified};

/// Longest credential that is looked at.
const CREDENTIAL_BYTES_MAX: usize = 8 << 10;
/// Callers of each kind of credential held ready at once.
const CALLERS_MAX: usize = 10_000;
/// What the text of every API key begins with; no token of base64url and dots in which a JSON object comes first does.
const KEY_PREFIX: &str = "bw_";
/// Names the organisation where registered servers are administered (reference, governance 5.3).
const ORG_HEADER: &str = "x-roboto-org-id";

/// An authenticated caller with its bailiwick; made only here.
pub struct Caller {
    scope: Scope,
    bailiwick: Arc<Bailiwick>,
    /// The token that speaks for him, if it is one.
    token: Option<Arc<Verified>>,
}

impl Caller {
    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(crate) fn bailiwick(&self) -> &Arc<Bailiwick> {
        &self.bailiwick
    }
}

/// What an HTTP request brings to prove who sent it.
#[derive(Clone, Copy)]
pub(crate) struct Presented<'r> {
    pub(crate) headers: &'r HeaderMap,
    /// Looked at only to refuse what must not be there.
    pub(crate) query: Option<&'r str>,
    /// The organisation to whose endpoint the request came.
    pub(crate) org: Option<&'r str>,
    /// The server to whose own endpoint the request came.
    pub(crate) server: Option<&'r str>,
}

/// HTTP: exactly one credential in `Authorization`, an API key, a token of a configured issuer, or the only agent's token; with
/// `auth: none` (loopback only) the configured agent.
pub(crate) async fn http(gateway: &Gateway, presented: Presented<'_>) -> Result<Arc<Caller>, HttpFault> {
    let found = credential(gateway, presented).await;
    found.map_err(|fault| match gateway.tokens() {
        // A token for the whole gateway is good at every address of an organisation.
        Some(tokens) => fault.pointing_to(tokens.resource(), presented.server.filter(|_| presented.org.is_none())),
        None => fault,
    })
}

/// The same caller in the organisation `org`. What he may choose among is what his credential says: a key is of one organisation. One
/// that is not his and one that does not exist are the same.
pub(crate) async fn within(gateway: &Gateway, caller: &Arc<Caller>, org: &str) -> Result<Arc<Caller>, HttpFault> {
    if caller.scope.org().as_str() == org {
        return Ok(caller.clone());
    }
    let verified = caller.token.as_ref().ok_or_else(unknown_org)?;
    let states = gateway.keyring().agent_states(gateway.now());
    let states = states.map_err(|_| HttpFault::unavailable("agents cannot be checked at the moment"))?;
    elsewhere(gateway, verified, org, states).await
}

/// Somebody in the organisation of his token that is called `org`.
async fn elsewhere(gateway: &Gateway, verified: &Arc<Verified>, org: &str, states: i64) -> Result<Arc<Caller>, HttpFault> {
    let org = verified.orgs.get(org).ok_or_else(unknown_org)?;
    match gateway.callers().elsewhere(&verified.fingerprint, org, states) {
        Some(caller) => Ok(caller),
        None => admit(gateway, verified, Some(org), states).await,
    }
}

async fn credential(gateway: &Gateway, presented: Presented<'_>) -> Result<Arc<Caller>, HttpFault> {
    none_in_query(presented.query)?;
    let scope = match (gateway.single(), gateway.open_agent(), gateway.tokens()) {
        (Some(single), ..) => single.admit(bearer(presented.headers)?).cloned().ok_or_else(|| invalid("the token is not valid"))?,
        (None, Some(scope), _) => scope.clone(),
        (None, None, tokens) => {
            let token = bearer(presented.headers)?;
            match tokens {
                Some(tokens) if !token.starts_with(KEY_PREFIX) => {
                    return by_token(gateway, tokens, token, (presented.org, presented.server)).await;
                }
                _ => by_key(gateway, token).await?,
            }
        }
    };
    if presented.org.is_some_and(|org| org != scope.org().as_str()) {
        return Err(unknown_org());
    }
    caller(gateway, scope).await.map_err(HttpFault::unavailable)
}

/// Of an organisation that is not the caller's the same is said as of one that does not exist.
fn unknown_org() -> HttpFault {
    HttpFault::new(http::StatusCode::NOT_FOUND, "no organisation of this name", "name one of yours, or none")
}

/// A query stands in histories and logs of others, so a credential in it is refused even when it is a good one (RFC 9700 section 4.3.2).
fn none_in_query(query: Option<&str>) -> Result<(), HttpFault> {
    let Some(query) = query else { return Ok(()) };
    if !url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name.eq_ignore_ascii_case("access_token")) {
        return Ok(());
    }
    Err(HttpFault::new(
        http::StatusCode::BAD_REQUEST,
        "a token in the query",
        "send it in the `Authorization` header, and replace it: it may be in a log",
    ))
}

/// The management API: an API key or a token of a configured issuer; an operation chooses its organisation by its path, or by a header.
pub(crate) async fn manager(gateway: &Gateway, headers: &HeaderMap, (path, query): (&str, Option<&str>)) -> Result<Scope, HttpFault> {
    none_in_query(query)?;
    let token = bearer(headers)?;
    let Some(tokens) = gateway.tokens().filter(|_| !token.starts_with(KEY_PREFIX)) else { return by_key(gateway, token).await };
    let named = path.strip_prefix("/v1/orgs/").and_then(|rest| rest.split('/').next());
    let beside = path.strip_prefix("/v1/mcp/").and_then(|_| headers.get(ORG_HEADER)?.to_str().ok());
    let org = named.or(beside);
    let pointing = |fault: HttpFault| fault.pointing_to(tokens.resource(), None);
    let caller = match by_token(gateway, tokens, token, (org, None)).await {
        // Whoever names an organisation that is not his hears of it from the operation, which says the same of one that does not exist.
        Err(fault) if fault.status() == http::StatusCode::NOT_FOUND => by_token(gateway, tokens, token, (None, None)).await,
        caller => caller,
    };
    caller.map(|caller| caller.scope.clone()).map_err(pointing)
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
    Ok(gateway.callers().put(Arc::new(Caller { scope, bailiwick, token: None })))
}

/// A caller, and the counter of changes to agents at which he was admitted.
type Admitted = (i64, Arc<Caller>);

/// Callers by credential, so that a call of a known one builds nothing anew. Credentials are verified before this is asked.
#[derive(Default)]
pub(crate) struct Callers {
    by_key: SharedLock<HashMap<KeyId, Arc<Caller>>>,
    by_token: SharedLock<HashMap<Fingerprint, Admitted>>,
    /// Those who act in another organisation than that of their home.
    elsewhere: SharedLock<HashMap<(Fingerprint, OrgId), Admitted>>,
}

impl Callers {
    fn get(&self, scope: &Scope) -> Option<Arc<Caller>> {
        let known = self.by_key.read().get(&scope.principal().key_id?)?.clone();
        (known.scope == *scope).then_some(known)
    }

    fn put(&self, caller: Arc<Caller>) -> Arc<Caller> {
        if let Some(key) = caller.scope.principal().key_id {
            insert(&self.by_key, key, caller.clone());
        }
        caller
    }

    /// The caller of a token; `states` is the counter of changes to agents, at which it was admitted.
    fn of_token(&self, token: &Fingerprint, states: i64) -> Option<Arc<Caller>> {
        let known = self.by_token.read();
        known.get(token).filter(|(admitted, _)| *admitted == states).map(|(_, caller)| caller.clone())
    }

    /// The same in the organisation that was chosen.
    fn elsewhere(&self, token: &Fingerprint, org: &OrgId, states: i64) -> Option<Arc<Caller>> {
        let known = self.elsewhere.read();
        known.get(&(*token, org.clone())).filter(|(admitted, _)| *admitted == states).map(|(_, caller)| caller.clone())
    }
}

fn insert<K: Eq + std::hash::Hash, V>(known: &SharedLock<HashMap<K, V>>, key: K, value: V) {
    let mut known = known.write();
    // Filling it again is cheap; what counts is the bound.
    if known.len() >= CALLERS_MAX {
        known.clear();
    }
    known.insert(key, value);
}

fn bearer(headers: &HeaderMap) -> Result<&str, HttpFault> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = given.next() else { return Err(HttpFault::unauthorized("no credential", None)) };
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

/// A token of an issuer. One that was verified a moment ago, of an agent that nothing has happened to since, costs a digest and two
/// look-ups.
async fn by_token(
    gateway: &Gateway,
    tokens: &Tokens,
    token: &str,
    (org, server): (Option<&str>, Option<&str>),
) -> Result<Arc<Caller>, HttpFault> {
    let fingerprint = Fingerprint::of(token);
    let (verified, states) = match (tokens.known(&fingerprint, gateway.now()), gateway.keyring().agent_states(gateway.now())) {
        (Some(verified), Ok(states)) => (verified, states),
        _ => Box::pin(verify(gateway, tokens, token, fingerprint)).await?,
    };
    if !verified.reach.covers(server) {
        return Err(refused(Reason::EndpointWrong, fingerprint));
    }
    if let Some(org) = org.filter(|org| *org != verified.orgs.home.as_str()) {
        return Box::pin(elsewhere(gateway, &verified, org, states)).await;
    }
    match gateway.callers().of_token(&fingerprint, states) {
        Some(caller) => Ok(caller),
        None => Box::pin(admit(gateway, &verified, None, states)).await,
    }
}

/// The counter is read before the agent is: what happens to the agent in between makes the answer old at once.
async fn verify(gateway: &Gateway, tokens: &Tokens, token: &str, fingerprint: Fingerprint) -> Result<(Arc<Verified>, i64), HttpFault> {
    let verified = match tokens.known(&fingerprint, gateway.now()) {
        Some(verified) => verified,
        None => tokens.verify(token, fingerprint, gateway.now()).await.map_err(|refusal| HttpFault::refused_token(&refusal))?,
    };
    if let Ok(states) = gateway.keyring().agent_states(gateway.now()) {
        return Ok((verified, states));
    }
    let unavailable = || HttpFault::unavailable("agents cannot be checked at the moment");
    gateway.keyring().refresh().await.map_err(|_| unavailable())?;
    let states = gateway.keyring().agent_states(gateway.now()).map_err(|_| unavailable())?;
    Ok((verified, states))
}

/// The one place where a verified token becomes a scope.
async fn admit(gateway: &Gateway, verified: &Arc<Verified>, chosen: Option<&OrgId>, states: i64) -> Result<Arc<Caller>, HttpFault> {
    // Tokens do not fill the table of agents with types that nobody can be.
    if !gateway.agents().has_type(&verified.agent_type) {
        return Err(refused(Reason::AgentTypeUnknown, verified.fingerprint));
    }
    let at_home = chosen.is_none_or(|chosen| *chosen == verified.orgs.home);
    let claims = TokenClaims {
        client_id: verified.client_id.as_deref().map(Into::into),
        // A token does not say of which of its organisations it speaks: what somebody is at home he is nowhere else by that.
        role: verified.role.filter(|_| at_home),
        // A name that no group of ours can have is no group of ours.
        groups: verified.groups.iter().filter(|_| at_home).filter_map(|group| GroupId::parse(group).ok()).collect(),
    };
    let who = Identity {
        sub: Some(verified.subject.clone()),
        email: verified.email.clone(),
        agent_id: verified.agent_id.clone(),
        agent_type: verified.agent_type.clone(),
    };
    let asked = chosen.unwrap_or(&verified.orgs.home);
    let org = gateway.org_of(&who, asked).await.map_err(|_| HttpFault::unavailable("organisations cannot be told at the moment"))?;
    // A program with a resolver of its own may send somebody elsewhere, but nobody elsewhere than he said.
    let org =
        org.filter(|org| chosen.is_none_or(|chosen| chosen == org)).ok_or_else(|| refused(Reason::OrgRefused, verified.fingerprint))?;
    let agent = TokenAgent {
        org: &org,
        agent_id: &verified.agent_id,
        agent_type: &verified.agent_type,
        sub: &verified.subject,
        email: verified.email.as_deref(),
        claims: &claims,
        create: verified.create_agent,
    };
    let admitted = gateway.store().admit(agent).await;
    let admitted = admitted.map_err(|_| HttpFault::unavailable("agents cannot be checked at the moment"))?;
    let scope = admitted.map_err(|refusal| refused(Reason::Agent(refusal), verified.fingerprint))?;
    let bailiwick = Box::pin(gateway.bailiwick(&scope)).await.map_err(HttpFault::unavailable)?;
    let caller = Arc::new(Caller { scope, bailiwick, token: Some(verified.clone()) });
    match chosen {
        None => insert(&gateway.callers().by_token, verified.fingerprint, (states, caller.clone())),
        Some(org) => insert(&gateway.callers().elsewhere, (verified.fingerprint, org.clone()), (states, caller.clone())),
    }
    Ok(caller)
}

fn refused(reason: Reason, fingerprint: Fingerprint) -> HttpFault {
    HttpFault::refused_token(&Refusal { reason, fingerprint, scopes: Vec::new() })
}

fn invalid(message: &'static str) -> HttpFault {
    HttpFault::unauthorized(message, Some("invalid_token"))
}
