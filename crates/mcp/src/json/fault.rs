//! Why a text was refused.

use std::fmt;

/// The rule that a text broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// Not JSON as RFC 8259 defines it.
    Syntax,
    /// Bytes that are not UTF-8.
    Utf8,
    /// One object has a member name twice; names are compared after their escapes are resolved.
    Duplicate,
    /// Arrays and objects are nested deeper than allowed.
    Depth,
    /// More values and member names than allowed.
    Tokens,
    /// More bytes than allowed.
    Size,
    /// A number that is not written as RFC 8259 wants it.
    Number,
    /// Valid JSON, but not of the type that was asked for.
    Shape,
}

impl FaultKind {
    /// The rule as a phrase, e.g. `nested too deeply`.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Syntax => "not valid JSON",
            Self::Utf8 => "not valid UTF-8",
            Self::Duplicate => "a member name occurs twice in one object",
            Self::Depth => "nested too deeply",
            Self::Tokens => "too many values",
            Self::Size => "too many bytes",
            Self::Number => "not a valid JSON number",
            Self::Shape => "not of the expected type",
        }
    }
}

/// A refused text: the rule and the place, never the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The rule that was broken.
    pub kind: FaultKind,
    /// Offset in bytes from the start of the text; for [`FaultKind::Size`] the limit.
    pub at: usize,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            FaultKind::Size => write!(f, "JSON text is longer than {} bytes", self.at),
            kind => write!(f, "{} at byte {}", kind.rule(), self.at),
        }
    }
}

impl std::error::Error for Fault {}
