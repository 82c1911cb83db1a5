//! What the program tells clients about how to get a token, and what it tells them when there are no issuers.

use bailiwick_testkit::app::App;
use serde_json::Value;

use crate::scene::{port, setup, started};
use crate::support::RawClient;

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
const ISSUERS: &str = "\
public_url: https://gw.example.com/base
auth:
  issuers:
    - {name: corporate, issuer: 'https://id.example.com', org: default, agent_type: reader, scopes_required: ['mcp:tools']}
";

/// Status, head and body of a request without credential.
fn ask(app: &App, method: &str, path: &str) -> (String, String, String) {
    let mut client = RawClient::connect(([127, 0, 0, 1], port(app)).into());
    let host = format!("127.0.0.1:{}", port(app));
    client.send(&format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"));
    let answer = client.read_to_end();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].to_owned(), head.to_ascii_lowercase(), body.to_owned())
}

#[test]
fn a_client_finds_the_issuer_from_a_refusal_alone() {
    let (app, [key]) = started(setup(ISSUERS), [("reader-01", "reader")]);
    let (status, head, body) = ask(&app, "POST", "/mcp");
    let challenge = "www-authenticate: bearer resource_metadata=\"https://gw.example.com/.well-known/oauth-protected-resource/base/mcp\", scope=\"mcp:tools\"\r\n";
    assert_eq!(status, "401");
    assert!(head.contains(challenge), "{head}");
    assert!(body.contains("authorization server"), "{body}");
    let (_, head, _) = ask(&app, "POST", "/mcp/servers/tickets");
    assert!(head.contains("oauth-protected-resource/base/mcp/servers/tickets\""), "{head}");
    for (path, resource) in [
        ("", "https://gw.example.com/base/mcp"),
        ("/base/mcp", "https://gw.example.com/base/mcp"),
        ("/mcp", "https://gw.example.com/base/mcp"),
        ("/base/mcp/orgs/acme", "https://gw.example.com/base/mcp"),
        ("/base/mcp/servers/tickets", "https://gw.example.com/base/mcp/servers/tickets"),
    ] {
        let (status, head, body) = ask(&app, "GET", &format!("{WELL_KNOWN}{path}"));
        assert!(status == "200" && head.contains("content-type: application/json"), "{path}: {head}");
        let document: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(document["resource"], resource);
        assert_eq!(document["authorization_servers"][0], "https://id.example.com");
        assert_eq!((&document["scopes_supported"][0], &document["bearer_methods_supported"][0]), (&"mcp:tools".into(), &"header".into()));
    }
    for path in ["/x", "/mcp/servers/a/b", "/mcp/servers/..%2f", "/mcpx"] {
        assert_eq!(ask(&app, "GET", &format!("{WELL_KNOWN}{path}")).0, "404", "{path}");
    }
    assert_eq!(ask(&app, "POST", WELL_KNOWN).0, "405");
    // Keys go on working, and a token in the query is refused before anything else.
    let mut client = RawClient::connect(([127, 0, 0, 1], port(&app)).into());
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let head = format!("host: 127.0.0.1:{}\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream", port(&app));
    let length = ping.len();
    client.send(&format!(
        "POST /mcp HTTP/1.1\r\n{head}\r\nauthorization: Bearer {key}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{ping}"
    ));
    assert!(client.read_to_end().starts_with("HTTP/1.1 200"), "a key");
    let (status, _, body) = ask(&app, "POST", "/mcp?access_token=canary-token");
    assert!(status == "400" && !body.contains("canary"), "{body}");
    assert!(!app.stderr().contains("canary"), "{}", app.stderr());
}

#[test]
fn without_issuers_there_is_nothing_to_find() {
    let (app, _) = started(setup(""), [("reader-01", "reader")]);
    let (status, head, _) = ask(&app, "POST", "/mcp");
    assert!(status == "401" && head.contains("\r\nwww-authenticate: bearer\r\n"), "{head}");
    for path in ["", "/mcp"] {
        assert_eq!(ask(&app, "GET", &format!("{WELL_KNOWN}{path}")).0, "404", "{path}");
    }
}
