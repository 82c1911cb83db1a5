//! Who is of several organisations says in which he acts: by the address, or with the request. What he may choose among is what his
//! token says, and a connection or a session decides nothing.

use serde_json::{Value, json};

use super::place::Place;
use super::row::{Ask, Token};

const META_ORG: &str = "dev.bailiwick/org";

fn of(tenants: Value) -> Ask {
    Token::partner().claim("tenant", json!({"id": tenants})).into()
}

fn naming(ask: Ask, org: &Value) -> Ask {
    ask.reading(json!({META_ORG: org}))
}

#[tokio::test]
async fn the_organisation_is_chosen_by_address_or_request_and_never_remembered() {
    let place = Place::build().await;
    place.enlist("gamma", "person-2").await;
    let both = || of(json!(["beta", "elsewhere", "gamma"]));
    assert_eq!(place.scope(both()).await, "beta", "home");
    assert_eq!(place.scope(both().within("gamma")).await, "gamma");
    assert_eq!(place.scope(both()).await, "beta", "the choice before is forgotten");
    assert_eq!(place.scope(naming(both(), &json!("gamma"))).await, "gamma");
    assert_eq!(place.scope(naming(both(), &json!("beta"))).await, "beta");
    // What the request itself says comes last, so it counts; both are his.
    assert_eq!(place.scope(naming(both().within("gamma"), &json!("beta"))).await, "beta");
    assert_eq!(place.scope(of(json!(["gamma", "beta"]))).await, "gamma", "the first is home");
    // What the token says of roles and groups it says of home: elsewhere somebody is what the organisation made him.
    let boss = || {
        Ask::from(Token::partner().claim("tenant", json!({"id": ["gamma", "beta"]})).claim("access", json!({"roles": ["gateway-admins"]})))
    };
    assert_eq!(place.scope(boss()).await, "gamma");
    let abroad = place.scope(boss().within("beta")).await;
    assert!(abroad.contains("forbidden"), "{abroad}");
    let agents = place.agents().await;
    assert!(agents.contains(&"beta/agent-2/build".into()) && agents.contains(&"gamma/agent-2/build".into()), "{agents:?}");
    place.close().await;
}

#[tokio::test]
async fn nobody_acts_in_an_organisation_that_is_not_his() {
    let place = Place::build().await;
    let one = || of(json!("beta"));
    assert_eq!(place.scope(one()).await, "beta");
    for foreign in ["gamma", "acme", "delta", "nowhere", "..", "BETA"] {
        let by_address = place.scope(one().within(foreign)).await;
        let by_request = place.scope(naming(one(), &json!(foreign))).await;
        assert!(by_address.starts_with("404") && by_request.starts_with("404"), "{foreign}: {by_address}; {by_request}");
        // Of one that exists and one that does not the same is said.
        assert_eq!(by_address, place.scope(one().within("never-heard-of")).await);
    }
    for odd in [json!(5), json!(null), json!(["beta"]), json!("")] {
        assert!(place.scope(naming(one(), &odd)).await.starts_with("404"), "{odd}");
    }
    // An issuer of one organisation has nothing to choose from. This one says no roles, so its people get no further than in.
    assert!(place.scope(Ask::from(Token::corp()).within("acme")).await.contains("forbidden"));
    assert!(place.scope(Ask::from(Token::corp()).within("beta")).await.starts_with("404"));
    // Without a name of 2026-07-28 the request of an older client is refused too, wherever it names another organisation.
    let older = place.ask(&one().within("gamma")).await;
    assert_eq!(older.status, 404, "{}", older.body);
    assert!(!place.agents().await.iter().any(|agent| agent.starts_with("gamma/")), "nothing was made there");
    place.close().await;
}
