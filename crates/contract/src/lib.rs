//! Tool contract types: the taxonomies of risk, content trust, idempotency and lifecycle.
//!
//! For authors of MCP servers: declare a [`Contract`] and put it into the tool definition.
//!
//! ```
//! use bailiwick_contract::{ContentTrust, Contract, Risk};
//!
//! let contract = Contract::new(Risk::ReadOnly).content_trust(ContentTrust::Untrusted).idempotent();
//! let mut tool = serde_json::Map::new();
//! contract.put_into(&mut tool);
//! assert_eq!(tool["annotations"]["risk_level"], "read-only");
//! assert_eq!(tool["_meta"]["dev.bailiwick/contract"]["content_trust_risk"], "untrusted");
//! ```
//!
//! For whoever consumes tools: [`Declared::read`] takes the declaration out of a raw definition, [`effective()`] turns it into the facts that
//! decide.

mod content;
mod contract;
mod declared;
mod effective;
mod heuristic;
mod idempotency;
mod lifecycle;
mod risk;
mod trust;

pub use content::{ContentLabels, ContentTrust};
pub use contract::{Contract, META_KEY};
pub use declared::{Declared, Flag, Hints};
pub use effective::{Effective, Fact, Override, Source, effective};
pub use heuristic::risk_of_name;
pub use idempotency::Idempotency;
pub use lifecycle::{ALIAS_BYTES_MAX, ALIASES_MAX, LIFECYCLE_TEXT_BYTES_MAX, Lifecycle};
pub use risk::Risk;
pub use trust::TrustClass;

use std::fmt;

/// A word outside a taxonomy. Names the taxonomy, never the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownWord {
    taxonomy: &'static str,
}

impl UnknownWord {
    pub(crate) const fn new(taxonomy: &'static str) -> Self {
        Self { taxonomy }
    }
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a {}", self.taxonomy)
    }
}

impl std::error::Error for UnknownWord {}
