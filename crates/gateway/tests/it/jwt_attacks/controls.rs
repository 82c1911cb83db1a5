//! Good tokens in every form that issuers give them; each gets in.

use serde_json::{Value, json};

use super::keys::{EC, ED, FOREIGN, RSA, Signer, rsa_jwk};
use super::row::{Ask, NOW, RESOURCE, Row, Token, good};

/// Who is there afterwards: an agent for each subject of `corp`, those that claims name, and those that were there before.
pub(crate) const AGENTS: [&str; 9] = [
    "acme/corp-22afb93365bd764db4dec1b19a24564f/research",
    "acme/corp-26be721b7a3cbcbec2b9806a732ccab3/research",
    "acme/corp-fda9a44a1f25db64c12fa53943e88165/research",
    "beta/agent-2/build",
    "beta/agent-3/research",
    "delta/disabled/build",
    "delta/known/build",
    "delta/other-type/research",
    "gamma/agent-2/build",
];

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = keys();
    rows.extend(times());
    rows.extend(forms());
    rows.extend(claims());
    rows
}

fn keys() -> Vec<Row> {
    let token = Token::corp;
    let (rs, ps) = (|| Signer::Rs256(&RSA), || Signer::Ps256(&RSA));
    vec![
        good("RS256", token()),
        good("PS256 by the same key", token().alg("PS256").signed(ps())),
        good("RS256 by a key for it alone", token().by("rsa-rs", rs())),
        good("PS256 by a key for it alone", token().alg("PS256").by("rsa-ps", ps())),
        good("ES256", token().alg("ES256").by("ec-1", Signer::Ec(&EC))),
        good("ES256 by a key for it alone", token().alg("ES256").by("ec-es", Signer::Ec(&EC))),
        good("EdDSA", token().alg("EdDSA").by("ed-1", Signer::Ed(&ED))),
        good("RS256 by a name that an EC key has too", token().by("mixed", rs())),
        good("ES256 by a name that an RSA key has too", token().alg("ES256").by("mixed", Signer::Ec(&EC))),
        good("of the issuer whose keys have a configured address", Token::partner()),
        good("of the issuer that RFC 8414 finds", Token::narrow()),
        // What a header brings along is not looked at, so it does no harm either.
        good("with jwk of somebody else", token().head("jwk", rsa_jwk("rsa-1", &FOREIGN))),
        good("with jku", token().head("jku", json!("http://attacker.example.com/keys"))),
        good(
            "with x5u, x5c and x5t",
            token().head("x5u", json!("http://attacker.example.com/")).head("x5c", json!(["AAAA"])).head("x5t", json!("AAAA")),
        ),
    ]
}

fn times() -> Vec<Row> {
    let lives = |from: i64, to: i64| Token::corp().claim("iat", json!(from)).claim("exp", json!(to));
    vec![
        good("over for less than the leeway", lives(NOW - 600, NOW - 29)),
        good("issued within the leeway", lives(NOW + 30, NOW + 300)),
        good("begins within the leeway", Token::corp().claim("nbf", json!(NOW + 30))),
        good("begins in the past", Token::corp().claim("nbf", json!(0))),
        good("without beginning", Token::corp().without("iat")),
        good("a day", lives(NOW, NOW + 24 * 3600)),
        good("a day, and no beginning", Token::corp().without("iat").claim("exp", json!(NOW + 24 * 3600))),
        good("a second", lives(NOW, NOW + 1)),
    ]
}

fn forms() -> Vec<Row> {
    let token = Token::corp;
    let text = token().text();
    let header = |value: String| Ask::nothing().header("authorization", value);
    let mut rows = vec![
        good("the scheme in lower case", header(format!("bearer {text}"))),
        good("the scheme in upper case", header(format!("BEARER {text}"))),
        good("two blanks behind the scheme", header(format!("Bearer  {text}"))),
        good("a query without token", Ask::from(token()).query("token_hint=1&x=access_token")),
        good("claims with line breaks", token().saying(&format!("{}\n}}\n", token().open_claims().replace(',', ",\r\n\t")))),
        good("unknown members everywhere", token().head("x", json!({"a": [1]})).claim("jti", json!("1")).claim("x", json!([{"a": null}]))),
        good("no type where none is needed", Token::narrow()),
        good("a type where none is needed", Token::narrow().head("typ", json!("at+jwt"))),
    ];
    for typ in ["JWT", "jwt", "AT+JWT", "application/at+jwt", "Application/AT+JWT", "application/jwt"] {
        rows.push(good(format!("type {typ}"), token().head("typ", json!(typ))));
    }
    rows
}

fn claims() -> Vec<Row> {
    let partner = Token::partner;
    let server = || json!(format!("{RESOURCE}/servers/tickets"));
    let role = |value: Value| partner().claim("access", json!({"roles": value}));
    vec![
        good("the audience in a list", Token::corp().claim("aud", json!([RESOURCE]))),
        good("the audience among others", Token::corp().claim("aud", json!(["https://other.example.com", RESOURCE, "app-1"]))),
        good("the gateway's audience at a server", Ask::from(Token::corp()).at("tickets")),
        good("a server's audience at the server", Ask::from(Token::corp().claim("aud", server())).at("tickets")),
        good("a server's audience among others", Ask::from(Token::corp().claim("aud", json!([server(), "app-1"]))).at("tickets")),
        good("the claim typ of an access token", Token::corp().claim("typ", json!("Bearer"))),
        good("token_use of an access token", Token::corp().claim("token_use", json!("access"))),
        good("a subject with signs", Token::corp().claim("sub", json!("auth0|5f7c8ec7c33c6c004bbafe82"))),
        good("a subject of 250 characters", Token::corp().claim("sub", json!("s".repeat(250)))),
        good("scopes in another order", partner().claim("scope", json!("mcp:extra x mcp:tools"))),
        good("scopes in a list", partner().without("scope").claim("scp", json!(["mcp:tools", "mcp:extra"]))),
        good("scopes as text under scp", partner().without("scope").claim("scp", json!("mcp:tools mcp:extra"))),
        good("another organisation of the issuer", partner().claim("tenant", json!({"id": "gamma"}))),
        good("several organisations", partner().claim("tenant", json!({"id": ["gamma", "elsewhere", "beta"]}))),
        good("another agent and type", partner().claim("client_id", json!("agent-3")).claim("kind", json!("research"))),
        good("one group as text", partner().claim("groups", json!("ops"))),
        good("no groups", partner().without("groups")),
        good("an empty list of groups", partner().claim("groups", json!([]))),
        good("no role", partner().without("access")),
        good("a role as text", role(json!("gateway-admins"))),
        // They get in and are nobody: what such a text grants is told in the tests of `identity.rs`.
        good("a text that is no role here", role(json!("org_admin"))),
        good("an address that is none", partner().claim("email", json!("nobody"))),
    ]
}
