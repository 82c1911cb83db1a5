//! An outgoing message as a few byte strings.

use std::io::IoSlice;
use std::ops::Range;

use bytes::{Buf, Bytes};

/// What an idle event stream sends so that nobody in between closes it: an SSE comment.
pub const SSE_KEEP_ALIVE: &[u8] = b":\n\n";

/// Stretches up to this long are copied next to their neighbours: one write of a short text is cheaper than several.
const COPIED_BYTES_MAX: usize = 4096;

/// One message, ready to be written: an HTTP body, a stdio line without its line break, or an SSE event. Holds no CR or LF except those
/// that end SSE fields. Large values are shared with where they came from.
///
/// It is a [`Buf`], so that HTTP bodies and vectored writes can take it as it is.
#[derive(Clone, Debug)]
pub struct Frame {
    first: Bytes,
    /// Empty for nearly all messages.
    more: Vec<Bytes>,
    /// Parts of `more` that have been written.
    written: usize,
}

impl Frame {
    /// Bytes still to be written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.first.len() + self.rest().iter().map(Bytes::len).sum::<usize>()
    }

    /// True when nothing is left to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The parts in order.
    pub fn into_parts(self) -> impl Iterator<Item = Bytes> {
        std::iter::once(self.first).chain(self.more.into_iter().skip(self.written)).filter(|part| !part.is_empty())
    }

    /// All in one piece; copies when there are several parts.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        if self.rest().is_empty() {
            return self.first.clone();
        }
        let mut out = Vec::with_capacity(self.len());
        out.extend_from_slice(&self.first);
        for part in self.rest() {
            out.extend_from_slice(part);
        }
        out.into()
    }

    /// The message as an SSE event of type `message`. An id with a line break or NUL, which SSE cannot carry, is left out.
    #[must_use]
    pub fn into_sse_event(self, event_id: Option<&str>) -> Self {
        let mut head = b"event: message\n".to_vec();
        push_event_id(&mut head, event_id);
        head.extend_from_slice(b"data: ");
        let mut assembly = Assembly::begin(head, self.len());
        for part in self.into_parts() {
            assembly.shared(&part, 0..part.len());
        }
        assembly.finish(b"\n\n")
    }

    fn rest(&self) -> &[Bytes] {
        self.more.get(self.written..).unwrap_or_default()
    }

    fn drop_written(&mut self) {
        while self.first.is_empty() {
            let Some(next) = self.more.get_mut(self.written) else { return };
            self.first = std::mem::take(next);
            self.written += 1;
        }
    }
}

fn push_event_id(head: &mut Vec<u8>, event_id: Option<&str>) {
    if let Some(id) = event_id.filter(|id| !id.contains(['\n', '\r', '\0'])) {
        head.extend_from_slice(b"id: ");
        head.extend_from_slice(id.as_bytes());
        head.push(b'\n');
    }
}

/// The event that opens a resumable stream in 2025-11-25: an id without data, and how long to wait before coming back.
#[must_use]
pub fn priming_event(event_id: &str, retry_ms: Option<u32>) -> Frame {
    let mut head = Vec::new();
    push_event_id(&mut head, Some(event_id));
    if let Some(retry_ms) = retry_ms {
        head.extend_from_slice(format!("retry: {retry_ms}\n").as_bytes());
    }
    Assembly::begin(head, 0).finish(b"data:\n\n")
}

impl Buf for Frame {
    fn remaining(&self) -> usize {
        self.len()
    }

    fn chunk(&self) -> &[u8] {
        // `first` is empty only when everything is written: `advance` and `finish` move the next part up.
        &self.first
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let parts = std::iter::once(&self.first).chain(self.rest()).filter(|part| !part.is_empty());
        slices.iter_mut().zip(parts).map(|(slot, part)| *slot = IoSlice::new(part)).count()
    }

    fn advance(&mut self, mut count: usize) {
        loop {
            let step = count.min(self.first.len());
            self.first.advance(step);
            count -= step;
            self.drop_written();
            if count == 0 || self.first.is_empty() {
                return;
            }
        }
    }
}

/// Collects a frame.
pub(super) struct Assembly {
    done: Vec<Bytes>,
    open: Vec<u8>,
}

impl Assembly {
    /// Begins with `head`; `expected` bytes are about to follow.
    pub(super) fn begin(mut head: Vec<u8>, expected: usize) -> Self {
        if expected <= COPIED_BYTES_MAX {
            head.reserve(expected + 32);
        }
        Self { done: Vec::new(), open: head }
    }

    pub(super) fn copied(&mut self, text: &[u8]) {
        self.open.extend_from_slice(text);
    }

    pub(super) fn shared(&mut self, text: &Bytes, range: Range<usize>) {
        if range.len() <= COPIED_BYTES_MAX {
            return self.copied(text.get(range).unwrap_or_default());
        }
        self.close();
        self.done.push(text.slice(range));
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.done.push(std::mem::take(&mut self.open).into());
        }
    }

    pub(super) fn finish(mut self, tail: &[u8]) -> Frame {
        self.open.extend_from_slice(tail);
        if self.done.is_empty() {
            return Frame { first: self.open.into(), more: Vec::new(), written: 0 };
        }
        self.close();
        let mut frame = Frame { first: Bytes::new(), more: self.done, written: 0 };
        frame.drop_written();
        frame
    }
}
