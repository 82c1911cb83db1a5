//! SIGTERM and SIGINT as events.

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{Exit, Failure};

/// Which signal asked the process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// SIGTERM: a service manager or an orchestrator.
    Terminate,
    /// SIGINT: a person at a terminal.
    Interrupt,
}

impl Ending {
    /// Its name in the operational log.
    pub(crate) const fn event(self) -> &'static str {
        match self {
            Self::Terminate => "sigterm_received",
            Self::Interrupt => "sigint_received",
        }
    }
}

/// Both signals, caught from the moment this is made.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Never looked at: caught so that a limit on the size of files makes writes fail instead of ending the process.
    _file_size: Signal,
}

impl Signals {
    /// Catches both signals, and keeps SIGXFSZ from ending the process. Must run inside the runtime.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub(crate) fn catch() -> Result<Self, Failure> {
        let caught = |kind| signal(kind).map_err(|cause| Failure::new(Exit::Failed, format!("cannot catch signals: {cause}")));
        let file_size = SignalKind::from_raw(Number::XFSZ.as_raw());
        Ok(Self {
            terminate: caught(SignalKind::terminate())?,
            interrupt: caught(SignalKind::interrupt())?,
            _file_size: caught(file_size)?,
        })
    }

    /// Waits for the second one.
    pub(crate) async fn second(&mut self) {
        self.next().await;
        self.next().await;
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Ending {
        tokio::select! {
            _ = self.terminate.recv() => Ending::Terminate,
            _ = self.interrupt.recv() => Ending::Interrupt,
        }
    }
}
