//! What only PostgreSQL has: row security, roles, a server.

use std::time::{Duration, Instant};

use bailiwick_model::DocOwner;
use bailiwick_model::time::Clock as _;
use bailiwick_store::{DatabaseUrl, Migrate, OpenOptions, Store, StoreErrorKind, Whereabouts, apply_migrations, grant_role};
use bailiwick_testkit::postgres::{Postgres, TestDatabase};
use secrecy::ExposeSecret;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};

use crate::faults::{assert_locked_in_time, assert_usable};
use crate::support::{TestDb, assert_kind, make_org, new_key, operator, org_id};
use crate::{feedback, instructions, runs, servers};

/// One server for all of them: starting one costs a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_security_roles_and_faults() {
    let Some(server) = Postgres::shared() else { return };
    eprintln!("on PostgreSQL");
    rows_are_blocked(server).await;
    servers_are_seen_by_whom_they_are_for(server).await;
    the_role_is_checked(server).await;
    unprotected_tables_are_refused(server).await;
    a_role_that_owns_nothing_can_serve(server).await;
    locks_are_reported_in_time(server).await;
    a_read_only_server_is_named(server).await;
    an_absent_server_is_reported_in_time(server).await;
}

async fn app(database: &TestDatabase) -> AnyConnection {
    AnyConnection::connect(&database.url).await.unwrap()
}

async fn count(connection: &mut AnyConnection, table: &str) -> i64 {
    let statement = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    sqlx::query(statement).fetch_one(connection).await.unwrap().try_get(0).unwrap()
}

/// The role of the service, with any statement it likes, sees one organisation or none.
async fn rows_are_blocked(server: &Postgres) {
    let db = TestDb::postgres(server);
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    make_org(&store, "beta").await;
    store.secrets().put(&acme.scope, "s", &"v".into()).await.unwrap();
    store.keys().create(&acme.scope, new_key(&acme)).await.unwrap();
    let mut connection = app(db.database()).await;
    instructions::put(&store, &acme.scope, &DocOwner::Org, &instructions::text("rule", "x", "v")).await;
    runs::start(&store, &acme.scope, &runs::person("ann", ""), Whereabouts::default()).await;
    feedback::put(&store, &acme.scope, "gap", "other", None).await;
    let tenant_tables = ["agents", "api_keys", "secrets", "tenant_keys", "content_docs", "content_revisions", "runs", "tool_feedback"];
    for table in tenant_tables {
        assert_eq!(count(&mut connection, table).await, 0, "{table} without a binding");
    }
    let mut transaction = connection.begin().await.unwrap();
    sqlx::query("SELECT set_config('app.tenant', 'beta', true)").execute(&mut *transaction).await.unwrap();
    for table in tenant_tables {
        let expected = i64::from(table == "agents");
        assert_eq!(count(&mut transaction, table).await, expected, "{table} bound to the other organisation");
    }
    let touched = sqlx::query("UPDATE secrets SET name = 'stolen'").execute(&mut *transaction).await.unwrap();
    assert_eq!(touched.rows_affected(), 0);
    let planted = sqlx::query("INSERT INTO agents VALUES ('acme', 'planted', 't', 0, 'x', NULL)").execute(&mut *transaction).await;
    assert_eq!(planted.unwrap_err().as_database_error().unwrap().code().as_deref(), Some("42501"));
    drop(transaction);
    // The binding ends with its transaction, so a pooled connection starts without one.
    assert_eq!(count(&mut connection, "agents").await, 0);
    // The binding of the key look-up reads two tables and writes none.
    let mut transaction = connection.begin().await.unwrap();
    sqlx::query("SELECT set_config('app.platform', 'keys', true)").execute(&mut *transaction).await.unwrap();
    assert_eq!(count(&mut transaction, "api_keys").await, 1);
    assert_eq!(count(&mut transaction, "secrets").await, 0);
    let touched = sqlx::query("UPDATE api_keys SET revoked_at = NULL").execute(&mut *transaction).await.unwrap();
    assert_eq!(touched.rows_affected(), 0);
}

