//! One public key of a JWK Set (RFC 7517, RFC 7518 section 6, RFC 8037): parsed once, for exactly the algorithms it may be used with.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters,
    RsaPublicKeyComponents,
};
use bailiwick_mcp::Json;
use bailiwick_model::config::TokenAlgorithm;
use data_encoding::BASE64URL_NOPAD;

/// Bits of an RSA modulus.
const RSA_BITS_MIN: usize = 2_048;
const RSA_BITS_MAX: usize = 8_192;
/// Bytes of an RSA exponent.
const RSA_EXPONENT_BYTES_MAX: usize = 4;
/// Longest `kid` of a key.
const KID_BYTES_MAX: usize = 256;
/// Members of private and symmetric keys. Who publishes them has no secret left.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A key under the algorithms it is for: its own `alg`, or all that fit its type.
pub(super) struct Key {
    pub(super) kid: String,
    pub(super) verifiers: Vec<(TokenAlgorithm, ParsedPublicKey)>,
}

/// Why a key of a set is not used; for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unfit(pub(super) &'static str);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Key {
    pub(super) fn read(jwk: &Json) -> Result<Self, Unfit> {
        let kid = jwk.text_of("kid").filter(|kid| (1..=KID_BYTES_MAX).contains(&kid.len())).ok_or(Unfit("it has no `kid`"))?;
        if PRIVATE.iter().any(|name| jwk.has(name)) {
            return Err(Unfit("its private part is published"));
        }
        is_for_signatures(jwk)?;
        let algorithms = algorithms(jwk)?;
        let verifiers: Result<Vec<_>, Unfit> = algorithms.into_iter().map(|algorithm| Ok((algorithm, verifier(jwk, algorithm)?))).collect();
        Ok(Self { kid: kid.into_owned(), verifiers: verifiers? })
    }
}

/// `use` and `key_ops`, where they are there, allow to verify (RFC 7517 sections 4.2 and 4.3).
fn is_for_signatures(jwk: &Json) -> Result<(), Unfit> {
    if jwk.member("use").is_some_and(|purpose| purpose.string().as_deref() != Some("sig")) {
        return Err(Unfit("its `use` is not `sig`"));
    }
    if jwk.member("key_ops").is_some_and(|all| !all.elements().any(|one| one.string().as_deref() == Some("verify"))) {
        return Err(Unfit("its `key_ops` do not allow to verify"));
    }
    Ok(())
}

/// The algorithms that fit type and curve, narrowed to the key's own `alg`.
fn algorithms(jwk: &Json) -> Result<Vec<TokenAlgorithm>, Unfit> {
    let curve = jwk.text_of("crv");
    let fitting: &[TokenAlgorithm] = match (jwk.text_of("kty").as_deref(), curve.as_deref()) {
        (Some("RSA"), None) => &[TokenAlgorithm::Rs256, TokenAlgorithm::Ps256],
        (Some("EC"), Some("P-256")) => &[TokenAlgorithm::Es256],
        (Some("OKP"), Some("Ed25519")) => &[TokenAlgorithm::EdDsa, TokenAlgorithm::Ed25519],
        _ => return Err(Unfit("its type or curve is not used here")),
    };
    let Some(own) = jwk.member("alg") else { return Ok(fitting.to_vec()) };
    let own = own.string().and_then(|text| TokenAlgorithm::parse(&text)).filter(|own| fitting.contains(own));
    own.map(|own| vec![own]).ok_or(Unfit("its `alg` is not used here, or does not fit its type"))
}

fn verifier(jwk: &Json, algorithm: TokenAlgorithm) -> Result<ParsedPublicKey, Unfit> {
    match algorithm {
        TokenAlgorithm::Rs256 => rsa(jwk, &RSA_PKCS1_2048_8192_SHA256),
        TokenAlgorithm::Ps256 => rsa(jwk, &RSA_PSS_2048_8192_SHA256),
        TokenAlgorithm::Es256 => {
            let mut point = vec![4];
            point.extend(coordinate(jwk, "x")?);
            point.extend(coordinate(jwk, "y")?);
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| Unfit("it is no point of its curve"))
        }
        TokenAlgorithm::EdDsa | TokenAlgorithm::Ed25519 => {
            ParsedPublicKey::new(&ED25519, coordinate(jwk, "x")?).map_err(|_| Unfit("it is no Ed25519 key"))
        }
    }
}

fn rsa(jwk: &Json, parameters: &'static RsaParameters) -> Result<ParsedPublicKey, Unfit> {
    let (n, e) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
    let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
    if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
        return Err(Unfit("its modulus is shorter than 2048 or longer than 8192 bits"));
    }
    // Below 3 a signature proves nothing, and an even exponent is none.
    let odd = e.last().is_some_and(|last| last % 2 == 1);
    if !odd || e == [1] || e.len() > RSA_EXPONENT_BYTES_MAX {
        return Err(Unfit("its exponent is not a usual one"));
    }
    RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).map_err(|_| Unfit("it is no RSA key"))
}

fn coordinate(jwk: &Json, name: &str) -> Result<[u8; 32], Unfit> {
    let text = jwk.text_of(name).ok_or(Unfit("a coordinate is missing"))?;
    let decoded = BASE64URL_NOPAD.decode(text.as_bytes()).ok();
    decoded.and_then(|bytes| bytes.try_into().ok()).ok_or(Unfit("a coordinate is not 32 bytes"))
}

/// A number without leading zeros (RFC 7518 section 2, Base64urlUInt).
fn bytes(jwk: &Json, name: &str) -> Result<Vec<u8>, Unfit> {
    let text = jwk.text_of(name).ok_or(Unfit("a number is missing"))?;
    let decoded = BASE64URL_NOPAD.decode(text.as_bytes()).ok();
    decoded.filter(|bytes| bytes.first().is_some_and(|first| *first != 0)).ok_or(Unfit("a number is not in its shortest form"))
}
