//! Protocol revisions and the two eras (reference, protocol sections 1 and 4).

use std::fmt;

/// How a conversation is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Era {
    /// With an `initialize` handshake: 2025-11-25 and older.
    Legacy,
    /// Every request describes itself: 2026-07-28 and later.
    Modern,
}

/// A published revision, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Revision {
    /// 2024-11-05: stdio, and HTTP with a separate event stream.
    R2024_11_05,
    /// 2025-03-26: Streamable HTTP; the only one with JSON-RPC batches.
    R2025_03_26,
    /// 2025-06-18: version header, structured results.
    R2025_06_18,
    /// 2025-11-25: the last with a handshake.
    R2025_11_25,
    /// 2026-07-28: stateless.
    R2026_07_28,
}

impl Revision {
    /// Every revision that can be spoken, newest first.
    pub const ALL: [Self; 5] = [Self::R2026_07_28, Self::R2025_11_25, Self::R2025_06_18, Self::R2025_03_26, Self::R2024_11_05];
    /// What we serve to clients, newest first. 2024-11-05 is spoken to old servers only.
    pub const SERVED: [Self; 4] = [Self::R2026_07_28, Self::R2025_11_25, Self::R2025_06_18, Self::R2025_03_26];
    /// The modern part of [`Revision::SERVED`].
    pub const MODERN: [Self; 1] = [Self::R2026_07_28];
    /// The handshake part of [`Revision::SERVED`], newest first.
    pub const LEGACY: [Self; 3] = [Self::R2025_11_25, Self::R2025_06_18, Self::R2025_03_26];
    /// The newest revision of all.
    pub const NEWEST: Self = Self::R2026_07_28;
    /// What `initialize` answers when the client asks for a revision that we do not serve.
    pub const NEWEST_LEGACY: Self = Self::R2025_11_25;

    /// The date that names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::R2024_11_05 => "2024-11-05",
            Self::R2025_03_26 => "2025-03-26",
            Self::R2025_06_18 => "2025-06-18",
            Self::R2025_11_25 => "2025-11-25",
            Self::R2026_07_28 => "2026-07-28",
        }
    }

    /// The revision named by exactly this text; None for any other.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|revision| revision.as_str() == text)
    }

    /// Its era.
    #[must_use]
    pub const fn era(self) -> Era {
        match self {
            Self::R2026_07_28 => Era::Modern,
            _ => Era::Legacy,
        }
    }

    /// True when clients may speak it to us.
    #[must_use]
    pub fn is_served(self) -> bool {
        Self::SERVED.contains(&self)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for Revision {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for Revision {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a known protocol revision"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_the_lists_agree() {
        for revision in Revision::ALL {
            assert_eq!(Revision::parse(revision.as_str()), Some(revision));
            assert_eq!(serde_json::from_str::<Revision>(&format!("\"{revision}\"")).unwrap(), revision);
        }
        for bad in ["", "2025-06-18 ", "2025-6-18", "DRAFT", "2027-01-01", "2026-07-28\0"] {
            assert_eq!(Revision::parse(bad), None, "{bad}");
        }
        let halves: Vec<_> = Revision::MODERN.into_iter().chain(Revision::LEGACY).collect();
        assert_eq!(halves, Revision::SERVED);
        assert!(Revision::ALL.is_sorted_by(|a, b| a > b) && Revision::SERVED.is_sorted_by(|a, b| a > b), "newest first");
        assert!(Revision::LEGACY.iter().all(|r| r.era() == Era::Legacy) && Revision::NEWEST.era() == Era::Modern);
    }
}
