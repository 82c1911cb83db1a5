//! The strict check: one pass over the text, no recursion, every limit enforced where it is crossed.

use super::Limits;
use super::fault::{Fault, FaultKind};
use super::index::{DEPTH_MAX, Notes};
use super::names::Names;
use super::scan::{is_space, plain_run};
use super::text::escape_at;

/// What the check found besides "valid".
#[derive(Clone, Copy)]
pub(super) struct Extent {
    /// The value without the white space around it.
    pub(super) start: usize,
    pub(super) end: usize,
    /// White space in the text holds line breaks.
    pub(super) broken_lines: bool,
}

struct Frame {
    object: bool,
    /// Members of this object go into the notes.
    noted: bool,
    /// Where the names of this object begin, see [`Names`].
    names: usize,
}

struct Checker<'a, 'n> {
    text: &'a [u8],
    at: usize,
    limits: Limits,
    tokens: u32,
    frames: Vec<Frame>,
    names: Names<'a>,
    notes: &'n mut Notes,
    broken_lines: bool,
}

/// Frames reserved at once; deeper nesting grows the list up to the depth limit.
const FRAMES_FIRST: usize = 16;

/// Checks `text`. The notes are filled as far as the check came, also when it fails.
pub(super) fn run(text: &[u8], limits: &Limits, notes: &mut Notes) -> Result<Extent, Fault> {
    // Offsets are kept in 32 bits.
    let bytes_max = limits.bytes_max.min(u32::MAX as usize);
    if text.len() > bytes_max {
        return Err(Fault { kind: FaultKind::Size, at: bytes_max });
    }
    let frames = Vec::with_capacity(FRAMES_FIRST);
    let mut checker = Checker { text, at: 0, limits: *limits, tokens: 0, frames, names: Names::new(text), notes, broken_lines: false };
    checker.document()
}

