//! What the tools of built-in modules declare about themselves.

use std::sync::Arc;

use bailiwick_contract::{Declared, META_KEY, Risk};
use serde_json::json;

use crate::house::{House, Plan};
use crate::town::Town;

#[tokio::test]
async fn every_tool_of_a_module_carries_its_whole_contract() {
    let dir = tempfile::tempdir().unwrap();
    let modules = json!({
        "filesystem": {"mode": "write", "config": {"base_path": dir.path(), "extended_tools": true}},
        "sqlite": {"mode": "write", "config": {"db_dir": dir.path()}},
    });
    let manifest = json!({"agent_type": "t", "modules": modules}).to_string();
    let (environment, network) = (Default::default(), Arc::new(Town::default()));
    let plan = Plan { manifest: ("t.yml", &manifest), config: "{}", environment, network };
    let house = House::build(plan).await.unwrap();
    let agent = house.agent("a").await.unwrap();
    let list = agent.ask("tools/list", json!({})).await;
    let declared = |name: &str| {
        let tool = list["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == name).unwrap();
        (Declared::read(tool.get("annotations"), None, &[]), tool.clone())
    };
    for tool in list["tools"].as_array().unwrap() {
        let (facts, _) = declared(tool["name"].as_str().unwrap());
        assert!(facts.risk.is_some() && facts.content.is_some() && facts.idempotent.is_some() && facts.version.is_some(), "{tool}");
        assert_eq!(facts.hints.read_only, Some(facts.risk == Some(Risk::ReadOnly)), "{tool}");
        assert!(facts.flags.is_empty(), "{tool}");
        // Both carriers say the same: typed SDKs keep only `_meta`.
        assert_eq!(Declared::read(None, tool.get("_meta"), &[]).content, facts.content, "{tool}");
    }
    let (read, _) = declared("filesystem_read_file");
    assert!(read.content.unwrap().untrusted() && read.idempotent.unwrap().holds());
    let (deletion, raw) = declared("filesystem_delete_file");
    assert_eq!((deletion.risk, deletion.content.unwrap().untrusted()), (Some(Risk::Destructive), false));
    assert_eq!(raw["_meta"][META_KEY]["content_trust_risk"], "trusted");
    house.close().await;
}
