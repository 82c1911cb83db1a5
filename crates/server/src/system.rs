//! The real clock and the real randomness. Only the entry point makes them; everything else takes them as arguments.

use std::sync::{Mutex, PoisonError};
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

/// Ids and nonces, up to this long, are cut from bytes that were fetched ahead: every call has an id. Keys are longer and come from the
/// system itself.
const ID_BYTES_MAX: usize = 16;
/// Fetched at once; the system gives this much without being interrupted.
const AHEAD_BYTES: usize = 256;

/// The operating system's randomness. Not the cipher library's: that gathers entropy of its own first, for a tenth of a second of CPU.
#[derive(Default)]
pub(crate) struct SystemRandomness(Mutex<Vec<u8>>);

impl Random for SystemRandomness {
    fn fill(&self, bytes: &mut [u8]) {
        if bytes.len() > ID_BYTES_MAX {
            return fetch(bytes);
        }
        let mut ahead = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ahead.len() < bytes.len() {
            ahead.resize(AHEAD_BYTES, 0);
            fetch(&mut ahead);
        }
        let rest = ahead.len() - bytes.len();
        bytes.copy_from_slice(&ahead[rest..]);
        // What is given away is never given again.
        ahead[rest..].fill(0);
        ahead.truncate(rest);
    }
}

fn fetch(bytes: &mut [u8]) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_every_byte_differently_each_time() {
        let random = SystemRandomness::default();
        for length in [10, 16, 32] {
            let seen: std::collections::HashSet<Vec<u8>> = (0..100)
                .map(|_| {
                    let mut bytes = vec![0; length];
                    random.fill(&mut bytes);
                    bytes
                })
                .collect();
            assert_eq!(seen.len(), 100);
            assert!(seen.iter().all(|bytes| bytes.iter().any(|byte| *byte != 0)));
        }
        assert!(SystemClock.now().as_micros() > 1_700_000_000_000_000);
    }
}
