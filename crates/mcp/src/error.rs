//! JSON-RPC errors and the HTTP statuses they travel with (reference, protocol section 2.9).

use std::borrow::Cow;
use std::fmt;

use crate::json::{Fault, FaultKind, Json};
use crate::message::Id;
use crate::revision::Era;

/// The body is no JSON.
pub const PARSE: i64 = -32700;
/// The body is JSON, but no JSON-RPC message that may be sent here.
pub const INVALID_REQUEST: i64 = -32600;
/// Nobody answers this method.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// Parameters or request metadata are missing or malformed; also an unknown tool, prompt, resource or cursor.
pub const INVALID_PARAMS: i64 = -32602;
/// Our own fault.
pub const INTERNAL: i64 = -32603;
/// A header is missing, malformed, doubled or contradicts the body.
pub const HEADER_MISMATCH: i64 = -32020;
/// The request needs something that the client did not declare.
pub const MISSING_CAPABILITY: i64 = -32021;
/// The protocol revision is not served.
pub const UNSUPPORTED_VERSION: i64 = -32022;

/// Before 2026-07-28: the resource does not exist. Never sent to modern clients (reference, protocol section 2.9).
pub const LEGACY_RESOURCE_NOT_FOUND: i64 = -32002;
/// A person has to visit an address before the request can be served (specification 2025-11-25, client/elicitation).
pub const URL_ELICITATION_REQUIRED: i64 = -32042;

/// HTTP status of an error answer to a request that reached its method. Requests that were refused before carry their own status, see
/// [`WireError::status`].
#[must_use]
pub const fn http_status(code: i64, era: Era) -> u16 {
    match (code, era) {
        (PARSE | INVALID_REQUEST, _) | (HEADER_MISMATCH | MISSING_CAPABILITY | UNSUPPORTED_VERSION, Era::Modern) => 400,
        (METHOD_NOT_FOUND, Era::Modern) => 404,
        _ => 200,
    }
}

/// The `error` object of a JSON-RPC response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    /// JSON-RPC code.
    pub code: i64,
    /// One sentence. Texts from upstream servers are hostile.
    pub message: Cow<'static, str>,
    /// Anything else that was said.
    pub data: Option<Json>,
}

impl RpcError {
    /// An error without data.
    pub fn new(code: i64, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// The same with data.
    #[must_use]
    pub fn with_data(self, data: Json) -> Self {
        Self { data: Some(data), ..self }
    }

    /// The answer to a method that nobody serves.
    #[must_use]
    pub fn method_not_found() -> Self {
        Self::new(METHOD_NOT_FOUND, "Method not found")
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for RpcError {}

/// A message that is refused before anything acts on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError {
    /// JSON-RPC code.
    pub code: i64,
    /// What is wrong and where; never content of the message.
    pub message: Cow<'static, str>,
    /// Structured details where the protocol defines them.
    pub data: Option<Json>,
    /// Id of the refused request, when it could be read.
    pub id: Option<Id>,
    status: u16,
}

impl WireError {
    /// A refusal with the HTTP status that belongs to its code: 404 for an unknown method, otherwise 400.
    pub fn new(code: i64, message: impl Into<Cow<'static, str>>) -> Self {
        let status = if code == METHOD_NOT_FOUND { 404 } else { 400 };
        Self { code, message: message.into(), data: None, id: None, status }
    }

    /// The same with another HTTP status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The same as answer to request `id`.
    #[must_use]
    pub fn with_id(self, id: Option<Id>) -> Self {
        Self { id, ..self }
    }

    /// The same with data.
    #[must_use]
    pub fn with_data(self, data: Json) -> Self {
        Self { data: Some(data), ..self }
    }

    /// HTTP status of the answer.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The error object without its envelope.
    #[must_use]
    pub fn to_rpc(&self) -> RpcError {
        RpcError { code: self.code, message: self.message.clone(), data: self.data.clone() }
    }
}

impl From<Fault> for WireError {
    /// Broken syntax is a parse error; a crossed limit or a doubled name is an invalid request (reference, security sections 3 and 14).
    fn from(fault: Fault) -> Self {
        let error = match fault.kind {
            FaultKind::Syntax | FaultKind::Utf8 | FaultKind::Number => Self::new(PARSE, format!("Parse error: {fault}")),
            FaultKind::Shape => Self::new(INVALID_PARAMS, format!("Invalid params: {fault}")),
            FaultKind::Duplicate | FaultKind::Depth | FaultKind::Tokens | FaultKind::Size => {
                Self::new(INVALID_REQUEST, format!("Invalid request: {fault}"))
            }
        };
        if fault.kind == FaultKind::Size { error.with_status(413) } else { error }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for WireError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_follow_the_reference() {
        let modern = [
            (PARSE, 400),
            (INVALID_REQUEST, 400),
            (METHOD_NOT_FOUND, 404),
            (INVALID_PARAMS, 200),
            (INTERNAL, 200),
            (HEADER_MISMATCH, 400),
            (MISSING_CAPABILITY, 400),
            (UNSUPPORTED_VERSION, 400),
            (4030, 200),
        ];
        for (code, status) in modern {
            assert_eq!(http_status(code, Era::Modern), status, "{code}");
        }
        for (code, status) in [(PARSE, 400), (INVALID_REQUEST, 400), (METHOD_NOT_FOUND, 200), (INVALID_PARAMS, 200), (INTERNAL, 200)] {
            assert_eq!(http_status(code, Era::Legacy), status, "{code}");
        }
    }

    #[test]
    fn faults_become_the_right_codes() {
        let table = [
            (FaultKind::Syntax, PARSE, 400),
            (FaultKind::Utf8, PARSE, 400),
            (FaultKind::Number, PARSE, 400),
            (FaultKind::Duplicate, INVALID_REQUEST, 400),
            (FaultKind::Depth, INVALID_REQUEST, 400),
            (FaultKind::Tokens, INVALID_REQUEST, 400),
            (FaultKind::Size, INVALID_REQUEST, 413),
            (FaultKind::Shape, INVALID_PARAMS, 400),
        ];
        for (kind, code, status) in table {
            let error = WireError::from(Fault { kind, at: 7 });
            assert_eq!((error.code, error.status()), (code, status), "{kind:?}");
            assert!(error.to_string().contains('7'), "{error}");
        }
    }
}
