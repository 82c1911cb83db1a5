//! The module against a real Redis: opened and called the way the gateway does, and once through the whole program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod redis_server;
mod whole;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bailiwick_example_custom_module::RedisKind;
use bailiwick_model::{AgentId, AgentType, Code, OrgId, Timestamp};
use bailiwick_modules::egress::{Egress, SystemNetwork};
use bailiwick_modules::host::SecretSink;
use bailiwick_modules::{Access, CallContext, Cancel, Credentials, Host, ModuleRegistry, ModuleSetup, OpenFault, ToolFault, ToolModule};
use serde_json::{Value, json};

use redis_server::RedisServer;

#[derive(Default)]
struct Learned(Mutex<Vec<String>>);

impl SecretSink for Learned {
    fn learn(&self, secret: &str) {
        self.0.lock().unwrap().push(secret.to_owned());
    }
}

struct Opening<'a> {
    url: &'a str,
    org: Option<&'a str>,
    agent: &'a str,
    access: Option<Access>,
    config: Value,
}

fn agent<'a>(url: &'a str, agent: &'a str) -> Opening<'a> {
    Opening { url, org: None, agent, access: None, config: json!({}) }
}

impl Opening<'_> {
    fn on(&self, secrets: Arc<dyn SecretSink>) -> Result<Arc<dyn ToolModule>, OpenFault> {
        let mut registry = ModuleRegistry::with_builtin();
        registry.add(Arc::new(RedisKind)).unwrap();
        let host = Host { egress: Egress::new(Arc::new(SystemNetwork)), secrets, ..Host::isolated() };
        let credentials: Credentials = [("REDIS_URL".to_owned(), self.url.to_owned().into())].into_iter().collect();
        let org = self.org.map(|org| OrgId::parse(org).unwrap());
        registry.get("redis").unwrap().open(ModuleSetup {
            key: "redis",
            org: org.as_ref(),
            agent_id: &AgentId::parse(self.agent).unwrap(),
            agent_type: &AgentType::parse("tester").unwrap(),
            access: self.access,
            config: self.config.as_object().unwrap(),
            credentials: &credentials,
            host: &host,
        })
    }

    fn open(&self) -> Arc<dyn ToolModule> {
        self.on(Arc::new(Learned::default())).unwrap()
    }
}

async fn ask(module: &dyn ToolModule, tool: &str, arguments: Value) -> Result<Value, ToolFault> {
    let cancel = Cancel::new();
    let deadline = Instant::now() + Duration::from_secs(30);
    let context = CallContext { deadline, cancel: &cancel, call: "test", now: Timestamp::from_micros(0) };
    let arguments = arguments.to_string();
    let confined = module.confine(tool, &arguments).map_err(|fault| fault.code);
    let outcome = module.call(tool, &arguments, context).await;
    if let Err(code) = confined {
        assert_eq!(outcome.as_ref().map_err(|fault| fault.code), Err(code), "confine and call disagree");
    }
    outcome.map(|output| serde_json::from_str(&output.structured).unwrap())
}

async fn code(module: &dyn ToolModule, tool: &str, arguments: Value) -> Code {
    ask(module, tool, arguments).await.unwrap_err().code
}

#[tokio::test]
async fn keys_are_kept_listed_and_deleted() {
    let Some(server) = RedisServer::start() else { return };
    let keys = agent(&server.url, "a").open();
    assert_eq!(ask(&*keys, "get_key", json!({"key": "x"})).await.unwrap(), Value::Null);
    for (key, value) in [("session:1", "eins"), ("session:2", "zwei"), ("other", "\u{fc}\n\0")] {
        assert_eq!(ask(&*keys, "set_key", json!({"key": key, "value": value})).await.unwrap(), true);
        assert_eq!(ask(&*keys, "get_key", json!({"key": key})).await.unwrap(), value);
    }
    assert_eq!(ask(&*keys, "list_keys", json!({})).await.unwrap(), json!(["other", "session:1", "session:2"]));
    assert_eq!(ask(&*keys, "list_keys", json!({"pattern": "session:*"})).await.unwrap(), json!(["session:1", "session:2"]));
    assert_eq!(ask(&*keys, "delete_key", json!({"key": "other"})).await.unwrap(), true);
    assert_eq!(ask(&*keys, "delete_key", json!({"key": "other"})).await.unwrap(), false);
    ask(&*keys, "set_key", json!({"key": "brief", "value": "v", "ttl": 900})).await.unwrap();
    assert_eq!(server.command(&["TTL", "a:brief"]), "900");
    assert_eq!(server.command(&["GET", "a:session:1"]), "eins", "the key as the reference names it");
}

