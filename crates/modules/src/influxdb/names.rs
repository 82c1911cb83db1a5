//! The names that stand unquoted in requests. Each rule is about the whole text.

use crate::fault::ToolFault;

/// Longest measurement, tag key or field key, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 256;

/// `^[A-Za-z_][A-Za-z0-9_]*$`: what needs no escape in line protocol.
pub(super) fn identifier(what: &str, name: &str) -> Result<(), ToolFault> {
    check(what, name, |b| b.is_ascii_alphanumeric() || b == b'_', "a letter or `_`, then letters, digits and `_`")
}

/// `^[A-Za-z_][A-Za-z0-9_-]*$`.
pub(super) fn measurement(name: &str) -> Result<(), ToolFault> {
    check(
        "measurement",
        name,
        |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'),
        "a letter or `_`, then letters, digits, `_` and `-`",
    )
}

fn check(what: &str, name: &str, inner: fn(u8) -> bool, rule: &str) -> Result<(), ToolFault> {
    let first = name.as_bytes().first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
    if first && name.len() <= NAME_BYTES_MAX && name.bytes().all(inner) {
        return Ok(());
    }
    Err(ToolFault::invalid(format!("the {what} is not a name that can be used"), format!("write {rule}, at most {NAME_BYTES_MAX} bytes")))
}
