//! Scopes: what a token may be used for.

use crate::id::InvalidId;

/// Scopes one server or connection has at most.
pub const SCOPES_MAX: usize = 64;
/// Longest scope.
pub const SCOPE_CHARS_MAX: usize = 256;

/// A list of scope tokens (RFC 6749 section 3.3) without doubles, in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<Box<str>>);

impl Scopes {
    /// Checks each scope; a second one of the same text is dropped.
    ///
    /// # Errors
    /// [`InvalidId`] for an empty, too long or otherwise impossible scope, and for more than [`SCOPES_MAX`].
    pub fn new<T: AsRef<str>>(scopes: impl IntoIterator<Item = T>) -> Result<Self, InvalidId> {
        let mut list: Vec<Box<str>> = Vec::new();
        for scope in scopes {
            let scope = scope.as_ref();
            if scope.is_empty() || scope.len() > SCOPE_CHARS_MAX || !scope.bytes().all(scope_byte) {
                return Err(InvalidId::new("scope", "1 to 256 visible ASCII characters except `\"` and `\\`"));
            }
            if list.iter().any(|known| **known == *scope) {
                continue;
            }
            if list.len() == SCOPES_MAX {
                return Err(InvalidId::new("list of scopes", "at most 64 scopes"));
            }
            list.push(scope.into());
        }
        Ok(Self(list))
    }

    /// Reads the form of the wire: scopes with a space between them.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        Self::new(text.split(' ').filter(|scope| !scope.is_empty()))
    }

    /// The form of the wire.
    #[must_use]
    pub fn joined(&self) -> String {
        self.0.join(" ")
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|scope| &**scope)
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

const fn scope_byte(b: u8) -> bool {
    b.is_ascii_graphic() && b != b'"' && b != b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_tokens() {
        let good = Scopes::new(["read:user", "https://www.googleapis.com/auth/drive", "read:user", "!"]).unwrap();
        assert_eq!(good.joined(), "read:user https://www.googleapis.com/auth/drive !");
        assert_eq!(Scopes::parse(&good.joined()), Ok(good));
        assert!(Scopes::parse("").unwrap().is_empty() && Scopes::parse("  ").unwrap().is_empty());
        let long = "x".repeat(SCOPE_CHARS_MAX + 1);
        for bad in ["", "a b", "a\"b", "a\\b", "é", "a\n", "\u{7f}", &long] {
            assert!(Scopes::new([bad]).is_err(), "{bad:?}");
        }
        assert!(Scopes::new([&long[1..]]).is_ok());
        let many: Vec<String> = (0..=SCOPES_MAX).map(|n| n.to_string()).collect();
        assert!(Scopes::new(&many).is_err() && Scopes::new(&many[1..]).is_ok());
    }
}
