//! Bodies of our HTTP answers: one frame of JSON, or a stream of events that ends with the answer.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bailiwick_mcp::Frame as Message;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::listen::Standing;
use crate::replay::Reader;
use crate::stream::EventStream;

/// The body of an answer.
pub struct AnswerBody(Kind);

enum Kind {
    /// Known in full; a large result is sent from the buffer it arrived in.
    Whole {
        parts: VecDeque<Bytes>,
        left: u64,
    },
    Events(Pin<Box<EventStream>>),
    Standing(Box<Standing>),
    Kept(Box<Reader>),
}

impl AnswerBody {
    pub(crate) fn empty() -> Self {
        Self(Kind::Whole { parts: VecDeque::new(), left: 0 })
    }

    /// A stream of events that is complete.
    pub(crate) fn said(parts: impl Iterator<Item = Bytes>) -> Self {
        let parts: VecDeque<Bytes> = parts.collect();
        let left = parts.iter().map(|part| part.len() as u64).sum();
        Self(Kind::Whole { parts, left })
    }

    pub(crate) fn whole(message: Message) -> Self {
        let left = message.len() as u64;
        Self(Kind::Whole { parts: message.into_parts().collect(), left })
    }

    /// A stream that stands for itself and ends with the sender.
    pub(crate) fn standing(frames: mpsc::Receiver<Message>) -> Self {
        Self(Kind::Standing(Box::new(Standing::new(frames))))
    }

    /// A stream that the client may come back to.
    pub(crate) fn kept(reader: Reader) -> Self {
        Self(Kind::Kept(Box::new(reader)))
    }

    pub(crate) fn events(stream: EventStream) -> Self {
        Self(Kind::Events(Box::pin(stream)))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Kind::Whole { parts, left } => Poll::Ready(parts.pop_front().map(|part| {
                *left -= part.len() as u64;
                Ok(Frame::data(part))
            })),
            Kind::Events(stream) => stream.as_mut().poll_next(context).map(|event| event.map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Standing(stream) => stream.poll_next(context).map(|event| event.map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Kept(stream) => stream.poll_next(context).map(|event| event.map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole { parts, .. } => parts.is_empty(),
            Kind::Events(stream) => stream.is_done(),
            Kind::Standing(stream) => stream.is_done(),
            Kind::Kept(stream) => stream.is_done(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole { left, .. } => SizeHint::with_exact(*left),
            Kind::Events(_) | Kind::Standing(_) | Kind::Kept(_) => SizeHint::default(),
        }
    }
}
