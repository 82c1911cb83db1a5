//! Ends statements that run too long or that nobody waits for.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::blocking::Stop;
use crate::fault::ToolFault;

/// Shared by a connection's progress handler and its functions; armed for each call.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    run: Option<Run>,
    verdict: Option<ToolFault>,
}

#[derive(Debug)]
struct Run {
    stop: Stop,
    until: Instant,
    limit: Duration,
}

impl Watch {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A statement begins; it may run for `limit`.
    pub(super) fn arm(&self, stop: Stop, limit: Duration) {
        *self.state() = State { run: Some(Run { stop, until: Instant::now() + limit, limit }), verdict: None };
    }

    /// The call is over.
    pub(super) fn disarm(&self) {
        *self.state() = State::default();
    }

    /// Whether the statement has to end; asked by the engine every few instructions.
    pub(super) fn expired(&self) -> bool {
        let mut state = self.state();
        if state.verdict.is_some() {
            return true;
        }
        let Some(run) = &state.run else { return false };
        let verdict = match run.stop.check() {
            Err(fault) => fault,
            Ok(()) if Instant::now() >= run.until => too_slow(run.limit),
            Ok(()) => return false,
        };
        state.verdict = Some(verdict);
        true
    }

    /// Why the statement was ended, if it was.
    pub(super) fn verdict(&self) -> Option<ToolFault> {
        self.state().verdict.take()
    }
}

fn too_slow(limit: Duration) -> ToolFault {
    let ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let message = format!("the statement ran longer than {ms} ms and was stopped");
    ToolFault::limit("statement_timeout_ms", ms, message, "narrow it with WHERE or LIMIT, or add an index")
}
