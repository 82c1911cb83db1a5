//! Where a credential may stand: once, in `Authorization`, as a bearer token (RFC 6750, security reference section 9).

use super::row::{Ask, Row, Token, forged};

/// A request that is wrong before any credential is looked at.
fn wrong(name: &str, ask: Ask) -> Row {
    Row { status: 400, ..forged(name, "", ask) }
}

pub(crate) fn rows() -> Vec<Row> {
    let token = Token::corp().text();
    let header = |value: String| Ask { secret: token.clone(), ..Ask::nothing().header("authorization", value) };
    let bearer = || header(format!("Bearer {token}"));
    let key = "bw_0123456789abcdef_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_00000000";
    let mut rows = vec![
        forged("nothing", "", Ask::nothing()),
        forged("an empty `Authorization`", "", header(String::new())),
        forged("the scheme alone", "", header("Bearer".to_owned())),
        forged("the scheme and a blank", "malformed", header("Bearer ".to_owned())),
        forged("no scheme", "", header(token.clone())),
        forged("Basic", "", header(format!("Basic {}", data_encoding::BASE64.encode(format!("x:{token}").as_bytes())))),
        forged("Basic with the token", "", header(format!("Basic {token}"))),
        forged("DPoP", "", header(format!("DPoP {token}"))),
        forged("Token", "", header(format!("Token {token}"))),
        forged("JWT", "", header(format!("JWT {token}"))),
        forged("a scheme that begins alike", "", header(format!("BearerX {token}"))),
        forged("a colon behind the scheme", "", header(format!("Bearer: {token}"))),
        forged("two tokens with a blank", "malformed", header(format!("Bearer {token} {token}"))),
        forged("two tokens with a comma", "malformed", header(format!("Bearer {token},{token}"))),
        forged("two credentials with a comma", "malformed", header(format!("Bearer {token}, Basic eDp5"))),
        forged("a parameter", "malformed", header(format!("Bearer token={token}"))),
        forged("a parameter in quotes", "malformed", header(format!("Bearer token=\"{token}\""))),
        forged("a token that begins like a key", "", header(format!("Bearer bw_{token}"))),
        forged("a key that nobody has", "", header(format!("Bearer {key}"))),
        forged("in a cookie", "", Ask::nothing().header("cookie", format!("access_token={token}"))),
        forged("in X-Access-Token", "", Ask::nothing().header("x-access-token", token.clone())),
        forged("in X-Forwarded-Access-Token", "", Ask::nothing().header("x-forwarded-access-token", token.clone())),
        forged("in Proxy-Authorization", "", Ask::nothing().header("proxy-authorization", format!("Bearer {token}"))),
        forged("letters beyond ASCII", "", header(format!("Bearer {token}\u{e9}"))),
        wrong("twice", bearer().header("authorization", format!("Bearer {token}"))),
        wrong("a token and a key", bearer().header("authorization", format!("Bearer {key}"))),
        wrong("a token and Basic", bearer().header("authorization", "Basic eDp5")),
        wrong("a token and an empty header", bearer().header("authorization", "")),
        wrong("in the query alone", Ask::nothing().query("access_token=eyJhbGciOiJSUzI1NiJ9.e30.AAAA")),
        wrong("in the header and in the query", bearer().query("access_token=x")),
        wrong("an empty one in the query", bearer().query("access_token")),
        wrong("behind others in the query", bearer().query("a=1&b&access_token=x")),
        wrong("with its name encoded", bearer().query("access%5Ftoken=x")),
        wrong("with its name in upper case", bearer().query("Access_Token=x")),
    ];
    for name in ["authorisation", "authentication", "x-authorization"] {
        rows.push(forged(format!("in {name}"), "", Ask::nothing().header(name, format!("Bearer {token}"))));
    }
    rows
}
