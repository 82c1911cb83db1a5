//! What modules keep.

use bailiwick_store::{Scope, Store, StoreErrorKind};

use crate::support::{TestDb, agent_id, agent_type, assert_kind, org_id};

async fn agent(store: &Store, org: &str, name: &str) -> Scope {
    store.launch(&org_id(org), &agent_id(name), &agent_type("t")).await.unwrap()
}

pub(crate) async fn memory_belongs_to_agent_module_and_topic(db: &TestDb) {
    let store = db.open().await;
    let owner = agent(&store, "acme", "a").await;
    for fact in ["two", "one", "two"] {
        store.memory().remember(&owner, "metrics", "buckets", fact).await.unwrap();
    }
    let again = db.open().await;
    let kept = again.memory().recall(&owner, "metrics", "buckets").await.unwrap();
    assert_eq!(kept.into_iter().collect::<Vec<_>>(), ["one", "two"]);
    let others = [agent(&store, "acme", "a-b").await, agent(&store, "beta", "a").await];
    for other in &others {
        assert!(again.memory().recall(other, "metrics", "buckets").await.unwrap().is_empty());
    }
    assert!(again.memory().recall(&owner, "metrics", "other").await.unwrap().is_empty());
    assert!(again.memory().recall(&owner, "other", "buckets").await.unwrap().is_empty());
    for hostile in ["", "nul\0", &"x".repeat(513)] {
        assert_kind(store.memory().remember(&owner, "metrics", "buckets", hostile).await, StoreErrorKind::Invalid);
    }
}
