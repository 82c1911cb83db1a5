//! Keys are found by issuer and name, among the issuer's own keys, and only those that are for this algorithm (RFC 8725 section 3.1, 3.10).

use serde_json::{Value, json};

use super::keys::{self, EC, ED, FOREIGN, FOREIGN_EC, FOREIGN_ED, PARTNER, RSA, SMALL_TOKEN, Signer, base64, rsa_jwk, with};
use super::row::{CORP, PARTNER as PARTNER_ISSUER, Row, Token, forged};

pub(crate) fn rows() -> Vec<Row> {
    let rsa = || Signer::Rs256(&RSA);
    let mut rows = vec![
        forged("an RSA key of the attacker", "signature_wrong", Token::corp().signed(Signer::Rs256(&FOREIGN))),
        forged("an EC key of the attacker", "signature_wrong", Token::corp().alg("ES256").by("ec-1", Signer::Ec(&FOREIGN_EC))),
        forged("an Ed25519 key of the attacker", "signature_wrong", Token::corp().alg("EdDSA").by("ed-1", Signer::Ed(&FOREIGN_ED))),
        forged("no key is named, and the issuer has many", "key_unnamed", Token::corp().no_head("kid")),
        forged("no key is named, and the issuer has one", "key_unnamed", Token::partner().no_head("kid")),
        forged("the key that has no name", "key_unnamed", Token::corp().by("", rsa())),
        forged("the key of another issuer under its own name", "key_unknown", Token::corp().by("p-1", Signer::Rs256(&PARTNER))),
        forged("the issuer of another key", "signature_wrong", Token::partner().signed(rsa())),
        forged("iss of one issuer, key of another", "key_unknown", Token::partner().claim("iss", json!(CORP))),
        forged("iss exchanged the other way round", "key_unknown", Token::corp().claim("iss", json!(PARTNER_ISSUER))),
        forged("a key for encryption", "key_unknown", Token::corp().by("rsa-enc", rsa())),
        forged("a key whose operations are others", "key_unknown", Token::corp().by("rsa-ops", rsa())),
        forged("a key whose private part is published", "key_unknown", Token::corp().by("rsa-private", rsa())),
        forged("a key with an even exponent", "key_unknown", Token::corp().by("rsa-even", rsa())),
        forged("a key with the exponent one", "key_unknown", Token::corp().by("rsa-one", Signer::Bytes(vec![0; 256]))),
        forged("a key with leading zeros", "key_unknown", Token::corp().by("rsa-zero", rsa())),
        forged("a key of 1024 bits", "key_unknown", SMALL_TOKEN),
        forged("a name that two keys have", "key_unfit", Token::corp().by("twice", rsa())),
        forged("a name that two keys have, by the other", "key_unfit", Token::corp().by("twice", Signer::Rs256(&PARTNER))),
        forged("RS256 with a key for PS256", "key_unfit", Token::corp().by("rsa-ps", rsa())),
        forged("PS256 with a key for RS256", "key_unfit", Token::corp().alg("PS256").by("rsa-rs", Signer::Ps256(&RSA))),
        forged("RS256 with a key for RS512", "key_unknown", Token::corp().by("rsa-512", rsa())),
        forged("ES256 with an RSA key", "key_unfit", Token::corp().alg("ES256").by("rsa-1", Signer::Ec(&EC))),
        forged("EdDSA with an RSA key", "key_unfit", Token::corp().alg("EdDSA").by("rsa-1", Signer::Ed(&ED))),
        forged("RS256 with an EC key", "key_unfit", Token::corp().by("ec-1", rsa())),
        forged("EdDSA with an EC key", "key_unfit", Token::corp().alg("EdDSA").by("ec-1", Signer::Ed(&ED))),
        forged("ES256 with an Ed25519 key", "key_unfit", Token::corp().alg("ES256").by("ed-1", Signer::Ec(&EC))),
        forged("ES256 with a P-384 key", "key_unknown", Token::corp().alg("ES256").by("ec-384", Signer::Ec(&keys::EC384))),
        forged("a point beside its curve", "key_unknown", Token::corp().alg("ES256").by("ec-off", Signer::Ec(&EC))),
        forged("another Edwards curve", "key_unknown", Token::corp().alg("EdDSA").by("ed-448", Signer::Ed(&ED))),
    ];
    rows.extend(names());
    rows.extend(brought());
    rows
}

