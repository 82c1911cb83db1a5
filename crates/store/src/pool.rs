//! Connections and pools. SQLite has one writing connection, so that writers queue here instead of failing on the file's lock, and
//! several reading ones; PostgreSQL has one pool.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, ConnectOptions, Connection, Row};

use crate::database::DatabaseUrl;
use crate::dialect::{ACQUIRE_WAIT, Dialect, LOCK_WAIT};
use crate::error::{StoreError, StoreErrorKind, StoreResult};

/// Reading connections of a SQLite store.
const SQLITE_READERS_MAX: u32 = 4;
/// Connections of a PostgreSQL store.
const POSTGRES_CONNECTIONS_MAX: u32 = 16;
/// Pause between two attempts to switch a busy SQLite file to write-ahead logging.
const WAL_RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Where statements run.
#[derive(Clone, Debug)]
pub(crate) struct Pools {
    pub(crate) read: AnyPool,
    pub(crate) write: AnyPool,
}

impl Pools {
    /// Opens nothing yet but the file; connections are made when needed.
    pub(crate) fn new(database: &DatabaseUrl) -> StoreResult<Self> {
        let options = connect_options(database)?;
        match database.dialect() {
            Dialect::Sqlite => Ok(Self {
                write: pool_options(Dialect::Sqlite, 1).connect_lazy_with(options.clone()),
                read: pool_options(Dialect::Sqlite, SQLITE_READERS_MAX).connect_lazy_with(options),
            }),
            Dialect::Postgres => {
                let pool = pool_options(Dialect::Postgres, POSTGRES_CONNECTIONS_MAX).connect_lazy_with(options);
                Ok(Self { read: pool.clone(), write: pool })
            }
        }
    }

    pub(crate) async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

fn connect_options(database: &DatabaseUrl) -> StoreResult<AnyConnectOptions> {
    static DRIVERS: Once = Once::new();
    DRIVERS.call_once(sqlx::any::install_default_drivers);
    // The driver's own error could repeat the URL; ours does not.
    let options: AnyConnectOptions = database
        .driver_url()
        .expose_secret()
        .parse()
        .map_err(|_| StoreError::invalid("the database URL cannot be used", "correct `database` in the configuration"))?;
    // Statement texts carry no values, but they would drown an operator's log; failures reach him through our own errors.
    Ok(options.disable_statement_logging())
}

/// On a full disk SQLite ends a transaction by itself. The driver's own rollback then fails, and from there on it takes the connection
/// for one inside a transaction and begins no other; so such a connection is closed when it is wanted next.
fn pool_options(dialect: Dialect, connections_max: u32) -> AnyPoolOptions {
    let options =
        AnyPoolOptions::new().max_connections(connections_max).acquire_timeout(ACQUIRE_WAIT).after_connect(move |connection, _| {
            Box::pin(async move {
                for statement in dialect.connection_setup() {
                    sqlx::query(*statement).execute(&mut *connection).await?;
                }
                Ok(())
            })
        });
    match dialect {
        // A file does not go away; reconnecting would only lose its caches.
        Dialect::Sqlite => options
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) })),
        Dialect::Postgres => options,
    }
}

/// One connection outside any pool, set up like the others.
pub(crate) async fn connect_alone(database: &DatabaseUrl) -> StoreResult<AnyConnection> {
    if let Some(path) = database.sqlite_path().filter(|_| !database.read_only()) {
        create_private_file(path)?;
    }
    let options = connect_options(database)?;
    let mut connection = tokio::time::timeout(ACQUIRE_WAIT, options.connect()).await.map_err(|_| {
        StoreError::new(StoreErrorKind::Unavailable, "the database does not answer", "check that it runs and can be reached")
    })??;
    for statement in database.dialect().connection_setup() {
        sqlx::query(*statement).execute(&mut connection).await?;
    }
    if database.dialect() == Dialect::Sqlite && !database.read_only() {
        switch_to_wal(&mut connection).await?;
    }
    Ok(connection)
}

/// SQLite gives its `-wal` and `-shm` files the permissions of the main file, so this one decides for all three.
fn create_private_file(path: &Path) -> StoreResult<()> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    match opened {
        Ok(_) => Ok(()),
        // An existing file that is not ours to write may still be readable: SQLite will say exactly what is wrong.
        Err(_) if path.exists() => Ok(()),
        Err(error) => {
            let message = format!("the database file {} cannot be created", path.display());
            Err(StoreError::new(StoreErrorKind::Unavailable, message, "create its directory and give it to the service user")
                .with_cause(error))
        }
    }
}

/// The switch does not wait for other connections by itself, and two processes may start at the same time.
async fn switch_to_wal(connection: &mut AnyConnection) -> StoreResult<()> {
    let attempts = LOCK_WAIT.as_millis() / WAL_RETRY_PAUSE.as_millis();
    let mut attempt = 0;
    loop {
        let outcome = sqlx::query("PRAGMA journal_mode = WAL").fetch_one(&mut *connection).await.map_err(StoreError::from);
        match outcome {
            Err(error) if error.kind() == StoreErrorKind::Locked && attempt < attempts => {
                attempt += 1;
                tokio::time::sleep(WAL_RETRY_PAUSE).await;
            }
            Err(error) => return Err(error),
            Ok(row) if row.try_get::<String, _>(0)? == "wal" => return Ok(()),
            Ok(_) => {
                return Err(StoreError::new(
                    StoreErrorKind::Unavailable,
                    "the file system of the database does not support write-ahead logging",
                    "put the SQLite file on a local disk, or use PostgreSQL",
                ));
            }
        }
    }
}
