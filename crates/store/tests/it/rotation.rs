//! Changing the keys that seal: what opens before, between and after; what is refused; writers at the same time.

use std::fs;

use bailiwick_model::time::Clock as _;
use bailiwick_store::{Keyring, Opened, RootKeySource, Store, StoreErrorKind, StoreResult};
use secrecy::{ExposeSecret, SecretString};

use crate::servers;
use crate::support::{Org, TestDb, assert_kind, make_org, new_key, operator};

/// More than two batches.
const SECRETS: usize = 150;
const WRITERS: usize = 4;
const ROTATIONS: usize = 5;

fn value(name: &str) -> SecretString {
    format!("value of {name}").into()
}

pub(crate) async fn fill(store: &Store, org: &Org, count: usize) {
    for number in 0..count {
        let name = format!("s{number:03}");
        store.secrets().put(&org.scope, &name, &value(&name)).await.unwrap();
    }
    store.audit_key(&org.scope).await.unwrap();
}

/// Every secret has its value, and nothing else of the organisation is closed either.
async fn all_open(store: &Store, org: &Org, count: usize) {
    for number in 0..count {
        let name = format!("s{number:03}");
        assert_eq!(store.secrets().open(&org.scope, &name).await.unwrap().expose_secret(), value(&name).expose_secret());
    }
    let opened = store.rotation().open_all(&org.scope).await.unwrap();
    assert_eq!(opened, Opened { opened: count as u64 + 1, unreadable: Vec::new() });
}

async fn rows(store: &Store, org: &Org) -> Vec<(i64, i64)> {
    store.rotation().org_keys(&org.scope).await.unwrap().iter().map(|key| (key.version, key.rows())).collect()
}

pub(crate) fn other_file(db: &TestDb, name: &str) -> RootKeySource {
    RootKeySource::File { path: db.dir.path().join(name), create: true }
}

pub(crate) async fn open_with(db: &TestDb, name: &str) -> StoreResult<Store> {
    Store::open(db.options(other_file(db, name))).await
}

pub(crate) async fn an_organisations_key_is_changed_and_retired(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    fill(&store, &acme, SECRETS).await;
    fill(&store, &beta, 1).await;
    let digest = store.audit_key(&acme.scope).await.unwrap().digest(b"x");
    let all = i64::try_from(SECRETS).unwrap() + 1;
    assert_kind(store.rotation().retire(&acme.scope, 1).await, StoreErrorKind::Conflict);
    db.raw_execute("CREATE TABLE kept AS SELECT data_key FROM secrets WHERE tenant_id = 'acme' AND name = 's007'").await;

    let rotated = store.rotation().rotate_org(&acme.scope).await.unwrap();
    assert_eq!((rotated.version, rotated.added, rotated.moved, rotated.left), (2, true, all as u64, 0), "{rotated:?}");
    assert_eq!(rows(&store, &acme).await, [(1, 0), (2, all)]);
    assert_eq!(rows(&store, &beta).await, [(1, 2)], "another organisation is left alone");
    all_open(&store, &acme, SECRETS).await;
    let later = db.open().await;
    all_open(&later, &acme, SECRETS).await;
    assert_eq!(later.audit_key(&acme.scope).await.unwrap().digest(b"x"), digest, "what is sealed stays the same");

    store.secrets().put(&acme.scope, "late", &"v".into()).await.unwrap();
    assert_eq!(rows(&store, &acme).await, [(1, 0), (2, all + 1)], "new values are sealed with the new version");
    store.secrets().delete(&acme.scope, "late").await.unwrap();
    // A row as it was before: a change that was cut off goes on, without a third version.
    let back = "UPDATE secrets SET tenant_key = 1, data_key = (SELECT data_key FROM kept) WHERE tenant_id = 'acme' AND name = 's007'";
    assert_eq!(db.raw_execute(back).await, 1);
    all_open(&store, &acme, SECRETS).await;
    let refused = assert_kind(store.rotation().retire(&acme.scope, 1).await, StoreErrorKind::Conflict);
    assert!(refused.message().contains("secrets: 1") && refused.remedy().contains("keys rotate --org acme"), "{refused}");
    let rotated = store.rotation().rotate_org(&acme.scope).await.unwrap();
    assert_eq!((rotated.version, rotated.added, rotated.moved, rotated.left), (2, false, 1, 0), "{rotated:?}");

    let newest = assert_kind(store.rotation().retire(&acme.scope, 2).await, StoreErrorKind::Conflict);
    assert!(newest.message().contains("newest"), "{newest}");
    assert_kind(store.rotation().retire(&acme.scope, 3).await, StoreErrorKind::NotFound);
    store.rotation().retire(&acme.scope, 1).await.unwrap();
    assert_kind(store.rotation().retire(&acme.scope, 1).await, StoreErrorKind::NotFound);
    assert_eq!(rows(&store, &beta).await, [(1, 2)], "nor is its key retired with that of another");
    all_open(&db.open().await, &acme, SECRETS).await;
    let nowhere = operator(&store).within(&crate::support::org_id("nowhere"));
    assert_kind(store.rotation().rotate_org(&nowhere).await, StoreErrorKind::NotFound);
}

