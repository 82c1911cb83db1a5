//! What looking may cost: bytes of decoded forms, and processor time. Time that others take from this thread does not count, so a busy
//! machine refuses nothing that a quiet one would pass.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Bytes looked at between two looks at the clock, which costs a system call.
const LOOK_AFTER_BYTES: usize = 64 << 10;
/// What a look costs beside its bytes.
const LOOK_BYTES: usize = 256;

/// A limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crossed {
    Bytes,
    Time,
}

pub(super) struct Budget {
    bytes_left: usize,
    time: Duration,
    clock: fn() -> Duration,
    began: Duration,
    unchecked: usize,
}

impl Budget {
    /// Counts from now; `clock` tells time spent by this thread.
    pub(super) fn new(decoded_bytes_max: usize, time: Duration, clock: fn() -> Duration) -> Self {
        Self { bytes_left: decoded_bytes_max, time, clock, began: clock(), unchecked: 0 }
    }

    /// Takes `bytes` of decoded text.
    pub(super) fn decoded(&mut self, bytes: usize) -> Result<(), Crossed> {
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or(Crossed::Bytes)?;
        Ok(())
    }

    /// Before a pattern looks at `bytes` of text.
    pub(super) fn look(&mut self, bytes: usize) -> Result<(), Crossed> {
        self.unchecked = self.unchecked.saturating_add(bytes).saturating_add(LOOK_BYTES);
        if self.unchecked < LOOK_AFTER_BYTES {
            return Ok(());
        }
        self.unchecked = 0;
        if (self.clock)().saturating_sub(self.began) > self.time { Err(Crossed::Time) } else { Ok(()) }
    }
}

/// Processor time of this thread.
pub(super) fn processor_time() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(spent.tv_sec).unwrap_or(0), u32::try_from(spent.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_looked_at_every_so_many_bytes() {
        // Each look at this clock takes a second.
        fn ticking() -> Duration {
            use std::sync::atomic::{AtomicU64, Ordering};
            static TICKS: AtomicU64 = AtomicU64::new(0);
            Duration::from_secs(TICKS.fetch_add(1, Ordering::Relaxed))
        }
        let mut budget = Budget::new(0, Duration::from_secs(2), ticking);
        let looks = (0..).take_while(|_| budget.look(1_000).is_ok()).count();
        assert_eq!(looks, 3 * LOOK_AFTER_BYTES.div_ceil(1_000 + LOOK_BYTES) - 1, "the third look at the clock is too late");
        assert!(processor_time() > Duration::ZERO);
    }
}
