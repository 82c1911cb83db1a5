//! The order of the checks: form, issuer, algorithm, key, signature, and only then what the claims say.

use bailiwick_model::Timestamp;

use super::decode::{Decoded, decode};
use super::issuer::Issuer;
use super::refusal::{Reason, Refusal};
use super::verified::Verified;
use super::{Fingerprint, identity, rules};

/// Gives the number of the issuer, the generation of the keys that were used, and what the token says.
pub(super) async fn verify(
    issuers: &[Issuer],
    token: &str,
    fingerprint: Fingerprint,
    now: Timestamp,
) -> Result<(usize, u64, Verified), Refusal> {
    let refused = |reason| Refusal { reason, fingerprint, scopes: Vec::new() };
    let decoded = decode(token).map_err(refused)?;
    let (number, issuer) = issuer_of(issuers, &decoded).map_err(refused)?;
    let generation = signed(issuer, &decoded, now).await.map_err(refused)?;
    let verified = claimed(issuer, &decoded, fingerprint, now).map_err(|reason| {
        let scopes = if reason == Reason::ScopeMissing { issuer.config.scopes_required.clone() } else { Vec::new() };
        Refusal { reason, fingerprint, scopes }
    })?;
    Ok((number, generation, verified))
}

/// `iss` as an exact string: no slash, letter case or encoding is forgiven (RFC 9207 section 2.4 compares it so too).
fn issuer_of<'i>(issuers: &'i [Issuer], decoded: &Decoded<'_>) -> Result<(usize, &'i Issuer), Reason> {
    let named = decoded.claims.text_of("iss").ok_or(Reason::IssuerUnknown)?;
    issuers.iter().enumerate().find(|(_, issuer)| issuer.config.issuer == *named).ok_or(Reason::IssuerUnknown)
}

/// The signature, by a key that the issuer has now.
async fn signed(issuer: &Issuer, decoded: &Decoded<'_>, now: Timestamp) -> Result<u64, Reason> {
    if !issuer.config.algorithms.contains(&decoded.algorithm) {
        return Err(Reason::AlgorithmRefused);
    }
    if !decoded.typed && !issuer.config.allow_untyped {
        return Err(Reason::TypeRefused);
    }
    let held = issuer.keys.with(&decoded.kid, now).await?;
    held.keys.verify(&decoded.kid, decoded.algorithm, decoded.signed, &decoded.signature)?;
    Ok(held.generation)
}

fn claimed(issuer: &Issuer, decoded: &Decoded<'_>, fingerprint: Fingerprint, now: Timestamp) -> Result<Verified, Reason> {
    let claims = &decoded.claims;
    rules::access_token(claims)?;
    let expires_at = rules::times(claims, now)?;
    let reach = rules::audience(claims, issuer)?;
    rules::scopes(claims, &issuer.config.scopes_required)?;
    identity::read(claims, issuer, identity::Token { expires_at, reach, fingerprint })
}
