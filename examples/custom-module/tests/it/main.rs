//! Calls the module the way the gateway does: found in the registry, opened for an agent, called through the trait.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_example_custom_module::NotesKind;
use bailiwick_model::{AgentId, AgentType, Code, Timestamp};
use bailiwick_modules::{Access, CallContext, Cancel, Credentials, Host, ModuleRegistry, ModuleSetup, OpenFault, ToolModule};
use serde_json::{Value, json};

fn open(id: &str, access: Option<Access>, config: &Value) -> Result<Arc<dyn ToolModule>, OpenFault> {
    let mut registry = ModuleRegistry::with_builtin();
    registry.add(Arc::new(NotesKind)).unwrap();
    let setup = ModuleSetup {
        key: "notes",
        org: None,
        agent_id: &AgentId::parse(id).unwrap(),
        agent_type: &AgentType::parse("tester").unwrap(),
        access,
        config: config.as_object().unwrap(),
        credentials: &Credentials::default(),
        host: &Host::isolated(),
    };
    registry.get("notes").unwrap().open(setup)
}

async fn call(module: &dyn ToolModule, tool: &str, arguments: Value) -> Result<Value, Code> {
    let cancel = Cancel::new();
    let context =
        CallContext { deadline: Instant::now() + Duration::from_secs(30), cancel: &cancel, call: "test", now: Timestamp::from_micros(0) };
    let arguments = arguments.to_string();
    let confined = module.confine(tool, &arguments).map_err(|fault| fault.code);
    let outcome = module.call(tool, &arguments, context).await;
    if let Err(code) = confined {
        assert_eq!(outcome.as_ref().map_err(|fault| fault.code), Err(code), "confine and call disagree");
    }
    outcome.map(|output| serde_json::from_str(&output.structured).unwrap()).map_err(|fault| fault.code)
}

#[tokio::test]
async fn notes_are_added_listed_and_removed() {
    let notes = open("a", None, &json!({})).unwrap();
    assert_eq!(call(&*notes, "add", json!({ "text": "milk" })).await, Ok(json!(1)));
    assert_eq!(call(&*notes, "add", json!({ "text": "bread" })).await, Ok(json!(2)));
    assert_eq!(call(&*notes, "remove", json!({ "id": 1 })).await, Ok(json!(true)));
    assert_eq!(call(&*notes, "remove", json!({ "id": 1 })).await, Err(Code::NotFound));
    assert_eq!(call(&*notes, "list", json!({})).await, Ok(json!([{ "id": 2, "text": "bread" }])));
}

#[tokio::test]
async fn agents_have_notes_of_their_own() {
    let (a, b) = (open("a", None, &json!({})).unwrap(), open("a-b", None, &json!({})).unwrap());
    call(&*a, "add", json!({ "text": "mine" })).await.unwrap();
    assert_eq!(call(&*b, "list", json!({})).await, Ok(json!([])));
    assert_eq!(call(&*b, "remove", json!({ "id": 1 })).await, Err(Code::NotFound));
}

#[tokio::test]
async fn limits_hold() {
    let notes = open("a", None, &json!({ "max_notes": 2, "max_note_bytes": 4 })).unwrap();
    assert_eq!(call(&*notes, "add", json!({ "text": "four" })).await, Ok(json!(1)));
    assert_eq!(call(&*notes, "add", json!({ "text": "fives" })).await, Err(Code::LimitExceeded));
    assert_eq!(call(&*notes, "add", json!({ "text": "" })).await, Ok(json!(2)));
    assert_eq!(call(&*notes, "add", json!({ "text": "x" })).await, Err(Code::LimitExceeded));
    call(&*notes, "remove", json!({ "id": 2 })).await.unwrap();
    assert_eq!(call(&*notes, "add", json!({ "text": "x" })).await, Ok(json!(3)));
}

#[tokio::test]
async fn the_mode_and_the_arguments_are_checked() {
    let reader = open("a", Some(Access::Read), &json!({})).unwrap();
    assert_eq!(reader.tools().iter().map(|tool| tool.name.as_ref()).collect::<Vec<_>>(), ["list"]);
    assert_eq!(call(&*reader, "add", json!({ "text": "x" })).await, Err(Code::PolicyDenied));
    let writer = open("a", Some(Access::Write), &json!({})).unwrap();
    assert_eq!(writer.tools().len(), 3);
    for arguments in [json!({}), json!({ "text": 5 }), json!({ "text": "x", "more": 1 })] {
        assert_eq!(call(&*writer, "add", arguments).await, Err(Code::InvalidArgument));
    }
    for config in [json!({ "max_note": 5 }), json!({ "max_notes": 0 }), json!({ "max_notes": "5" })] {
        assert!(open("a", None, &config).is_err(), "{config}");
    }
}
