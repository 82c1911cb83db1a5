//! Who may do what: every operation of the served document, by everybody. Nothing is listed here, so a new operation is in the table when
//! it is in the document; it cannot be served without being there, and not be there without its role and its example.

use bailiwick_testkit::app::{App, http_status};
use serde_json::{Value, json};

use crate::api::{Answer, Ask, Town};
use crate::scene::{CONFIGURATION, READER, port};

/// Everybody in the order of asking: those who are refused first, since a refusal must leave everything as it is.
const EVERYBODY: [&str; 10] =
    ["nobody", "garbage", "foreign", "agent", "member", "himself", "group", "group_admin", "org_admin", "platform_admin"];

/// Who may do what requires `role`.
fn may(role: &str) -> &'static [&'static str] {
    match role {
        "credential" => &["foreign", "agent", "member", "himself", "group", "group_admin", "org_admin", "platform_admin"],
        "member" => &["agent", "member", "himself", "group", "group_admin", "org_admin", "platform_admin"],
        "himself" => &["himself", "group_admin", "org_admin", "platform_admin"],
        "group_admin" => &["group_admin", "org_admin", "platform_admin"],
        // Nobody is a person of another organisation, wherever he stands.
        "person" => &["member", "himself", "group", "group_admin", "org_admin"],
        "registrar" => &["org_admin", "platform_admin"],
        "group" => &["group", "group_admin", "org_admin", "platform_admin"],
        "org_admin" => &["org_admin", "platform_admin"],
        "platform_admin" => &["platform_admin"],
        other => panic!("the document knows a role that this table does not: {other}"),
    }
}

struct Operation {
    method: String,
    path: String,
    role: String,
    success: u16,
    body: Option<Value>,
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let statuses = operation["responses"].as_object().unwrap().keys();
            all.push(Operation {
                method: method.to_ascii_uppercase(),
                path: path.clone(),
                role: operation["x-required-role"].as_str().expect("every operation says what it requires").to_owned(),
                success: statuses.filter_map(|status| status.parse().ok()).find(|status| *status < 300).unwrap(),
                body: operation.get("requestBody").map(|body| body["content"]["application/json"]["example"].clone()),
            });
        }
    }
    all
}

/// What the examples name, in its first state.
fn restore(town: &Town) {
    let put = |who, method, target: &str, body: Value| {
        let answer = town.ask(who, method, target, Some(&body));
        assert!(answer.status < 300 || answer.status == 409, "{method} {target}: {answer:?}");
    };
    put("org_admin", "POST", "/v1/orgs/acme/members", json!({"sub": "tom"}));
    put("org_admin", "PATCH", "/v1/orgs/acme/members/tom", json!({"role": "member"}));
    put("org_admin", "POST", "/v1/orgs/acme/groups", json!({"group": "data", "name": "Data people"}));
    for (sub, role) in [("gil", "group_admin"), ("lee", "group_admin"), ("tom", "member")] {
        put("org_admin", "PUT", &format!("/v1/orgs/acme/groups/data/members/{sub}"), json!({"role": role}));
    }
    put("org_admin", "PUT", "/v1/orgs/acme/instructions/rule/tone", json!({"body": "Answer briefly."}));
    put("org_admin", "PUT", "/v1/orgs/acme/secrets/API_TOKEN", json!({"value": "a-value-of-no-use"}));
    put("platform_admin", "PUT", "/v1/platform/admins/carol", json!({"org": "acme"}));
}

/// The id of a server of acme, in its first state.
fn shelf(town: &Town) -> String {
    let put = |method, target: &str, body: Value| {
        let answer = town.ask("org_admin", method, target, Some(&body));
        assert!(answer.status < 300, "{method} {target}: {answer:?}");
        answer.json()["data"]["server_id"].as_str().unwrap_or_default().to_owned()
    };
    let servers = town.ask("org_admin", "GET", "/v1/mcp/servers", None).json();
    let known = servers["data"]["items"].as_array().unwrap().iter().find(|server| server["display_name"] == "shelf");
    let id = match known {
        Some(server) => server["server_id"].as_str().unwrap().to_owned(),
        None => put("POST", "/v1/mcp/servers", json!({"server_url": NOBODY, "display_name": "shelf", "allowed_tools": {}})),
    };
    put("PUT", &format!("/v1/mcp/servers/{id}/org-credential"), json!({"secret_name": "API_TOKEN"}));
    put("PUT", &format!("/v1/mcp/servers/{id}/org-context"), json!({"context": "Ours."}));
    put("PUT", &format!("/v1/mcp/servers/{id}/allowed-tools"), json!({"allowed_tools": {}}));
    id
}

/// Where nobody answers.
const NOBODY: &str = "http://127.0.0.1:1/mcp";
/// The id in examples.
const EXAMPLE_ID: &str = "0123456789abcdef0123456789abcdef";