/// With any statement it likes, an organisation sees the servers that are for it, changes its own, and lets itself see no other.
async fn servers_are_seen_by_whom_they_are_for(server: &Postgres) {
    let db = TestDb::postgres(server);
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    let id = servers::with_sealed_values(&store, &[&acme, &beta]).await;
    let own = store.servers().register(&acme.scope, &servers::manual("own"), None).await.unwrap().id;
    store.connections().delete(&acme.scope, id, &servers::person("bob")).await.unwrap();
    let mut connection = app(db.database()).await;
    let shared = ["mcp_servers", "server_clients"];
    let held = ["connections", "server_secrets", "mcp_server_orgs", "token_revocations"];
    for table in shared.iter().chain(&held) {
        assert_eq!(count(&mut connection, table).await, 0, "{table} without a binding");
    }
    for (org, seen) in [("acme", [2, 2, 2, 6, 1, 2]), ("beta", [1, 1, 3, 6, 0, 0])] {
        let mut transaction = connection.begin().await.unwrap();
        sqlx::query("SELECT set_config('app.tenant', $1, true)").bind(org).execute(&mut *transaction).await.unwrap();
        for (table, expected) in shared.iter().chain(&held).zip(seen) {
            assert_eq!(count(&mut transaction, table).await, expected, "{table} bound to {org}");
        }
        let renamed = sqlx::query("UPDATE mcp_servers SET display_name = 'stolen'").execute(&mut *transaction).await.unwrap();
        assert_eq!(renamed.rows_affected(), u64::from(org == "acme"), "only its own");
        assert_eq!(sqlx::query("DELETE FROM server_clients").execute(&mut *transaction).await.unwrap().rows_affected(), 0);
    }
    let bound = async |connection: &mut AnyConnection, statement: String| {
        let mut transaction = connection.begin().await.unwrap();
        sqlx::query("SELECT set_config('app.tenant', 'beta', true)").execute(&mut *transaction).await.unwrap();
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *transaction).await.map(|done| done.rows_affected())
    };
    let granted = bound(&mut connection, format!("INSERT INTO mcp_server_orgs VALUES ('beta', '{own}')")).await;
    assert_eq!(granted.unwrap_err().as_database_error().unwrap().code().as_deref(), Some("42501"));
    // Work on a server across organisations reads where it has to look, and writes nothing unbound; it sees no sealed value.
    let mut transaction = connection.begin().await.unwrap();
    sqlx::query("SELECT set_config('app.platform', 'servers', true)").execute(&mut *transaction).await.unwrap();
    assert_eq!(count(&mut transaction, "connections").await, 5);
    assert_eq!(count(&mut transaction, "server_secrets").await, 0);
    assert_eq!(sqlx::query("DELETE FROM connections").execute(&mut *transaction).await.unwrap().rows_affected(), 0);
}

async fn the_role_is_checked(server: &Postgres) {
    let db = TestDb::postgres(server);
    let admin = DatabaseUrl::parse(&db.database().admin_url).unwrap();
    let open = |database| Store::open(OpenOptions { database, ..db.options(db.root_key()) });
    let error = assert_kind(open(admin.clone()).await, StoreErrorKind::Schema);
    assert!(error.message().contains("superuser") && error.remedy().contains("allow_superuser"), "{error}");
    open(admin.allow_superuser(true)).await.unwrap();
}

async fn unprotected_tables_are_refused(server: &Postgres) {
    let db = TestDb::postgres(server);
    db.open().await;
    let cases = [
        ("ALTER TABLE secrets NO FORCE ROW LEVEL SECURITY", "ALTER TABLE secrets FORCE ROW LEVEL SECURITY"),
        ("ALTER TABLE agents DISABLE ROW LEVEL SECURITY", "ALTER TABLE agents ENABLE ROW LEVEL SECURITY"),
        ("CREATE POLICY open ON secrets USING (true)", "DROP POLICY open ON secrets"),
        ("CREATE TABLE forgotten (tenant_id TEXT)", "DROP TABLE forgotten"),
        (
            "DROP POLICY tenant ON secrets",
            "CREATE POLICY tenant ON secrets USING (tenant_id = current_setting('app.tenant', true)) \
             WITH CHECK (tenant_id = current_setting('app.tenant', true))",
        ),
        (
            "ALTER POLICY tenant ON secrets USING (true)",
            "ALTER POLICY tenant ON secrets USING (tenant_id = current_setting('app.tenant', true))",
        ),
        ("ALTER TABLE mcp_servers NO FORCE ROW LEVEL SECURITY", "ALTER TABLE mcp_servers FORCE ROW LEVEL SECURITY"),
        ("ALTER TABLE server_clients DISABLE ROW LEVEL SECURITY", "ALTER TABLE server_clients ENABLE ROW LEVEL SECURITY"),
        (
            "ALTER POLICY visible ON server_clients USING (true)",
            "ALTER POLICY visible ON server_clients USING (EXISTS (SELECT 1 FROM mcp_servers s WHERE s.server_id = server_clients.server_id))",
        ),
        (
            "ALTER POLICY owner ON mcp_servers WITH CHECK (true)",
            "ALTER POLICY owner ON mcp_servers WITH CHECK (owner_org = current_setting('app.tenant', true))",
        ),
        ("DROP POLICY unchanged ON mcp_server_orgs", "CREATE POLICY unchanged ON mcp_server_orgs AS RESTRICTIVE FOR UPDATE USING (false)"),
        (
            "CREATE POLICY servers_read ON server_secrets FOR SELECT USING (current_setting('app.platform', true) = 'servers')",
            "DROP POLICY servers_read ON server_secrets",
        ),
        (
            "CREATE POLICY platform_read ON secrets FOR SELECT USING (current_setting('app.platform', true) = 'keys')",
            "DROP POLICY platform_read ON secrets",
        ),
    ];
    for (damage, repair) in cases {
        db.raw_execute(damage).await;
        let error = assert_kind(db.try_open().await, StoreErrorKind::Schema);
        assert!(
            ["secrets", "agents", "forgotten", "mcp_server", "server_clients"].iter().any(|table| error.message().contains(table)),
            "{damage}: {error}"
        );
        db.raw_execute(repair).await;
        db.open().await;
    }
}

