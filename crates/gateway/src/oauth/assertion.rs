//! A client that proves itself with a key (RFC 7523 section 2.2, RFC 7518 section 3.4, RFC 8037).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use bailiwick_model::Timestamp;
use bailiwick_model::time::Random;
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::FaultKind;
use super::fault::{OAuthFault, Step};

/// Largest key.
const PEM_BYTES_MAX: usize = 8 << 10;
/// How long an assertion holds: it is used at once.
const LIFETIME_SECONDS: i64 = 60;
/// Clocks differ.
const BACKDATED_SECONDS: i64 = 5;

/// An EC (P-256) or Ed25519 private key and its name at the authorization server. Clones share the key.
#[derive(Clone)]
pub(crate) struct ClientKey {
    kid: Option<String>,
    key: Arc<Pair>,
}

enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl ClientKey {
    /// Reads a private key, PKCS #8 in PEM (`-----BEGIN PRIVATE KEY-----`).
    ///
    /// # Errors
    /// `BadInput` for anything else; the text is not repeated.
    pub(crate) fn from_pem(pem: &SecretString, kid: Option<String>) -> Result<Self, OAuthFault> {
        let bad = || {
            let message = "the client key is no EC (P-256) or Ed25519 private key in PKCS #8 and PEM";
            OAuthFault::new(FaultKind::BadInput, Step::Registration, message, "make one with `openssl genpkey -algorithm ed25519`")
        };
        let text = pem.expose_secret();
        let inner = text.trim().strip_prefix("-----BEGIN PRIVATE KEY-----").and_then(|rest| rest.strip_suffix("-----END PRIVATE KEY-----"));
        let inner = inner.filter(|_| text.len() <= PEM_BYTES_MAX).ok_or_else(bad)?;
        let packed: String = inner.split_ascii_whitespace().collect();
        let der = BASE64.decode(packed.as_bytes()).map_err(|_| bad())?;
        let key = match EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der) {
            Ok(key) => Pair::Es256(key),
            Err(_) => Pair::EdDsa(
                Ed25519KeyPair::from_pkcs8(&der).or_else(|_| Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)).map_err(|_| bad())?,
            ),
        };
        Ok(Self { kid, key: Arc::new(key) })
    }

    /// An assertion for the authorization server `issuer`, good for one minute.
    ///
    /// # Errors
    /// `BadInput` when the key cannot sign.
    pub(super) fn assertion(&self, client_id: &str, issuer: &str, now: Timestamp, random: &dyn Random) -> Result<SecretString, OAuthFault> {
        let mut id = [0; 16];
        random.fill(&mut id);
        let seconds = now.as_micros().div_euclid(1_000_000);
        let mut header = json!({ "alg": self.algorithm(), "typ": "JWT" });
        if let Some(kid) = &self.kid {
            header["kid"] = kid.as_str().into();
        }
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": issuer, "jti": HEXLOWER.encode(&id),
            "iat": seconds - BACKDATED_SECONDS, "exp": seconds + LIFETIME_SECONDS,
        });
        let part = |json: serde_json::Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self
            .sign(signed.as_bytes())
            .ok_or_else(|| OAuthFault::new(FaultKind::BadInput, Step::Token, "the client key cannot sign", "set another key"))?;
        Ok(SecretString::from(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))))
    }

    fn algorithm(&self) -> &'static str {
        match *self.key {
            Pair::Es256(_) => "ES256",
            Pair::EdDsa(_) => "EdDSA",
        }
    }

    fn sign(&self, signed: &[u8]) -> Option<Vec<u8>> {
        match &*self.key {
            Pair::Es256(key) => key.sign(&SystemRandom::new(), signed).ok().map(|signature| signature.as_ref().to_vec()),
            Pair::EdDsa(key) => Some(key.sign(signed).as_ref().to_vec()),
        }
    }
}
