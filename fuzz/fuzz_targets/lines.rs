//! Lines over a pipe: chunks, pauses and dropped reads change nothing, and no line is longer than the limit. Input: two bytes of settings,
//! then what comes through the pipe.
#![no_main]

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bailiwick_fuzz::{Cuts, settings};
use bailiwick_mcp::stdio::{Line, LineReader, LineWriter};
use bailiwick_mcp::{Id, Json, Limits, encode};
use tokio::io::{AsyncRead, ReadBuf};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some(([seed, limit], stream)) = settings::<2>(data) else { return };
    let limit = if *limit < 200 { usize::from(*limit) } else { 1 << 20 };
    let wanted = by_the_book(stream, limit);
    assert_eq!(read(Pipe::new(Cuts::new(stream, *seed).map(Vec::from).collect()), limit), wanted, "the cuts change the lines");
    assert_eq!(read(Pipe::new(vec![stream.to_vec()]), limit), wanted, "one chunk");
    for line in &wanted {
        if let Line::Text(text) = line
            && let Ok(json) = Json::check(text.clone(), &Limits::REQUEST)
        {
            written(&json);
        }
    }
});

/// Chunks with a pause before each.
struct Pipe {
    chunks: std::vec::IntoIter<Vec<u8>>,
    open: Vec<u8>,
    paused: bool,
}

impl Pipe {
    fn new(chunks: Vec<Vec<u8>>) -> Self {
        Self { chunks: chunks.into_iter(), open: Vec::new(), paused: false }
    }
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.paused = !self.paused;
        if self.paused {
            return Poll::Pending;
        }
        if self.open.is_empty() {
            self.open = self.chunks.next().unwrap_or_default();
        }
        let length = self.open.len().min(out.remaining());
        out.put_slice(&self.open[..length]);
        self.open.drain(..length);
        Poll::Ready(Ok(()))
    }
}

/// All lines up to the end. Every pause drops the read and begins a new one.
fn read(pipe: Pipe, limit: usize) -> Vec<Line> {
    let mut reader = LineReader::with_limit(pipe, limit);
    let mut lines = Vec::new();
    loop {
        let poll = pin!(reader.next()).poll(&mut Context::from_waker(Waker::noop()));
        match poll {
            Poll::Pending => {}
            Poll::Ready(line) => match line.expect("the pipe reports nothing") {
                Line::End => return lines,
                line => lines.push(line),
            },
        }
    }
}

/// What should come out: lines end with LF or CR LF, blank ones are left out, those beyond the limit are told.
fn by_the_book(stream: &[u8], limit: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for line in stream.split(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > limit {
            lines.push(Line::TooLong);
        } else if !line.iter().all(u8::is_ascii_whitespace) {
            lines.push(Line::Text(line.to_vec().into()));
        }
    }
    lines
}

/// A value that we write as a line is read as one line.
fn written(json: &Json) {
    let mut pipe = Vec::new();
    let frame = encode::result(&Id::Integer(1), json);
    let text = frame.to_bytes();
    let mut writer = LineWriter::new(&mut pipe);
    let done = pin!(writer.write(frame)).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(done, Poll::Ready(Ok(()))), "writing to memory");
    assert_eq!(read(Pipe::new(vec![pipe]), usize::MAX >> 1), [Line::Text(text)]);
}
