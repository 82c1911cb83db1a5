//! Secrets, root key, sealed start, the keys of the ledger.

use std::fs;

use bailiwick_model::time::Clock as _;
use bailiwick_store::{KeyRefusal, Keyring, RootKeySource, SECRET_BYTES_MAX, Store, StoreErrorKind};
use secrecy::{ExposeSecret, SecretString};
use sqlx::Row;

use crate::support::{TestDb, assert_kind, make_org, new_key, operator, org_id};

pub(crate) async fn secrets_are_set_opened_and_deleted(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    let canary = "canary-5f1c9d07e2";
    assert_eq!(store.secrets().put(&acme.scope, "github.token", &canary.into()).await.unwrap(), 1);
    assert_eq!(store.secrets().open(&acme.scope, "github.token").await.unwrap().expose_secret(), canary);
    assert_eq!(store.secrets().put(&acme.scope, "github.token", &"second".into()).await.unwrap(), 2);
    assert_eq!(store.secrets().open(&acme.scope, "github.token").await.unwrap().expose_secret(), "second");
    let largest = "x".repeat(SECRET_BYTES_MAX);
    store.secrets().put(&acme.scope, "a", &largest.clone().into()).await.unwrap();
    assert_eq!(store.secrets().open(&acme.scope, "a").await.unwrap().expose_secret(), largest);

    let listed = store.secrets().list(&acme.scope, "").await.unwrap();
    assert_eq!(listed.iter().map(|s| (s.name.as_str(), s.version)).collect::<Vec<_>>(), [("a", 1), ("github.token", 2)]);
    assert_eq!(listed[1].updated_by, "operator");

    let too_large = SecretString::from(format!("{largest}x"));
    for (name, value) in [("", "v".into()), (".a", "v".into()), ("a b", "v".into()), ("é", "v".into()), ("n", "".into()), ("n", too_large)]
    {
        assert_kind(store.secrets().put(&acme.scope, name, &value).await, StoreErrorKind::Invalid);
    }
    let nowhere = operator(&store).within(&org_id("nowhere"));
    assert_kind(store.secrets().put(&nowhere, "n", &"v".into()).await, StoreErrorKind::Conflict);

    // A later process with the same root key opens what this one sealed.
    let later = db.open().await;
    assert_eq!(later.secrets().open(&acme.scope, "github.token").await.unwrap().expose_secret(), "second");
    store.secrets().delete(&acme.scope, "github.token").await.unwrap();
    let gone = assert_kind(later.secrets().open(&acme.scope, "github.token").await, StoreErrorKind::NotFound);
    let never = assert_kind(later.secrets().open(&acme.scope, "never").await, StoreErrorKind::NotFound);
    assert_eq!(gone.to_string(), never.to_string());
    assert_kind(store.secrets().delete(&acme.scope, "github.token").await, StoreErrorKind::NotFound);
}

pub(crate) async fn swapped_and_altered_rows_do_not_open(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    for org in [&acme, &beta] {
        for name in ["one", "two"] {
            store.secrets().put(&org.scope, name, &"value".into()).await.unwrap();
        }
    }
    let copy = |from: &str, to: &str| {
        let from = |column| format!("(SELECT {column} FROM secrets f WHERE {from})");
        format!("UPDATE secrets SET data_key = {}, sealed = {} WHERE {to}", from("data_key"), from("sealed"))
    };
    let moves = [
        copy("f.tenant_id = 'acme' AND f.name = 'one'", "tenant_id = 'acme' AND name = 'two'"),
        copy("f.tenant_id = 'beta' AND f.name = 'two'", "tenant_id = 'acme' AND name = 'two'"),
        "UPDATE secrets SET version = 2 WHERE tenant_id = 'acme' AND name = 'two'".to_owned(),
        "UPDATE secrets SET sealed = data_key WHERE tenant_id = 'acme' AND name = 'two'".to_owned(),
    ];
    for statement in moves {
        assert_eq!(db.raw_execute(&statement).await, 1, "{statement}");
        let error = assert_kind(store.secrets().open(&acme.scope, "two").await, StoreErrorKind::Corrupt);
        assert!(error.message().contains("`two`"), "{error}");
        assert_eq!(store.secrets().open(&acme.scope, "one").await.unwrap().expose_secret(), "value");
        // Setting it again repairs it.
        store.secrets().put(&acme.scope, "two", &"value".into()).await.unwrap();
        assert_eq!(store.secrets().open(&acme.scope, "two").await.unwrap().expose_secret(), "value");
    }
    // The key of one organisation does not pass for another's.
    let wrapped =
        "UPDATE tenant_keys SET wrapped = (SELECT wrapped FROM tenant_keys k WHERE k.tenant_id = 'beta') WHERE tenant_id = 'acme'";
    db.raw_execute(wrapped).await;
    let later = db.open().await;
    assert_kind(later.secrets().open(&acme.scope, "one").await, StoreErrorKind::Corrupt);
    assert_eq!(later.secrets().open(&beta.scope, "one").await.unwrap().expose_secret(), "value");
}