impl<'a> Checker<'a, '_> {
    fn document(&mut self) -> Result<Extent, Fault> {
        self.space();
        let start = self.at;
        self.notes.begin(start, self.peek() == Some(b'{'));
        self.value(true)?;
        while !self.frames.is_empty() {
            self.step()?;
        }
        let end = self.at;
        self.notes.end(end);
        self.space();
        if self.at < self.text.len() {
            return self.fail(FaultKind::Syntax);
        }
        Ok(Extent { start, end, broken_lines: self.broken_lines })
    }

    /// Behind a value inside a container: the next member or element, or the end of the container.
    fn step(&mut self) -> Result<(), Fault> {
        let (object, noted) = match self.frames.last() {
            Some(frame) => (frame.object, frame.noted),
            None => return Ok(()),
        };
        self.space();
        match (self.peek(), object) {
            (Some(b','), true) => {
                self.at += 1;
                self.space();
                let noted = self.member_name(noted)?;
                self.value(noted)
            }
            (Some(b','), false) => {
                self.at += 1;
                self.space();
                self.value(false)
            }
            (Some(b'}'), true) | (Some(b']'), false) => {
                self.close();
                Ok(())
            }
            _ => self.fail(FaultKind::Syntax),
        }
    }

    fn close(&mut self) {
        self.at += 1;
        if let Some(frame) = self.frames.pop()
            && frame.object
        {
            self.names.close(frame.names);
        }
        if !self.frames.is_empty() {
            self.value_ended();
        }
    }

    /// Tells the notes that the value of a noted member is complete.
    fn value_ended(&mut self) {
        if self.frames.last().is_some_and(|frame| frame.noted) {
            self.notes.end(self.at);
        }
    }

    /// One name and its colon; leaves the check before the value and tells whether that value is noted.
    fn member_name(&mut self, noted: bool) -> Result<bool, Fault> {
        if self.peek() != Some(b'"') {
            return self.fail(FaultKind::Syntax);
        }
        self.token()?;
        let open = self.at;
        let escaped = self.string()?;
        let name = (open + 1, self.at - 1);
        let mark = self.frames.last().map_or(0, |frame| frame.names);
        if !self.names.insert(mark, name.0, name.1, escaped) {
            return Err(Fault { kind: FaultKind::Duplicate, at: open });
        }
        self.space();
        if self.peek() != Some(b':') {
            return self.fail(FaultKind::Syntax);
        }
        self.at += 1;
        self.space();
        Ok(noted && self.note(name))
    }

    fn note(&mut self, name: (usize, usize)) -> bool {
        let noted = self.notes.member(name, self.at, self.peek() == Some(b'{'));
        if !noted && let Some(frame) = self.frames.last_mut() {
            frame.noted = false;
        }
        noted
    }

    /// A whole scalar; or the openings of containers up to the first scalar or empty container inside them.
    fn value(&mut self, mut noted: bool) -> Result<(), Fault> {
        loop {
            self.token()?;
            match self.peek() {
                Some(b'"') => self.string().map(|_| ())?,
                Some(b'{') => {
                    noted = noted && self.frames.len() < DEPTH_MAX;
                    self.open(true, noted)?;
                    if self.peek() == Some(b'}') {
                        self.close();
                        return Ok(());
                    }
                    noted = self.member_name(noted)?;
                    continue;
                }
                Some(b'[') => {
                    self.open(false, false)?;
                    noted = false;
                    if self.peek() == Some(b']') {
                        self.close();
                        return Ok(());
                    }
                    continue;
                }
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                _ => return self.fail(FaultKind::Syntax),
            }
            self.value_ended();
            return Ok(());
        }
    }

    fn open(&mut self, object: bool, noted: bool) -> Result<(), Fault> {
        if self.frames.len() >= self.limits.depth_max as usize {
            return self.fail(FaultKind::Depth);
        }
        let names = if object { self.names.open() } else { 0 };
        self.frames.push(Frame { object, noted, names });
        self.at += 1;
        self.space();
        Ok(())
    }

    fn token(&mut self) -> Result<(), Fault> {
        if self.tokens >= self.limits.tokens_max {
            return self.fail(FaultKind::Tokens);
        }
        self.tokens += 1;
        Ok(())
    }

    /// Moves over the string that opens here; true when it holds escapes.
    fn string(&mut self) -> Result<bool, Fault> {
        let start = self.at + 1;
        let (mut at, mut escaped, mut wide) = (start, false, false);
        loop {
            let run = plain_run(self.text, at);
            wide |= run.maybe_wide;
            at = run.end;
            match self.text.get(at) {
                Some(b'"') => break,
                Some(b'\\') => match escape_at(self.text, at) {
                    Some((_, behind)) => {
                        at = behind;
                        escaped = true;
                    }
                    None => return Err(Fault { kind: FaultKind::Syntax, at }),
                },
                _ => return Err(Fault { kind: FaultKind::Syntax, at }),
            }
        }
        if wide && let Err(error) = std::str::from_utf8(self.text.get(start..at).unwrap_or_default()) {
            return Err(Fault { kind: FaultKind::Utf8, at: start + error.valid_up_to() });
        }
        self.at = at + 1;
        Ok(escaped)
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Fault> {
        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return self.fail(FaultKind::Syntax);
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        // `01`, `1x` and `1.` end up here or in `digits`; anything else behind a number is the container's affair.
        match self.peek() {
            Some(b'0'..=b'9' | b'.' | b'+' | b'-' | b'a'..=b'z' | b'A'..=b'Z') => self.fail(FaultKind::Number),
            _ => Ok(()),
        }
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { self.fail(FaultKind::Number) } else { Ok(()) }
    }

    fn space(&mut self) {
        while let Some(byte) = self.peek().filter(|byte| is_space(*byte)) {
            self.broken_lines |= byte == b'\n' || byte == b'\r';
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn fail<T>(&self, kind: FaultKind) -> Result<T, Fault> {
        Err(Fault { kind, at: self.at })
    }
}
