//! Work that outlives its listener.
//!
//! A client that goes away must not leave a call half recorded: the future is polled in the connection's own task (no task
//! hop for the usual case) and moves to a task of its own only when it is dropped unfinished.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bailiwick_mcp::client::Cancel;

/// A boxed future that goes on by itself when dropped before its end.
pub(crate) struct Detached<T: Send + 'static> {
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    on_drop: Option<Cancel>,
}

impl<T: Send + 'static> Detached<T> {
    /// `on_drop` is raised when the future is left unfinished.
    pub(crate) fn new(work: Pin<Box<dyn Future<Output = T> + Send>>, on_drop: Option<Cancel>) -> Self {
        Self { work: Some(work), on_drop }
    }
}

impl<T: Send + 'static> Future for Detached<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(work) = self.work.as_mut() else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Detached<T> {
    fn drop(&mut self) {
        let Some(work) = self.work.take() else { return };
        if let Some(cancel) = &self.on_drop {
            cancel.cancel();
        }
        // Without a runtime the program is ending, and start-up closes the open intent.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn dropped_work_is_cancelled_and_still_ends() {
        let (done, ended) = tokio::sync::oneshot::channel();
        let cancel = Cancel::new();
        let inner = cancel.clone();
        let work = Box::pin(async move {
            inner.cancelled().await;
            let _ = done.send(());
        });
        let mut detached = Detached::new(work, Some(cancel));
        assert!(futures_poll_once(&mut detached).await.is_none());
        drop(detached);
        assert!(ended.await.is_ok());
    }

    async fn futures_poll_once<T: Send>(work: &mut Detached<T>) -> Option<T> {
        std::future::poll_fn(|context| match Pin::new(&mut *work).poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }
}
