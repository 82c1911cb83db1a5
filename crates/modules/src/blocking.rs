//! The one way to the disk: work that blocks runs on the runtime's blocking threads, a bounded number at a time, and
//! stops between its steps when the caller no longer waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bailiwick_model::Code;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;

use crate::context::{CallContext, Cancel, cancelled, go_on, late};
use crate::fault::ToolFault;

/// Calls that wait for a free place, per pool; one more is refused at once.
pub(crate) const WAITING_CALLS_MAX: usize = 64;
/// How long a call waits for a free place before it is told to come back.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(1);
/// How long work that was told to stop may take to notice before its caller is answered without it.
const GRACE: Duration = Duration::from_millis(250);

/// Tells work that its caller no longer waits. Given to the work by [`Pool::run`].
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    deadline: Instant,
    cancel: Cancel,
    /// Set when the future of the call was dropped or gave up waiting.
    abandoned: Cancel,
}

impl Stop {
    /// Whether work may go on; called between steps.
    pub(crate) fn check(&self) -> Result<(), ToolFault> {
        if self.abandoned.is_cancelled() {
            return Err(cancelled());
        }
        go_on(self.deadline, &self.cancel)
    }

    /// Time left until the deadline.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

struct Abandon(Cancel);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// A bounded number of places on the blocking threads, per module instance.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    places: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    wait_max: Duration,
}

impl Pool {
    /// A pool that runs at most `places` pieces of work at once.
    pub(crate) fn new(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), waiting: Arc::default(), wait_max: WAIT_MAX }
    }

    /// Runs `work` on a blocking thread. The place is held until the work has really ended, even if the caller left.
    ///
    /// # Errors
    /// What `work` answers; `rate_limited` when no place came free; `deadline` or `cancelled`.
    pub(crate) async fn run<T, F>(&self, context: CallContext<'_>, work: F) -> Result<T, ToolFault>
    where
        T: Send + 'static,
        F: FnOnce(&Stop) -> Result<T, ToolFault> + Send + 'static,
    {
        let place = self.place(context).await?;
        let abandon = Abandon(Cancel::new());
        let stop = Stop { deadline: context.deadline, cancel: context.cancel.clone(), abandoned: abandon.0.clone() };
        let mut task = tokio::task::spawn_blocking(move || {
            let _place = place;
            stop.check()?;
            work(&stop)
        });
        let why = tokio::select! {
            biased;
            done = &mut task => return finished(done),
            () = context.cancel.cancelled() => cancelled(),
            () = tokio::time::sleep_until(context.deadline.into()) => late(),
        };
        match tokio::time::timeout(GRACE, task).await {
            Ok(done) => finished(done),
            Err(_) => Err(unfinished(why)),
        }
    }

    async fn place(&self, context: CallContext<'_>) -> Result<OwnedSemaphorePermit, ToolFault> {
        context.check()?;
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        let _queued = Queued::enter(&self.waiting).ok_or_else(busy)?;
        let patience = context.deadline.min(Instant::now() + self.wait_max);
        tokio::select! {
            place = Arc::clone(&self.places).acquire_owned() => place.map_err(|_| ToolFault::internal("pool is closed")),
            () = context.cancel.cancelled() => Err(cancelled()),
            () = tokio::time::sleep_until(patience.into()) => Err(busy()),
        }
    }
}

struct Queued<'a>(&'a AtomicUsize);

impl<'a> Queued<'a> {
    fn enter(waiting: &'a AtomicUsize) -> Option<Self> {
        let entered = Self(waiting);
        (waiting.fetch_add(1, Ordering::AcqRel) < WAITING_CALLS_MAX).then_some(entered)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn busy() -> ToolFault {
    ToolFault::new(Code::RateLimited, "too many calls to this module at once", "wait for running calls to finish, then call again")
}

fn unfinished(mut fault: ToolFault) -> ToolFault {
    "the call was given up while the host was still working; it may yet take effect".clone_into(&mut fault.message);
    "look at the present state before calling again".clone_into(&mut fault.remedy);
    fault
}

fn finished<T>(done: Result<Result<T, ToolFault>, JoinError>) -> Result<T, ToolFault> {
    done.unwrap_or_else(|e| Err(ToolFault::internal(format!("blocking work ended without an answer: {e}"))))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    const PATIENT: Duration = Duration::from_secs(60);

    fn patient(cancel: &Cancel) -> CallContext<'_> {
        CallContext { deadline: Instant::now() + PATIENT, cancel, call: "call", now: bailiwick_model::Timestamp::from_micros(0) }
    }

    #[tokio::test]
    async fn a_full_pool_sends_callers_away() {
        let pool = Pool { wait_max: Duration::from_millis(5), ..Pool::new(1) };
        let cancel = Cancel::new();
        let context = patient(&cancel);
        let (release, held) = sync_channel::<()>(1);
        let first = pool.run(context, move |_| held.recv().map_err(|e| ToolFault::internal(e.to_string())));
        let second = async {
            let refused = pool.run(context, |_| Ok(())).await;
            release.send(()).unwrap();
            refused
        };
        let (first, second) = tokio::join!(first, second);
        assert_eq!(first, Ok(()));
        assert_eq!(second.unwrap_err().code, Code::RateLimited);
        assert_eq!(pool.run(context, |_| Ok(3)).await, Ok(3));
    }

    #[tokio::test]
    async fn work_is_told_of_cancel_and_of_a_dropped_call() {
        let pool = Pool::new(2);
        let cancel = Cancel::new();
        let context = patient(&cancel);
        let (ended, seen) = sync_channel(2);
        let begun = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&begun);
        let spin = move |stop: &Stop| -> Result<(), ToolFault> {
            counter.fetch_add(1, Ordering::Release);
            loop {
                if let Err(fault) = stop.check() {
                    ended.send(fault.code).unwrap();
                    return Err(fault);
                }
                std::thread::yield_now();
            }
        };
        let begin = async |count| {
            while begun.load(Ordering::Acquire) < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _ = pool.run(context, spin.clone()) => unreachable!("the work spins until it is told to stop"),
            () = begin(1) => {}
        }
        assert_eq!(seen.recv().unwrap(), Code::Cancelled);
        let (outcome, ()) = tokio::join!(pool.run(context, spin), async {
            begin(2).await;
            cancel.cancel();
        });
        assert_eq!(outcome.unwrap_err().code, Code::Cancelled);
        assert_eq!(seen.recv().unwrap(), Code::Cancelled);
    }

    #[tokio::test]
    async fn a_panic_is_a_fault_of_ours() {
        let pool = Pool::new(1);
        let cancel = Cancel::new();
        let context = patient(&cancel);
        let outcome = pool.run(context, |_| -> Result<(), ToolFault> { panic!("boom") }).await;
        assert_eq!(outcome.unwrap_err().code, Code::Internal);
        assert_eq!(pool.run(context, |_| Ok(1)).await, Ok(1));
    }
}
