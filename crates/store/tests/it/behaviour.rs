//! Isolation of organisations, probes, counters, the shape of the tables.

use std::collections::BTreeSet;

use bailiwick_model::{DocOwner, FeedbackId, HouseRules, Outcome, RunId, RunSource, ServerName, Timestamp};
use bailiwick_store::{Attributed, Finisher, Generations, NewSession, Scope, Store, StoreErrorKind, Topic, Whereabouts};
use secrecy::ExposeSecret;
use sqlx::{AssertSqlSafe, Row};

use crate::support::{Org, TestDb, agent_id, agent_type, assert_kind, make_org, new_key, operator, org_id};
use crate::{feedback, instructions, runs, servers};

/// Tables that belong to no organisation.
const PLATFORM_TABLES: &[&str] = &[
    "event_positions",
    "generations",
    "ledger_checkpoints",
    "ledger_records",
    "ledger_writers",
    // Shared by organisations: who sees a row stands in mcp_server_orgs.
    "mcp_servers",
    "organisations",
    "platform_admins",
    "platform_keys",
    "platform_secrets",
    "schema_migrations",
    "server_clients",
];

fn server(name: &str) -> ServerName {
    ServerName::parse(name).unwrap()
}

pub(crate) async fn organisations_do_not_see_each_other(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    store.secrets().put(&acme.scope, "only-acme", &"canary".into()).await.unwrap();
    store.agents().create(&acme.scope, &agent_id("only-acme"), &agent_type("t")).await.unwrap();
    store.server_probes().put(&acme.scope, &server("only"), "e", "{}").await.unwrap();
    let key = store.keys().create(&acme.scope, new_key(&acme)).await.unwrap();

    // What is foreign and what never was give the same words.
    let foreign = assert_kind(store.secrets().open(&beta.scope, "only-acme").await, StoreErrorKind::NotFound);
    let unknown = assert_kind(store.secrets().open(&beta.scope, "never").await, StoreErrorKind::NotFound);
    assert_eq!(foreign.to_string(), unknown.to_string());
    let foreign = assert_kind(store.agents().get(&beta.scope, &agent_id("only-acme")).await, StoreErrorKind::NotFound);
    let unknown = assert_kind(store.agents().get(&beta.scope, &agent_id("never")).await, StoreErrorKind::NotFound);
    assert_eq!(foreign.to_string(), unknown.to_string());
    assert_kind(store.keys().revoke(&beta.scope, key.id).await, StoreErrorKind::NotFound);
    assert_kind(store.secrets().delete(&beta.scope, "only-acme").await, StoreErrorKind::NotFound);
    assert_kind(store.agents().set_disabled(&beta.scope, &agent_id("only-acme"), true).await, StoreErrorKind::NotFound);
    assert_eq!(store.server_probes().get(&beta.scope, &server("only"), "e").await.unwrap(), None);
    store.server_probes().delete(&beta.scope, &server("only")).await.unwrap();

    assert!(store.secrets().list(&beta.scope, "").await.unwrap().is_empty());
    assert!(store.keys().list(&beta.scope, "").await.unwrap().is_empty());
    assert!(store.server_probes().list(&beta.scope, "").await.unwrap().is_empty());
    assert_eq!(store.agents().list(&beta.scope, "").await.unwrap().len(), 1);
    // And nothing of the attempts reached the other side.
    assert_eq!(store.secrets().open(&acme.scope, "only-acme").await.unwrap().expose_secret(), "canary");
    assert_eq!(store.keys().list(&acme.scope, "").await.unwrap()[0].revoked_at, None);
    assert!(store.server_probes().get(&acme.scope, &server("only"), "e").await.unwrap().is_some());
}

/// Many operations of one organisation with names that the other uses as well leave the other's rows byte for byte as they were.
pub(crate) async fn mirrored_organisations_stay_untouched(db: &TestDb) {
    const ROUNDS: u64 = 120;
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    for org in [&acme, &beta] {
        for name in ["x", "y"] {
            store.secrets().put(&org.scope, name, &"v".into()).await.unwrap();
            store.server_probes().put(&org.scope, &server(name), "e", "{}").await.unwrap();
        }
        store.keys().create(&org.scope, new_key(org)).await.unwrap();
    }
    let mut foreign = Vec::new();
    for org in [&acme, &beta] {
        foreign.push(texts_and_runs(&store, org).await);
    }
    let foreign = foreign.remove(1);
    let acting = store.launch(&org_id("acme"), &acme.agent, &agent_type("research")).await;
    let acting = acting.unwrap_or_else(|error| panic!("{error:?}"));
    let before = rows_of(db, &store, "beta").await;
    assert_eq!(before.len(), 11, "{before:?}");
    let mut state = 1_u64;
    for _ in 0..ROUNDS {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        act(&store, &acme, &acting, state >> 33).await;
        act_on_texts(&store, &acme, &foreign, state >> 40).await;
    }
    assert_eq!(rows_of(db, &store, "beta").await, before);
}

