//! `slack_webhook` and `discord_webhook`: one post to an address that is a secret in whole (reference, tool modules section 8.6).

use std::sync::Arc;

use bailiwick_model::Code;
use bailiwick_modules::{Access, CredentialKey, Host, ModuleRegistry, OpenFault};
use serde_json::{Value, json};

use crate::canary::Case;
use crate::service::{FakeService, Learned, RecordingNetwork, Reply, header_names, host};
use crate::support::{Agent, mistakes, try_open_on};

const PATH: &str = "/services/T024BE7LD/B024BE7LH/q9Zx3vN7pL2mK8wR4tY6uI1o";

/// The two kinds: name, credential, argument, an address on the vendor's host.
const KINDS: [(&str, &str, &str, &str); 2] = [
    ("slack_webhook", "SLACK_WEBHOOK_URL", "text", "https://hooks.slack.com/services/T024BE7LD/B024BE7LH/k3y-of-the-hook"),
    ("discord_webhook", "DISCORD_WEBHOOK_URL", "content", "https://discord.com/api/webhooks/223704706495545344/k3y-of-the-hook"),
];

fn try_open(kind: &str, config: &Value, url: &str) -> Result<Agent, OpenFault> {
    let name = KINDS.iter().find(|(known, ..)| *known == kind).unwrap().1;
    try_open_on(&host(Arc::new(RecordingNetwork::default())), kind, "a", Some(Access::Write), config, &[(name, url)])
}

/// The JSON that one call posts.
async fn posted(kind: &str, more: Value, text: &str) -> Value {
    let service = FakeService::start(|_| Reply::new(204, "")).await;
    let mut config = json!({ "any_host": true });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let argument = KINDS.iter().find(|(known, ..)| *known == kind).unwrap().2;
    let agent = try_open(kind, &config, &format!("{}{PATH}", service.url())).unwrap();
    assert_eq!(agent.call("send", &json!({ argument: text })).await, Ok(json!(true)));
    let request = service.only();
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", PATH));
    assert_eq!(header_names(&request), ["accept-encoding", "content-length", "content-type", "host", "user-agent"]);
    assert_eq!(request.header("content-type"), Some("application/json"));
    request.json()
}

#[tokio::test]
async fn slack_mentions_are_written_out() {
    for (given, sent) in [
        ("done: Grüße, 世界 👩‍🚀\n\"two\" \\ \u{0}", "done: Grüße, 世界 👩‍🚀\n\"two\" \\ \u{0}"),
        ("hi <!channel>, <@U024BE7LH> and <!everyone|all>", "hi &lt;!channel>, &lt;@U024BE7LH> and &lt;!everyone|all>"),
    ] {
        assert_eq!(posted("slack_webhook", json!({}), given).await, json!({ "text": sent }));
        assert_eq!(posted("slack_webhook", json!({ "allow_mentions": true }), given).await, json!({ "text": given }));
    }
}

#[tokio::test]
async fn discord_mentions_call_nobody_and_long_texts_are_cut() {
    let nobody = json!({ "parse": [] });
    for (given, sent) in [
        ("hi @everyone <@80351110224678912> Grüße\n", "hi @everyone <@80351110224678912> Grüße\n".to_owned()),
        (&"ü".repeat(2_000), "ü".repeat(2_000)),
        (&"ü".repeat(2_001), format!("{}...", "ü".repeat(1_997))),
    ] {
        assert_eq!(posted("discord_webhook", json!({}), given).await, json!({ "content": sent, "allowed_mentions": nobody }));
        assert_eq!(posted("discord_webhook", json!({ "allow_mentions": true }), given).await, json!({ "content": sent }));
    }
}

#[tokio::test]
async fn what_is_refused_is_not_sent() {
    let service = FakeService::start(|_| Reply::new(200, "ok")).await;
    for (kind, _, argument, _) in KINDS {
        let agent = try_open(kind, &json!({ "any_host": true }), &format!("{}{PATH}", service.url())).unwrap();
        for empty in ["", " ", "\n\t\u{3000}"] {
            let arguments = json!({ argument: empty });
            assert_eq!(agent.0.confine("send", &arguments.to_string()).unwrap_err().code, Code::InvalidArgument, "{kind} {empty:?}");
            assert_eq!(agent.code("send", &arguments).await, Err(Code::InvalidArgument), "{kind} {empty:?}");
        }
        assert_eq!(agent.code("send", &json!({})).await, Err(Code::InvalidArgument), "{kind}");
    }
    let slack = try_open("slack_webhook", &json!({ "any_host": true }), &format!("{}{PATH}", service.url())).unwrap();
    for long in ["x".repeat(40_001), format!("<!{}", "x".repeat(39_996))] {
        assert_eq!(slack.code("send", &json!({ "text": long })).await, Err(Code::LimitExceeded));
    }
    assert!(service.received().is_empty());
    for fits in ["ü".repeat(40_000), format!("<!{}", "x".repeat(39_995))] {
        assert_eq!(slack.code("send", &json!({ "text": fits })).await, Ok(json!(true)));
    }
}

