//! Why an operation did not happen: one code, one sentence, one remedy. Neither HTTP nor exit codes are known here.

use std::borrow::Cow;

use bailiwick_model::{Code, EventId};
use bailiwick_store::{StoreError, StoreErrorKind};

use crate::connections::ConnectFault;

/// A refused or failed operation. No part holds a secret.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The word of the one vocabulary.
    pub code: Code,
    /// What happened.
    pub message: Cow<'static, str>,
    /// What the caller may do about it.
    pub remedy: Cow<'static, str>,
    /// What the layer below said; for the operator at the machine and the log, never for a caller of the API.
    pub cause: Option<Box<str>>,
    /// The event on the ledger that tells of it.
    pub event: Option<EventId>,
    /// What is wrong with the request, part by part.
    pub errors: Vec<Wrong>,
    /// After how many seconds the same may be asked again.
    pub retry_after: Option<u16>,
}

/// One part of a request that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// JSON pointer into the body (RFC 6901), or the name of a parameter.
    pub place: String,
    /// The rule that is broken; the value is not repeated.
    pub rule: String,
}

impl Fault {
    /// A fault with its sentence and its remedy.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), remedy: remedy.into(), cause: None, event: None, errors: Vec::new(), retry_after: None }
    }

    /// A request of which one part cannot be used.
    pub fn invalid(place: impl Into<String>, rule: impl Into<String>) -> Self {
        let wrong = Wrong { place: place.into(), rule: rule.into() };
        let message = format!("`{}`: {}", wrong.place, wrong.rule);
        let fault = Self::new(Code::InvalidArgument, message, "correct the request; `/v1/openapi.json` describes it");
        Self { errors: vec![wrong], ..fault }
    }

    /// What does not exist, or belongs to somebody else: the answer is the same.
    pub fn not_found(what: &'static str) -> Self {
        Self::new(Code::NotFound, format!("{what} does not exist"), "list what exists and check the name")
    }

    /// The same fault with the event that tells of it.
    #[must_use]
    pub fn event(mut self, event: EventId) -> Self {
        self.event = Some(event);
        self
    }
}

impl From<StoreError> for Fault {
    fn from(fault: StoreError) -> Self {
        use StoreErrorKind as Kind;
        let code = match fault.kind() {
            Kind::NotFound => Code::NotFound,
            Kind::Conflict => Code::Conflict,
            Kind::Outdated => Code::VersionConflict,
            Kind::Invalid => Code::InvalidArgument,
            Kind::Sealed => Code::Sealed,
            Kind::Unavailable | Kind::Locked | Kind::Schema => Code::Unavailable,
            Kind::Full => Code::LimitExceeded,
            Kind::Corrupt => Code::Internal,
        };
        let (message, remedy) = (fault.message().to_owned(), fault.remedy().to_owned());
        let retry_after = fault.kind().retryable().then_some(1);
        Self { cause: fault.cause().map(Into::into), retry_after, ..Self::new(code, message, remedy) }
    }
}

impl From<ConnectFault> for Fault {
    fn from(fault: ConnectFault) -> Self {
        // An authorization that nobody knows any more is over, whatever it was.
        let code = if fault.reason == ConnectFault::UNKNOWN_FLOW { Code::Expired } else { fault.code };
        Self::new(code, fault.message, fault.remedy)
    }
}

/// The result of every operation.
pub type Done<T> = Result<T, Fault>;
