//! The shape on the wire and what is read back from it (reference, governance section 7.2).

use bailiwick_contract::{ContentLabels, ContentTrust, Contract, Declared, Flag, Idempotency, Lifecycle, META_KEY, Risk};
use serde_json::{Map, Value, json};

fn read(tool: &Value) -> Declared {
    Declared::read(tool.get("annotations"), tool.get("_meta"), &["com.example/contract"])
}

#[test]
fn a_declared_contract_has_the_shape_of_the_reference() {
    let lifecycle = Lifecycle { version: "2.1.0".into(), deprecated_since: Some("2026-01-01".into()), aliases: vec!["old_name".into()] };
    let contract = Contract::new(Risk::Destructive).content_trust(ContentTrust::Sensitive).idempotent().lifecycle(lifecycle);
    let expected = json!({
        "readOnlyHint": false, "destructiveHint": true, "idempotentHint": true, "risk_level": "destructive",
        "content_trust_risk": "sensitive", "version": "2.1.0", "deprecated_since": "2026-01-01", "aliases": ["old_name"],
    });
    assert_eq!(Value::Object(contract.annotations()), expected);

    let mut tool = Map::from_iter([("annotations".to_owned(), json!({"title": "Drop it", "readOnlyHint": true}))]);
    contract.put_into(&mut tool);
    assert_eq!(tool["annotations"]["title"], "Drop it");
    assert_eq!(tool["annotations"]["readOnlyHint"], false);
    assert_eq!(tool["_meta"][META_KEY], expected);
}

#[test]
fn absent_lifecycle_members_stay_absent() {
    let members = Contract::new(Risk::ReadOnly).annotations();
    assert_eq!(members["readOnlyHint"], true);
    assert_eq!(members["version"], "1.0.0");
    assert!(!members.contains_key("deprecated_since") && !members.contains_key("aliases") && !members.contains_key("openWorldHint"));
}

#[test]
fn what_is_put_in_is_read_back_from_either_place() {
    let contract = Contract::new(Risk::PaidOperation).content_trust(ContentTrust::PromptInjectionProne).idempotent();
    let mut tool = Map::new();
    contract.put_into(&mut tool);
    for lossy in ["_meta", "annotations"] {
        let mut tool = tool.clone();
        tool.remove(lossy);
        let declared = read(&Value::Object(tool));
        assert_eq!(declared.risk, Some(Risk::PaidOperation), "without {lossy}");
        assert_eq!(declared.content, Some(ContentTrust::PromptInjectionProne.into()));
        assert_eq!(declared.idempotent, Some(Idempotency::Idempotent));
        assert_eq!(declared.version.as_deref(), Some("1.0.0"));
        assert!(declared.flags.is_empty() && declared.is_declared());
    }
}

#[test]
fn sources_that_disagree_give_the_stricter_value_and_a_flag() {
    let declared = read(&json!({
        "annotations": {"risk_level": "destructive", "content_trust_risk": "sensitive", "idempotentHint": true, "version": "9"},
        "_meta": {
            "dev.bailiwick/contract": {"risk_level": "read-only", "content_trust_risk": "untrusted", "idempotentHint": false, "version": "2"},
            "com.example/contract": {"risk_level": "low-risk-write"},
        },
    }));
    assert_eq!(declared.risk, Some(Risk::Destructive));
    assert_eq!(declared.content, Some(ContentLabels::from(ContentTrust::Sensitive).join(ContentTrust::Untrusted.into())));
    assert_eq!(declared.idempotent, Some(Idempotency::NotIdempotent));
    assert_eq!(declared.version.as_deref(), Some("2"), "the first source counts");
    let flags: Vec<_> = ["risk_level", "content_trust_risk", "idempotentHint"].map(|field| Flag::Conflict { field }).into();
    assert_eq!(declared.flags, flags);
    assert_eq!(declared.flags[0].code(), "contract_conflict");
}

#[test]
fn an_alias_key_is_read_only_when_configured() {
    let tool = json!({"_meta": {"com.example/contract": {"risk_level": "read-only"}, "org.other/contract": {"risk_level": "destructive"}}});
    assert_eq!(read(&tool).risk, Some(Risk::ReadOnly));
}

#[test]
fn values_outside_the_taxonomy_count_as_undeclared_and_are_flagged() {
    let long = "x".repeat(65);
    for (field, value) in [
        ("risk_level", json!("Read-Only")),
        ("risk_level", json!(0)),
        ("content_trust_risk", json!("fine")),
        ("content_trust_risk", json!(["trusted"])),
        ("idempotentHint", json!("true")),
        ("version", json!(2)),
        ("version", json!(long)),
        ("version", json!("1\u{1b}[31m")),
        ("deprecated_since", json!("")),
        ("aliases", json!("old")),
        ("aliases", json!(["ok", "not ok"])),
        ("aliases", json!(vec!["a"; 17])),
        ("readOnlyHint", json!("yes")),
    ] {
        let declared = read(&json!({"annotations": {field: value}}));
        assert_eq!(declared.flags, [Flag::Invalid { field }], "{field}: {value}");
        assert_eq!(declared.flags[0].code(), "contract_invalid");
        assert_eq!(Declared { flags: vec![], ..declared }, Declared::default(), "{field}: {value}");
    }
    for field in ["annotations", "_meta"] {
        let tool = if field == "_meta" { json!({"_meta": {"dev.bailiwick/contract": "read-only"}}) } else { json!({"annotations": []}) };
        assert_eq!(read(&tool).flags, [Flag::Invalid { field }]);
    }
    let nothing = read(&json!({"annotations": {"risk_level": null, "aliases": null}, "_meta": null}));
    assert_eq!(nothing, Declared::default());
    assert!(!nothing.is_declared());
}

#[test]
fn an_author_who_misspells_gets_an_error() {
    let text = r#"{"risk":"read-only","content_trust":"untrusted","idempotent":true,"version":"1.0.0","aliases":["old"]}"#;
    let contract: Contract = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&contract).unwrap(), text);
    for bad in [
        r#"{"risk":"readonly"}"#,
        r#"{"risk":"read-only","content_trust":"safe"}"#,
        r#"{"risk":"read-only","idempotant":true}"#,
        r#"{"content_trust":"trusted"}"#,
        r#"{"risk":"read-only","aliases":["a b"]}"#,
        r#"{"risk":"read-only","version":""}"#,
    ] {
        assert!(serde_json::from_str::<Contract>(bad).is_err(), "{bad}");
    }
    assert_eq!(serde_json::from_str::<Contract>(r#"{"risk":"destructive"}"#).unwrap(), Contract::new(Risk::Destructive));
}
