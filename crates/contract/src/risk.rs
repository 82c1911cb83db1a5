//! What a tool may do to the world.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::UnknownWord;

/// The risk of a tool, mildest first; `Ord` is the order of `RISK_LEVEL_ORDER` (reference, governance section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Looks only.
    ReadOnly,
    /// Changes something that is easily changed back.
    LowRiskWrite,
    /// Changes something that matters.
    HighRiskWrite,
    /// Makes something known outside.
    ExternalPublication,
    /// Spends money.
    PaidOperation,
    /// Destroys something.
    Destructive,
}

impl Risk {
    /// All values, mildest first.
    pub const ORDER: [Self; 6] =
        [Self::ReadOnly, Self::LowRiskWrite, Self::HighRiskWrite, Self::ExternalPublication, Self::PaidOperation, Self::Destructive];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::LowRiskWrite => "low-risk-write",
            Self::HighRiskWrite => "high-risk-write",
            Self::ExternalPublication => "external-publication",
            Self::PaidOperation => "paid-operation",
            Self::Destructive => "destructive",
        }
    }

    /// Reads the word on the wire.
    ///
    /// # Errors
    /// [`UnknownWord`] for any other text, letter case included.
    pub fn parse(word: &str) -> Result<Self, UnknownWord> {
        Self::ORDER.into_iter().find(|risk| risk.as_str() == word).ok_or(UnknownWord::new("risk level"))
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
