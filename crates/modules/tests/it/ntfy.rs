//! `ntfy`: what goes out for which arguments, and what does not go out at all (reference, tool modules section 8.3).

use std::sync::Arc;

use bailiwick_model::Code;
use bailiwick_modules::{Access, CredentialKey, ModuleRegistry};
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::canary::Case;
use crate::service::{FakeService, Received, RecordingNetwork, Reply, header_names, host};
use crate::support::{Agent, mistakes, try_open_on};

const TOKEN: &str = "tk_canary_7f3c9a5e1d8b";

async fn server() -> FakeService {
    FakeService::start(|_| Reply::json(&json!({ "id": "x" }))).await
}

fn agent(url: &str, config: Value) -> Agent {
    try_open_on(&host(Arc::new(RecordingNetwork::default())), "ntfy", "a-1", None, &config, &[("NTFY_URL", url), ("NTFY_TOKEN", TOKEN)])
        .unwrap()
}

/// What one call sends.
async fn sent(config: Value, arguments: Value) -> Received {
    let service = server().await;
    assert_eq!(agent(&service.url(), config).call("send", &arguments).await, Ok(json!(true)));
    service.only()
}

/// A header as ntfy reads it: encoded words decoded, white space between them gone.
fn decoded(value: &str) -> String {
    let word = |word: &str| {
        let text = word.strip_prefix("=?utf-8?b?")?.strip_suffix("?=")?;
        String::from_utf8(BASE64.decode(text.as_bytes()).unwrap()).ok()
    };
    let words: Option<String> = value.split(' ').map(word).collect();
    words.unwrap_or_else(|| value.to_owned())
}

