//! What is sealed opens only where it stands.

use bailiwick_store::Store;
use sqlx::Row;

use crate::rotation::{fill, open_with, other_file};
use crate::servers;
use crate::support::{Org, TestDb, make_org, operator};

/// Every sealed column, by statements that put into a row what belongs to another organisation, row, version or column. The columns are
/// those of the schema: a new one fails this test until it is here.
pub(crate) async fn no_moved_row_opens(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    fill(&store, &acme, 2).await;
    fill(&store, &beta, 2).await;
    servers::with_sealed_values(&store, &[&acme, &beta]).await;
    store.checkpoint_key().await.unwrap();
    store.rotation().rotate_org(&acme.scope).await.unwrap();
    let new_root = store.rotation().other_root(&other_file(db, "new.key")).unwrap();
    store.rotation().add_root(&operator(&store), &new_root).await.unwrap();
    assert_eq!(sealed_columns(db, &store).await, COVERED.map(|(table, column, _)| format!("{table}.{column}")));
    for (table, column, sources) in COVERED {
        for moved in sources {
            refuses(db, &acme, table, &[column], *moved).await;
        }
    }
    for (table, from, to) in ENVELOPES {
        refuses(db, &acme, table, &["data_key", "sealed"], (from, to)).await;
    }
}

/// A whole row that is called otherwise: given to another person, server, kind or version.
pub(crate) async fn no_renamed_row_opens(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    servers::with_sealed_values(&store, &[&acme]).await;
    let names = [("holder", "'carl'", "'ann'"), ("kind", "'verifier'", "'access'"), ("version", "version + 1", "version - 1")];
    for (column, is, was) in names {
        assert_eq!(db.raw_execute(&format!("UPDATE server_secrets SET {column} = {is} WHERE {ACME_ANN}")).await, 1);
        let opened = store.rotation().open_all(&acme.scope).await.unwrap();
        assert_eq!(opened.unreadable.len(), 1, "{column}: {opened:?}");
        let renamed = match column {
            "holder" => "tenant_id = 'acme' AND kind = 'access' AND holder = 'carl'",
            "kind" => "tenant_id = 'acme' AND kind = 'verifier' AND holder = 'ann'",
            _ => ACME_ANN,
        };
        assert_eq!(db.raw_execute(&format!("UPDATE server_secrets SET {column} = {was} WHERE {renamed}")).await, 1);
        assert!(store.rotation().open_all(&acme.scope).await.unwrap().unreadable.is_empty());
    }
    let other = "UPDATE server_secrets SET server_id = 'ffffffffffffffffffffffffffffffff'";
    assert_eq!(db.raw_execute(&format!("{other} WHERE {ACME_ANN}")).await, 1);
    assert_eq!(store.rotation().open_all(&acme.scope).await.unwrap().unreadable.len(), 1);
}

/// Puts `columns` of the row `to` in the place of others, sees that something does not open, and puts back what was there.
async fn refuses(db: &TestDb, acme: &Org, table: &str, columns: &[&str], (from, to): Move) {
    let set = |value: &dyn Fn(&str) -> String| {
        let set: Vec<String> = columns.iter().map(|column| format!("{column} = (SELECT {})", value(column))).collect();
        format!("UPDATE {table} SET {} WHERE {to}", set.join(", "))
    };
    db.raw_execute(&format!("CREATE TABLE kept AS SELECT * FROM {table} WHERE {to}")).await;
    // A single column says itself what takes its place; both of an envelope come from the same row.
    let moved = set(&|column| if columns.len() == 1 { from.to_owned() } else { format!("f.{column} FROM {from}") });
    assert_eq!(db.raw_execute(&moved).await, 1, "{moved}");
    assert!(something_is_closed(db, acme).await, "opens after {moved}");
    db.raw_execute(&set(&|column| format!("{column} FROM kept"))).await;
    db.raw_execute("DROP TABLE kept").await;
    assert!(!something_is_closed(db, acme).await, "{table} is as it was");
}

