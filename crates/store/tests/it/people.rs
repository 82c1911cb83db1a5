//! Members, groups, who answers for agents, and keys of people.

use bailiwick_model::time::Clock as _;
use bailiwick_model::{GroupId, Role, Standing, Subject};
use bailiwick_store::{AgentOwner, KeyRefusal, Keyring, NewKey, Scope, Store, StoreErrorKind, Tenant as _, TokenAgent, TokenClaims};
use secrecy::ExposeSecret;

use crate::support::{Org, TestDb, agent_id, agent_type, assert_kind, make_org, new_key, operator};

fn sub(text: &str) -> Subject {
    Subject::parse(text).unwrap()
}

fn group(text: &str) -> GroupId {
    GroupId::parse(text).unwrap()
}

/// The scope of whoever presents a key of this member.
async fn acting(db: &TestDb, store: &Store, org: &Org, member: Option<&str>) -> Scope {
    let key = store.keys().create(&org.scope, NewKey { sub: member.map(sub), ..new_key(org) }).await.unwrap();
    let keyring = Keyring::start(store.clone()).await.unwrap();
    keyring.verify(key.token.expose_secret(), db.clock.now()).unwrap()
}

pub(crate) async fn members_are_added_changed_and_removed(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    let members = store.members();
    let ann = members.add(&acme.scope, &sub("ann"), Some("ann@acme.example"), Role::OrgAdmin).await.unwrap();
    assert_eq!(members.get(&acme.scope, &sub("ann")).await.unwrap(), ann);
    assert_kind(members.add(&acme.scope, &sub("ann"), None, Role::Member).await, StoreErrorKind::Conflict);
    for email in ["", "ann", "@a", "a@", "a b@c", "a@b\n"] {
        assert_kind(members.add(&acme.scope, &sub("x"), Some(email), Role::Member).await, StoreErrorKind::Invalid);
    }
    members.add(&acme.scope, &sub("bob"), None, Role::Member).await.unwrap();
    assert_eq!(members.set_role(&acme.scope, &sub("bob"), Role::GroupAdmin).await.unwrap().role, Role::GroupAdmin);
    let all: Vec<_> = members.list(&acme.scope, "").await.unwrap().into_iter().map(|m| (m.sub.as_str().to_owned(), m.role)).collect();
    assert_eq!(all, [("ann".to_owned(), Role::OrgAdmin), ("bob".to_owned(), Role::GroupAdmin)]);
    assert_eq!(members.list(&acme.scope, "ann").await.unwrap().len(), 1);
    members.remove(&acme.scope, &sub("bob")).await.unwrap();
    assert_kind(members.get(&acme.scope, &sub("bob")).await, StoreErrorKind::NotFound);
    assert_kind(members.remove(&acme.scope, &sub("bob")).await, StoreErrorKind::NotFound);
}

pub(crate) async fn the_last_administrator_stays(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    let members = store.members();
    members.add(&acme.scope, &sub("ann"), None, Role::OrgAdmin).await.unwrap();
    members.add(&acme.scope, &sub("bob"), None, Role::Member).await.unwrap();
    let refused = assert_kind(members.remove(&acme.scope, &sub("ann")).await, StoreErrorKind::Conflict);
    assert!(refused.message().contains("last administrator"), "{refused}");
    assert_kind(members.set_role(&acme.scope, &sub("ann"), Role::GroupAdmin).await, StoreErrorKind::Conflict);
    members.set_role(&acme.scope, &sub("ann"), Role::OrgAdmin).await.unwrap();
    members.set_role(&acme.scope, &sub("bob"), Role::OrgAdmin).await.unwrap();
    members.remove(&acme.scope, &sub("ann")).await.unwrap();
}

pub(crate) async fn two_administrators_cannot_remove_each_other(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    for _ in 0..5 {
        for name in ["ann", "bob"] {
            let _ = store.members().add(&acme.scope, &sub(name), None, Role::OrgAdmin).await;
        }
        let remove = |name: &'static str| {
            let (store, scope) = (store.clone(), acme.scope.clone());
            tokio::spawn(async move { store.members().remove(&scope, &sub(name)).await })
        };
        let (first, second) = (remove("ann"), remove("bob"));
        let (first, second) = (first.await.unwrap(), second.await.unwrap());
        assert_ne!(first.is_ok(), second.is_ok(), "{first:?} {second:?}");
        assert_eq!(store.members().list(&acme.scope, "").await.unwrap().len(), 1);
    }
}

