//! When a failed upstream may be tried again. Pure: the present moment is an argument.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Starts of one child process within [`STARTS_WINDOW`]; more, and it counts as failed (reference, security section 12).
const STARTS_MAX: usize = 6;
const STARTS_WINDOW: Duration = Duration::from_secs(60);
/// Delay after the second failure in a row; doubled with each further one.
const DELAY_FIRST: Duration = Duration::from_millis(250);
const DELAY_MAX: Duration = Duration::from_secs(15);
/// A session that lasted this long wipes the failures before it.
const STABLE_AFTER: Duration = Duration::from_secs(60);

/// May the upstream be opened now?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Yes.
    Now,
    /// Not before this moment.
    At(Instant),
    /// It used up its starts; not before this moment, or an operator's word.
    Exhausted(Instant),
}

/// Counts the attempts and failures of one upstream.
#[derive(Debug)]
pub(crate) struct Backoff {
    limited: bool,
    starts: VecDeque<Instant>,
    failures: u32,
    next_try: Option<Instant>,
    random: u64,
}

impl Backoff {
    /// `limited`: starts are counted, because each one is a process.
    pub(crate) fn new(limited: bool, seed: u64) -> Self {
        Self { limited, starts: VecDeque::with_capacity(STARTS_MAX), failures: 0, next_try: None, random: seed }
    }

    pub(crate) fn admit(&mut self, now: Instant) -> Admission {
        while self.starts.front().is_some_and(|start| now.duration_since(*start) >= STARTS_WINDOW) {
            self.starts.pop_front();
        }
        if let (true, STARTS_MAX.., Some(first)) = (self.limited, self.starts.len(), self.starts.front()) {
            return Admission::Exhausted(*first + STARTS_WINDOW);
        }
        match self.next_try {
            Some(at) if at > now => Admission::At(at),
            _ => Admission::Now,
        }
    }

    pub(crate) fn started(&mut self, now: Instant) {
        if self.limited && self.starts.len() < STARTS_MAX {
            self.starts.push_back(now);
        }
    }

    /// The attempt, or a session that had lasted `up`, came to a bad end. The first failure after a stable time costs no wait.
    pub(crate) fn failed(&mut self, now: Instant, up: Duration) {
        self.failures = if up >= STABLE_AFTER { 1 } else { self.failures.saturating_add(1) };
        self.next_try = match self.failures {
            0 | 1 => None,
            n => Some(now + self.jittered(DELAY_FIRST.saturating_mul(1 << (n - 2).min(16)).min(DELAY_MAX))),
        };
    }

    /// The attempt succeeded. A process has to prove itself over time, see [`STABLE_AFTER`]; a connection does not.
    pub(crate) fn succeeded(&mut self) {
        if !self.limited {
            self.forgive();
        }
    }

    /// The operator's word: try again at once, as if nothing had happened.
    pub(crate) fn forgive(&mut self) {
        self.starts.clear();
        self.failures = 0;
        self.next_try = None;
    }

    /// Between half of `delay` and all of it (splitmix64; spreading needs no unpredictability).
    fn jittered(&mut self, delay: Duration) -> Duration {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = ((z ^ (z >> 31)) >> 40) as u32; // 24 bits
        delay / 2 + delay.mul_f64(f64::from(share) / f64::from(1 << 24) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_failure_is_free_then_delays_double_with_jitter() {
        let now = Instant::now();
        let mut backoff = Backoff::new(false, 7);
        backoff.failed(now, Duration::ZERO);
        assert_eq!(backoff.admit(now), Admission::Now);
        let mut last = Duration::ZERO;
        for step in 0..12 {
            backoff.failed(now, Duration::ZERO);
            let Admission::At(at) = backoff.admit(now) else { panic!("no delay in step {step}") };
            let full = DELAY_FIRST.saturating_mul(1 << step).min(DELAY_MAX);
            assert!(at - now >= full / 2 && at - now <= full, "step {step}: {:?}", at - now);
            last = at - now;
            assert_eq!(backoff.admit(at), Admission::Now);
        }
        assert!(last >= DELAY_MAX / 2);
        backoff.failed(now, STABLE_AFTER);
        assert_eq!(backoff.admit(now), Admission::Now, "a stable session wipes what was before");
    }

    #[tokio::test(start_paused = true)]
    async fn the_seventh_start_within_a_minute_is_refused_until_the_window_moves() {
        let zero = Instant::now();
        let mut backoff = Backoff::new(true, 1);
        for second in 0..6 {
            let now = zero + Duration::from_secs(second);
            assert_eq!(backoff.admit(now), Admission::Now);
            backoff.started(now);
        }
        let late = zero + Duration::from_secs(59);
        assert_eq!(backoff.admit(late), Admission::Exhausted(zero + STARTS_WINDOW));
        assert_eq!(backoff.admit(zero + STARTS_WINDOW), Admission::Now);
        backoff.started(zero + STARTS_WINDOW);
        assert!(matches!(backoff.admit(zero + STARTS_WINDOW), Admission::Exhausted(_)));
        backoff.forgive();
        assert_eq!(backoff.admit(zero + STARTS_WINDOW), Admission::Now);
    }

    #[tokio::test(start_paused = true)]
    async fn http_attempts_are_not_counted_and_seeds_differ() {
        let now = Instant::now();
        let (mut one, mut two) = (Backoff::new(false, 1), Backoff::new(false, 2));
        for _ in 0..50 {
            one.started(now);
        }
        assert_eq!(one.admit(now), Admission::Now);
        for _ in 0..6 {
            one.failed(now, Duration::ZERO);
            two.failed(now, Duration::ZERO);
        }
        assert_ne!(one.admit(now), two.admit(now));
    }
}
