//! The address that a person opens to let us in (RFC 6749 section 4.1.1, RFC 7636, RFC 8707).

use aws_lc_rs::digest::{SHA256, digest};
use bailiwick_model::time::Random;
use data_encoding::BASE64URL_NOPAD;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::FaultKind;
use super::discover::{Discovered, Pkce};
use super::fault::{OAuthFault, Step};
use super::identity::Client;
use super::profiles::Profile;
use super::scope;

const STEP: Step = Step::Authorization;
/// 256 bits, of `state` and of the verifier.
const SECRET_BYTES: usize = 32;
/// Most parameters that an operator adds, and their longest name and value (governance reference 5.2).
pub(crate) const EXTRA_PARAMS_MAX: usize = 16;
pub(crate) const EXTRA_CHARS_MAX: usize = 256;
/// Longest address that is made.
const URL_BYTES_MAX: usize = 8_192;
/// What is ours, and nobody else's (governance reference 5.2).
pub(crate) const RESERVED: [&str; 14] = [
    "response_type",
    "response_mode",
    "client_id",
    "client_secret",
    "redirect_uri",
    "state",
    "scope",
    "resource",
    "code",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "request",
    "request_uri",
];
/// The scope that asks for a refresh token (OpenID Connect Core 1.0 section 11).
const OFFLINE: &str = "offline_access";

/// What an authorization begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start<'s> {
    pub(crate) discovered: &'s Discovered,
    pub(crate) client: &'s Client,
    /// As an operator set them; empty for not at all.
    pub(crate) configured: &'s [String],
    /// As the server's challenge named them.
    pub(crate) challenged: Option<&'s [String]>,
    /// Those of a step-up, which come before all others: [`super::step_up::scopes`].
    pub(crate) step_up: Option<&'s [String]>,
    pub(crate) profile: Option<&'s Profile>,
    /// As an operator set them.
    pub(crate) extra: &'s [(String, String)],
}

/// An authorization that waits for its person. `state` goes into a row as its hash, `verifier` sealed.
#[derive(Clone, Debug)]
pub(crate) struct Started {
    /// Holds `state`, so it is for that person's eyes only.
    pub(crate) url: SecretString,
    pub(crate) state: SecretString,
    pub(crate) verifier: SecretString,
    /// What was asked for; empty when nothing was said about it.
    pub(crate) scopes: Vec<String>,
    pub(crate) resource: String,
    pub(crate) issuer: String,
    /// Whether a callback without `iss` is refused.
    pub(crate) iss_required: bool,
    pub(crate) redirect_uri: String,
}

/// Makes the address.
///
/// # Errors
/// `PkceMissing`; `IssuerMismatch` when the client is another issuer's; `BadInput` for parameters that are ours; `BadAnswer` when the endpoint
/// itself has such.
pub(crate) fn start(start: Start<'_>, random: &dyn Random) -> Result<Started, OAuthFault> {
    let Start { discovered, client, profile, .. } = start;
    check_pkce(discovered)?;
    if client.issuer != discovered.issuer {
        let message = "the server names another authorization server than the one that knows the client";
        return Err(OAuthFault::new(
            FaultKind::IssuerMismatch,
            STEP,
            message,
            "register a client at the new one, and drop the tokens of the old",
        ));
    }
    let mut url = endpoint(discovered)?;
    let (state, verifier) = (secret(random), secret(random));
    let scopes = scopes(start);
    let challenge = challenge_of(&verifier);
    let ours = [
        ("response_type", "code"),
        ("client_id", client.client_id.as_str()),
        ("redirect_uri", client.redirect_uri.as_str()),
        ("state", state.expose_secret()),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
        ("resource", discovered.resource.as_str()),
    ];
    for (name, value) in ours {
        url.query_pairs_mut().append_pair(name, value);
    }
    if !scopes.is_empty() {
        url.query_pairs_mut().append_pair("scope", &scopes.join(" "));
    }
    for (name, value) in extra(start.extra, profile)? {
        url.query_pairs_mut().append_pair(name, value);
    }
    if url.as_str().len() > URL_BYTES_MAX {
        let message = format!("the address would be longer than {URL_BYTES_MAX} bytes");
        return Err(OAuthFault::new(FaultKind::Limit, STEP, message, "ask for fewer scopes, or add fewer parameters"));
    }
    Ok(Started {
        url: SecretString::from(String::from(url)),
        state,
        verifier,
        scopes,
        resource: discovered.resource.clone(),
        issuer: discovered.issuer.clone(),
        iss_required: discovered.capabilities.iss_in_callback,
        redirect_uri: client.redirect_uri.clone(),
    })
}

