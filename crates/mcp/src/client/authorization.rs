//! What a server is told of who asks, and what it says when that is not enough.

use std::sync::{Arc, PoisonError, RwLock};

use http::{HeaderMap, HeaderValue, header};

/// `WWW-Authenticate` headers that are kept of one answer.
const CHALLENGES_MAX: usize = 8;
/// Longest of them.
const CHALLENGE_BYTES_MAX: usize = 4 << 10;

/// The `Authorization` header of every request to one server. Clones share it, so that a refreshed token counts from the next request on.
#[derive(Clone, Debug, Default)]
pub struct Authorization(Arc<RwLock<Option<HeaderValue>>>);

impl Authorization {
    /// Sends this from now on; `None` = nothing. The value is marked as sensitive, so that no `Debug` form shows it.
    pub fn set(&self, value: Option<HeaderValue>) {
        let value = value.map(|mut value| {
            value.set_sensitive(true);
            value
        });
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = value;
    }

    /// Whether this very value is sent now.
    #[must_use]
    pub fn is(&self, value: &HeaderValue) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref() == Some(value)
    }

    pub(super) fn put_into(&self, headers: &mut HeaderMap) {
        if let Some(value) = &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            headers.insert(header::AUTHORIZATION, value.clone());
        }
    }
}

/// A 401 or 403: the server executed nothing and wants other credentials (RFC 9110, sections 11.6.1 and 15.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// 401 or 403.
    pub status: u16,
    /// The `WWW-Authenticate` headers as they came, at most eight of at most 4 KiB. Untrusted text.
    pub challenges: Vec<Box<str>>,
}

impl Demand {
    pub(super) fn of(status: u16, headers: &HeaderMap) -> Self {
        let readable = |value: &HeaderValue| value.to_str().ok().filter(|text| text.len() <= CHALLENGE_BYTES_MAX).map(Box::from);
        Self { status, challenges: headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(readable).take(CHALLENGES_MAX).collect() }
    }
}