/// Whether anything of the organisation or the platform does not open, with the old root key or the new one.
async fn something_is_closed(db: &TestDb, org: &Org) -> bool {
    for root in ["root.key", "new.key"] {
        let Ok(store) = open_with(db, root).await else { return true };
        let opened = store.rotation().open_all(&org.scope).await.unwrap();
        if !opened.unreadable.is_empty() || store.checkpoint_key().await.is_err() {
            return true;
        }
    }
    false
}

async fn sealed_columns(db: &TestDb, store: &Store) -> Vec<String> {
    let mut found = Vec::new();
    for row in db.raw_rows(store.dialect().list_tables()).await {
        let table: String = row.try_get("name").unwrap();
        let columns = store.dialect().list_columns().replace("$1", &format!("'{table}'"));
        let columns = db.raw_rows(&columns).await.into_iter().map(|row| row.try_get::<String, _>("name").unwrap());
        let mut columns: Vec<String> =
            columns.filter(|name| ["data_key", "sealed", "wrapped", "next_wrapped"].contains(&name.as_str())).collect();
        columns.sort();
        found.extend(columns.iter().map(|column| format!("{table}.{column}")));
    }
    found
}

const ACME_S0: &str = "tenant_id = 'acme' AND name = 's000'";
const ACME: &str = "tenant_id = 'acme'";
const ACME_V2: &str = "tenant_id = 'acme' AND version = 2";
const ACME_ANN: &str = "tenant_id = 'acme' AND kind = 'access' AND holder = 'ann'";
const PLATFORM: &str = "version = 1";

/// What is put into a column, and into which row.
type Move = (&'static str, &'static str);

/// Table, and the row whose whole envelope comes there: those of one organisation are under the same key.
const ENVELOPES: [(&str, &str, &str); 9] = [
    // Another person, organisation, kind, server; and another table.
    ("server_secrets", "server_secrets f WHERE f.tenant_id = 'acme' AND f.kind = 'access' AND f.holder = 'bob'", ACME_ANN),
    ("server_secrets", "server_secrets f WHERE f.tenant_id = 'beta' AND f.kind = 'access' AND f.holder = 'ann'", ACME_ANN),
    ("server_secrets", "server_secrets f WHERE f.tenant_id = 'acme' AND f.kind = 'refresh' AND f.holder = 'ann'", ACME_ANN),
    ("server_secrets", "server_secrets f WHERE f.tenant_id = 'acme' AND f.kind = 'access' AND f.holder = ''", ACME_ANN),
    ("server_secrets", "secrets f WHERE f.tenant_id = 'acme' AND f.name = 's000'", ACME_ANN),
    ("secrets", "secrets f WHERE f.tenant_id = 'acme' AND f.name = 's001'", ACME_S0),
    ("secrets", "secrets f WHERE f.tenant_id = 'beta' AND f.name = 's000'", ACME_S0),
    ("secrets", "audit_keys f WHERE f.tenant_id = 'acme'", ACME_S0),
    ("audit_keys", "secrets f WHERE f.tenant_id = 'acme' AND f.name = 's000'", ACME),
];

