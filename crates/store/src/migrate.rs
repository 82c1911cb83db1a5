//! Brings the schema to the version of this binary, under a lock, in one transaction: after a kill at any instruction either all
//! pending steps are there or none. A binary that is older than the schema refuses to run.

use aws_lc_rs::digest::{SHA256, digest};
use bailiwick_model::Timestamp;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};

use crate::database::DatabaseUrl;
use crate::dialect::Dialect;
use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::migrations::{MIGRATIONS, Migration};
use crate::pool;

/// PostgreSQL cuts longer names.
const ROLE_BYTES_MAX: usize = 63;

/// What to do about the schema at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migrate {
    /// Apply what is missing.
    Apply,
    /// Change nothing; refuse when something is missing.
    Verify,
}

/// What [`apply`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrateReport {
    /// Version found; 0 for an empty database.
    pub before: i64,
    /// Version now.
    pub after: i64,
    /// Names of the steps that were applied.
    pub applied: Vec<&'static str>,
}

/// Applies pending migrations with this URL's role, without opening the store: `bailiwick db migrate`. The role may own the tables or
/// be a superuser; the role of the running service should be neither.
///
/// # Errors
/// `Schema` when the database is newer than this binary or was migrated with other texts; `Locked` when another migrator does not finish.
pub async fn apply(database: &DatabaseUrl, now: Timestamp) -> StoreResult<MigrateReport> {
    let mut connection = pool::connect_alone(database).await?;
    let report = run(&mut connection, database.dialect(), now).await;
    let closed = connection.close().await;
    let report = report?;
    closed?;
    Ok(report)
}

/// Lets `role` use the tables of a migrated PostgreSQL database without owning them, those of later migrations included; the service
/// then runs with that role. Call it with the URL of the owner.
///
/// # Errors
/// `Invalid` on SQLite and for a role name with a control character or more than 63 bytes; otherwise as the server gives them.
pub async fn grant(database: &DatabaseUrl, role: &str) -> StoreResult<()> {
    if database.dialect() != Dialect::Postgres {
        return Err(StoreError::invalid("SQLite has no roles", "give the service user the file instead"));
    }
    if role.is_empty() || role.len() > ROLE_BYTES_MAX || role.chars().any(char::is_control) {
        return Err(StoreError::invalid(
            "the role name is empty, too long or contains control characters",
            "give the name of an existing role",
        ));
    }
    let quoted = role.replace('"', "\"\"");
    let mut connection = pool::connect_alone(database).await?;
    let mut transaction = connection.begin().await?;
    for statement in Dialect::GRANTS {
        // The name is quoted as an identifier; nothing else is put into the text.
        sqlx::raw_sql(AssertSqlSafe(statement.replace("ROLE", &format!("\"{quoted}\"")))).execute(&mut *transaction).await?;
    }
    Ok(transaction.commit().await?)
}

pub(crate) async fn run(connection: &mut AnyConnection, dialect: Dialect, now: Timestamp) -> StoreResult<MigrateReport> {
    let found = found_version(connection, dialect).await?;
    if found == newest() {
        // Nothing to do, so neither the lock nor the right to create tables is needed.
        return Ok(MigrateReport { before: found, after: found, applied: Vec::new() });
    }
    let mut transaction = connection.begin_with(dialect.begin_write()).await?;
    for statement in dialect.migration_lock() {
        sqlx::query(*statement).execute(&mut *transaction).await?;
    }
    sqlx::raw_sql(dialect.create_migrations_table()).execute(&mut *transaction).await?;
    let before = check_applied(&mut transaction).await?;
    let mut applied = Vec::new();
    for migration in MIGRATIONS.iter().filter(|m| m.version > before) {
        step(&mut transaction, dialect, migration, now).await?;
        applied.push(migration.name);
    }
    transaction.commit().await?;
    Ok(MigrateReport { before, after: newest(), applied })
}

/// Refuses unless exactly the migrations of this binary are applied.
pub(crate) async fn verify(connection: &mut AnyConnection, dialect: Dialect) -> StoreResult<()> {
    let found = found_version(connection, dialect).await?;
    if found == newest() {
        return Ok(());
    }
    let message = format!("the database schema is at version {found}, this binary needs version {}", newest());
    Err(StoreError::new(StoreErrorKind::Schema, message, "run `bailiwick db migrate`"))
}

async fn found_version(connection: &mut AnyConnection, dialect: Dialect) -> StoreResult<i64> {
    let exists = sqlx::query(dialect.migrations_table_exists()).fetch_optional(&mut *connection).await?.is_some();
    if exists { check_applied(connection).await } else { Ok(0) }
}

fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |m| m.version)
}

async fn step(connection: &mut AnyConnection, dialect: Dialect, migration: &Migration, now: Timestamp) -> StoreResult<()> {
    let text = match dialect {
        Dialect::Sqlite => migration.sqlite,
        Dialect::Postgres => migration.postgres,
    };
    sqlx::raw_sql(text).execute(&mut *connection).await?;
    sqlx::query("INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)")
        .bind(migration.version)
        .bind(migration.name)
        .bind(checksum(text))
        .bind(now.as_micros())
        .execute(&mut *connection)
        .await?;
    Ok(())
}

/// Compares what is applied with what is embedded and gives the highest applied version.
async fn check_applied(connection: &mut AnyConnection) -> StoreResult<i64> {
    let rows = sqlx::query("SELECT version, name, checksum FROM schema_migrations ORDER BY version").fetch_all(&mut *connection).await?;
    let sqlite = connection.backend_name() == "SQLite";
    let mut highest = 0;
    for row in rows {
        let version: i64 = row.try_get("version")?;
        let Some(known) = MIGRATIONS.iter().find(|m| m.version == version) else {
            let message = format!("the database schema has version {version}, this binary knows versions up to {}", newest());
            return Err(StoreError::new(StoreErrorKind::Schema, message, "run the newer Bailiwick that migrated it, or restore a backup"));
        };
        let text = if sqlite { known.sqlite } else { known.postgres };
        if row.try_get::<Vec<u8>, _>("checksum")? != checksum(text) || row.try_get::<String, _>("name")? != known.name {
            let message = format!("migration {} was applied with another text than this binary carries", known.name);
            return Err(StoreError::new(StoreErrorKind::Schema, message, "use a released binary; do not edit applied migrations"));
        }
        highest = version;
    }
    Ok(highest)
}

fn checksum(text: &str) -> Vec<u8> {
    digest(&SHA256, text.as_bytes()).as_ref().to_vec()
}
