//! Why a connection did not come about, for people and for programs.

use std::fmt;

use bailiwick_model::Code;
use bailiwick_store::{StoreError, StoreErrorKind};

use crate::oauth::{FaultKind, OAuthFault};

/// A fault in words: nothing here holds a secret, or text of another party that was not cleaned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectFault {
    /// The word of the one vocabulary.
    pub code: Code,
    /// A finer word for programs, such as `issuer_mismatch`.
    pub reason: &'static str,
    /// What was wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl ConnectFault {
    /// The reason of an authorization that is not known.
    pub(crate) const UNKNOWN_FLOW: &'static str = "unknown_flow";

    pub(super) fn new(code: Code, reason: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), remedy: remedy.into() }
    }

    pub(super) fn too_large() -> Self {
        Self::new(Code::LimitExceeded, "limit", "the link would be too long", "ask for fewer scopes")
    }

    pub(super) fn unsendable() -> Self {
        Self::new(
            Code::UpstreamProtocol,
            "bad_answer",
            "the token cannot be sent in a header",
            "connect again; if it happens again, tell the server's operator",
        )
    }

    pub(super) fn not_active(name: &str) -> Self {
        let remedy = format!("`bailiwick server show {name}` says why; `bailiwick server retry {name}` sets it up again");
        Self::new(Code::ServerNotActive, "not_active", format!("server `{name}` is not set up"), remedy)
    }

    pub(super) fn unknown_flow() -> Self {
        let message = "this authorization is not known: it is too old, was used already, or was begun by somebody else";
        Self::new(Code::NotFound, Self::UNKNOWN_FLOW, message, "begin again")
    }
}

impl fmt::Display for ConnectFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.remedy)
    }
}

impl std::error::Error for ConnectFault {}

impl From<StoreError> for ConnectFault {
    fn from(fault: StoreError) -> Self {
        let code = match fault.kind() {
            StoreErrorKind::NotFound => Code::NotFound,
            StoreErrorKind::Conflict => Code::Conflict,
            StoreErrorKind::Outdated => Code::VersionConflict,
            StoreErrorKind::Invalid => Code::InvalidArgument,
            StoreErrorKind::Sealed => Code::Sealed,
            StoreErrorKind::Unavailable | StoreErrorKind::Locked => Code::Unavailable,
            _ => Code::Internal,
        };
        Self::new(code, "store", fault.message(), fault.remedy())
    }
}

impl From<OAuthFault> for ConnectFault {
    fn from(fault: OAuthFault) -> Self {
        let code = match fault.kind {
            _ if fault.kind.is_passing() => Code::UpstreamUnreachable,
            FaultKind::AddressRefused => Code::EgressDenied,
            FaultKind::BadInput => Code::InvalidArgument,
            FaultKind::Limit => Code::LimitExceeded,
            FaultKind::InvalidGrant | FaultKind::InvalidClient | FaultKind::Refused { .. } => Code::UpstreamAuth,
            FaultKind::RegistrationNeeded => Code::Conflict,
            FaultKind::Unreachable { .. }
            | FaultKind::NotNow
            | FaultKind::BadAnswer
            | FaultKind::MetadataMissing
            | FaultKind::ResourceMismatch
            | FaultKind::IssuerMismatch
            | FaultKind::PkceMissing => Code::UpstreamProtocol,
        };
        Self::new(code, fault.kind.as_str(), fault.message, fault.remedy)
    }
}
