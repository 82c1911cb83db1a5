//! Forged tokens and good ones at the public face of a gateway: none of the first gets in, all of the second do.
//!
//! Each forgery breaks one rule, and the record must name that rule: a forgery that is refused for another reason proves nothing.

mod algorithms;
mod audience;
mod choice;
mod controls;
mod identity;
mod key_names;
mod keys;
mod kinds;
mod place;
mod rotation;
mod row;
mod shape;
mod signatures;
mod times;
mod transport;

use place::Place;
use row::Row;

/// Distinct ideas that the table must have at least.
const FORGERIES_MIN: usize = 120;
const CONTROLS_MIN: usize = 30;

/// Forgeries whose keys do not exist may make the gateway look for them once, and at no other time.
const LOOKS_MAX: usize = 1;

fn forgeries() -> Vec<Row> {
    [
        algorithms::rows(),
        key_names::rows(),
        shape::rows(),
        signatures::rows(),
        times::rows(),
        audience::rows(),
        kinds::rows(),
        identity::rows(),
        transport::rows(),
    ]
    .concat()
}

/// What is not as the row has it.
async fn differences(place: &Place, rows: &[Row]) -> (usize, Vec<String>) {
    let (mut accepted, mut wrong) = (0, Vec::new());
    for row in rows {
        let answer = place.ask(&row.ask).await;
        accepted += usize::from(answer.status == 200);
        if (answer.status, answer.reason.as_str()) != (row.status, row.reason) {
            wrong.push(format!("{}: {} `{}` instead of {} `{}`", row.name, answer.status, answer.reason, row.status, row.reason));
        }
        if answer.status == 401 && !answer.challenge.contains("resource_metadata=\"http://127.0.0.1:8700/.well-known/") {
            wrong.push(format!("{}: the challenge is `{}`", row.name, answer.challenge));
        }
        if !row.ask.secret.is_empty() && (answer.challenge.contains(&row.ask.secret) || answer.body.contains(&row.ask.secret)) {
            wrong.push(format!("{}: the token is in the answer", row.name));
        }
    }
    (accepted, wrong)
}

fn each_has_its_own_name(rows: &[Row]) {
    let mut seen = std::collections::BTreeSet::new();
    let twice: Vec<&str> = rows.iter().map(|row| row.name.as_str()).filter(|name| !seen.insert(*name)).collect();
    assert_eq!(twice, Vec::<&str>::new(), "two rows have one name");
}

#[tokio::test]
async fn no_forgery_gets_in() {
    let place = Place::build().await;
    place.prepare_agents().await;
    let before = place.agents().await;
    let rows = forgeries();
    each_has_its_own_name(&rows);
    let (accepted, wrong) = differences(&place, &rows).await;
    println!("{} forgeries, {accepted} accepted", rows.len());
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(accepted, 0);
    assert!(rows.len() >= FORGERIES_MIN, "only {}", rows.len());
    // What was refused left nothing behind, and led nowhere.
    assert_eq!(place.agents().await, before);
    for issuer in place.issuers() {
        assert!(issuer.looks() <= LOOKS_MAX, "{} looks at {}", issuer.looks(), issuer.name);
    }
    assert_eq!(place.strayed(), Vec::<String>::new(), "a token made the gateway dial somewhere");
    place.close().await;
}

#[tokio::test]
async fn every_good_token_gets_in() {
    let place = Place::build().await;
    place.prepare_agents().await;
    let rows = controls::rows();
    each_has_its_own_name(&rows);
    let (accepted, wrong) = differences(&place, &rows).await;
    println!("{} controls, {accepted} accepted", rows.len());
    assert_eq!(wrong, Vec::<String>::new());
    assert!(accepted == rows.len() && accepted >= CONTROLS_MIN);
    assert_eq!(place.agents().await, controls::AGENTS);
    place.close().await;
}
