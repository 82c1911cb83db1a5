//! How far a server's own word about its tools counts.

use serde::{Deserialize, Serialize};

/// The trust class of a server (reference, governance section 7.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrustClass {
    /// Owned by the same team: its declarations are taken as they are.
    FirstParty,
    /// Its declarations are taken, but never below what the name of the tool suggests.
    Verified,
    /// Its declarations can only make things stricter (default).
    #[default]
    ThirdParty,
}
