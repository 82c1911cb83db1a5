//! Messages as lines over a pipe (reference, protocol section 3.3).

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::encode::Frame;

/// Longest line; what is longer is skipped and reported (reference, security section 14).
pub const LINE_BYTES_MAX: usize = 16 << 20;
/// Room that is made before each read.
const READ_BYTES: usize = 8 << 10;
/// A buffer that grew beyond this for one long line is given back afterwards.
const KEPT_BYTES_MAX: usize = 256 << 10;

/// What comes out of a pipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// One line without its end; never empty. Not checked for UTF-8: JSON checks it.
    Text(Bytes),
    /// A line beyond the limit was skipped; told once, as soon as the limit is crossed.
    TooLong,
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
    skipping: bool,
    ended: bool,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// Reads lines of at most [`LINE_BYTES_MAX`] bytes.
    pub fn new(reader: R) -> Self {
        Self::with_limit(reader, LINE_BYTES_MAX)
    }

    /// Reads lines of at most `line_bytes_max` bytes, line end not counted.
    pub fn with_limit(reader: R, line_bytes_max: usize) -> Self {
        Self { reader, buffer: BytesMut::new(), searched: 0, line_bytes_max, skipping: false, ended: false }
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
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            let line = without_end(line);
            if line.len() > self.line_bytes_max {
                return Some(Line::TooLong);
            }
            if !is_blank(&line) {
                return Some(Line::Text(line));
            }
        }
    }

    fn unfinished(&mut self) -> Option<Line> {
        self.searched = self.buffer.len();
        // One byte more may be the CR of the line end.
        if !self.skipping && self.buffer.len() <= self.line_bytes_max.saturating_add(1) {
            return None;
        }
        self.buffer = BytesMut::new();
        self.searched = 0;
        if std::mem::replace(&mut self.skipping, true) { None } else { Some(Line::TooLong) }
    }

    fn rest(&mut self) -> Line {
        let line = without_end(self.buffer.split().freeze());
        self.searched = 0;
        match line.len() {
            _ if std::mem::take(&mut self.skipping) => Line::End,
            length if length > self.line_bytes_max => Line::TooLong,
            _ if is_blank(&line) => Line::End,
            _ => Line::Text(line),
        }
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
