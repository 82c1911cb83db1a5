//! What the claims of every token must be: its time, its kind, its audience, its scope.

use std::time::Duration;

use bailiwick_mcp::{Json, Kind};
use bailiwick_model::{ServerName, Timestamp};

use super::Reason;
use super::issuer::{Audience, Issuer};
use super::verified::Reach;

/// How far the clocks of issuer and gateway may be apart.
const LEEWAY: Duration = Duration::from_secs(30);
/// Longest time from `iat` to `exp`, and from now to `exp`.
const LIFETIME_MAX: Duration = Duration::from_secs(24 * 3600);
/// Largest time that is read, in seconds: the end of the year 9999.
const SECONDS_MAX: u64 = 253_402_300_799;
/// Most audiences that are looked at.
const AUDIENCES_MAX: usize = 32;
/// Claims that only ID tokens (OpenID Connect Core 2, 3.1.3.6, 3.3.2.11) and security events (RFC 8417, logout tokens) have.
const OTHER_KINDS: [&str; 5] = ["nonce", "at_hash", "c_hash", "s_hash", "events"];
/// Claims in which widespread issuers name the kind, and the words for anything but an access token.
const KIND_CLAIMS: [(&str, &[&str]); 2] =
    [("typ", &["id", "refresh", "offline", "logout", "id_token", "refresh_token", "logout+jwt"]), ("token_use", &["id", "refresh"])];

/// Refuses what an issuer signs for other purposes with the same keys, and what is of no use without a proof.
pub(super) fn access_token(claims: &Json) -> Result<(), Reason> {
    if OTHER_KINDS.iter().any(|name| claims.has(name)) {
        return Err(Reason::NotAccessToken);
    }
    for (name, words) in KIND_CLAIMS {
        let Some(kind) = claims.member(name) else { continue };
        let kind = kind.string().ok_or(Reason::NotAccessToken)?;
        if words.iter().any(|word| kind.eq_ignore_ascii_case(word)) {
            return Err(Reason::NotAccessToken);
        }
    }
    // A token that is bound to a key must not pass for a bearer token (RFC 9449 section 7.2, RFC 8705 section 3).
    if claims.has("cnf") { Err(Reason::SenderConstrained) } else { Ok(()) }
}

/// Gives the time from which on the token is refused.
pub(super) fn times(claims: &Json, now: Timestamp) -> Result<Timestamp, Reason> {
    let expires = seconds(claims, "exp")?.ok_or(Reason::TimesMalformed)?;
    let (issued, begins) = (seconds(claims, "iat")?, seconds(claims, "nbf")?);
    if [issued, begins].into_iter().flatten().any(|at| at >= expires) {
        return Err(Reason::TimesMalformed);
    }
    if now >= expires.after(LEEWAY) {
        return Err(Reason::Expired);
    }
    if [issued, begins].into_iter().flatten().any(|at| at > now.after(LEEWAY)) {
        return Err(Reason::NotYetValid);
    }
    let too_long = |from: Timestamp| expires.since(from) > LIFETIME_MAX;
    if issued.is_some_and(too_long) || too_long(now.after(LEEWAY)) {
        return Err(Reason::LifetimeTooLong);
    }
    Ok(expires.after(LEEWAY))
}

/// A `NumericDate` as a whole number of seconds that is not negative; fractions and exponents are refused rather than rounded.
fn seconds(claims: &Json, name: &str) -> Result<Option<Timestamp>, Reason> {
    let Some(value) = claims.member(name) else { return Ok(None) };
    let seconds = value.unsigned().filter(|seconds| *seconds <= SECONDS_MAX).ok_or(Reason::TimesMalformed)?;
    Ok(Some(Timestamp::from_micros(0).after(Duration::from_secs(seconds))))
}

/// `aud` has one of our names exactly. The name of the whole gateway reaches all its endpoints; that of one server only its own.
pub(super) fn audience(claims: &Json, issuer: &Issuer) -> Result<Reach, Reason> {
    let given = claims.member("aud").and_then(|aud| texts(&aud, AUDIENCES_MAX)).ok_or(Reason::AudienceWrong)?;
    if given.contains(&issuer.audience.whole) {
        return Ok(Reach::Gateway);
    }
    let names: Vec<String> = given.iter().filter_map(|text| server(text, &issuer.audience)).collect();
    if names.is_empty() { Err(Reason::AudienceWrong) } else { Ok(Reach::Servers(names)) }
}

fn server(text: &str, audience: &Audience) -> Option<String> {
    let name = text.strip_prefix(audience.servers.as_deref()?)?;
    ServerName::parse(name).ok().map(|_| name.to_owned())
}

/// Every required scope is there, in `scope` (RFC 9068 section 2.2.3) or `scp`, as some issuers call it.
pub(super) fn scopes(claims: &Json, required: &[String]) -> Result<(), Reason> {
    if required.is_empty() {
        return Ok(());
    }
    let given = ["scope", "scp"].iter().find_map(|name| claims.member(name)).unwrap_or_else(|| Json::from_static("[]"));
    let listed: Vec<String> = match given.kind() {
        Kind::String => given.string().unwrap_or_default().split(' ').map(str::to_owned).collect(),
        Kind::Array => texts(&given, usize::MAX).unwrap_or_default(),
        _ => Vec::new(),
    };
    if required.iter().all(|scope| listed.contains(scope)) { Ok(()) } else { Err(Reason::ScopeMissing) }
}

/// A text, or a list of at most `max` texts and nothing else.
pub(super) fn texts(value: &Json, max: usize) -> Option<Vec<String>> {
    match value.kind() {
        Kind::String => Some(vec![value.string()?.into_owned()]),
        Kind::Array => {
            let mut all = Vec::new();
            for element in value.elements() {
                if all.len() >= max {
                    return None;
                }
                all.push(element.string()?.into_owned());
            }
            Some(all)
        }
        _ => None,
    }
}
