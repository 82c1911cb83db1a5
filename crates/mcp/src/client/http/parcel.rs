//! A request's bytes in up to three parts, so that large arguments are sent from where they lie.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::client::compose::Parts;

/// The body of one outgoing HTTP request. Its length is known, so that it travels with `Content-Length`.
#[derive(Debug, Default)]
pub(crate) struct Parcel {
    parts: [Bytes; 3],
    /// Parts that have been given away.
    given: usize,
}

impl Parcel {
    pub(crate) fn new(parts: &Parts) -> Self {
        Self { parts: parts.0.clone(), given: 0 }
    }

    fn rest(&self) -> &[Bytes] {
        self.parts.get(self.given..).unwrap_or_default()
    }
}

impl Body for Parcel {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.rest().iter().position(|part| !part.is_empty()).map(|skipped| self.given + skipped);
        let Some(next) = next else { return Poll::Ready(None) };
        self.given = next + 1;
        let part = self.parts.get_mut(next).map(std::mem::take);
        Poll::Ready(part.map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest().iter().all(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest().iter().map(|part| part.len() as u64).sum())
    }
}
