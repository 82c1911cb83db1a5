//! Connections: tokens, their status, and one refresh at a time.

use std::time::Duration;

use bailiwick_model::registered::{Holder, Scopes, TokenStatus};
use bailiwick_model::time::Clock as _;
use bailiwick_model::{ServerId, Timestamp};
use bailiwick_store::{
    Cascade, LeasedRefresh, NewTokens, OrgScope, REFRESH_LEASE_MAX, RefreshFailure, RefreshLease, Store, StoreErrorKind, TOKEN_BYTES_MAX,
};
use secrecy::ExposeSecret;

use crate::servers::{issuer, manual, person, tokens, with_sealed_values};
use crate::support::{TestDb, assert_kind, make_org, operator, org_id};

const TTL: Duration = Duration::from_secs(30);

pub(crate) async fn tokens_are_kept_opened_and_deleted(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    let server = store.servers().register_for(&operator(&store), &[org_id("acme")], &manual("s"), None).await.unwrap().id;
    let connections = store.connections();
    let ann = person("ann");
    let expires_at = Some(Timestamp::from_micros(db.clock.now().as_micros() + 3_600_000_000));
    let info = connections.put(&acme.scope, server, &ann, &issuer(), &NewTokens { expires_at, ..tokens("ann") }).await.unwrap();
    assert_eq!((info.status, &info.holder, info.has_refresh, info.expires_at), (TokenStatus::Valid, &ann, true, expires_at));
    assert_eq!((info.scopes.joined().as_str(), info.issuer.clone(), info.last_used_at), ("read", issuer(), None));
    let open = connections.open_access(&acme.scope, server, &ann).await.unwrap().unwrap();
    assert_eq!((&open.info, open.access.expose_secret()), (&info, "access of ann"));
    assert!(!format!("{open:?} {:?}", tokens("ann")).contains("of ann"), "no token is printed");
    for (scope, holder) in [(&acme.scope, &person("bob")), (&acme.scope, &Holder::Organisation), (&beta.scope, &ann)] {
        assert!(connections.open_access(scope, server, holder).await.unwrap().is_none());
        assert_eq!(connections.info(scope, server, holder).await.unwrap(), None);
        assert_kind(connections.delete(scope, server, holder).await, StoreErrorKind::NotFound);
    }
    assert_kind(connections.put(&beta.scope, server, &ann, &issuer(), &tokens("x")).await, StoreErrorKind::NotFound);
    for bad in [String::new(), "x".repeat(TOKEN_BYTES_MAX + 1)] {
        let tokens = NewTokens { access: bad.into(), ..tokens("ann") };
        assert_kind(connections.put(&acme.scope, server, &ann, &issuer(), &tokens).await, StoreErrorKind::Invalid);
    }

    // A new authorization: another number, made now, and the older refresh token is gone.
    db.clock.advance(Duration::from_secs(9));
    let again = connections.put(&acme.scope, server, &ann, &issuer(), &NewTokens { refresh: None, ..tokens("ann again") }).await.unwrap();
    assert!(again.version != info.version && again.created_at > info.created_at && again.modified_at > info.modified_at);
    assert!(!again.has_refresh);
    assert!(db.raw_rows("SELECT 1 FROM server_secrets WHERE kind = 'refresh'").await.is_empty());
    assert!(!connections.mark(&acme.scope, server, &ann, info.version, TokenStatus::Expired, None).await.unwrap(), "of older tokens");
    assert!(connections.mark(&acme.scope, server, &ann, again.version, TokenStatus::Expired, Some("401\n")).await.unwrap());
    let marked = connections.info(&acme.scope, server, &ann).await.unwrap().unwrap();
    assert_eq!((marked.status, marked.failure.as_deref(), marked.version), (TokenStatus::Expired, Some("401"), again.version));

    connections.touch_used(&acme.scope, server, &ann).await.unwrap();
    let first = connections.info(&acme.scope, server, &ann).await.unwrap().unwrap().last_used_at;
    db.clock.advance(Duration::from_secs(59));
    connections.touch_used(&acme.scope, server, &ann).await.unwrap();
    assert_eq!(connections.info(&acme.scope, server, &ann).await.unwrap().unwrap().last_used_at, first);
    db.clock.advance(Duration::from_secs(1));
    connections.touch_used(&acme.scope, server, &ann).await.unwrap();
    assert_eq!(connections.info(&acme.scope, server, &ann).await.unwrap().unwrap().last_used_at, Some(db.clock.now()));
    connections.touch_used(&acme.scope, server, &person("nobody")).await.unwrap();

    for holder in [Holder::Organisation, person("bob")] {
        connections.put(&acme.scope, server, &holder, &issuer(), &tokens("x")).await.unwrap();
    }
    let holders = async |after: Option<&Holder>| {
        let list = connections.list(&acme.scope, server, after).await.unwrap();
        list.into_iter().map(|info| info.holder).collect::<Vec<_>>()
    };
    assert_eq!(holders(None).await, [Holder::Organisation, ann.clone(), person("bob")]);
    assert_eq!(holders(Some(&ann)).await, [person("bob")]);
    assert_eq!(holders(Some(&Holder::Organisation)).await.len(), 2);
    assert_eq!(connections.list_of(&acme.scope, &ann, None).await.unwrap().len(), 1);
    assert!(connections.list_of(&acme.scope, &ann, Some(server)).await.unwrap().is_empty());
    assert!(connections.list(&beta.scope, server, None).await.unwrap().is_empty());
    assert_eq!(
        connections.delete(&acme.scope, server, &ann).await.unwrap(),
        Cascade { connections: 1, revocations: 1, ..Cascade::default() }
    );
    assert_eq!(holders(None).await, [Holder::Organisation, person("bob")]);
}

