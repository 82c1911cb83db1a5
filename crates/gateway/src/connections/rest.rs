//! Whose turn it is to refresh, and pauses after refreshes that did not come about, so that a provider that is down is not asked with every
//! call.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::registered::Holder;
use bailiwick_model::{OrgId, ServerId};
use tokio::time::Instant;

use crate::lock::Lock;

/// After the first failure; doubled up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Connections whose pauses are kept; beyond that all begin anew.
const KEPT_MAX: usize = 10_000;

type Key = (OrgId, ServerId, Holder);

/// Who is not to be refreshed now.
#[derive(Default)]
pub(crate) struct Rests(Lock<HashMap<Key, Rest>>);

struct Rest {
    until: Instant,
    pause: Duration,
}

impl Rests {
    /// How long this one still rests.
    pub(super) fn left(&self, key: &Key, now: Instant) -> Option<Duration> {
        let rests = self.0.lock();
        rests.get(key).map(|rest| rest.until.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }

    /// It failed, and may succeed later.
    pub(super) fn failed(&self, key: Key, now: Instant) {
        let mut rests = self.0.lock();
        if rests.len() >= KEPT_MAX {
            rests.clear();
        }
        let rest = rests.entry(key).or_insert(Rest { until: now, pause: PAUSE_MIN / 2 });
        rest.pause = (rest.pause * 2).min(PAUSE_MAX);
        rest.until = now + rest.pause;
    }

    pub(super) fn succeeded(&self, key: &Key) {
        self.0.lock().remove(key);
    }
}

/// Whose turn it is to refresh, in this process.
#[derive(Default)]
pub(crate) struct Turns(Lock<HashMap<Key, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// The turn of one connection; everybody who asks at the same time gets the same.
    pub(super) fn of(&self, key: &Key) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock();
        if turns.len() >= KEPT_MAX {
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        turns.entry(key.clone()).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiwick_model::time::Random;

    struct Ones;
    impl Random for Ones {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_and_end_with_success() {
        let (rests, now) = (Rests::default(), Instant::now());
        let key = (OrgId::parse("acme").unwrap(), ServerId::random(&Ones), Holder::Organisation);
        assert_eq!(rests.left(&key, now), None);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            rests.failed(key.clone(), now);
            assert_eq!(rests.left(&key, now), Some(Duration::from_secs(seconds)));
            assert_eq!(rests.left(&key, now + Duration::from_secs(seconds)), None);
        }
        rests.succeeded(&key);
        assert_eq!(rests.left(&key, now), None);
    }
}
