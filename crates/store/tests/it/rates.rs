//! Rates that several gateways keep together.

use std::time::Duration;

use bailiwick_store::{Scope, Settled, Share, Store, StoreErrorKind, Taken, Want};
use sqlx::Row;
use tokio::task::JoinSet;

use crate::support::{TestDb, agent_id, agent_type, assert_kind, operator, org_id};

const WINDOW: Duration = Duration::from_secs(60);
const HOLD: Duration = Duration::from_secs(1);

async fn agent(store: &Store, org: &str, name: &str) -> Scope {
    store.launch(&org_id(org), &agent_id(name), &agent_type("t")).await.unwrap()
}

fn want(counter: &str, calls_max: u32, share: u32, settled: Option<Settled>) -> Want<'_> {
    Want { counter, calls_max, window: WINDOW, share, hold: HOLD, settled }
}

async fn share(store: &Store, scope: &Scope, want: Want<'_>) -> Option<Share> {
    match store.rates().take(scope, &[want]).await.unwrap() {
        Taken::Shares(shares) => Some(shares[0]),
        Taken::Full { .. } => None,
    }
}

pub(crate) async fn gateways_at_the_same_time_never_take_more_than_the_rate(db: &TestDb) {
    let stores = [db.open().await, db.open().await];
    let owner = agent(&stores[0], "acme", "a").await;
    let mut taking = JoinSet::new();
    for number in 0..24 {
        let (store, owner) = (stores[number % 2].clone(), owner.clone());
        taking.spawn(async move { share(&store, &owner, want("global", 20, 3, None)).await.map_or(0, |share| share.calls) });
    }
    let mut taken = Vec::new();
    while let Some(calls) = taking.join_next().await {
        taken.push(calls.unwrap());
    }
    assert_eq!(taken.iter().sum::<u32>(), 20, "{taken:?}");
    let full = stores[1].rates().take(&owner, &[want("global", 20, 3, None)]).await.unwrap();
    assert_eq!(full, Taken::Full { index: 0, current: 20, retry_after: WINDOW + HOLD });
    db.clock.advance(WINDOW + HOLD);
    assert!(share(&stores[0], &owner, want("global", 20, 3, None)).await.is_some());
}

pub(crate) async fn unused_calls_come_back_and_a_full_rate_takes_nothing_of_the_others(db: &TestDb) {
    let (here, there) = (db.open().await, db.open().await);
    let owner = agent(&here, "acme", "a").await;
    let first = share(&here, &owner, want("global", 4, 2, None)).await.unwrap();
    assert_eq!(first.calls, 2);
    // The other gateway takes what is left, one by one.
    assert_eq!(share(&there, &owner, want("global", 4, 2, None)).await.unwrap().calls, 1);
    assert_eq!(share(&there, &owner, want("global", 4, 2, None)).await.unwrap().calls, 1);
    assert!(share(&there, &owner, want("global", 4, 2, None)).await.is_none());
    // This one used one of its two; what it reports helps both, also when it gets nothing itself.
    let settled = Settled { id: first.id, used: 1, ends_at: first.at };
    let settled = Settled { ends_at: bailiwick_model::Timestamp::from_micros(settled.ends_at.as_micros() + 60_000_000), ..settled };
    assert!(share(&here, &owner, want("tool x", 0, 1, None)).await.is_none(), "a rate of zero");
    let both = [want("global", 4, 1, Some(settled)), want("tool x", 0, 1, None)];
    let Taken::Full { index, current, retry_after } = here.rates().take(&owner, &both).await.unwrap() else { panic!("it is full") };
    assert_eq!((index, current, retry_after), (1, 0, WINDOW));
    assert_eq!(share(&there, &owner, want("global", 4, 2, None)).await.map(|share| share.calls), Some(1), "given back, and not taken");
    assert!(share(&there, &owner, want("global", 4, 2, None)).await.is_none());
    db.clock.advance(WINDOW);
    assert!(share(&there, &owner, want("global", 4, 2, None)).await.is_some(), "the settled call ends a second before the others");
}

pub(crate) async fn rates_belong_to_their_agent_and_are_pruned(db: &TestDb) {
    let store = db.open().await;
    let (owner, neighbour, foreign) =
        (agent(&store, "acme", "a").await, agent(&store, "acme", "b").await, agent(&store, "beta", "a").await);
    for scope in [&owner, &neighbour, &foreign] {
        assert!(share(&store, scope, want("global", 1, 1, None)).await.is_some());
        assert!(share(&store, scope, want("global", 1, 1, None)).await.is_none());
    }
    let long = "x".repeat(513);
    assert_kind(store.rates().take(&owner, &[want(&long, 1, 1, None)]).await, StoreErrorKind::Invalid);
    assert_kind(store.rates().take(&owner, &[]).await, StoreErrorKind::Invalid);
    let counters = async || db.raw_rows("SELECT count(*) FROM rate_counters").await[0].try_get::<i64, _>(0).unwrap();
    assert_eq!((store.rates().prune(&operator(&store)).await.unwrap(), counters().await), (0, 3));
    db.clock.advance(WINDOW + HOLD + Duration::from_secs(1));
    assert_eq!((store.rates().prune(&operator(&store)).await.unwrap(), counters().await), (3, 0));
    // A damaged row stops the call instead of letting it pass.
    share(&store, &owner, want("global", 1, 1, None)).await;
    db.raw_execute("UPDATE rate_counters SET tally = 'nonsense'").await;
    assert_kind(store.rates().take(&owner, &[want("global", 1, 1, None)]).await, StoreErrorKind::Corrupt);
}