#[test]
fn the_address_is_https_on_the_vendors_host() {
    for (kind, name, _, good) in KINDS {
        assert!(try_open(kind, &json!({}), good).is_ok(), "{kind}");
        let path = "/services/T0/B0/k3y-of-the-hook";
        for bad in [
            good.replacen("https", "http", 1),
            format!("https://hooks.slack.com.evil.example{path}"),
            format!("https://evil.example/hooks.slack.com/discord.com{path}"),
            format!("https://127.0.0.1{path}"),
            format!("http://127.0.0.1{path}"),
            format!("https://hooks.slack.com@evil.example{path}"),
            format!("https://evil.example\\@hooks.slack.com{path}"),
            format!("{good}#x"),
            format!("{good}?a b"),
            format!("{good}?a#b"),
            format!("{good}\r\nX-Evil: 1"),
            format!("{good}?a\r\nX-Evil: 1"),
            good.split("://").nth(1).unwrap().to_owned(),
            String::new(),
        ] {
            let fault = try_open(kind, &json!({}), &bad).err().unwrap_or_else(|| panic!("{kind}: {bad} was taken"));
            assert_eq!(fault.key.as_deref(), Some(name), "{bad}");
            assert!(!fault.to_string().contains("k3y"), "{fault}");
        }
        for (url, fine) in [
            (format!("https://other.example{path}"), true),
            (format!("http://127.0.0.1:8080{path}"), true),
            (format!("http://[::1]{path}"), true),
            (format!("http://localhost{path}"), true),
            (format!("http://other.example{path}"), false),
            (format!("http://10.0.0.1{path}"), false),
            ("https://other.example".to_owned(), false),
        ] {
            assert_eq!(try_open(kind, &json!({ "any_host": true }), &url).is_ok(), fine, "{url}");
        }
    }
    assert!(try_open("discord_webhook", &json!({}), KINDS[0].3).is_err() && try_open("slack_webhook", &json!({}), KINDS[1].3).is_err());
}

#[tokio::test]
async fn a_query_goes_along() {
    let service = FakeService::start(|_| Reply::new(204, "")).await;
    let agent =
        try_open("discord_webhook", &json!({ "any_host": true }), &format!("{}/api/webhooks/1/key?thread_id=42", service.url())).unwrap();
    agent.call("send", &json!({ "content": "x" })).await.unwrap();
    assert_eq!(service.only().target, "/api/webhooks/1/key?thread_id=42");
}

#[test]
fn configuration_and_credentials_are_checked() {
    for (kind, name, _, url) in KINDS {
        let declared = ModuleRegistry::with_builtin().get(kind).unwrap().credentials(&serde_json::Map::new());
        assert_eq!(declared, [CredentialKey::required(name)]);
        assert_eq!(
            mistakes(kind, &json!({ "allow_private": ["x", "10.0.0.0/8", "y"] }), &[(name, url)]),
            ["allow_private.0", "allow_private.2"]
        );
        assert!(mistakes(kind, &json!({ "any_host": true, "allow_mentions": true }), &[(name, url)]).is_empty());
        let open =
            |config: Value| try_open_on(&Host::isolated(), kind, "a", None, &config, &[(name, url)]).err().and_then(|fault| fault.key);
        assert_eq!(open(json!({ "any_host": "yes" })).as_deref(), Some("any_host"));
        assert_eq!(open(json!({ "allow_mentions": 1 })).as_deref(), Some("allow_mentions"));
        assert_eq!(open(json!({ "hosts": [] })).as_deref(), Some("hosts"));
        let missing = try_open_on(&Host::isolated(), kind, "a", None, &json!({}), &[]).err().and_then(|fault| fault.key);
        assert_eq!(missing.as_deref(), Some(name));
    }
}

#[test]
fn the_parts_of_the_address_are_secrets() {
    for (kind, name, ..) in KINDS {
        let learned = Arc::new(Learned::default());
        let host = Host { secrets: learned.clone(), ..Host::isolated() };
        let url = format!("https://hooks.example{PATH}?key=in-the-query");
        try_open_on(&host, kind, "a", None, &json!({ "any_host": true }), &[(name, &url)]).unwrap();
        let learned = learned.0.lock().unwrap();
        let query = format!("{PATH}?key=in-the-query");
        for secret in [PATH, "q9Zx3vN7pL2mK8wR4tY6uI1o", &query, &query[1..]] {
            assert!(learned.iter().any(|known| known == secret), "{secret} in {learned:?}");
        }
    }
}

#[tokio::test]
async fn the_vendors_name_must_lead_to_public_space() {
    for (kind, name, argument, url) in KINDS {
        let name_of_host = url.split('/').nth(2).unwrap().to_owned();
        let network = Arc::new(RecordingNetwork {
            names: [(name_of_host, vec!["127.0.0.1".parse().unwrap()])].into(),
            ..RecordingNetwork::default()
        });
        let agent = try_open_on(&host(network.clone()), kind, "a", None, &json!({}), &[(name, url)]).unwrap();
        assert_eq!(agent.code("send", &json!({ argument: "x" })).await, Err(Code::EgressDenied), "{kind}");
        assert!(network.dialled.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn no_failure_shows_the_address() {
    let slack = Case {
        kind: "slack_webhook",
        config: json!({ "any_host": true }),
        credentials: |url| vec![("SLACK_WEBHOOK_URL", format!("{url}{PATH}"))],
        arguments: json!({ "text": "x" }),
        canaries: &["T024BE7LD", "B024BE7LH", "q9Zx3vN7pL2m"],
    };
    let discord = Case {
        kind: "discord_webhook",
        credentials: |url| vec![("DISCORD_WEBHOOK_URL", format!("{url}{PATH}?thread_id=8812"))],
        arguments: json!({ "content": "x" }),
        canaries: &["T024BE7LD", "B024BE7LH", "q9Zx3vN7pL2m", "8812"],
        ..slack
    };
    discord.run().await;
    Case {
        kind: "slack_webhook",
        credentials: |url| vec![("SLACK_WEBHOOK_URL", format!("{url}{PATH}"))],
        arguments: json!({ "text": "x" }),
        ..discord
    }
    .run()
    .await;
}