pub(crate) async fn groups_hold_members_and_answer_for_agents(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    let groups = store.groups();
    groups.create(&acme.scope, &group("data"), "Data people").await.unwrap();
    assert_kind(groups.create(&acme.scope, &group("data"), "Other").await, StoreErrorKind::Conflict);
    assert_kind(groups.create(&acme.scope, &group("other"), "Data people").await, StoreErrorKind::Conflict);
    assert_kind(groups.create(&acme.scope, &group("other"), " ").await, StoreErrorKind::Invalid);
    assert_kind(groups.put_member(&acme.scope, &group("data"), &sub("ann"), Role::Member).await, StoreErrorKind::Conflict);
    store.members().add(&acme.scope, &sub("ann"), None, Role::Member).await.unwrap();
    assert_kind(groups.put_member(&acme.scope, &group("data"), &sub("ann"), Role::OrgAdmin).await, StoreErrorKind::Invalid);
    assert_kind(groups.put_member(&acme.scope, &group("none"), &sub("ann"), Role::Member).await, StoreErrorKind::NotFound);
    groups.put_member(&acme.scope, &group("data"), &sub("ann"), Role::GroupAdmin).await.unwrap();

    let ann = acting(db, &store, &acme, Some("ann")).await;
    let of_ann = store.members().standing(&ann).await.unwrap();
    assert_eq!(of_ann, Standing { role: Some(Role::Member), groups: vec![(group("data"), Role::GroupAdmin)] });

    // An agent has what it was given itself, and is a plain member of its owner's groups.
    let worker = acting(db, &store, &acme, None).await;
    assert_eq!(store.members().standing(&worker).await.unwrap(), Standing { role: Some(Role::Member), groups: vec![] });
    let owner = AgentOwner::Member(sub("ann"));
    store.agents().assign(&acme.scope, &acme.agent, Some(&owner), Role::Member).await.unwrap();
    let of_worker = store.members().standing(&worker).await.unwrap();
    assert_eq!(of_worker.groups, [(group("data"), Role::Member)]);
    let owner = AgentOwner::Group(group("data"));
    let agent = store.agents().assign(&acme.scope, &acme.agent, Some(&owner), Role::OrgAdmin).await.unwrap();
    assert_eq!((agent.owner, agent.role), (Some(owner), Role::OrgAdmin));
    assert_kind(groups.delete(&acme.scope, &group("data")).await, StoreErrorKind::Conflict);
    store.agents().assign(&acme.scope, &acme.agent, None, Role::Member).await.unwrap();
    assert_kind(
        store.agents().assign(&acme.scope, &acme.agent, Some(&AgentOwner::Member(sub("ghost"))), Role::Member).await,
        StoreErrorKind::NotFound,
    );
    assert_kind(store.agents().assign(&acme.scope, &agent_id("ghost"), None, Role::Member).await, StoreErrorKind::NotFound);

    // Who leaves the organisation leaves its groups; who is deleted takes nobody along.
    store.members().remove(&acme.scope, &sub("ann")).await.unwrap();
    assert!(groups.members(&acme.scope, &group("data"), "").await.unwrap().is_empty());
    assert_eq!(store.members().standing(&ann).await.unwrap(), Standing::default());
    groups.delete(&acme.scope, &group("data")).await.unwrap();
    assert_kind(groups.get(&acme.scope, &group("data")).await, StoreErrorKind::NotFound);
}

