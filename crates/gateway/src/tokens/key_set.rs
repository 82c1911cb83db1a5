//! All keys of one issuer at one moment, found by `kid`.

use std::collections::HashMap;

use aws_lc_rs::signature::ParsedPublicKey;
use bailiwick_mcp::{Json, Kind, Limits};
use bailiwick_model::config::TokenAlgorithm;
use bytes::Bytes;
use tracing::debug;

use super::Reason;
use super::key::Key;

/// Largest answer with keys.
pub(super) const KEY_SET_BYTES_MAX: usize = 1 << 20;
/// Most keys of one issuer.
const KEYS_MAX: usize = 100;
/// Certificate chains are the deepest that sets have.
const LIMITS: Limits = Limits { bytes_max: KEY_SET_BYTES_MAX, depth_max: 8, tokens_max: 20_000 };

/// The keys, by name and algorithm. Two that cannot be told apart are both left out: neither may stand for the other.
#[derive(Default)]
pub(super) struct KeySet(HashMap<String, Vec<(TokenAlgorithm, Option<ParsedPublicKey>)>>);

impl KeySet {
    /// Reads a JWK Set (RFC 7517 section 5). Keys that cannot be used are left out.
    ///
    /// # Errors
    /// Why it is no set at all, for the operator.
    pub(super) fn read(issuer: &str, text: Bytes) -> Result<Self, String> {
        let set = Json::check(text, &LIMITS).map_err(|fault| format!("the keys are not strict JSON: {fault}"))?;
        let keys = set.member("keys").filter(|keys| keys.kind() == Kind::Array).ok_or("the keys are no JWK Set")?;
        let listed: Vec<Json> = keys.elements().take(KEYS_MAX + 1).collect();
        if listed.len() > KEYS_MAX {
            return Err(format!("there are more than {KEYS_MAX} keys"));
        }
        let mut found = Self::default();
        for (number, jwk) in listed.iter().enumerate() {
            match Key::read(jwk) {
                Ok(key) => found.add(key),
                // Keys for other purposes and of other types are usual, so this is for who looks for a reason.
                Err(cause) => debug!(issuer, number, %cause, "a key of an issuer is not used"),
            }
        }
        Ok(found)
    }

    fn add(&mut self, key: Key) {
        let named = self.0.entry(key.kid).or_default();
        for (algorithm, verifier) in key.verifiers {
            match named.iter_mut().find(|(known, _)| *known == algorithm) {
                Some((_, ambiguous)) => *ambiguous = None,
                None => named.push((algorithm, Some(verifier))),
            }
        }
    }

    pub(super) fn has(&self, kid: &str) -> bool {
        self.0.contains_key(kid)
    }

    /// Verifies with the key `kid`, which must be one for `algorithm`.
    pub(super) fn verify(&self, kid: &str, algorithm: TokenAlgorithm, signed: &[u8], signature: &[u8]) -> Result<(), Reason> {
        let named = self.0.get(kid).ok_or(Reason::KeyUnknown)?;
        let found = named.iter().find(|(known, _)| *known == algorithm).and_then(|(_, key)| key.as_ref());
        let key = found.ok_or(Reason::KeyUnfit)?;
        key.verify_sig(signed, signature).map_err(|_| Reason::SignatureWrong)
    }
}
