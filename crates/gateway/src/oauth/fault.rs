//! Why something did not come about. Nothing here holds a secret, a body, or text of another party that was not cleaned.

use std::fmt;

use bailiwick_modules::egress::{HttpFault, HttpFaultKind};

use crate::mask::Mask;

/// Longest text of another party in a message.
const FOREIGN_CHARS_MAX: usize = 120;
/// Longest error code (RFC 6749 section 5.2 names short words).
const CODE_BYTES_MAX: usize = 64;
/// In place of an error code that is none.
const UNREADABLE: &str = "unreadable";

/// Where in the life of a connection it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Reading `WWW-Authenticate`, or asking the server without a token.
    Challenge,
    /// Finding what the server says about itself (RFC 9728).
    ResourceMetadata,
    /// Finding what the authorization server says about itself (RFC 8414).
    IssuerMetadata,
    /// Choosing or getting a client identity.
    Registration,
    /// Making the address that a person opens.
    Authorization,
    /// What came back with the browser.
    Callback,
    /// Exchange of a code, or client credentials.
    Token,
    /// Refresh.
    Refresh,
    /// Revocation.
    Revocation,
    /// Asking for more scopes.
    MoreScope,
}

impl Step {
    /// One word for records.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Challenge => "challenge",
            Self::ResourceMetadata => "resource_metadata",
            Self::IssuerMetadata => "issuer_metadata",
            Self::Registration => "registration",
            Self::Authorization => "authorization",
            Self::Callback => "callback",
            Self::Token => "token",
            Self::Refresh => "refresh",
            Self::Revocation => "revocation",
            Self::MoreScope => "step_up",
        }
    }
}

/// What kind of fault it is, for those who decide what happens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The grant (code, refresh token) is used up, expired or revoked. A new authorization is needed.
    InvalidGrant,
    /// The authorization server does not know the client or its secret any more. Registration is needed.
    InvalidClient,
    /// Another error code of OAuth, cleaned.
    Refused {
        /// The code, such as `invalid_scope` or `access_denied`.
        code: String,
    },
    /// Nobody answered. With `sent`, the request may have been carried out and its reply lost.
    Unreachable {
        /// Whether the request may have reached the other side.
        sent: bool,
    },
    /// The other side says "not now" (5xx, 429): it lives, and did not do it.
    NotNow,
    /// An answer that breaks a rule.
    BadAnswer,
    /// An address that may not be dialled or shown; nothing was sent there.
    AddressRefused,
    /// No metadata where it should be.
    MetadataMissing,
    /// The metadata is about another resource than the server.
    ResourceMismatch,
    /// A document or a callback is of another issuer than the one expected.
    IssuerMismatch,
    /// The authorization server does not say that it checks PKCE with S256.
    PkceMissing,
    /// A client has to be registered by a person.
    RegistrationNeeded,
    /// What we were given as arguments cannot be used.
    BadInput,
    /// A limit of ours was reached.
    Limit,
}

impl FaultKind {
    /// One word for records.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidClient => "invalid_client",
            Self::Refused { .. } => "oauth_refused",
            Self::Unreachable { .. } => "unreachable",
            Self::NotNow => "not_now",
            Self::BadAnswer => "bad_answer",
            Self::AddressRefused => "address_refused",
            Self::MetadataMissing => "metadata_missing",
            Self::ResourceMismatch => "resource_mismatch",
            Self::IssuerMismatch => "issuer_mismatch",
            Self::PkceMissing => "pkce_missing",
            Self::RegistrationNeeded => "registration_needed",
            Self::BadInput => "bad_input",
            Self::Limit => "limit",
        }
    }

    /// Whether the same request may succeed later without any change.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::NotNow)
    }
}

/// A fault in words for an operator. `Display` gives all of them but the kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OAuthFault {
    pub(crate) kind: FaultKind,
    pub(crate) step: Step,
    /// One sentence: what was wrong.
    pub(crate) message: String,
    /// One sentence: what to do.
    pub(crate) remedy: String,
}

impl OAuthFault {
    pub(super) fn new(kind: FaultKind, step: Step, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind, step, message: message.into(), remedy: remedy.into() }
    }

    /// The same without `secrets`: the other side chooses its words, and may choose what it was sent.
    pub(super) fn masked(self, secrets: &Mask) -> Self {
        let Self { kind, step, message, remedy } = self;
        let kind = match kind {
            FaultKind::Refused { code } if secrets.holds(&code) => FaultKind::Refused { code: UNREADABLE.to_owned() },
            kind => kind,
        };
        let message = secrets.clean_text(&message).into_owned();
        Self { kind, step, message, remedy }
    }

    /// The exchange with `place` did not come about.
    pub(super) fn of_http(step: Step, place: &str, fault: &HttpFault) -> Self {
        let (kind, remedy) = match fault.kind {
            HttpFaultKind::Denied => {
                (FaultKind::AddressRefused, "open the address with `allow_private` if it is yours, or correct what names it")
            }
            HttpFaultKind::TooLarge(_) => (FaultKind::BadAnswer, "tell the operator of the service; documents of this kind are small"),
            HttpFaultKind::Unsendable => (FaultKind::BadAnswer, "correct the address"),
            HttpFaultKind::Unreachable
            | HttpFaultKind::Tls
            | HttpFaultKind::Timeout
            | HttpFaultKind::Cancelled
            | HttpFaultKind::Protocol => (FaultKind::Unreachable { sent: fault.sent }, "try again later"),
        };
        Self::new(kind, step, format!("{place}: {}", fault.detail), remedy)
    }
}

impl fmt::Display for OAuthFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.step.as_str(), self.message, self.remedy)
    }
}

impl std::error::Error for OAuthFault {}

/// An error code of another party as it may be shown and recorded; `unreadable` for what is none.
pub(super) fn code(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if (1..=CODE_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain) { text.to_owned() } else { UNREADABLE.to_owned() }
}

/// Words of another party for a person's eyes: printable ASCII of RFC 6749 only, cut. Not for any program.
pub(super) fn foreign(text: &str) -> String {
    let allowed = |c: char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\' | '<' | '>' | '`');
    let mut cleaned: String = text.chars().filter(|c| allowed(*c)).take(FOREIGN_CHARS_MAX).collect();
    cleaned.truncate(cleaned.trim_end().len());
    cleaned
}
