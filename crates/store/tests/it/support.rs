//! A database per test, a clock that is set by hand, and raw statements for tampering.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bailiwick_model::time::{Clock, Random};
use bailiwick_model::{AgentId, AgentType, OrgId, Timestamp};
use bailiwick_store::{
    DatabaseUrl, Migrate, NewKey, OpenOptions, OrgScope, PlatformScope, RootKeySource, Store, StoreError, StoreErrorKind, StoreResult,
};
use bailiwick_testkit::postgres::{Postgres, TestDatabase};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Connection};
use tempfile::TempDir;

/// Some moment; no test depends on which.
const START_MICROS: i64 = 1_785_000_000_000_000;

pub(crate) struct ManualClock(AtomicI64);

impl ManualClock {
    pub(crate) fn advance(&self, span: Duration) {
        self.0.fetch_add(i64::try_from(span.as_micros()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn set_back(&self, span: Duration) {
        self.0.fetch_sub(i64::try_from(span.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

pub(crate) struct LibraryRandom;

impl Random for LibraryRandom {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).unwrap();
    }
}

pub(crate) struct TestDb {
    pub(crate) url: DatabaseUrl,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) dir: TempDir,
    postgres: Option<TestDatabase>,
}

impl TestDb {
    pub(crate) fn sqlite() -> Self {
        let dir = TempDir::new().unwrap();
        let url = DatabaseUrl::sqlite(&dir.path().join("bw.db")).unwrap();
        Self { url, clock: Self::clock(), dir, postgres: None }
    }

    pub(crate) fn postgres(server: &Postgres) -> Self {
        let database = server.database();
        let url = DatabaseUrl::parse(&database.url).unwrap();
        Self { url, clock: Self::clock(), dir: TempDir::new().unwrap(), postgres: Some(database) }
    }

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock(START_MICROS.into()))
    }

    pub(crate) fn name(&self) -> &'static str {
        self.url.dialect().name()
    }

    /// The database on the test server; only for tests of PostgreSQL.
    pub(crate) fn database(&self) -> &TestDatabase {
        self.postgres.as_ref().unwrap()
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.dir.path().join("root.key")
    }

    pub(crate) fn options(&self, root_key: RootKeySource) -> OpenOptions {
        OpenOptions {
            database: self.url.clone(),
            root_key,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            random: Arc::new(LibraryRandom),
            migrate: Migrate::Apply,
        }
    }

    pub(crate) fn root_key(&self) -> RootKeySource {
        RootKeySource::File { path: self.key_file(), create: true }
    }

    pub(crate) async fn try_open(&self) -> StoreResult<Store> {
        Store::open(self.options(self.root_key())).await
    }

    pub(crate) async fn open(&self) -> Store {
        self.try_open().await.unwrap()
    }

    /// A connection without any of the store's protections: on PostgreSQL a superuser's.
    pub(crate) async fn raw(&self) -> AnyConnection {
        sqlx::any::install_default_drivers();
        let url = match &self.postgres {
            Some(database) => database.admin_url.clone(),
            None => format!("sqlite://{}", self.url.sqlite_path().unwrap().display()),
        };
        AnyConnection::connect(&url).await.unwrap()
    }

    pub(crate) async fn raw_execute(&self, statement: &str) -> u64 {
        let mut connection = self.raw().await;
        let done = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        done.rows_affected()
    }

    pub(crate) async fn raw_rows(&self, statement: &str) -> Vec<AnyRow> {
        let mut connection = self.raw().await;
        let rows = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        rows
    }
}

/// An organisation with one agent, and the operator inside it.
pub(crate) struct Org {
    pub(crate) scope: OrgScope,
    pub(crate) agent: AgentId,
}

pub(crate) fn org_id(name: &str) -> OrgId {
    OrgId::parse(name).unwrap()
}

pub(crate) fn agent_id(name: &str) -> AgentId {
    AgentId::parse(name).unwrap()
}

pub(crate) fn agent_type(name: &str) -> AgentType {
    AgentType::parse(name).unwrap()
}

pub(crate) fn operator(store: &Store) -> PlatformScope {
    store.platform("operator").unwrap()
}

pub(crate) async fn make_org(store: &Store, name: &str) -> Org {
    let platform = operator(store);
    let org = org_id(name);
    store.orgs().create(&platform, &org).await.unwrap();
    let scope = platform.within(&org);
    let agent = agent_id("worker");
    store.agents().create(&scope, &agent, &agent_type("research")).await.unwrap();
    Org { scope, agent }
}

pub(crate) fn new_key(org: &Org) -> NewKey {
    NewKey { agent_id: org.agent.clone(), sub: None, label: "test".into(), expires_at: None }
}

#[track_caller]
pub(crate) fn assert_kind<T>(result: Result<T, StoreError>, kind: StoreErrorKind) -> StoreError {
    let error = result.err().unwrap_or_else(|| panic!("expected {kind:?}, got a success"));
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(!error.message().is_empty() && !error.remedy().is_empty());
    error
}