/// S256 has to be promised (security reference 10).
///
/// # Errors
/// `PkceMissing`.
pub(super) fn check_pkce(discovered: &Discovered) -> Result<(), OAuthFault> {
    if discovered.capabilities.pkce != Pkce::Missing {
        return Ok(());
    }
    let message = format!("{} does not say in its metadata that it checks PKCE with S256", discovered.issuer);
    let remedy = "its operator has to list S256 in `code_challenge_methods_supported`; without it a stolen code is enough to get in";
    Err(OAuthFault::new(FaultKind::PkceMissing, STEP, message, remedy))
}

/// A query of the endpoint's own stays (RFC 6749 section 3.1), but may not say what is ours.
fn endpoint(discovered: &Discovered) -> Result<Url, OAuthFault> {
    let bad = |what: &str| {
        OAuthFault::new(FaultKind::BadAnswer, STEP, what, "the operator of the authorization server has to correct its metadata")
    };
    let url = Url::parse(discovered.endpoints.authorization.as_str()).map_err(|_| bad("the authorization endpoint is no address"))?;
    if url.query_pairs().any(|(name, _)| is_reserved(&name)) {
        return Err(bad("the authorization endpoint brings parameters that are the client's"));
    }
    Ok(url)
}

/// Governance reference 6.3: as configured, as challenged, as the server lists them, as the profile knows them, or none.
fn scopes(start: Start<'_>) -> Vec<String> {
    let profile = start.profile;
    if profile.is_some_and(|profile| profile.omit_scope) {
        return Vec::new();
    }
    let offered = start.discovered.capabilities.scopes.as_ref().is_some_and(|scopes| scopes.iter().any(|one| one == OFFLINE));
    let listed = start.discovered.scopes.as_deref();
    let defaults = profile.map(|profile| profile.scopes.as_slice());
    let decided = [start.step_up.unwrap_or_default(), start.configured].into_iter().find(|scopes| !scopes.is_empty());
    let given = [decided, start.challenged, listed, defaults].into_iter().flatten().find(|scopes| !scopes.is_empty());
    let given = given.unwrap_or_default();
    let mut scopes: Vec<String> = given.iter().filter(|one| *one != OFFLINE).take(scope::SCOPES_MAX).cloned().collect();
    let asked = given.iter().any(|one| one == OFFLINE);
    // A gateway works while its people sleep, so it takes a refresh token where one is offered. Who configured scopes has decided.
    if offered && (asked || decided.is_none() && !scopes.is_empty()) {
        scopes.push(OFFLINE.to_owned());
    }
    scopes
}

/// The profile's parameters, those of the operator in their place where both have one.
fn extra<'e>(own: &'e [(String, String)], profile: Option<&'e Profile>) -> Result<Vec<(&'e str, &'e str)>, OAuthFault> {
    let bad = |message: String| OAuthFault::new(FaultKind::BadInput, STEP, message, "correct `extra_auth_params`");
    if own.len() > EXTRA_PARAMS_MAX {
        return Err(bad(format!("there are more than {EXTRA_PARAMS_MAX} extra parameters")));
    }
    let mut all: Vec<(&str, &str)> = Vec::new();
    for (name, value) in own {
        if is_reserved(name) {
            return Err(bad("an extra parameter has a name that is the gateway's own".to_owned()));
        }
        let fits = |text: &str| text.chars().count() <= EXTRA_CHARS_MAX && !text.chars().any(char::is_control);
        if name.is_empty() || !fits(name) || !fits(value) {
            return Err(bad(format!("an extra parameter is empty, longer than {EXTRA_CHARS_MAX} characters or not printable")));
        }
        if all.iter().any(|(known, _)| known == name) {
            return Err(bad("an extra parameter is there twice".to_owned()));
        }
        all.push((name, value));
    }
    let of_profile = profile.into_iter().flat_map(|profile| &profile.extra_params);
    let missing: Vec<_> = of_profile.filter(|(name, _)| !own.iter().any(|(known, _)| known == *name)).collect();
    all.extend(missing.into_iter().map(|(name, value)| (name.as_str(), value.as_str())));
    Ok(all)
}

/// Whether a parameter is ours, however it is spelled.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|reserved| name.trim().eq_ignore_ascii_case(reserved))
}

fn secret(random: &dyn Random) -> SecretString {
    let mut bytes = [0; SECRET_BYTES];
    random.fill(&mut bytes);
    SecretString::from(BASE64URL_NOPAD.encode(&bytes))
}

/// RFC 7636 section 4.2.
fn challenge_of(verifier: &SecretString) -> String {
    BASE64URL_NOPAD.encode(digest(&SHA256, verifier.expose_secret().as_bytes()).as_ref())
}
