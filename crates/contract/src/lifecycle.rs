//! Age and names of a tool.

use serde::{Deserialize, Serialize};

/// Longest version or date in bytes.
pub const LIFECYCLE_TEXT_BYTES_MAX: usize = 64;
/// Most aliases of a tool.
pub const ALIASES_MAX: usize = 16;
/// Longest alias in bytes.
pub const ALIAS_BYTES_MAX: usize = 128;

/// Version, deprecation and former names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lifecycle {
    /// Version of the contract; default `1.0.0`.
    pub version: String,
    /// Version or date since when the tool should no longer be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated_since: Option<String>,
    /// Former names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self { version: "1.0.0".to_owned(), deprecated_since: None, aliases: Vec::new() }
    }
}

/// Visible ASCII and spaces within the limit: safe to print and to compare.
pub(crate) fn is_lifecycle_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= LIFECYCLE_TEXT_BYTES_MAX && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
}

/// The admission rule for upstream tool names.
pub(crate) fn is_alias(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    !text.is_empty() && text.len() <= ALIAS_BYTES_MAX && text.bytes().all(allowed)
}
