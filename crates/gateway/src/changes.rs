//! The generation of the catalog: raised by every change that may alter a view.

use tokio::sync::watch;

/// A counter that can be waited for.
pub(crate) struct Changes(watch::Sender<u64>);

impl Changes {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(1))
    }

    pub(crate) fn generation(&self) -> u64 {
        *self.0.borrow()
    }

    pub(crate) fn bump(&self) {
        self.0.send_modify(|generation| *generation += 1);
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}
