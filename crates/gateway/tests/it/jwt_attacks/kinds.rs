//! What an issuer signs with the same keys for other purposes, and headers that ask for more than a signature (RFC 8725 section 3.11, 3.12).

use serde_json::{Value, json};

use super::keys::base64;
use super::row::{Row, Token, forged};

pub(crate) fn rows() -> Vec<Row> {
    let token = Token::corp;
    let mut rows = Vec::new();
    for (what, name, value) in [
        ("an ID token with a nonce", "nonce", json!("n-0S6_WzA2Mj")),
        ("an ID token with at_hash", "at_hash", json!("77QmUPtjPfzWtF2AnpK9RQ")),
        ("an ID token with c_hash", "c_hash", json!("LDktKdoQak3Pk0cnXxCltA")),
        ("an ID token with s_hash", "s_hash", json!("bOhtX8F73IMjSPeVAqxyTQ")),
        ("an ID token with an empty nonce", "nonce", Value::Null),
        ("a logout token", "events", json!({"http://schemas.openid.net/event/backchannel-logout": {}})),
        ("an ID token by its claim typ", "typ", json!("ID")),
        ("a refresh token by its claim typ", "typ", json!("Refresh")),
        ("an offline token", "typ", json!("Offline")),
        ("a logout token by its claim typ", "typ", json!("Logout")),
        ("a claim typ that is no text", "typ", json!(["Bearer"])),
        ("an ID token by token_use", "token_use", json!("id")),
        ("token_use that is no text", "token_use", json!(1)),
    ] {
        rows.push(forged(what, "not_access_token", token().claim(name, value)));
    }
    for (what, confirmation) in [
        ("bound to a DPoP key", json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})),
        ("bound to a certificate", json!({"x5t#S256": base64(&[1; 32])})),
        ("bound to nothing that is known", json!({})),
        ("bound to null", Value::Null),
    ] {
        rows.push(forged(what, "sender_constrained", token().claim("cnf", confirmation)));
    }
    rows.extend(types());
    for (what, name, value) in [
        ("crit with b64", "crit", json!(["b64"])),
        ("crit with the end", "crit", json!(["exp"])),
        ("crit with something unknown", "crit", json!(["http://attacker.example.com/x"])),
        ("an empty crit", "crit", json!([])),
        ("crit that is null", "crit", Value::Null),
        ("an unencoded payload", "b64", json!(false)),
        ("b64 that is true", "b64", json!(true)),
        ("compression", "zip", json!("DEF")),
        ("compression by an unknown name", "zip", json!("GZ")),
        ("encryption in the header", "enc", json!("A256GCM")),
        ("a token within", "cty", json!("JWT")),
    ] {
        rows.push(forged(what, "header_refused", token().head(name, value)));
    }
    rows.push(forged("crit and b64 together", "header_refused", token().head("crit", json!(["b64"])).head("b64", json!(false))));
    rows
}

fn types() -> Vec<Row> {
    let odd: [(&str, Value); 17] = [
        ("logout+jwt", json!("logout+jwt")),
        ("dpop+jwt", json!("dpop+jwt")),
        ("secevent+jwt", json!("secevent+jwt")),
        ("oauth-id-jag+jwt", json!("oauth-id-jag+jwt")),
        ("token-introspection+jwt", json!("token-introspection+jwt")),
        ("client-authentication+jwt", json!("client-authentication+jwt")),
        ("entity-statement+jwt", json!("entity-statement+jwt")),
        ("id_token", json!("id_token")),
        ("JOSE", json!("JOSE")),
        ("a type of its own", json!("text/at+jwt")),
        ("application twice", json!("application/application/at+jwt")),
        ("with a parameter", json!("at+jwt;x=1")),
        ("with a blank", json!("at+jwt ")),
        ("empty", json!("")),
        ("null", Value::Null),
        ("a list", json!(["at+jwt"])),
        ("a number", json!(1)),
    ];
    let mut rows: Vec<Row> =
        odd.into_iter().map(|(what, typ)| forged(format!("type: {what}"), "type_refused", Token::corp().head("typ", typ))).collect();
    rows.push(forged("no type", "type_refused", Token::corp().no_head("typ")));
    rows.push(forged("a wrong type where none would do", "type_refused", Token::narrow().head("typ", json!("dpop+jwt"))));
    rows
}
