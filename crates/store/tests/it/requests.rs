//! What the management API needs beside the rows themselves: kept answers, overlap, versions.

use std::time::Duration;

use bailiwick_model::time::Clock as _;
use bailiwick_model::{GroupId, Role, Subject};
use bailiwick_store::{AgentChange, AgentOwner, Claim, IDEMPOTENCY_KEPT, KeyRefusal, Keyring, Named, NewKey, Scope, Store, StoreErrorKind};
use secrecy::ExposeSecret;

use crate::support::{Org, TestDb, assert_kind, make_org, new_key};

async fn acting(db: &TestDb, store: &Store, org: &Org) -> Scope {
    let key = store.keys().create(&org.scope, new_key(org)).await.unwrap();
    Keyring::start(store.clone()).await.unwrap().verify(key.token.expose_secret(), db.clock.now()).unwrap()
}

pub(crate) async fn answers_are_kept_for_their_principal(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    let (worker, stranger) = (acting(db, &store, &acme).await, acting(db, &store, &beta).await);
    let kept = store.idempotency();
    let named = Named { route: "POST /v1/x".into(), key: "k-1".into(), digest: "a".into() };
    let begun = db.clock.now();
    assert_eq!(kept.claim(&worker, &named).await.unwrap(), Claim::Fresh);
    assert_eq!(kept.claim(&worker, &named).await.unwrap(), Claim::Running(begun));
    assert_eq!(kept.claim(&stranger, &named).await.unwrap(), Claim::Fresh, "the same word of somebody else");
    kept.settle(&worker, &named, 201, Some("{}")).await.unwrap();
    assert_eq!(kept.claim(&worker, &named).await.unwrap(), Claim::Done { status: 201, response: Some("{}".into()) });
    assert_eq!(kept.claim(&worker, &Named { digest: "b".into(), ..named.clone() }).await.unwrap(), Claim::Other);
    assert_eq!(kept.claim(&worker, &Named { route: "POST /v1/y".into(), ..named.clone() }).await.unwrap(), Claim::Fresh);
    let released = Named { key: "k-2".into(), ..named.clone() };
    kept.claim(&worker, &released).await.unwrap();
    kept.release(&worker, &released).await.unwrap();
    assert_eq!(kept.claim(&worker, &released).await.unwrap(), Claim::Fresh);
    db.clock.advance(IDEMPOTENCY_KEPT + Duration::from_secs(1));
    assert_eq!(kept.claim(&worker, &named).await.unwrap(), Claim::Fresh, "forgotten after a day");
}

pub(crate) async fn keys_rotate_with_overlap(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    let old = store.keys().create(&acme.scope, NewKey { label: "ci".into(), ..new_key(&acme) }).await.unwrap();
    assert_kind(store.keys().rotate(&beta.scope, old.id, None, Duration::ZERO).await, StoreErrorKind::NotFound);
    let new = store.keys().rotate(&acme.scope, old.id, None, Duration::from_secs(60)).await.unwrap();
    let keyring = Keyring::start(store.clone()).await.unwrap();
    let verify = |key: &bailiwick_store::CreatedKey| keyring.verify(key.token.expose_secret(), db.clock.now()).map(drop);
    assert_eq!((verify(&old), verify(&new)), (Ok(()), Ok(())));
    assert_eq!(store.keys().get(&acme.scope, new.id).await.unwrap().label, "ci");
    assert_kind(store.keys().get(&beta.scope, new.id).await, StoreErrorKind::NotFound);
    db.clock.advance(Duration::from_secs(61));
    keyring.refresh().await.unwrap();
    assert_eq!((verify(&old), verify(&new)), (Err(KeyRefusal::Expired), Ok(())));
    assert_kind(store.keys().rotate(&acme.scope, old.id, None, Duration::ZERO).await, StoreErrorKind::Conflict);
}

pub(crate) async fn agents_change_in_one_step(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    let ann = Subject::parse("ann").unwrap();
    store.members().add(&acme.scope, &ann, None, Role::Member).await.unwrap();
    let agents = store.agents();
    let owner = Some(AgentOwner::Member(ann.clone()));
    let change = AgentChange { owner: Some(owner.clone()), role: Some(Role::GroupAdmin), disabled: Some(true) };
    let changed = agents.change(&acme.scope, &acme.agent, &change).await.unwrap();
    assert_eq!((changed.owner, changed.role, changed.disabled_at.is_some()), (owner.clone(), Role::GroupAdmin, true));
    let enabled = agents.change(&acme.scope, &acme.agent, &AgentChange { disabled: Some(false), ..AgentChange::default() }).await.unwrap();
    assert_eq!((enabled.owner.clone(), enabled.role, enabled.disabled_at), (owner, Role::GroupAdmin, None));
    // Half of a change is none.
    let ghost = Some(AgentOwner::Group(GroupId::parse("ghost").unwrap()));
    let half = AgentChange { owner: Some(ghost), role: Some(Role::OrgAdmin), disabled: Some(true) };
    assert_kind(agents.change(&acme.scope, &acme.agent, &half).await, StoreErrorKind::NotFound);
    assert_eq!(agents.get(&acme.scope, &acme.agent).await.unwrap(), enabled);
    assert_kind(agents.change(&beta.scope, &bailiwick_model::AgentId::parse("ghost").unwrap(), &change).await, StoreErrorKind::NotFound);
    // Who left still stands there as owner; the role can be changed all the same.
    store.members().remove(&acme.scope, &ann).await.unwrap();
    let role = AgentChange { role: Some(Role::Member), ..AgentChange::default() };
    assert_eq!(agents.change(&acme.scope, &acme.agent, &role).await.unwrap().role, Role::Member);
}

pub(crate) async fn secrets_are_set_at_a_version(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    let secrets = store.secrets();
    assert_kind(secrets.put_if(&acme.scope, "s", &"a".into(), Some(1)).await, StoreErrorKind::Outdated);
    assert_eq!(secrets.put_if(&acme.scope, "s", &"a".into(), None).await.unwrap(), 1);
    assert_eq!(secrets.put_if(&acme.scope, "s", &"b".into(), Some(1)).await.unwrap(), 2);
    assert_kind(secrets.put_if(&acme.scope, "s", &"c".into(), Some(1)).await, StoreErrorKind::Outdated);
    assert_eq!(secrets.info(&acme.scope, "s").await.unwrap().version, 2);
    assert_kind(secrets.delete_if(&acme.scope, "s", Some(1)).await, StoreErrorKind::Outdated);
    secrets.delete_if(&acme.scope, "s", Some(2)).await.unwrap();
    assert_kind(secrets.delete_if(&acme.scope, "s", Some(2)).await, StoreErrorKind::NotFound);
    assert_kind(secrets.info(&acme.scope, "s").await, StoreErrorKind::NotFound);
}
