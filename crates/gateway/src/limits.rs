//! Places for calls at the same time (security reference section 14).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bailiwick_model::config::Limits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Waiting calls for each place.
const QUEUE_FACTOR: usize = 2;

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
