//! What a server says when it wants a token: `WWW-Authenticate` (RFC 9110 section 11.6.1, RFC 6750 section 3, RFC 9728 section 5.1).
//!
//! The text is hostile until proven otherwise: everything is bounded, and a header that breaks the grammar anywhere is not used at all, because
//! two readers of it could see two things.

use std::fmt;

use http::HeaderValue;

use super::fault;
use super::scope;

/// Most bytes of all values together.
const BYTES_MAX: usize = 8 << 10;
/// Most challenges.
const CHALLENGES_MAX: usize = 16;
/// Most parameters of one challenge.
const PARAMS_MAX: usize = 32;

/// The challenge for a bearer token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// Where the server describes itself; not checked yet.
    pub(crate) resource_metadata: Option<String>,
    /// The scopes that the request needed.
    pub(crate) scopes: Option<Vec<String>>,
    /// `invalid_token`, `insufficient_scope` and so on, cleaned.
    pub(crate) error: Option<String>,
}

impl Challenge {
    /// Whether the token was good and did not reach far enough.
    pub(crate) fn wants_more_scope(&self) -> bool {
        self.error.as_deref() == Some("insufficient_scope")
    }
}

/// The header is not used; the rule that it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the `WWW-Authenticate` header {}", self.0)
    }
}

/// Reads all values of the header. Of several `Bearer` challenges the first counts that names metadata, else the first.
///
/// # Errors
/// [`Malformed`]; nothing of such a header is used.
pub(crate) fn read<'v>(values: impl IntoIterator<Item = &'v HeaderValue>) -> Result<Option<Challenge>, Malformed> {
    let (mut all, mut bytes) = (Vec::new(), 0);
    for value in values {
        bytes += value.len();
        if bytes > BYTES_MAX {
            return Err(Malformed("is longer than 8 KiB"));
        }
        Cursor { text: value.as_bytes(), at: 0 }.challenges(&mut all)?;
    }
    let bearer = all.into_iter().filter(|one| one.scheme.eq_ignore_ascii_case(b"bearer"));
    let mut read = Vec::new();
    for one in bearer {
        read.push(one.into_challenge()?);
    }
    let named = read.iter().position(|one| one.resource_metadata.is_some()).unwrap_or(0);
    Ok((!read.is_empty()).then(|| read.swap_remove(named)))
}

/// Scheme and parameters as they stand.
struct Raw<'v> {
    scheme: &'v [u8],
    params: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Raw<'_> {
    fn into_challenge(self) -> Result<Challenge, Malformed> {
        let value = |name: &str| self.params.iter().find(|(known, _)| known == name.as_bytes()).map(|(_, value)| value);
        let text = |name: &str| match value(name) {
            None => Ok(None),
            Some(value) if value.iter().all(|b| matches!(b, 0x20..=0x7e)) => {
                Ok(Some(String::from_utf8(value.clone()).map_err(|_| Malformed("is no text"))?))
            }
            Some(_) => Err(Malformed("has a parameter that is not ASCII")),
        };
        let scopes = match text("scope")? {
            None => None,
            Some(list) => Some(scope::parse(&list).ok_or(Malformed("has a `scope` that is no list of scopes"))?),
        };
        Ok(Challenge {
            resource_metadata: text("resource_metadata")?,
            scopes: scopes.filter(|scopes| !scopes.is_empty()),
            error: text("error")?.map(|error| fault::code(&error)),
        })
    }
}

struct Cursor<'v> {
    text: &'v [u8],
    at: usize,
}

impl<'v> Cursor<'v> {
    fn challenges(&mut self, all: &mut Vec<Raw<'v>>) -> Result<(), Malformed> {
        let before = all.len();
        loop {
            while matches!(self.peek(), Some(b' ' | b'\t' | b',')) {
                self.at += 1;
            }
            if self.peek().is_none() {
                return Ok(());
            }
            let word = self.token()?;
            let after = self.at;
            self.blanks();
            if self.peek() == Some(b'=') {
                self.at += 1;
                // A parameter belongs to the challenge before it, which stands in the same value.
                let Some(owner) = all.get_mut(before..).and_then(<[_]>::last_mut) else { return Err(Malformed("begins without a scheme")) };
                self.parameter(word, owner)?;
                continue;
            }
            self.at = after;
            if all.len() == CHALLENGES_MAX {
                return Err(Malformed("holds more than 16 challenges"));
            }
            all.push(Raw { scheme: word, params: Vec::new() });
            match self.peek() {
                None | Some(b',') => {}
                Some(b' ') => self.token68(),
                Some(_) => return Err(Malformed("has a scheme with something behind it")),
            }
        }
    }

    fn parameter(&mut self, name: &[u8], owner: &mut Raw<'v>) -> Result<(), Malformed> {
        self.blanks();
        let value = if self.peek() == Some(b'"') { self.quoted()? } else { self.token()?.to_vec() };
        self.blanks();
        if !matches!(self.peek(), None | Some(b',')) {
            return Err(Malformed("has something behind a parameter"));
        }
        let name = name.to_ascii_lowercase();
        if owner.params.iter().any(|(known, _)| *known == name) {
            return Err(Malformed("has a parameter twice"));
        }
        if owner.params.len() == PARAMS_MAX {
            return Err(Malformed("has more than 32 parameters"));
        }
        owner.params.push((name, value));
        Ok(())
    }

    /// Passes over the other form of credentials, `Negotiate oYG7…==`.
    fn token68(&mut self) {
        let before = self.at;
        self.blanks();
        let start = self.at;
        self.while_in(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/'));
        let some = self.at > start;
        self.while_in(|b| b == b'=');
        self.blanks();
        if !some || !matches!(self.peek(), None | Some(b',')) {
            self.at = before;
        }
    }

    fn quoted(&mut self) -> Result<Vec<u8>, Malformed> {
        self.at += 1;
        let mut value = Vec::new();
        loop {
            let byte = self.next().ok_or(Malformed("has a quotation mark without its end"))?;
            match byte {
                b'"' => return Ok(value),
                b'\\' => value.push(self.next().ok_or(Malformed("has a quotation mark without its end"))?),
                _ => value.push(byte),
            }
        }
    }

    fn token(&mut self) -> Result<&'v [u8], Malformed> {
        let start = self.at;
        self.while_in(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        self.text.get(start..self.at).filter(|token| !token.is_empty()).ok_or(Malformed("has a sign where a word should be"))
    }

    fn blanks(&mut self) {
        self.while_in(|b| matches!(b, b' ' | b'\t'));
    }

    fn while_in(&mut self, class: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&class) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }
}
