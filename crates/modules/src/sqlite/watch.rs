//! Ends statements that run too long, keep too much in files, or that nobody waits for.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::session::Limits;
use super::spill::Spill;
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
    spill: Spill,
}

impl Watch {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A statement begins, within `limits`.
    pub(super) fn arm(&self, stop: Stop, limits: &Limits) {
        let (now, limit) = (Instant::now(), limits.statement);
        let run = Run { stop, until: now + limit, limit, spill: Spill::new(limits.temp_bytes, now) };
        *self.state() = State { run: Some(run), verdict: None };
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
        let Some(run) = &mut state.run else { return false };
        let verdict = run.check(Instant::now()).err();
        state.verdict = verdict;
        state.verdict.is_some()
    }

    /// Why the statement was ended, if it was.
    pub(super) fn verdict(&self) -> Option<ToolFault> {
        self.state().verdict.take()
    }
}

impl Run {
    fn check(&mut self, now: Instant) -> Result<(), ToolFault> {
        self.stop.check()?;
        if now >= self.until {
            return Err(too_slow(self.limit));
        }
        self.spill.check(now)
    }
}

fn too_slow(limit: Duration) -> ToolFault {
    let ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let message = format!("the statement ran longer than {ms} ms and was stopped");
    ToolFault::limit("statement_timeout_ms", ms, message, "narrow it with WHERE or LIMIT, or add an index")
}