pub(crate) async fn a_sealed_store_serves_what_needs_no_secret(db: &TestDb) {
    let store = db.open().await;
    assert_eq!(store.sealed(), None);
    let acme = make_org(&store, "acme").await;
    store.secrets().put(&acme.scope, "s", &"value".into()).await.unwrap();
    let key = store.keys().create(&acme.scope, new_key(&acme)).await.unwrap();
    let kept = db.dir.path().join("kept.key");
    fs::rename(db.key_file(), &kept).unwrap();

    let sealed = db.open().await;
    assert!(sealed.sealed().unwrap().contains("root.key"), "{:?}", sealed.sealed());
    assert!(!db.key_file().exists(), "no new root key beside sealed rows");
    let error = assert_kind(sealed.secrets().open(&acme.scope, "s").await, StoreErrorKind::Sealed);
    assert!(error.remedy().contains("root_key_file"));
    assert_kind(sealed.secrets().put(&acme.scope, "t", &"value".into()).await, StoreErrorKind::Sealed);
    assert_kind(sealed.keys().create(&acme.scope, new_key(&acme)).await.map(|_| ()), StoreErrorKind::Sealed);
    assert_kind(sealed.audit_key(&acme.scope).await, StoreErrorKind::Sealed);
    assert_kind(sealed.checkpoint_key().await, StoreErrorKind::Sealed);
    let keyring = Keyring::start(sealed.clone()).await.unwrap();
    assert_eq!(keyring.verify(key.token.expose_secret(), db.clock.now()).err(), Some(KeyRefusal::Sealed));
    assert_eq!(sealed.agents().list(&acme.scope, "").await.unwrap().len(), 1);
    assert_eq!(sealed.secrets().list(&acme.scope, "").await.unwrap().len(), 1);
    sealed.keys().revoke(&acme.scope, key.id).await.unwrap();

    // With the key back everything opens again.
    let text = fs::read_to_string(&kept).unwrap();
    let source = RootKeySource::Environment { name: "BAILIWICK_ROOT_KEY".into(), value: text.into() };
    let opened = Store::open(db.options(source)).await.unwrap();
    assert!(opened.warnings()[0].contains("BAILIWICK_ROOT_KEY"), "{:?}", opened.warnings());
    assert_eq!(opened.secrets().open(&acme.scope, "s").await.unwrap().expose_secret(), "value");
    let none = Store::open(db.options(RootKeySource::None)).await.unwrap();
    assert!(none.sealed().is_some());
}

pub(crate) async fn the_wrong_root_key_is_refused(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    store.secrets().put(&acme.scope, "s", &"value".into()).await.unwrap();
    let wrong = "00".repeat(32);
    let source = RootKeySource::Environment { name: "K".into(), value: wrong.as_str().into() };
    let error = assert_kind(Store::open(db.options(source)).await, StoreErrorKind::Sealed);
    assert!(!format!("{error:?}").contains(&wrong));
    // Pretending that the row belongs to the wrong key does not help either.
    let id: String = db.raw_rows("SELECT root_key_id FROM platform_keys").await[0].try_get(0).unwrap();
    let named: Vec<&str> = error.message().split(|c: char| !c.is_ascii_hexdigit()).filter(|word| word.len() == 16).collect();
    assert_eq!(named.len(), 2, "{error}");
    assert_eq!(named[1], id);
    db.raw_execute(&format!("UPDATE platform_keys SET root_key_id = '{}'", named[0])).await;
    let source = RootKeySource::Environment { name: "K".into(), value: wrong.as_str().into() };
    assert_kind(Store::open(db.options(source)).await, StoreErrorKind::Corrupt);
}

pub(crate) async fn first_opening_at_the_same_time_agrees_on_one_key(db: &TestDb) {
    let (a, b, c, d) = tokio::join!(db.try_open(), db.try_open(), db.try_open(), db.try_open());
    let stores = [a.unwrap(), b.unwrap(), c.unwrap(), d.unwrap()];
    let acme = make_org(&stores[0], "acme").await;
    let (a, b, c, d) = tokio::join!(
        stores[0].audit_key(&acme.scope),
        stores[1].audit_key(&acme.scope),
        stores[2].audit_key(&acme.scope),
        stores[3].audit_key(&acme.scope)
    );
    let digests = [a, b, c, d].map(|key| key.unwrap().digest(b"x"));
    assert!(digests.iter().all(|digest| *digest == digests[0]));
    for (index, store) in stores.iter().enumerate() {
        store.secrets().put(&acme.scope, &format!("s{index}"), &"value".into()).await.unwrap();
    }
    for index in 0..stores.len() {
        assert!(db.open().await.secrets().open(&acme.scope, &format!("s{index}")).await.is_ok());
    }
}

pub(crate) async fn ledger_keys_are_stable_and_differ(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    let key = store.audit_key(&acme.scope).await.unwrap();
    assert_ne!(key.digest(b"x"), key.digest(b"y"));
    assert_ne!(key.digest(b"x"), store.audit_key(&beta.scope).await.unwrap().digest(b"x"));
    let signer = store.checkpoint_key().await.unwrap();
    let later = db.open().await;
    assert_eq!(later.audit_key(&acme.scope).await.unwrap().digest(b"x"), key.digest(b"x"));
    assert_eq!(later.checkpoint_key().await.unwrap().public_key(), signer.public_key());
    let verifier = aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, signer.public_key());
    assert!(verifier.verify(b"tree", &signer.sign(b"tree")).is_ok());
    assert!(verifier.verify(b"three", &signer.sign(b"tree")).is_err());
    let nowhere = operator(&store).within(&org_id("nowhere"));
    assert_kind(store.audit_key(&nowhere).await, StoreErrorKind::Conflict);
    // Nothing of it stays when it failed: the organisation can be created and gets a key that is stored.
    store.orgs().create(&operator(&store), &org_id("nowhere")).await.unwrap();
    let digest = store.audit_key(&nowhere).await.unwrap().digest(b"x");
    assert_eq!(db.open().await.audit_key(&nowhere).await.unwrap().digest(b"x"), digest);
}
