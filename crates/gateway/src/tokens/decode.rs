//! A token taken apart: three parts of canonical base64url, strict JSON in two of them (RFC 7515, RFC 8725 section 3).
//!
//! Nothing here is believed: the header only says which of the configured algorithms and which of the issuer's own keys to try. `jku`,
//! `jwk`, `x5u` and `x5c` are not even read.

use bailiwick_mcp::{Json, Limits};
use bailiwick_model::config::TokenAlgorithm;
use data_encoding::BASE64URL_NOPAD;

use super::Reason;

/// Longest token that is looked at.
pub(super) const TOKEN_BYTES_MAX: usize = 8 << 10;
/// Longest `kid`.
const KID_BYTES_MAX: usize = 256;
/// Header and claims. Deep or crowded JSON is nothing that an issuer makes.
const LIMITS: Limits = Limits { bytes_max: TOKEN_BYTES_MAX, depth_max: 8, tokens_max: 2_000 };
/// What a header must not have: extensions that have to be understood, compression, unencoded payloads, encryption, nesting.
const HEADER_REFUSED: [&str; 5] = ["crit", "zip", "b64", "enc", "cty"];
/// Types of access tokens (RFC 9068 section 2.1, RFC 7519 section 5.1), without `application/`.
const TYPES: [&str; 2] = ["at+jwt", "jwt"];

/// A token in its parts; the signature is not verified.
pub(super) struct Decoded<'t> {
    pub(super) algorithm: TokenAlgorithm,
    pub(super) kid: String,
    /// Whether the header has a `typ`; one that is there is that of an access token.
    pub(super) typed: bool,
    pub(super) claims: Json,
    /// What is signed.
    pub(super) signed: &'t [u8],
    pub(super) signature: Vec<u8>,
}

pub(super) fn decode(token: &str) -> Result<Decoded<'_>, Reason> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Reason::TooLarge);
    }
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(Reason::Malformed);
    };
    let signed = token.as_bytes().get(..header.len() + 1 + claims.len()).ok_or(Reason::Malformed)?;
    let header = object(header)?;
    if HEADER_REFUSED.iter().any(|name| header.has(name)) {
        return Err(Reason::HeaderRefused);
    }
    let algorithm = header.text_of("alg").ok_or(Reason::AlgorithmRefused)?;
    let algorithm = TokenAlgorithm::parse(&algorithm).ok_or(Reason::AlgorithmRefused)?;
    let typed = typed(&header)?;
    let kid = kid(&header)?;
    let signature = base64(signature)?;
    Ok(Decoded { algorithm, kid, typed, claims: object(claims)?, signed, signature })
}

fn typed(header: &Json) -> Result<bool, Reason> {
    let Some(given) = header.member("typ") else { return Ok(false) };
    let given = given.string().ok_or(Reason::TypeRefused)?.to_ascii_lowercase();
    let given = given.strip_prefix("application/").unwrap_or(&given);
    if TYPES.contains(&given) { Ok(true) } else { Err(Reason::TypeRefused) }
}

/// Keys are found by name alone. To try whatever key is there would let a token choose.
fn kid(header: &Json) -> Result<String, Reason> {
    let kid = header.text_of("kid").ok_or(Reason::KeyUnnamed)?;
    if kid.is_empty() || kid.len() > KID_BYTES_MAX || kid.chars().any(char::is_control) {
        return Err(Reason::KeyUnnamed);
    }
    Ok(kid.into_owned())
}

fn object(part: &str) -> Result<Json, Reason> {
    let json = Json::check(base64(part)?.into(), &LIMITS).map_err(|_| Reason::Malformed)?;
    if json.is_object() { Ok(json) } else { Err(Reason::Malformed) }
}

/// Without padding, blanks and stray bits, so that one token has one spelling.
fn base64(part: &str) -> Result<Vec<u8>, Reason> {
    if part.is_empty() {
        return Err(Reason::Malformed);
    }
    BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| Reason::Malformed)
}
