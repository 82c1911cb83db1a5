//! Whom a token may speak for: what its issuer was given, and nobody who only looks like somebody.

use serde_json::{Value, json};

use super::row::{Row, Token, forged};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = subjects();
    rows.extend(organisations());
    rows.extend(agents());
    rows.extend(lists());
    rows.extend(scopes());
    rows
}

fn subjects() -> Vec<Row> {
    let odd: Vec<(&str, Value)> = vec![
        ("empty", json!("")),
        ("null", Value::Null),
        ("a number", json!(7)),
        ("a list", json!(["person-1"])),
        ("an object", json!({"sub": "person-1"})),
        ("256 characters with its prefix", json!("s".repeat(251))),
        ("4000 characters", json!("s".repeat(4_000))),
        ("with a zero byte", json!("person-1\0")),
        ("with a line break", json!("person-1\nadmin")),
        ("with an escape sequence", json!("person\u{1b}[2J")),
        ("with a blank behind", json!("person-1 ")),
        ("with a blank within", json!("person 1")),
        ("with a letter of another script", json!("p\u{435}rson-1")),
        ("in full-width letters", json!("\u{ff50}erson-1")),
        ("with its direction overridden", json!("person\u{202e}1-")),
        ("with a mark that is not seen", json!("person\u{200b}-1")),
        ("with an accent put together", json!("p\u{65}\u{301}rson")),
        ("with DEL", json!("person-1\u{7f}")),
    ];
    let mut rows: Vec<Row> = odd
        .into_iter()
        .map(|(what, sub)| forged(format!("subject: {what}"), "subject_malformed", Token::corp().claim("sub", sub)))
        .collect();
    rows.push(forged("no subject", "subject_malformed", Token::corp().without("sub")));
    rows.push(forged("the subject under another name", "subject_malformed", Token::corp().without("sub").claim("user", json!("person-1"))));
    rows
}

fn organisations() -> Vec<Row> {
    let odd: Vec<(&str, Value)> = vec![
        ("of another issuer", json!({"id": "acme"})),
        ("unknown", json!({"id": "omega"})),
        ("the default one", json!({"id": "default"})),
        ("in upper case", json!({"id": "BETA"})),
        ("with a blank behind", json!({"id": "beta "})),
        ("one that begins alike", json!({"id": "betax"})),
        ("two in one", json!({"id": "beta,gamma"})),
        ("a list of others", json!({"id": ["elsewhere", "betax"]})),
        ("an empty list", json!({"id": []})),
        ("a list with a number", json!({"id": ["beta", 1]})),
        ("a list in a list", json!({"id": [["beta"]]})),
        ("a number", json!({"id": 1})),
        ("empty", json!({"id": ""})),
        ("null", json!({"id": null})),
        ("missing", json!({})),
        ("not where it should be", json!("beta")),
        ("in a list of objects", json!([{"id": "beta"}])),
    ];
    let mut rows: Vec<Row> = odd
        .into_iter()
        .map(|(what, org)| forged(format!("organisation: {what}"), "org_refused", Token::partner().claim("tenant", org)))
        .collect();
    rows.push(forged("no organisation", "org_refused", Token::partner().without("tenant")));
    let pointer = Token::partner().without("tenant").claim("/tenant/id", json!("beta"));
    rows.push(forged("a claim named like the way to it", "org_refused", pointer));
    rows
}

fn agents() -> Vec<Row> {
    let mut rows = Vec::new();
    let long = "a".repeat(64);
    for (what, id) in [
        ("in upper case", json!("Agent-2")),
        ("with an underscore", json!("agent_2")),
        ("a path", json!("../agent-2")),
        ("empty", json!("")),
        ("64 characters", json!(long)),
        ("with a line break", json!("agent-2\n")),
        ("with a zero byte", json!("agent-2\0")),
        ("a number", json!(2)),
        ("null", Value::Null),
        ("a list", json!(["agent-2"])),
    ] {
        rows.push(forged(format!("agent id: {what}"), "agent_malformed", Token::partner().claim("client_id", id)));
    }
    rows.push(forged("no agent id although it is configured", "agent_malformed", Token::partner().without("client_id")));
    for (what, kind, reason) in [
        ("in upper case", json!("Build"), "agent_malformed"),
        ("a path", json!("../build"), "agent_malformed"),
        ("a list", json!(["build"]), "agent_malformed"),
        ("null", Value::Null, "agent_malformed"),
        ("without manifest", json!("administrator"), "agent_type_unknown"),
    ] {
        rows.push(forged(format!("agent type: {what}"), reason, Token::partner().claim("kind", kind)));
    }
    rows.push(forged("no agent type although it is configured", "agent_malformed", Token::partner().without("kind")));
    rows.push(forged("an agent that does not exist", "agent_unknown", Token::narrow().claim("sub", json!("unknown"))));
    rows.push(forged("an agent that is disabled", "agent_disabled", Token::narrow().claim("sub", json!("disabled"))));
    rows.push(forged("an agent of another type", "agent_other_type", Token::narrow().claim("sub", json!("other-type"))));
    rows
}

fn lists() -> Vec<Row> {
    let many: Vec<String> = (0..201).map(|number| format!("g{number}")).collect();
    let mut rows = Vec::new();
    for (what, groups) in [
        ("a number", json!(1)),
        ("an object", json!({"ops": true})),
        ("null", Value::Null),
        ("a list with a number", json!(["ops", 1])),
        ("a list in a list", json!([["ops"]])),
        ("a list with an empty text", json!(["ops", ""])),
        ("a list with a line break", json!(["ops\nadmins"])),
        ("a name of 256 bytes", json!(["g".repeat(256)])),
        ("a list of 201", json!(many)),
    ] {
        rows.push(forged(format!("groups: {what}"), "groups_malformed", Token::partner().claim("groups", groups)));
    }
    for (what, roles) in [
        ("a number", json!({"roles": 3})),
        ("an object", json!({"roles": {"gateway-admins": true}})),
        ("a list with a number", json!({"roles": ["staff", 3]})),
        ("true", json!({"roles": true})),
    ] {
        rows.push(forged(format!("role: {what}"), "role_malformed", Token::partner().claim("access", roles)));
    }
    rows
}

/// Good tokens that may do too little: 403, and the challenge names every scope that is needed.
fn scopes() -> Vec<Row> {
    let with = |value: Value| Token::partner().claim("scope", value);
    [
        ("none", Token::partner().without("scope")),
        ("empty", with(json!(""))),
        ("one of two", with(json!("mcp:tools"))),
        ("the other of two", with(json!("openid mcp:extra"))),
        ("longer ones", with(json!("mcp:tools2 mcp:extras"))),
        ("cut off", with(json!("mcp:tool mcp:extra"))),
        ("in upper case", with(json!("MCP:TOOLS MCP:EXTRA"))),
        ("with commas", with(json!("mcp:tools,mcp:extra"))),
        ("with tabs", with(json!("mcp:tools\tmcp:extra"))),
        ("a number", with(json!(1))),
        ("an object", with(json!({"mcp:tools": true, "mcp:extra": true}))),
        ("a list with a number", with(json!(["mcp:tools", "mcp:extra", 1]))),
        ("under another name beside the right one", with(json!("openid")).claim("scp", json!(["mcp:tools", "mcp:extra"]))),
    ]
    .into_iter()
    .map(|(what, token)| Row { status: 403, ..forged(format!("scope: {what}"), "scope_missing", token) })
    .collect()
}
