//! Why an upstream gave no result.

use std::fmt;

use super::authorization::Demand;
use super::dial::{DialError, DialErrorKind};
use crate::error::RpcError;

/// A failed exchange with an upstream server.
#[derive(Clone, Debug)]
pub struct UpstreamFault {
    /// What happened, for the program.
    pub kind: FaultKind,
    /// Whether a byte of the request may have reached the server. `false`: the request was certainly not executed.
    pub sent: bool,
    /// One line for operators. It may quote the server, so that the caller has to redact it before showing it.
    pub detail: String,
}

/// The class of an [`UpstreamFault`].
#[derive(Clone, Debug)]
pub enum FaultKind {
    /// No connection, or no process, could be had.
    Unreachable,
    /// The time given for the exchange is over.
    Timeout,
    /// The caller cancelled.
    Cancelled,
    /// The server wants (other) credentials: 401 or 403.
    Auth(Demand),
    /// An HTTP status that carries no JSON-RPC error.
    Http(u16),
    /// The answer is larger than allowed, or more is asked for than allowed.
    TooLarge,
    /// The server broke the rules of the protocol.
    Protocol,
    /// The server answered with a JSON-RPC error.
    Rpc(RpcError),
    /// The connection or process ended before the answer.
    Closed,
    /// The egress guard refused the address.
    Refused(DialError),
}

impl UpstreamFault {
    pub(crate) fn new(kind: FaultKind, sent: bool, detail: impl Into<String>) -> Self {
        Self { kind, sent, detail: detail.into() }
    }

    pub(crate) fn protocol(detail: impl Into<String>) -> Self {
        Self::new(FaultKind::Protocol, true, detail)
    }

    pub(crate) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(FaultKind::TooLarge, true, detail)
    }

    pub(crate) fn unsent(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self::new(kind, false, detail)
    }

    pub(crate) fn rpc(error: RpcError) -> Self {
        let detail = format!("error {} from the server: {}", error.code, excerpt(&error.message));
        Self::new(FaultKind::Rpc(error), true, detail)
    }
}

impl From<DialError> for UpstreamFault {
    fn from(error: DialError) -> Self {
        let detail = error.detail.clone();
        match error.kind {
            DialErrorKind::Denied => Self::unsent(FaultKind::Refused(error), detail),
            DialErrorKind::Resolve | DialErrorKind::Connect | DialErrorKind::Tls => Self::unsent(FaultKind::Unreachable, detail),
        }
    }
}

impl fmt::Display for UpstreamFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for UpstreamFault {}

/// Characters of a server's own words that fit into a one-line detail.
const EXCERPT_CHARS_MAX: usize = 200;

/// The beginning of a server's text as one harmless line: control characters and other unprintable ones escaped.
pub(crate) fn excerpt(text: &str) -> String {
    let mut line: String = text.chars().take(EXCERPT_CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(EXCERPT_CHARS_MAX).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_short_harmless_line() {
        let hostile = format!("\u{1b}[31mred\n{}\u{202e}", "x".repeat(300));
        let line = excerpt(&hostile);
        assert!(!line.contains('\n') && !line.contains('\u{1b}') && !line.contains('\u{202e}'));
        assert!(line.chars().count() < 300 && line.ends_with('…'), "{line}");
    }
}
