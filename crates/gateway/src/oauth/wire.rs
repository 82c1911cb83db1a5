//! Requests of the OAuth client: all of them go through the guarded way out, are short, and are answered in short.

use std::time::Duration;

use bailiwick_mcp::{Json, Limits};
use bailiwick_modules::egress::{HttpAnswer, HttpClient, HttpFault, HttpLimits, HttpRequest, Tls, location};
use http::{HeaderValue, Method, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use url::form_urlencoded::Serializer;

use super::address::Address;
use super::fault::{OAuthFault, Step};
use super::{FaultKind, Settings};
use crate::outward;

/// One request, all its hops together.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// Largest metadata document.
const DOCUMENT_BYTES_MAX: usize = 64 << 10;
const DOCUMENT_LIMITS: Limits = Limits { bytes_max: DOCUMENT_BYTES_MAX, depth_max: 16, tokens_max: 10_000 };
/// Largest answer of a token, registration or revocation endpoint (security reference 10).
pub(super) const ANSWER_BYTES_MAX: usize = 16 << 10;
pub(super) const ANSWER_LIMITS: Limits = Limits { bytes_max: ANSWER_BYTES_MAX, depth_max: 16, tokens_max: 4_000 };
/// Most redirects within one origin that a document may cost.
const HOPS_MAX: usize = 2;

/// What stands at the place of a document.
pub(super) enum Looked {
    /// A JSON object.
    Found(Json),
    /// None; in words.
    Absent(String),
}

/// Sends one request and waits for its answer.
///
/// # Errors
/// [`HttpFault`]; the answer's status is not looked at.
pub(super) async fn send(
    settings: &Settings,
    address: &Address,
    request: HttpRequest,
    response_bytes_max: usize,
) -> Result<HttpAnswer, HttpFault> {
    let limits = HttpLimits { timeout: REQUEST_MAX, response_bytes_max };
    let client = HttpClient::new(address.base.clone(), settings.egress.clone(), settings.rules(address), Tls::default(), limits);
    outward::send(&client, request, REQUEST_MAX, "oauth").await
}

/// Looks for a document. Redirects are followed within the origin only; a status of 5xx or 429 is no answer to the question.
///
/// # Errors
/// [`OAuthFault`] of `step`: unreachable, refused, or too large.
pub(super) async fn document(settings: &Settings, address: &Address, step: Step) -> Result<Looked, OAuthFault> {
    let mut at = address.clone();
    for _ in 0..=HOPS_MAX {
        let request = HttpRequest::new(Method::GET, at.target.clone()).with(header::ACCEPT, HeaderValue::from_static("application/json"));
        let sent = send(settings, &at, request, DOCUMENT_BYTES_MAX).await;
        let answer = sent.map_err(|fault| OAuthFault::of_http(step, &at.shown(), &fault))?;
        if answer.status.is_redirection() {
            let Some((base, target)) = location(&at.base, &at.target, &answer) else {
                return Ok(Looked::Absent(format!("a redirect (status {}) to nowhere", answer.status.as_u16())));
            };
            if !base.same_origin(&at.base) {
                return Ok(Looked::Absent(format!("a redirect to another origin (status {}), not followed", answer.status.as_u16())));
            }
            at = at.beside(target);
            continue;
        }
        return judge(&at, &answer, step);
    }
    Ok(Looked::Absent(format!("more than {HOPS_MAX} redirects")))
}

fn judge(at: &Address, answer: &HttpAnswer, step: Step) -> Result<Looked, OAuthFault> {
    if is_later(answer.status) {
        return Err(unavailable(step, &at.shown(), answer.status));
    }
    if answer.status != StatusCode::OK {
        return Ok(Looked::Absent(format!("status {}", answer.status.as_u16())));
    }
    Ok(match Json::check(answer.body.clone(), &DOCUMENT_LIMITS) {
        Ok(json) if json.is_object() => Looked::Found(json),
        Ok(_) => Looked::Absent("status 200 with JSON that is no object".to_owned()),
        Err(_) => Looked::Absent("status 200 with something that is no strict JSON".to_owned()),
    })
}

/// Whether a status says "not now".
pub(super) fn is_later(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// The fault for such a status: the request was received.
pub(super) fn unavailable(step: Step, place: &str, status: StatusCode) -> OAuthFault {
    let message = format!("{place}: status {}", status.as_u16());
    OAuthFault::new(FaultKind::NotNow, step, message, "try again later")
}

/// A form as `application/x-www-form-urlencoded`, in the order in which its fields are given.
pub(super) struct Form {
    text: String,
    /// What of it is nobody else's to know.
    secrets: Vec<SecretString>,
}

impl Form {
    pub(super) fn new() -> Self {
        Self { text: String::new(), secrets: Vec::new() }
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        // A serializer of its own for each: one that is kept could not wait for an answer on any thread.
        self.text = Serializer::new(self.text).append_pair(name, value).finish();
        self
    }

    pub(super) fn with_secret(mut self, name: &str, value: &SecretString) -> Self {
        self.secrets.push(value.clone());
        self.with(name, value.expose_secret())
    }

    /// The secrets among its values.
    pub(super) fn secrets(&self) -> &[SecretString] {
        &self.secrets
    }

    /// With the scopes, unless there are none.
    pub(super) fn with_scopes(self, scopes: &[String]) -> Self {
        if scopes.is_empty() { self } else { self.with("scope", &scopes.join(" ")) }
    }

    /// POST to `address`.
    pub(super) fn request(self, address: &Address) -> HttpRequest {
        HttpRequest::new(Method::POST, address.target.clone())
            .with(header::ACCEPT, HeaderValue::from_static("application/json"))
            .with_body("application/x-www-form-urlencoded", self.text)
    }
}
