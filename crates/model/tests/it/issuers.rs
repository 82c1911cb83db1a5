//! `auth` and its issuers.

use bailiwick_model::Role;
use bailiwick_model::config::{AgentTypeSource, AuthMode, Config, OrgSource, TokenAlgorithm};

use crate::schema;

/// An issuer with what it must have, and more.
fn one(more: &str) -> String {
    format!("auth:\n  issuers:\n    - {{name: corporate, issuer: 'https://id.example.com', {more}}}\n")
}

#[track_caller]
fn good(text: &str) -> Config {
    schema::admits(&schema::CONFIGURATION, text);
    let (config, warnings) = Config::parse("b.yml", text, &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(warnings.is_empty(), "{warnings:?}");
    config
}

/// The first mistake: message, place and path.
#[track_caller]
fn refused(text: &str) -> String {
    let mistakes = Config::parse("b.yml", text, &|_| None).map(|(config, _)| format!("accepted: {config:?}")).unwrap_err();
    mistakes.to_string()
}

#[test]
fn one_word_still_says_who_may_call() {
    for (text, mode) in [("auth: key\n", AuthMode::Key), ("auth: none\n", AuthMode::None), ("auth: {mode: none}\n", AuthMode::None)] {
        let config = good(text);
        assert_eq!((config.auth, config.issuers.len()), (mode, 0), "{text}");
    }
    assert!(refused("auth: open\n").starts_with("error: must be `key` or `none`\n  --> b.yml:1:7  auth"));
    assert!(refused("auth: [key]\n").starts_with("error: must be `key` or `none`, not a list"));
    // A variable takes the place of the whole mapping.
    let env = |name: &str| (name == "BAILIWICK_AUTH").then(|| "none".to_owned());
    let (config, _) = Config::parse("b.yml", &one("org: acme, agent_type: a"), &env).unwrap();
    assert_eq!((config.auth, config.issuers.len()), (AuthMode::None, 0));
}

#[test]
fn an_issuer_has_defaults() {
    let config = good(&one("org: acme, agent_type: research"));
    let [issuer] = &config.issuers[..] else { panic!("one") };
    assert_eq!((config.auth, issuer.name.as_str(), issuer.issuer.as_str()), (AuthMode::Key, "corporate", "https://id.example.com"));
    let algorithms = [TokenAlgorithm::Rs256, TokenAlgorithm::Ps256, TokenAlgorithm::Es256, TokenAlgorithm::EdDsa];
    assert_eq!(issuer.algorithms, algorithms);
    assert!(matches!(&issuer.org, OrgSource::Constant([org]) if org.as_str() == "acme"));
    assert!(matches!(&issuer.agent_type, AgentTypeSource::Constant(kind) if kind.as_str() == "research"));
    assert!(issuer.create_agents && !issuer.allow_untyped && issuer.subject_prefix.is_empty() && issuer.scopes_required.is_empty());
    assert!(issuer.audience.is_none() && issuer.jwks_uri.is_none() && issuer.roles.is_none() && issuer.claims == Default::default());
}

#[test]
fn every_key_of_an_issuer_is_read() {
    let config = good(crate::config::FULL);
    let [corporate, partner] = &config.issuers[..] else { panic!("two") };
    assert_eq!(corporate.algorithms, [TokenAlgorithm::Es256, TokenAlgorithm::EdDsa]);
    assert_eq!((corporate.audience.as_deref(), corporate.subject_prefix.as_str()), (Some("api://gateway"), "corporate:"));
    assert_eq!(corporate.jwks_uri.as_deref(), Some("https://id.example.com/keys?set=1"));
    assert_eq!(corporate.claims.role.as_ref().unwrap().names(), ["realm_access", "roles"]);
    let roles = [("gateway-admins".to_owned(), Role::OrgAdmin), ("staff".to_owned(), Role::Member)];
    assert_eq!(corporate.roles.as_deref(), Some(&roles[..]));
    assert!(!corporate.create_agents && corporate.allow_untyped && corporate.allow_private.len() == 1);
    assert_eq!(corporate.scopes_required, ["mcp:tools"]);
    let OrgSource::Claim { claim, allowed } = &partner.org else { panic!("a claim") };
    assert_eq!((claim.names(), allowed.len()), (&["tenant".to_owned()][..], 2));
    assert!(matches!(&partner.agent_type, AgentTypeSource::Claim(claim) if claim.names() == ["kind"]));
}

#[test]
fn mistakes_name_the_place() {
    let fit = "org: acme, agent_type: a";
    for (more, said) in [
        ("org: acme", "missing key `agent_type`\n  --> b.yml:3:7  auth.issuers[0].agent_type\nhint: the type names the manifest"),
        ("agent_type: a", "missing key `org`\n  --> b.yml:3:7  auth.issuers[0].org\nhint: give `org` for one organisation"),
        ("org_claim: o, agent_type: a", "missing key `orgs`"),
        ("org_claim: o, orgs: [], agent_type: a", "must be a list with at least one organisation"),
        ("org: acme, org_claim: o, orgs: [acme], agent_type: a", "`org` and `org_claim` exclude each other"),
        ("org: acme, orgs: [acme], agent_type: a", "has no effect together with `org`"),
        ("org: acme, agent_type: a, claims: {agent_type: t}", "`agent_type` and `claims.agent_type` exclude each other"),
        (
            &format!("{fit}, algorithms: [RS256, HS256]"),
            "must be one of `RS256`, `PS256`, `ES256`, `EdDSA`, `Ed25519`\n  --> b.yml:3:105  auth.issuers[0].algorithms[1]",
        ),
        (&format!("{fit}, algorithms: [none]"), "must be one of `RS256`"),
        (&format!("{fit}, algorithms: [rs256]"), "must be one of `RS256`"),
        (&format!("{fit}, algorithms: [RS512]"), "must be one of `RS256`"),
        (&format!("{fit}, algorithms: []"), "must be a list with at least one algorithm"),
        (&format!("{fit}, jwks_uri: 'http://keys.example.com/'"), "plain http to another machine"),
        (&format!("{fit}, audience: 'a b'"), "must be printable characters without spaces"),
        (&format!("{fit}, claims: {{groups: 'a b'}}"), "must be the name of a claim"),
        (&format!("{fit}, claims: {{gruops: g}}"), "unknown key `gruops`"),
        (&format!("{fit}, roles: {{boss: owner}}"), "must be one of `member`, `group_admin`, `org_admin`"),
        (&format!("{fit}, scopes_required: ['a b']"), "must be a scope as RFC 6749 has it"),
        (&format!("{fit}, subject_prefix: 'a b'"), "must be printable characters without spaces"),
        (&format!("{fit}, allow_private: [10.0.0.1/8]"), "the address has bits set behind the prefix"),
        (&format!("{fit}, alow_untyped: true"), "unknown key `alow_untyped`"),
    ] {
        let told = refused(&one(more));
        assert!(told.contains(&format!("error: {said}")), "{more}\n{told}");
    }
    for (text, said) in [
        ("auth: {issuers: [{name: c, issuer: 'http://id.example.com', org: acme, agent_type: a}]}", "plain http to another machine"),
        ("auth: {issuers: [{name: c, issuer: 'https://id.example.com/?x', org: acme, agent_type: a}]}", "must be an address without query"),
        ("auth: {issuers: [{name: C, issuer: 'https://i', org: acme, agent_type: a}]}", "must be lower-case letters, digits and `-`"),
        ("auth: {issuers: [{name: c, org: acme, agent_type: a}]}", "missing key `issuer`"),
        (
            "auth: {mode: none, issuers: [{name: c, issuer: 'https://i', org: acme, agent_type: a}]}",
            "issuers have no effect where nobody has to prove who he is",
        ),
        (
            "listen: 0.0.0.0:80\nauth: {issuers: [{name: c, issuer: 'https://i', org: acme, agent_type: a}]}",
            "tokens are issued for the address that clients use",
        ),
        (
            "listen: 127.0.0.1:0\nauth: {issuers: [{name: c, issuer: 'https://i', org: acme, agent_type: a}]}",
            "tokens are issued for the address that clients use",
        ),
    ] {
        let told = refused(text);
        assert!(told.contains(&format!("error: {said}")), "{text}\n{told}");
    }
}

/// Two issuers, each with these further keys.
fn two(first: &str, second: &str) -> String {
    format!(
        "auth:\n  issuers:\n    - {{name: a, issuer: 'https://a', agent_type: t, {first}}}\n    - {{name: b, issuer: 'https://b', agent_type: t, {second}}}\n"
    )
}

#[test]
fn two_issuers_never_speak_of_the_same_subject() {
    for (first, second) in [
        ("org: x", "org: y"),
        ("org: x, subject_prefix: 'a:'", "org: x, subject_prefix: 'b:'"),
        ("org: x", "org_claim: o, orgs: [y, z]"),
        ("org_claim: o, orgs: [x, y], subject_prefix: 'a:'", "org_claim: o, orgs: [y, z], subject_prefix: 'b:'"),
    ] {
        good(&two(first, second));
    }
    for (first, second) in [
        ("org: x", "org: x"),
        ("org: x, subject_prefix: 'a:'", "org: x, subject_prefix: 'a:'"),
        ("org: x", "org: x, subject_prefix: 'b:'"),
        ("org: x, subject_prefix: 'a:'", "org: x, subject_prefix: 'a:b'"),
        ("org_claim: o, orgs: [x, y]", "org: y"),
        ("org_claim: o, orgs: [x, y]", "org_claim: o, orgs: [z, y]"),
    ] {
        let told = refused(&two(first, second));
        assert!(told.contains("error: its subjects could be those of `a`"), "{first} {second}\n{told}");
        assert!(told.contains("--> b.yml:4:7  auth.issuers[1]"), "{told}");
    }
    let same = two("org: x", "org: y");
    assert!(refused(&same.replace("https://b", "https://a")).contains("error: has the same `issuer` as `a`"));
    assert!(refused(&same.replace("name: b", "name: a")).contains("error: has the same `name` as `https://a`"));
}
