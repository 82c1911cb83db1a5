//! What an organisation says of a server to those who use it there.

use crate::id::InvalidId;

/// Longest text, in characters.
pub const CONTEXT_CHARS_MAX: usize = 4_000;

/// A plain text of at most [`CONTEXT_CHARS_MAX`] characters, without control characters other than newline and tab; `""` clears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrgContext(String);

impl OrgContext {
    /// Takes the text without its control characters. The limit counts what was given.
    ///
    /// # Errors
    /// [`InvalidId`] when it is too long.
    pub fn new(text: &str) -> Result<Self, InvalidId> {
        if text.chars().count() > CONTEXT_CHARS_MAX {
            return Err(InvalidId::new("context", "at most 4000 characters"));
        }
        Ok(Self(text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it clears.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_counted_and_controls_removed() {
        assert_eq!(OrgContext::new(&"é".repeat(4_000)).unwrap().as_str().chars().count(), 4_000);
        assert!(OrgContext::new(&"é".repeat(4_001)).is_err());
        let text = OrgContext::new("a\r\nb\tc\u{1b}[31m\0\u{85}\u{7f}d").unwrap();
        assert_eq!(text.as_str(), "a\nb\tc[31md");
        assert!(OrgContext::new("").unwrap().is_empty() && OrgContext::new("\u{7}").unwrap().is_empty());
    }
}
