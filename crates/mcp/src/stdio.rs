//! Messages as lines over a pipe (reference, protocol section 3.3).

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::encode::Frame;
use crate::message::Id;
use crate::request_id::RequestId;

/// Longest line; what is longer is skipped and reported (reference, security section 14).
pub const LINE_BYTES_MAX: usize = 16 << 20;
/// How far into a line that is too long the id of its request is looked for.
const SCAN_BYTES_MAX: usize = 64 << 20;
/// Room that is made before each read.
const READ_BYTES: usize = 8 << 10;
/// A buffer that grew beyond this for one long line is given back afterwards.
const KEPT_BYTES_MAX: usize = 256 << 10;

/// What comes out of a pipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// One line without its end; never empty. Not checked for UTF-8: JSON checks it.
    Text(Bytes),
    /// A line beyond the limit was skipped; told once, with the id when it is a request. Told as soon as the limit is crossed and the id is
    /// known or cannot be found; many clients write it last.
    TooLong(Option<Id>),
    /// The other side has closed the pipe.
    End,
}

/// Reads lines of bounded length.
#[derive(Debug)]
pub struct LineReader<R> {
    reader: R,
    buffer: BytesMut,
    /// Bytes at the start of the buffer that are known to hold no line end.
    searched: usize,
    line_bytes_max: usize,
    /// Inside a line that was too long.
    skipping: Option<Skip>,
    ended: bool,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// Reads lines of at most [`LINE_BYTES_MAX`] bytes.
    pub fn new(reader: R) -> Self {
        Self::with_limit(reader, LINE_BYTES_MAX)
    }

    /// Reads lines of at most `line_bytes_max` bytes, line end not counted.
    pub fn with_limit(reader: R, line_bytes_max: usize) -> Self {
        Self { reader, buffer: BytesMut::new(), searched: 0, line_bytes_max, skipping: None, ended: false }
    }

    /// The next line. CR before LF belongs to the line end; blank lines are left out. A last line without end counts. Dropping the future
    /// loses nothing: call again.
    ///
    /// # Errors
    /// Whatever the pipe reports.
    pub async fn next(&mut self) -> io::Result<Line> {
        loop {
            if let Some(line) = self.buffered() {
                return Ok(line);
            }
            if self.ended {
                return Ok(self.rest());
            }
            self.buffer.reserve(READ_BYTES);
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                self.ended = true;
            }
        }
    }

    /// A complete line, or the news that one is too long, from what has been read.
    fn buffered(&mut self) -> Option<Line> {
        loop {
            let Some(found) = memchr(b'\n', self.buffer.get(self.searched..).unwrap_or_default()) else {
                return self.unfinished();
            };
            let line = self.buffer.split_to(self.searched + found).freeze();
            self.buffer.advance(1);
            self.searched = 0;
            if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BYTES_MAX {
                self.buffer = BytesMut::new();
            }
            if let Some(skip) = self.skipping.take() {
                match skip.end(&line) {
                    Some(told) => return Some(told),
                    None => continue,
                }
            }
            let line = without_end(line);
            if line.len() > self.line_bytes_max {
                return Skip::new().end(&line);
            }
            if !is_blank(&line) {
                return Some(Line::Text(line));
            }
        }
    }

    fn unfinished(&mut self) -> Option<Line> {
        self.searched = self.buffer.len();
        // One byte more may be the CR of the line end.
        if self.skipping.is_none() && self.buffer.len() <= self.line_bytes_max.saturating_add(1) {
            return None;
        }
        let passed = std::mem::take(&mut self.buffer);
        self.searched = 0;
        self.skipping.get_or_insert_with(Skip::new).pass(&passed)
    }

    fn rest(&mut self) -> Line {
        let line = without_end(self.buffer.split().freeze());
        self.searched = 0;
        if let Some(skip) = self.skipping.take() {
            return skip.end(&line).unwrap_or(Line::End);
        }
        match line.len() {
            length if length > self.line_bytes_max => Skip::new().end(&line).unwrap_or(Line::End),
            _ if is_blank(&line) => Line::End,
            _ => Line::Text(line),
        }
    }
}

/// A line that is not kept.
#[derive(Debug)]
struct Skip {
    scan: RequestId,
    passed: usize,
    told: bool,
}

impl Skip {
    const fn new() -> Self {
        Self { scan: RequestId::new(), passed: 0, told: false }
    }

    /// The line goes on.
    fn pass(&mut self, text: &[u8]) -> Option<Line> {
        if self.told {
            return None;
        }
        self.scan.push(text);
        self.passed = self.passed.saturating_add(text.len());
        self.told = self.scan.is_settled() || self.passed > SCAN_BYTES_MAX;
        self.told.then(|| Line::TooLong(self.scan.found()))
    }

    /// The line ends behind `text`.
    fn end(mut self, text: &[u8]) -> Option<Line> {
        if self.told {
            return None;
        }
        self.scan.push(text);
        Some(Line::TooLong(self.scan.found()))
    }
}

fn without_end(line: Bytes) -> Bytes {
    match line.strip_suffix(b"\r") {
        Some(text) => line.slice(..text.len()),
        None => line,
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// Writes messages as lines. Has one owner: whoever shares it decides how writers take turns.
#[derive(Debug)]
pub struct LineWriter<W> {
    writer: W,
}

impl<W: AsyncWrite + Unpin> LineWriter<W> {
    /// Writes to `writer`.
    pub const fn new(writer: W) -> Self {
        Self { writer }
    }

    /// Writes one message with its line end and flushes. A dropped future may leave half a line behind: close the pipe then.
    ///
    /// # Errors
    /// Whatever the pipe reports.
    pub async fn write(&mut self, frame: Frame) -> io::Result<()> {
        let mut line = frame.chain(&b"\n"[..]);
        self.writer.write_all_buf(&mut line).await?;
        self.writer.flush().await
    }

    /// Closes the pipe for writing.
    ///
    /// # Errors
    /// Whatever the pipe reports.
    pub async fn close(&mut self) -> io::Result<()> {
        self.writer.shutdown().await
    }
}
