//! Who may call what: every tool of every agent, by everybody. Nothing is listed here: the tools are those that the agents are shown, and
//! what a tool of the house requires is in its definition, which does not compile without it.

use bailiwick_testkit::client::{Client, Era, Fault};
use serde_json::{Map, Value, json};

use crate::api::Town;
use crate::scene::{client, code};

const HOUSE: &str = "instructions: {}\nruns: {}\nfeedback: true\n";
const ROLE: &str = "dev.bailiwick/requiredRole";

/// Everybody with what he is in his organisation; `writer` is an agent of another type, whose manifest has other tools.
const EVERYBODY: [(&str, &str); 9] = [
    ("nobody", ""),
    ("garbage", ""),
    ("member", "member"),
    ("himself", "member"),
    ("group", "member"),
    ("agent", "member"),
    ("group_admin", "group_admin"),
    ("org_admin", "org_admin"),
    ("foreign", "org_admin"),
];

fn rank(role: &str) -> usize {
    ["member", "group_admin", "org_admin"].iter().position(|known| *known == role).unwrap_or_else(|| panic!("an unknown role: {role}"))
}

/// Arguments that the schema admits, whatever comes of them.
fn arguments(tool: &Value) -> Value {
    let schema = &tool["inputSchema"];
    let mut arguments = Map::new();
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let value = match schema["properties"][name]["type"].as_str() {
            Some("integer" | "number") => json!(1),
            Some("boolean") => json!(true),
            Some("array") => json!([]),
            Some("object") => json!({}),
            _ if name == "signal" => json!("gap"),
            _ if name == "outcome" => json!("done"),
            _ => json!("x"),
        };
        arguments.insert(name.to_owned(), value);
    }
    Value::Object(arguments)
}

/// What came of a call, in one word.
async fn outcome(client: &Client, tool: &Value) -> String {
    match client.call(tool["name"].as_str().unwrap(), arguments(tool)).await {
        Ok(result) => code(&result).to_owned(),
        Err(Fault::Rpc { status: Some(status @ (401 | 403)), .. } | Fault::Status(status, _)) => status.to_string(),
        Err(Fault::Rpc { code, .. }) => code.to_string(),
        Err(other) => format!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_is_there_for_those_who_may_and_for_nobody_else() {
    let town = tokio::task::spawn_blocking(|| Town::new(HOUSE)).await.unwrap();
    let writer = client(&town.app, town.key("writer"), Era::Modern);
    let of_reader = client(&town.app, town.key("org_admin"), Era::Modern).tools().await.unwrap();
    let of_writer = writer.tools().await.unwrap();
    let named = |tools: &[Value], tool: &Value| tools.iter().any(|other| other["name"] == tool["name"]);
    let (mut wrong, mut house, mut foreign) = (Vec::new(), 0, 0);
    for tool in of_reader.iter().chain(of_writer.iter().filter(|tool| !named(&of_reader, tool))) {
        let required = tool["_meta"][ROLE].as_str();
        house += usize::from(required.is_some());
        for (who, role) in EVERYBODY {
            let key = match who {
                "nobody" => None,
                "garbage" => Some("bw_0123456789abcdef_not-a-key_000000"),
                name => Some(town.key(name)),
            };
            let asking = Client::http(&town.app.mcp_url(), Era::Modern);
            let asking = match key {
                Some(key) => asking.bearer(key),
                None => asking,
            };
            let got = outcome(&asking, tool).await;
            let fits = match (role, required) {
                ("", _) => got == "401",
                _ if !named(&of_reader, tool) => got == "-32602",
                (role, Some(required)) if rank(role) < rank(required) => got == "forbidden",
                _ => !matches!(&*got, "forbidden" | "401" | "403" | "-32602"),
            };
            if !fits {
                wrong.push(format!("{who} calls {}: {got}", tool["name"]));
            }
        }
        if !named(&of_writer, tool) {
            foreign += 1;
            assert_eq!(outcome(&writer, tool).await, "-32602", "the writer has no {}", tool["name"]);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(house >= 8 && of_writer.len() > house, "{house} of {}", of_writer.len());
    assert!(foreign == 0 || foreign < of_reader.len());
}
