//! Runs: stacks, attribution, replicas, implicit runs.

use std::time::Duration;

use bailiwick_model::run::IDLE_WINDOW_DEFAULT;
use bailiwick_model::time::Clock as _;
use bailiwick_model::{Outcome, RunId, RunLabel, RunOwner, RunSource, Subject};
use bailiwick_store::{Attributed, Attribution, Finisher, NewRun, OrgScope, Run, RunFilter, RunStart, Store, Whereabouts};
use tokio::task::JoinSet;

use crate::support::{self, TestDb, make_org};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn person(sub: &str, client: &str) -> RunOwner {
    RunOwner::person(&Subject::parse(sub).unwrap(), client).unwrap()
}

pub(crate) fn anywhere() -> Whereabouts<'static> {
    Whereabouts::default()
}

pub(crate) fn session(id: &str) -> Whereabouts<'_> {
    Whereabouts { session: Some(id), run_id: None }
}

pub(crate) fn named(id: &RunId) -> Whereabouts<'_> {
    Whereabouts { run_id: Some(id), session: None }
}

/// Starts a run and gives its id and parent.
pub(crate) async fn start(store: &Store, org: &OrgScope, owner: &RunOwner, at: Whereabouts<'_>) -> (RunId, Option<RunId>) {
    let new = NewRun { label: RunLabel::parse("deploy").unwrap(), doctrine: None, layers: &[] };
    match store.runs().start(org, owner, at, &new).await.unwrap() {
        RunStart::Started { run_id, parent, .. } => (run_id, parent),
        RunStart::Unknown => panic!("the named run is unknown"),
    }
}

/// Ends a run as its owner; whether it was open.
pub(crate) async fn finish(store: &Store, org: &OrgScope, owner: &RunOwner, run_id: &RunId) -> bool {
    store.runs().finish(org, Finisher::Owner(owner), run_id, Outcome::Done, None).await.unwrap().was_open
}

pub(crate) async fn attribute(store: &Store, org: &OrgScope, owner: &RunOwner, at: Whereabouts<'_>) -> Attribution {
    store.runs().attribute(org, owner, at).await.unwrap()
}

/// The run and its source, as they go into a row.
async fn found(store: &Store, org: &OrgScope, owner: &RunOwner, at: Whereabouts<'_>) -> Option<(RunId, RunSource)> {
    attribute(store, org, owner, at).await.run().map(|run| (run.run_id, run.source))
}

pub(crate) async fn get(store: &Store, org: &OrgScope, run_id: &RunId) -> Run {
    store.runs().get(org, run_id).await.unwrap().unwrap()
}

/// Reference 3.2, point by point.
pub(crate) async fn runs_of_a_session_are_a_stack(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await.scope;
    let ann = person("ann", "cli");
    // A start pushes, the top is active, nesting is allowed. All at one instant: positions, not times, make the order.
    let (outer, parent) = start(&store, &acme, &ann, session("s1")).await;
    assert_eq!(parent, None);
    assert!(outer.as_str().len() == 32 && outer.as_str().bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{outer}");
    let (middle, parent) = start(&store, &acme, &ann, session("s1")).await;
    assert_eq!(parent.as_ref(), Some(&outer), "a start belongs to what was active before");
    let (inner, parent) = start(&store, &acme, &ann, session("s1")).await;
    assert_eq!(parent.as_ref(), Some(&middle));
    assert_eq!(get(&store, &acme, &inner).await.parent.as_ref(), Some(&middle));
    let top = async |id: &str| found(&store, &acme, &ann, session(id)).await;
    assert_eq!(top("s1").await, Some((inner.clone(), RunSource::Session)));
    // An end takes its run out wherever it lies.
    assert!(finish(&store, &acme, &ann, &outer).await);
    assert_eq!(top("s1").await, Some((inner.clone(), RunSource::Session)));
    // Two sessions have a stack each; neither sees the other's.
    let (beside, parent) = start(&store, &acme, &ann, session("s2")).await;
    assert_eq!((parent, top("s2").await), (None, Some((beside.clone(), RunSource::Session))));
    assert_eq!(top("s1").await, Some((inner.clone(), RunSource::Session)));
    assert!(finish(&store, &acme, &ann, &inner).await);
    assert_eq!(top("s1").await, Some((middle.clone(), RunSource::Session)));
    // Ending twice, and what never was.
    assert!(!finish(&store, &acme, &ann, &inner).await);
    assert!(!finish(&store, &acme, &ann, &RunId::parse("never").unwrap()).await);
    assert!(finish(&store, &acme, &ann, &middle).await && finish(&store, &acme, &ann, &beside).await);
    assert_eq!(attribute(&store, &acme, &ann, session("s1")).await, Attribution::None);
    // A start after an end begins a new stack.
    assert_eq!(start(&store, &acme, &ann, session("s1")).await.1, None);
    let digests = db.raw_rows("SELECT legacy_session_id FROM runs WHERE legacy_session_id IN ('s1', 's2')").await;
    assert!(digests.is_empty(), "sessions are secrets");
}

/// A session id that came to somebody else, or to another client, opens no run.
pub(crate) async fn a_session_id_alone_finds_nothing(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await.scope, make_org(&store, "beta").await.scope);
    let ann = person("ann", "cli");
    start(&store, &acme, &ann, session("recycled")).await;
    for (org, owner) in [(&acme, person("bob", "cli")), (&acme, person("ann", "other")), (&beta, ann.clone())] {
        assert_eq!(attribute(&store, org, &owner, session("recycled")).await, Attribution::None, "{owner:?}");
    }
    // A run of this owner outside the session is found, but not as the session's.
    let (elsewhere, _) = start(&store, &beta, &ann, anywhere()).await;
    assert_eq!(found(&store, &beta, &ann, session("recycled")).await, Some((elsewhere, RunSource::Inferred)));
}

