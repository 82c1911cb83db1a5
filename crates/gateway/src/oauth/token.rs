//! The token endpoint (RFC 6749 sections 4.1.3, 4.4, 5 and 6) and revocation (RFC 7009).
//!
//! Every request states the resource (RFC 8707), proves the client in exactly one way, follows no redirect, and is sent once: whether it is
//! sent again, and under which lease, is decided by those who keep the tokens.

mod answer;

use std::time::Duration;

use bailiwick_model::Timestamp;
use bailiwick_model::time::Random;
use data_encoding::BASE64;
use http::{HeaderValue, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use url::form_urlencoded::byte_serialize;

use super::address::Address;
use super::fault::{OAuthFault, Step};
use super::identity::{Client, Proof};
use super::wire::{self, Form};
use super::{FaultKind, Settings};
use crate::mask::Mask;

/// Longest life of an access token that is believed (security reference 10).
pub(crate) const EXPIRES_IN_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// What an assertion is (RFC 7523 section 2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Whom requests go to and as whom.
#[derive(Clone, Copy)]
pub(crate) struct Desk<'d> {
    pub(crate) settings: &'d Settings,
    /// Of the issuer that the client is for.
    pub(crate) token_endpoint: &'d Address,
    pub(crate) client: &'d Client,
    pub(crate) now: Timestamp,
    pub(crate) random: &'d dyn Random,
}

/// What was granted. Secrets are to be sealed before they are used.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) access_token: SecretString,
    /// `None`: there is none, or on refresh, the old one stays.
    pub(crate) refresh_token: Option<SecretString>,
    /// `None` when the server does not say.
    pub(crate) expires_at: Option<Timestamp>,
    /// What was granted, which the server may have changed.
    pub(crate) scopes: Vec<String>,
    /// Whether that is more than was asked for.
    pub(crate) wider: bool,
}

impl Grant {
    /// Without scopes that are a credential of this exchange: scopes are shown, and kept in clear.
    fn masked(mut self, secrets: &Mask, asked: &[String]) -> Self {
        secrets.learn([&self.access_token].into_iter().chain(&self.refresh_token).map(SecretString::expose_secret));
        self.scopes.retain(|scope| !secrets.holds(scope));
        if self.scopes.is_empty() {
            self.scopes = asked.to_vec();
        }
        self
    }
}

/// A code and what belongs to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange<'e> {
    pub(crate) code: &'e SecretString,
    pub(crate) verifier: &'e SecretString,
    /// As at the start.
    pub(crate) redirect_uri: &'e str,
    pub(crate) resource: &'e str,
    pub(crate) scopes: &'e [String],
}

/// A refresh token and what belongs to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refresh<'r> {
    pub(crate) refresh_token: &'r SecretString,
    pub(crate) resource: &'r str,
    /// As granted before; they are not sent, and stay where the answer is silent.
    pub(crate) scopes: &'r [String],
}

/// Which of two tokens is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Access,
    Refresh,
}

impl TokenKind {
    const fn hint(self) -> &'static str {
        match self {
            Self::Access => "access_token",
            Self::Refresh => "refresh_token",
        }
    }
}

/// Exchanges a code for tokens.
///
/// # Errors
/// [`OAuthFault`] of [`Step::Token`]: `InvalidGrant`, `InvalidClient`, `Refused`, `Unreachable`, `BadAnswer`, `AddressRefused`.
pub(crate) async fn exchange(desk: Desk<'_>, exchange: Exchange<'_>) -> Result<Grant, OAuthFault> {
    let form = Form::new()
        .with("grant_type", "authorization_code")
        .with_secret("code", exchange.code)
        .with("redirect_uri", exchange.redirect_uri)
        .with_secret("code_verifier", exchange.verifier)
        .with("resource", exchange.resource);
    desk.grant(form, Step::Token, exchange.scopes).await
}

/// Exchanges a refresh token for new tokens. After `Unreachable` with `sent`, and after `BadAnswer`, the old refresh token may be used up.
///
/// # Errors
/// [`OAuthFault`] of [`Step::Refresh`], as [`exchange`].
pub(crate) async fn refresh(desk: Desk<'_>, refresh: Refresh<'_>) -> Result<Grant, OAuthFault> {
    let form = Form::new()
        .with("grant_type", "refresh_token")
        .with_secret("refresh_token", refresh.refresh_token)
        .with("resource", refresh.resource);
    desk.grant(form, Step::Refresh, refresh.scopes).await
}

