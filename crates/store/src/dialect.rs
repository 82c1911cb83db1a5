//! Everything that differs between SQLite and PostgreSQL. Statements elsewhere are one text for both, in the common subset
//! (ecosystem reference section 5.1: `$1` parameters, columns of TEXT, BIGINT, SMALLINT, DOUBLE PRECISION and BLOB/BYTEA only).

use std::time::Duration;

/// How long a statement waits for a lock before it answers `Locked`.
pub const LOCK_WAIT: Duration = Duration::from_secs(2);

/// How long a caller waits for a usable connection.
pub(crate) const ACQUIRE_WAIT: Duration = Duration::from_secs(4);

/// Which database stands behind the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// The embedded database.
    Sqlite,
    /// PostgreSQL 15 or newer.
    Postgres,
}

impl Dialect {
    /// The product's name as operators know it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }

    /// Run on every new connection of a pool.
    pub(crate) const fn connection_setup(self) -> &'static [&'static str] {
        match self {
            // A store of keys and secrets must survive a power cut: FULL. Writes are rare enough.
            Self::Sqlite => {
                &["PRAGMA busy_timeout = 2000", "PRAGMA foreign_keys = ON", "PRAGMA synchronous = FULL", "PRAGMA trusted_schema = OFF"]
            }
            Self::Postgres => &[
                "SET statement_timeout = '10s'",
                "SET lock_timeout = '2s'",
                "SET idle_in_transaction_session_timeout = '30s'",
                "SET row_security = on",
            ],
        }
    }

    /// Begins a transaction that will write. SQLite takes the write lock at once, because a later upgrade could fail without waiting.
    pub(crate) const fn begin_write(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// Begins a transaction that only reads.
    pub(crate) const fn begin_read(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::Postgres => "BEGIN READ ONLY",
        }
    }

    /// Binds the transaction to an organisation for the row policies; `$1` is the organisation.
    pub(crate) const fn bind_tenant(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("SELECT set_config('app.tenant', $1, true)"),
        }
    }

    /// Opens the transaction for the look-up of keys across organisations (policy `platform_read`).
    pub(crate) const fn bind_key_lookup(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("SELECT set_config('app.platform', 'keys', true)"),
        }
    }

    /// Opens the transaction for servers across organisations (policies `platform_write` and `servers_read`).
    pub(crate) const fn bind_servers(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("SELECT set_config('app.platform', 'servers', true)"),
        }
    }

    /// Reads how the newest key of the platform is wrapped. Nobody changes that before the transaction ends: on SQLite a transaction that
    /// writes is alone, PostgreSQL is told.
    pub(crate) const fn hold_platform_key(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT root_key_id, wrapped, next_root_key_id, next_wrapped FROM platform_keys ORDER BY version DESC LIMIT 1",
            Self::Postgres => {
                "SELECT root_key_id, wrapped, next_root_key_id, next_wrapped FROM platform_keys ORDER BY version DESC LIMIT 1 FOR SHARE"
            }
        }
    }

    /// First statements of the migration transaction: waits longer for locks, and admits one migrator at a time.
    pub(crate) const fn migration_lock(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &[],
            Self::Postgres => &[
                "SET LOCAL lock_timeout = '60s'",
                "SET LOCAL statement_timeout = '10min'",
                // An arbitrary constant of ours: the bytes of "bailiwck" as a number.
                "SELECT pg_advisory_xact_lock(7089063202804687723)",
            ],
        }
    }

    /// What a PostgreSQL role that owns nothing needs to serve; `ROLE` stands for its quoted name.
    pub(crate) const GRANTS: &'static [&'static str] = &[
        "GRANT USAGE ON SCHEMA public TO ROLE",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ROLE",
        "REVOKE INSERT, UPDATE, DELETE ON schema_migrations FROM ROLE",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ROLE",
    ];

    /// Yields one row when the table `schema_migrations` exists.
    pub(crate) const fn migrations_table_exists(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'",
            Self::Postgres => {
                "SELECT tablename::text AS name FROM pg_catalog.pg_tables WHERE schemaname = current_schema() AND tablename = 'schema_migrations'"
            }
        }
    }

    /// Creates `schema_migrations` when it is missing.
    pub(crate) const fn create_migrations_table(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "CREATE TABLE IF NOT EXISTS schema_migrations (
                    version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, checksum BLOB NOT NULL, applied_at INTEGER NOT NULL) STRICT"
            }
            Self::Postgres => {
                "CREATE TABLE IF NOT EXISTS schema_migrations (
                    version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, checksum BYTEA NOT NULL, applied_at BIGINT NOT NULL)"
            }
        }
    }

    /// Names of our tables, one row each, column `name`.
    #[must_use]
    pub const fn list_tables(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
            Self::Postgres => "SELECT tablename::text AS name FROM pg_catalog.pg_tables WHERE schemaname = current_schema() ORDER BY 1",
        }
    }

    /// Columns of table `$1`, one row each, column `name`.
    #[must_use]
    pub const fn list_columns(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT name FROM pragma_table_info($1)",
            Self::Postgres => {
                "SELECT column_name::text AS name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1"
            }
        }
    }
}
