//! What stands in one record: the ledger puts the span in front of the caller's members, so that it can find open intents
//! again without knowing the caller's format, and writes a few records of its own.

use bailiwick_model::id::EventId;
use bailiwick_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::chain::{Hash, Link, WriterId, hex, unhex};
use super::merkle::Range;

/// Longest record an entry may become. Entries hold digests, not values, so that one is some hundred bytes.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// What an entry is to the call it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// Before an effect; waits for its outcome.
    Intent(EventId),
    /// After the effect; closes the intent of the same id.
    Outcome(EventId),
    /// The only entry of a call (read-only calls, refusals).
    Single(EventId),
    /// Anything that is no call: logins, keys, configuration, reads of the ledger.
    Event(EventId),
}

impl Span {
    /// The word in the record.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Intent(_) => "intent",
            Self::Outcome(_) => "outcome",
            Self::Single(_) => "single",
            Self::Event(_) => "event",
        }
    }

    /// The id shared by the entries of one call.
    #[must_use]
    pub const fn id(self) -> EventId {
        match self {
            Self::Intent(id) | Self::Outcome(id) | Self::Single(id) | Self::Event(id) => id,
        }
    }

    /// Reads the span of a record; `None` for the ledger's own records and for foreign bytes.
    #[must_use]
    pub fn of(record: &[u8]) -> Option<Self> {
        let rest = record.strip_prefix(SPAN)?;
        let end = rest.iter().take(8).position(|b| *b == b'"')?;
        let id = rest[end..].strip_prefix(EVENT_ID)?.get(..32)?;
        let id = EventId::parse(std::str::from_utf8(id).ok()?).ok()?;
        match &rest[..end] {
            b"intent" => Some(Self::Intent(id)),
            b"outcome" => Some(Self::Outcome(id)),
            b"single" => Some(Self::Single(id)),
            b"event" => Some(Self::Event(id)),
            _ => None,
        }
    }
}

const SPAN: &[u8] = b"{\"span\":\"";
const EVENT_ID: &[u8] = b"\",\"event_id\":\"";
/// How every begin record starts, and no other.
pub(crate) const BEGIN: &[u8] = b"{\"span\":\"ledger\",\"event\":\"begin\",";

/// Why `body` cannot be an entry: it must be one JSON object on one line, with no members named `span` or `event_id`
/// (the ledger adds them; that last rule is the caller's to keep).
pub(crate) fn refusal(body: &[u8]) -> Option<&'static str> {
    if body.len() > RECORD_BYTES_MAX - 128 {
        return Some("the entry is larger than 1 MiB");
    }
    if !(body.starts_with(b"{") && body.ends_with(b"}")) {
        return Some("the entry is not a JSON object");
    }
    // JSON text escapes every control character inside strings; one that is not escaped could forge a line.
    if body.iter().any(|b| *b < 0x20) {
        return Some("the entry holds a control character");
    }
    std::str::from_utf8(body).is_err().then_some("the entry is not UTF-8")
}

/// Appends the record of `span` and `body` (checked by [`refusal`]) to `out`.
pub(crate) fn put(out: &mut Vec<u8>, span: Span, body: &[u8]) {
    out.extend_from_slice(SPAN);
    out.extend_from_slice(span.word().as_bytes());
    out.extend_from_slice(EVENT_ID);
    let mut id = [0; 32];
    data_encoding::HEXLOWER.encode_mut(span.id().as_bytes(), &mut id);
    out.extend_from_slice(&id);
    out.extend_from_slice(if body == b"{}" { b"\"" } else { b"\"," });
    out.extend_from_slice(&body[1..]);
}

/// Body of the outcome that closes an intent whose process died.
pub(crate) fn indeterminate(at: Timestamp) -> Vec<u8> {
    let at = at.as_micros();
    format!("{{\"at\":{at},\"status\":\"indeterminate\",\"reason\":\"the process ended before an outcome was recorded\"}}").into_bytes()
}

