//! One error for every store function: a kind for the program, a sentence and a remedy for the reader, a cause for the operator.

use std::borrow::Cow;
use std::fmt;

use crate::constraint;

/// What went wrong, as far as a caller would act differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreErrorKind {
    /// The database cannot be reached, opened, read or written now.
    Unavailable,
    /// Another process or transaction holds a lock longer than we wait.
    Locked,
    /// The disk or a quota is full.
    Full,
    /// The row exists already, or another row still needs it.
    Conflict,
    /// The row has another version than the caller believes.
    Outdated,
    /// No such row in this organisation. A foreign row gives the same answer.
    NotFound,
    /// The tables are older, newer or other than this binary expects, or not protected.
    Schema,
    /// The root key is missing or not the one this database was sealed with.
    Sealed,
    /// The database file, a row or a sealed value is damaged or was moved.
    Corrupt,
    /// What was given cannot be used: a setting, a file's permissions, an argument beyond its limit.
    Invalid,
}

impl StoreErrorKind {
    /// Whether the same operation may succeed later without any change.
    #[must_use]
    pub const fn retryable(self) -> bool {
        matches!(self, Self::Unavailable | Self::Locked)
    }
}

/// Why a store function failed. `Display` gives message and remedy; neither contains a secret or a database password.
#[derive(Clone)]
pub struct StoreError {
    kind: StoreErrorKind,
    message: Cow<'static, str>,
    remedy: Cow<'static, str>,
    cause: Option<Box<str>>,
}

/// The result of every store function.
pub type StoreResult<T> = Result<T, StoreError>;

impl StoreError {
    /// A new error; `message` and `remedy` must not contain secrets.
    pub fn new(kind: StoreErrorKind, message: impl Into<Cow<'static, str>>, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), remedy: remedy.into(), cause: None }
    }

    /// Adds what the layer below said, for the operator's log only.
    #[must_use]
    pub fn with_cause(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string().into());
        self
    }

    /// The kind, for decisions.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// What happened.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What would help.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.remedy
    }

    /// What the layer below said; for the operator, never for an agent.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    pub(crate) fn not_found(noun: &'static str) -> Self {
        let message = format!("{noun} does not exist in this organisation");
        Self::new(StoreErrorKind::NotFound, message, "list what exists and check the name")
    }

    pub(crate) fn corrupt(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StoreErrorKind::Corrupt, what, "stop writing to this database and restore it from a backup")
    }

    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StoreErrorKind::Invalid, message, remedy)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.remedy)
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}; {}", self.kind, self.message, self.remedy)?;
        match &self.cause {
            Some(cause) => write!(f, " [{cause}]"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use StoreErrorKind::{Corrupt, Invalid, NotFound, Unavailable};
        let (kind, message, remedy) = match &error {
            sqlx::Error::Database(fault) => return database_fault(fault.as_ref()),
            sqlx::Error::PoolTimedOut => (
                Unavailable,
                "no database connection became usable in time",
                "check that the database runs and how many connections it allows",
            ),
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                (Unavailable, "the store is closed", "restart the process if it is not stopping already")
            }
            sqlx::Error::Tls(_) => {
                (Unavailable, "the encrypted connection to the database failed", "check `sslmode` and the certificates on both sides")
            }
            sqlx::Error::Io(_) => (Unavailable, "the connection to the database failed", "check that the database runs and can be reached"),
            sqlx::Error::Configuration(_) => (Invalid, "the database URL cannot be used", "correct `database` in the configuration"),
            sqlx::Error::RowNotFound => (NotFound, "the row does not exist in this organisation", "list what exists and check the name"),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => (
                Corrupt,
                "a stored value is not of the expected shape",
                "run `bailiwick doctor`; restore from a backup if the file is damaged",
            ),
            _ => (Unavailable, "the database operation failed", "see the operator log for the cause"),
        };
        Self::new(kind, message, remedy).with_cause(error)
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let fault = match &error {
            rusqlite::Error::SqliteFailure(fault, text) => {
                classify_sqlite(fault.extended_code.unsigned_abs(), text.as_deref().unwrap_or_default())
            }
            _ => Self::new(StoreErrorKind::Unavailable, "the database operation failed", "see the operator log for the cause"),
        };
        fault.with_cause(error)
    }
}

fn database_fault(fault: &dyn sqlx::error::DatabaseError) -> StoreError {
    let code = fault.code().unwrap_or_default();
    let text = fault.message();
    let error = match constraint::user_error(fault.constraint(), text) {
        Some(error) => error,
        None => classify(&code, text),
    };
    error.with_cause(format_args!("{code}: {text}"))
}

