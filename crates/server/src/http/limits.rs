//! Limits of the HTTP door (reference, security section 14).

use std::time::Duration;

/// Smallest buffer that hyper accepts; also what an idle connection keeps.
pub(super) const READ_BUFFER_BYTES_MIN: usize = 8 << 10;

/// What the HTTP parser takes without asking for memory.
pub(super) const HEAD_FIELDS_DEFAULT: usize = 100;

/// What one listener takes and how long it waits. Every field has the reference's default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Connections at once; beyond it a new one gets 429 and is closed.
    pub connections_max: usize,
    /// Connections at once from one source address; beyond it a new one gets 429 and is closed.
    pub connections_per_ip_max: usize,
    /// Request line and headers together; beyond it 431.
    pub head_bytes_max: usize,
    /// Headers of one request; beyond it 431.
    pub head_fields_max: usize,
    /// From the first byte of a request (or from accept) to the end of its headers; beyond it 408.
    pub head_read_max: Duration,
    /// Between two requests of a connection, and without progress while an answer is written; beyond it the connection is closed.
    pub idle_max: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connections_per_ip_max: 200,
            head_bytes_max: 32 << 10,
            head_fields_max: HEAD_FIELDS_DEFAULT,
            head_read_max: Duration::from_secs(10),
            idle_max: Duration::from_secs(75),
        }
    }
}