pub(crate) async fn a_named_run_is_an_open_one_of_the_same_subject(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await.scope, make_org(&store, "beta").await.scope);
    let ann = person("ann", "cli");
    let (first, _) = start(&store, &acme, &ann, anywhere()).await;
    let (second, parent) = start(&store, &acme, &ann, named(&first)).await;
    assert_eq!(parent.as_ref(), Some(&first), "also without a session runs nest");
    for run in [&first, &second] {
        assert_eq!(found(&store, &acme, &ann, named(run)).await, Some((run.clone(), RunSource::Explicit)));
        // After a reconnection the client may have another id.
        assert_eq!(found(&store, &acme, &person("ann", "new"), named(run)).await, Some((run.clone(), RunSource::Explicit)));
    }
    let both = Whereabouts { run_id: Some(&first), session: Some("s") };
    let (in_session, _) = start(&store, &acme, &ann, session("s")).await;
    assert_eq!(found(&store, &acme, &ann, both).await, Some((first.clone(), RunSource::Explicit)), "what is named goes first");
    assert!(finish(&store, &acme, &ann, &in_session).await);
    let agent = RunOwner::agent(&support::agent_id("ann"), "cli").unwrap();
    for (org, owner) in [(&acme, person("bob", "cli")), (&acme, agent), (&beta, ann.clone())] {
        assert_eq!(attribute(&store, org, &owner, named(&first)).await, Attribution::Unknown, "{owner:?}");
        let new = NewRun { label: RunLabel::parse("x").unwrap(), doctrine: None, layers: &[] };
        assert_eq!(store.runs().start(org, &owner, named(&first), &new).await.unwrap(), RunStart::Unknown);
    }
    assert_eq!(db.raw_rows("SELECT run_id FROM runs").await.len(), 3, "a refused start leaves nothing");
    assert!(finish(&store, &acme, &ann, &first).await);
    for gone in [first, RunId::parse("never").unwrap()] {
        assert_eq!(attribute(&store, &acme, &ann, named(&gone)).await, Attribution::Unknown);
    }
}

pub(crate) async fn runs_outlive_their_connection(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await.scope;
    let ann = person("ann", "cli");
    let (outer, _) = start(&store, &acme, &ann, session("before")).await;
    let (inner, _) = start(&store, &acme, &ann, session("before")).await;
    // The session is gone, and the process as well.
    let store = db.open().await;
    assert_eq!(attribute(&store, &acme, &ann, session("after")).await, Attribution::None, "two runs: nobody guesses");
    assert_eq!(found(&store, &acme, &ann, named(&inner)).await, Some((inner.clone(), RunSource::Explicit)));
    assert!(finish(&store, &acme, &ann, &inner).await);
    assert_eq!(found(&store, &acme, &ann, session("after")).await, Some((outer, RunSource::Inferred)));
}