/// SQLite gives its extended result code in decimal (at most four digits), PostgreSQL an SQLSTATE of five characters.
fn classify(code: &str, text: &str) -> StoreError {
    match code.parse::<u32>() {
        Ok(number) if code.len() < 5 => classify_sqlite(number, text),
        _ => classify_postgres(code),
    }
}

fn classify_sqlite(code: u32, text: &str) -> StoreError {
    use StoreErrorKind::{Conflict, Corrupt, Full, Locked, Schema, Unavailable};
    // The low byte is the primary code (https://sqlite.org/rescode.html).
    let (kind, message, remedy) = match code & 0xff {
        5 | 6 => (
            Locked,
            "the database is locked by another process or transaction",
            "retry; find the process that holds the file if it persists",
        ),
        8 | 3 | 23 => (Unavailable, "the database is read-only", "give the service user write access to the file and its directory"),
        10 => (Unavailable, "reading or writing the database file failed", "check the disk and the file system"),
        11 | 26 => (Corrupt, "the database file is damaged or not a database", "restore it from a backup"),
        13 => (Full, "the disk or the database is full", "free space on the disk that holds the database"),
        14 => (Unavailable, "the database file cannot be opened", "check that its directory exists and belongs to the service user"),
        19 => {
            (Conflict, "a rule of the database refuses the row", "check that what the row names exists and that it does not exist already")
        }
        1 if text.starts_with("no such table") || text.starts_with("no such column") => SCHEMA_OLD,
        17 => (Schema, "the tables changed while the statement ran", "retry"),
        _ => (Unavailable, "the database operation failed", "see the operator log for the cause"),
    };
    StoreError::new(kind, message, remedy)
}

const SCHEMA_OLD: (StoreErrorKind, &str, &str) =
    (StoreErrorKind::Schema, "the tables are not those this binary expects", "run `bailiwick db migrate` with this version");

fn classify_postgres(code: &str) -> StoreError {
    use StoreErrorKind::{Conflict, Corrupt, Full, Locked, Schema, Unavailable};
    // SQLSTATE (PostgreSQL manual, appendix A): the first two characters are the class.
    let (kind, message, remedy) = match (code, code.get(..2).unwrap_or_default()) {
        ("55P03" | "40001" | "40P01" | "57014", _) => {
            (Locked, "another transaction holds a lock or the statement took too long", "retry; look at pg_stat_activity if it persists")
        }
        ("25006", _) => (Unavailable, "the database is read-only", "connect to the primary server"),
        ("42501", _) => (
            Schema,
            "the database role may not do this, or a row of another organisation was touched",
            "check the role's grants and that every table belongs to it",
        ),
        ("53100" | "53200", _) => (Full, "the database server has no disk or memory left", "free space on the database server"),
        ("42P01" | "42703" | "3F000", _) => SCHEMA_OLD,
        ("3D000", _) => (Unavailable, "the database does not exist on the server", "create it or correct `database` in the configuration"),
        (_, "28") => (Unavailable, "the database server refuses our credentials", "correct user and password in `database`"),
        (_, "23") => {
            (Conflict, "a rule of the database refuses the row", "check that what the row names exists and that it does not exist already")
        }
        (_, "XX") => (Corrupt, "the database server reports damaged data", "see the server's log; restore from a backup"),
        (_, "08" | "53" | "57" | "58") => {
            (Unavailable, "the database server cannot serve us now", "check the server's log and connection limit")
        }
        _ => (Unavailable, "the database operation failed", "see the operator log for the cause"),
    };
    StoreError::new(kind, message, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_databases_have_kinds() {
        use StoreErrorKind::*;
        let cases = [
            ("5", Locked),
            ("517", Locked),
            ("8", Unavailable),
            ("1544", Unavailable),
            ("13", Full),
            ("26", Corrupt),
            ("267", Corrupt),
            ("14", Unavailable),
            ("2067", Conflict),
            ("778", Unavailable),
            ("55P03", Locked),
            ("40P01", Locked),
            ("57014", Locked),
            ("25006", Unavailable),
            ("53100", Full),
            ("53300", Unavailable),
            ("42P01", Schema),
            ("28P01", Unavailable),
            ("23505", Conflict),
            ("23503", Conflict),
            ("XX001", Corrupt),
            ("57P01", Unavailable),
        ];
        for (code, kind) in cases {
            assert_eq!(classify(code, "").kind(), kind, "{code}");
        }
        assert_eq!(classify("1", "no such table: agents").kind(), Schema);
        assert_eq!(classify("1", "near \"x\": syntax error").kind(), Unavailable);
    }
}