/// Tokens for the client itself (protocol reference 7.5).
///
/// # Errors
/// [`OAuthFault`] of [`Step::Token`], as [`exchange`]; `BadInput` for a client without secret and key.
pub(crate) async fn client_credentials(desk: Desk<'_>, resource: &str, scopes: &[String]) -> Result<Grant, OAuthFault> {
    if matches!(desk.client.proof, Proof::None) {
        let message = "client credentials need a client with a secret or a key";
        return Err(OAuthFault::new(FaultKind::BadInput, Step::Token, message, "register a confidential client"));
    }
    let form = Form::new().with("grant_type", "client_credentials").with_scopes(scopes).with("resource", resource);
    desk.grant(form, Step::Token, scopes).await
}

/// Revokes a token at `endpoint`. A server that does not know the token answers as if it had revoked it (RFC 7009 section 2.2).
///
/// # Errors
/// [`OAuthFault`] of [`Step::Revocation`], as [`exchange`].
pub(crate) async fn revoke(desk: Desk<'_>, endpoint: &Address, kind: TokenKind, token: &SecretString) -> Result<(), OAuthFault> {
    let form = Form::new().with_secret("token", token).with("token_type_hint", kind.hint());
    let secrets = desk.secrets(&form);
    let answer = desk.post(endpoint, form, Step::Revocation).await?;
    if answer.status == StatusCode::OK || answer.status == StatusCode::NO_CONTENT {
        return Ok(());
    }
    Err(answer::refusal(Step::Revocation, &endpoint.shown(), &answer).masked(&secrets))
}

impl Desk<'_> {
    async fn grant(self, form: Form, step: Step, asked: &[String]) -> Result<Grant, OAuthFault> {
        let secrets = self.secrets(&form);
        let answer = self.post(self.token_endpoint, form, step).await?;
        let grant = answer::read(step, &self.token_endpoint.shown(), &answer, asked, self.now);
        grant.map(|grant| grant.masked(&secrets, asked)).map_err(|fault| fault.masked(&secrets))
    }

    /// What is sent with `form` and must not come back in anything that is shown or kept in clear.
    fn secrets(self, form: &Form) -> Mask {
        let mask = Mask::default();
        let own = self.client.proof.secret();
        mask.learn(form.secrets().iter().chain(own).map(SecretString::expose_secret));
        mask
    }

    async fn post(self, endpoint: &Address, form: Form, step: Step) -> Result<bailiwick_modules::egress::HttpAnswer, OAuthFault> {
        let client_id = self.client.client_id.as_str();
        let (form, authorization) = match &self.client.proof {
            Proof::None => (form.with("client_id", client_id), None),
            Proof::Post(secret) => (form.with("client_id", client_id).with_secret("client_secret", secret), None),
            Proof::Basic(secret) => (form, Some(basic(client_id, secret, step)?)),
            Proof::Key(key) => {
                let assertion = key.assertion(client_id, &self.client.issuer, self.now, self.random)?;
                let form = form.with("client_id", client_id).with("client_assertion_type", ASSERTION_TYPE);
                (form.with_secret("client_assertion", &assertion), None)
            }
        };
        let mut request = form.request(endpoint);
        if let Some(value) = authorization {
            request = request.with(header::AUTHORIZATION, value);
        }
        let answer = wire::send(self.settings, endpoint, request, wire::ANSWER_BYTES_MAX).await;
        let answer = answer.map_err(|fault| OAuthFault::of_http(step, &endpoint.shown(), &fault))?;
        if wire::is_later(answer.status) { Err(wire::unavailable(step, &endpoint.shown(), answer.status)) } else { Ok(answer) }
    }
}

/// Both parts are form-encoded first (RFC 6749 section 2.3.1).
fn basic(client_id: &str, secret: &SecretString, step: Step) -> Result<HeaderValue, OAuthFault> {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(client_id), encoded(secret.expose_secret()));
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64.encode(pair.as_bytes())))
        .map_err(|_| OAuthFault::new(FaultKind::BadInput, step, "the client's secret cannot be sent", "register the client anew"))?;
    value.set_sensitive(true);
    Ok(value)
}
