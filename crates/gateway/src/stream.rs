//! The way back of a call over HTTP: JSON when the result comes first, an event stream when something comes before it.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bailiwick_mcp::client::Event;
use bailiwick_mcp::{Frame, encode};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, header};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};

use crate::asking::CallQuestions;
use crate::body::AnswerBody;
use crate::call::encode::Answer;
use crate::detach::Detached;
use crate::exchange::{KEEP_ALIVE, finish};
use crate::progress::Wants;
use crate::replay::{Resumable, Said};
use crate::way::Way;

/// What may come before the answer.
pub(crate) struct Side {
    pub(crate) events: Option<mpsc::Receiver<Event>>,
    pub(crate) questions: Option<CallQuestions>,
    pub(crate) wants: Wants,
    pub(crate) way: Way,
}

/// Waits for whatever comes first: the answer, an event, a question, or the moment when something has to be said. Without an answer, when the
/// client has cancelled the call, the stream just ends.
pub(crate) async fn answer(mut work: Detached<Option<Answer>>, mut side: Side, resumable: Option<Resumable>) -> Response<AnswerBody> {
    let silence = resumable.as_ref().map_or(KEEP_ALIVE, Resumable::opens_after);
    let first = tokio::select! {
        biased;
        said = side.next() => Some(said),
        answer = &mut work => return ended(answer, side.rest(), resumable),
        () = tokio::time::sleep(silence) => None,
    };
    if let Some(open) = resumable.and_then(Resumable::open) {
        return event_stream(AnswerBody::kept(open.carry(work, side, first)));
    }
    let ready = match first {
        Some(said) => event(said.frame).collect(),
        None => VecDeque::from([Bytes::from_static(encode::SSE_KEEP_ALIVE)]),
    };
    event_stream(AnswerBody::events(EventStream { work: Some(work), side, ready, keep_alive: Box::pin(tokio::time::sleep(KEEP_ALIVE)) }))
}

/// The answer was there first, perhaps with something that was said in the same moment.
fn ended(answer: Option<Answer>, before: Vec<Frame>, resumable: Option<Resumable>) -> Response<AnswerBody> {
    let answer = match answer {
        Some(answer) if before.is_empty() => return finish(answer, None),
        Some(answer) => answer,
        None => return event_stream(AnswerBody::said(std::iter::empty())),
    };
    let events: Vec<Said> = before.into_iter().chain([answer.into_frame()]).map(Said::from).collect();
    if let Some(open) = resumable.and_then(Resumable::open) {
        return event_stream(AnswerBody::kept(open.keep(events)));
    }
    event_stream(AnswerBody::said(events.into_iter().flat_map(|said| event(said.frame))))
}

/// An event that nobody can come back to.
fn event(frame: Frame) -> impl Iterator<Item = Bytes> {
    frame.into_sse_event(None).into_parts()
}

/// A response whose body is a stream of events.
pub(crate) fn event_stream(body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

impl Side {
    /// The next message for the caller; never, when nothing more can come.
    pub(crate) async fn next(&mut self) -> Said {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// The next message for the caller; `None` when the call has ended and everything has been said.
    pub(crate) async fn next_until_closed(&mut self) -> Option<Said> {
        std::future::poll_fn(|context| match self.poll(context) {
            Poll::Ready(said) => Poll::Ready(Some(said)),
            Poll::Pending if self.events.is_none() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Said> {
        while let Some(events) = &mut self.events
            && let Poll::Ready(event) = events.poll_recv(context)
        {
            match event.map(|event| self.wants.notification(event, &self.way)) {
                Some(Some(frame)) => return Poll::Ready(frame.into()),
                Some(None) => {}
                None => self.events = None,
            }
        }
        while let Some(questions) = &mut self.questions
            && let Poll::Ready(question) = questions.poll_next(&self.way, context)
        {
            match question {
                Some(said) => return Poll::Ready(said),
                None => self.questions = None,
            }
        }
        Poll::Pending
    }

    /// What was said before the answer and has not been sent yet.
    pub(crate) fn rest(&mut self) -> Vec<Frame> {
        let events = self.events.take().into_iter().flat_map(drain);
        events.filter_map(|event| self.wants.notification(event, &self.way)).collect()
    }
}

/// Events, questions, keep-alives, and last the answer.
pub(crate) struct EventStream {
    work: Option<Detached<Option<Answer>>>,
    side: Side,
    ready: VecDeque<Bytes>,
    keep_alive: Pin<Box<Sleep>>,
}

impl EventStream {
    fn push(&mut self, frame: Frame) {
        self.ready.extend(event(frame));
    }

    pub(crate) fn is_done(&self) -> bool {
        self.work.is_none() && self.ready.is_empty()
    }

    /// The next piece of the stream.
    pub(crate) fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Poll::Ready(Some(piece));
            }
            if self.work.is_none() {
                return Poll::Ready(None);
            }
            // Events first: none may follow the answer.
            if let Poll::Ready(said) = self.side.poll(context) {
                self.push(said.frame);
                continue;
            }
            if let Some(work) = self.work.as_mut()
                && let Poll::Ready(answer) = Pin::new(work).poll(context)
            {
                self.work = None;
                self.side.rest().into_iter().for_each(|frame| self.push(frame));
                // Questions of a call that has ended are of no use any more.
                self.side.questions = None;
                answer.into_iter().for_each(|answer| self.push(answer.into_frame()));
                continue;
            }
            if self.keep_alive.as_mut().poll(context).is_ready() {
                self.keep_alive.as_mut().reset(Instant::now() + KEEP_ALIVE);
                return Poll::Ready(Some(Bytes::from_static(encode::SSE_KEEP_ALIVE)));
            }
            return Poll::Pending;
        }
    }
}

fn drain(mut events: mpsc::Receiver<Event>) -> Vec<Event> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}
