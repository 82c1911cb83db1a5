//! Runs: brackets that an agent puts around a procedure, so that its calls can be read together (reference, governance section 3).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, InvalidId, Subject, text_id};
use crate::instruction::hides;
use crate::time::Timestamp;

/// Longest label.
pub const RUN_LABEL_CHARS_MAX: usize = 200;
/// Longest note.
pub const RUN_NOTE_CHARS_MAX: usize = 4_000;
/// Longest client id.
pub const CLIENT_ID_BYTES_MAX: usize = 255;
/// Before the id of an agent in the subject of its runs.
const AGENT_PREFIX: &str = "agent:";
/// How long after its last activity a run may still be the one that a call without a run id belongs to.
pub const IDLE_WINDOW_DEFAULT: Duration = Duration::from_secs(30 * 60);
/// An open run without news for longer is shown as stale. Never stored.
pub const STALE_AFTER: Duration = Duration::from_secs(48 * 60 * 60);
/// Label of a run that nobody started.
pub const IMPLICIT_LABEL: &str = "implicit";

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// What was to be done is done.
    Done,
    /// Given up.
    Abandoned,
    /// Went wrong.
    Failed,
    /// Waits for something that the agent cannot do.
    Blocked,
}

/// A text that is no [`Outcome`]; the message names the four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidOutcome;

impl fmt::Display for InvalidOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`outcome` is one of `done`, `abandoned`, `failed`, `blocked`")
    }
}

impl std::error::Error for InvalidOutcome {}

impl Outcome {
    /// Every outcome.
    pub const ALL: &'static [Self] = &[Self::Done, Self::Abandoned, Self::Failed, Self::Blocked];

    /// The word on the wire and in the row.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Abandoned => "abandoned",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
        }
    }

    /// Reads the word.
    ///
    /// # Errors
    /// [`InvalidOutcome`] for any other text.
    pub fn parse(text: &str) -> Result<Self, InvalidOutcome> {
        Self::ALL.iter().copied().find(|outcome| outcome.as_str() == text).ok_or(InvalidOutcome)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a call came to its run (reference 3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunSource {
    /// The call named it.
    Explicit,
    /// It is the innermost open run of the call's session.
    Session,
    /// It is the one open run of the caller.
    Inferred,
}

impl RunSource {
    /// The word in `run_source`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Explicit => "explicit",
            Self::Session => "session",
            Self::Inferred => "inferred",
        }
    }
}

fn label(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= RUN_LABEL_CHARS_MAX && !text.chars().any(char::is_control) && !hides(text)
}

fn note(text: &str) -> bool {
    text.chars().count() <= RUN_NOTE_CHARS_MAX && !hides(text)
}

text_id!(
    /// What a run is about: 1 to [`RUN_LABEL_CHARS_MAX`] characters on one line, not all white space.
    RunLabel, "run label", label, "1 to 200 characters on one line, none of them hidden"
);
text_id!(
    /// What is said at the end of a run: at most [`RUN_NOTE_CHARS_MAX`] characters, newlines and tabs included.
    RunNote, "run note", note, "at most 4,000 characters, none of them hidden"
);

/// Whose run it is: the principal and the client it works through. Session ids alone never decide (they were recycled across accounts
/// in the field), and two clients of one person are two owners.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunOwner {
    sub: Box<str>,
    client_id: Box<str>,
}

impl RunOwner {
    /// A member as owner. `client_id` is empty when the client has none.
    ///
    /// # Errors
    /// [`InvalidId`] for a client id of more than [`CLIENT_ID_BYTES_MAX`] bytes or with control characters, and for a subject that looks
    /// like an agent's.
    pub fn person(sub: &Subject, client_id: &str) -> Result<Self, InvalidId> {
        if sub.as_str().starts_with(AGENT_PREFIX) {
            return Err(InvalidId::new("run owner", "the subject of a person does not begin with `agent:`"));
        }
        Self::from_parts(sub.as_str(), client_id)
    }

    /// An agent that acts by itself as owner: its subject is `agent:<id>`, which no person's is.
    ///
    /// # Errors
    /// [`InvalidId`] for a client id that [`person`](Self::person) refuses.
    pub fn agent(agent: &AgentId, client_id: &str) -> Result<Self, InvalidId> {
        Self::from_parts(&format!("{AGENT_PREFIX}{agent}"), client_id)
    }

    /// An owner as a row has it; who knows whether it is a person or an agent uses the other two.
    ///
    /// # Errors
    /// [`InvalidId`] for texts that neither of them would have made.
    pub fn from_parts(sub: &str, client_id: &str) -> Result<Self, InvalidId> {
        let client_fits = client_id.len() <= CLIENT_ID_BYTES_MAX && !client_id.chars().any(char::is_control);
        if Subject::parse(sub).is_err() || !client_fits {
            return Err(InvalidId::new("run owner", "a subject, and a client id of at most 255 bytes without control characters"));
        }
        Ok(Self { sub: sub.into(), client_id: client_id.into() })
    }

    /// The subject.
    #[must_use]
    pub fn sub(&self) -> &str {
        &self.sub
    }

    /// The client; empty when it has no id.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }
}

/// Whether an open run is shown as one without news (reference 3.4): last seen more than [`STALE_AFTER`] before `now`.
#[must_use]
pub fn is_stale(outcome: Option<Outcome>, last_seen_at: Timestamp, now: Timestamp) -> bool {
    outcome.is_none() && now.since(last_seen_at) > STALE_AFTER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_four_and_the_error_names_them() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::parse(outcome.as_str()), Ok(*outcome));
        }
        for bad in ["", "Done", "done ", "succeeded"] {
            let message = Outcome::parse(bad).unwrap_err().to_string();
            assert!(Outcome::ALL.iter().all(|outcome| message.contains(outcome.as_str())), "{message}");
        }
    }

    #[test]
    fn labels_notes_and_owners_have_limits() {
        assert!(RunLabel::parse(&"é".repeat(200)).is_ok());
        for bad in ["", "  ", "a\nb", &"é".repeat(201)] {
            assert!(RunLabel::parse(bad).is_err(), "{bad}");
        }
        assert!(RunNote::parse("").is_ok() && RunNote::parse(&"\n".repeat(4_000)).is_ok());
        assert!(RunNote::parse(&"x".repeat(4_001)).is_err() && RunNote::parse("a\0").is_err());
        let sub = |text: &str| Subject::parse(text).unwrap();
        assert!(RunOwner::person(&sub("s"), "").is_ok() && RunOwner::person(&sub("s"), &"c".repeat(255)).is_ok());
        for (owner, client) in [("s", &*"c".repeat(256)), ("s", "\0"), ("agent:a", "")] {
            assert!(RunOwner::person(&sub(owner), client).is_err());
        }
        assert!(RunOwner::from_parts("", "").is_err());
        assert_eq!(RunOwner::agent(&AgentId::parse("a").unwrap(), "c").unwrap().sub(), "agent:a");
    }

    #[test]
    fn only_open_runs_get_stale_and_only_after_two_days() {
        let seen = Timestamp::from_micros(5);
        let edge = seen.after(STALE_AFTER);
        assert!(!is_stale(None, seen, edge));
        assert!(is_stale(None, seen, edge.after(Duration::from_micros(1))));
        assert!(!is_stale(Some(Outcome::Done), seen, edge.after(STALE_AFTER)));
    }
}
