//! Registration by request (RFC 7591), which the protocol keeps for servers that know nothing newer.

use bailiwick_mcp::Json;
use bailiwick_model::Timestamp;
use bailiwick_modules::egress::HttpRequest;
use http::{HeaderValue, Method, StatusCode, header};
use secrecy::SecretString;

use super::{AuthMethod, Choice, Client, Mode, Proof, is_client_id, metadata};
use crate::oauth::address::Address;
use crate::oauth::discover::{Capabilities, Discovered};
use crate::oauth::fault::{self, OAuthFault, Step};
use crate::oauth::{FaultKind, Settings, listed, wire};

const STEP: Step = Step::Registration;
/// Longest secret.
const SECRET_BYTES_MAX: usize = 4_096;

/// Asks the registration endpoint for a client.
///
/// # Errors
/// What it said, cleaned; an answer that breaks a rule; nobody there.
pub(super) async fn register(settings: &Settings, discovered: &Discovered, choice: Choice<'_>) -> Result<Client, OAuthFault> {
    let Some(endpoint) = &discovered.endpoints.registration else { return Err(super::needed(settings, discovered, choice)) };
    let redirect_uri = settings.redirect_uri_of(choice.server_id);
    let method = wanted_method(&discovered.capabilities, choice);
    let body = metadata(settings, &redirect_uri, method).to_string();
    let request = HttpRequest::new(Method::POST, endpoint.target.clone())
        .with(header::ACCEPT, HeaderValue::from_static("application/json"))
        .with_body("application/json", body);
    let sent = wire::send(settings, endpoint, request, wire::ANSWER_BYTES_MAX).await;
    let answer = sent.map_err(|fault| OAuthFault::of_http(STEP, &endpoint.shown(), &fault))?;
    if wire::is_later(answer.status) {
        return Err(wire::unavailable(STEP, &endpoint.shown(), answer.status));
    }
    let json = Json::check(answer.body, &wire::ANSWER_LIMITS).ok().filter(Json::is_object);
    if !matches!(answer.status, StatusCode::CREATED | StatusCode::OK) {
        return Err(refused(endpoint, answer.status, json.as_ref()));
    }
    let Some(json) = json else { return Err(bad(endpoint, "is no strict JSON object")) };
    let read = Read { endpoint, json: &json, asked: method, redirect_uri };
    read.client(discovered)
}

/// A public client, unless only secrets are taken there; the profile may know better.
fn wanted_method(capabilities: &Capabilities, choice: Choice<'_>) -> AuthMethod {
    if let Some(method) = choice.profile.and_then(|profile| profile.auth_method) {
        return method;
    }
    match &capabilities.auth_methods {
        Some(methods) if !methods.iter().any(|method| method == "none") => super::secret_method(capabilities),
        _ => AuthMethod::None,
    }
}

struct Read<'r> {
    endpoint: &'r Address,
    json: &'r Json,
    asked: AuthMethod,
    redirect_uri: String,
}

impl Read<'_> {
    fn client(self, discovered: &Discovered) -> Result<Client, OAuthFault> {
        let client_id = self.json.text_of("client_id").unwrap_or_default().into_owned();
        if !is_client_id(&client_id) {
            return Err(bad(self.endpoint, "has no `client_id`"));
        }
        if self.json.has("redirect_uris") {
            let kept = listed::texts(self.json, "redirect_uris").unwrap_or_default();
            if !kept.contains(&self.redirect_uri) {
                return Err(bad(self.endpoint, "registers another callback than the one that was asked for"));
            }
        }
        let (proof, secret_expires_at) = self.proof()?;
        let issuer = discovered.issuer.clone();
        Ok(Client { client_id, proof, secret_expires_at, mode: Mode::Dcr, issuer, redirect_uri: self.redirect_uri })
    }

    /// The server may give another method than the one that was asked for; then it says so. A secret that no method uses is not kept.
    fn proof(&self) -> Result<(Proof, Option<Timestamp>), OAuthFault> {
        let method = match self.json.text_of("token_endpoint_auth_method") {
            None => self.asked,
            Some(word) => {
                AuthMethod::parse(&word).ok_or_else(|| bad(self.endpoint, "gives a method of authentication that is not known here"))?
            }
        };
        if method == AuthMethod::None {
            return Ok((Proof::None, None));
        }
        let secret = self.json.text_of("client_secret").unwrap_or_default();
        if !(1..=SECRET_BYTES_MAX).contains(&secret.len()) || secret.chars().any(char::is_control) {
            return Err(bad(self.endpoint, "gives no secret for the method that needs one"));
        }
        let proof = Proof::of(method, Some(SecretString::from(secret.into_owned())))
            .map_err(|_| bad(self.endpoint, "gives a method of authentication that was not asked for"))?;
        Ok((proof, self.expiry()?))
    }

    /// Seconds since the epoch; 0 for never (RFC 7591 section 3.2.1).
    fn expiry(&self) -> Result<Option<Timestamp>, OAuthFault> {
        let Some(member) = self.json.member("client_secret_expires_at").filter(|member| !member.is_null()) else { return Ok(None) };
        let seconds = member.integer().filter(|seconds| *seconds >= 0);
        let seconds = seconds.ok_or_else(|| bad(self.endpoint, "has a `client_secret_expires_at` that is no whole number of seconds"))?;
        Ok((seconds > 0).then(|| Timestamp::from_micros(seconds.saturating_mul(1_000_000))))
    }
}

fn bad(endpoint: &Address, rule: &str) -> OAuthFault {
    let message = format!("{}: the answer {rule}", endpoint.shown());
    OAuthFault::new(FaultKind::BadAnswer, STEP, message, "register an application there by hand")
}

fn refused(endpoint: &Address, status: StatusCode, json: Option<&Json>) -> OAuthFault {
    let code = json.and_then(|json| json.text_of("error").map(|code| fault::code(&code)));
    let said = code.as_deref().map_or_else(String::new, |code| format!(", `{code}`"));
    let message = format!("{}: registration was refused (status {}{said})", endpoint.shown(), status.as_u16());
    let kind = FaultKind::Refused { code: code.unwrap_or_else(|| "registration_refused".to_owned()) };
    OAuthFault::new(kind, STEP, message, "register an application there by hand")
}
