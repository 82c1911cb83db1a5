//! What an instruction is called, and whose it is.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{GroupId, InvalidId, Subject, text_id};

/// Longest kind and slug.
pub const DOC_NAME_CHARS_MAX: usize = 64;

fn doc_name(text: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    match text.as_bytes() {
        [first, rest @ ..] => {
            alnum(*first) && rest.len() < DOC_NAME_CHARS_MAX && rest.iter().all(|b| alnum(*b) || *b == b'-' || *b == b'_')
        }
        [] => false,
    }
}

text_id!(
    /// What sort of instruction a text is (`rule`, `skill`, `knowledge`, ...): `^[a-z0-9][a-z0-9_-]{0,63}$`.
    DocKind, "instruction kind", doc_name, "lower-case letters, digits, `_` and `-`, beginning with a letter or digit, at most 64 characters"
);
text_id!(
    /// The name of an instruction within its kind; same pattern as [`DocKind`].
    DocSlug, "instruction slug", doc_name, "lower-case letters, digits, `_` and `-`, beginning with a letter or digit, at most 64 characters"
);

/// Whose text it is. Texts of the same kind and slug with different owners stand side by side (reference 2.5, layers).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocOwner {
    /// The organisation's.
    Org,
    /// One group's.
    Group(GroupId),
    /// One user's.
    User(Subject),
}

impl DocOwner {
    /// `org`, `group` or `user`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::Group(_) => "group",
            Self::User(_) => "user",
        }
    }

    /// The group or user; empty for the organisation.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Org => "",
            Self::Group(id) => id.as_str(),
            Self::User(sub) => sub.as_str(),
        }
    }

    /// Puts the two parts together again.
    ///
    /// # Errors
    /// [`InvalidId`] for any other pair than [`kind`](Self::kind) and [`id`](Self::id) give.
    pub fn parse(kind: &str, id: &str) -> Result<Self, InvalidId> {
        match kind {
            "org" if id.is_empty() => Ok(Self::Org),
            "group" => GroupId::parse(id).map(Self::Group),
            "user" => Subject::parse(id).map(Self::User),
            _ => Err(InvalidId::new("owner", "`org` without an id, or `group` or `user` with one")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_put_together_again() {
        for owner in [DocOwner::Org, DocOwner::Group(GroupId::parse("ops").unwrap()), DocOwner::User(Subject::parse("auth0|1").unwrap())] {
            assert_eq!(DocOwner::parse(owner.kind(), owner.id()), Ok(owner));
        }
        for (kind, id) in [("org", "x"), ("group", ""), ("user", "a\n"), ("team", "x"), ("", ""), ("group", "A"), ("user", "ü")] {
            assert!(DocOwner::parse(kind, id).is_err(), "{kind} {id}");
        }
    }
}
