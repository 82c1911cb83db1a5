//! Keys that change while calls run, keys that nobody has, and issuers that are away.

use serde_json::json;

use super::keys::{EC, FOREIGN, PARTNER, RSA, Signer, ec_jwk, rsa_jwk};
use super::place::Place;
use super::row::{Token, good};

const OK: u16 = 200;

fn answer(status: u16, reason: &str) -> (u16, String) {
    (status, reason.to_owned())
}

fn ec_token() -> Token {
    Token::corp().alg("ES256").by("ec-2", Signer::Ec(&EC))
}

#[tokio::test]
async fn a_new_key_works_at_once_and_an_old_one_stops() {
    let place = Place::build().await;
    place.corp.change(|words| words.keys = vec![rsa_jwk("rsa-1", &RSA)]);
    assert_eq!(place.says(Token::corp()).await, answer(OK, ""));
    assert_eq!(place.corp.asked(), ["/.well-known/openid-configuration", "/keys"]);

    // The new key is published, then used. The gateway has never heard of it.
    place.corp.change(|words| words.keys.push(ec_jwk("ec-2", &EC)));
    place.pass(61);
    assert_eq!(place.says(ec_token()).await, answer(OK, ""));
    assert_eq!(place.says(Token::corp()).await, answer(OK, ""), "the old key is still there");
    assert_eq!(place.corp.looks(), 2);

    // The old key is withdrawn. Nobody tells the gateway; the set it holds is ten minutes old at most.
    place.corp.change(|words| words.keys = vec![ec_jwk("ec-2", &EC)]);
    place.pass(61);
    assert_eq!(place.says(Token::corp()).await, answer(OK, ""), "within the age of the set");
    let late = Token::corp().claim("exp", json!(super::row::NOW + 3_000));
    assert_eq!(place.says(late.clone()).await, answer(OK, ""));
    place.pass(600);
    assert_eq!(place.says(late).await, answer(401, "key_unknown"));
    let new = ec_token().claim("exp", json!(super::row::NOW + 3_000));
    assert_eq!(place.says(new).await, answer(OK, ""));
    assert_eq!(place.corp.looks(), 3);
    assert_eq!(place.corp.asked().len(), 4, "the address of the keys is kept");
    place.close().await;
}

#[tokio::test]
async fn a_verdict_ends_with_the_keys_it_was_found_by() {
    let place = Place::build().await;
    place.corp.change(|words| words.keys = vec![rsa_jwk("rsa-1", &RSA)]);
    assert_eq!(place.says(Token::corp()).await, answer(OK, ""));
    place.pass(30);
    let stolen = || Token::corp().claim("jti", json!("stolen"));
    assert_eq!(place.says(stolen()).await, answer(OK, ""), "its verdict would be kept for another minute");
    // The key is withdrawn. Somebody's unknown key makes the gateway look, half a minute later.
    place.corp.change(|words| words.keys = vec![]);
    place.pass(29);
    assert_eq!(place.says(stolen()).await, answer(OK, ""));
    place.pass(1);
    assert_eq!(place.says(Token::corp().by("x", Signer::Rs256(&FOREIGN))).await, answer(401, "key_unknown"));
    assert_eq!(place.says(stolen()).await, answer(401, "key_unknown"));
    place.close().await;
}

#[tokio::test]
async fn a_key_exchanged_under_its_name_is_the_new_one() {
    let place = Place::build().await;
    assert_eq!(place.says(Token::partner()).await, answer(OK, ""));
    place.partner.change(|words| words.keys = vec![rsa_jwk("p-1", &RSA)]);
    place.pass(200);
    let by = |signer| Token::partner().claim("exp", json!(super::row::NOW + 3_000)).signed(signer);
    assert_eq!(place.says(by(Signer::Rs256(&RSA))).await, answer(401, "signature_wrong"), "the set is young");
    place.pass(401);
    assert_eq!(place.says(by(Signer::Rs256(&RSA))).await, answer(OK, ""));
    assert_eq!(place.says(by(Signer::Rs256(&PARTNER))).await, answer(401, "signature_wrong"));
    place.close().await;
}

#[tokio::test]
async fn made_up_names_of_keys_cost_the_issuer_one_look_a_minute() {
    let place = Place::build().await;
    assert_eq!(place.says(Token::corp()).await, answer(OK, ""));
    assert_eq!(place.corp.looks(), 1);
    for minute in 0..5 {
        for number in 0..40 {
            let name = format!("made-up-{minute}-{number}");
            let forged = Token::corp().claim("exp", json!(super::row::NOW + 3_000)).by(&name, Signer::Rs256(&FOREIGN));
            assert_eq!(place.says(forged).await, answer(401, "key_unknown"));
        }
        assert_eq!(place.corp.looks(), 1 + minute, "after {minute} minutes");
        place.pass(60);
    }
    place.close().await;
}

#[tokio::test]
async fn callers_that_come_together_share_one_look() {
    let place = Place::build().await;
    let asks: Vec<_> = (0..50)
        .map(|number| good("", Token::corp().claim("jti", json!(number))).ask)
        .chain((0..50).map(|number| good("", Token::corp().by(&format!("x-{number}"), Signer::Rs256(&FOREIGN))).ask))
        .collect();
    let mut answers = Vec::new();
    let mut running: tokio::task::JoinSet<u16> = tokio::task::JoinSet::new();
    let local = tokio::task::LocalSet::new();
    let place = std::rc::Rc::new(place);
    local
        .run_until(async {
            for ask in asks {
                let place = place.clone();
                running.spawn_local(async move { place.ask(&ask).await.status });
            }
            while let Some(status) = running.join_next().await {
                answers.push(status.unwrap());
            }
        })
        .await;
    assert_eq!(answers.iter().filter(|status| **status == OK).count(), 50);
    assert_eq!(answers.iter().filter(|status| **status == 401).count(), 50);
    assert_eq!(place.corp.asked(), ["/.well-known/openid-configuration", "/keys"]);
    std::rc::Rc::into_inner(place).unwrap().close().await;
}