#[tokio::test]
async fn agents_whose_ids_are_prefixes_do_not_see_each_other() {
    let Some(server) = RedisServer::start() else { return };
    let names = [(None, "a"), (None, "a-b"), (Some("a"), "a"), (Some("a"), "b")];
    let opened = names.map(|(org, id)| Opening { org, ..agent(&server.url, id) }.open());
    for (index, keys) in opened.iter().enumerate() {
        ask(&**keys, "set_key", json!({"key": "mine", "value": index.to_string()})).await.unwrap();
    }
    for (index, keys) in opened.iter().enumerate() {
        assert_eq!(ask(&**keys, "get_key", json!({"key": "mine"})).await.unwrap(), index.to_string());
        for pattern in ["*", "?????", "[m]ine", "*mine*", "../*", "a:*", "*:*"] {
            let listed = ask(&**keys, "list_keys", json!({ "pattern": pattern })).await.unwrap();
            assert!(listed == json!(["mine"]) || listed == json!([]), "{pattern}: {listed}");
        }
        for key in ["a:mine", "a-b:mine", "@a:a:mine", "*", "mine "] {
            assert_eq!(ask(&**keys, "get_key", json!({ "key": key })).await.unwrap(), Value::Null, "{key}");
        }
    }
}

#[tokio::test]
async fn limits_and_other_types_are_refused() {
    let Some(server) = RedisServer::start() else { return };
    let small = Opening { config: json!({"max_value_bytes": 3, "max_listed_keys": 2}), ..agent(&server.url, "a") };
    let keys = small.open();
    assert_eq!(code(&*keys, "set_key", json!({"key": "k", "value": "long"})).await, Code::LimitExceeded);
    for (key, value) in [("k1", "abc"), ("k2", ""), ("k3", "x")] {
        ask(&*keys, "set_key", json!({ "key": key, "value": value })).await.unwrap();
    }
    assert_eq!(code(&*keys, "list_keys", json!({})).await, Code::LimitExceeded);
    server.command(&["SET", "a:large", "abcdef"]);
    server.command(&["LPUSH", "a:list", "x"]);
    server.command(&["SETBIT", "a:binary", "0", "1"]);
    assert_eq!(code(&*keys, "get_key", json!({"key": "large"})).await, Code::LimitExceeded);
    assert_eq!(code(&*keys, "get_key", json!({"key": "list"})).await, Code::UpstreamError);
    assert_eq!(code(&*keys, "get_key", json!({"key": "binary"})).await, Code::NotText);
    for arguments in [json!({}), json!({"key": ""}), json!({"key": "nul\u{0}"}), json!({"key": "k", "more": 1}), json!({"key": 1})] {
        assert_eq!(code(&*keys, "get_key", arguments).await, Code::InvalidArgument);
    }
    assert_eq!(code(&*keys, "list_keys", json!({"pattern": "x".repeat(257)})).await, Code::InvalidArgument);
    assert_eq!(code(&*keys, "set_key", json!({"key": "k", "value": "v", "ttl": u64::MAX})).await, Code::InvalidArgument);
}

#[tokio::test]
async fn the_reading_mode_offers_no_writing_tool() {
    let reader = Opening { access: Some(Access::Read), ..agent("redis://127.0.0.1:1", "a") }.open();
    assert_eq!(reader.tools().iter().map(|tool| tool.name.as_ref()).collect::<Vec<_>>(), ["get_key", "list_keys"]);
    assert_eq!(code(&*reader, "set_key", json!({"key": "k", "value": "v"})).await, Code::PolicyDenied);
}

#[tokio::test]
async fn a_broken_connection_is_opened_again() {
    let Some(server) = RedisServer::start() else { return };
    let keys = agent(&server.url, "a").open();
    ask(&*keys, "set_key", json!({"key": "k", "value": "v"})).await.unwrap();
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    let mut answers = Vec::new();
    for _ in 0..2 {
        answers.push(ask(&*keys, "get_key", json!({"key": "k"})).await.map_err(|fault| fault.code));
    }
    assert_eq!(answers[1], Ok(json!("v")), "{answers:?}");
}

#[tokio::test]
async fn a_wrong_password_is_told_without_showing_it() {
    let Some(server) = RedisServer::start() else { return };
    server.command(&["CONFIG", "SET", "requirepass", "right-password"]);
    let learned = Arc::new(Learned::default());
    let url = format!("redis://:wrong-password-7@{}", server.url.trim_start_matches("redis://"));
    let keys = agent(&url, "a").on(learned.clone()).unwrap();
    let fault = ask(&*keys, "get_key", json!({"key": "k"})).await.unwrap_err();
    assert_eq!(fault.code, Code::UpstreamAuth);
    assert!(!format!("{fault:?}").contains("wrong-password-7"), "{fault:?}");
    assert_eq!(*learned.0.lock().unwrap(), ["wrong-password-7"]);
}

#[test]
fn what_is_no_address_of_a_server_is_refused_without_repeating_it() {
    for url in ["", "http://host/", "redis://", "unix:///secret-path", "secret-path"] {
        let Err(fault) = agent(url, "a").on(Arc::new(Learned::default())) else { panic!("{url} was accepted") };
        assert!(fault.key.as_deref() == Some("REDIS_URL") && !fault.to_string().contains("secret-path"), "{fault}");
    }
}
