//! Reading Server-Sent Events from an upstream server (WHATWG HTML, section 9.2), with bounded memory.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr2;

/// Longest event name or id that is kept; longer ones are ignored like unknown fields.
const FIELD_BYTES_MAX: usize = 1024;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The `event` field; None means `message`.
    pub name: Option<Box<str>>,
    /// The `data` lines joined by LF. Empty for an event that only sets an id or a retry time. Not checked for UTF-8: JSON checks it.
    pub data: Bytes,
    /// The `id` field of this event, for resuming behind it.
    pub id: Option<Box<str>>,
    /// The `retry` field: milliseconds to wait before connecting again.
    pub retry_ms: Option<u64>,
}

impl Event {
    /// True for the default type, which carries MCP messages.
    #[must_use]
    pub fn is_message(&self) -> bool {
        self.name.as_deref().is_none_or(|name| name == "message")
    }
}

/// An event is larger than allowed; the stream cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTooLarge {
    /// The limit that was crossed.
    pub bytes_max: usize,
}

impl std::fmt::Display for EventTooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an event of the stream is longer than {} bytes", self.bytes_max)
    }
}

impl std::error::Error for EventTooLarge {}

/// Turns chunks of a stream into events. Holds at most one event plus the last chunk.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    /// Bytes at the start of the buffer that are known to hold no line end.
    searched: usize,
    bytes_max: usize,
    /// The line before ended with CR: a LF that follows belongs to it.
    after_cr: bool,
    /// No line has been read yet: a byte order mark may come.
    at_start: bool,
    event: Event,
    /// Data lines when there are several; a single line stays in `event.data` without a copy.
    joined: Option<BytesMut>,
    has_data: bool,
    failed: bool,
}

impl Decoder {
    /// For events whose data, together with the line that is being read, has at most `bytes_max` bytes; so no line is longer either.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            searched: 0,
            bytes_max,
            after_cr: false,
            at_start: true,
            event: Event::default(),
            joined: None,
            has_data: false,
            failed: false,
        }
    }

    /// Takes the next chunk of the stream. Call [`Decoder::next_event`] until it gives None before the next chunk.
    pub fn feed(&mut self, chunk: &[u8]) {
        if !self.failed {
            self.buffer.extend_from_slice(chunk);
        }
    }

    /// The next complete event; None when more of the stream is needed. What is left when the stream ends is no event.
    ///
    /// # Errors
    /// [`EventTooLarge`], now and on every later call.
    pub fn next_event(&mut self) -> Result<Option<Event>, EventTooLarge> {
        if self.failed {
            return Err(self.too_large());
        }
        while let Some(mut line) = self.next_line() {
            // Counted as the unfinished line below: where the chunks are cut must not decide. What is held afterwards is never more.
            if self.held() + line.len() > self.bytes_max {
                return Err(self.too_large());
            }
            if std::mem::take(&mut self.at_start) && line.starts_with(b"\xef\xbb\xbf") {
                line.advance(3);
            }
            if line.is_empty() {
                if let Some(event) = self.dispatch() {
                    return Ok(Some(event));
                }
                continue;
            }
            self.field(line);
        }
        // The unfinished line counts as well: a line without end must not fill the memory.
        if self.held() + self.buffer.len() > self.bytes_max {
            return Err(self.too_large());
        }
        Ok(None)
    }

    fn too_large(&mut self) -> EventTooLarge {
        self.failed = true;
        self.buffer = BytesMut::new();
        self.joined = None;
        self.event = Event::default();
        EventTooLarge { bytes_max: self.bytes_max }
    }

    fn held(&self) -> usize {
        self.event.data.len() + self.joined.as_ref().map_or(0, BytesMut::len)
    }

    fn next_line(&mut self) -> Option<Bytes> {
        if self.after_cr && !self.buffer.is_empty() {
            self.after_cr = false;
            if self.buffer.first() == Some(&b'\n') {
                self.buffer.advance(1);
            }
        }
        let Some(found) = memchr2(b'\n', b'\r', self.buffer.get(self.searched..)?) else {
            self.searched = self.buffer.len();
            return None;
        };
        let end = self.searched + found;
        let line = self.buffer.split_to(end).freeze();
        self.after_cr = self.buffer.first() == Some(&b'\r');
        self.buffer.advance(1);
        self.searched = 0;
        Some(line)
    }

    fn field(&mut self, line: Bytes) {
        let colon = memchr::memchr(b':', &line).unwrap_or(line.len());
        let mut value = line.slice((colon + 1).min(line.len())..);
        if value.first() == Some(&b' ') {
            value.advance(1);
        }
        let text = || std::str::from_utf8(&value).ok().filter(|text| text.len() <= FIELD_BYTES_MAX);
        match line.get(..colon) {
            Some(b"data") => self.data(value),
            Some(b"event") => self.event.name = text().filter(|name| !name.is_empty()).map(Into::into),
            Some(b"id") => self.event.id = text().filter(|id| !id.contains('\0')).map(Into::into).or_else(|| self.event.id.take()),
            Some(b"retry") => {
                let digits = text().filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
                self.event.retry_ms = digits.and_then(|digits| digits.parse().ok()).or(self.event.retry_ms);
            }
            // Comments, whose name is empty, and fields nobody knows.
            _ => {}
        }
    }

    fn data(&mut self, value: Bytes) {
        if !std::mem::replace(&mut self.has_data, true) {
            self.event.data = value;
            return;
        }
        let first = std::mem::take(&mut self.event.data);
        let joined = self.joined.get_or_insert_with(|| BytesMut::from(&first[..]));
        joined.extend_from_slice(b"\n");
        joined.extend_from_slice(&value);
    }

    fn dispatch(&mut self) -> Option<Event> {
        let mut event = std::mem::take(&mut self.event);
        if let Some(joined) = self.joined.take() {
            event.data = joined.freeze();
        }
        let has_data = std::mem::take(&mut self.has_data);
        (has_data || event.id.is_some() || event.retry_ms.is_some()).then_some(event)
    }
}
