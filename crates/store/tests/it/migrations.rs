//! The schema: applied once, never half, never over a newer one.

use std::time::Duration;

use bailiwick_model::time::Clock as _;
use bailiwick_store::{Migrate, OpenOptions, Store, StoreErrorKind, apply_migrations};
use sqlx::Row;

use crate::support::{TestDb, assert_kind, make_org};

pub(crate) async fn concurrent_migrations_agree(db: &TestDb) {
    let tasks: Vec<_> = (0..8).map(|_| apply_migrations(&db.url, db.clock.now())).collect();
    let mut steps = 0;
    for report in join_all(tasks).await {
        let report = report.unwrap();
        assert!(report.after > 0 && report.before + i64::try_from(report.applied.len()).unwrap() == report.after, "{report:?}");
        steps += report.applied.len();
    }
    let rows = db.raw_rows("SELECT version FROM schema_migrations ORDER BY version").await;
    assert_eq!(rows.len(), steps, "each step was applied by exactly one of them");
    db.open().await;
}

/// Without a crate for it: all at once on the runtime of the test.
async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut pinned: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = pinned.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut waiting = false;
        for (future, slot) in pinned.iter_mut().zip(&mut done) {
            if slot.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(output) => *slot = Some(output),
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        if waiting { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    done.into_iter().flatten().collect()
}

pub(crate) async fn aborted_openings_leave_a_usable_database(db: &TestDb) {
    for step in 0..25 {
        let _ = tokio::time::timeout(Duration::from_micros(step * 700), db.try_open()).await;
    }
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    store.secrets().put(&acme.scope, "s", &"v".into()).await.unwrap();
    assert_eq!(db.raw_rows("SELECT version FROM platform_keys").await.len(), 1);
}

pub(crate) async fn newer_older_and_edited_schemas_are_refused(db: &TestDb) {
    let verify = || OpenOptions { migrate: Migrate::Verify, ..db.options(db.root_key()) };
    let error = assert_kind(Store::open(verify()).await, StoreErrorKind::Schema);
    assert!(error.message().contains("version 0") && error.remedy().contains("db migrate"), "{error}");
    db.open().await;
    Store::open(verify()).await.unwrap();
    assert!(apply_migrations(&db.url, db.clock.now()).await.unwrap().applied.is_empty());

    let blob = if db.name() == "SQLite" { "x'00'" } else { "'\\x00'" };
    db.raw_execute(&format!("INSERT INTO schema_migrations VALUES (9999, '9999_future', {blob}, 0)")).await;
    let error = assert_kind(db.try_open().await, StoreErrorKind::Schema);
    assert!(error.message().contains("9999"), "{error}");
    assert_kind(Store::open(verify()).await, StoreErrorKind::Schema);
    db.raw_execute("DELETE FROM schema_migrations WHERE version = 9999").await;
    db.open().await;

    db.raw_execute(&format!("UPDATE schema_migrations SET checksum = {blob} WHERE version = 1")).await;
    let error = assert_kind(db.try_open().await, StoreErrorKind::Schema);
    assert!(error.message().contains("0001_foundation"), "{error}");
    let kept: i64 = db.raw_rows("SELECT count(*) FROM schema_migrations").await[0].try_get(0).unwrap();
    assert!(kept > 0);
}