pub(crate) async fn the_root_key_is_changed_while_both_are_in_use(db: &TestDb) {
    let old = db.open().await;
    let acme = make_org(&old, "acme").await;
    fill(&old, &acme, 3).await;
    let key = old.keys().create(&acme.scope, new_key(&acme)).await.unwrap();
    let signer = old.checkpoint_key().await.unwrap().public_key();

    let new_root = old.rotation().other_root(&other_file(db, "new.key")).unwrap();
    assert_kind(open_with(db, "new.key").await, StoreErrorKind::Sealed);
    let moved = old.rotation().add_root(&operator(&old), &new_root).await.unwrap();
    assert_eq!((moved.keys, moved.changed), (2, 2));
    assert_eq!(old.rotation().add_root(&operator(&old), &new_root).await.unwrap().changed, 0, "again changes nothing");
    let roots = old.rotation().org_keys(&acme.scope).await.unwrap()[0].root_keys.clone();
    assert_eq!(roots, [old.root_key_id().unwrap(), new_root.id()]);

    // Both open everything, restarted or not.
    let (new, again) = (open_with(db, "new.key").await.unwrap(), db.open().await);
    for store in [&old, &new, &again] {
        all_open(store, &acme, 3).await;
        assert_eq!(store.checkpoint_key().await.unwrap().public_key(), signer);
        let keyring = Keyring::start(store.clone()).await.unwrap();
        assert!(keyring.verify(key.token.expose_secret(), db.clock.now()).is_ok(), "API keys go on");
    }

    let moved = new.rotation().keep_root(&operator(&new), None).await.unwrap();
    assert_eq!((moved.keys, moved.changed), (2, 2));
    all_open(&open_with(db, "new.key").await.unwrap(), &acme, 3).await;
    // Who holds the old one is told what to do, and makes nothing that others could not open.
    let refused = assert_kind(db.try_open().await, StoreErrorKind::Sealed);
    assert!(refused.remedy().contains("root_key_file") && refused.message().contains(&new_root.id()), "{refused}");
    let beta = make_org(&old, "beta").await;
    let refused = assert_kind(old.secrets().put(&beta.scope, "s", &"v".into()).await, StoreErrorKind::Sealed);
    assert!(refused.message().contains(&new_root.id()), "{refused}");
    assert_eq!(old.secrets().open(&acme.scope, "s000").await.unwrap().expose_secret(), "value of s000", "what it has opened goes on");
}

pub(crate) async fn keys_made_between_the_two_steps_are_taken_over(db: &TestDb) {
    let old = db.open().await;
    let acme = make_org(&old, "acme").await;
    fill(&old, &acme, 2).await;
    let new_root = old.rotation().other_root(&other_file(db, "new.key")).unwrap();
    old.rotation().add_root(&operator(&old), &new_root).await.unwrap();
    let beta = make_org(&old, "beta").await;
    fill(&old, &beta, 2).await;

    let new = open_with(db, "new.key").await.unwrap();
    let closed = assert_kind(new.secrets().open(&beta.scope, "s000").await, StoreErrorKind::Sealed);
    assert!(closed.message().contains("`beta`") && closed.remedy().contains("keys rotate --root"), "{closed}");
    assert_eq!(new.rotation().open_all(&beta.scope).await.unwrap().unreadable.len(), 3);
    let refused = assert_kind(new.rotation().keep_root(&operator(&new), None).await, StoreErrorKind::Conflict);
    assert!(refused.remedy().contains("--old-root-key-file"), "{refused}");
    all_open(&db.open().await, &acme, 2).await;

    let old_root = new.rotation().other_root(&db.root_key()).unwrap();
    new.rotation().keep_root(&operator(&new), Some(&old_root)).await.unwrap();
    for org in [&acme, &beta] {
        all_open(&open_with(db, "new.key").await.unwrap(), org, 2).await;
    }
}

