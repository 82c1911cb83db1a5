//! How a command ends when it does not succeed: one exit code, one sentence, one remedy (reference, ecosystem section 4).

use std::fmt;

use bailiwick_store::{StoreError, StoreErrorKind};

/// Exit codes that scripts may rely on; success is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It failed, or a check found something.
    Failed = 1,
    /// Usage or configuration is invalid.
    Usage = 2,
    /// Not authenticated or not allowed.
    Denied = 3,
    /// The named thing does not exist.
    NotFound = 4,
    /// Conflicts with what exists, or is based on an old state.
    Conflict = 5,
    /// Something this command needs is not available: database, port, directory.
    Unavailable = 6,
    /// Interrupted by a second signal.
    Interrupted = 130,
}

/// Why a command did not succeed. Printed as `error: ...`, then `hint: ...`, then `event: ...`.
///
/// No part ever holds a secret.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    exit: Exit,
    message: String,
    details: String,
    hint: Option<String>,
    event: Option<String>,
}

impl Failure {
    /// A failure with its exit code and its sentence.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), details: String::new(), hint: None, event: None }
    }

    /// A failure whose reasons have been printed already: only the exit code is left.
    #[must_use]
    pub fn told(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// Whether its reasons have been printed already.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.message.is_empty()
    }

    /// Adds a report of several lines, which is printed behind the sentence and stands in no log.
    #[must_use]
    pub fn details(mut self, text: &str) -> Self {
        self.details.push_str(text);
        self
    }

    /// Adds what the reader can do next; an empty text adds nothing.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into()).filter(|text| !text.is_empty());
        self
    }

    /// Adds the event that leads to the cause in the ledger.
    #[must_use]
    pub fn event(mut self, event: impl fmt::Display) -> Self {
        self.event = Some(event.to_string());
        self
    }

    /// The code the process ends with.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        self.exit
    }

    /// The sentence without prefix and hint.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        if !self.details.is_empty() {
            write!(f, "\n\n{}", self.details.trim_end())?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        match &self.event {
            Some(event) => write!(f, "\nevent: {event}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

impl From<StoreError> for Failure {
    fn from(fault: StoreError) -> Self {
        use StoreErrorKind as Kind;
        let exit = match fault.kind() {
            Kind::NotFound => Exit::NotFound,
            Kind::Conflict | Kind::Outdated => Exit::Conflict,
            Kind::Invalid => Exit::Usage,
            Kind::Unavailable | Kind::Locked | Kind::Full | Kind::Schema | Kind::Sealed => Exit::Unavailable,
            Kind::Corrupt => Exit::Failed,
        };
        let message = match fault.cause() {
            Some(cause) => format!("{} ({cause})", fault.message()),
            None => fault.message().to_owned(),
        };
        Self::new(exit, message).hint(fault.remedy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_error_then_hint_then_event() {
        let failure = Failure::new(Exit::NotFound, "key `ab` does not exist").hint("`bailiwick key list` shows what exists").event("01ff");
        assert_eq!(failure.to_string(), "error: key `ab` does not exist\nhint: `bailiwick key list` shows what exists\nevent: 01ff");
        assert_eq!(Failure::new(Exit::Failed, "no").hint("").to_string(), "error: no");
        assert_eq!(Exit::Interrupted as u8, 130);
    }
}
