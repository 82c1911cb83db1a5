//! The promises of scoping strategies, for owners whose ids are prefixes of each other and for equal ids in two organisations.

use bailiwick_model::{AgentId, AgentType, OrgId};
use bailiwick_modules::scope::{AgentFile, Allowlist, Namespace, Owner, Prefix, Scoping};
use bailiwick_modules::{Credentials, Host, ModuleSetup};
use proptest::prelude::*;

fn owner(org: Option<&str>, agent: &str) -> Owner {
    let (org, agent) = (org.map(|org| OrgId::parse(org).unwrap()), AgentId::parse(agent).unwrap());
    let (kind, config) = (AgentType::parse("t").unwrap(), serde_json::Map::new());
    let (credentials, host) = (Credentials::default(), Host::isolated());
    Owner::of(&ModuleSetup {
        key: "k",
        org: org.as_ref(),
        agent_id: &agent,
        agent_type: &kind,
        access: None,
        config: &config,
        credentials: &credentials,
        host: &host,
    })
}

fn owners() -> Vec<Owner> {
    let ids = ["a", "a-", "a-b", "a--b", "ab", "agents", "b"];
    [None, Some("a"), Some("a-b"), Some("b")].into_iter().flat_map(|org| ids.map(|id| owner(org, id))).collect()
}

fn strategies(owner: &Owner) -> Vec<Box<dyn Scoping>> {
    vec![Box::new(Namespace::new(owner)), Box::new(Prefix::new("", owner)), Box::new(Prefix::new("/data/", owner))]
}

/// Names built of what could confuse a strategy.
fn name() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "b",
        "-",
        ":",
        "/",
        "..",
        ".",
        "@",
        "agents",
        "a:",
        "@a:a:",
        "agents/a/",
        "\u{fc}",
        "*",
        "%2e",
        "\0",
        " ",
    ]);
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn what_one_places_is_its_own_and_nobody_elses(name in name(), who in 0..28_usize) {
        let owners = owners();
        for (index, strategy) in strategies(&owners[who]).into_iter().enumerate() {
            let Ok(placed) = strategy.place(&name) else { continue };
            let own = strategy.own(&placed).expect("its own");
            prop_assert_eq!(strategy.place(&own).unwrap(), placed.clone(), "normal form");
            for (other, stranger) in owners.iter().enumerate().filter(|(other, _)| *other != who) {
                prop_assert_eq!(strategies(stranger)[index].own(&placed), None, "{} is also {}'s", placed, other);
            }
        }
    }
}

#[test]
fn names_without_sense_are_refused_before_anything_is_asked() {
    let owner = owner(None, "a");
    for hostile in ["", "nul\0", "line\nbreak", &"x".repeat(1_025)] {
        assert!(Namespace::new(&owner).place(hostile).is_err(), "{hostile:?}");
    }
    for hostile in ["", "/", ".", "..", "../b/x", "x/../../b", "/etc/passwd", "nul\0"] {
        assert!(Prefix::new("root", &owner).place(hostile).is_err(), "{hostile:?}");
    }
    assert_eq!(Prefix::new("root", &owner).place("x/./y//z/../w").unwrap(), "root/agents/a/x/y/w");
    assert_eq!(Prefix::new("root", &owner).own("root/agents/a/x/../../b/y"), None);
    assert_eq!(Namespace::new(&owner).place("session:1").unwrap(), "a:session:1");
}

#[test]
fn an_allowlist_knows_exactly_its_names() {
    let rooms = Allowlist::new("room", ["!a:server".to_owned()]);
    assert_eq!(rooms.place("!a:server").unwrap(), "!a:server");
    for other in ["", "!a:server ", "!A:server", "!a:server\n", "!b:server"] {
        let fault = rooms.place(other).unwrap_err();
        assert_eq!(fault.code.as_str(), "scope_violation");
        assert!(!format!("{}{}", fault.message, fault.remedy).contains("!a:server"), "the list is not shown");
    }
    assert_eq!(format!("{rooms:?}"), "Allowlist(1 of room)");
}

#[test]
fn every_agent_has_its_own_file() {
    let file = |agent: &str| AgentFile::new("/data".as_ref(), &AgentId::parse(agent).unwrap(), "db").path().display().to_string();
    assert_eq!(file("a-b"), "/data/agent_a-b.db");
    assert_ne!(file("a"), file("a-b"));
}