/// Names that other programs have looked up in files, databases and on the network.
fn names() -> Vec<Row> {
    let mut rows = Vec::new();
    let long = "k".repeat(257);
    let very_long = "k".repeat(3_000);
    for (what, name, reason) in [
        ("unknown", "rsa-2", "key_unknown"),
        ("a path", "../../../../../../dev/null", "key_unknown"),
        ("a path with a zero byte", "rsa-1\0.pem", "key_unnamed"),
        ("an absolute path", "/proc/sys/kernel/randomize_va_space", "key_unknown"),
        ("SQL", "x' UNION SELECT 'secret' --", "key_unknown"),
        ("a command", "rsa-1|/usr/bin/id", "key_unknown"),
        ("an address", "http://attacker.example.com/keys", "key_unknown"),
        ("a file address", "file:///etc/passwd", "key_unknown"),
        ("LDAP", "*)(uid=*", "key_unknown"),
        ("upper case", "RSA-1", "key_unknown"),
        ("with a blank behind", "rsa-1 ", "key_unknown"),
        ("with a line break", "rsa-1\n", "key_unnamed"),
        ("another hyphen", "rsa\u{2010}1", "key_unknown"),
        ("full-width letters", "\u{ff52}sa-1", "key_unknown"),
        ("with a mark that is not seen", "rsa-1\u{200b}", "key_unknown"),
        ("a number in the set", "0", "key_unknown"),
        ("__proto__", "__proto__", "key_unknown"),
        ("257 bytes", &long, "key_unnamed"),
        ("3000 bytes", &very_long, "key_unnamed"),
    ] {
        rows.push(forged(format!("the name of the key: {what}"), reason, Token::corp().by(name, Signer::Hs256(Vec::new()))));
    }
    let odd: [(&str, Value); 5] = [
        ("null", Value::Null),
        ("a number", json!(1)),
        ("a list", json!(["rsa-1"])),
        ("an object", json!({"kid": "rsa-1"})),
        ("true", json!(true)),
    ];
    rows.extend(
        odd.into_iter().map(|(what, kid)| forged(format!("the name of the key is {what}"), "key_unnamed", Token::corp().head("kid", kid))),
    );
    rows
}

/// Keys that the token itself brings or points to.
fn brought() -> Vec<Row> {
    let foreign = || Token::corp().signed(Signer::Rs256(&FOREIGN));
    let unknown = || Token::corp().by("attacker", Signer::Rs256(&FOREIGN));
    let jwk = rsa_jwk("attacker", &FOREIGN);
    let certificate = json!([data_encoding::BASE64.encode(&keys::spki(&FOREIGN))]);
    let address = json!("http://attacker.example.com/keys.json");
    vec![
        forged("jwk with the attacker's key", "signature_wrong", foreign().head("jwk", jwk.clone())),
        forged("jwk under a name of its own", "key_unknown", unknown().head("jwk", jwk.clone())),
        forged(
            "jwk under the name of the issuer's key",
            "signature_wrong",
            foreign().head("jwk", with(jwk.clone(), json!({"kid": "rsa-1"}))),
        ),
        forged("jwk without a name", "key_unnamed", unknown().no_head("kid").head("jwk", jwk)),
        forged("jku", "signature_wrong", foreign().head("jku", address.clone())),
        forged("jku under a name of its own", "key_unknown", unknown().head("jku", address.clone())),
        forged(
            "jku that begins like the issuer",
            "key_unknown",
            unknown().head("jku", json!("http://127.0.0.1:8485@attacker.example.com/keys")),
        ),
        forged("jku to a metadata service", "key_unknown", unknown().head("jku", json!("http://169.254.169.254/latest/meta-data/"))),
        forged("x5u", "signature_wrong", foreign().head("x5u", address.clone())),
        forged("x5u under a name of its own", "key_unknown", unknown().head("x5u", address)),
        forged("x5c", "signature_wrong", foreign().head("x5c", certificate.clone())),
        forged("x5c under a name of its own", "key_unknown", unknown().head("x5c", certificate)),
        forged("x5t alone", "key_unnamed", unknown().no_head("kid").head("x5t#S256", json!(base64(&[0; 32])))),
    ]
}
