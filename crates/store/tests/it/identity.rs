//! Organisations, agents, launches, API keys.

use std::time::{Duration, Instant};

use bailiwick_model::time::Clock as _;
use bailiwick_model::{KeyId, Subject};
use bailiwick_store::{AgentRefusal, KeyRefusal, Keyring, NewKey, StoreErrorKind, TokenAgent, TokenClaims};
use secrecy::ExposeSecret;
use sqlx::Row;

use crate::support::{LibraryRandom, TestDb, agent_id, agent_type, assert_kind, make_org, new_key, operator, org_id};

pub(crate) async fn organisations_are_created_once_and_listed(db: &TestDb) {
    let store = db.open().await;
    let platform = operator(&store);
    for name in ["beta", "acme", "zeta"] {
        store.orgs().create(&platform, &org_id(name)).await.unwrap();
    }
    let error = assert_kind(store.orgs().create(&platform, &org_id("acme")).await, StoreErrorKind::Conflict);
    assert_eq!(error.message(), "the organisation exists already");
    store.orgs().ensure(&platform, &org_id("acme")).await.unwrap();
    store.orgs().ensure(&platform, &org_id("new")).await.unwrap();
    let names = |page: Vec<bailiwick_store::Organisation>| page.iter().map(|o| o.org.to_string()).collect::<Vec<_>>();
    assert_eq!(names(store.orgs().list(&platform, "").await.unwrap()), ["acme", "beta", "new", "zeta"]);
    assert_eq!(names(store.orgs().list(&platform, "beta").await.unwrap()), ["new", "zeta"]);
    assert_eq!(store.orgs().get(&platform.within(&org_id("beta"))).await.unwrap().created_by, "operator");
    assert_kind(store.orgs().get(&platform.within(&org_id("nobody"))).await, StoreErrorKind::NotFound);
    for bad in ["", "a\nb", &"x".repeat(129)] {
        assert_kind(store.platform(bad), StoreErrorKind::Invalid);
    }
}

pub(crate) async fn agents_are_created_listed_and_disabled(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    let error = assert_kind(store.agents().create(&acme.scope, &acme.agent, &agent_type("other")).await, StoreErrorKind::Conflict);
    assert_eq!(error.message(), "the agent exists already in this organisation");
    let nowhere = operator(&store).within(&org_id("nowhere"));
    assert_kind(store.agents().create(&nowhere, &acme.agent, &agent_type("t")).await, StoreErrorKind::Conflict);
    let agent = store.agents().get(&acme.scope, &acme.agent).await.unwrap();
    assert_eq!((agent.agent_type.as_str(), agent.disabled_at), ("research", None));
    store.agents().set_disabled(&acme.scope, &acme.agent, true).await.unwrap();
    let listed = store.agents().list(&acme.scope, "").await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].disabled_at, Some(db.clock.now()));
    assert_kind(store.agents().set_disabled(&acme.scope, &agent_id("ghost"), true).await, StoreErrorKind::NotFound);
    assert_kind(store.launch(&org_id("acme"), &acme.agent, &agent_type("research")).await, StoreErrorKind::Conflict);
    store.agents().set_disabled(&acme.scope, &acme.agent, false).await.unwrap();
    store.launch(&org_id("acme"), &acme.agent, &agent_type("research")).await.unwrap();
}

pub(crate) async fn launch_makes_what_is_missing_and_keeps_keys_meaning(db: &TestDb) {
    let store = db.open().await;
    let org = org_id("default");
    let scope = store.launch(&org, &agent_id("dev"), &agent_type("research")).await.unwrap();
    assert_eq!((scope.org(), scope.agent_id().as_str(), scope.agent_type().as_str()), (&org, "dev", "research"));
    assert_eq!(scope.principal().key_id, None);
    let again = store.launch(&org, &agent_id("dev"), &agent_type("research")).await.unwrap();
    assert_eq!(again, scope);
    // Without keys the type may follow the launch; with keys it may not.
    store.launch(&org, &agent_id("dev"), &agent_type("build")).await.unwrap();
    let inside = operator(&store).within(&org);
    assert_eq!(store.agents().get(&inside, &agent_id("dev")).await.unwrap().agent_type.as_str(), "build");
    let key = NewKey { agent_id: agent_id("dev"), sub: None, label: String::new(), expires_at: None };
    let id = store.keys().create(&inside, key).await.unwrap().id;
    let error = assert_kind(store.launch(&org, &agent_id("dev"), &agent_type("research")).await, StoreErrorKind::Conflict);
    assert!(error.message().contains("`dev`") && error.message().contains("`build`"), "{error}");
    store.keys().revoke(&inside, id).await.unwrap();
    store.launch(&org, &agent_id("dev"), &agent_type("research")).await.unwrap();
}