pub(crate) async fn a_change_of_the_root_key_can_be_taken_back_but_not_doubled(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    fill(&store, &acme, 2).await;
    let rotation = store.rotation();
    let (one, two) = ["one.key", "two.key"].map(|name| rotation.other_root(&other_file(db, name)).unwrap()).into();
    rotation.add_root(&operator(&store), &one).await.unwrap();
    assert_kind(rotation.add_root(&operator(&store), &two).await, StoreErrorKind::Conflict);
    rotation.keep_root(&operator(&store), None).await.unwrap();
    assert_kind(open_with(db, "one.key").await, StoreErrorKind::Sealed);
    rotation.add_root(&operator(&store), &two).await.unwrap();
    all_open(&open_with(db, "two.key").await.unwrap(), &acme, 2).await;

    let same = assert_kind(rotation.other_root(&db.root_key()).map(|_| ()), StoreErrorKind::Invalid);
    assert!(same.message().contains("configured"), "{same}");
    let missing = RootKeySource::File { path: db.dir.path().join("none.key"), create: false };
    assert_kind(rotation.other_root(&missing).map(|_| ()), StoreErrorKind::Invalid);
    fs::remove_file(db.key_file()).unwrap();
    let sealed = db.open().await;
    assert_kind(sealed.rotation().rotate_org(&acme.scope).await, StoreErrorKind::Sealed);
    assert_kind(sealed.rotation().keep_root(&operator(&sealed), None).await, StoreErrorKind::Sealed);
    assert_kind(sealed.rotation().open_all(&acme.scope).await, StoreErrorKind::Sealed);
    assert_eq!(sealed.rotation().org_keys(&acme.scope).await.unwrap().len(), 1, "what there is can be told without it");
}

pub(crate) async fn secrets_are_written_while_keys_change(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    fill(&store, &acme, SECRETS).await;
    let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write(store.clone(), acme.scope.clone(), writer))).collect();
    let rotating = db.open().await;
    for _ in 0..ROTATIONS {
        rotating.rotation().rotate_org(&acme.scope).await.unwrap();
    }
    for writer in writers {
        writer.await.unwrap();
    }
    // Whoever was faster than the last walk is found by the next one.
    rotating.rotation().rotate_org(&acme.scope).await.unwrap();
    all_open(&db.open().await, &acme, SECRETS).await;
    let keys = rows(&store, &acme).await;
    assert!(keys.len() > ROTATIONS && keys.iter().rev().skip(1).all(|(_, rows)| *rows == 0), "{keys:?}");
    for (version, _) in keys.iter().rev().skip(1) {
        store.rotation().retire(&acme.scope, *version).await.unwrap();
    }
    all_open(&db.open().await, &acme, SECRETS).await;
}

pub(crate) async fn tokens_of_servers_are_moved_with_the_rest(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    let server = servers::with_sealed_values(&store, &[&acme, &beta]).await;
    // More than two batches.
    for number in 0..80 {
        let holder = servers::person(&format!("p{number:02}"));
        store.connections().put(&acme.scope, server, &holder, &servers::issuer(), &servers::tokens(&holder.to_string())).await.unwrap();
    }
    let before = store.rotation().open_all(&acme.scope).await.unwrap();
    assert!(before.opened > 160 && before.unreadable.is_empty(), "{before:?}");
    let rotated = store.rotation().rotate_org(&acme.scope).await.unwrap();
    assert_eq!((rotated.moved, rotated.left, rotated.version), (before.opened, 0, 2), "{rotated:?}");
    assert_eq!(store.rotation().org_keys(&beta.scope).await.unwrap().len(), 1, "another organisation is left alone");
    let refused = store.rotation().org_keys(&acme.scope).await.unwrap()[1].rows_by_table();
    assert!(refused.contains("server_secrets: "), "{refused}");
    store.rotation().retire(&acme.scope, 1).await.unwrap();
    let later = db.open().await;
    assert_eq!(later.rotation().open_all(&acme.scope).await.unwrap(), before);
    let opened = later.connections().open_access(&acme.scope, server, &servers::person("p79")).await.unwrap().unwrap();
    assert_eq!(opened.access.expose_secret(), "access of p79");
}

/// Sets secrets of its own again and again, to the same value, and reads them back.
async fn write(store: Store, scope: bailiwick_store::OrgScope, writer: usize) {
    for round in 0..20 {
        let name = format!("s{:03}", round * WRITERS + writer);
        store.secrets().put(&scope, &name, &value(&name)).await.unwrap();
        assert_eq!(store.secrets().open(&scope, &name).await.unwrap().expose_secret(), value(&name).expose_secret());
    }
}
