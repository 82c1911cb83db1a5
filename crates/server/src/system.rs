//! The real clock and the real randomness. Only the entry point makes them; everything else takes them as arguments.

use std::time::{SystemTime, UNIX_EPOCH};

use bailiwick_model::time::{Clock, Random, Timestamp};
use rustix::io::Errno;
use rustix::rand::GetRandomFlags;

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the one clock that all others are handed")]
        let now = SystemTime::now();
        let micros = now.duration_since(UNIX_EPOCH).map_or(0, |span| span.as_micros());
        Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

/// The operating system's randomness. Not the cipher library's: that gathers entropy of its own first, for a tenth of a second of CPU.
#[derive(Debug, Default)]
pub(crate) struct SystemRandomness;

impl Random for SystemRandomness {
    fn fill(&self, bytes: &mut [u8]) {
        // Keys and ids come from here: without randomness no further step is safe, and there is no caller that could carry on.
        let mut filled = 0;
        while filled < bytes.len() {
            match rustix::rand::getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        if filled < bytes.len() {
            tracing::error!(target: "ops", event = "randomness_unavailable", "the operating system gives no random bytes");
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_every_byte_differently_each_time() {
        let random = SystemRandomness;
        let (mut a, mut b) = ([0; 32], [0; 32]);
        random.fill(&mut a);
        random.fill(&mut b);
        assert_ne!(a, b);
        assert!(SystemClock.now().as_micros() > 1_700_000_000_000_000);
    }
}
