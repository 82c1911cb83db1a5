//! Feedback.

use std::time::Duration;

use bailiwick_model::time::Clock as _;
use bailiwick_model::{FeedbackId, FeedbackKind, NewFeedback, RunId, Signal};
use bailiwick_store::{FEEDBACK_PER_ORG_MAX, Feedback, FeedbackFilter, FeedbackSource, FeedbackStamp, Store, StoreErrorKind, Tenant};

use crate::support::{TestDb, assert_kind, make_org, operator, org_id};

pub(crate) fn stamp(run_id: Option<&RunId>) -> FeedbackStamp<'_> {
    FeedbackStamp { server: "main", sub: Some("ann"), email: Some("ann@acme.example"), run_id, source: FeedbackSource::Agent }
}

pub(crate) async fn put(store: &Store, tenant: &impl Tenant, signal: &str, kind: &str, run_id: Option<&RunId>) -> FeedbackId {
    let new = NewFeedback::parse(signal, kind, "files_read", Some("it lies")).unwrap();
    store.feedback().put(tenant, &new, &stamp(run_id)).await.unwrap()
}

fn ids(found: &[Feedback]) -> Vec<FeedbackId> {
    found.iter().map(|feedback| feedback.id).collect()
}

pub(crate) async fn feedback_is_stamped_listed_and_resolved(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await.scope;
    let run = RunId::parse("r1").unwrap();
    let mut given = Vec::new();
    for (signal, kind, run) in [("tool_feedback", "bug", Some(&run)), ("gap", "zzz", None), ("gap", "missing_tool", None)] {
        given.push(put(&store, &acme, signal, kind, run).await);
        db.clock.advance(Duration::from_secs(1));
    }
    given.reverse();
    let all = store.feedback();
    let list = async |filter, before, limit| all.list(&acme, filter, before, limit).await.unwrap();
    let any = FeedbackFilter::default();
    let found = list(any, None, 500).await;
    assert_eq!(ids(&found), given);
    let first = &found[2];
    assert_eq!((first.signal, first.kind, first.kind_raw.as_deref()), (Signal::ToolFeedback, FeedbackKind::Bug, None));
    assert_eq!((first.server.as_str(), first.target.as_str(), first.text.as_deref()), ("main", "files_read", Some("it lies")));
    assert_eq!((first.sub.as_deref(), first.email.as_deref()), (Some("ann"), Some("ann@acme.example")));
    assert_eq!((first.run_id.as_deref(), first.source, &first.resolved), (Some("r1"), FeedbackSource::Agent, &None));
    assert_eq!((found[1].kind, found[1].kind_raw.as_deref(), found[1].run_id.as_deref()), (FeedbackKind::Other, Some("zzz"), None));
    // Pages, and limits out of range.
    let page = list(any, None, 0).await;
    assert_eq!(ids(&page), given[..1]);
    assert_eq!(ids(&list(any, Some((page[0].created_at, page[0].id)), u32::MAX).await), given[1..]);
    assert_eq!(ids(&list(FeedbackFilter { signal: Some(Signal::Gap), ..any }, None, 9).await), given[..2]);

    all.resolve(&acme, given[1], "built it").await.unwrap();
    assert_kind(all.resolve(&acme, given[1], "again").await, StoreErrorKind::Conflict);
    for bad in ["\0", &"x".repeat(2001)] {
        assert_kind(all.resolve(&acme, given[0], bad).await, StoreErrorKind::Invalid);
    }
    let resolved = list(FeedbackFilter { resolved: Some(true), ..any }, None, 9).await;
    let end = resolved[0].resolved.clone().unwrap();
    assert_eq!(
        (ids(&resolved), end.by.as_str(), end.resolution.as_str(), end.at),
        (vec![given[1]], "operator", "built it", db.clock.now())
    );
    assert_eq!(ids(&list(FeedbackFilter { resolved: Some(false), ..any }, None, 9).await), [given[0], given[2]]);
}

pub(crate) async fn feedback_belongs_to_its_organisation(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await.scope, make_org(&store, "beta").await.scope);
    let all = store.feedback();
    let id = put(&store, &acme, "gap", "other", None).await;
    let any = FeedbackFilter::default();
    assert_eq!(all.list(&beta, any, None, 9).await.unwrap(), []);
    let foreign = assert_kind(all.resolve(&beta, id, "mine").await, StoreErrorKind::NotFound);
    let unknown = FeedbackId::parse(&"0".repeat(32)).unwrap();
    assert_eq!(foreign.to_string(), assert_kind(all.resolve(&beta, unknown, "x").await, StoreErrorKind::NotFound).to_string());
    db.clock.advance(Duration::from_secs(1));
    assert_eq!(all.prune(&beta, db.clock.now()).await.unwrap(), 0);
    assert_eq!(all.list(&acme, any, None, 9).await.unwrap()[0].resolved, None);
    let nowhere = operator(&store).within(&org_id("nowhere"));
    let new = NewFeedback::parse("gap", "other", "t", None).unwrap();
    assert_kind(all.put(&nowhere, &new, &stamp(None)).await, StoreErrorKind::Conflict);
}

pub(crate) async fn feedback_is_limited_and_pruned_by_age(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await.scope;
    let fill = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) \
         INSERT INTO tool_feedback (tenant_id, id, created_at, server, signal, kind, target, source) \
         SELECT 'acme', 'old' || i, 5, 's', 'gap', 'other', 't', 'agent' FROM n",
        FEEDBACK_PER_ORG_MAX - 1
    );
    db.raw_execute(&fill).await;
    let kept = put(&store, &acme, "gap", "other", None).await;
    let new = NewFeedback::parse("gap", "other", "t", None).unwrap();
    assert_kind(store.feedback().put(&acme, &new, &stamp(None)).await, StoreErrorKind::Invalid);
    let before = db.clock.now();
    db.raw_execute("DELETE FROM tool_feedback WHERE id LIKE 'old%' AND length(id) > 6").await;
    // 999 of the old ones are left, old1 to old999; two more are one too many for a round.
    db.raw_execute(
        "INSERT INTO tool_feedback (tenant_id, id, created_at, server, signal, kind, target, source) \
         VALUES ('acme', 'old-a', 5, 's', 'gap', 'other', 't', 'agent'), ('acme', 'old-b', 6, 's', 'gap', 'other', 't', 'agent')",
    )
    .await;
    assert_eq!(store.feedback().prune(&acme, before).await.unwrap(), 1_000, "a round is bounded");
    assert_eq!(store.feedback().prune(&acme, before).await.unwrap(), 1);
    assert_eq!(store.feedback().prune(&acme, before).await.unwrap(), 0);
    assert_eq!(ids(&store.feedback().list(&acme, FeedbackFilter::default(), None, 9).await.unwrap()), [kept]);
}
