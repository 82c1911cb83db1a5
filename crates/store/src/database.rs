//! Where the rows are: a SQLite file or a PostgreSQL URL. Passwords never leave this type except toward the driver.

use std::fmt;
use std::path::{Path, PathBuf, absolute};

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::dialect::Dialect;
use crate::error::{StoreError, StoreResult};

/// A checked database setting: `sqlite:PATH`, `sqlite:PATH?mode=ro` or `postgres://user:password@host/database`.
#[derive(Clone)]
pub struct DatabaseUrl {
    place: DatabasePlace,
    allow_superuser: bool,
}

#[derive(Clone)]
enum DatabasePlace {
    Sqlite { path: PathBuf, read_only: bool },
    Postgres { url: SecretString, shown: Box<str> },
}

impl DatabaseUrl {
    /// Reads the setting. A relative SQLite path counts from the current directory.
    ///
    /// # Errors
    /// `Invalid`, naming the rule and never the text, which may hold a password.
    pub fn parse(text: &str) -> StoreResult<Self> {
        if let Some(rest) = text.strip_prefix("sqlite:") {
            return Self::parse_sqlite(rest);
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Self::parse_postgres(text);
        }
        Err(StoreError::invalid(
            "the database setting begins with neither `sqlite:` nor `postgres://`",
            "write `sqlite:PATH` or `postgres://user:password@host/database`",
        ))
    }

    /// A SQLite file at `path`.
    ///
    /// # Errors
    /// `Invalid` when the path is empty, not UTF-8 or cannot be made absolute.
    pub fn sqlite(path: &Path) -> StoreResult<Self> {
        Self::sqlite_file(path, false)
    }

    fn parse_sqlite(rest: &str) -> StoreResult<Self> {
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        let read_only = match query {
            None | Some("mode=rw" | "mode=rwc") => false,
            Some("mode=ro") => true,
            Some(_) => return Err(StoreError::invalid("the SQLite setting has an unknown option", "only `?mode=ro` is understood")),
        };
        if path.contains(":memory:") {
            return Err(StoreError::invalid("a SQLite database in memory cannot be shared by connections", "give a file path"));
        }
        Self::sqlite_file(Path::new(path.strip_prefix("//").unwrap_or(path)), read_only)
    }

    fn sqlite_file(path: &Path, read_only: bool) -> StoreResult<Self> {
        let remedy = "write `sqlite:` and the path of the file";
        if path.to_str().is_none_or(|text| text.is_empty() || text.contains('\0')) {
            return Err(StoreError::invalid("the path of the SQLite database is empty or not UTF-8 text", remedy));
        }
        let path =
            absolute(path).map_err(|e| StoreError::invalid("the path of the SQLite database cannot be used", remedy).with_cause(e))?;
        Ok(Self { place: DatabasePlace::Sqlite { path, read_only }, allow_superuser: false })
    }

    fn parse_postgres(text: &str) -> StoreResult<Self> {
        let remedy = "write `postgres://user:password@host:port/database`, special characters of the password as %XX";
        let url = Url::parse(text).map_err(|e| StoreError::invalid("the PostgreSQL URL is not a URL", remedy).with_cause(e))?;
        if url.path().trim_start_matches('/').is_empty() {
            return Err(StoreError::invalid("the PostgreSQL URL names no database", remedy));
        }
        // User, password and query can all carry secrets; only host, port and database are shown.
        let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
        let shown = format!("postgres://{}{port}{}", url.host_str().unwrap_or_default(), url.path());
        Ok(Self { place: DatabasePlace::Postgres { url: text.to_owned().into(), shown: shown.into() }, allow_superuser: false })
    }

    /// Accepts a PostgreSQL role that bypasses row security (setting `database.allow_superuser`). Isolation then rests on one lock only.
    #[must_use]
    pub fn allow_superuser(mut self, allow: bool) -> Self {
        self.allow_superuser = allow;
        self
    }

    pub(crate) const fn superuser_allowed(&self) -> bool {
        self.allow_superuser
    }

    /// Which database this is.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        match self.place {
            DatabasePlace::Sqlite { .. } => Dialect::Sqlite,
            DatabasePlace::Postgres { .. } => Dialect::Postgres,
        }
    }

    /// The SQLite file, when it is one.
    #[must_use]
    pub fn sqlite_path(&self) -> Option<&Path> {
        match &self.place {
            DatabasePlace::Sqlite { path, .. } => Some(path),
            DatabasePlace::Postgres { .. } => None,
        }
    }

    /// Whether every write will be refused by choice of the setting.
    #[must_use]
    pub const fn read_only(&self) -> bool {
        matches!(self.place, DatabasePlace::Sqlite { read_only: true, .. })
    }

    /// The text for the driver, password included. Never log it.
    pub(crate) fn driver_url(&self) -> SecretString {
        match &self.place {
            DatabasePlace::Sqlite { path, read_only } => {
                let mode = if *read_only { "ro" } else { "rw" };
                format!("sqlite://{}?mode={mode}", percent_encode(&path.to_string_lossy())).into()
            }
            DatabasePlace::Postgres { url, .. } => url.expose_secret().to_owned().into(),
        }
    }
}

/// Encodes every byte that has a meaning in a URL, so that a file may be called `a?b#c%`.
fn percent_encode(path: &str) -> String {
    path.bytes().fold(String::with_capacity(path.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&data_encoding::HEXUPPER.encode(&[byte]));
        }
        out
    })
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            DatabasePlace::Sqlite { path, .. } => write!(f, "sqlite:{}", path.display()),
            DatabasePlace::Postgres { shown, .. } => f.write_str(shown),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_no_password() {
        let text = "postgres://bw:hunter2@db.example:5433/bw?password=hunter3&sslkey=hunter4";
        let url = DatabaseUrl::parse(text).expect("valid");
        assert_eq!(url.to_string(), "postgres://db.example:5433/bw");
        assert!(!format!("{url:?}").contains("hunter"));
        let broken = DatabaseUrl::parse("postgres://bw:hunter2@[/x").expect_err("broken");
        assert!(!format!("{broken:?} {broken}").contains("hunter"));
    }

    #[test]
    fn refuses_what_cannot_work() {
        for bad in ["", "mysql://x", "sqlite:", "sqlite::memory:", "sqlite:a.db?cache=shared", "postgres://host", "postgres://host/"] {
            assert_eq!(DatabaseUrl::parse(bad).expect_err(bad).kind(), crate::StoreErrorKind::Invalid, "{bad}");
        }
    }

    #[test]
    fn encodes_strange_file_names() {
        assert_eq!(percent_encode("/a b/ü?#%.db"), "/a%20b/%C3%BC%3F%23%25.db");
    }
}