pub(crate) async fn a_token_is_admitted_as_the_agent_it_names(db: &TestDb) {
    let store = db.open().await;
    let (org, id, kind) = (org_id("acme"), agent_id("corp-1"), agent_type("research"));
    let sub = Subject::parse("corp:person-1").unwrap();
    let claims = TokenClaims::default();
    let token = TokenAgent {
        org: &org,
        agent_id: &id,
        agent_type: &kind,
        sub: &sub,
        email: Some("p@acme.example"),
        claims: &claims,
        create: false,
    };
    assert_eq!(store.admit(token).await.unwrap(), Err(AgentRefusal::Unknown));
    let keyring = Keyring::start(store.clone()).await.unwrap();
    let states = keyring.agent_states(db.clock.now()).unwrap();
    let made = TokenAgent { create: true, ..token };
    let (one, two) = tokio::join!(store.admit(made), store.admit(made));
    let scope = one.unwrap().unwrap();
    assert_eq!(two.unwrap().unwrap(), scope);
    assert_eq!((scope.org(), scope.agent_id(), scope.agent_type(), scope.principal().key_id), (&org, &id, &kind, None));
    assert_eq!((scope.principal().sub.as_ref(), scope.principal().email.as_deref()), (Some(&sub), Some("p@acme.example")));
    assert_eq!(store.admit(token).await.unwrap(), Ok(scope));
    let inside = operator(&store).within(&org);
    assert_eq!(store.agents().get(&inside, &id).await.unwrap().created_by, "token");
    // Creating changed nothing that was known of agents; disabling does, and is seen by who keeps a caller.
    keyring.refresh().await.unwrap();
    assert_eq!(keyring.agent_states(db.clock.now()), Ok(states));
    store.agents().set_disabled(&inside, &id, true).await.unwrap();
    db.clock.advance(Duration::from_millis(1001));
    assert_eq!(keyring.agent_states(db.clock.now()), Err(KeyRefusal::Stale));
    keyring.refresh().await.unwrap();
    assert!(keyring.agent_states(db.clock.now()).unwrap() > states);
    assert_eq!(store.admit(made).await.unwrap(), Err(AgentRefusal::Disabled));
    store.agents().set_disabled(&inside, &id, false).await.unwrap();
    let other = agent_type("build");
    assert_eq!(store.admit(TokenAgent { agent_type: &other, ..made }).await.unwrap(), Err(AgentRefusal::OtherType));
    // The same name in another organisation is another agent.
    let elsewhere = org_id("beta");
    assert_eq!(store.admit(TokenAgent { org: &elsewhere, ..token }).await.unwrap(), Err(AgentRefusal::Unknown));
}

