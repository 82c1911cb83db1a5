//! What operators see of an upstream.

use std::sync::Arc;
use std::time::Duration;

use super::options::Probe;

/// A snapshot of one upstream.
#[derive(Clone, Debug)]
pub struct Status {
    /// Where it stands.
    pub state: UpstreamState,
    /// What the server said when it was last opened, or what was known before.
    pub probe: Option<Arc<Probe>>,
    /// How often it was opened again after it had been open.
    pub restarts: u64,
    /// Requests on their way.
    pub in_flight: usize,
    /// The last fault, whatever has happened since. It may quote the server.
    pub last_error: Option<String>,
    /// The last list of tools was longer than allowed, and cut.
    pub tools_cut: bool,
}

/// Where an upstream stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamState {
    /// Not opened yet; the first request opens it.
    Idle,
    /// Being opened.
    Opening,
    /// Ready for requests.
    Ready,
    /// The last attempt failed, or the child ended.
    Failing {
        /// For how long it has not been ready.
        since: Duration,
        /// Why; may quote the server.
        reason: String,
        /// From then on a request tries again; zero: the next one does.
        next_try: Duration,
    },
    /// A child that ended too often. Tried again after a minute, or by [`super::Upstream::forgive`].
    Failed {
        /// For how long it has not been ready.
        since: Duration,
        /// Why; may quote the server.
        reason: String,
        /// From then on a request tries again.
        next_try: Duration,
    },
    /// Closed for good.
    Closed,
}
