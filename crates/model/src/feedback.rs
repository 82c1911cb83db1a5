//! Feedback: what agents and people say about a tool, or about one that is missing (reference, governance 4.2).

use std::fmt;

use serde::Serialize;

use crate::instruction::hides;

/// Longest target, e.g. the name of a tool.
pub const FEEDBACK_TARGET_CHARS_MAX: usize = 200;
/// Longest text.
pub const FEEDBACK_TEXT_CHARS_MAX: usize = 4_000;
/// Characters kept of a kind that we do not know.
pub const FEEDBACK_KIND_CHARS_MAX: usize = 64;

/// What a feedback is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// A tool that exists.
    ToolFeedback,
    /// Something that does not.
    Gap,
}

/// What sort of feedback it is. Which ones a signal has: [`Signal::kinds`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedbackKind {
    /// The tool does not work.
    Bug,
    /// Its description leads astray.
    MisleadingDoc,
    /// What it gives is wrong.
    WrongResult,
    /// It helped.
    Praise,
    /// A tool is missing.
    MissingTool,
    /// An instruction is missing.
    MissingDoctrine,
    /// Data are missing.
    MissingData,
    /// Anything else; also what is not known.
    Other,
}

impl Signal {
    /// Every signal.
    pub const ALL: &'static [Self] = &[Self::ToolFeedback, Self::Gap];

    /// The word on the wire and in the row.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ToolFeedback => "tool_feedback",
            Self::Gap => "gap",
        }
    }

    /// Reads the word; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|signal| signal.as_str() == text)
    }

    /// The kinds that it knows.
    #[must_use]
    pub const fn kinds(self) -> &'static [FeedbackKind] {
        use FeedbackKind::{Bug, MisleadingDoc, MissingData, MissingDoctrine, MissingTool, Other, Praise, WrongResult};
        match self {
            Self::ToolFeedback => &[Bug, MisleadingDoc, WrongResult, Praise, Other],
            Self::Gap => &[MissingTool, MissingDoctrine, MissingData, Other],
        }
    }
}

impl FeedbackKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::Bug,
        Self::MisleadingDoc,
        Self::WrongResult,
        Self::Praise,
        Self::MissingTool,
        Self::MissingDoctrine,
        Self::MissingData,
        Self::Other,
    ];

    /// The word on the wire and in the row.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bug => "bug",
            Self::MisleadingDoc => "misleading_doc",
            Self::WrongResult => "wrong_result",
            Self::Praise => "praise",
            Self::MissingTool => "missing_tool",
            Self::MissingDoctrine => "missing_doctrine",
            Self::MissingData => "missing_data",
            Self::Other => "other",
        }
    }

    /// Reads the word of a row; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }

    /// The kind that `raw` means for `signal`. A text that the signal does not know is [`Other`](Self::Other), and the first
    /// [`FEEDBACK_KIND_CHARS_MAX`] characters of it are kept beside.
    #[must_use]
    pub fn of(signal: Signal, raw: &str) -> (Self, Option<String>) {
        let known = signal.kinds().iter().copied().find(|kind| kind.as_str() == raw);
        let seen = |c: &char| !c.is_control() && !hides(c.encode_utf8(&mut [0; 4]));
        let kept = || raw.chars().filter(seen).take(FEEDBACK_KIND_CHARS_MAX).collect();
        known.map_or_else(|| (Self::Other, Some(kept())), |kind| (kind, None))
    }
}

/// Why a feedback cannot be kept; the message names the member and its rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidFeedback(&'static str);

impl fmt::Display for InvalidFeedback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidFeedback {}

/// A checked feedback that is not yet kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFeedback {
    signal: Signal,
    kind: FeedbackKind,
    kind_raw: Option<String>,
    target: String,
    text: Option<String>,
}

impl NewFeedback {
    /// Reads the four members as they come from the wire; an unknown kind is no error, see [`FeedbackKind::of`].
    ///
    /// # Errors
    /// [`InvalidFeedback`] for an unknown signal, and for a target or text that is too long or holds control characters; a target is not
    /// empty.
    pub fn parse(signal: &str, kind: &str, target: &str, text: Option<&str>) -> Result<Self, InvalidFeedback> {
        let signal = Signal::parse(signal).ok_or(InvalidFeedback("`signal` is `tool_feedback` or `gap`"))?;
        let target_fits = !target.trim().is_empty() && target.chars().count() <= FEEDBACK_TARGET_CHARS_MAX;
        if !target_fits || target.chars().any(char::is_control) || hides(target) {
            return Err(InvalidFeedback("`target` has 1 to 200 characters, none of them hidden"));
        }
        let text = text.map(|text| text.replace("\r\n", "\n"));
        if text.as_ref().is_some_and(|text| text.chars().count() > FEEDBACK_TEXT_CHARS_MAX || hides(text)) {
            return Err(InvalidFeedback("`text` has at most 4,000 characters, none of them hidden"));
        }
        let (kind, kind_raw) = FeedbackKind::of(signal, kind);
        Ok(Self { signal, kind, kind_raw, target: target.to_owned(), text })
    }

    /// What it is about.
    #[must_use]
    pub const fn signal(&self) -> Signal {
        self.signal
    }

    /// What sort it is.
    #[must_use]
    pub const fn kind(&self) -> FeedbackKind {
        self.kind
    }

    /// What was given as kind, when that is not known.
    #[must_use]
    pub fn kind_raw(&self) -> Option<&str> {
        self.kind_raw.as_deref()
    }

    /// The tool, instruction or data.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What was said.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_belong_to_their_signal_and_others_are_kept() {
        for signal in Signal::ALL {
            assert_eq!(Signal::parse(signal.as_str()), Some(*signal));
            for kind in signal.kinds() {
                assert_eq!(FeedbackKind::of(*signal, kind.as_str()), (*kind, None));
                assert_eq!(FeedbackKind::parse(kind.as_str()), Some(*kind));
            }
        }
        for (signal, raw) in [(Signal::Gap, "bug"), (Signal::ToolFeedback, "missing_tool"), (Signal::Gap, "zzz"), (Signal::Gap, "")] {
            assert_eq!(FeedbackKind::of(signal, raw), (FeedbackKind::Other, Some(raw.to_owned())));
        }
        let (_, kept) = FeedbackKind::of(Signal::Gap, &format!("\u{1b}{}", "é".repeat(100)));
        assert_eq!(kept, Some("é".repeat(64)));
        assert!(FeedbackKind::ALL.iter().all(|kind| Signal::ALL.iter().any(|signal| signal.kinds().contains(kind))));
    }

    #[test]
    fn feedback_has_limits() {
        let parse = NewFeedback::parse;
        assert!(parse("gap", "zzz", &"é".repeat(200), Some(&"é".repeat(4_000))).is_ok());
        assert!(parse("Gap", "bug", "t", None).is_err());
        for target in ["", " ", "a\nb", &"x".repeat(201)] {
            assert!(parse("gap", "other", target, None).is_err(), "{target}");
        }
        for text in ["\0", &"x".repeat(4_001)] {
            assert!(parse("gap", "other", "t", Some(text)).is_err());
        }
    }
}
