//! The database address.

use std::fmt;

use crate::sensitive::Sensitive;

/// `sqlite:PATH` or `postgres://...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// One file.
    Sqlite {
        /// Path as written.
        path: String,
    },
    /// A PostgreSQL server.
    Postgres(PostgresUrl),
}

/// A PostgreSQL address; prints without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    url: Sensitive,
    shown: String,
}

impl DatabaseUrl {
    /// Reads the written form.
    ///
    /// # Errors
    /// The rule that is broken, never the text.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            // Both `sqlite:PATH` and the customary `sqlite://PATH`.
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() || path.contains('\0') {
                Err("`sqlite:` must be followed by the path of a file")
            } else {
                Ok(Self::Sqlite { path: path.to_owned() })
            };
        }
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
        let rest = rest.ok_or("a database is written `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`")?;
        if rest.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("a `postgres://` address has a host and neither spaces nor control characters");
        }
        Ok(Self::Postgres(PostgresUrl { url: Sensitive::new(text), shown: shown(rest) }))
    }
}

/// User and password end at the last `@` before the path; parameters may hold a password too.
fn shown(rest: &str) -> String {
    let (authority, path) = rest.split_at(rest.rfind('@').map_or(0, |at| at + 1));
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let user = authority.strip_suffix('@').map(|info| info.split(':').next().unwrap_or_default());
    match user {
        Some(user) => format!("postgres://{user}@{path}"),
        None => format!("postgres://{path}"),
    }
}

impl PostgresUrl {
    /// The address with its password, for the one place that connects.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.url.expose()
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path } => write!(f, "sqlite:{path}"),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_and_no_password_in_print() {
        assert_eq!(DatabaseUrl::parse("sqlite:/var/lib/b.db").unwrap(), DatabaseUrl::Sqlite { path: "/var/lib/b.db".into() });
        assert_eq!(DatabaseUrl::parse("sqlite:///var/lib/b.db").unwrap(), DatabaseUrl::Sqlite { path: "/var/lib/b.db".into() });
        for text in
            ["postgres://bw:hunter2@db:5432/bw?sslpassword=hunter2", "postgresql://bw:hun@ter2@db:5432/bw", "postgres://bw:a/b@db:5432/bw"]
        {
            let url = DatabaseUrl::parse(text).unwrap();
            let DatabaseUrl::Postgres(postgres) = &url else { panic!("postgres") };
            assert_eq!(postgres.expose(), text);
            assert_eq!(url.to_string(), "postgres://bw@db:5432/bw");
            assert!(!format!("{url:?}").contains("ter2"));
        }
        assert_eq!(DatabaseUrl::parse("postgres://db/bw").unwrap().to_string(), "postgres://db/bw");
        for text in ["", "sqlite:", "mysql://x", "postgres://", "postgres://a b", "/var/lib/b.db"] {
            assert!(DatabaseUrl::parse(text).is_err(), "{text}");
        }
    }
}