/// Table, column, and what is tried there.
const COVERED: [(&str, &str, &[Move]); 12] = [
    (
        "audit_keys",
        "data_key",
        &[
            ("f.data_key FROM audit_keys f WHERE f.tenant_id = 'beta'", ACME),
            ("f.data_key FROM secrets f WHERE f.tenant_id = 'acme' AND f.name = 's000'", ACME),
            ("f.sealed FROM audit_keys f WHERE f.tenant_id = 'acme'", ACME),
        ],
    ),
    (
        "audit_keys",
        "sealed",
        &[
            ("f.sealed FROM audit_keys f WHERE f.tenant_id = 'beta'", ACME),
            ("f.sealed FROM secrets f WHERE f.tenant_id = 'acme' AND f.name = 's000'", ACME),
            ("f.data_key FROM audit_keys f WHERE f.tenant_id = 'acme'", ACME),
        ],
    ),
    (
        "platform_keys",
        "next_wrapped",
        &[("f.wrapped FROM platform_keys f", PLATFORM), ("f.next_wrapped FROM tenant_keys f WHERE f.tenant_id = 'beta'", PLATFORM)],
    ),
    (
        "platform_keys",
        "wrapped",
        &[("f.next_wrapped FROM platform_keys f", PLATFORM), ("f.wrapped FROM tenant_keys f WHERE f.tenant_id = 'beta'", PLATFORM)],
    ),
    (
        "platform_secrets",
        "data_key",
        &[("f.sealed FROM platform_secrets f", PLATFORM), ("f.data_key FROM audit_keys f WHERE f.tenant_id = 'beta'", PLATFORM)],
    ),
    (
        "platform_secrets",
        "sealed",
        &[("f.data_key FROM platform_secrets f", PLATFORM), ("f.sealed FROM audit_keys f WHERE f.tenant_id = 'beta'", PLATFORM)],
    ),
    (
        "secrets",
        "data_key",
        &[
            ("f.data_key FROM secrets f WHERE f.tenant_id = 'acme' AND f.name = 's001'", ACME_S0),
            ("f.data_key FROM secrets f WHERE f.tenant_id = 'beta' AND f.name = 's000'", ACME_S0),
            ("f.sealed FROM secrets f WHERE f.tenant_id = 'acme' AND f.name = 's000'", ACME_S0),
        ],
    ),
    (
        "secrets",
        "sealed",
        &[
            ("f.sealed FROM secrets f WHERE f.tenant_id = 'acme' AND f.name = 's001'", ACME_S0),
            ("f.sealed FROM secrets f WHERE f.tenant_id = 'beta' AND f.name = 's000'", ACME_S0),
            ("f.data_key FROM secrets f WHERE f.tenant_id = 'acme' AND f.name = 's000'", ACME_S0),
        ],
    ),
    (
        "server_secrets",
        "data_key",
        &[
            ("f.data_key FROM server_secrets f WHERE f.tenant_id = 'acme' AND f.kind = 'access' AND f.holder = 'bob'", ACME_ANN),
            ("f.data_key FROM server_secrets f WHERE f.tenant_id = 'beta' AND f.kind = 'access' AND f.holder = 'ann'", ACME_ANN),
            ("f.sealed FROM server_secrets f WHERE f.tenant_id = 'acme' AND f.kind = 'access' AND f.holder = 'ann'", ACME_ANN),
        ],
    ),
    (
        "server_secrets",
        "sealed",
        &[
            ("f.sealed FROM server_secrets f WHERE f.tenant_id = 'acme' AND f.kind = 'access' AND f.holder = 'bob'", ACME_ANN),
            ("f.sealed FROM server_secrets f WHERE f.tenant_id = 'beta' AND f.kind = 'access' AND f.holder = 'ann'", ACME_ANN),
            ("f.data_key FROM server_secrets f WHERE f.tenant_id = 'acme' AND f.kind = 'access' AND f.holder = 'ann'", ACME_ANN),
        ],
    ),
    (
        "tenant_keys",
        "next_wrapped",
        &[
            ("f.next_wrapped FROM tenant_keys f WHERE f.tenant_id = 'beta'", ACME_V2),
            ("f.next_wrapped FROM tenant_keys f WHERE f.tenant_id = 'acme' AND f.version = 1", ACME_V2),
            ("f.wrapped FROM tenant_keys f WHERE f.tenant_id = 'acme' AND f.version = 2", ACME_V2),
        ],
    ),
    (
        "tenant_keys",
        "wrapped",
        &[
            ("f.wrapped FROM tenant_keys f WHERE f.tenant_id = 'beta'", ACME_V2),
            ("f.wrapped FROM tenant_keys f WHERE f.tenant_id = 'acme' AND f.version = 1", ACME_V2),
            ("f.next_wrapped FROM tenant_keys f WHERE f.tenant_id = 'acme' AND f.version = 2", ACME_V2),
        ],
    ),
];
