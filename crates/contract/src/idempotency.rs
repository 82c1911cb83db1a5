//! Whether doing it twice is as good as once.

use serde::{Deserialize, Serialize};

/// Whether a call may be repeated without a second effect. On the wire a boolean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "bool", into = "bool")]
pub enum Idempotency {
    /// It may not; nothing is retried (default).
    #[default]
    NotIdempotent,
    /// It may.
    Idempotent,
}

impl Idempotency {
    /// Whether it is `Idempotent`.
    #[must_use]
    pub const fn holds(self) -> bool {
        matches!(self, Self::Idempotent)
    }

    /// The one that allows less.
    #[must_use]
    pub const fn stricter(self, other: Self) -> Self {
        if self.holds() && other.holds() { Self::Idempotent } else { Self::NotIdempotent }
    }
}

impl From<bool> for Idempotency {
    fn from(holds: bool) -> Self {
        if holds { Self::Idempotent } else { Self::NotIdempotent }
    }
}

impl From<Idempotency> for bool {
    fn from(idempotency: Idempotency) -> Self {
        idempotency.holds()
    }
}