pub(crate) async fn only_the_one_run_of_an_owner_is_inferred(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await.scope;
    let (desk, phone) = (person("ann", "desk"), person("ann", "phone"));
    let (at_desk, _) = start(&store, &acme, &desk, anywhere()).await;
    assert_eq!(found(&store, &acme, &desk, anywhere()).await, Some((at_desk.clone(), RunSource::Inferred)));
    assert_eq!(attribute(&store, &acme, &phone, anywhere()).await, Attribution::None, "another client of the same person");
    let (on_phone, _) = start(&store, &acme, &phone, anywhere()).await;
    assert_eq!(found(&store, &acme, &phone, anywhere()).await, Some((on_phone, RunSource::Inferred)));
    assert_eq!(found(&store, &acme, &desk, anywhere()).await, Some((at_desk.clone(), RunSource::Inferred)));
    // Two clients that cannot be told apart.
    let (same, _) = start(&store, &acme, &desk, session("other")).await;
    assert_eq!(attribute(&store, &acme, &desk, anywhere()).await, Attribution::None);
    // One of them is idle: the other is the only one.
    db.clock.advance(IDLE_WINDOW_DEFAULT);
    assert_eq!(attribute(&store, &acme, &desk, anywhere()).await, Attribution::None, "both were seen just within the window");
    let seen = attribute(&store, &acme, &desk, named(&at_desk)).await.run().unwrap();
    store.runs().touch(&acme, &seen).await.unwrap();
    db.clock.advance(SECOND);
    assert_eq!(found(&store, &acme, &desk, anywhere()).await, Some((at_desk, RunSource::Inferred)));
    assert_eq!(found(&store, &acme, &desk, session("other")).await, Some((same, RunSource::Session)), "a session has no idle window");
    db.clock.advance(IDLE_WINDOW_DEFAULT);
    assert_eq!(attribute(&store, &acme, &desk, anywhere()).await, Attribution::None);
    let patient = store.runs().with_idle_window(IDLE_WINDOW_DEFAULT * 2);
    assert_eq!(patient.attribute(&acme, &phone, anywhere()).await.unwrap(), Attribution::None);
    let longer = store.runs().with_idle_window(IDLE_WINDOW_DEFAULT * 3);
    assert!(longer.attribute(&acme, &phone, anywhere()).await.unwrap().run().is_some());
}

pub(crate) async fn owners_without_runs_cost_nothing_and_replicas_agree(db: &TestDb) {
    let (here, there) = (db.open().await, db.open().await);
    let acme = make_org(&here, "acme").await.scope;
    let (ann, bob) = (person("ann", ""), person("bob", ""));
    for store in [&here, &there] {
        assert_eq!(attribute(store, &acme, &ann, anywhere()).await, Attribution::None);
    }
    // No statement at all: neither table is there.
    let tables = ["runs", "generations"];
    for table in tables {
        db.raw_execute(&format!("ALTER TABLE {table} RENAME TO {table}_away")).await;
    }
    for at in [anywhere(), session("s")] {
        assert_eq!(attribute(&there, &acme, &ann, at).await, Attribution::None);
    }
    assert!(there.runs().attribute(&acme, &bob, anywhere()).await.is_err(), "another owner is not known");
    for table in tables {
        db.raw_execute(&format!("ALTER TABLE {table}_away RENAME TO {table}")).await;
    }
    // A start is known here at once, there within a second, and for those who have none it changes nothing.
    let (run, _) = start(&here, &acme, &ann, anywhere()).await;
    assert_eq!(found(&here, &acme, &ann, anywhere()).await, Some((run.clone(), RunSource::Inferred)));
    assert_eq!(
        found(&there, &acme, &ann, named(&run)).await,
        Some((run.clone(), RunSource::Explicit)),
        "what is named is always looked up"
    );
    db.clock.advance(SECOND);
    assert_eq!(found(&there, &acme, &ann, anywhere()).await, Some((run.clone(), RunSource::Inferred)));
    assert_eq!(attribute(&there, &acme, &bob, anywhere()).await, Attribution::None);
    // The end as well.
    assert!(finish(&here, &acme, &ann, &run).await);
    for store in [&here, &there] {
        assert_eq!(attribute(store, &acme, &ann, anywhere()).await, Attribution::None);
    }
}

