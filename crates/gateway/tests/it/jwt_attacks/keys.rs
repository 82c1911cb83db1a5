//! Keys of the issuers and of the attacker, made anew in each process.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

fn rsa() -> RsaKeyPair {
    RsaKeyPair::generate(KeySize::Rsa2048).unwrap()
}

fn ec() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

pub(crate) static RSA: LazyLock<RsaKeyPair> = LazyLock::new(rsa);
pub(crate) static EC: LazyLock<EcdsaKeyPair> = LazyLock::new(ec);
pub(crate) static EC384: LazyLock<EcdsaKeyPair> = LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap());
pub(crate) static ED: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());
/// Of the issuers `partner` and `narrow`.
pub(crate) static PARTNER: LazyLock<RsaKeyPair> = LazyLock::new(rsa);
pub(crate) static NARROW: LazyLock<EcdsaKeyPair> = LazyLock::new(ec);
/// Of nobody that is trusted.
pub(crate) static FOREIGN: LazyLock<RsaKeyPair> = LazyLock::new(rsa);
pub(crate) static FOREIGN_EC: LazyLock<EcdsaKeyPair> = LazyLock::new(ec);
pub(crate) static FOREIGN_ED: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

/// How a token is signed.
#[derive(Clone)]
pub(crate) enum Signer {
    Rs256(&'static RsaKeyPair),
    Rs384(&'static RsaKeyPair),
    Rs512(&'static RsaKeyPair),
    Ps256(&'static RsaKeyPair),
    Ps512(&'static RsaKeyPair),
    Ec(&'static EcdsaKeyPair),
    Ed(&'static Ed25519KeyPair),
    Hs256(Vec<u8>),
    Hs384(Vec<u8>),
    Hs512(Vec<u8>),
    /// These bytes, whatever is signed.
    Bytes(Vec<u8>),
}

impl Signer {
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mac = |algorithm, key: &[u8]| hmac::sign(&hmac::Key::new(algorithm, key), message).as_ref().to_vec();
        match self {
            Self::Rs256(key) => rsa_signature(key, &RSA_PKCS1_SHA256, message),
            Self::Rs384(key) => rsa_signature(key, &RSA_PKCS1_SHA384, message),
            Self::Rs512(key) => rsa_signature(key, &RSA_PKCS1_SHA512, message),
            Self::Ps256(key) => rsa_signature(key, &RSA_PSS_SHA256, message),
            Self::Ps512(key) => rsa_signature(key, &RSA_PSS_SHA512, message),
            Self::Ec(key) => key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(message).as_ref().to_vec(),
            Self::Hs256(key) => mac(hmac::HMAC_SHA256, key),
            Self::Hs384(key) => mac(hmac::HMAC_SHA384, key),
            Self::Hs512(key) => mac(hmac::HMAC_SHA512, key),
            Self::Bytes(bytes) => bytes.clone(),
        }
    }
}

fn rsa_signature(key: &RsaKeyPair, encoding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
    signature
}

/// Modulus and exponent out of `RSAPublicKey` (RFC 8017 appendix A.1.1).
pub(crate) fn numbers(key: &RsaKeyPair) -> (Vec<u8>, Vec<u8>) {
    let der = key.public_key().as_ref().to_vec();
    let (sequence, _) = value(&der);
    let (n, rest) = value(sequence);
    let (e, _) = value(rest);
    let plain = |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect();
    (plain(n), plain(e))
}

/// The content of the first DER value, and what follows it.
fn value(der: &[u8]) -> (&[u8], &[u8]) {
    let (start, length) = match der[1] {
        short @ 0..=127 => (2, usize::from(short)),
        long => {
            let count = usize::from(long & 0x7f);
            (2 + count, der[2..2 + count].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
        }
    };
    (&der[start..start + length], &der[start + length..])
}

/// `SubjectPublicKeyInfo`.
pub(crate) fn spki(key: &RsaKeyPair) -> Vec<u8> {
    let der: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
    der.as_ref().to_vec()
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

pub(crate) fn rsa_jwk(kid: &str, key: &RsaKeyPair) -> Value {
    let (n, e) = numbers(key);
    json!({"kty": "RSA", "kid": kid, "n": base64(&n), "e": base64(&e)})
}

pub(crate) fn ec_jwk(kid: &str, key: &EcdsaKeyPair) -> Value {
    let point = key.public_key().as_ref();
    let half = point.len() / 2;
    let curve = if half == 32 { "P-256" } else { "P-384" };
    json!({"kty": "EC", "crv": curve, "kid": kid, "x": base64(&point[1..=half]), "y": base64(&point[half + 1..])})
}

pub(crate) fn ed_jwk(kid: &str, key: &Ed25519KeyPair) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": base64(key.public_key().as_ref())})
}

/// The same key with more members.
pub(crate) fn with(mut jwk: Value, more: Value) -> Value {
    jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    jwk
}

/// A modulus of 1024 bits, and a token that its owner signed for these tests.
pub(crate) const SMALL_MODULUS: &str = "48aGqC0Pr4o_n6F19HKvnRtvEUfbfYU-Br9hKExJ-8bZNKm3EoqXE6RZUWWaADqAp65X-ob1HPuqNRI4gBehsHRwBtxnOvtU6libvf5fsIUzLFbHTcVjRsREAeT4eThCrskhNzfgyNIN6UJLu6ipKYslp4Qanu7kyWvnZtUw0Qc";
pub(crate) const SMALL_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6InJzYS0xMDI0In0.eyJpc3MiOiJodHRwOi8vMTI3LjAuMC4xOjg0ODUiLCJhdWQiOiJodHRwOi8vMTI3LjAuMC4xOjg3MDAvbWNwIiwic3ViIjoicGVyc29uLTEiLCJpYXQiOjE3ODUyMzA5OTAsImV4cCI6MTc4NTIzMTMwMH0.gywUn9on8hfGjMWOoefQHNUyCmS44MAHHXwvU_6Buvm5xKllCEyAvjYUpuH46Y_j50ue-SeqsNPY1E7oS_3VTJniTuLyfRyaqIk3oqxwwTbFDFkLa4PxzpG2kRn7Ec4oVmqN_pRUhK738fI0KoDz2lUKeOXQo1MJjxatXDcpl58";

/// Everything that the issuer `corp` publishes: keys that are used, and keys that must not be.
pub(crate) fn corp() -> Vec<Value> {
    vec![
        rsa_jwk("rsa-1", &RSA),
        with(rsa_jwk("rsa-rs", &RSA), json!({"alg": "RS256", "use": "sig", "key_ops": ["verify"]})),
        with(rsa_jwk("rsa-ps", &RSA), json!({"alg": "PS256", "x5c": ["AAAA"]})),
        with(rsa_jwk("rsa-512", &RSA), json!({"alg": "RS512"})),
        with(rsa_jwk("rsa-hs", &RSA), json!({"alg": "HS256"})),
        with(rsa_jwk("rsa-enc", &RSA), json!({"use": "enc"})),
        with(rsa_jwk("rsa-ops", &RSA), json!({"key_ops": ["encrypt", "wrapKey"]})),
        with(rsa_jwk("rsa-private", &RSA), json!({"d": "AQAB"})),
        with(rsa_jwk("rsa-even", &RSA), json!({"e": "AQAC"})),
        with(rsa_jwk("rsa-one", &RSA), json!({"e": "AQ"})),
        with(rsa_jwk("rsa-zero", &RSA), json!({"n": base64(&[&[0][..], &numbers(&RSA).0].concat())})),
        json!({"kty": "RSA", "kid": "rsa-1024", "n": SMALL_MODULUS, "e": "AQAB"}),
        rsa_jwk("twice", &RSA),
        rsa_jwk("twice", &PARTNER),
        with(rsa_jwk("mixed", &RSA), json!({"alg": "RS256"})),
        with(ec_jwk("mixed", &EC), json!({"alg": "ES256"})),
        ec_jwk("ec-1", &EC),
        with(ec_jwk("ec-es", &EC), json!({"alg": "ES256", "use": "sig"})),
        ec_jwk("ec-384", &EC384),
        with(ec_jwk("ec-off", &EC), json!({"y": base64(&[7; 32])})),
        ed_jwk("ed-1", &ED),
        with(ed_jwk("ed-448", &ED), json!({"crv": "Ed448"})),
        json!({"kty": "oct", "kid": "oct-1", "k": base64(b"a shared secret of thirty-two b."), "alg": "HS256"}),
        {
            let mut nameless = rsa_jwk("", &RSA);
            nameless.as_object_mut().unwrap().remove("kid");
            nameless
        },
    ]
}
