//! The store: pools, transactions bound to an organisation, and how it opens.

use std::sync::Arc;

use bailiwick_model::time::{Clock, Random};
use bailiwick_model::{OrgId, Timestamp};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Connection, Transaction};

use crate::database::DatabaseUrl;
use crate::dialect::Dialect;
use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::ledger::IndexFile;
use crate::migrate::{self, Migrate};
use crate::pool::{self, Pools};
use crate::rls;
use crate::root_key::RootKeySource;
use crate::run::RunCache;
use crate::scope::{PlatformScope, Tenant};
use crate::sealed_keys::SealedKeyCache;
use crate::session::SessionCache;
use crate::vault::Vault;

/// What [`Store::open`] needs.
pub struct OpenOptions {
    /// Where the rows are.
    pub database: DatabaseUrl,
    /// Where the root key comes from.
    pub root_key: RootKeySource,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Unpredictable bytes for keys, nonces and ids.
    pub random: Arc<dyn Random>,
    /// What to do about the schema.
    pub migrate: Migrate,
}

/// Rows of all organisations behind functions that each take a scope. A clone is cheap and shares everything.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    database: DatabaseUrl,
    pools: Pools,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    vault: Vault,
    warnings: Vec<String>,
    pub(crate) sealed_keys: SealedKeyCache,
    pub(crate) sessions: SessionCache,
    pub(crate) runs: RunCache,
    index_file: Option<Arc<IndexFile>>,
}

impl Store {
    /// Opens the database, brings its schema to this binary's version or checks it, verifies row security and takes the root key.
    /// Without a root key the store opens [sealed](Self::sealed).
    ///
    /// # Errors
    /// Any kind; message and remedy are meant for the operator. `Sealed` means that a root key was given but is not the right one.
    /// Answers within seconds even when the database does not.
    pub async fn open(options: OpenOptions) -> StoreResult<Self> {
        let mut connection = pool::connect_alone(&options.database).await?;
        let prepared = prepare(&mut connection, &options).await;
        // The outcome of the preparation says more than that of closing.
        let closed = connection.close().await;
        let (vault, warnings) = prepared?;
        closed?;
        let pools = Pools::new(&options.database)?;
        let OpenOptions { database, clock, random, .. } = options;
        let (sealed_keys, sessions, runs) = (SealedKeyCache::default(), SessionCache::default(), RunCache::default());
        let index_file = IndexFile::of(&database);
        Ok(Self(Arc::new(Inner { database, pools, clock, random, vault, warnings, sealed_keys, sessions, runs, index_file })))
    }

