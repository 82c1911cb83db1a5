//! Reads a file line by line in large pieces, without copying lines and without trusting their length.

use std::fs::File;
use std::io::{self, Read, Take};

use super::follow::LINE_BYTES_MAX;

/// Bytes asked of the file at once.
const CHUNK_BYTES: usize = 1 << 20;

/// A line of a file.
pub(crate) struct Line<'a> {
    /// The line without its newline. Its owner may overwrite it.
    pub(crate) bytes: &'a mut [u8],
    /// Where it starts in the file.
    pub(crate) offset: u64,
    /// Whether a newline follows. Without one, this is the end of the file or the line is too long.
    pub(crate) complete: bool,
}

/// Yields the lines of a file; memory is bounded by the longest line allowed.
pub(crate) struct Lines {
    file: Take<File>,
    buffer: Vec<u8>,
    /// The unread part of `buffer`.
    start: usize,
    end: usize,
    offset: u64,
    longest: usize,
}

impl Lines {
    pub(crate) fn new(file: File) -> Self {
        Self::with_longest(file, LINE_BYTES_MAX)
    }

    /// Lines longer than `longest` bytes are given cut off, marked as incomplete.
    pub(crate) fn with_longest(file: File, longest: usize) -> Self {
        Self::up_to(file, longest, u64::MAX)
    }

    /// Reads no further than `len` bytes: what stands behind is as if it were not there.
    pub(crate) fn up_to(file: File, longest: usize, len: u64) -> Self {
        let file = file.take(len);
        Self { file, buffer: vec![0; CHUNK_BYTES], start: 0, end: 0, offset: 0, longest }
    }

    /// The next line; `None` at the end of the file.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut searched = self.start;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[searched..self.end]) {
                return Ok(Some(self.take(searched + at, true)));
            }
            searched = self.end - self.start;
            let read = if searched > self.longest { 0 } else { self.fill()? };
            if read == 0 {
                return Ok(if self.start == self.end { None } else { Some(self.take(self.end, false)) });
            }
            searched += self.start;
        }
    }

    /// Moves the unread part to the front and reads more behind it.
    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() - self.end < CHUNK_BYTES / 2 {
            self.buffer.resize(self.buffer.len() + CHUNK_BYTES, 0);
        }
        loop {
            match self.file.read(&mut self.buffer[self.end..]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
                Ok(read) => {
                    self.end += read;
                    return Ok(read);
                }
            }
        }
    }

    fn take(&mut self, end: usize, complete: bool) -> Line<'_> {
        let (start, offset) = (self.start, self.offset);
        let next = (end + usize::from(complete)).min(self.end);
        self.offset += (next - start) as u64;
        self.start = next;
        Line { bytes: &mut self.buffer[start..end], offset, complete }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use super::*;

    fn lines_of(text: &[u8], longest: usize) -> Vec<(Vec<u8>, u64, bool)> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut lines = Lines::with_longest(file, longest);
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            found.push((line.bytes.to_vec(), line.offset, line.complete));
        }
        found
    }

    #[test]
    fn lines_and_offsets() {
        let expected = vec![(b"ab".to_vec(), 0, true), (vec![], 3, true), (b"c".to_vec(), 4, false)];
        assert_eq!(lines_of(b"ab\n\nc", 100), expected);
        assert_eq!(lines_of(b"", 100), vec![]);
    }

    #[test]
    fn lines_across_chunks_are_whole() {
        let long = vec![b'x'; CHUNK_BYTES * 2 + 7];
        let text = [&b"a\n"[..], &long, b"\nb\n"].concat();
        let found = lines_of(&text, CHUNK_BYTES * 3);
        assert_eq!(found.len(), 3);
        assert_eq!(found[1], (long, 2, true));
        assert_eq!(found[2].0, b"b");
    }

    #[test]
    fn endless_lines_are_cut_off() {
        let found = lines_of(&vec![b'x'; CHUNK_BYTES * 6], 10);
        assert!(!found[0].2);
        assert!(found[0].0.len() <= CHUNK_BYTES * 2);
    }
}
