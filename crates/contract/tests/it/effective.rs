//! The facts that decide (reference, governance sections 7.3 and 7.4).

use bailiwick_contract::{
    ContentLabels, ContentTrust, Declared, Hints, Idempotency, Override, Risk, Source, TrustClass, effective, risk_of_name,
};
use serde_json::{Map, json};

const CLASSES: [TrustClass; 3] = [TrustClass::FirstParty, TrustClass::Verified, TrustClass::ThirdParty];

fn risk(name: &str, declared: &Declared, trust: TrustClass) -> (Risk, Source) {
    let fact = effective(name, declared, trust, None).risk;
    (fact.value, fact.source)
}

#[test]
fn nothing_known_gives_the_defaults() {
    for trust in CLASSES {
        let facts = effective("frobnicate", &Declared::default(), trust, None);
        assert_eq!((facts.risk.value, facts.risk.source), (Risk::HighRiskWrite, Source::Default));
        assert_eq!(facts.content.value, ContentTrust::Untrusted.into());
        assert_eq!(facts.idempotent.value, Idempotency::NotIdempotent);
        assert_eq!(facts.lifecycle.version, "1.0.0");
    }
}

#[test]
fn the_name_sets_undeclared_risk() {
    for trust in CLASSES {
        assert_eq!(risk("get_issue", &Declared::default(), trust), (Risk::ReadOnly, Source::Heuristic));
        assert_eq!(risk("delete_issue", &Declared::default(), trust), (Risk::Destructive, Source::Heuristic));
    }
}

#[test]
fn declarations_count_as_far_as_the_server_is_trusted() {
    for word in Risk::ORDER {
        let declared = Declared { risk: Some(word), ..Declared::default() };
        for name in ["frobnicate", "get_x", "send_x", "delete_x"] {
            assert_eq!(risk(name, &declared, TrustClass::FirstParty), (word, Source::Declared), "first party, {name}");
            let verified = risk(name, &declared, TrustClass::Verified).0;
            assert_eq!(verified, word.max(risk_of_name(name).unwrap_or(word)), "verified, {name}");
            let third = risk(name, &declared, TrustClass::ThirdParty).0;
            assert_eq!(third, word.max(risk_of_name(name).unwrap_or(Risk::HighRiskWrite)), "third party, {name}");
        }
    }
}

#[test]
fn hints_only_raise_for_third_parties() {
    let hints = |read_only, destructive| Declared { hints: Hints { read_only, destructive, open_world: None }, ..Declared::default() };
    let read_only = hints(Some(true), None);
    assert_eq!(risk("frobnicate", &read_only, TrustClass::FirstParty).0, Risk::ReadOnly);
    assert_eq!(risk("frobnicate", &read_only, TrustClass::Verified).0, Risk::ReadOnly);
    assert_eq!(risk("frobnicate", &read_only, TrustClass::ThirdParty).0, Risk::HighRiskWrite);
    assert_eq!(risk("update_x", &read_only, TrustClass::FirstParty).0, Risk::LowRiskWrite, "a write word matched");
    for trust in CLASSES {
        assert_eq!(risk("get_x", &hints(None, Some(true)), trust).0, Risk::Destructive);
        assert_eq!(risk("delete_x", &hints(Some(false), Some(false)), trust).0, Risk::Destructive);
    }
}

#[test]
fn only_first_parties_vouch_for_their_content() {
    let closed = Hints { open_world: Some(false), ..Hints::default() };
    for trust in CLASSES {
        let facts = effective("x", &Declared { hints: closed, ..Declared::default() }, trust, None);
        assert_eq!(facts.content.value == ContentLabels::TRUSTED, trust == TrustClass::FirstParty);
        let facts = effective("x", &Declared { content: Some(ContentLabels::TRUSTED), ..Declared::default() }, trust, None);
        assert_eq!(facts.content.value == ContentLabels::TRUSTED, trust == TrustClass::FirstParty);
        let sensitive = Declared { content: Some(ContentTrust::Sensitive.into()), ..Declared::default() };
        let facts = effective("x", &sensitive, trust, None);
        assert!(facts.content.value.sensitive());
        assert_eq!(facts.content.value.untrusted(), trust != TrustClass::FirstParty);
        assert_eq!(facts.content.source, Source::Declared);
    }
}

#[test]
fn third_parties_cannot_make_calls_repeatable() {
    let declared = Declared { idempotent: Some(Idempotency::Idempotent), ..Declared::default() };
    for trust in CLASSES {
        let facts = effective("x", &declared, trust, None);
        assert_eq!(facts.idempotent.value.holds(), trust != TrustClass::ThirdParty);
    }
}

#[test]
fn an_override_is_the_only_way_down() {
    let operator =
        Override { risk: Some(Risk::ReadOnly), content_trust: Some(ContentTrust::Trusted), idempotent: Some(Idempotency::Idempotent) };
    let declared = Declared { risk: Some(Risk::Destructive), ..Declared::default() };
    let facts = effective("delete_x", &declared, TrustClass::ThirdParty, Some(&operator));
    assert_eq!((facts.risk.value, facts.risk.source), (Risk::ReadOnly, Source::Override));
    assert_eq!((facts.content.value, facts.content.source), (ContentLabels::TRUSTED, Source::Override));
    assert!(facts.idempotent.value.holds());
}

#[test]
fn clients_see_effective_facts_in_both_places() {
    let declared = Declared { risk: Some(Risk::ReadOnly), content: Some(ContentTrust::Sensitive.into()), ..Declared::default() };
    let facts = effective("delete_x", &declared, TrustClass::ThirdParty, None);
    let mut tool = Map::from_iter([
        ("annotations".to_owned(), json!({"title": "T", "readOnlyHint": true, "x-own": 1})),
        ("_meta".to_owned(), json!({"other": 2})),
    ]);
    facts.put_into(&mut tool);
    let annotations = &tool["annotations"];
    assert_eq!(annotations["title"], "T");
    assert_eq!(annotations["x-own"], 1);
    assert_eq!(annotations["readOnlyHint"], false);
    assert_eq!(annotations["destructiveHint"], true);
    assert_eq!(annotations["openWorldHint"], true);
    assert_eq!(annotations["risk_level"], "destructive");
    assert_eq!(tool["_meta"]["other"], 2);
    let contract = &tool["_meta"]["dev.bailiwick/contract"];
    assert_eq!(contract["content_trust_risk"], "sensitive");
    assert_eq!(contract["content_trust_labels"], json!(["sensitive", "untrusted"]));
}
