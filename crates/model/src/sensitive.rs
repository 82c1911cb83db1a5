//! Text that may hold a password or a token and therefore never prints itself.

use std::fmt;

/// Text whose `Debug` form is a fixed word; there is no `Display`. [`Sensitive::expose`] is the only way to the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Sensitive(Box<str>);

impl Sensitive {
    /// Wraps `text`.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself: for the one place that sends it, never for a message.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sensitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
