//! The protocol's own HTTP headers.

use http::{HeaderMap, HeaderName};

use crate::error::{HEADER_MISMATCH, INVALID_REQUEST, WireError};
use crate::meta::Declared;
use crate::revision::Revision;

/// Names the revision.
pub const MCP_PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// Repeats the method, modern.
pub const MCP_METHOD: &str = "mcp-method";
/// Repeats what the method is about, modern.
pub const MCP_NAME: &str = "mcp-name";
/// Names the session, legacy.
pub const MCP_SESSION_ID: &str = "mcp-session-id";

// Prepared once: a name given as text is checked and hashed anew on every lookup.
static PROTOCOL_VERSION_NAME: HeaderName = HeaderName::from_static(MCP_PROTOCOL_VERSION);
static METHOD_NAME: HeaderName = HeaderName::from_static(MCP_METHOD);
static NAME_NAME: HeaderName = HeaderName::from_static(MCP_NAME);
static SESSION_NAME: HeaderName = HeaderName::from_static(MCP_SESSION_ID);

/// Longest session id we look up; ours are far shorter.
const SESSION_BYTES_MAX: usize = 256;

/// What stands in a header that may be given once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    /// Nothing.
    Absent,
    /// Visible ASCII, space and tab, without white space around it.
    Text(&'a str),
    /// Other characters.
    Malformed,
    /// Given more than once.
    Doubled,
}

impl<'a> Field<'a> {
    /// Reads header `name`.
    #[must_use]
    pub fn read(headers: &'a HeaderMap, name: &HeaderName) -> Self {
        let mut values = headers.get_all(name).iter();
        let Some(value) = values.next() else { return Self::Absent };
        if values.next().is_some() {
            return Self::Doubled;
        }
        value.to_str().map_or(Self::Malformed, |text| Self::Text(text.trim_matches([' ', '\t'])))
    }

    /// The text, if there is a single valid one.
    #[must_use]
    pub const fn text(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(*text),
            _ => None,
        }
    }
}

/// The headers that the era depends on.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    /// `MCP-Protocol-Version`
    pub protocol_version: Field<'a>,
    /// `Mcp-Method`
    pub method: Field<'a>,
    /// `Mcp-Name`, still encoded
    pub name: Field<'a>,
    /// `Mcp-Session-Id`
    pub session: Field<'a>,
    /// False over stdio, where there are no headers to compare.
    pub(super) checked: bool,
}

impl<'a> Headers<'a> {
    /// Reads the headers of an HTTP request. Whether a fault matters depends on the era, so none is reported here.
    #[must_use]
    pub fn read(headers: &'a HeaderMap) -> Self {
        Self {
            protocol_version: Field::read(headers, &PROTOCOL_VERSION_NAME),
            method: Field::read(headers, &METHOD_NAME),
            name: Field::read(headers, &NAME_NAME),
            session: Field::read(headers, &SESSION_NAME),
            checked: true,
        }
    }

    /// For transports without headers; the header rules do not apply.
    #[must_use]
    pub const fn none() -> Self {
        let none = Field::Absent;
        Self { protocol_version: none, method: none, name: none, session: none, checked: false }
    }

    /// The legacy session id; None without header.
    ///
    /// # Errors
    /// 400 when doubled; 404, as for an unknown session, when no session can have such an id.
    pub(super) fn session_id(&self) -> Result<Option<&'a str>, WireError> {
        match self.session {
            Field::Absent => Ok(None),
            Field::Doubled => Err(WireError::new(INVALID_REQUEST, "Invalid request: mcp-session-id is given more than once")),
            Field::Text(text) if is_session_id(text) => Ok(Some(text)),
            _ => Err(WireError::new(INVALID_REQUEST, "Session not found").with_status(404)),
        }
    }

    /// The revision that the version header names; None without header.
    ///
    /// # Errors
    /// -32022 for a revision that we do not serve, -32020 for a header that cannot be read.
    pub(super) fn revision(&self) -> Result<Option<Revision>, WireError> {
        match self.protocol_version {
            Field::Absent => Ok(None),
            Field::Text(text) => match Declared::read(text) {
                Declared::Known(revision) if revision.is_served() => Ok(Some(revision)),
                other => Err(super::unsupported_version(other.as_str())),
            },
            Field::Malformed => Err(WireError::new(HEADER_MISMATCH, "Header mismatch: mcp-protocol-version contains invalid characters")),
            Field::Doubled => Err(WireError::new(HEADER_MISMATCH, "Header mismatch: mcp-protocol-version is given more than once")),
        }
    }
}

/// Visible ASCII (reference, protocol section 3.1).
fn is_session_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= SESSION_BYTES_MAX && text.bytes().all(|b| (0x21..=0x7e).contains(&b))
}
