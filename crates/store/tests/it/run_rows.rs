//! Rows of runs: how they end, what they freeze, when they are touched, lists and retention.

use std::time::Duration;

use bailiwick_model::run::STALE_AFTER;
use bailiwick_model::time::Clock as _;
use bailiwick_model::{DocOwner, DocSlug, GroupId, Outcome, RunId, RunLabel, RunNote, RunSource};
use bailiwick_store::{
    Attributed, Finisher, NewRun, OPEN_RUNS_PER_OWNER_MAX, OrgScope, PRUNED_ROWS_MAX, PRUNED_RUNS_MAX, Run, RunFilter, RunStart,
    StoreErrorKind, TOUCH_PERIOD,
};
use sqlx::Row;

use crate::feedback;
use crate::instructions::{kind, put, slug, text};
use crate::runs::{SECOND, anywhere, attribute, finish, get, named, person, session, start};
use crate::support::{TestDb, assert_kind, make_org, operator, org_id};

pub(crate) async fn runs_are_ended_by_their_subject_or_an_administrator(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await.scope, make_org(&store, "beta").await.scope);
    let ann = person("ann", "cli");
    let (run, _) = start(&store, &acme, &ann, anywhere()).await;
    for (org, owner) in [(&acme, person("bob", "cli")), (&beta, ann.clone())] {
        assert!(!finish(&store, org, &owner, &run).await, "{owner:?}");
    }
    let by_admin = Finisher::Admin { reason: "left the company" };
    let ended = async |org: &OrgScope, by| store.runs().finish(org, by, &run, Outcome::Blocked, None).await;
    assert!(!ended(&beta, by_admin).await.unwrap().was_open);
    let long = "x".repeat(501);
    for reason in ["", " ", "a\nb", &long] {
        assert_kind(ended(&acme, Finisher::Admin { reason }).await, StoreErrorKind::Invalid);
    }
    assert_eq!(get(&store, &acme, &run).await.outcome, None);
    db.clock.advance(SECOND);
    let done = ended(&acme, by_admin).await.unwrap();
    assert_eq!(done.run.as_ref(), Some(&get(&store, &acme, &run).await));
    let row = done.run.unwrap();
    assert_eq!((row.outcome, row.finished_at, row.note.as_deref()), (Some(Outcome::Blocked), Some(db.clock.now()), None));
    assert_eq!((row.finished_by.as_deref(), row.finish_reason.as_deref()), (Some("operator"), Some("left the company")));
    // The subject himself needs no reason, and comes through any client.
    let (own, _) = start(&store, &acme, &ann, anywhere()).await;
    let note = RunNote::parse("all\ngreen").unwrap();
    let by = person("ann", "phone");
    let done = store.runs().finish(&acme, Finisher::Owner(&by), &own, Outcome::Failed, Some(&note)).await.unwrap();
    let row = done.run.unwrap();
    assert_eq!((row.outcome, row.note.as_deref(), row.finished_by.as_deref()), (Some(Outcome::Failed), Some("all\ngreen"), Some("ann")));
    assert_eq!((row.finish_reason, row.owner), (None, ann));
}

pub(crate) async fn a_start_freezes_the_instruction(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await.scope;
    let ann = person("ann", "");
    let ops = DocOwner::Group(GroupId::parse("ops").unwrap());
    let layers = [DocOwner::Org, ops.clone()];
    for (owner, of, name) in
        [(&ops, "skill", "deploy"), (&ops, "rule", "both"), (&DocOwner::Org, "skill", "both"), (&DocOwner::Org, "rule", "gone")]
    {
        put(&store, &acme, owner, &text(of, name, "one")).await;
    }
    put(&store, &acme, &ops, &text("skill", "deploy", "two")).await;
    store.instructions().delete(&acme, &DocOwner::Org, &kind("rule"), &slug("gone")).await.unwrap();
    let begin = async |name: &DocSlug, layers: &[DocOwner]| {
        let new = NewRun { label: RunLabel::parse("x").unwrap(), doctrine: Some(name), layers };
        let RunStart::Started { run_id, frozen, .. } = store.runs().start(&acme, &ann, anywhere(), &new).await.unwrap() else {
            panic!("nothing was named")
        };
        let row = get(&store, &acme, &run_id).await;
        assert_eq!((row.doctrine.as_deref(), &row.frozen), (Some(name.as_str()), &frozen));
        frozen.map(|text| (text.owner, text.kind.to_string(), text.version))
    };
    let deploy = slug("deploy");
    assert_eq!(begin(&deploy, &layers).await, Some((ops.clone(), "skill".into(), 2)));
    assert_eq!(begin(&deploy, &layers[..1]).await, None, "a group's text is for its members");
    assert_eq!(begin(&slug("both"), &layers).await, Some((DocOwner::Org, "skill".into(), 1)), "the organisation goes first");
    assert_eq!(begin(&slug("gone"), &layers).await, None);
    assert_eq!(begin(&slug("never"), &layers).await, None);
    // What was frozen stays readable, whatever becomes of the text.
    put(&store, &acme, &ops, &text("skill", "deploy", "three")).await;
    store.instructions().delete(&acme, &ops, &kind("skill"), &deploy).await.unwrap();
    let frozen = store.instructions().get_version(&acme, &ops, &kind("skill"), &deploy, 2).await.unwrap();
    assert_eq!(frozen.unwrap().body, "two");
}