async fn a_role_that_owns_nothing_can_serve(server: &Postgres) {
    let db = TestDb::postgres(server);
    let role = "plain \"role\"";
    db.raw_execute("DROP ROLE IF EXISTS \"plain \"\"role\"\"\"; CREATE ROLE \"plain \"\"role\"\"\" LOGIN").await;
    let url = DatabaseUrl::parse(&db.database().url.replace("bailiwick@", "plain%20%22role%22@")).unwrap();
    let options = || OpenOptions { database: url.clone(), migrate: Migrate::Verify, ..db.options(db.root_key()) };
    let owner = DatabaseUrl::parse(&db.database().admin_url).unwrap();
    apply_migrations(&owner, db.clock.now()).await.unwrap();
    assert_kind(Store::open(options()).await, StoreErrorKind::Schema);
    grant_role(&owner, role).await.unwrap();
    let store = Store::open(options()).await.unwrap();
    let acme = make_org(&store, "acme").await;
    store.secrets().put(&acme.scope, "s", &"v".into()).await.unwrap();
    assert_eq!(store.secrets().open(&acme.scope, "s").await.unwrap().expose_secret(), "v");
    let keyring = bailiwick_store::Keyring::start(store.clone()).await.unwrap();
    let key = store.keys().create(&acme.scope, new_key(&acme)).await.unwrap();
    keyring.refresh().await.unwrap();
    assert!(keyring.verify(key.token.expose_secret(), db.clock.now()).is_ok());
    let mut connection = AnyConnection::connect(&db.database().url.replace("bailiwick@", "plain%20%22role%22@")).await.unwrap();
    assert!(sqlx::query("DELETE FROM schema_migrations").execute(&mut connection).await.is_err());
    assert_kind(grant_role(&owner, "").await, StoreErrorKind::Invalid);
}

async fn locks_are_reported_in_time(server: &Postgres) {
    let db = TestDb::postgres(server);
    let store = db.open().await;
    let mut holder = db.raw().await;
    let mut transaction = holder.begin().await.unwrap();
    sqlx::query("LOCK TABLE organisations IN ACCESS EXCLUSIVE MODE").execute(&mut *transaction).await.unwrap();
    assert_locked_in_time(&store).await;
    transaction.rollback().await.unwrap();
    assert_usable(&db, &store).await;
}

async fn a_read_only_server_is_named(server: &Postgres) {
    let db = TestDb::postgres(server);
    db.open().await;
    let name = db.raw_rows("SELECT current_database()::text").await[0].try_get::<String, _>(0).unwrap();
    db.raw_execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    let store = db.open().await;
    assert!(store.orgs().list(&operator(&store), "").await.unwrap().is_empty());
    let error = assert_kind(store.orgs().create(&operator(&store), &org_id("a")).await, StoreErrorKind::Unavailable);
    assert!(error.message().contains("read-only"), "{error}");
}

/// Connections cut off from under the store are replaced; a server that is not there is reported within seconds.
async fn an_absent_server_is_reported_in_time(server: &Postgres) {
    let db = TestDb::postgres(server);
    let store = db.open().await;
    store.orgs().list(&operator(&store), "").await.unwrap();
    let cut =
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    db.raw_rows(cut).await;
    store.orgs().list(&operator(&store), "").await.unwrap();

    let absent = DatabaseUrl::parse("postgres://u:hunter2@127.0.0.1:9/none").unwrap();
    let begun = Instant::now();
    let error = assert_kind(Store::open(OpenOptions { database: absent, ..db.options(db.root_key()) }).await, StoreErrorKind::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(6));
    assert!(!format!("{error:?}").contains("hunter2"));
    let missing = DatabaseUrl::parse(&db.database().url.replace("@localhost/", "@localhost/missing_")).unwrap();
    let error = assert_kind(Store::open(OpenOptions { database: missing, ..db.options(db.root_key()) }).await, StoreErrorKind::Unavailable);
    assert!(error.message().contains("does not exist"), "{error}");
}
