//! How far the response of a tool can be trusted; says nothing about what the tool does.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::UnknownWord;

/// The declared content trust of a tool's response. The taxonomy has no order; [`ContentLabels`] is what can be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContentTrust {
    /// Written by someone we trust.
    #[default]
    Trusted,
    /// Written by anyone.
    Untrusted,
    /// Not meant for everybody.
    Sensitive,
    /// Written by anyone and known to carry instructions.
    PromptInjectionProne,
}

impl ContentTrust {
    /// All values.
    pub const ALL: [Self; 4] = [Self::Trusted, Self::Untrusted, Self::Sensitive, Self::PromptInjectionProne];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Untrusted => "untrusted",
            Self::Sensitive => "sensitive",
            Self::PromptInjectionProne => "prompt-injection-prone",
        }
    }

    /// Reads the word on the wire.
    ///
    /// # Errors
    /// [`UnknownWord`] for any other text.
    pub fn parse(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|trust| trust.as_str() == word).ok_or(UnknownWord::new("content trust"))
    }
}

impl fmt::Display for ContentTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known against a response. Two sources that disagree are joined, so that no fact is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ContentLabels {
    untrusted: bool,
    sensitive: bool,
    injection_prone: bool,
}

impl ContentLabels {
    /// Nothing is known against it.
    pub const TRUSTED: Self = Self { untrusted: false, sensitive: false, injection_prone: false };

    /// Anyone may have written it.
    #[must_use]
    pub const fn untrusted(self) -> bool {
        self.untrusted
    }

    /// Not meant for everybody.
    #[must_use]
    pub const fn sensitive(self) -> bool {
        self.sensitive
    }

    /// Known to carry instructions; implies [`ContentLabels::untrusted`].
    #[must_use]
    pub const fn injection_prone(self) -> bool {
        self.injection_prone
    }

    /// Everything that `self` or `other` knows.
    #[must_use]
    pub const fn join(self, other: Self) -> Self {
        Self {
            untrusted: self.untrusted || other.untrusted,
            sensitive: self.sensitive || other.sensitive,
            injection_prone: self.injection_prone || other.injection_prone,
        }
    }

    /// Whether `self` lacks a fact that `earlier` had.
    #[must_use]
    pub fn weaker_than(self, earlier: Self) -> bool {
        self.join(earlier) != self
    }

    /// The one word for the wire: the gravest of the facts, an injection risk before secrecy before unknown origin.
    #[must_use]
    pub const fn gravest(self) -> ContentTrust {
        if self.injection_prone {
            ContentTrust::PromptInjectionProne
        } else if self.sensitive {
            ContentTrust::Sensitive
        } else if self.untrusted {
            ContentTrust::Untrusted
        } else {
            ContentTrust::Trusted
        }
    }

    /// Every word that holds, gravest first; never empty.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let trusted = self == Self::TRUSTED;
        let all = [
            (self.injection_prone, ContentTrust::PromptInjectionProne),
            (self.sensitive, ContentTrust::Sensitive),
            (self.untrusted && !self.injection_prone, ContentTrust::Untrusted),
            (trusted, ContentTrust::Trusted),
        ];
        all.into_iter().filter(|(holds, _)| *holds).map(|(_, trust)| trust.as_str())
    }
}

impl From<ContentTrust> for ContentLabels {
    fn from(trust: ContentTrust) -> Self {
        let injection_prone = trust == ContentTrust::PromptInjectionProne;
        Self {
            untrusted: injection_prone || trust == ContentTrust::Untrusted,
            sensitive: trust == ContentTrust::Sensitive,
            injection_prone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(trust: ContentTrust) -> ContentLabels {
        trust.into()
    }

    /// Reference, governance section 7.6, table "weakens".
    #[test]
    fn weakening_follows_the_reference() {
        use ContentTrust::{PromptInjectionProne as P, Sensitive as S, Trusted as T, Untrusted as U};
        for (from, to, weaker) in [
            (U, T, true),
            (S, T, true),
            (P, T, true),
            (P, U, true),
            (S, U, true),
            (U, S, true),
            (S, P, true),
            (P, S, true),
            (T, U, false),
            (T, S, false),
            (T, P, false),
            (U, P, false),
            (U, U, false),
        ] {
            assert_eq!(labels(to).weaker_than(labels(from)), weaker, "{from} -> {to}");
        }
    }

    #[test]
    fn words_round_trip_and_joining_keeps_both_facts() {
        for trust in ContentTrust::ALL {
            assert_eq!(ContentTrust::parse(trust.as_str()), Ok(trust));
            assert_eq!(labels(trust).gravest(), trust);
            assert_eq!(labels(trust).words().collect::<Vec<_>>(), [trust.as_str()]);
            assert_eq!(serde_json::to_value(trust).unwrap(), trust.as_str());
        }
        assert!(ContentTrust::parse("Trusted").is_err());
        let both = labels(ContentTrust::Sensitive).join(labels(ContentTrust::Untrusted));
        assert_eq!(both.words().collect::<Vec<_>>(), ["sensitive", "untrusted"]);
        assert_eq!(both.gravest(), ContentTrust::Sensitive);
    }
}
