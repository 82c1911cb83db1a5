//! Faults that look alike on both databases but are made differently.

use std::time::{Duration, Instant};

use bailiwick_store::{Store, StoreErrorKind};

use crate::support::{TestDb, assert_kind, operator, org_id};

/// A lock that somebody else holds is given up after the lock wait (2 s), not before and not much later.
pub(crate) async fn assert_locked_in_time(store: &Store) {
    let begun = Instant::now();
    assert_kind(store.orgs().create(&operator(store), &org_id("late")).await, StoreErrorKind::Locked);
    let waited = begun.elapsed();
    assert!((Duration::from_millis(1500)..Duration::from_secs(6)).contains(&waited), "{waited:?}");
}

pub(crate) async fn assert_usable(db: &TestDb, store: &Store) {
    store.orgs().create(&operator(store), &org_id("after")).await.unwrap();
    drop(db.open().await);
}
