//! The last words of a child on its standard error.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};

/// What is kept of standard error; older bytes are forgotten (reference, security section 12).
const TAIL_BYTES_MAX: usize = 64 << 10;
/// What [`Tail::last_line`] shows of a line.
const LINE_CHARS_MAX: usize = 200;
const READ_BYTES: usize = 4 << 10;

/// A ring of the newest bytes.
#[derive(Debug, Default)]
pub(crate) struct Tail(Mutex<VecDeque<u8>>);

impl Tail {
    fn push(&self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(TAIL_BYTES_MAX)..];
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let surplus = (ring.len() + bytes.len()).saturating_sub(TAIL_BYTES_MAX);
        ring.drain(..surplus);
        ring.extend(bytes);
    }

    /// The kept text: lines stay lines, every other control or unprintable character is escaped, invalid UTF-8 replaced.
    pub(crate) fn text(&self) -> String {
        let bytes: Vec<u8> = self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let mut clean = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '\n' | '"' | '\'' | '\\' => clean.push(c),
                other => clean.extend(other.escape_debug()),
            }
        }
        clean
    }

    /// The last line that says something.
    pub(crate) fn last_line(&self) -> Option<String> {
        let text = self.text();
        let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
        Some(line.chars().take(LINE_CHARS_MAX).collect())
    }

    /// Reads until the stream ends. Never stops early: a full pipe would halt the child.
    pub(crate) async fn follow(&self, mut stream: impl AsyncRead + Unpin) {
        let mut buffer = vec![0; READ_BYTES];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            self.push(&buffer[..count]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_the_newest_bytes_and_escapes_them() {
        let tail = Tail::default();
        let mut noise = vec![b'x'; 3 * TAIL_BYTES_MAX];
        noise.extend_from_slice(b"\n\x1b[2Jlast \"words\" \xff\n\n");
        tail.follow(&noise[..]).await;
        let text = tail.text();
        assert!(text.len() < TAIL_BYTES_MAX + 64 && text.starts_with('x'));
        assert!(text.ends_with("\\u{1b}[2Jlast \"words\" \u{fffd}\n\n"), "{:?}", &text[text.len() - 60..]);
        assert_eq!(tail.last_line().unwrap(), "\\u{1b}[2Jlast \"words\" \u{fffd}");
    }

    #[test]
    fn one_push_larger_than_the_ring_fits() {
        let tail = Tail::default();
        tail.push(b"old");
        tail.push(&vec![b'y'; TAIL_BYTES_MAX + 1]);
        assert_eq!(tail.text().len(), TAIL_BYTES_MAX);
        assert!(!tail.text().contains('o'));
    }
}
