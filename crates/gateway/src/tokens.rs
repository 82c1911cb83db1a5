//! Access tokens (JWT) of other authorization servers: who they speak for, decided without trusting a word of theirs before the signature
//! (security reference section 9, protocol reference 7.1, RFC 9068, RFC 8725).
//!
//! | File | Holds |
//! |---|---|
//! | `tokens/decode.rs` | three parts, strictly read |
//! | `tokens/verify.rs` | the order of the checks |
//! | `tokens/rules.rs` | time, kind, audience, scope |
//! | `tokens/identity.rs` | claims as organisation, subject, agent, role, groups |
//! | `tokens/key.rs`, `tokens/key_set.rs` | one public key, and all of an issuer |
//! | `tokens/keys.rs` | keys held and refreshed, by one at a time |
//! | `tokens/fetch.rs` | discovery and the key set, through the guarded client |
//! | `tokens/known.rs` | verdicts that are kept for a moment |
//! | `tokens/resource.rs` | what clients are told: RFC 9728 documents and challenges |
//!
//! A built-in authorization server will be one more [`Issuer`] whose keys are our own; nothing else here has to know it.

mod decode;
mod fetch;
mod fingerprint;
mod identity;
mod issuer;
mod key;
mod key_set;
mod keys;
mod known;
mod refusal;
mod resource;
mod rules;
mod verified;
mod verify;

use std::sync::Arc;

use bailiwick_model::Timestamp;
use bailiwick_model::config::Config;
use bailiwick_modules::egress::Egress;

pub(crate) use fingerprint::Fingerprint;
pub(crate) use refusal::{Reason, Refusal};
pub(crate) use resource::Resource;
pub(crate) use verified::Verified;

use crate::gateway::StartFault;
use issuer::Issuer;
use known::Known;

/// Everything about tokens that one gateway holds.
pub(crate) struct Tokens {
    issuers: Vec<Issuer>,
    resource: Resource,
    known: Known,
}

impl Tokens {
    /// For the issuers of the configuration; `None` when there are none. Nothing is fetched before the first token comes.
    ///
    /// # Errors
    /// When the address that tokens are issued for cannot be told.
    pub(crate) fn new(config: &Config, egress: &Egress) -> Result<Option<Self>, StartFault> {
        if config.issuers.is_empty() {
            return Ok(None);
        }
        let resource = Resource::of(config)?;
        let issuer = |config| Issuer::new(config, &resource, egress);
        let issuers = config.issuers.iter().map(issuer).collect();
        Ok(Some(Self { issuers, resource, known: Known::default() }))
    }

    pub(crate) fn resource(&self) -> &Resource {
        &self.resource
    }

    /// The verdict on a token that was verified before, while it holds. Never waits, and allocates nothing.
    pub(crate) fn known(&self, fingerprint: &Fingerprint, now: Timestamp) -> Option<Arc<Verified>> {
        self.known.get(fingerprint, now, |issuer| self.issuers.get(issuer).map(|issuer| issuer.keys.generation()))
    }

    /// Verifies a token from its first character on, and keeps the verdict for a moment. Waits only for keys of its issuer.
    ///
    /// # Errors
    /// [`Refusal`] with the first rule that is broken.
    pub(crate) async fn verify(&self, token: &str, fingerprint: Fingerprint, now: Timestamp) -> Result<Arc<Verified>, Refusal> {
        let (issuer, generation, verified) = verify::verify(&self.issuers, token, fingerprint, now).await?;
        let verified = Arc::new(verified);
        self.known.put(issuer, generation, verified.clone(), now);
        Ok(verified)
    }
}
