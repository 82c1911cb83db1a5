//! Registration, scopes, parameters, step-up: what is chosen from what.

use bailiwick_testkit::provider::words;
use bailiwick_testkit::time::SeededRandom;
use secrecy::ExposeSecret as _;
use url::Url;

use super::answers::{discovered as at, public};
use super::kit::{DOCUMENT, by_hand, settings};
use crate::oauth::authorize::{self, RESERVED, Start};
use crate::oauth::challenge::Challenge;
use crate::oauth::discover::Discovered;
use crate::oauth::identity::{self, AuthMethod, Choice, Mode, Wanted};
use crate::oauth::profiles::{Profile, Profiles};
use crate::oauth::{FaultKind, step_up};

const ISSUER: &str = "https://as.example.com";

fn discovered() -> Discovered {
    at(&settings(), ISSUER)
}

fn takes_documents(mut discovered: Discovered, methods: Option<&str>) -> Discovered {
    discovered.capabilities.client_id_metadata_document = true;
    discovered.capabilities.auth_methods = methods.map(words);
    discovered
}

fn closed(mut discovered: Discovered) -> Discovered {
    discovered.endpoints.registration = None;
    discovered
}

fn profile(id: &str) -> Profile {
    Profiles::own().unwrap().named(id).unwrap().clone()
}