/// The ledger's own record at the start of every epoch and of every segment. It repeats the state of the chain before it, so
/// that the last segment alone is enough to continue, and every segment can be checked against the one before.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Begin {
    span: Ledger,
    event: BeginWord,
    pub(crate) origin: String,
    pub(crate) writer: String,
    pub(crate) epoch: u64,
    /// Number of this record.
    pub(crate) seq: u64,
    pub(crate) prev: String,
    /// Subtree roots of the Merkle tree over the records before this one.
    pub(crate) tree: Vec<String>,
    /// Intents that wait for their outcome.
    pub(crate) open: Vec<String>,
    pub(crate) at: i64,
    /// Bytes of an interrupted write that were cut off before this epoch.
    pub(crate) cut_bytes: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Ledger {
    #[serde(rename = "ledger")]
    Ledger,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
enum BeginWord {
    #[serde(rename = "begin")]
    Begin,
}

impl Begin {
    /// `link` and `tree` before this record, with the epoch that it begins or continues.
    pub(crate) fn new<'a>(
        origin: &str,
        link: &Link,
        tree: &Range,
        open: impl Iterator<Item = &'a EventId>,
        at: Timestamp,
        cut_bytes: u64,
    ) -> Self {
        let mut open: Vec<String> = open.map(ToString::to_string).collect();
        open.sort_unstable();
        Self {
            span: Ledger::Ledger,
            event: BeginWord::Begin,
            origin: origin.to_owned(),
            writer: link.writer.to_string(),
            epoch: link.epoch,
            seq: link.seq + 1,
            prev: hex(&link.head),
            tree: tree.nodes().iter().map(hex).collect(),
            open,
            at: at.as_micros(),
            cut_bytes,
        }
    }

    /// Reads a record; `None` when it is of another kind or not exactly as the ledger writes it.
    pub(crate) fn read(record: &[u8]) -> Option<Self> {
        if !record.starts_with(BEGIN) {
            return None;
        }
        serde_json::from_slice(record).ok()
    }

    /// The chain and the tree as they were before this record; `None` when the members contradict each other.
    pub(crate) fn state(&self) -> Option<(Link, Range)> {
        let writer = WriterId::parse(&self.writer)?;
        let seq = self.seq.checked_sub(1)?;
        let nodes: Option<Vec<Hash>> = self.tree.iter().map(|n| unhex(n.as_bytes())).collect();
        let link = Link { writer, epoch: self.epoch, seq, head: unhex(self.prev.as_bytes())? };
        Some((link, Range::from_parts(seq, nodes?)?))
    }

    pub(crate) fn to_record(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Record written when the ledger works again after it could not record.
pub(crate) fn resumed(at: Timestamp, since: Timestamp, reason: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Resumed<'a> {
        span: Ledger,
        event: &'static str,
        at: i64,
        unavailable_since: i64,
        reason: &'a str,
    }
    let record = Resumed { span: Ledger::Ledger, event: "resumed", at: at.as_micros(), unavailable_since: since.as_micros(), reason };
    serde_json::to_vec(&record).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> EventId {
        EventId::parse(&format!("{byte:02x}").repeat(16)).unwrap()
    }

    #[test]
    fn spans_round_trip_and_the_record_is_json() {
        for span in [Span::Intent(id(1)), Span::Outcome(id(2)), Span::Single(id(3)), Span::Event(id(4))] {
            for body in [&b"{}"[..], br#"{"tool":"x","n":1}"#] {
                let mut record = Vec::new();
                put(&mut record, span, body);
                assert_eq!(Span::of(&record), Some(span));
                let value: serde_json::Value = serde_json::from_slice(&record).unwrap();
                assert_eq!(value["event_id"], span.id().to_string());
                assert!(!record.starts_with(BEGIN));
            }
        }
        assert_eq!(Span::of(b"{\"span\":\"inte"), None);
        assert_eq!(Span::of(br#"{"span":"ledger","event":"begin"}"#), None);
    }

    #[test]
    fn hostile_entries_are_refused() {
        for bad in [&b""[..], b"{", b"[]", b"{}\n{}", b"{\"a\":\"\x1b\"}", b"{\"a\":\"\xFF\"}", &vec![b'{'; RECORD_BYTES_MAX]] {
            assert!(refusal(bad).is_some(), "{:?}", &bad[..bad.len().min(20)]);
        }
        assert_eq!(refusal(br#"{"a":1}"#), None);
    }

    #[test]
    fn begin_repeats_the_state() {
        let mut link = Link::genesis(WriterId::numbered(3));
        let mut tree = Range::new();
        for n in 0..5 {
            link.advance([n; 32]);
            tree.push([n; 32]);
        }
        link.epoch = 4;
        let begin = Begin::new("o", &link, &tree, [id(9)].iter(), Timestamp::from_micros(0), 0);
        let read = Begin::read(&begin.to_record()).unwrap();
        assert_eq!(read, begin);
        assert_eq!(read.state(), Some((link, tree)));
        assert_eq!(Begin::read(b"{\"span\":\"ledger\",\"event\":\"begin\",\"x\":1}"), None);
        assert!(begin.to_record().starts_with(BEGIN));
    }
}
