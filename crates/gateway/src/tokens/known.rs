//! Verdicts that are kept for a moment, so that a token that comes with every call is verified once.
//!
//! A verdict holds until the token expires, at most [`VERDICT_MAX`], and not beyond the next change of the issuer's keys. So a key that an
//! issuer withdraws stops working when the gateway sees the new set: at most 10 minutes (the set's own age) and [`VERDICT_MAX`] later.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::Timestamp;

use super::{Fingerprint, Verified};
use crate::lock::SharedLock;

/// Longest time a verdict is kept.
const VERDICT_MAX: Duration = Duration::from_secs(60);
/// Verdicts held at once; beyond it those that are over go, then all.
const VERDICTS_MAX: usize = 10_000;

struct Verdict {
    verified: Arc<Verified>,
    issuer: usize,
    /// Of the issuer's keys.
    generation: u64,
    since: Timestamp,
    until: Timestamp,
}

impl Verdict {
    /// A clock that was set back ends a verdict too.
    fn holds(&self, now: Timestamp) -> bool {
        self.since <= now && now < self.until
    }
}

/// The verdicts of one gateway.
#[derive(Default)]
pub(super) struct Known(SharedLock<HashMap<Fingerprint, Verdict>>);

impl Known {
    /// `generation` tells the present one of an issuer's keys.
    pub(super) fn get(
        &self,
        fingerprint: &Fingerprint,
        now: Timestamp,
        generation: impl FnOnce(usize) -> Option<u64>,
    ) -> Option<Arc<Verified>> {
        let known = self.0.read();
        let verdict = known.get(fingerprint).filter(|verdict| verdict.holds(now))?;
        (generation(verdict.issuer) == Some(verdict.generation)).then(|| verdict.verified.clone())
    }

    pub(super) fn put(&self, issuer: usize, generation: u64, verified: Arc<Verified>, now: Timestamp) {
        let until = verified.expires_at.min(now.after(VERDICT_MAX));
        let mut known = self.0.write();
        if known.len() >= VERDICTS_MAX {
            known.retain(|_, verdict| verdict.holds(now));
        }
        if known.len() >= VERDICTS_MAX {
            known.clear();
        }
        known.insert(verified.fingerprint, Verdict { issuer, generation, since: now, until, verified });
    }
}
