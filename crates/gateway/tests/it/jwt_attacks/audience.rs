//! `iss` and `aud` are compared as they are: nothing is trimmed, decoded or forgiven (RFC 8707, RFC 9068 section 4).

use serde_json::{Value, json};

use super::row::{Ask, CORP, RESOURCE, Row, Token, forged};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = audiences();
    rows.extend(endpoints());
    rows.extend(issuers());
    rows
}

fn audiences() -> Vec<Row> {
    let many: Vec<String> = (0..32).map(|number| format!("https://{number}.example")).chain([RESOURCE.to_owned()]).collect();
    let odd: Vec<(&str, Value)> = vec![
        ("of another service", json!("https://other.example.com/mcp")),
        ("empty", json!("")),
        ("the host alone", json!("http://127.0.0.1:8700")),
        ("the host with a slash", json!("http://127.0.0.1:8700/")),
        ("with a slash at the end", json!("http://127.0.0.1:8700/mcp/")),
        ("of a path beneath", json!("http://127.0.0.1:8700/mcp/x")),
        ("of a path that begins alike", json!("http://127.0.0.1:8700/mcpx")),
        ("cut off", json!("http://127.0.0.1:8700/mc")),
        ("with its path in upper case", json!("http://127.0.0.1:8700/MCP")),
        ("with its scheme in upper case", json!("HTTP://127.0.0.1:8700/mcp")),
        ("with another scheme", json!("https://127.0.0.1:8700/mcp")),
        ("with another port", json!("http://127.0.0.1:8701/mcp")),
        ("without port", json!("http://127.0.0.1/mcp")),
        ("by another name of the host", json!("http://localhost:8700/mcp")),
        ("by another spelling of the address", json!("http://127.1:8700/mcp")),
        ("with a query", json!("http://127.0.0.1:8700/mcp?x")),
        ("with a fragment", json!("http://127.0.0.1:8700/mcp#x")),
        ("with user information", json!("http://x@127.0.0.1:8700/mcp")),
        ("of an attacker's host that begins alike", json!("http://127.0.0.1:8700.attacker.example.com/mcp")),
        ("percent-encoded", json!("http://127.0.0.1:8700/%6dcp")),
        ("with dots", json!("http://127.0.0.1:8700/x/../mcp")),
        ("with a blank behind", json!("http://127.0.0.1:8700/mcp ")),
        ("with a line break", json!("http://127.0.0.1:8700/mcp\n")),
        ("with a zero byte", json!("http://127.0.0.1:8700/mcp\0")),
        ("two in one text", json!("https://other.example.com http://127.0.0.1:8700/mcp")),
        ("two with a comma", json!("http://127.0.0.1:8700/mcp,https://other.example.com")),
        ("a pattern", json!("*")),
        ("the client", json!("app-1")),
        ("the issuer", json!(CORP)),
        ("no list element", json!([])),
        ("a list of others", json!(["https://other.example.com", "app-1"])),
        ("a list in a list", json!([[RESOURCE]])),
        ("a list with a number", json!([RESOURCE, 1])),
        ("a list with null", json!([null, RESOURCE])),
        ("a list of 33", json!(many)),
        ("a number", json!(1)),
        ("null", Value::Null),
        ("true", json!(true)),
        ("an object", json!({"aud": RESOURCE})),
        ("an object with numbers", json!({"0": RESOURCE})),
        ("the audience of another issuer", json!("api://gateway")),
    ];
    let mut rows: Vec<Row> =
        odd.into_iter().map(|(what, aud)| forged(format!("audience: {what}"), "audience_wrong", Token::corp().claim("aud", aud))).collect();
    rows.push(forged("no audience", "audience_wrong", Token::corp().without("aud")));
    rows.push(forged("the audience under another name", "audience_wrong", Token::corp().without("aud").claim("resource", json!(RESOURCE))));
    rows.push(forged("the usual audience where another is configured", "audience_wrong", Token::narrow().claim("aud", json!(RESOURCE))));
    let beneath = Token::narrow().claim("aud", json!("api://gateway/servers/tickets"));
    rows.push(forged("a server beneath a configured audience", "audience_wrong", Ask::from(beneath).at("tickets")));
    rows
}

/// Tokens for the own endpoint of one server.
fn endpoints() -> Vec<Row> {
    let of = |server: &str| Token::corp().claim("aud", json!(format!("{RESOURCE}/servers/{server}")));
    vec![
        forged("of one server, at the endpoint of all", "endpoint_wrong", of("tickets")),
        forged("of one server, at that of another", "endpoint_wrong", Ask::from(of("tickets")).at("search")),
        forged("of a server in other letters", "endpoint_wrong", Ask::from(of("Tickets")).at("tickets")),
        forged("of a server with a slash", "audience_wrong", Ask::from(of("tickets/")).at("tickets")),
        forged("of a server with dots", "audience_wrong", Ask::from(of("../servers/tickets")).at("tickets")),
        forged("of a server without name", "audience_wrong", Ask::from(of("")).at("tickets")),
    ]
}

fn issuers() -> Vec<Row> {
    let odd: Vec<(&str, Value)> = vec![
        ("unknown", json!("https://attacker.example.com")),
        ("empty", json!("")),
        ("with a slash at the end", json!("http://127.0.0.1:8485/")),
        ("with a path", json!("http://127.0.0.1:8485/realms/x")),
        ("cut off", json!("http://127.0.0.1:848")),
        ("longer", json!("http://127.0.0.1:84855")),
        ("with its scheme in upper case", json!("HTTP://127.0.0.1:8485")),
        ("with another scheme", json!("https://127.0.0.1:8485")),
        ("without scheme", json!("127.0.0.1:8485")),
        ("with a blank behind", json!("http://127.0.0.1:8485 ")),
        ("with a zero byte", json!("http://127.0.0.1:8485\0")),
        ("with user information", json!("http://x@127.0.0.1:8485")),
        ("a list", json!([CORP])),
        ("an object", json!({"iss": CORP})),
        ("a number", json!(8485)),
        ("null", Value::Null),
        ("by its name here", json!("corp")),
    ];
    let mut rows: Vec<Row> =
        odd.into_iter().map(|(what, iss)| forged(format!("issuer: {what}"), "issuer_unknown", Token::corp().claim("iss", iss))).collect();
    rows.push(forged("no issuer", "issuer_unknown", Token::corp().without("iss")));
    rows.push(forged("the issuer in the header", "issuer_unknown", Token::corp().without("iss").head("iss", json!(CORP))));
    rows
}