#[tokio::test]
async fn keys_outlive_an_outage_of_a_day_and_no_longer() {
    let place = Place::build().await;
    let now = |place: &Place| bailiwick_model::time::Clock::now(&*place.clock).as_micros() / 1_000_000;
    let fresh = |place: &Place| Token::corp().claim("iat", json!(now(place))).claim("exp", json!(now(place) + 300));
    assert_eq!(place.says(fresh(&place)).await, answer(OK, ""));
    place.corp.change(|words| words.away = Some(503));
    for hour in 1..=24 {
        place.pass(3_600);
        assert_eq!(place.says(fresh(&place)).await, answer(OK, ""), "after {hour} hours");
    }
    place.pass(1);
    assert_eq!(place.says(fresh(&place)).await, answer(503, "keys_unavailable"));
    // It is back: the gateway looks again after a moment.
    place.corp.change(|words| words.away = None);
    place.pass(5);
    assert_eq!(place.says(fresh(&place)).await, answer(OK, ""));
    place.close().await;
}

#[tokio::test]
async fn without_keys_nothing_is_known_of_a_token() {
    let place = Place::build().await;
    place.corp.change(|words| words.away = Some(500));
    assert_eq!(place.says(Token::corp()).await, answer(503, "keys_unavailable"));
    assert_eq!(place.says(Token::partner()).await, answer(OK, ""), "another issuer does not suffer");
    let asked = place.corp.asked().len();
    for _ in 0..20 {
        assert_eq!(place.says(Token::corp()).await, answer(503, "keys_unavailable"));
    }
    assert_eq!(place.corp.asked().len(), asked, "it is not asked with every call");
    place.close().await;
}

#[tokio::test]
async fn a_document_about_another_issuer_counts_for_nothing() {
    for named in ["http://127.0.0.1:8485/", "http://127.0.0.1:8486/realms/p", "https://127.0.0.1:8485", ""] {
        let place = Place::build().await;
        place.corp.change(|words| words.named = named.to_owned());
        assert_eq!(place.says(Token::corp()).await, answer(503, "keys_unavailable"), "{named}");
        assert_eq!(place.corp.looks(), 0, "{named}");
        let both = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"];
        assert_eq!(place.corp.asked(), both, "{named}");
        place.close().await;
    }
}

#[tokio::test]
async fn keys_are_not_fetched_from_where_a_document_must_not_lead() {
    for address in [
        "http://169.254.169.254/keys",
        "http://127.0.0.1:8700/mcp/keys",
        "http://10.0.0.1/keys",
        "http://attacker.example.com/keys",
        "https://attacker.example.com/keys",
        "file:///etc/passwd",
        "http://x@127.0.0.1:8485/keys",
        "",
    ] {
        let place = Place::build().await;
        place.corp.change(|words| words.keys_at = address.to_owned());
        assert_eq!(place.says(Token::corp()).await, answer(503, "keys_unavailable"), "{address}");
        assert_eq!((place.strayed(), place.corp.looks()), (vec![], 0), "{address}");
        place.close().await;
    }
}

#[tokio::test]
async fn a_disabled_agent_is_refused_although_its_token_is_good() {
    let place = Place::build().await;
    place.prepare_agents().await;
    assert_eq!(place.says(Token::narrow()).await, answer(OK, ""));
    place.disable("known", true).await;
    place.pass(2);
    assert_eq!(place.says(Token::narrow()).await, answer(401, "agent_disabled"));
    place.disable("known", false).await;
    place.pass(2);
    assert_eq!(place.says(Token::narrow()).await, answer(OK, ""));
    place.close().await;
}

#[tokio::test]
async fn a_token_ends_although_it_was_just_used() {
    let place = Place::build().await;
    let token = || Token::corp().claim("exp", json!(super::row::NOW + 20));
    assert_eq!(place.says(token()).await, answer(OK, ""));
    place.pass(49);
    assert_eq!(place.says(token()).await, answer(OK, ""), "the leeway");
    place.pass(1);
    assert_eq!(place.says(token()).await, answer(401, "expired"));
    // A clock that is set back does not bring it to life from what is remembered.
    place.clock.set(bailiwick_model::Timestamp::from_micros((super::row::NOW - 41) * 1_000_000));
    assert_eq!(place.says(token()).await, answer(401, "not_yet_valid"));
    place.close().await;
}

#[tokio::test]
async fn challenges_say_how_to_get_in() {
    let place = Place::build().await;
    let base = "http://127.0.0.1:8700/.well-known/oauth-protected-resource/mcp";
    let scope = "scope=\"mcp:tools mcp:extra\"";
    let challenge = async |ask: super::row::Ask| place.ask(&ask).await.challenge;
    assert_eq!(challenge(super::row::Ask::nothing()).await, format!("Bearer resource_metadata=\"{base}\", {scope}"));
    assert_eq!(
        challenge(super::row::Ask::nothing().at("tickets")).await,
        format!("Bearer resource_metadata=\"{base}/servers/tickets\", {scope}")
    );
    assert_eq!(challenge("x.y.z".into()).await, format!("Bearer resource_metadata=\"{base}\", {scope}, error=\"invalid_token\""));
    let poor = Token::partner().claim("scope", json!("mcp:extra"));
    assert_eq!(challenge(poor.into()).await, format!("Bearer resource_metadata=\"{base}\", {scope}, error=\"insufficient_scope\""));
    place.close().await;
}
