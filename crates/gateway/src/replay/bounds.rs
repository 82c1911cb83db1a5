//! How much is kept.

use std::time::Duration;

use bailiwick_model::config::Limits;

/// How much is kept, from `limits` in the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) events: usize,
    pub(super) stream_bytes: usize,
    pub(super) owner_bytes: usize,
    pub(super) bytes: usize,
    pub(super) session_streams: usize,
    pub(super) owner_streams: usize,
    pub(super) keep: Duration,
}

impl Bounds {
    pub(super) fn of(limits: &Limits) -> Self {
        let count = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        Self {
            events: count(limits.resume_events_max),
            stream_bytes: count(limits.resume_stream_bytes_max),
            owner_bytes: count(limits.resume_principal_bytes_max),
            bytes: count(limits.resume_bytes_max),
            session_streams: count(limits.resume_streams_per_session_max),
            owner_streams: count(limits.resume_streams_per_principal_max),
            keep: Duration::from_secs(limits.resume_seconds),
        }
    }
}