pub(crate) async fn keys_verify_expire_and_are_revoked(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    let lasting = store.keys().create(&acme.scope, new_key(&acme)).await.unwrap();
    let expires_at = Some(db.clock.now().after(Duration::from_secs(60)));
    let brief = store.keys().create(&acme.scope, NewKey { expires_at, ..new_key(&acme) }).await.unwrap();
    let keyring = Keyring::start(store.clone()).await.unwrap();
    let now = db.clock.now();

    let scope = keyring.verify(lasting.token.expose_secret(), now).unwrap();
    assert_eq!((scope.org().as_str(), scope.agent_id(), scope.agent_type().as_str()), ("acme", &acme.agent, "research"));
    assert_eq!(scope.principal().key_id, Some(lasting.id));
    assert!(keyring.verify(brief.token.expose_secret(), now).is_ok());

    for hostile in
        ["", "bw_", "Bearer x", &"x".repeat(72), &lasting.token.expose_secret()[..71], &format!("{} ", lasting.token.expose_secret())]
    {
        assert_eq!(keyring.verify(hostile, now).err(), Some(KeyRefusal::Malformed), "{hostile}");
    }
    let mixed = with_other_secret(lasting.token.expose_secret(), brief.token.expose_secret());
    assert_eq!(keyring.verify(&mixed, now).err(), Some(KeyRefusal::Unknown));

    db.clock.advance(Duration::from_secs(60));
    keyring.refresh().await.unwrap();
    assert_eq!(keyring.verify(brief.token.expose_secret(), db.clock.now()).err(), Some(KeyRefusal::Expired));
    store.agents().set_disabled(&acme.scope, &acme.agent, true).await.unwrap();
    keyring.refresh().await.unwrap();
    assert_eq!(keyring.verify(lasting.token.expose_secret(), db.clock.now()).err(), Some(KeyRefusal::Disabled));
    store.agents().set_disabled(&acme.scope, &acme.agent, false).await.unwrap();
    store.keys().revoke(&acme.scope, lasting.id).await.unwrap();
    keyring.refresh().await.unwrap();
    assert_eq!(keyring.verify(lasting.token.expose_secret(), db.clock.now()).err(), Some(KeyRefusal::Revoked));
    assert_kind(store.keys().revoke(&acme.scope, KeyId::random(&LibraryRandom)).await, StoreErrorKind::NotFound);

    // A restart finds everything as it was.
    let later = Keyring::start(db.open().await).await.unwrap();
    assert_eq!(later.verify(lasting.token.expose_secret(), db.clock.now()).err(), Some(KeyRefusal::Revoked));
}

/// The first token with the secret of the second and a fitting checksum: well-formed, known id, wrong secret.
fn with_other_secret(first: &str, second: &str) -> String {
    let text = format!("{}{}", &first[..20], &second[20..63]);
    let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    format!("{text}_{}", data_encoding::HEXLOWER.encode(&sum.as_ref()[..4]))
}

pub(crate) async fn another_replica_notices_a_revocation(db: &TestDb) {
    let (here, there) = (db.open().await, db.open().await);
    let acme = make_org(&here, "acme").await;
    let keyring = Keyring::start(there).await.unwrap();
    let key = here.keys().create(&acme.scope, new_key(&acme)).await.unwrap();
    assert_eq!(keyring.verify(key.token.expose_secret(), db.clock.now()).err(), Some(KeyRefusal::Unknown));
    keyring.refresh().await.unwrap();
    assert!(keyring.verify(key.token.expose_secret(), db.clock.now()).is_ok());
    here.keys().revoke(&acme.scope, key.id).await.unwrap();
    db.clock.advance(Duration::from_millis(1001));
    assert_eq!(keyring.verify(key.token.expose_secret(), db.clock.now()).err(), Some(KeyRefusal::Stale));
    let (one, two, three) = tokio::join!(keyring.refresh(), keyring.refresh(), keyring.refresh());
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(keyring.verify(key.token.expose_secret(), db.clock.now()).err(), Some(KeyRefusal::Revoked));
}

pub(crate) async fn a_stale_copy_is_not_used(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    let key = store.keys().create(&acme.scope, new_key(&acme)).await.unwrap();
    let keyring = Keyring::start(store.clone()).await.unwrap();
    let token = key.token.expose_secret();
    db.clock.advance(Duration::from_secs(1));
    assert!(keyring.verify(token, db.clock.now()).is_ok());
    db.clock.set_back(Duration::from_secs(3600));
    assert_eq!(keyring.verify(token, db.clock.now()).err(), Some(KeyRefusal::Stale));
    keyring.refresh().await.unwrap();
    assert!(keyring.verify(token, db.clock.now()).is_ok());
    // The database is gone: the copy grows old and is refused, a refresh says why.
    store.close().await;
    assert!(keyring.refresh().await.is_err());
    db.clock.advance(Duration::from_secs(2));
    assert_eq!(keyring.verify(token, db.clock.now()).err(), Some(KeyRefusal::Stale));
}

