//! What a running call knows about its caller's patience.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bailiwick_model::{Code, Timestamp};
use tokio::sync::Notify;

use crate::fault::ToolFault;

/// Given to every call. Long work calls [`CallContext::check`] between its steps; waiting code selects on [`Cancel::cancelled`].
#[derive(Clone, Copy, Debug)]
pub struct CallContext<'a> {
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// Set when the caller gives up earlier. Dropping the call's future has the same effect.
    pub cancel: &'a Cancel,
    /// Names this call and no other; stays the same when a module repeats a request for it.
    pub call: &'a str,
    /// The wall clock when the call began.
    pub now: Timestamp,
}

impl CallContext<'_> {
    /// Whether work may go on.
    ///
    /// # Errors
    /// `cancelled` or `deadline`.
    pub fn check(&self) -> Result<(), ToolFault> {
        go_on(self.deadline, self.cancel)
    }
}

/// Whether work with this deadline and flag may go on.
pub(crate) fn go_on(deadline: Instant, cancel: &Cancel) -> Result<(), ToolFault> {
    if cancel.is_cancelled() {
        return Err(cancelled());
    }
    if Instant::now() >= deadline {
        return Err(late());
    }
    Ok(())
}

/// The fault of a call whose caller gave up.
pub(crate) fn cancelled() -> ToolFault {
    ToolFault::new(Code::Cancelled, "the call was cancelled", "call again if the result is still needed")
}

/// The fault of a call that outlived its deadline.
pub(crate) fn late() -> ToolFault {
    ToolFault::new(Code::Deadline, "the call did not finish before its deadline", "ask for less in one call, or try again later")
}

/// A flag that is set once and can be waited for. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Flag>);

#[derive(Debug, Default)]
struct Flag {
    set: AtomicBool,
    waiters: Notify,
}

impl Cancel {
    /// A flag that is not set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag and wakes everyone who waits for it.
    pub fn cancel(&self) {
        self.0.set.store(true, Ordering::Release);
        self.0.waiters.notify_waiters();
    }

    /// Whether the flag is set.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.set.load(Ordering::Acquire)
    }

    /// Returns as soon as the flag is set.
    pub async fn cancelled(&self) {
        loop {
            // Registered before the flag is looked at, so that a `cancel` in between is not missed.
            let woken = self.0.waiters.notified();
            if self.is_cancelled() {
                return;
            }
            woken.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn check_tells_cancel_from_deadline() {
        let cancel = Cancel::new();
        let now = Instant::now();
        let at = Timestamp::from_micros(0);
        let ahead = CallContext { deadline: now + Duration::from_secs(60), cancel: &cancel, call: "c", now: at };
        let behind = CallContext { deadline: now, ..ahead };
        assert_eq!(ahead.check(), Ok(()));
        assert_eq!(behind.check().unwrap_err().code, Code::Deadline);
        cancel.clone().cancel();
        assert_eq!(ahead.check().unwrap_err().code, Code::Cancelled);
    }

    #[tokio::test]
    async fn waiting_ends_with_cancel() {
        let cancel = Cancel::new();
        let other = cancel.clone();
        let waiter = tokio::spawn(async move { other.cancelled().await });
        tokio::task::yield_now().await;
        cancel.cancel();
        assert!(waiter.await.is_ok());
    }
}