    /// What the operator should hear once, at start.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.0.warnings
    }

    /// Why the store is sealed; `None` when it is open.
    #[must_use]
    pub fn sealed(&self) -> Option<&str> {
        match &self.0.vault {
            Vault::Open(_) => None,
            Vault::Sealed { reason } => Some(reason),
        }
    }

    /// Runs the database's own check of the file (SQLite `quick_check`); PostgreSQL checks its pages itself. Takes time in proportion to
    /// the size of the database.
    ///
    /// # Errors
    /// `Corrupt` with the first fault as cause.
    pub async fn check_integrity(&self) -> StoreResult<()> {
        if self.dialect() == Dialect::Postgres {
            return Ok(());
        }
        let first: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&self.0.pools.read).await?;
        if first == "ok" { Ok(()) } else { Err(StoreError::corrupt("the database file is damaged").with_cause(first)) }
    }

    /// The operator's scope, for the local command line and background work. `actor` is stored beside what he does.
    ///
    /// # Errors
    /// `Invalid` when `actor` is empty, longer than 128 characters or contains control characters.
    pub fn platform(&self, actor: &str) -> StoreResult<PlatformScope> {
        PlatformScope::new(actor)
    }

    /// Which database this is.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.0.database.dialect()
    }

    /// The database setting, safe to show.
    #[must_use]
    pub fn database(&self) -> &DatabaseUrl {
        &self.0.database
    }

    /// Waits for running statements and closes all connections. Later calls answer `Unavailable`.
    pub async fn close(&self) {
        self.0.pools.close().await;
        if let Some(file) = &self.0.index_file {
            file.close();
        }
    }

    /// A transaction that reads the rows of one organisation.
    pub(crate) async fn read(&self, tenant: &impl Tenant) -> StoreResult<Tx> {
        self.begin(&self.0.pools.read, self.dialect().begin_read(), Some(tenant.org())).await
    }

    /// A transaction that writes rows of one organisation.
    pub(crate) async fn write(&self, tenant: &impl Tenant) -> StoreResult<Tx> {
        self.begin(&self.0.pools.write, self.dialect().begin_write(), Some(tenant.org())).await
    }

    /// A transaction that reads platform rows. Tables of organisations are empty in it on PostgreSQL.
    pub(crate) async fn read_platform(&self, _scope: &PlatformScope) -> StoreResult<Tx> {
        self.begin(&self.0.pools.read, self.dialect().begin_read(), None).await
    }

    /// A transaction that writes platform rows.
    pub(crate) async fn write_platform(&self, _scope: &PlatformScope) -> StoreResult<Tx> {
        self.begin(&self.0.pools.write, self.dialect().begin_write(), None).await
    }

    /// A transaction that may look up API keys across organisations; only `system.rs` uses it.
    pub(crate) async fn read_keys_of_all(&self, _scope: &PlatformScope) -> StoreResult<Tx> {
        let mut tx = self.begin(&self.0.pools.read, self.dialect().begin_read(), None).await?;
        if let Some(bind) = self.dialect().bind_key_lookup() {
            sqlx::query(bind).execute(tx.connection()).await?;
        }
        Ok(tx)
    }

    /// A transaction that reads what all organisations have at servers.
    pub(crate) async fn read_servers(&self, _scope: &PlatformScope) -> StoreResult<Tx> {
        let mut tx = self.begin(&self.0.pools.read, self.dialect().begin_read(), None).await?;
        self.bind_servers(&mut tx).await?;
        Ok(tx)
    }

    /// A transaction that changes servers, for an organisation or the platform. It reads what all organisations have at servers, and writes
    /// it after [`bind`](Self::bind); only `server/` and what hangs on servers use it.
    pub(crate) async fn write_servers(&self, org: Option<&OrgId>) -> StoreResult<Tx> {
        let mut tx = self.begin(&self.0.pools.write, self.dialect().begin_write(), org).await?;
        self.bind_servers(&mut tx).await?;
        Ok(tx)
    }

    async fn bind_servers(&self, tx: &mut Tx) -> StoreResult<()> {
        if let Some(bind) = self.dialect().bind_servers() {
            sqlx::query(bind).execute(tx.connection()).await?;
        }
        Ok(())
    }

    /// Binds the transaction to another organisation from here on.
    pub(crate) async fn bind(&self, tx: &mut Tx, org: &OrgId) -> StoreResult<()> {
        if let Some(bind) = self.dialect().bind_tenant() {
            sqlx::query(bind).bind(org.as_str()).execute(tx.connection()).await?;
        }
        Ok(())
    }

    /// For a single statement on platform tables; anything else needs a transaction.
    pub(crate) fn read_pool(&self) -> &AnyPool {
        &self.0.pools.read
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.0.vault
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    pub(crate) fn random(&self) -> &dyn Random {
        self.0.random.as_ref()
    }

    /// The file of the index of events; `None` where the index is written like everything else.
    pub(crate) fn index_file(&self) -> Option<Arc<IndexFile>> {
        self.0.index_file.clone()
    }

    /// The right to write for somebody with a connection of his own.
    pub(crate) async fn writing_turn(&self) -> StoreResult<PoolConnection<Any>> {
        self.0.pools.write.acquire().await.map_err(|error| self.not_begun(error))
    }

    fn not_begun(&self, error: sqlx::Error) -> StoreError {
        match (error, self.dialect()) {
            // The one writing connection is taken: somebody of our own holds the lock.
            (sqlx::Error::PoolTimedOut, Dialect::Sqlite) => StoreError::new(
                StoreErrorKind::Locked,
                "the database is busy with other writers",
                "retry; look for a long operation if it persists",
            ),
            (error, _) => error.into(),
        }
    }

    async fn begin(&self, pool: &AnyPool, statement: &'static str, org: Option<&OrgId>) -> StoreResult<Tx> {
        let mut transaction = pool.begin_with(statement).await.map_err(|error| self.not_begun(error))?;
        if let (Some(org), Some(bind)) = (org, self.dialect().bind_tenant()) {
            sqlx::query(bind).bind(org.as_str()).execute(&mut *transaction).await?;
        }
        Ok(Tx(transaction))
    }
}

async fn prepare(connection: &mut AnyConnection, options: &OpenOptions) -> StoreResult<(Vault, Vec<String>)> {
    let dialect = options.database.dialect();
    let now = options.clock.now();
    match options.migrate {
        Migrate::Apply => {
            migrate::run(connection, dialect, now).await?;
        }
        Migrate::Verify => migrate::verify(connection, dialect).await?,
    }
    if dialect == Dialect::Postgres {
        rls::check(connection, options.database.superuser_allowed()).await?;
    }
    Vault::open(connection, dialect.begin_write(), &options.root_key, options.random.as_ref(), now.as_micros()).await
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.0.database)
    }
}

/// A transaction, on PostgreSQL bound to its organisation by `app.tenant`. Dropped without [`commit`](Self::commit) it is rolled back.
pub(crate) struct Tx(Transaction<'static, Any>);

impl Tx {
    /// The connection to run statements on.
    pub(crate) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.0
    }

    /// Makes the writes durable.
    pub(crate) async fn commit(self) -> StoreResult<()> {
        Ok(self.0.commit().await?)
    }
}
