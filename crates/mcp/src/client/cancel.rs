//! The caller's word that an answer is no longer wanted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// A flag that can be raised once and waited for by many. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Flag>);

#[derive(Debug, Default)]
struct Flag {
    raised: AtomicBool,
    bell: Notify,
}

impl Cancel {
    /// A flag that is not raised.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag; every present and future [`Cancel::cancelled`] returns. Raising twice is the same as once.
    pub fn cancel(&self) {
        self.0.raised.store(true, Ordering::SeqCst);
        self.0.bell.notify_waiters();
    }

    /// Whether the flag is raised.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.raised.load(Ordering::SeqCst)
    }

    /// Returns as soon as the flag is raised, at once when it already is.
    pub async fn cancelled(&self) {
        // The waiter is made before the flag is read: a bell rung in between still reaches it.
        let bell = self.0.bell.notified();
        if !self.is_cancelled() {
            bell.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wakes_waiters_of_before_and_after() {
        let cancel = Cancel::new();
        let early = tokio::spawn({
            let cancel = cancel.clone();
            async move { cancel.cancelled().await }
        });
        tokio::task::yield_now().await;
        assert!(!early.is_finished() && !cancel.is_cancelled());
        cancel.cancel();
        early.await.unwrap();
        cancel.cancelled().await;
        assert!(cancel.is_cancelled());
    }
}
