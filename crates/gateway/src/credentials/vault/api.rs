//! The requests to a vault. What it says of its own accord is not repeated in faults: it may hold what was sent.

use std::fmt;
use std::time::Duration;

use bailiwick_model::Timestamp;
use bailiwick_modules::egress::{HttpAnswer, HttpClient, HttpLimits, HttpRequest};
use bailiwick_modules::{CallContext, Cancel};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Place;
use super::session::Role;

/// One request.
pub(super) const LIMITS: HttpLimits = HttpLimits { timeout: Duration::from_secs(10), response_bytes_max: 1 << 20 };
/// Longest lease that is believed.
const LEASE_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

/// Why the vault did not do it. `Display` is for operators and holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The token or the role was refused, so that asking again with it is of no use.
    pub(super) denied: bool,
    pub(super) text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Fault {
    pub(super) fn denied(text: impl Into<String>) -> Self {
        Self { denied: true, text: text.into() }
    }

    fn other(text: impl Into<String>) -> Self {
        Self { denied: false, text: text.into() }
    }
}

/// What a login or a renewal grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    /// Zero: without end.
    pub(super) lasts: Duration,
    pub(super) renewable: bool,
}

#[derive(Deserialize)]
struct Granted {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: String,
    lease_duration: u64,
    renewable: bool,
}

impl Auth {
    fn lease(&self) -> Lease {
        Lease { lasts: Duration::from_secs(self.lease_duration).min(LEASE_MAX), renewable: self.renewable }
    }
}

pub(super) struct Api {
    client: HttpClient,
    namespace: Option<HeaderValue>,
}

impl Api {
    pub(super) fn new(client: HttpClient, namespace: Option<HeaderValue>) -> Self {
        Self { client, namespace }
    }

    /// AppRole login.
    pub(super) async fn login(&self, role: &Role) -> Result<(SecretString, Lease), Fault> {
        let body = json!({ "role_id": role.role_id.expose(), "secret_id": role.secret_id.expose() });
        let answer =
            self.send(self.request(Method::POST, "/v1/auth/approle/login").with_body("application/json", body.to_string())).await?;
        if matches!(answer.status.as_u16(), 400 | 401 | 403 | 404) {
            let text = format!(
                "the login is refused (status {}); check role id, secret id and whether AppRole is enabled",
                answer.status.as_u16()
            );
            return Err(Fault::denied(text));
        }
        let auth = granted(&answer)?;
        let lease = auth.lease();
        Ok((SecretString::from(auth.client_token), lease))
    }

    /// Renews the token for another lease.
    pub(super) async fn renew(&self, token: &SecretString) -> Result<Lease, Fault> {
        let request = self.request(Method::POST, "/v1/auth/token/renew-self").with_body("application/json", "{}");
        let answer = self.send(with_token(request, token)?).await?;
        if matches!(answer.status.as_u16(), 400 | 401 | 403) {
            return Err(Fault::denied(format!("the token cannot be renewed (status {})", answer.status.as_u16())));
        }
        Ok(granted(&answer)?.lease())
    }

    /// Reads the latest version of a secret.
    pub(super) async fn read(&self, token: &SecretString, place: &Place) -> Result<Map<String, Value>, Fault> {
        let answer = self.send(with_token(self.request(Method::GET, &place.target), token)?).await?;
        let said = &place.said;
        match answer.status.as_u16() {
            403 | 401 => {
                return Err(Fault::denied(format!("reading {said} is refused; let the role's policy read it")));
            }
            404 if place.versioned && is_deleted(&answer) => {
                return Err(Fault::other(format!("the latest version of {said} is deleted; write or undelete one")));
            }
            404 => return Err(Fault::other(format!("there is no secret {said}; check `path`, `mount` and `kv_version`"))),
            _ => {}
        }
        let mut body: Value = body(&answer)?;
        let data = body.pointer_mut(if place.versioned { "/data/data" } else { "/data" });
        match data.map(Value::take) {
            Some(Value::Object(found)) => Ok(found),
            _ => Err(Fault::other(format!("{said} is no mapping of names to values; check `kv_version`"))),
        }
    }

    fn request(&self, method: Method, target: &str) -> HttpRequest {
        let request = HttpRequest::new(method, self.client.base().at(target)).with(REQUEST, HeaderValue::from_static("true"));
        match &self.namespace {
            Some(namespace) => request.with(NAMESPACE, namespace.clone()),
            None => request,
        }
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, Fault> {
        // The runtime's clock, which tests hold; the wall clock is of no use to a request.
        let deadline = (tokio::time::Instant::now() + LIMITS.timeout).into_std();
        let cancel = Cancel::new();
        let context = CallContext { deadline, cancel: &cancel, call: "vault", now: Timestamp::from_micros(0) };
        let answer = self.client.send(request, context).await.map_err(|fault| Fault::other(fault.detail))?;
        let text = match answer.status {
            StatusCode::SERVICE_UNAVAILABLE => "it is sealed or not ready (status 503); unseal it".to_owned(),
            status if status.is_redirection() => {
                format!("it redirects (status {}), which is not followed; name the active node in `addr`", status.as_u16())
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                format!("it failed (status {}); try again later", status.as_u16())
            }
            _ => return Ok(answer),
        };
        Err(Fault::other(text))
    }
}

fn with_token(request: HttpRequest, token: &SecretString) -> Result<HttpRequest, Fault> {
    let mut value = HeaderValue::try_from(token.expose_secret()).map_err(|_| Fault::denied("the token cannot stand in a header"))?;
    value.set_sensitive(true);
    Ok(request.with(TOKEN, value))
}

fn body<T: serde::de::DeserializeOwned>(answer: &HttpAnswer) -> Result<T, Fault> {
    let unreadable = || Fault::other(format!("it answers with something that cannot be read (status {})", answer.status.as_u16()));
    if !answer.status.is_success() {
        return Err(unreadable());
    }
    serde_json::from_slice(&answer.body).map_err(|_| unreadable())
}

fn granted(answer: &HttpAnswer) -> Result<Auth, Fault> {
    body::<Granted>(answer).map(|granted| granted.auth)
}

fn is_deleted(answer: &HttpAnswer) -> bool {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let metadata = &body["data"]["metadata"];
    metadata["destroyed"] == true || metadata["deletion_time"].as_str().is_some_and(|time| !time.is_empty())
}
