//! Event ids: which stream, and where in it.

use std::fmt;

use bailiwick_model::time::Random;

/// The name of a stream. Unpredictable, so that no two of a session meet, whichever replica or start they are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StreamName {
    kind: Kind,
    number: u64,
}

/// What opened a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A request by POST.
    Call,
    /// GET: what belongs to no request.
    Standing,
}

/// A place in a stream, `c0123456789abcdef-7`: what the client has as the id of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) stream: StreamName,
    pub(crate) position: u64,
}

impl StreamName {
    pub(super) fn fresh(kind: Kind, random: &dyn Random) -> Self {
        let mut bytes = [0; 8];
        random.fill(&mut bytes);
        Self { kind, number: u64::from_be_bytes(bytes) }
    }

    pub(crate) fn kind(self) -> Kind {
        self.kind
    }

    /// The id of the event at this position.
    pub(super) fn at(self, position: u64) -> String {
        Cursor { stream: self, position }.to_string()
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.stream.kind {
            Kind::Call => 'c',
            Kind::Standing => 'g',
        };
        write!(f, "{kind}{:016x}-{}", self.stream.number, self.position)
    }
}

impl Cursor {
    /// `None` for what is not an id of ours, letter by letter.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, position) = text.split_once('-')?;
        let kind = match name.get(..1)? {
            "c" => Kind::Call,
            "g" => Kind::Standing,
            _ => return None,
        };
        let number = u64::from_str_radix(name.get(1..)?, 16).ok()?;
        let cursor = Self { stream: StreamName { kind, number }, position: position.parse().ok()? };
        (cursor.to_string() == text).then_some(cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_printed_is_read() {
        for text in ["c0123456789abcdef-7", "gffffffffffffffff-0", "c0000000000000000-18446744073709551615"] {
            assert_eq!(Cursor::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "c",
            "c-1",
            "7",
            "x0123456789abcdef-7",
            "c0123456789abcdef-07",
            "c0123456789ABCDEF-7",
            "c123-7",
            "c0123456789abcdef--7",
            "é-1",
        ] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }
}
