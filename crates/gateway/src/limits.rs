//! Rates of an agent and places for calls at the same time (security reference section 14).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bailiwick_model::config::Limits;
use bailiwick_model::glob::Glob;
use bailiwick_model::manifest::RateLimits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::lock::Lock;
use crate::window::Window;

/// Waiting calls for each place.
const QUEUE_FACTOR: usize = 2;

/// A rate that is used up.
#[derive(Debug)]
pub(crate) struct Exceeded {
    /// `global` or `per_tool`.
    pub(crate) limit_type: &'static str,
    pub(crate) current: usize,
    pub(crate) limit: usize,
    pub(crate) window: Duration,
    pub(crate) retry_after: Duration,
}

/// The windows of one agent.
pub(crate) struct Rates {
    windows: Lock<Windows>,
    none: bool,
}

struct Windows {
    global: Option<Window>,
    per_tool: Vec<(Glob, Window)>,
}

impl Rates {
    pub(crate) fn new(limits: &RateLimits) -> Self {
        let window = |rate: &bailiwick_model::rate::Rate| Window::new(rate.calls as usize, rate.window);
        let global = limits.global.as_ref().map(window);
        let per_tool: Vec<_> = limits.per_tool.iter().map(|(glob, rate)| (glob.clone(), window(rate))).collect();
        let none = global.is_none() && per_tool.is_empty();
        Self { windows: Lock::new(Windows { global, per_tool }), none }
    }

    /// Counts one call: the global window first, then the first matching glob's. A refused call is counted nowhere.
    pub(crate) fn count(&self, tool: &str, now: Instant) -> Result<(), Exceeded> {
        if self.none {
            return Ok(());
        }
        let mut windows = self.windows.lock();
        let Windows { global, per_tool } = &mut *windows;
        let mut own = per_tool.iter_mut().find(|(glob, _)| glob.matches(tool)).map(|(_, window)| window);
        for (limit_type, window) in [("global", global.as_mut()), ("per_tool", own.as_deref_mut())] {
            if let Some(exceeded) = window.and_then(|window| exceeded(limit_type, window, now)) {
                return Err(exceeded);
            }
        }
        for window in [global.as_mut(), own].into_iter().flatten() {
            window.count(now);
        }
        Ok(())
    }
}

fn exceeded(limit_type: &'static str, window: &mut Window, now: Instant) -> Option<Exceeded> {
    let retry_after = window.wait(now)?;
    let (current, limit) = window.fill();
    Some(Exceeded { limit_type, current, limit, window: window.span(), retry_after })
}

/// No place became free in time, or too many wait already.
#[derive(Debug)]
pub(crate) struct Busy {
    pub(crate) what: &'static str,
    pub(crate) limit: usize,
}

/// Places for calls that run at the same time, with a bounded queue.
pub(crate) struct Places {
    what: &'static str,
    limit: usize,
    wait_max: Duration,
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Places {
    pub(crate) fn new(what: &'static str, limit: u64, limits: &Limits) -> Self {
        let limit = usize::try_from(limit).unwrap_or(Semaphore::MAX_PERMITS);
        let wait_max = Duration::from_millis(limits.queue_wait_milliseconds);
        Self { what, limit, wait_max, free: Arc::new(Semaphore::new(limit)), waiting: AtomicUsize::new(0) }
    }

    /// Takes a place, waiting at most `limits.queue_wait_milliseconds` in a queue of at most twice the places.
    pub(crate) async fn take(&self) -> Result<OwnedSemaphorePermit, Busy> {
        if let Ok(permit) = self.free.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let busy = || Busy { what: self.what, limit: self.limit };
        let _waiting = Waiting::enter(&self.waiting, self.limit * QUEUE_FACTOR).ok_or_else(busy)?;
        match tokio::time::timeout(self.wait_max, self.free.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(busy()),
        }
    }

    /// Places that are taken now.
    pub(crate) fn taken(&self) -> usize {
        self.limit.saturating_sub(self.free.available_permits())
    }
}

/// One waiting call; leaves the count when dropped, however the wait ends.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize, max: usize) -> Option<Self> {
        if count.fetch_add(1, Ordering::Relaxed) >= max {
            count.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Self(count))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn places_queue_for_a_second_and_refuse_beyond_twice() {
        let places = Arc::new(Places::new("principal", 1, &Limits::default()));
        let held = places.take().await.unwrap();
        let two: Vec<_> = (0..2)
            .map(|_| {
                tokio::spawn({
                    let places = places.clone();
                    async move { places.take().await.map(drop) }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(places.take().await.is_err(), "the queue is full at once");
        for waiting in two {
            assert!(waiting.await.unwrap().is_err(), "no place within a second");
        }
        drop(held);
        assert!(places.take().await.is_ok());
        assert_eq!(places.taken(), 0);
    }
}
