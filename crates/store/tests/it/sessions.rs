//! Sessions of the `initialize` revisions.

use std::time::Duration;

use bailiwick_store::{NewSession, SESSIONS_PER_AGENT_MAX, Scope, Store, StoreErrorKind};
use sqlx::Row;

use crate::support::{TestDb, agent_id, agent_type, assert_kind, operator, org_id};

fn facts() -> NewSession {
    NewSession { revision: "2025-06-18".into(), capabilities: "{}".into(), client_info: Some(r#"{"name":"c"}"#.into()) }
}

async fn agent(store: &Store, org: &str, name: &str) -> Scope {
    store.launch(&org_id(org), &agent_id(name), &agent_type("t")).await.unwrap()
}

pub(crate) async fn sessions_belong_to_their_agent(db: &TestDb) {
    let store = db.open().await;
    let (owner, neighbour, foreign) =
        (agent(&store, "acme", "a").await, agent(&store, "acme", "b").await, agent(&store, "beta", "a").await);
    let id = store.sessions().create(&owner, facts()).await.unwrap();
    assert!(id.len() == 43 && id.bytes().all(|b| b.is_ascii_graphic()), "{id}");
    // From memory and, in a fresh process, from the row.
    for store in [&store, &db.open().await] {
        for _ in 0..2 {
            assert_eq!(store.sessions().get(&owner, &id).await.unwrap().unwrap().facts, facts());
            assert_eq!(store.sessions().get(&neighbour, &id).await.unwrap(), None);
            assert_eq!(store.sessions().get(&foreign, &id).await.unwrap(), None);
        }
    }
    for hostile in ["", "x", &"x".repeat(43), &"x".repeat(10_000), "\u{0}"] {
        assert_eq!(store.sessions().get(&owner, hostile).await.unwrap(), None);
    }
    assert!(!store.sessions().end(&neighbour, &id).await.unwrap());
    assert!(!store.sessions().end(&foreign, &id).await.unwrap());
    assert!(store.sessions().end(&owner, &id).await.unwrap());
    assert_eq!(store.sessions().get(&owner, &id).await.unwrap(), None);
    assert!(!store.sessions().end(&owner, &id).await.unwrap());
    let large = NewSession { capabilities: " ".repeat(64 * 1024 + 1), ..facts() };
    assert_kind(store.sessions().create(&owner, large).await, StoreErrorKind::Invalid);
}

pub(crate) async fn sessions_are_limited_and_pruned(db: &TestDb) {
    let store = db.open().await;
    let (owner, other) = (agent(&store, "acme", "a").await, agent(&store, "beta", "b").await);
    let kept = store.sessions().create(&other, facts()).await.unwrap();
    let first = store.sessions().create(&owner, facts()).await.unwrap();
    for _ in 0..SESSIONS_PER_AGENT_MAX {
        db.clock.advance(Duration::from_micros(1));
        store.sessions().create(&owner, facts()).await.unwrap();
    }
    let fresh = db.open().await;
    assert_eq!(fresh.sessions().get(&owner, &first).await.unwrap(), None, "the oldest made room");
    assert!(fresh.sessions().get(&other, &kept).await.unwrap().is_some());
    let count: i64 = db.raw_rows("SELECT count(*) FROM mcp_sessions WHERE tenant_id = 'acme'").await[0].try_get(0).unwrap();
    assert_eq!(count, SESSIONS_PER_AGENT_MAX);

    db.clock.advance(Duration::from_secs(3600));
    store.sessions().touch(&other, &kept).await.unwrap();
    let pruned = store.sessions().prune(&operator(&store), Duration::from_secs(1800)).await.unwrap();
    assert_eq!(i64::try_from(pruned).unwrap(), SESSIONS_PER_AGENT_MAX);
    assert!(fresh.sessions().get(&other, &kept).await.unwrap().is_some());
    // A second touch within the minute writes nothing.
    db.clock.advance(Duration::from_secs(30));
    store.sessions().touch(&other, &kept).await.unwrap();
    let seen = db.raw_rows("SELECT max(seen_at) - max(created_at) FROM mcp_sessions").await[0].try_get::<i64, _>(0).unwrap();
    assert!((3_600_000_000..3_601_000_000).contains(&seen), "{seen}");
}

pub(crate) async fn another_replica_notices_the_end(db: &TestDb) {
    let (here, there) = (db.open().await, db.open().await);
    let owner = agent(&here, "acme", "a").await;
    let id = here.sessions().create(&owner, facts()).await.unwrap();
    assert!(there.sessions().get(&owner, &id).await.unwrap().is_some());
    here.sessions().end(&owner, &id).await.unwrap();
    db.clock.advance(Duration::from_millis(2001));
    assert_eq!(there.sessions().get(&owner, &id).await.unwrap(), None);
}