async fn take(store: &Store, scope: &OrgScope, server: ServerId, version: i64) -> Box<LeasedRefresh> {
    match store.connections().lease_refresh(scope, server, &person("ann"), version, TTL).await.unwrap() {
        RefreshLease::Lease(lease) => lease,
        other => panic!("no lease: {other:?}"),
    }
}

pub(crate) async fn one_gateway_refreshes_at_a_time(db: &TestDb) {
    let (one, two) = (db.open().await, db.open().await);
    let acme = make_org(&one, "acme").await;
    let scope = &acme.scope;
    let server = with_sealed_values(&one, &[&acme]).await;
    let ann = person("ann");
    let version = one.connections().info(scope, server, &ann).await.unwrap().unwrap().version;
    let lease = take(&one, scope, server, version).await;
    assert_eq!((lease.refresh.expose_secret(), lease.attempt, &lease.holder), ("refresh of ann", 1, &ann));
    assert!(!format!("{lease:?}").contains("refresh of"), "no token is printed");
    let busy = two.connections().lease_refresh(scope, server, &ann, version, TTL).await.unwrap();
    let until = db.clock.now().as_micros() + 30_000_000;
    assert!(matches!(busy, RefreshLease::Busy { until: found } if found.as_micros() == until), "{busy:?}");
    // Others are not held up.
    let bob = two.connections().info(scope, server, &person("bob")).await.unwrap().unwrap();
    let other = two.connections().lease_refresh(scope, server, &person("bob"), bob.version, TTL).await.unwrap();
    assert!(matches!(other, RefreshLease::Lease(_)));

    let kept =
        one.connections().finish_refresh(scope, &lease, &NewTokens { refresh: None, ..tokens("ann, later") }).await.unwrap().unwrap();
    assert_eq!((kept.status, kept.last_refresh_at, kept.has_refresh), (TokenStatus::Valid, Some(db.clock.now()), true));
    assert_eq!(one.connections().finish_refresh(scope, &lease, &tokens("twice")).await.unwrap(), None);
    let newer = two.connections().lease_refresh(scope, server, &ann, version, TTL).await.unwrap();
    assert!(matches!(newer, RefreshLease::Newer), "{newer:?}");
    let open = two.connections().open_access(scope, server, &ann).await.unwrap().unwrap();
    assert_eq!((open.access.expose_secret(), open.info.version), ("access of ann, later", kept.version));

    // The refresh token that was not replaced is still there; one that is replaces it.
    let lease = take(&two, scope, server, kept.version).await;
    assert_eq!(lease.refresh.expose_secret(), "refresh of ann");
    let new = NewTokens { scopes: Scopes::new(["read", "write"]).unwrap(), ..tokens("rotated") };
    let kept = two.connections().finish_refresh(scope, &lease, &new).await.unwrap().unwrap();
    assert_eq!(kept.scopes.joined(), "read write");
    assert_eq!(take(&one, scope, server, kept.version).await.refresh.expose_secret(), "refresh of rotated");
    assert!(one.rotation().open_all(scope).await.unwrap().unreadable.is_empty());
    let missing = one.connections().lease_refresh(scope, server, &person("nobody"), 1, TTL).await;
    assert_kind(missing, StoreErrorKind::NotFound);
}

