//! One agent behind one token: `run --transport http` (reference, tool modules section 10).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bailiwick_model::{AgentId, AgentType};
use bailiwick_store::{Scope, same_secret};
use secrecy::SecretString;

/// Refused credentials within [`BURST_WINDOW`] that are told to the operator: a client with a wrong token calls no tool that could tell.
const BURST_MIN: usize = 5;
const BURST_WINDOW: Duration = Duration::from_secs(60);
/// Pause between two such messages.
const BURST_QUIET: Duration = Duration::from_secs(300);
/// Refusals that are remembered.
const BURST_REMEMBERED_MAX: usize = 256;

/// The only agent of a gateway, and the token that speaks for it.
pub struct SingleAgent {
    /// Its id.
    pub agent_id: AgentId,
    /// Its type.
    pub agent_type: AgentType,
    /// What a client has to present as `Authorization: Bearer`.
    pub bearer: SecretString,
}

/// The same, known to the store.
pub(crate) struct Single {
    pub(crate) scope: Scope,
    pub(crate) bearer: SecretString,
}

impl Single {
    /// The agent, if this is its token; compared in constant time.
    pub(crate) fn admit(&self, token: &str) -> Option<&Scope> {
        same_secret(token, &self.bearer).then_some(&self.scope)
    }
}

/// Counts refused credentials.
#[derive(Debug, Default)]
pub(crate) struct Burst {
    refused: VecDeque<Instant>,
    told: Option<Instant>,
}

impl Burst {
    /// Notes one; gives their number in the last minute when it is time to tell.
    pub(crate) fn note(&mut self, now: Instant) -> Option<usize> {
        if self.refused.len() >= BURST_REMEMBERED_MAX {
            self.refused.pop_front();
        }
        self.refused.push_back(now);
        while self.refused.front().is_some_and(|first| now.saturating_duration_since(*first) > BURST_WINDOW) {
            self.refused.pop_front();
        }
        let quiet = self.told.is_some_and(|told| now.saturating_duration_since(told) < BURST_QUIET);
        if quiet || self.refused.len() < BURST_MIN {
            return None;
        }
        self.told = Some(now);
        Some(self.refused.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_told_once_in_five_minutes() {
        let (mut burst, start) = (Burst::default(), Instant::now());
        let mut at = |seconds| burst.note(start + Duration::from_secs(seconds));
        assert_eq!([0, 20, 40, 59, 75].map(&mut at), [None; 5], "the first has left the minute");
        assert_eq!(at(76), Some(5));
        assert_eq!([77, 78, 200, 300, 301, 302, 303, 375].map(&mut at), [None; 8]);
        assert_eq!(at(376), None, "only two in this minute");
        assert_eq!([377, 378, 379].map(&mut at), [None, None, Some(5)]);
        for _ in 0..1_000 {
            assert_eq!(at(380), None);
        }
        assert_eq!(at(379 + 300), None, "the minute before it was quiet");
        assert!(burst.refused.len() <= BURST_REMEMBERED_MAX);
    }
}
