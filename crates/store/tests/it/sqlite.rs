//! What only SQLite has: a file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use bailiwick_store::{DatabaseUrl, Keyring, Migrate, OpenOptions, Store, StoreErrorKind};
use secrecy::ExposeSecret;
use sqlx::{AssertSqlSafe, Connection};

use crate::faults::{assert_locked_in_time, assert_usable};
use crate::servers;
use crate::support::{TestDb, assert_kind, make_org, new_key, operator, org_id};

#[tokio::test]
async fn a_locked_file_is_reported_in_time_and_recovers() {
    let db = TestDb::sqlite();
    let store = db.open().await;
    let mut holder = db.raw().await;
    let transaction = holder.begin_with("BEGIN EXCLUSIVE").await.unwrap();
    assert_locked_in_time(&store).await;
    // Readers are not disturbed, and an opening that has nothing to write succeeds.
    store.orgs().list(&operator(&store), "").await.unwrap();
    db.open().await;
    transaction.rollback().await.unwrap();
    assert_usable(&db, &store).await;
}

#[tokio::test]
async fn a_locked_empty_file_is_reported_in_time() {
    let db = TestDb::sqlite();
    fs::write(db.url.sqlite_path().unwrap(), "").unwrap();
    let mut holder = db.raw().await;
    let transaction = holder.begin_with("BEGIN EXCLUSIVE").await.unwrap();
    let begun = Instant::now();
    assert_kind(db.try_open().await, StoreErrorKind::Locked);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    transaction.rollback().await.unwrap();
    db.open().await;
}

#[tokio::test]
async fn a_read_only_database_reads_and_refuses_writes() {
    let db = TestDb::sqlite();
    let store = db.open().await;
    make_org(&store, "acme").await;
    store.close().await;
    let url = DatabaseUrl::parse(&format!("{}?mode=ro", db.url)).unwrap();
    let read_only = Store::open(OpenOptions { database: url, migrate: Migrate::Verify, ..db.options(db.root_key()) }).await.unwrap();
    assert_eq!(read_only.orgs().list(&operator(&read_only), "").await.unwrap().len(), 1);
    let error = assert_kind(read_only.orgs().create(&operator(&read_only), &org_id("b")).await, StoreErrorKind::Unavailable);
    assert!(error.message().contains("read-only"), "{error}");
}

#[tokio::test]
async fn damaged_and_missing_places_are_named() {
    let db = TestDb::sqlite();
    let path = db.url.sqlite_path().unwrap();
    fs::write(path, "this is not a database, and it is longer than a header of one hundred bytes, so that it is read as a page of one")
        .unwrap();
    assert_kind(db.try_open().await, StoreErrorKind::Corrupt);
    fs::remove_file(path).unwrap();

    let nowhere = DatabaseUrl::sqlite(&db.dir.path().join("no/such/dir/bw.db")).unwrap();
    let error = assert_kind(Store::open(OpenOptions { database: nowhere, ..db.options(db.root_key()) }).await, StoreErrorKind::Unavailable);
    assert!(error.message().contains("no/such/dir"), "{error}");
    let directory = DatabaseUrl::sqlite(db.dir.path()).unwrap();
    assert_kind(Store::open(OpenOptions { database: directory, ..db.options(db.root_key()) }).await, StoreErrorKind::Unavailable);

    // A page in the middle is overwritten: the check finds it.
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    for index in 0..40 {
        store.secrets().put(&acme.scope, &format!("s{index}"), &"x".repeat(2000).into()).await.unwrap();
    }
    store.close().await;
    drop(store);
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0xa5);
    fs::write(path, bytes).unwrap();
    let checked = match db.try_open().await {
        Ok(store) => store.check_integrity().await,
        Err(error) => Err(error),
    };
    assert_kind(checked, StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn strange_names_work_and_files_are_private() {
    let db = TestDb::sqlite();
    let path = db.dir.path().join("a b?ü#%20&.db");
    let url = DatabaseUrl::sqlite(&path).unwrap();
    let store = Store::open(OpenOptions { database: url, ..db.options(db.root_key()) }).await.unwrap();
    make_org(&store, "acme").await;
    for name in ["a b?ü#%20&.db", "a b?ü#%20&.db-wal", "a b?ü#%20&.db-shm"] {
        let mode = fs::metadata(db.dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn no_secret_reaches_the_files() {
    let db = TestDb::sqlite();
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    let mut canaries = Vec::new();
    for index in 0..20 {
        let canary = format!("canary-{index}-7c3e9a51");
        store.secrets().put(&acme.scope, &format!("s{index}"), &canary.as_str().into()).await.unwrap();
        canaries.push(canary);
        let key = store.keys().create(&acme.scope, new_key(&acme)).await.unwrap();
        canaries.push(key.token.expose_secret()[20..63].to_owned());
    }
    let server = servers::with_sealed_values(&store, &[&acme]).await;
    store.connections().delete(&acme.scope, server, &servers::person("ann")).await.unwrap();
    assert!(!store.revocations().lease_due(&operator(&store), Duration::from_secs(1)).await.unwrap().is_empty());
    canaries.extend(["access of ", "refresh of "].map(str::to_owned));
    let keyring = Keyring::start(store.clone()).await.unwrap();
    keyring.write_uses().await.unwrap();
    let root_key = fs::read_to_string(db.key_file()).unwrap();
    canaries.push(root_key.trim().to_owned());
    let mut files = 0;
    for entry in fs::read_dir(db.dir.path()).unwrap().map(Result::unwrap).filter(|e| e.path() != db.key_file()) {
        let bytes = fs::read(entry.path()).unwrap();
        for canary in &canaries {
            let raw = data_encoding::HEXLOWER.decode(canary.as_bytes()).unwrap_or_else(|_| canary.clone().into_bytes());
            assert!(!bytes.windows(raw.len()).any(|window| window == raw), "{canary} in {:?}", entry.path());
        }
        files += 1;
    }
    assert!(files >= 2, "database and write-ahead log");
}

#[tokio::test]
async fn tables_are_strict() {
    let db = TestDb::sqlite();
    db.open().await;
    let lax = "SELECT name FROM pragma_table_list WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND strict = 0";
    let mut connection = db.raw().await;
    assert!(sqlx::query(AssertSqlSafe(lax.to_owned())).fetch_all(&mut connection).await.unwrap().is_empty());
}