pub(crate) async fn what_is_seen_of_a_run_is_written_now_and_then(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await.scope;
    let ann = person("ann", "");
    let (run, _) = start(&store, &acme, &ann, anywhere()).await;
    let begun = db.clock.now();
    let touch = async || {
        let seen = attribute(&store, &acme, &ann, anywhere()).await.run().unwrap();
        store.runs().touch(&acme, &seen).await.unwrap();
        get(&store, &acme, &run).await.last_seen_at
    };
    db.clock.advance(TOUCH_PERIOD - SECOND);
    assert_eq!(touch().await, begun, "too soon");
    db.clock.advance(SECOND);
    assert_eq!(touch().await, db.clock.now());
    // A slower replica does not set it back, and nothing revives what has ended.
    let old = Attributed { run_id: run.clone(), source: RunSource::Inferred, last_seen_at: begun };
    let last = db.clock.now();
    assert!(finish(&store, &acme, &ann, &run).await);
    db.clock.advance(TOUCH_PERIOD);
    store.runs().touch(&acme, &old).await.unwrap();
    assert_eq!(get(&store, &acme, &run).await.last_seen_at, last);
    let beta = make_org(&store, "beta").await.scope;
    let (open, _) = start(&store, &acme, &ann, anywhere()).await;
    db.clock.advance(STALE_AFTER);
    store.runs().touch(&beta, &Attributed { run_id: open.clone(), ..old.clone() }).await.unwrap();
    let row = get(&store, &acme, &open).await;
    assert!(!row.stale(db.clock.now()), "another organisation touched nothing, but two days are not over");
    db.clock.advance(SECOND);
    assert!(row.stale(db.clock.now()) && get(&store, &acme, &open).await.outcome.is_none(), "stale is seen, not stored");
    store.runs().touch(&acme, &Attributed { run_id: open.clone(), ..old }).await.unwrap();
    assert!(!get(&store, &acme, &open).await.stale(db.clock.now()));
}

pub(crate) async fn open_runs_of_an_owner_are_limited(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await.scope;
    let (ann, bob) = (person("ann", ""), person("bob", ""));
    let (kept, _) = start(&store, &acme, &bob, anywhere()).await;
    let (first, _) = start(&store, &acme, &ann, anywhere()).await;
    for _ in 1..OPEN_RUNS_PER_OWNER_MAX {
        db.clock.advance(Duration::from_micros(1));
        start(&store, &acme, &ann, session("s")).await;
    }
    assert_eq!(get(&store, &acme, &first).await.outcome, None, "the last one fits");
    // The one that has to go is the active one of the call: it is no parent then.
    let (_, parent) = start(&store, &acme, &ann, named(&first)).await;
    let gone = get(&store, &acme, &first).await;
    assert_eq!((gone.outcome, parent), (Some(Outcome::Abandoned), None));
    assert!(gone.note.unwrap().contains("too many"));
    let open: i64 = db.raw_rows("SELECT count(*) FROM runs WHERE sub = 'ann' AND outcome IS NULL").await[0].try_get(0).unwrap();
    assert_eq!(open, OPEN_RUNS_PER_OWNER_MAX);
    assert_eq!(get(&store, &acme, &kept).await.outcome, None);
}