pub(crate) async fn keys_of_members_end_with_their_membership(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    assert_kind(store.keys().create(&acme.scope, NewKey { sub: Some(sub("ann")), ..new_key(&acme) }).await, StoreErrorKind::NotFound);
    store.members().add(&acme.scope, &sub("ann"), Some("ann@acme.example"), Role::Member).await.unwrap();
    let key = store.keys().create(&acme.scope, NewKey { sub: Some(sub("ann")), ..new_key(&acme) }).await.unwrap();
    let keyring = Keyring::start(store.clone()).await.unwrap();
    let verify = || keyring.verify(key.token.expose_secret(), db.clock.now());
    let scope = verify().unwrap();
    assert_eq!((scope.principal().sub.as_ref(), scope.principal().email.as_deref()), (Some(&sub("ann")), Some("ann@acme.example")));
    assert_eq!(scope.operator().actor(), "ann");
    store.members().remove(&acme.scope, &sub("ann")).await.unwrap();
    keyring.refresh().await.unwrap();
    assert_eq!(verify().unwrap_err(), KeyRefusal::Revoked);
    // Whoever is called so later does not get what is perhaps in other hands.
    store.members().add(&acme.scope, &sub("ann"), None, Role::OrgAdmin).await.unwrap();
    keyring.refresh().await.unwrap();
    assert_eq!(verify().unwrap_err(), KeyRefusal::Revoked);
}

pub(crate) async fn a_key_moved_to_another_member_does_not_verify(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    for name in ["ann", "bob"] {
        store.members().add(&acme.scope, &sub(name), None, Role::Member).await.unwrap();
    }
    let key = store.keys().create(&acme.scope, NewKey { sub: Some(sub("ann")), ..new_key(&acme) }).await.unwrap();
    let plain = store.keys().create(&acme.scope, new_key(&acme)).await.unwrap();
    db.raw_execute(&format!("UPDATE api_keys SET sub = 'bob' WHERE key_id = '{}'", key.id)).await;
    db.raw_execute(&format!("UPDATE api_keys SET sub = 'bob' WHERE key_id = '{}'", plain.id)).await;
    let keyring = Keyring::start(store.clone()).await.unwrap();
    for moved in [key, plain] {
        assert_eq!(keyring.verify(moved.token.expose_secret(), db.clock.now()).unwrap_err(), KeyRefusal::Unknown);
    }
}

pub(crate) async fn people_of_other_organisations_do_not_exist(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    store.members().add(&acme.scope, &sub("ann"), None, Role::OrgAdmin).await.unwrap();
    store.groups().create(&acme.scope, &group("data"), "Data").await.unwrap();
    let (members, groups) = (store.members(), store.groups());
    assert_kind(members.get(&beta.scope, &sub("ann")).await, StoreErrorKind::NotFound);
    assert_kind(members.set_role(&beta.scope, &sub("ann"), Role::Member).await, StoreErrorKind::NotFound);
    assert_kind(members.remove(&beta.scope, &sub("ann")).await, StoreErrorKind::NotFound);
    assert_kind(groups.get(&beta.scope, &group("data")).await, StoreErrorKind::NotFound);
    assert_kind(groups.delete(&beta.scope, &group("data")).await, StoreErrorKind::NotFound);
    assert_kind(groups.members(&beta.scope, &group("data"), "").await, StoreErrorKind::NotFound);
    assert_kind(groups.put_member(&beta.scope, &group("data"), &sub("ann"), Role::Member).await, StoreErrorKind::NotFound);
    assert_kind(groups.remove_member(&beta.scope, &group("data"), &sub("ann")).await, StoreErrorKind::NotFound);
    assert!(members.list(&beta.scope, "").await.unwrap().is_empty() && groups.list(&beta.scope, "").await.unwrap().is_empty());
    // The same person may be somebody else there.
    members.add(&beta.scope, &sub("ann"), None, Role::Member).await.unwrap();
    let in_beta = acting(db, &store, &beta, Some("ann")).await;
    assert_eq!(members.standing(&in_beta).await.unwrap().role, Some(Role::Member));
    assert_eq!(members.get(&acme.scope, &sub("ann")).await.unwrap().role, Role::OrgAdmin);
}

