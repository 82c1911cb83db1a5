//! The id of a request that cannot be read: too long to be kept, or with characters that are none.
//!
//! Over a pipe a caller can match a refusal to its request by the id only. So the outermost members are looked through without holding the
//! text against the rules of JSON: strings are skipped whatever is in them, brackets are counted. Nothing but the id comes out of it.

use bytes::Bytes;

use crate::json::{Json, Limits};
use crate::message::{ID_BYTES_MAX, Id};

/// Longest spelling of an id: every byte as an escape, and the quotes.
const SPELLING_BYTES_MAX: usize = 6 * ID_BYTES_MAX + 2;
/// Member names are kept so far; those that are looked for are shorter.
const NAME_BYTES_MAX: usize = 8;

/// Where in the text the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    Name,
    InName,
    Colon,
    Value,
    End,
    /// This is no object.
    Lost,
}

/// Looks through a text that comes in pieces.
#[derive(Debug)]
pub(crate) struct RequestId {
    at: At,
    name: Vec<u8>,
    value: Vec<u8>,
    depth: u32,
    in_string: bool,
    escaped: bool,
    id: Option<Id>,
    has_method: bool,
}

impl RequestId {
    pub(crate) const fn new() -> Self {
        Self { at: At::Start, name: Vec::new(), value: Vec::new(), depth: 0, in_string: false, escaped: false, id: None, has_method: false }
    }

    /// The id of the request that `text` is as far as its brackets and quotes go.
    pub(crate) fn of(text: &[u8]) -> Option<Id> {
        let mut scan = Self::new();
        scan.push(text);
        if scan.at == At::End { scan.found() } else { None }
    }

    /// Goes on with `text`.
    pub(crate) fn push(&mut self, text: &[u8]) {
        for byte in text {
            if self.at == At::Lost {
                return;
            }
            self.at = self.step(*byte);
        }
    }

    /// Whether more text will change nothing.
    pub(crate) const fn is_settled(&self) -> bool {
        matches!(self.at, At::Lost) || self.id.is_some() && self.has_method
    }

    /// The id, when it was read and the message is a request: an answer has an id of another kind.
    pub(crate) fn found(&self) -> Option<Id> {
        self.id.clone().filter(|_| self.has_method)
    }

    fn step(&mut self, byte: u8) -> At {
        match (self.at, byte) {
            (At::Value, _) => self.in_value(byte),
            (At::InName, _) => self.in_name(byte),
            (at, b' ' | b'\t' | b'\r' | b'\n') | (at @ At::Name, b',') => at,
            (At::Start, b'{') => At::Name,
            (At::Name, b'"') => {
                self.name.clear();
                At::InName
            }
            (At::Name, b'}') => At::End,
            (At::Colon, b':') => {
                self.value.clear();
                At::Value
            }
            _ => At::Lost,
        }
    }

    fn in_name(&mut self, byte: u8) -> At {
        if !self.escaped && byte == b'"' {
            return At::Colon;
        }
        self.escaped = !self.escaped && byte == b'\\';
        if self.name.len() < NAME_BYTES_MAX {
            self.name.push(byte);
        }
        At::InName
    }

    fn in_value(&mut self, byte: u8) -> At {
        if self.in_string {
            self.in_string = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
        } else {
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b',' if self.depth == 0 => return self.member(At::Name),
                b'}' if self.depth == 0 => return self.member(At::End),
                b']' if self.depth == 0 => return At::Lost,
                b'}' | b']' => self.depth -= 1,
                _ => {}
            }
        }
        if self.name == b"id" && self.value.len() <= SPELLING_BYTES_MAX {
            self.value.push(byte);
        }
        At::Value
    }

    /// A member is complete.
    fn member(&mut self, next: At) -> At {
        match self.name.as_slice() {
            b"method" => self.has_method = true,
            b"id" if self.id.is_none() => {
                let value = Json::check(Bytes::copy_from_slice(&self.value), &Limits::REQUEST);
                self.id = value.ok().as_ref().and_then(Id::read);
            }
            _ => {}
        }
        next
    }
}