/// The address of an operation's example.
fn target(town: &Town, operation: &Operation) -> String {
    let mut target = operation.path.clone();
    let fresh_key = || {
        let body = json!({"agent_id": "worker", "expires_at": null});
        town.ask("org_admin", "POST", "/v1/orgs/acme/keys", Some(&body)).json()["id"].as_str().unwrap().to_owned()
    };
    let event =
        || town.ask("org_admin", "GET", "/v1/orgs/acme/events?limit=1", None).json()["items"][0]["event_id"].as_str().unwrap().to_owned();
    // Bob asks himself, so nobody takes him away.
    let sub = if operation.method == "GET" {
        "bob"
    } else if operation.path.starts_with("/v1/platform") {
        "carol"
    } else {
        "tom"
    };
    for (name, value) in [
        ("org", "acme"),
        ("sub", sub),
        ("group", "data"),
        ("agent_id", "worker"),
        ("name", "API_TOKEN"),
        ("kind", "rule"),
        ("slug", "tone"),
    ] {
        target = target.replace(&format!("{{{name}}}"), value);
    }
    if target.contains("{key_id}") {
        target = target.replace("{key_id}", &fresh_key());
    }
    if target.contains("{run_id}") {
        let run = town.call("agent", "run_start", json!({"label": "work"}));
        target = target.replace("{run_id}", run["structuredContent"]["run_id"].as_str().unwrap());
    }
    if target.contains("{feedback_id}") {
        let body = json!({"signal": "gap", "kind": "missing_tool", "target": "calendar"});
        let given = town.ask("member", "POST", "/v1/orgs/acme/feedback", Some(&body)).json();
        target = target.replace("{feedback_id}", given["id"].as_str().unwrap());
    }
    if target.contains("{server_id}") {
        target = target.replace("{server_id}", &shelf(town));
    }
    if target.contains("{event_id}") {
        target = target.replace("{event_id}", &event());
    }
    assert!(!target.contains('{'), "a parameter that this table does not know: {target}");
    target
}

fn ask(town: &Town, who: &str, operation: &Operation, target: &str, number: usize) -> Answer {
    let key = match who {
        "nobody" => None,
        "garbage" => Some("bw_0123456789abcdef_not-a-key_000000"),
        name => Some(town.key(name)),
    };
    let mut ask = Ask { key, ..Ask::anybody() };
    if let Some(body) = &operation.body {
        let text = body.to_string().replace("new-1", &format!("new-{number}")).replace("https://10.0.0.7/mcp", NOBODY);
        ask = ask.text(if text.contains(EXAMPLE_ID) { text.replace(EXAMPLE_ID, &shelf(town)) } else { text });
    }
    if who == "platform_admin" && operation.path.starts_with("/v1/mcp/") {
        ask = ask.header("x-roboto-org-id", "acme");
    }
    ask.send(&town.app, &operation.method, target)
}

/// What is answered to who may: nobody answers at the servers of this table, so nobody is connected with one.
fn done(operation: &Operation) -> u16 {
    let ends = |end: &str| operation.path.ends_with(end);
    match operation.method.as_str() {
        "POST" if ends("/oauth/start") || ends("/discover") => 409,
        "POST" if ends("/oauth/callback") => 410,
        "DELETE" if ends("/token") || ends("/connections/{sub}") || ends("/org-connection") => 404,
        _ => operation.success,
    }
}

fn expected(who: &str, operation: &Operation) -> u16 {
    match who {
        "nobody" | "garbage" => 401,
        "foreign" if operation.path.starts_with("/v1/mcp/") && operation.path.contains("{server_id}") => 404,
        // She administers an organisation of her own.
        "foreign" if operation.path.starts_with("/v1/mcp/") => done(operation),
        _ if may(&operation.role).contains(&who) => done(operation),
        // A list without a name in its path shows everybody his own.
        "foreign" if operation.role == "member" && !operation.path.contains("{org}") => operation.success,
        "foreign" if operation.path.contains("{org}") => 404,
        _ => 403,
    }
}

#[test]
fn every_operation_is_done_for_those_who_may_and_for_nobody_else() {
    let town = Town::new("runs: {}\nconnections: {allow_loopback_http: true}\n");
    let document = Ask::anybody().send(&town.app, "GET", "/v1/openapi.json").json();
    let operations = operations(&document);
    assert!(operations.len() >= 30, "{}", operations.len());
    let (mut wrong, mut number) = (Vec::new(), 0);
    for operation in &operations {
        for who in EVERYBODY {
            let expected = expected(who, operation);
            if !(300..409).contains(&expected) {
                restore(&town);
                number += 1;
            }
            // For who is refused the number stays: what he asks for can still be done afterwards.
            let target = target(&town, operation);
            let answer = ask(&town, who, operation, &target, number.max(1));
            if answer.status != expected {
                wrong.push(format!(
                    "{who}: {} {} gave {}, not {expected}: {}",
                    operation.method, operation.path, answer.status, answer.body
                ));
            }
            if expected >= 400 {
                check_refusal(&answer, expected);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check_refusal(answer: &Answer, expected: u16) {
    let code = answer.code();
    match expected {
        401 => {
            assert_eq!(code, "auth");
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{answer:?}");
        }
        403 => assert_eq!(code, "forbidden"),
        404 => assert_eq!(code, "not_found"),
        _ => {}
    }
}

#[test]
fn a_foreign_organisation_and_none_are_the_same() {
    let town = Town::new("");
    let body = json!({"sub": "x"});
    for (method, rest, body) in
        [("GET", "", None), ("GET", "/members", None), ("POST", "/members", Some(&body)), ("DELETE", "/groups/data", None)]
    {
        let of = |org: &str| {
            let answer = town.ask("foreign", method, &format!("/v1/orgs/{org}{rest}"), body);
            (answer.status, answer.body.replace(org, "ORG"))
        };
        assert_eq!(of("acme"), of("nowhere"), "{method} {rest}");
        assert_eq!(of("acme").0, 404);
    }
}

#[test]
fn without_credentials_the_gateway_has_no_management_api() {
    let app = App::program(env!("CARGO_BIN_EXE_bailiwick"))
        .config(&format!("{CONFIGURATION}auth: none\n"))
        .file("manifests/reader.yml", READER)
        .start();
    for path in ["/v1/orgs", "/v1/openapi.json", "/docs"] {
        assert_eq!(http_status(port(&app), path), Some(404), "{path}");
    }
}
