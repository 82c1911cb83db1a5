//! Faults that are the same text on both transports.

use super::behaviour::Fault;
use super::catalog;
use super::wire;

/// The whole text that a fault sends in place of an answer; none for faults of the transport itself.
pub(super) fn text(fault: &Fault, id: &str) -> Option<Vec<u8>> {
    let result = r#"{"content":[{"type":"text","text":"fault"}],"isError":false}"#;
    match fault {
        Fault::Garbage => Some(b"<!doctype html><title>It works</title>".to_vec()),
        Fault::WrongId => Some(wire::result("\"another-id\"", result)),
        Fault::DuplicateMember => Some(wire::result(id, r#"{"content":[],"content":[{"type":"text","text":"twice"}]}"#)),
        Fault::Deep(levels) => {
            let levels = *levels as usize;
            Some(wire::result(id, &format!(r#"{{"content":[],"deep":{}{}}}"#, "[".repeat(levels), "]".repeat(levels))))
        }
        Fault::Oversize(bytes) => {
            Some(wire::result(id, &format!(r#"{{"content":[{{"type":"text","text":"{}"}}]}}"#, catalog::text(*bytes))))
        }
        Fault::Rpc { code, message, data } => Some(wire::error(id, *code, message, data.as_ref().map(ToString::to_string).as_deref())),
        Fault::Truncated => {
            let mut whole = wire::result(id, result);
            whole.truncate(whole.len() / 2);
            Some(whole)
        }
        Fault::Endless | Fault::HangUp | Fault::Silence | Fault::Status(_) | Fault::Redirect(_) => None,
    }
}
