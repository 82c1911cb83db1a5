//! What a token endpoint answers, held against the rules of security reference 10.

use std::time::Duration;

use bailiwick_mcp::Json;
use bailiwick_model::Timestamp;
use bailiwick_modules::egress::HttpAnswer;
use http::StatusCode;
use secrecy::SecretString;

use super::{EXPIRES_IN_MAX, Grant};
use crate::oauth::fault::{self, OAuthFault, Step};
use crate::oauth::{FaultKind, scope, wire};

/// Longest token; the whole answer is not longer.
const TOKEN_BYTES_MAX: usize = wire::ANSWER_BYTES_MAX;
/// Words of single providers for `invalid_grant` (GitHub, Slack).
const GRANT_WORDS: [&str; 7] = [
    "invalid_grant",
    "bad_verification_code",
    "bad_refresh_token",
    "invalid_code",
    "code_already_used",
    "invalid_refresh_token",
    "token_revoked",
];
/// Words of single providers for `invalid_client`.
const CLIENT_WORDS: [&str; 4] = ["invalid_client", "incorrect_client_credentials", "bad_client_secret", "invalid_client_id"];
/// Words that say "later", whatever the status.
const LATER_WORDS: [&str; 2] = ["server_error", "temporarily_unavailable"];

/// Reads tokens.
///
/// # Errors
/// What the server refuses with, or the rule that its answer breaks.
pub(super) fn read(step: Step, place: &str, answer: &HttpAnswer, asked: &[String], now: Timestamp) -> Result<Grant, OAuthFault> {
    let bad = |rule: &str| bad(step, place, rule);
    if answer.status != StatusCode::OK {
        return Err(refusal(step, place, answer));
    }
    let json = Json::check(answer.body.clone(), &wire::ANSWER_LIMITS).ok().filter(Json::is_object);
    let json = json.ok_or_else(|| bad("is no strict JSON object"))?;
    // Some providers refuse with status 200.
    if json.has("error") {
        return Err(refusal(step, place, answer));
    }
    let kind = json.text_of("token_type").ok_or_else(|| bad("has no `token_type`"))?;
    if !kind.eq_ignore_ascii_case("bearer") {
        return Err(bad("brings a token that is no bearer token"));
    }
    let access_token = token(&json, "access_token").map_err(bad)?.ok_or_else(|| bad("has no `access_token`"))?;
    let refresh_token = token(&json, "refresh_token").map_err(bad)?;
    let expires_at = lifetime(&json).map_err(bad)?.map(|span| now.after(span));
    let scopes = granted(&json, asked).map_err(bad)?;
    let wider = !asked.is_empty() && scopes.iter().any(|one| !asked.contains(one));
    Ok(Grant { access_token, refresh_token, expires_at, scopes, wider })
}

/// A token goes into a header: visible ASCII only.
fn token(json: &Json, member: &str) -> Result<Option<SecretString>, &'static str> {
    let Some(value) = json.member(member).filter(|value| !value.is_null()) else { return Ok(None) };
    let text = value.string().ok_or("brings a token that is no text")?;
    if text.is_empty() && member == "refresh_token" {
        return Ok(None);
    }
    if !(1..=TOKEN_BYTES_MAX).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("brings a token that is empty or holds signs that no header can");
    }
    Ok(Some(SecretString::from(text.into_owned())))
}

/// Whole seconds, as number or as text; at most [`EXPIRES_IN_MAX`], at least none.
fn lifetime(json: &Json) -> Result<Option<Duration>, &'static str> {
    const RULE: &str = "has an `expires_in` that is no number of seconds";
    let Some(value) = json.member("expires_in").filter(|value| !value.is_null()) else { return Ok(None) };
    let spelled = value.number_text().map(str::to_owned).or_else(|| value.string().map(std::borrow::Cow::into_owned)).ok_or(RULE)?;
    let (negative, digits) = spelled.strip_prefix('-').map_or((false, spelled.as_str()), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return Err(RULE);
    }
    // What does not fit is longer than anything that is believed.
    let seconds = if negative { 0 } else { whole.parse().unwrap_or(u64::MAX) };
    Ok(Some(Duration::from_secs(seconds).min(EXPIRES_IN_MAX)))
}

/// A server that says nothing granted what was asked (RFC 6749 section 5.1).
fn granted(json: &Json, asked: &[String]) -> Result<Vec<String>, &'static str> {
    let Some(value) = json.member("scope").filter(|value| !value.is_null()) else { return Ok(asked.to_vec()) };
    let text = value.string().ok_or("has a `scope` that is no text")?;
    let found = scope::parse_granted(&text).ok_or("has a `scope` that is no list of scopes")?;
    Ok(if found.is_empty() { asked.to_vec() } else { found })
}

/// An answer that is no grant, in the words that matter (RFC 6749 section 5.2).
pub(super) fn refusal(step: Step, place: &str, answer: &HttpAnswer) -> OAuthFault {
    let status = answer.status.as_u16();
    let json = Json::check(answer.body.clone(), &wire::ANSWER_LIMITS).ok();
    let Some(word) = json.as_ref().and_then(|json| json.text_of("error")) else {
        let what = if answer.status.is_redirection() { "redirects, which is not followed" } else { "is no answer of OAuth" };
        return bad(step, place, &format!("{what} (status {status})"));
    };
    let word = fault::code(&word);
    let message = format!("{place} refuses with `{word}` (status {status})");
    let known = |words: &[&str]| words.contains(&word.as_str());
    let (kind, remedy) = if known(&GRANT_WORDS) {
        (FaultKind::InvalidGrant, "authorize the connection again")
    } else if known(&CLIENT_WORDS) {
        (FaultKind::InvalidClient, "check `client_id` and `client_secret`, or register the client anew")
    } else if known(&LATER_WORDS) {
        (FaultKind::NotNow, "try again later")
    } else {
        let remedy =
            if word == "invalid_scope" { "correct `scopes` of the server" } else { "look at what the server's operator says about it" };
        (FaultKind::Refused { code: word }, remedy)
    };
    OAuthFault::new(kind, step, message, remedy)
}

fn bad(step: Step, place: &str, rule: &str) -> OAuthFault {
    OAuthFault::new(FaultKind::BadAnswer, step, format!("{place}: the answer {rule}"), "tell the operator of the authorization server")
}