/// Whoever comes back from a long pause, or from before the connection was made anew, changes nothing.
pub(crate) async fn a_lease_of_another_time_changes_nothing(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    let scope = &acme.scope;
    let server = with_sealed_values(&store, &[&acme]).await;
    let (connections, ann) = (store.connections(), person("ann"));
    let version = connections.info(scope, server, &ann).await.unwrap().unwrap().version;
    let slow = take(&store, scope, server, version).await;
    db.clock.advance(TTL);
    let second = take(&store, scope, server, version).await;
    assert_eq!((second.attempt, second.epoch), (2, slow.epoch + 1), "nobody knows how the first one ended");
    let nothing = async |lease: &LeasedRefresh| {
        let before = connections.info(scope, server, &ann).await.unwrap();
        assert_eq!(connections.finish_refresh(scope, lease, &tokens("late")).await.unwrap(), None);
        for failure in [RefreshFailure::Final, RefreshFailure::Later, RefreshFailure::Lost] {
            assert!(!connections.fail_refresh(scope, lease, failure, "late").await.unwrap());
        }
        assert_eq!(connections.info(scope, server, &ann).await.unwrap(), before);
    };
    nothing(&slow).await;
    assert!(connections.finish_refresh(scope, &second, &tokens("second")).await.unwrap().is_some());
    nothing(&slow).await;
    nothing(&second).await;
    // A new authorization during a refresh.
    let version = connections.info(scope, server, &ann).await.unwrap().unwrap().version;
    let third = take(&store, scope, server, version).await;
    connections.put(scope, server, &ann, &issuer(), &tokens("anew")).await.unwrap();
    nothing(&third).await;
    // Deleted and made again.
    let version = connections.info(scope, server, &ann).await.unwrap().unwrap().version;
    let fourth = take(&store, scope, server, version).await;
    connections.delete(scope, server, &ann).await.unwrap();
    nothing(&fourth).await;
    let again = connections.put(scope, server, &ann, &issuer(), &tokens("again")).await.unwrap();
    take(&store, scope, server, again.version).await;
    nothing(&fourth).await;
    let open = connections.open_access(scope, server, &ann).await.unwrap().unwrap();
    assert_eq!(open.access.expose_secret(), "access of again");
}

pub(crate) async fn a_refresh_fails_in_three_ways(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    let scope = &acme.scope;
    let server = with_sealed_values(&store, &[&acme]).await;
    let (connections, ann) = (store.connections(), person("ann"));
    let version = connections.info(scope, server, &ann).await.unwrap().unwrap().version;
    for (failure, attempt) in [(RefreshFailure::Later, 1), (RefreshFailure::Lost, 1), (RefreshFailure::Lost, 2), (RefreshFailure::Later, 3)]
    {
        let lease = take(&store, scope, server, version).await;
        assert_eq!(lease.attempt, attempt);
        assert!(connections.fail_refresh(scope, &lease, failure, "no answer").await.unwrap());
        let info = connections.info(scope, server, &ann).await.unwrap().unwrap();
        assert_eq!((info.status, info.failure.as_deref(), info.version), (TokenStatus::Expired, Some("no answer"), version));
    }
    let lease = take(&store, scope, server, version).await;
    assert!(connections.fail_refresh(scope, &lease, RefreshFailure::Final, "invalid_grant").await.unwrap());
    assert_eq!(connections.info(scope, server, &ann).await.unwrap().unwrap().status, TokenStatus::RefreshFailed);
    let refused = connections.lease_refresh(scope, server, &ann, version, TTL).await.unwrap();
    assert!(matches!(refused, RefreshLease::Impossible), "{refused:?}");
    // Only a new authorization helps; it counts from the beginning.
    let info = connections.put(scope, server, &ann, &issuer(), &tokens("anew")).await.unwrap();
    assert_eq!((info.status, info.failure), (TokenStatus::Valid, None));
    assert_eq!(take(&store, scope, server, info.version).await.attempt, 1);
    let without = connections.put(scope, server, &person("bob"), &issuer(), &NewTokens { refresh: None, ..tokens("bob") }).await.unwrap();
    let refused = connections.lease_refresh(scope, server, &person("bob"), without.version, TTL).await.unwrap();
    assert!(matches!(refused, RefreshLease::Impossible), "{refused:?}");
    // Nobody holds a lease for longer than the limit.
    let carl = connections.put(scope, server, &person("carl"), &issuer(), &tokens("carl")).await.unwrap();
    let day = Duration::from_secs(86_400);
    assert!(matches!(connections.lease_refresh(scope, server, &person("carl"), carl.version, day).await.unwrap(), RefreshLease::Lease(_)));
    db.clock.advance(REFRESH_LEASE_MAX);
    assert!(matches!(connections.lease_refresh(scope, server, &person("carl"), carl.version, day).await.unwrap(), RefreshLease::Lease(_)));
}

pub(crate) async fn gateways_at_the_same_time_get_one_lease(db: &TestDb) {
    let stores = [db.open().await, db.open().await];
    let acme = make_org(&stores[0], "acme").await;
    let server = with_sealed_values(&stores[0], &[&acme]).await;
    let version = stores[0].connections().info(&acme.scope, server, &person("ann")).await.unwrap().unwrap().version;
    let tasks: Vec<_> = (0..8)
        .map(|number| {
            let (store, scope) = (stores[number % 2].clone(), acme.scope.clone());
            tokio::spawn(async move { store.connections().lease_refresh(&scope, server, &person("ann"), version, TTL).await.unwrap() })
        })
        .collect();
    let mut leases = 0;
    for task in tasks {
        match task.await.unwrap() {
            RefreshLease::Lease(_) => leases += 1,
            RefreshLease::Busy { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(leases, 1);
}