async fn act(store: &Store, acme: &Org, acting: &Scope, dice: u64) {
    let name = if dice & 1 == 0 { "x" } else { "y" };
    match (dice >> 1) % 8 {
        0 => drop(store.secrets().put(&acme.scope, name, &"w".into()).await.unwrap()),
        1 => drop(store.secrets().delete(&acme.scope, name).await),
        2 => drop(store.keys().create(&acme.scope, new_key(acme)).await.unwrap()),
        3 => {
            for key in store.keys().list(&acme.scope, "").await.unwrap() {
                store.keys().revoke(&acme.scope, key.id).await.unwrap();
            }
        }
        4 => store.server_probes().put(&acme.scope, &server(name), "f", "[]").await.unwrap(),
        5 => store.server_probes().delete(&acme.scope, &server(name)).await.unwrap(),
        6 => store.agents().set_disabled(&acme.scope, &acme.agent, dice & 16 == 0).await.unwrap(),
        _ => {
            let new = NewSession { revision: "r".into(), capabilities: "{}".into(), client_info: None };
            let id = store.sessions().create(acting, new).await.unwrap();
            store.sessions().end(acting, &id).await.unwrap();
        }
    }
}

/// One instruction, one open run and one feedback; ids of the last two.
async fn texts_and_runs(store: &Store, org: &Org) -> (RunId, FeedbackId) {
    instructions::put(store, &org.scope, &DocOwner::Org, &instructions::text("rule", "x", "v")).await;
    let (run, _) = runs::start(store, &org.scope, &runs::person("ann", ""), Whereabouts::default()).await;
    let feedback = feedback::put(store, &org.scope, "gap", "other", Some(&run)).await;
    (run, feedback)
}

/// What acme does with texts, runs and feedback, ids of the other organisation among them.
async fn act_on_texts(store: &Store, acme: &Org, foreign: &(RunId, FeedbackId), dice: u64) {
    let (org, ann) = (&acme.scope, runs::person("ann", ""));
    let (rule, slug) = (instructions::kind("rule"), instructions::slug("x"));
    let far = store.runs();
    let touched = Attributed { run_id: foreign.0.clone(), source: RunSource::Explicit, last_seen_at: Timestamp::from_micros(0) };
    match dice % 10 {
        0 => drop(instructions::put(store, org, &DocOwner::Org, &instructions::text("rule", "x", "w")).await),
        1 => drop(store.instructions().delete(org, &DocOwner::Org, &rule, &slug).await),
        2 => {
            let at = (&DocOwner::Org, &rule, &slug);
            drop(store.instructions().revert(org, at, 1, None, &HouseRules::default()).await.unwrap());
        }
        3 => drop(runs::start(store, org, &ann, Whereabouts::default()).await),
        4 => {
            let by = if dice & 16 == 0 { Finisher::Owner(&ann) } else { Finisher::Admin { reason: "test" } };
            assert!(!far.finish(org, by, &foreign.0, Outcome::Done, None).await.unwrap().was_open);
        }
        5 => far.touch(org, &touched).await.unwrap(),
        6 => drop(far.ensure_implicit(org, &ann, Whereabouts::default()).await.unwrap()),
        7 => drop(store.feedback().resolve(org, foreign.1, "mine").await.unwrap_err()),
        8 => drop(far.prune(org, Timestamp::from_micros(i64::MAX)).await.unwrap()),
        _ => drop(store.feedback().prune(org, Timestamp::from_micros(i64::MAX)).await.unwrap()),
    }
}

/// Every value of every row of an organisation, as text.
async fn rows_of(db: &TestDb, store: &Store, org: &str) -> Vec<String> {
    let mut found = Vec::new();
    for table in tables(db, store).await {
        let names = columns(db, store, &table).await;
        if !names.contains("tenant_id") {
            continue;
        }
        let as_text = |name: &String| match (db.name(), name.as_str()) {
            ("SQLite", _) => format!("quote({name})"),
            _ => format!("coalesce({name}::text, 'NULL')"),
        };
        let list = names.iter().map(as_text).collect::<Vec<_>>().join(" || '|' || ");
        let statement = format!("SELECT {list} AS line FROM {table} WHERE tenant_id = '{org}' ORDER BY 1");
        for row in db.raw_rows(&statement).await {
            found.push(format!("{table}: {}", row.try_get::<String, _>("line").unwrap()));
        }
    }
    found
}

pub(crate) async fn tables(db: &TestDb, store: &Store) -> Vec<String> {
    let rows = db.raw_rows(store.dialect().list_tables()).await;
    rows.iter().map(|row| row.try_get("name").unwrap()).collect()
}

async fn columns(db: &TestDb, store: &Store, table: &str) -> BTreeSet<String> {
    let mut connection = db.raw().await;
    let query = sqlx::query(AssertSqlSafe(store.dialect().list_columns().to_owned())).bind(table.to_owned());
    query.fetch_all(&mut connection).await.unwrap().iter().map(|row| row.try_get("name").unwrap()).collect()
}