#[test]
fn the_order_of_registration() {
    let (open, documents) = (discovered(), takes_documents(discovered(), Some("none")));
    let (dcr, manual) = (profile("atlassian"), profile("github"));
    let hand = by_hand();
    let rows = [
        ("by hand first", &documents, Some(&hand), None, Wanted::Auto, Some(Mode::Manual)),
        ("then by document", &documents, None, None, Wanted::Auto, Some(Mode::Cimd)),
        ("then by request", &open, None, None, Wanted::Auto, Some(Mode::Dcr)),
        ("then a person", &closed(discovered()), None, None, Wanted::Auto, None),
        (
            "documents without `none`",
            &takes_documents(discovered(), Some("client_secret_basic")),
            None,
            None,
            Wanted::Auto,
            Some(Mode::Dcr),
        ),
        ("documents without methods", &takes_documents(discovered(), None), None, None, Wanted::Auto, Some(Mode::Dcr)),
        ("a profile prefers requests", &documents, None, Some(&dcr), Wanted::Auto, Some(Mode::Dcr)),
        ("a profile wants a person", &documents, None, Some(&manual), Wanted::Auto, None),
        ("a person insists on documents", &documents, Some(&hand), Some(&dcr), Wanted::Only(Mode::Cimd), Some(Mode::Cimd)),
        ("a person insists on what is not there", &open, Some(&hand), None, Wanted::Only(Mode::Cimd), None),
        ("a person insists on requests", &closed(discovered()), Some(&hand), None, Wanted::Only(Mode::Dcr), None),
        ("a person insists on nothing", &documents, None, None, Wanted::Only(Mode::Manual), None),
    ];
    for (name, discovered, registered, profile, wanted, expects) in rows {
        let choice = Choice { wanted, registered, profile, server_id: "s" };
        let chosen = identity::choose(&settings(), discovered, choice);
        match (chosen, expects) {
            (Ok(mode), Some(expected)) => assert_eq!(mode, expected, "{name}"),
            (Err(fault), None) => {
                assert_eq!(fault.kind, FaultKind::RegistrationNeeded, "{name}");
                assert!(fault.remedy.contains("/v1/mcp/oauth/callback"), "{fault}");
            }
            (other, _) => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn how_a_secret_is_sent() {
    let (hand, slack) = (by_hand(), profile("slack"));
    for (methods, method, profile, expects) in [
        (None, None, None, AuthMethod::ClientSecretBasic),
        (Some("client_secret_post"), None, None, AuthMethod::ClientSecretPost),
        (Some("client_secret_post client_secret_basic"), None, None, AuthMethod::ClientSecretBasic),
        (None, None, Some(&slack), AuthMethod::ClientSecretPost),
        (None, Some(AuthMethod::ClientSecretBasic), Some(&slack), AuthMethod::ClientSecretBasic),
    ] {
        let mut discovered = discovered();
        discovered.capabilities.auth_methods = methods.map(words);
        let registered = identity::Registered { method, ..hand.clone() };
        let choice = Choice { wanted: Wanted::Auto, registered: Some(&registered), profile, server_id: "s" };
        let client = identity::obtain(&settings(), &discovered, choice).await.unwrap();
        assert_eq!(client.proof.method(), expects);
    }
}

#[test]
fn our_own_document() {
    let document = identity::client_metadata(&settings()).unwrap();
    assert_eq!(document["client_id"], DOCUMENT);
    assert_eq!(document["redirect_uris"][0], settings().redirect_uri());
    assert_eq!(document["token_endpoint_auth_method"], "none");
    assert_eq!(settings().redirect_uri_of("a/../b"), "https://gateway.example.com/v1/mcp/oauth/callback/a%2F..%2Fb");
}

fn plain<'s>(discovered: &'s Discovered, client: &'s identity::Client) -> Start<'s> {
    Start { discovered, client, configured: &[], challenged: None, step_up: None, profile: None, extra: &[] }
}

/// The address with these parameters.
fn address(extra: &[(String, String)], profile: Option<&Profile>) -> Url {
    let discovered = discovered();
    let client = public(&discovered);
    let started = authorize::start(Start { extra, profile, ..plain(&discovered, &client) }, &SeededRandom::new(5)).unwrap();
    Url::parse(started.url.expose_secret()).unwrap()
}

fn scopes(listed: &str, offered: &str, configured: &str, challenged: &str, up: &str, profile: Option<&Profile>) -> String {
    let (configured, challenged, up) = (words(configured), words(challenged), words(up));
    let mut discovered = discovered();
    discovered.scopes = Some(words(listed));
    discovered.capabilities.scopes = Some(words(offered));
    let client = public(&discovered);
    let start = Start {
        discovered: &discovered,
        client: &client,
        configured: &configured,
        challenged: Some(&challenged),
        step_up: (!up.is_empty()).then_some(&up),
        profile,
        extra: &[],
    };
    let started = authorize::start(start, &SeededRandom::new(5)).unwrap();
    let url = Url::parse(started.url.expose_secret()).unwrap();
    let sent = url.query_pairs().find(|(name, _)| name == "scope").map(|(_, value)| value.into_owned());
    assert_eq!(sent.unwrap_or_default(), started.scopes.join(" "));
    started.scopes.join(" ")
}

#[test]
fn which_scopes_are_asked_for() {
    let (linear, atlassian) = (profile("linear"), profile("atlassian"));
    for (listed, offered, configured, challenged, up, profile, expects) in [
        ("l", "", "c", "h", "", None, "c"),
        ("l", "", "", "h", "", None, "h"),
        ("l", "", "", "", "", None, "l"),
        ("", "", "", "", "", None, ""),
        ("", "", "", "", "", Some(&linear), "read write"),
        ("l", "", "", "", "", Some(&linear), "l"),
        ("l", "", "c", "h", "u v", None, "u v"),
        ("l", "", "c", "h", "u v", Some(&atlassian), ""),
        ("l offline_access", "", "", "", "", None, "l"),
        ("l", "offline_access", "", "", "", None, "l offline_access"),
        ("l", "offline_access", "c", "", "", None, "c"),
        ("l", "offline_access", "c offline_access", "", "", None, "c offline_access"),
        ("l", "", "c offline_access", "", "", None, "c"),
        ("", "offline_access", "", "", "", None, ""),
    ] {
        assert_eq!(
            scopes(listed, offered, configured, challenged, up, profile),
            expects,
            "{listed}|{offered}|{configured}|{challenged}|{up}"
        );
    }
}

#[test]
fn what_stands_in_the_address() {
    let url = address(&[], None);
    let pairs: std::collections::BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(pairs.len(), url.query_pairs().count(), "nothing twice");
    assert_eq!(pairs["resource"], "https://as.example.com/mcp");
    assert_eq!((pairs["response_type"].as_str(), pairs["code_challenge_method"].as_str()), ("code", "S256"));
    assert_eq!((pairs["state"].len(), pairs["code_challenge"].len()), (43, 43));
    let again = address(&[], None);
    assert_eq!(url, again, "randomness is an argument");
}

#[test]
fn pkce_is_that_of_the_standard() {
    use data_encoding::BASE64URL_NOPAD;
    let discovered = discovered();
    let client = public(&discovered);
    let start = plain(&discovered, &client);
    let started = authorize::start(start, &SeededRandom::new(9)).unwrap();
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, started.verifier.expose_secret().as_bytes());
    assert!(started.url.expose_secret().contains(&format!("code_challenge={}", BASE64URL_NOPAD.encode(hash.as_ref()))));
    assert_ne!(started.verifier.expose_secret(), started.state.expose_secret());
    let shown = format!("{started:?}");
    assert!(!shown.contains(started.state.expose_secret()) && !shown.contains(started.verifier.expose_secret()), "{shown}");
}

#[test]
fn extra_parameters_come_last_and_override_nothing() {
    let extra = [("audience".to_owned(), "a&state=evil".to_owned()), ("prompt".to_owned(), "login".to_owned())];
    let google = profile("google");
    let url = address(&extra, Some(&google));
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let last: Vec<_> = pairs.iter().rev().take(3).rev().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(last, [("audience", "a&state=evil"), ("prompt", "login"), ("access_type", "offline")]);
    assert_eq!(pairs.iter().filter(|(name, _)| name == "state").count(), 1);
}

#[test]
fn extra_parameters_that_are_ours() {
    let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let mut rows: Vec<Vec<(String, String)>> = RESERVED.iter().map(|name| pair(name, "x")).collect();
    rows.extend([
        pair("STATE", "x"),
        pair(" state", "x"),
        pair("Redirect_Uri", "https://evil.example.com"),
        pair("", "x"),
        pair("a", &"x".repeat(257)),
        pair(&"a".repeat(257), "x"),
        pair("a\n", "x"),
        pair("a", "x\u{0}"),
        [pair("a", "1"), pair("a", "2")].concat(),
        (0..17).map(|n| (format!("p{n}"), "x".to_owned())).collect(),
    ]);
    for extra in rows {
        let discovered = discovered();
        let client = public(&discovered);
        let start = Start { extra: &extra, ..plain(&discovered, &client) };
        assert_eq!(authorize::start(start, &SeededRandom::new(5)).unwrap_err().kind, FaultKind::BadInput, "{extra:?}");
    }
}

#[test]
fn a_client_is_for_its_issuer_alone() {
    let discovered = discovered();
    let client = identity::Client { issuer: "https://old.example.com".into(), ..public(&discovered) };
    let start = plain(&discovered, &client);
    assert_eq!(authorize::start(start, &SeededRandom::new(5)).unwrap_err().kind, FaultKind::IssuerMismatch);
}

#[test]
fn an_address_without_end_is_not_made() {
    let many: Vec<String> = (0..120).map(|n| format!("{n}{}", "s".repeat(200))).collect();
    let discovered = discovered();
    let client = public(&discovered);
    let start = Start { configured: &many, ..plain(&discovered, &client) };
    assert_eq!(authorize::start(start, &SeededRandom::new(5)).unwrap_err().kind, FaultKind::Limit);
}

#[test]
fn step_ups_end() {
    let wants = |text: &str| Challenge { scopes: Some(words(text)), error: Some("insufficient_scope".into()), ..Challenge::default() };
    assert_eq!(step_up::scopes(&words("a b"), &wants("b c"), 0).unwrap(), words("a b c"));
    assert_eq!(step_up::scopes(&words("a"), &wants("c"), step_up::ATTEMPTS_MAX - 1).unwrap(), words("a c"));
    assert_eq!(step_up::scopes(&words("a"), &wants("c"), step_up::ATTEMPTS_MAX).unwrap_err().kind, FaultKind::Limit);
    let code = |fault: crate::oauth::OAuthFault| fault.kind;
    let nothing = FaultKind::Refused { code: "insufficient_scope".into() };
    assert_eq!(code(step_up::scopes(&words("a b"), &wants("b"), 0).unwrap_err()), nothing);
    assert_eq!(code(step_up::scopes(&words("a"), &Challenge::default(), 0).unwrap_err()), nothing);
    let many = (0..200).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
    assert_eq!(step_up::scopes(&words("a"), &wants(&many), 0).unwrap_err().kind, FaultKind::Limit);
}
