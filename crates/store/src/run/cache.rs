//! Owners without open runs, in memory: most agents never start one, and their calls must not pay for those that do.
//!
//! What is here is believed only while the counter of started runs was read less than [`CACHE_AGE_MAX`] ago and did not move since. So a
//! run that another replica starts is noticed within that time, and one that this replica starts at once.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bailiwick_model::{OrgId, RunOwner, Timestamp};

/// How old the knowledge of the counter may be.
const CACHE_AGE_MAX: Duration = Duration::from_secs(1);
/// After this time one caller reads the counter anew, while the others still believe it.
const CHECK_PERIOD: Duration = Duration::from_millis(500);
/// Owners kept; beyond that all are forgotten.
const OWNERS_MAX: usize = 10_000;

#[derive(Default)]
pub(crate) struct RunCache(Mutex<State>);

#[derive(Default)]
struct State {
    /// Moves with every start of a run that this process knows of; what was read before does not enter after.
    epoch: u64,
    /// The counter, and when its reading began.
    counter: Option<(i64, Timestamp)>,
    /// When a caller last set out to read the counter.
    asked_at: Option<Timestamp>,
    without_runs: HashSet<(OrgId, RunOwner)>,
}

/// What [`RunCache::look`] knows.
pub(super) enum Known {
    /// The owner has no open run.
    None,
    /// Nothing; ask the database, and bring this back with its answer.
    Nothing(Epoch),
}

/// When a reading began.
#[derive(Clone, Copy)]
pub(super) struct Epoch(u64);

impl RunCache {
    /// Whether this caller has to read the counter first.
    pub(super) fn claim_check(&self, now: Timestamp) -> bool {
        let mut state = self.state();
        let fresh = |at: Timestamp, age: Duration| now >= at && now.since(at) <= age;
        let believed = state.counter.is_some_and(|(_, at)| fresh(at, CACHE_AGE_MAX));
        if believed && state.asked_at.is_some_and(|at| fresh(at, CHECK_PERIOD)) {
            return false;
        }
        state.asked_at = Some(now);
        true
    }

    /// Enters the counter, whose reading began at `begun_at`.
    pub(super) fn checked(&self, counter: i64, begun_at: Timestamp) {
        let mut state = self.state();
        if state.counter.is_none_or(|(known, _)| known != counter) {
            state.epoch += 1;
            state.without_runs.clear();
        }
        // A clock that was set back makes a new beginning.
        state.counter = Some((counter, begun_at));
    }

    pub(super) fn look(&self, org: &OrgId, owner: &RunOwner, now: Timestamp) -> Known {
        let state = self.state();
        let believed = state.counter.is_some_and(|(_, at)| now >= at && now.since(at) <= CACHE_AGE_MAX);
        if believed && state.without_runs.contains(&(org.clone(), owner.clone())) {
            Known::None
        } else {
            Known::Nothing(Epoch(state.epoch))
        }
    }

    /// Enters an owner without open runs, unless a run was started since `epoch`.
    pub(super) fn enter(&self, org: &OrgId, owner: &RunOwner, epoch: Epoch) {
        let mut state = self.state();
        if state.epoch != epoch.0 {
            return;
        }
        if state.without_runs.len() >= OWNERS_MAX {
            state.without_runs.clear();
        }
        state.without_runs.insert((org.clone(), owner.clone()));
    }

    /// A run was started here.
    pub(super) fn started(&self, org: &OrgId, owner: &RunOwner) {
        let mut state = self.state();
        state.epoch += 1;
        state.without_runs.remove(&(org.clone(), owner.clone()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(millis * 1000)
    }

    fn who(sub: &str) -> (OrgId, RunOwner) {
        (OrgId::parse("acme").unwrap(), RunOwner::from_parts(sub, "").unwrap())
    }

    fn epoch(cache: &RunCache, now: Timestamp) -> Epoch {
        let (org, owner) = who("nobody");
        match cache.look(&org, &owner, now) {
            Known::Nothing(epoch) => epoch,
            Known::None => panic!("it was never entered"),
        }
    }

    fn believes(cache: &RunCache, sub: &str, now: Timestamp) -> bool {
        let (org, owner) = who(sub);
        matches!(cache.look(&org, &owner, now), Known::None)
    }

    #[test]
    fn knowledge_is_believed_for_a_second_and_until_the_counter_moves() {
        let cache = RunCache::default();
        let (org, owner) = who("a");
        assert!(cache.claim_check(at(0)));
        cache.checked(7, at(0));
        cache.enter(&org, &owner, epoch(&cache, at(0)));
        assert!(believes(&cache, "a", at(1000)) && !believes(&cache, "b", at(0)));
        assert!(!believes(&cache, "a", at(1001)) && !believes(&cache, "a", at(-1)));
        cache.checked(7, at(900));
        assert!(believes(&cache, "a", at(1900)));
        cache.checked(8, at(1000));
        assert!(!believes(&cache, "a", at(1000)));
    }

    #[test]
    fn what_was_read_before_a_start_does_not_enter() {
        let cache = RunCache::default();
        let (org, owner) = who("a");
        cache.checked(1, at(0));
        let before = epoch(&cache, at(0));
        cache.started(&org, &owner);
        cache.enter(&org, &owner, before);
        assert!(!believes(&cache, "a", at(0)));
        let before = epoch(&cache, at(0));
        cache.checked(2, at(0));
        cache.enter(&org, &owner, before);
        assert!(!believes(&cache, "a", at(0)));
        cache.enter(&org, &owner, epoch(&cache, at(0)));
        assert!(believes(&cache, "a", at(0)));
        cache.started(&org, &owner);
        assert!(!believes(&cache, "a", at(0)));
    }

    #[test]
    fn one_caller_reads_the_counter_while_the_others_believe_it() {
        let cache = RunCache::default();
        assert!(cache.claim_check(at(0)) && cache.claim_check(at(0)), "nobody knows it yet");
        cache.checked(1, at(0));
        assert!(!cache.claim_check(at(500)));
        assert!(cache.claim_check(at(501)) && !cache.claim_check(at(502)));
        assert!(cache.claim_check(at(1001)), "the reading takes too long");
        assert!(cache.claim_check(at(-5)), "the clock was set back");
    }

    #[test]
    fn owners_are_bounded() {
        let cache = RunCache::default();
        cache.checked(1, at(0));
        let epoch = epoch(&cache, at(0));
        for number in 0..=OWNERS_MAX {
            let (org, owner) = who(&format!("s{number}"));
            cache.enter(&org, &owner, epoch);
        }
        assert_eq!(cache.state().without_runs.len(), 1);
    }
}
