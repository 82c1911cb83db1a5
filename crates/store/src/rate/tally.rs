//! The calls that count against one rate: shares given out, and what was used of earlier ones. Pure; time comes with each change.

use std::time::Duration;

use bailiwick_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Settled, Share, Want};

/// Entries of one tally; beyond it, settled ones that end at nearly the same time become one.
const ENTRIES_MAX: usize = 64;
/// Clocks of gateways may differ by this much. What claims to be further in the future comes from a clock that was wrong.
const SKEW_MAX: Duration = Duration::from_secs(5);
/// The id of what is settled.
const SETTLED: u64 = 0;

/// A share, or what was used of one: `calls` count until `ends_at` (microseconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry(u64, u32, i64);

#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    entries: Vec<Entry>,
    /// The latest time that any gateway has brought.
    now: i64,
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

fn span(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

impl Tally {
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "[]" {
            return Some(Self::default());
        }
        let (now, entries): (i64, Vec<Entry>) = serde_json::from_str(text).ok()?;
        Some(Self { entries, now })
    }

    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(&(self.now, &self.entries)).unwrap_or_else(|_| "[]".to_owned())
    }

    /// When nothing counts any more.
    pub(super) fn ends_at(&self) -> i64 {
        self.entries.iter().map(|entry| entry.2).max().unwrap_or(self.now)
    }

    /// Moves on to `now` and drops what does not count any more. Nothing counts for longer than `life`.
    pub(super) fn advance(&mut self, now: Timestamp, life: Duration) {
        let own = now.as_micros();
        // A gateway whose clock is behind follows the others; one that was far ahead once does not hold everybody up.
        self.now = if self.now > own.saturating_add(micros(SKEW_MAX)) { own } else { self.now.max(own) };
        let latest = self.now.saturating_add(micros(life)).saturating_add(micros(SKEW_MAX));
        self.entries.retain(|entry| entry.2 > self.now);
        for entry in &mut self.entries {
            entry.2 = entry.2.min(latest);
        }
    }

    /// Calls that count.
    pub(super) fn sum(&self) -> u32 {
        self.entries.iter().fold(0, |sum, entry| sum.saturating_add(entry.1))
    }

    /// Calls that may be given out.
    pub(super) fn free(&self, calls_max: u32) -> u32 {
        calls_max.saturating_sub(self.sum())
    }

    /// How long until a call is free, at the latest; `None` when waiting does not help.
    pub(super) fn wait(&self, calls_max: u32) -> Option<Duration> {
        let mut by_end = self.entries.clone();
        by_end.sort_by_key(|entry| entry.2);
        let mut left = self.sum();
        for entry in by_end {
            left -= entry.1;
            if left < calls_max {
                return Some(span(entry.2.saturating_sub(self.now)));
            }
        }
        None
    }

    /// What was not used is free again, and what was used counts until its own end. Settling twice or too late changes nothing.
    pub(super) fn settle(&mut self, settled: &Settled) {
        let Some(at) = self.entries.iter().position(|entry| entry.0 == settled.id && settled.id != SETTLED) else { return };
        let entry = &mut self.entries[at];
        // Never more freedom than the share itself gave.
        *entry = Entry(SETTLED, entry.1.min(settled.used), entry.2.min(settled.ends_at.as_micros()));
        if entry.1 == 0 || entry.2 <= self.now {
            self.entries.swap_remove(at);
        }
    }

    /// Gives a share: at most half of what is free, so that others get one too, and at least one call. Only when something is free.
    pub(super) fn take(&mut self, want: &Want<'_>, id: u64) -> Share {
        let calls = (self.free(want.calls_max) / 2).clamp(1, want.share.max(1));
        let ends_at = self.now.saturating_add(micros(want.hold)).saturating_add(micros(want.window));
        self.entries.push(Entry(id, calls, ends_at));
        self.shorten();
        Share { id, calls, at: Timestamp::from_micros(self.now) }
    }

    /// Joins settled neighbours; both then count until the later end.
    fn shorten(&mut self) {
        if self.entries.len() <= ENTRIES_MAX {
            return;
        }
        let (mut settled, mut kept): (Vec<Entry>, Vec<Entry>) = self.entries.iter().partition(|entry| entry.0 == SETTLED);
        settled.sort_by_key(|entry| entry.2);
        kept.extend(settled.chunks(2).map(|pair| {
            let calls = pair.iter().fold(0, |sum: u32, entry| sum.saturating_add(entry.1));
            Entry(SETTLED, calls, pair.last().map_or(0, |entry| entry.2))
        }));
        self.entries = kept;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000_000 + millis * 1_000)
    }

    fn want(calls_max: u32, share: u32) -> Want<'static> {
        Want { counter: "c", calls_max, window: Duration::from_secs(60), share, hold: Duration::from_secs(1), settled: None }
    }

    fn advanced(tally: &mut Tally, millis: i64) -> &mut Tally {
        *tally = Tally::parse(&tally.to_text()).unwrap();
        tally.advance(at(millis), Duration::from_secs(61));
        tally
    }

    #[test]
    fn shares_shrink_as_the_rate_is_used_up_and_come_back_when_they_end() {
        let mut tally = Tally::default();
        let given: Vec<u32> = (1..=7).map(|id| advanced(&mut tally, 0).take(&want(20, 5), id).calls).collect();
        assert_eq!(given, [5, 5, 5, 2, 1, 1, 1]);
        assert_eq!((tally.free(20), tally.wait(20)), (0, Some(Duration::from_secs(61))));
        // One of them was used for two calls, the last after half a second.
        let settled = Settled { id: 1, used: 2, ends_at: at(60_500) };
        tally.settle(&settled);
        tally.settle(&settled);
        assert_eq!((tally.sum(), tally.wait(20)), (17, Some(Duration::from_millis(60_500))));
        advanced(&mut tally, 60_500);
        assert_eq!(tally.sum(), 15);
        advanced(&mut tally, 61_000);
        assert_eq!((tally.sum(), tally.wait(20), tally.wait(0)), (0, None, None));
    }

    #[test]
    fn settling_gives_back_no_more_than_was_taken() {
        let mut tally = Tally::default();
        advanced(&mut tally, 0).take(&want(20, 5), 7);
        tally.settle(&Settled { id: 7, used: 900, ends_at: at(9_000_000) });
        assert_eq!((tally.sum(), tally.ends_at()), (5, at(61_000).as_micros()));
        tally.settle(&Settled { id: 0, used: 0, ends_at: at(0) });
        assert_eq!(tally.sum(), 5);
        assert!(Tally::parse("{}").is_none() && Tally::parse("").is_none());
    }

    #[test]
    fn a_clock_that_was_wrong_holds_nobody_up_for_ever() {
        let mut tally = Tally::default();
        let hour = 3_600_000;
        advanced(&mut tally, 24 * hour).take(&want(1, 1), 1);
        // Back in the present: the share counts as if it had just been given.
        assert_eq!(advanced(&mut tally, 0).sum(), 1);
        assert_eq!(advanced(&mut tally, 67_000).sum(), 0);
        // A clock a little behind follows.
        let share = advanced(&mut tally, 64_000).take(&want(1, 1), 2);
        assert_eq!(share.at, at(67_000));
    }

    proptest! {
        /// However shares are taken, used and settled, the calls in a window are never more than the rate.
        #[test]
        fn uses_never_exceed_the_rate(
            calls_max in 0_u32..30,
            steps in prop::collection::vec((0_usize..3, 0_i64..20_000, 1_u32..8, 0_u32..8, 0_i64..1_000), 1..120),
        ) {
            let mut tally = Tally::default();
            let mut now = 0;
            let mut held: [Option<Settled>; 3] = [None; 3];
            let mut uses: Vec<i64> = Vec::new();
            for (number, (gateway, later, share, used, after)) in steps.into_iter().enumerate() {
                now += later;
                advanced(&mut tally, now);
                if let Some(settled) = held[gateway].take() {
                    tally.settle(&settled);
                }
                if tally.free(calls_max) == 0 {
                    continue;
                }
                let id = number as u64 + 1;
                let share = tally.take(&want(calls_max, share), id);
                let used = used.min(share.calls);
                uses.extend((0..used).map(|_| now + after));
                let ends_at = at(now + after + 60_000);
                // One gateway never reports.
                held[gateway] = (gateway > 0).then_some(Settled { id, used, ends_at });
                now += if gateway == 1 { after } else { 0 };
                prop_assert!(tally.entries.len() <= ENTRIES_MAX * 2);
            }
            uses.sort_unstable();
            for (first, start) in uses.iter().enumerate() {
                let within = uses[first..].iter().take_while(|time| **time < start + 60_000).count();
                prop_assert!(within <= calls_max as usize, "{} calls from {}", within, start);
            }
        }
    }
}