pub(crate) async fn runs_are_listed_by_filter_newest_first(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await.scope, make_org(&store, "beta").await.scope);
    let mut started = Vec::new();
    for (sub, client) in [("ann", "a"), ("ann", "b"), ("bob", "a"), ("ann", "a")] {
        started.push(start(&store, &acme, &person(sub, client), anywhere()).await.0);
        db.clock.advance(SECOND);
    }
    // Two of one instant are told apart by their ids.
    started.push(start(&store, &acme, &person("bob", "b"), anywhere()).await.0);
    started.push(start(&store, &acme, &person("bob", "b"), anywhere()).await.0);
    started[4..].sort_unstable();
    started.reverse();
    assert!(finish(&store, &acme, &person("ann", "a"), &started[5]).await);
    let list = async |filter: &RunFilter, before, limit| -> Vec<RunId> {
        store.runs().list(&acme, filter, before, limit).await.unwrap().into_iter().map(|run| run.run_id).collect()
    };
    let any = RunFilter::default();
    assert_eq!(list(&any, None, 200).await, started);
    let mut paged: Vec<Run> = Vec::new();
    while let page = store.runs().list(&acme, &any, paged.last().map(|run| (run.started_at, &run.run_id)), 1).await.unwrap()
        && !page.is_empty()
    {
        paged.extend(page);
    }
    assert_eq!(paged.into_iter().map(|run| run.run_id).collect::<Vec<_>>(), started);
    assert_eq!(list(&any, None, 0).await, started[..1]);
    let anns = RunFilter { sub: Some("ann".into()), ..any.clone() };
    assert_eq!(list(&anns, None, 9).await, [started[2].clone(), started[4].clone(), started[5].clone()]);
    assert_eq!(list(&RunFilter { open: Some(true), ..anns.clone() }, None, 9).await, [started[2].clone(), started[4].clone()]);
    assert_eq!(list(&RunFilter { open: Some(false), ..anns }, None, 9).await, started[5..]);
    assert_eq!(list(&RunFilter { outcome: Some(Outcome::Done), ..any.clone() }, None, 9).await, started[5..]);
    assert!(list(&RunFilter { outcome: Some(Outcome::Failed), ..any.clone() }, None, 9).await.is_empty());
    // Nothing of it is another organisation's.
    assert!(store.runs().list(&beta, &any, None, 9).await.unwrap().is_empty());
    assert_eq!(store.runs().get(&beta, &started[0]).await.unwrap(), None);
    let nowhere = operator(&store).within(&org_id("nowhere"));
    let new = NewRun { label: RunLabel::parse("x").unwrap(), doctrine: None, layers: &[] };
    assert_kind(store.runs().start(&nowhere, &person("ann", ""), anywhere(), &new).await, StoreErrorKind::Conflict);
}

pub(crate) async fn old_runs_go_with_their_rows(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await.scope, make_org(&store, "beta").await.scope);
    let ann = person("ann", "");
    let event = async |org: &str, run: &str, number: i64| {
        let rows = format!(
            "INSERT INTO events (tenant_id, event_id, at, kind, ok, run_id, writer, seq) VALUES ('{org}', 'e{number}', 0, 'call', 1, '{run}', 'w', {number})"
        );
        db.raw_execute(&rows).await;
    };
    let (old, _) = start(&store, &acme, &ann, anywhere()).await;
    let (foreign, _) = start(&store, &beta, &ann, anywhere()).await;
    feedback::put(&store, &acme, "gap", "other", Some(&old)).await;
    db.clock.advance(SECOND);
    let before = db.clock.now();
    let (young, _) = start(&store, &acme, &ann, anywhere()).await;
    feedback::put(&store, &acme, "gap", "other", Some(&young)).await;
    for (number, (org, run)) in (1..).zip([("acme", &old), ("acme", &old), ("acme", &young), ("beta", &foreign), ("beta", &old)]) {
        event(org, run.as_str(), number).await;
    }
    let pruned = store.runs().prune(&acme, before).await.unwrap();
    assert_eq!((pruned.runs, pruned.events, pruned.feedback, pruned.more), (1, 2, 1, false));
    assert_eq!(store.runs().get(&acme, &old).await.unwrap(), None);
    assert!(store.runs().get(&acme, &young).await.unwrap().is_some() && store.runs().get(&beta, &foreign).await.unwrap().is_some());
    let left = async |table: &str| db.raw_rows(&format!("SELECT run_id FROM {table}")).await.len();
    assert_eq!((left("events").await, left("tool_feedback").await), (3, 1));
    assert_eq!(store.runs().prune(&acme, before).await.unwrap().runs, 0);

    // A round is bounded in runs and in rows; the next goes on where it ended.
    let numbers = |count: u64| format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})");
    let many_rows = format!(
        "{} INSERT INTO events (tenant_id, event_id, at, kind, ok, run_id, writer, seq) SELECT 'beta', 'f' || i, 0, 'call', 1, '{foreign}', 'w', 100 + i FROM n",
        numbers(PRUNED_ROWS_MAX)
    );
    db.raw_execute(&many_rows).await;
    let pruned = store.runs().prune(&beta, before).await.unwrap();
    assert_eq!((pruned.runs, pruned.events, pruned.more), (0, PRUNED_ROWS_MAX, true));
    let pruned = store.runs().prune(&beta, before).await.unwrap();
    assert_eq!((pruned.runs, pruned.events, pruned.more), (1, 1, false));
    let many_runs = format!(
        "{} INSERT INTO runs (tenant_id, run_id, sub, client_id, label, started_at, last_seen_at, stack_position, implicit) \
         SELECT 'beta', 'r' || i, 'x', '', 'l', 5, 5, i, 0 FROM n",
        numbers(u64::try_from(PRUNED_RUNS_MAX).unwrap() + 1)
    );
    db.raw_execute(&many_runs).await;
    let rounds = [store.runs().prune(&beta, before).await.unwrap(), store.runs().prune(&beta, before).await.unwrap()];
    assert_eq!(rounds.map(|pruned| (pruned.runs, pruned.more)), [(100, true), (1, false)]);
}
