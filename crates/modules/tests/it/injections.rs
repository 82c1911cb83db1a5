//! The table of injections: what an agent says, or an operator writes into a value with fields, stays what it is. Each attack is either
//! refused, with a word on what to do and without asking anybody anything, or sent; then every byte on the wire is the expected one. Beside
//! the attacks stand look-alikes that must go through unharmed.
//!
//! | File | Holds |
//! |---|---|
//! | `injections/row.rs` | what a row says |
//! | `injections/scene.rs` | the services behind a row, and the verdict |
//! | `injections/wire.rs` | a network that keeps every byte, and a reader that forgives nothing |
//! | the others | the rows, by where they lead |

mod dashboards;
mod hooks;
mod mails;
mod metrics;
mod points;
mod pushes;
mod rooms;
mod row;
mod scene;
mod services;
mod templates;
mod variables;
mod wire;

use std::collections::BTreeMap;

use row::Row;
use scene::Scene;

/// The least that each side has to hold; a row that goes away needs another in its place.
const ATTACKS_MIN: usize = 650;
const ALLOWED_MIN: usize = 110;

fn attacks() -> Vec<Row> {
    let all = [
        templates::attacks(),
        variables::attacks(),
        pushes::attacks(),
        mails::attacks(),
        hooks::attacks(),
        rooms::attacks(),
        services::attacks(),
        metrics::attacks(),
        points::attacks(),
        dashboards::attacks(),
    ];
    all.into_iter().flatten().collect()
}

fn allowed() -> Vec<Row> {
    let all = [
        templates::allowed(),
        variables::allowed(),
        pushes::allowed(),
        mails::allowed(),
        hooks::allowed(),
        rooms::allowed(),
        services::allowed(),
        metrics::allowed(),
        points::allowed(),
        dashboards::allowed(),
    ];
    all.into_iter().flatten().collect()
}

/// Names of the rows that do not hold, with what happened instead.
async fn wrong(rows: &[Row]) -> Vec<String> {
    let mut wrong = Vec::new();
    for row in rows {
        if let Err(why) = Scene::of(row).await.judge(row).await {
            wrong.push(format!("{} `{}`: {why}", row.module, row.name));
        }
    }
    wrong
}

#[tokio::test]
async fn the_table_holds() {
    let (attacks, allowed) = (attacks(), allowed());
    let (got_through, held_back) = (wrong(&attacks).await, wrong(&allowed).await);
    println!(
        "injections: {} attacks, {} got through; {} must-be-allowed, {} held back",
        attacks.len(),
        got_through.len(),
        allowed.len(),
        held_back.len()
    );
    assert!(got_through.is_empty() && held_back.is_empty(), "{}", [got_through, held_back].concat().join("\n\n"));
    assert!(attacks.len() >= ATTACKS_MIN && allowed.len() >= ALLOWED_MIN, "rows went away");
}

#[test]
fn every_row_says_something_of_its_own() {
    let mut seen = BTreeMap::new();
    for row in attacks().iter().chain(&allowed()) {
        let what = (row.module, row.config.to_string(), row.credentials.clone(), row.variables.clone(), row.tool, row.arguments.clone());
        if let Some(other) = seen.insert(what, row.name.clone()) {
            panic!("{}: `{}` and `{other}` are one", row.module, row.name);
        }
    }
}