pub(crate) async fn implicit_runs_open_once_and_end_by_idleness(db: &TestDb) {
    let stores = [db.open().await, db.open().await];
    let acme = make_org(&stores[0], "acme").await.scope;
    let ann = person("ann", "");
    let mut opening = JoinSet::new();
    for number in 0..8 {
        let (store, acme, ann) = (stores[number % 2].clone(), acme.clone(), ann.clone());
        opening.spawn(async move { store.runs().ensure_implicit(&acme, &ann, anywhere()).await.unwrap().run().unwrap().run_id });
    }
    let mut opened = opening.join_all().await;
    opened.dedup();
    let [run] = opened.as_slice() else { panic!("{opened:?}") };
    // Whoever was slower knows it as well, without a wait.
    for store in &stores {
        assert_eq!(found(store, &acme, &ann, session("s")).await, Some((run.clone(), RunSource::Inferred)));
    }
    let store = &stores[0];
    let row = get(store, &acme, run).await;
    assert_eq!((row.label.as_str(), row.implicit, row.outcome, row.parent), ("implicit", true, None, None));
    // Over without a write once nothing was seen of it for the window; nothing wakes it.
    let begun = db.clock.now();
    db.clock.advance(IDLE_WINDOW_DEFAULT);
    assert_eq!(get(store, &acme, run).await.outcome, None, "just within the window");
    db.clock.advance(Duration::from_micros(1));
    let over = get(store, &acme, run).await;
    assert_eq!((over.outcome, over.finished_at), (Some(Outcome::Abandoned), Some(begun)));
    assert_eq!(attribute(store, &acme, &ann, named(run)).await, Attribution::Unknown);
    assert!(!finish(store, &acme, &ann, run).await);
    let late = Attributed { run_id: run.clone(), source: RunSource::Inferred, last_seen_at: begun };
    store.runs().touch(&acme, &late).await.unwrap();
    assert_eq!(get(store, &acme, run).await, over);
    let listed = async |filter: RunFilter| store.runs().list(&acme, &filter, None, 9).await.unwrap();
    assert!(listed(RunFilter { open: Some(true), ..RunFilter::default() }).await.is_empty());
    let ended = listed(RunFilter { open: Some(false), outcome: Some(Outcome::Abandoned), ..RunFilter::default() }).await;
    assert!(ended.len() == 1 && ended[0] == over);
    // The next one is another run, and writes the end of the first.
    let next = store.runs().ensure_implicit(&acme, &ann, anywhere()).await.unwrap().run().unwrap();
    assert!(next.run_id != *run);
    let written = get(store, &acme, run).await;
    assert_eq!((written.outcome, written.finished_at), (over.outcome, over.finished_at));
    assert!(written.note.unwrap().contains("nothing was seen"));
    // Whoever starts a run says what it is about: the implicit one ends and is no parent.
    db.clock.advance(SECOND);
    let (real, parent) = start(store, &acme, &ann, anywhere()).await;
    assert_eq!(parent, None);
    let replaced = get(store, &acme, &next.run_id).await;
    assert_eq!((replaced.outcome, replaced.finished_at), (Some(Outcome::Abandoned), Some(db.clock.now())));
    let known = store.runs().ensure_implicit(&acme, &ann, anywhere()).await.unwrap().run().unwrap();
    assert_eq!((known.run_id, known.source), (real.clone(), RunSource::Inferred));
    // Several runs are no reason for one more.
    start(store, &acme, &ann, anywhere()).await;
    assert_eq!(store.runs().ensure_implicit(&acme, &ann, anywhere()).await.unwrap(), Attribution::None);
    let never = RunId::parse("never").unwrap();
    assert_eq!(store.runs().ensure_implicit(&acme, &ann, named(&never)).await.unwrap(), Attribution::Unknown);
    assert_eq!(db.raw_rows("SELECT run_id FROM runs WHERE implicit = 1").await.len(), 2);
    // Forgotten ones are.
    db.clock.advance(IDLE_WINDOW_DEFAULT + SECOND);
    assert!(store.runs().ensure_implicit(&acme, &ann, anywhere()).await.unwrap().run().is_some());
    assert_eq!(get(store, &acme, &real).await.outcome, None, "and a started one stays open");
}
