//! Why an instruction was refused.

use serde::Serialize;

/// Reasons one check gives; a text with more is as refused as any other.
pub const REASONS_MAX: usize = 500;

/// Which rule was broken (reference 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Kind or slug does not follow the pattern.
    Name,
    /// Too long, too deep, or empty where something is needed.
    Size,
    /// A forbidden name occurs.
    Blocklist,
    /// A quotation is attributed to a person.
    Attribution,
    /// The frontmatter lacks a member or has one of the wrong type.
    Frontmatter,
    /// A control character other than a newline or tab.
    ControlCharacter,
    /// A character that turns the direction in which the text is shown.
    BidiCharacter,
    /// A character that nobody sees.
    HiddenCharacter,
}

impl Rule {
    /// The word on the wire, as in `serde`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Size => "size",
            Self::Blocklist => "blocklist",
            Self::Attribution => "attribution",
            Self::Frontmatter => "frontmatter",
            Self::ControlCharacter => "control_character",
            Self::BidiCharacter => "bidi_character",
            Self::HiddenCharacter => "hidden_character",
        }
    }
}

/// One reason. Serialised it is `{rule, field, detail}` and safe to show to anybody who may write: a forbidden name is in `term` alone,
/// which is not serialised, because the list of names is itself confidential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Which rule.
    pub rule: Rule,
    /// In which text, e.g. `body` or `frontmatter.metadata.author`.
    pub field: String,
    /// What is wrong, without the forbidden name.
    pub detail: String,
    /// The forbidden name as the blocklist has it; for administrators of the organisation.
    #[serde(skip)]
    pub term: Option<String>,
}

impl Reason {
    /// One line for a person who writes: `body: contains a forbidden name`.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{}: {}", self.field, self.detail)
    }
}

/// Reasons as they are found, no more than [`REASONS_MAX`].
#[derive(Default)]
pub(super) struct Reasons(Vec<Reason>);

impl Reasons {
    pub(super) fn add(&mut self, rule: Rule, field: impl Into<String>, detail: impl Into<String>) {
        self.push(Reason { rule, field: field.into(), detail: detail.into(), term: None });
    }

    pub(super) fn push(&mut self, reason: Reason) {
        if self.0.len() < REASONS_MAX {
            self.0.push(reason);
        }
    }

    pub(super) fn take(self) -> Vec<Reason> {
        self.0
    }
}
