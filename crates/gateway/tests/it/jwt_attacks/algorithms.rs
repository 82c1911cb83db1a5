//! The header never chooses what a signature is verified with (RFC 8725 sections 2.1 and 3.1).

use serde_json::{Value, json};

use super::keys::{self, EC, PARTNER, RSA, Signer, base64, numbers, rsa_jwk, spki};
use super::row::{Row, Token, forged};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = vec![
        forged("none without signature", "algorithm_refused", unsigned("none")),
        forged("none with the signature of before", "algorithm_refused", Token::corp().alg("none")),
        forged("none in two parts", "malformed", unsigned("none").trim_end_matches('.').to_owned()),
        forged("PS256 signature under RS256", "signature_wrong", Token::corp().signed(Signer::Ps256(&RSA))),
        forged("RS256 signature under PS256", "signature_wrong", Token::corp().alg("PS256")),
        forged("RS384, well signed", "algorithm_refused", Token::corp().alg("RS384").signed(Signer::Rs384(&RSA))),
        forged("RS512, well signed", "algorithm_refused", Token::corp().alg("RS512").by("rsa-512", Signer::Rs512(&RSA))),
        forged("PS512, well signed", "algorithm_refused", Token::corp().alg("PS512").signed(Signer::Ps512(&RSA))),
        forged("RS512 digest under RS256", "signature_wrong", Token::corp().signed(Signer::Rs512(&RSA))),
        forged("ES384, well signed", "algorithm_refused", Token::corp().alg("ES384").by("ec-384", Signer::Ec(&keys::EC384))),
        forged("ES256K", "algorithm_refused", Token::corp().alg("ES256K").by("ec-1", Signer::Ec(&EC))),
        forged(
            "Ed25519 by its new name, which the issuer may not use",
            "algorithm_refused",
            Token::corp().alg("Ed25519").by("ed-1", Signer::Ed(&keys::ED)),
        ),
        forged("RS256 at an issuer of ES256 alone", "algorithm_refused", Token::narrow().alg("RS256").by("n-rsa", Signer::Rs256(&RSA))),
        forged("the algorithm among the claims", "algorithm_refused", Token::corp().no_head("alg").claim("alg", json!("RS256"))),
        forged("an encryption algorithm", "algorithm_refused", Token::corp().alg("RSA-OAEP")),
        forged("dir", "algorithm_refused", Token::corp().alg("dir")),
    ];
    for spelling in ["None", "NONE", "nOnE", "none ", "null"] {
        rows.push(forged(format!("none as {spelling:?}"), "algorithm_refused", Token::corp().alg(spelling).signed(Signer::Bytes(vec![0]))));
    }
    let odd: [(&str, Value); 11] = [
        ("null", Value::Null),
        ("a number", json!(256)),
        ("a list", json!(["RS256"])),
        ("an object", json!({"name": "RS256"})),
        ("true", json!(true)),
        ("empty", json!("")),
        ("lower case", json!("rs256")),
        ("with a blank behind", json!("RS256 ")),
        ("with a blank before", json!(" RS256")),
        ("with a zero byte", json!("RS256\0")),
        ("two in one", json!("RS256,none")),
    ];
    rows.extend(
        odd.into_iter().map(|(what, alg)| forged(format!("algorithm {what}"), "algorithm_refused", Token::corp().head("alg", alg))),
    );
    rows.extend(confusions());
    rows
}

fn unsigned(alg: &str) -> String {
    let [_, claims, _] = Token::corp().parts();
    let header = base64(json!({"alg": alg, "typ": "at+jwt", "kid": "rsa-1"}).to_string().as_bytes());
    format!("{header}.{claims}.")
}

/// The public key in every form that a library might take for a shared secret.
fn confusions() -> Vec<Row> {
    let (n, e) = numbers(&RSA);
    let pem = |label: &str, der: &[u8]| {
        let text = data_encoding::BASE64.encode(der);
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n")).into_bytes()
    };
    let pkcs1 = aws_lc_rs::signature::KeyPair::public_key(&*RSA).as_ref().to_vec();
    let secrets = [
        ("the public key as PEM", pem("PUBLIC KEY", &spki(&RSA))),
        ("the public key as PEM without the last line break", pem("PUBLIC KEY", &spki(&RSA)).strip_suffix(b"\n").unwrap().to_vec()),
        ("the public key as DER", spki(&RSA)),
        ("the public key as PKCS#1 PEM", pem("RSA PUBLIC KEY", &pkcs1)),
        ("the public key as PKCS#1 DER", pkcs1),
        ("the public key as JWK", rsa_jwk("rsa-1", &RSA).to_string().into_bytes()),
        ("the modulus as bytes", n.clone()),
        ("the modulus as text", base64(&n).into_bytes()),
        ("the exponent", e),
        ("nothing", Vec::new()),
        ("the name of the key", b"rsa-1".to_vec()),
    ];
    let mut rows: Vec<Row> = secrets
        .iter()
        .map(|(what, secret)| {
            forged(
                format!("HS256 with {what} as secret"),
                "algorithm_refused",
                Token::corp().alg("HS256").signed(Signer::Hs256(secret.clone())),
            )
        })
        .collect();
    let pem = secrets[0].1.clone();
    let published = b"a shared secret of thirty-two b.".to_vec();
    rows.extend([
        forged("HS384 with the public key", "algorithm_refused", Token::corp().alg("HS384").signed(Signer::Hs384(pem.clone()))),
        forged("HS512 with the public key", "algorithm_refused", Token::corp().alg("HS512").signed(Signer::Hs512(pem.clone()))),
        forged("a MAC with the public key under RS256", "signature_wrong", Token::corp().signed(Signer::Hs256(pem.clone()))),
        forged("a MAC with the public key under ES256", "signature_wrong", Token::corp().alg("ES256").by("ec-1", Signer::Hs256(pem))),
        forged(
            "HS256 with a secret that the issuer publishes",
            "algorithm_refused",
            Token::corp().alg("HS256").by("oct-1", Signer::Hs256(published.clone())),
        ),
        forged("RS256 with a secret that the issuer publishes", "key_unknown", Token::corp().by("oct-1", Signer::Hs256(published))),
        forged(
            "HS256 with a key whose own algorithm is HS256",
            "algorithm_refused",
            Token::corp().alg("HS256").by("rsa-hs", Signer::Hs256(n)),
        ),
        forged("RS256 with a key whose own algorithm is HS256", "key_unknown", Token::corp().by("rsa-hs", Signer::Rs256(&RSA))),
        forged("RS256 with the key of another issuer", "signature_wrong", Token::corp().signed(Signer::Rs256(&PARTNER))),
    ]);
    rows
}