pub(crate) async fn a_moved_key_row_does_not_verify(db: &TestDb) {
    let store = db.open().await;
    let (acme, _) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    store.agents().create(&acme.scope, &agent_id("admin"), &agent_type("admin")).await.unwrap();
    let stolen = store.keys().create(&acme.scope, new_key(&acme)).await.unwrap();
    let moved = store.keys().create(&acme.scope, new_key(&acme)).await.unwrap();
    db.raw_execute(&format!("UPDATE api_keys SET agent_id = 'admin' WHERE key_id = '{}'", stolen.id)).await;
    db.raw_execute(&format!("UPDATE api_keys SET tenant_id = 'beta' WHERE key_id = '{}'", moved.id)).await;
    let keyring = Keyring::start(store).await.unwrap();
    for key in [stolen, moved] {
        assert_eq!(keyring.verify(key.token.expose_secret(), db.clock.now()).err(), Some(KeyRefusal::Unknown));
    }
}

pub(crate) async fn key_uses_are_written_once_a_minute(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    let used = store.keys().create(&acme.scope, new_key(&acme)).await.unwrap();
    let unused = store.keys().create(&acme.scope, new_key(&acme)).await.unwrap();
    let keyring = Keyring::start(store.clone()).await.unwrap();
    let last_used = async |id| store.keys().list(&acme.scope, "").await.unwrap().iter().find(|k| k.id == id).unwrap().last_used_at;
    let first_use = db.clock.now();
    for _ in 0..3 {
        keyring.verify(used.token.expose_secret(), db.clock.now()).unwrap();
    }
    db.clock.advance(Duration::from_secs(30));
    keyring.refresh().await.unwrap();
    assert_eq!(last_used(used.id).await, None, "not yet");
    db.clock.advance(Duration::from_secs(30));
    keyring.refresh().await.unwrap();
    assert_eq!(last_used(used.id).await, Some(first_use));
    assert_eq!(last_used(unused.id).await, None);
    keyring.verify(used.token.expose_secret(), db.clock.now()).unwrap();
    keyring.write_uses().await.unwrap();
    assert_eq!(last_used(used.id).await, Some(db.clock.now()));
}

pub(crate) async fn keys_are_limited_and_checked(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    let ghost = NewKey { agent_id: agent_id("ghost"), ..new_key(&acme) };
    assert_kind(store.keys().create(&acme.scope, ghost).await, StoreErrorKind::Conflict);
    let past = NewKey { expires_at: Some(db.clock.now()), ..new_key(&acme) };
    assert_kind(store.keys().create(&acme.scope, past).await, StoreErrorKind::Invalid);
    let label = NewKey { label: "a\u{7}".into(), ..new_key(&acme) };
    assert_kind(store.keys().create(&acme.scope, label).await, StoreErrorKind::Invalid);
    assert!(store.keys().list(&acme.scope, "").await.unwrap().is_empty(), "nothing half-made");

    let kept = store.keys().create(&acme.scope, new_key(&acme)).await.unwrap();
    let rows = db.raw_rows("SELECT mac, label FROM api_keys").await;
    let mac: Vec<u8> = rows[0].try_get("mac").unwrap();
    assert_eq!(mac.len(), 32);
    let series = if db.name() == "SQLite" {
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) SELECT i FROM n"
    } else {
        "SELECT generate_series(2, 10000) AS i"
    };
    db.raw_execute(&format!(
        "INSERT INTO api_keys (tenant_id, key_id, agent_id, label, mac, pepper_version, generation, created_at, created_by) \
         SELECT 'acme', 'f' || substr(cast(1000000000000000 + i AS TEXT), 2), 'worker', '', k.mac, 1, 1, 0, '' FROM ({series}) s, api_keys k"
    ))
    .await;
    assert_kind(store.keys().create(&acme.scope, new_key(&acme)).await, StoreErrorKind::Conflict);

    let keyring = Keyring::start(store).await.unwrap();
    let (token, now) = (kept.token.expose_secret(), db.clock.now());
    let batch = || {
        let begun = Instant::now();
        (0..1000).for_each(|_| drop(keyring.verify(token, now)));
        begun.elapsed() / 1000
    };
    let best = (0..10).map(|_| batch()).min().unwrap();
    eprintln!("one verification among 10,000 keys: {best:?}");
    // The promise is for optimised builds; an unoptimised one on a busy machine says nothing.
    assert!(cfg!(debug_assertions) || best < Duration::from_micros(2), "{best:?}");
}