pub(crate) async fn platform_administrators_stand_above(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    let platform = operator(&store);
    store.members().add(&acme.scope, &sub("ann"), None, Role::Member).await.unwrap();
    let ann = acting(db, &store, &acme, Some("ann")).await;
    let agent = acting(db, &store, &acme, None).await;
    assert_kind(store.members().as_platform(&ann).await, StoreErrorKind::NotFound);
    let home = acme.scope.org().clone();
    let first = store.members().add_platform_admin(&platform, &home, &sub("ann")).await.unwrap();
    assert_eq!(store.members().add_platform_admin(&platform, &home, &sub("ann")).await.unwrap(), first);
    assert_eq!(store.members().as_platform(&ann).await.unwrap().actor(), "acme/ann");
    assert_kind(store.members().as_platform(&agent).await, StoreErrorKind::NotFound);
    assert_eq!(store.members().platform_admins(&platform, "").await.unwrap(), [first]);
    assert!(store.members().is_platform_admin(&acme.scope, &sub("ann")).await.unwrap());
    let nowhere = bailiwick_model::OrgId::parse("nowhere").unwrap();
    assert_kind(store.members().add_platform_admin(&platform, &nowhere, &sub("bob")).await, StoreErrorKind::Conflict);
    store.members().remove_platform_admin(&platform, &sub("ann")).await.unwrap();
    assert_kind(store.members().remove_platform_admin(&platform, &sub("ann")).await, StoreErrorKind::NotFound);
    assert_kind(store.members().as_platform(&ann).await, StoreErrorKind::NotFound);
}

pub(crate) async fn what_a_token_says_counts_within_its_organisation(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    store.groups().create(&acme.scope, &group("data"), "Data").await.unwrap();
    store.groups().create(&beta.scope, &group("elsewhere"), "Elsewhere").await.unwrap();
    let (kind, ann) = (agent_type("research"), sub("ann"));
    let admit = async |claims: &TokenClaims| {
        let token =
            TokenAgent { org: acme.scope.org(), agent_id: &acme.agent, agent_type: &kind, sub: &ann, email: None, claims, create: false };
        store.admit(token).await.unwrap().unwrap()
    };
    let claims = TokenClaims { groups: vec![group("data"), group("elsewhere")], ..TokenClaims::default() };
    let plain = admit(&claims).await;
    assert_eq!(store.members().standing(&plain).await.unwrap(), Standing::default(), "groups without a role are nothing");
    let said = admit(&TokenClaims { role: Some(Role::Member), ..claims.clone() }).await;
    let standing = Standing { role: Some(Role::Member), groups: vec![(group("data"), Role::Member)] };
    assert_eq!(store.members().standing(&said).await.unwrap(), standing, "a group of another organisation is none");
    // A membership fills in what the token leaves open, and does not raise what it says.
    store.members().add(&acme.scope, &ann, None, Role::OrgAdmin).await.unwrap();
    store.groups().put_member(&acme.scope, &group("data"), &ann, Role::GroupAdmin).await.unwrap();
    assert_eq!(store.members().standing(&plain).await.unwrap().role, Some(Role::OrgAdmin));
    let both = store.members().standing(&said).await.unwrap();
    assert_eq!(both, Standing { role: Some(Role::Member), groups: vec![(group("data"), Role::GroupAdmin)] });
    // An issuer of one organisation must not name who stands above all of them.
    store.members().add_platform_admin(&operator(&store), acme.scope.org(), &ann).await.unwrap();
    assert_kind(store.members().as_platform(&said).await, StoreErrorKind::NotFound);
}

pub(crate) async fn nobody_becomes_platform_administrator_by_a_name(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    for org in [&acme, &beta] {
        store.members().add(&org.scope, &sub("ann"), None, Role::OrgAdmin).await.unwrap();
    }
    let before = acting(db, &store, &acme, Some("ann")).await;
    db.clock.advance(std::time::Duration::from_secs(1));
    store.members().add_platform_admin(&operator(&store), acme.scope.org(), &sub("ann")).await.unwrap();
    let after = acting(db, &store, &acme, Some("ann")).await;
    let elsewhere = acting(db, &store, &beta, Some("ann")).await;
    assert!(store.members().as_platform(&after).await.is_ok());
    // Somebody else made that key, and may still have it; somebody else is called ann in the other organisation.
    assert_kind(store.members().as_platform(&before).await, StoreErrorKind::NotFound);
    assert_kind(store.members().as_platform(&elsewhere).await, StoreErrorKind::NotFound);
    assert!(!store.members().is_platform_admin(&beta.scope, &sub("ann")).await.unwrap());
}