pub(crate) async fn every_table_has_a_tenant_or_is_the_platforms(db: &TestDb) {
    let store = db.open().await;
    let found = tables(db, &store).await;
    assert!(found.len() > 8, "{found:?}");
    for table in &found {
        let has_tenant = columns(db, &store, table).await.contains("tenant_id");
        assert_ne!(has_tenant, PLATFORM_TABLES.contains(&table.as_str()), "{table}: has tenant_id: {has_tenant}");
    }
    for table in PLATFORM_TABLES {
        assert!(found.iter().any(|name| name == table), "{table} is on the list but not in the database");
    }
}

pub(crate) async fn probes_are_kept_per_endpoint(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    let files = server("files");
    assert_eq!(store.server_probes().get(&acme.scope, &files, "e1").await.unwrap(), None);
    store.server_probes().put(&acme.scope, &files, "e1", r#"{"a":1}"#).await.unwrap();
    assert_eq!(store.server_probes().get(&acme.scope, &files, "e1").await.unwrap().unwrap().probe, r#"{"a":1}"#);
    assert_eq!(store.server_probes().get(&acme.scope, &files, "e2").await.unwrap(), None);
    store.server_probes().put(&acme.scope, &files, "e2", "{}").await.unwrap();
    assert_eq!(store.server_probes().get(&acme.scope, &files, "e1").await.unwrap(), None);
    assert_eq!(store.server_probes().list(&acme.scope, "").await.unwrap().len(), 1);
    let large = " ".repeat(1024 * 1024 + 1);
    assert_kind(store.server_probes().put(&acme.scope, &files, "e2", &large).await, StoreErrorKind::Invalid);
    let nowhere = operator(&store).within(&org_id("nowhere"));
    assert_kind(store.server_probes().put(&nowhere, &files, "e", "{}").await, StoreErrorKind::Conflict);
    store.server_probes().delete(&acme.scope, &files).await.unwrap();
    store.server_probes().delete(&acme.scope, &files).await.unwrap();
    assert!(store.server_probes().list(&acme.scope, "").await.unwrap().is_empty());
}

pub(crate) async fn every_change_moves_its_counter(db: &TestDb) {
    let store = db.open().await;
    let platform = operator(&store);
    let watcher = db.open().await;
    let mut last = Generations::default();
    let mut moved = async |expected: &[Topic]| {
        let now = watcher.generations(&platform).await.unwrap();
        for topic in Topic::ALL {
            let changed = now.of(*topic) > last.of(*topic);
            assert_eq!(changed, expected.contains(topic), "{topic:?}");
        }
        last = now;
    };
    moved(&[]).await;
    let acme = make_org(&store, "acme").await;
    moved(&[Topic::Organisations, Topic::Agents]).await;
    let key = store.keys().create(&acme.scope, new_key(&acme)).await.unwrap();
    moved(&[Topic::Keys]).await;
    store.keys().revoke(&acme.scope, key.id).await.unwrap();
    moved(&[Topic::Keys]).await;
    store.agents().set_disabled(&acme.scope, &acme.agent, true).await.unwrap();
    moved(&[Topic::Agents, Topic::Keys, Topic::AgentStates]).await;
    store.secrets().put(&acme.scope, "s", &"v".into()).await.unwrap();
    moved(&[Topic::Secrets]).await;
    store.secrets().delete(&acme.scope, "s").await.unwrap();
    moved(&[Topic::Secrets]).await;
    store.server_probes().put(&acme.scope, &server("s"), "e", "{}").await.unwrap();
    moved(&[Topic::Servers]).await;
    instructions::put(&store, &acme.scope, &DocOwner::Org, &instructions::text("rule", "x", "v")).await;
    moved(&[Topic::Instructions]).await;
    store.instructions().delete(&acme.scope, &DocOwner::Org, &instructions::kind("rule"), &instructions::slug("x")).await.unwrap();
    moved(&[Topic::Instructions]).await;
    let (run, _) = runs::start(&store, &acme.scope, &runs::person("ann", ""), Whereabouts::default()).await;
    moved(&[Topic::Runs]).await;
    let ann = runs::person("ann", "");
    assert!(store.runs().finish(&acme.scope, Finisher::Owner(&ann), &run, Outcome::Done, None).await.unwrap().was_open);
    feedback::put(&store, &acme.scope, "gap", "other", None).await;
    moved(&[]).await;
    let server_moved = async |told: bool| moved(if told { &[Topic::Servers] } else { &[] }).await;
    servers::changes_of_servers_are_told(&store, &acme, server_moved).await;
    store.server_probes().put(&acme.scope, &server("s"), "e", "{}").await.unwrap();
    store.orgs().ensure(&platform, &org_id("acme")).await.unwrap();
    assert_kind(store.orgs().create(&platform, &org_id("acme")).await, StoreErrorKind::Conflict);
    assert_kind(
        store.keys().revoke(&acme.scope, bailiwick_model::KeyId::parse("00000000000000ff").unwrap()).await,
        StoreErrorKind::NotFound,
    );
    moved(&[]).await;
}

pub(crate) async fn a_closed_store_says_so(db: &TestDb) {
    let store = db.open().await;
    store.check_integrity().await.unwrap();
    store.close().await;
    let error = assert_kind(store.orgs().list(&operator(&store), "").await, StoreErrorKind::Unavailable);
    assert!(error.message().contains("closed"), "{error}");
}