#[tokio::test]
async fn a_message_is_one_post_to_the_topic() {
    let request =
        sent(json!({}), json!({ "title": "Build", "message": "done\nall of it", "priority": "high", "tags": "warning, robot" })).await;
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/agents-a-1"));
    let expected =
        ["accept-encoding", "authorization", "content-length", "content-type", "host", "priority", "tags", "title", "user-agent"];
    assert_eq!(header_names(&request), expected);
    assert_eq!(request.header("title"), Some("Build"));
    assert_eq!(request.header("priority"), Some("high"));
    assert_eq!(request.header("tags"), Some("warning, robot"));
    assert_eq!(request.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
    assert_eq!(request.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(request.text(), "done\nall of it");
}

#[tokio::test]
async fn what_is_empty_or_missing_is_not_sent() {
    let service = server().await;
    let url = format!("{}/behind/", service.url());
    let open =
        try_open_on(&host(Arc::new(RecordingNetwork::default())), "ntfy", "a-1", Some(Access::Write), &json!({}), &[("NTFY_URL", &url)]);
    open.unwrap().call("send", &json!({ "title": " \r\n", "message": "" })).await.unwrap();
    let request = service.only();
    assert_eq!(request.target, "/behind/agents-a-1");
    for name in ["title", "tags", "authorization"] {
        assert_eq!(request.header(name), None, "{name}");
    }
    assert_eq!((request.header("priority"), request.text()), (Some("default"), String::new()));
}

#[tokio::test]
async fn titles_and_tags_are_encoded_and_cut() {
    for (given, read) in [
        ("Grüße 世界 👩‍🚀", "Grüße 世界 👩‍🚀".to_owned()),
        ("ü".repeat(251).as_str(), "ü".repeat(250)),
        ("x".repeat(251).as_str(), "x".repeat(250)),
        (format!("{}\n\n", "\r".repeat(300)).as_str(), String::new()),
    ] {
        let request = sent(json!({}), json!({ "title": given, "message": "m", "tags": given })).await;
        for name in ["title", "tags"] {
            let value = request.header(name).unwrap_or_default();
            assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{given:?} became {value:?}");
            assert_eq!(decoded(value), read, "{given:?}");
            assert!(value.split(' ').all(|word| !word.starts_with("=?") || word.len() <= 75), "{value}");
        }
        assert_eq!(request.text(), "m", "{given:?}");
    }
}

#[tokio::test]
async fn priorities_are_words_or_numbers_and_capped() {
    let given = ["min", "low", "default", "high", "urgent", "max", "1", "2", "3", "4", "5"];
    let full = ["min", "low", "default", "high", "urgent", "urgent", "min", "low", "default", "high", "urgent"];
    let ranks = ["min", "low", "default", "high", "urgent"];
    let rank = |word: &str| ranks.iter().position(|known| *known == word).unwrap();
    let service = server().await;
    for cap in ranks {
        let agent = agent(&service.url(), json!({ "max_priority": cap }));
        for (given, full) in given.into_iter().zip(full) {
            agent.call("send", &json!({ "title": "t", "message": "m", "priority": given })).await.unwrap();
            let request = service.received().pop().unwrap();
            assert_eq!(request.header("priority"), Some(ranks[rank(full).min(rank(cap))]), "{given} under {cap}");
        }
    }
}

#[tokio::test]
async fn a_refused_call_sends_nothing() {
    let service = server().await;
    let agent = agent(&service.url(), json!({}));
    let refused = |more: Value, code: Code| {
        let mut arguments = json!({ "title": "t", "message": "m" });
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let fault = agent.0.confine("send", &arguments.to_string()).unwrap_err();
        assert_eq!(fault.code, code, "{arguments}");
        arguments
    };
    for priority in ["", "extreme", "HIGH", "0", "6", " high", "05"] {
        refused(json!({ "priority": priority }), Code::InvalidArgument);
    }
    refused(json!({ "topic": "other" }), Code::InvalidArgument);
    refused(json!({ "priority": 5 }), Code::InvalidArgument);
    let long = refused(json!({ "message": "x".repeat(4_097) }), Code::LimitExceeded);
    assert_eq!(agent.code("send", &long).await, Err(Code::LimitExceeded));
    assert!(refused(json!({ "message": "ü".repeat(2_049) }), Code::LimitExceeded).is_object());
    assert_eq!(agent.code("publish", &json!({})).await, Err(Code::PolicyDenied));
    assert!(service.received().is_empty());
    assert!(agent.call("send", &json!({ "title": "t", "message": "ü".repeat(2_048) })).await.is_ok());
}

#[tokio::test]
async fn the_topic_is_a_template_for_a_name() {
    assert_eq!(sent(json!({ "topic": "{agent_type}_{agent_id}" }), json!({ "title": "t", "message": "m" })).await.target, "/tester_a-1");
    let keys = [("NTFY_URL", "https://push.example")];
    for bad in ["", "a/b", "../x", "a b", "a?x=1", "ü", "{agent_id", "{agent_id.__class__}", "a\n", &"x".repeat(65)] {
        assert_eq!(mistakes("ntfy", &json!({ "topic": bad }), &keys), ["topic"], "{bad:?}");
    }
    // 64 characters are a topic; with the prefix, a long id makes more of it.
    assert!(mistakes("ntfy", &json!({ "topic": "x".repeat(64) }), &keys).is_empty());
    let open = |id: &str| try_open_on(&bailiwick_modules::Host::isolated(), "ntfy", id, None, &json!({}), &keys);
    assert!(open(&"a".repeat(57)).is_ok());
    assert_eq!(open(&"a".repeat(58)).err().unwrap().key.as_deref(), Some("topic"));
}

#[test]
fn every_mistake_of_a_configuration_is_told() {
    let keys = [("NTFY_URL", "https://push.example")];
    let config = json!({ "topic": "a b", "max_priority": "max", "allow_private": ["10.0.0.0/8", "ten", "10.0.0.0/99"] });
    assert_eq!(mistakes("ntfy", &config, &keys), ["topic", "max_priority", "allow_private.1", "allow_private.2"]);
    assert!(mistakes("ntfy", &json!({ "topic": "t", "max_priority": "low", "allow_private": ["10.0.0.0/8"] }), &keys).is_empty());
}

#[test]
fn credentials_are_declared_and_held_to_their_form() {
    let registry = ModuleRegistry::with_builtin();
    let declared = registry.get("ntfy").unwrap().credentials(&serde_json::Map::new());
    assert_eq!(declared, [CredentialKey::required("NTFY_URL"), CredentialKey::optional("NTFY_TOKEN")]);
    let open =
        |credentials: &[(&str, &str)]| try_open_on(&bailiwick_modules::Host::isolated(), "ntfy", "a", None, &json!({}), credentials).err();
    for (credentials, key) in [
        (vec![], "NTFY_URL"),
        (vec![("NTFY_URL", "push.example/canary")], "NTFY_URL"),
        (vec![("NTFY_URL", "ftp://push.example/canary")], "NTFY_URL"),
        (vec![("NTFY_URL", "https://canary@push.example")], "NTFY_URL"),
        (vec![("NTFY_URL", "https://push.example/?auth=canary")], "NTFY_URL"),
        (vec![("NTFY_URL", "https://push.example"), ("NTFY_TOKEN", "canary\r\nX-Evil: 1")], "NTFY_TOKEN"),
    ] {
        let fault = open(&credentials).unwrap();
        assert_eq!(fault.key.as_deref(), Some(key), "{credentials:?}");
        assert!(!fault.to_string().contains("canary"), "{fault}");
    }
}

#[tokio::test]
async fn a_name_must_lead_to_public_space_or_into_the_ranges() {
    let names = [("push.corp".to_owned(), vec!["10.1.2.3".parse().unwrap()])];
    let network = Arc::new(RecordingNetwork { names: names.into(), ..RecordingNetwork::default() });
    let call = async |config: Value| {
        let agent = try_open_on(&host(network.clone()), "ntfy", "a", None, &config, &[("NTFY_URL", "http://push.corp:8080")]).unwrap();
        agent.code("send", &json!({ "title": "t", "message": "m" })).await
    };
    assert_eq!(call(json!({})).await, Err(Code::EgressDenied));
    assert!(network.dialled.lock().unwrap().is_empty());
    assert_eq!(call(json!({ "allow_private": ["10.1.0.0/16"] })).await, Err(Code::UpstreamUnreachable));
    assert_eq!(*network.dialled.lock().unwrap(), ["10.1.2.3:8080".parse().unwrap()]);
}

#[tokio::test]
async fn the_mode_decides_whether_there_is_a_tool() {
    let open = |access| {
        try_open_on(&bailiwick_modules::Host::isolated(), "ntfy", "a", access, &json!({}), &[("NTFY_URL", "https://push.example")]).unwrap()
    };
    assert!(open(Some(Access::Read)).0.tools().is_empty());
    assert_eq!(open(Some(Access::Read)).code("send", &json!({ "title": "t", "message": "m" })).await, Err(Code::PolicyDenied));
    assert_eq!((open(None).0.tools().len(), open(Some(Access::Write)).0.tools().len()), (1, 1));
}

#[tokio::test]
async fn no_failure_shows_a_credential() {
    let case = Case {
        kind: "ntfy",
        config: json!({}),
        credentials: |url| vec![("NTFY_URL", format!("{url}/canary-path")), ("NTFY_TOKEN", TOKEN.to_owned())],
        arguments: json!({ "title": "t", "message": "m" }),
        canaries: &["tk_canary", "7f3c9a5e1d8b"],
    };
    case.run().await;
}
