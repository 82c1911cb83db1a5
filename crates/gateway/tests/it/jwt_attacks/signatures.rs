//! Signatures that are nearly right.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use data_encoding::HEXUPPER;
use serde_json::json;

use super::keys::{EC, ED, RSA, Signer, base64};
use super::row::{Row, Token, forged};

/// The order of P-256 (FIPS 186-5), big-endian.
const P256_ORDER: &str = "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551";
/// The order of the group of Ed25519 (RFC 8032 section 5.1), little-endian.
const ED25519_ORDER: &str = "EDD3F55C1A631258D69CF7A2DEF9DE1400000000000000000000000000000010";

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = ec();
    rows.extend(ed());
    rows.extend(rsa());
    rows
}

fn signed_part(token: &Token) -> Vec<u8> {
    let [header, claims, _] = token.parts();
    format!("{header}.{claims}").into_bytes()
}

fn ec() -> Vec<Row> {
    let token = Token::corp().alg("ES256").by("ec-1", Signer::Ec(&EC));
    let good = Signer::Ec(&EC).sign(&signed_part(&token));
    let (r, s) = good.split_at(32);
    let order = HEXUPPER.decode(P256_ORDER.as_bytes()).unwrap();
    let (zero, ones) = (vec![0; 32], vec![0xff; 32]);
    let one = [vec![0; 31], vec![1]].concat();
    let asn1 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, EC.to_pkcs8v1().unwrap().as_ref()).unwrap();
    let der = asn1.sign(&SystemRandom::new(), &signed_part(&token)).unwrap().as_ref().to_vec();
    [
        ("r and s zero", [&zero[..], &zero].concat()),
        ("r zero", [&zero[..], s].concat()),
        ("s zero", [r, &zero].concat()),
        ("r the order", [&order[..], s].concat()),
        ("s the order", [r, &order].concat()),
        ("r and s the order", [&order[..], &order].concat()),
        ("r and s one", [&one[..], &one].concat()),
        ("r beyond the order", [&ones[..], s].concat()),
        ("s beyond the order", [r, &ones].concat()),
        ("r and s exchanged", [s, r].concat()),
        ("r twice", [r, r].concat()),
        ("the DER form", der),
        ("a byte too few", good[..63].to_vec()),
        ("a byte too many", [&good[..], &[0]].concat()),
        ("a zero before each half", [&[0][..], r, &[0], s].concat()),
        ("the length of P-384", [&zero[..16], r, &zero[..16], s].concat()),
        ("one half", r.to_vec()),
    ]
    .into_iter()
    .map(|(name, signature)| forged(format!("ES256: {name}"), "signature_wrong", token.clone().signed(Signer::Bytes(signature))))
    .collect()
}

fn ed() -> Vec<Row> {
    let token = Token::corp().alg("EdDSA").by("ed-1", Signer::Ed(&ED));
    let good = Signer::Ed(&ED).sign(&signed_part(&token));
    let (r, s) = good.split_at(32);
    // The point of order one, with which weak readers verify anything.
    let neutral = [vec![1], vec![0; 31]].concat();
    [
        ("S and the order of the group", [r, &plus_order(s)].concat()),
        ("zero", vec![0; 64]),
        ("the neutral point", [&neutral[..], &[0; 32]].concat()),
        ("R and S exchanged", [s, r].concat()),
        ("a bit of S turned", {
            let mut other = good.clone();
            other[40] ^= 1;
            other
        }),
        ("the top bits of S set", {
            let mut other = good.clone();
            other[63] |= 0xe0;
            other
        }),
        ("a byte too few", good[..63].to_vec()),
        ("a byte too many", [&good[..], &[0]].concat()),
    ]
    .into_iter()
    .map(|(name, signature)| forged(format!("EdDSA: {name}"), "signature_wrong", token.clone().signed(Signer::Bytes(signature))))
    .collect()
}

/// The same number modulo the order of the group: a second signature for readers that do not look.
fn plus_order(s: &[u8]) -> Vec<u8> {
    let order = HEXUPPER.decode(ED25519_ORDER.as_bytes()).unwrap();
    let mut carry = 0;
    s.iter()
        .zip(order)
        .map(|(a, b)| {
            let sum = u16::from(*a) + u16::from(b) + carry;
            carry = sum >> 8;
            sum.to_le_bytes()[0]
        })
        .collect()
}

fn rsa() -> Vec<Row> {
    let token = Token::corp();
    let good = Signer::Rs256(&RSA).sign(&signed_part(&token));
    let bytes = |name: &str, signature: Vec<u8>| {
        forged(format!("RS256: {name}"), "signature_wrong", token.clone().signed(Signer::Bytes(signature)))
    };
    let mut turned = good.clone();
    turned[100] ^= 1;
    let [header, claims, signature] = token.parts();
    let [_, other_claims, _] = token.clone().claim("sub", json!("person-2")).parts();
    let [other_header, ..] = token.clone().head("x", json!(1)).parts();
    vec![
        bytes("a bit turned", turned),
        bytes("zero", vec![0; 256]),
        bytes("one", [vec![0; 255], vec![1]].concat()),
        bytes("ones", vec![0xff; 256]),
        bytes("a byte too few", good[..255].to_vec()),
        bytes("a byte too many", [&good[..], &[0]].concat()),
        bytes("a zero before", [&[0][..], &good].concat()),
        bytes("one byte", vec![1]),
        bytes("the plain digest", aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &signed_part(&token)).as_ref().to_vec()),
        bytes("of another token", Signer::Rs256(&RSA).sign(b"something else")),
        forged("the subject changed after signing", "signature_wrong", format!("{header}.{other_claims}.{signature}")),
        forged("the header changed after signing", "signature_wrong", format!("{other_header}.{claims}.{signature}")),
        forged("header and claims exchanged", "algorithm_refused", format!("{claims}.{header}.{signature}")),
        forged(
            "a blank added to the claims",
            "signature_wrong",
            format!("{header}.{}.{signature}", base64(format!("{}}} ", token.open_claims()).as_bytes())),
        ),
    ]
}
