//! Checks a chain record by record. Used when a writer is taken up again and by `verify`.

use super::chain::{Hash, Link, PREFIX_BYTES, unhex};
use super::merkle::Range;
use super::record::{Begin, RECORD_BYTES_MAX};

/// Longest line of a segment, without its newline.
pub(crate) const LINE_BYTES_MAX: usize = PREFIX_BYTES + RECORD_BYTES_MAX;

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// The line is not a hash, a space and a record.
    Malformed,
    /// The hash is not the one of this record at this place.
    Hash,
    /// The first record of a chain or segment does not begin it.
    NoBegin,
    /// A begin record contradicts the records before it: some are missing or were added.
    Sequence,
    /// A begin record goes back to an earlier epoch.
    Epoch,
    /// A begin record names another ledger.
    Origin,
}

/// The state behind the last good record.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    pub(crate) link: Link,
    pub(crate) tree: Range,
    /// Known after the first begin record.
    pub(crate) origin: Option<String>,
}

impl Follower {
    pub(crate) const fn from_state(link: Link, tree: Range) -> Self {
        Self { link, tree, origin: None }
    }

    /// Checks one line (without newline) and moves behind it. The bytes before the record are overwritten.
    pub(crate) fn line(&mut self, line: &mut [u8]) -> Result<(), Flaw> {
        let hash = split(line).ok_or(Flaw::Malformed)?;
        self.record(hash, line)
    }

    /// Checks the record behind the first [`PREFIX_BYTES`] bytes of `slot`, which are overwritten, and moves behind it.
    pub(crate) fn record(&mut self, hash: Hash, slot: &mut [u8]) -> Result<(), Flaw> {
        if let Some(begin) = Begin::read(&slot[PREFIX_BYTES..]) {
            return self.begin(&begin, hash, slot);
        }
        if self.link.epoch == 0 {
            return Err(Flaw::NoBegin);
        }
        if self.link.hash_in_place(slot) != hash {
            return Err(Flaw::Hash);
        }
        self.advance(hash);
        Ok(())
    }

    fn begin(&mut self, begin: &Begin, hash: Hash, slot: &mut [u8]) -> Result<(), Flaw> {
        // The hash first: a damaged byte inside a begin record is damage, not a statement about order.
        let own = Link { epoch: begin.epoch, ..self.link };
        let (link, tree) = begin.state().ok_or(Flaw::Hash)?;
        if link.hash_in_place(slot) != hash {
            return Err(Flaw::Hash);
        }
        if (link.writer, link.seq, link.head) != (own.writer, own.seq, own.head) || tree != self.tree {
            return Err(Flaw::Sequence);
        }
        if begin.epoch < self.link.epoch || begin.epoch == 0 {
            return Err(Flaw::Epoch);
        }
        if self.origin.as_ref().is_some_and(|o| *o != begin.origin) {
            return Err(Flaw::Origin);
        }
        self.origin.get_or_insert_with(|| begin.origin.clone());
        self.link = own;
        self.advance(hash);
        Ok(())
    }

    fn advance(&mut self, hash: Hash) {
        self.link.advance(hash);
        self.tree.push(hash);
    }
}

/// The hash of a line that has the right shape.
pub(crate) fn split(line: &[u8]) -> Option<Hash> {
    let (digits, rest) = line.split_at_checked(PREFIX_BYTES - 1)?;
    (rest.first() == Some(&b' ')).then_some(())?;
    unhex(digits)
}

#[cfg(test)]
mod tests {
    use bailiwick_model::time::Timestamp;

    use super::*;
    use crate::ledger::chain::{WriterId, hex};

    fn line(link: &Link, record: &[u8]) -> Vec<u8> {
        let mut slot = vec![0; PREFIX_BYTES];
        slot.extend_from_slice(record);
        let hash = link.hash_in_place(&mut slot);
        slot[..64].copy_from_slice(hex(&hash).as_bytes());
        slot[64] = b' ';
        slot
    }

    fn begun() -> (Follower, Vec<u8>) {
        let genesis = Link::genesis(WriterId::numbered(1));
        let link = Link { epoch: 1, ..genesis };
        let begin = Begin::new("o", &link, &Range::new(), [].iter(), Timestamp::from_micros(0), 0);
        (Follower::from_state(genesis, Range::new()), line(&link, &begin.to_record()))
    }

    #[test]
    fn a_chain_starts_with_a_begin_record() {
        let (mut follower, mut first) = begun();
        let mut other = line(&follower.link, b"{}");
        assert_eq!(follower.line(&mut other), Err(Flaw::NoBegin));
        assert_eq!(follower.line(&mut first), Ok(()));
        let mut next = line(&follower.link, b"{}");
        assert_eq!(follower.clone().line(&mut next.clone()), Ok(()));
        assert_eq!(follower.line(&mut next[..40]), Err(Flaw::Malformed));
    }

    #[test]
    fn contradictions_of_a_begin_record_are_told_apart() {
        let (mut follower, mut first) = begun();
        follower.line(&mut first).unwrap();
        let begin = |link: Link, tree: &Range, origin: &str| {
            line(&link, &Begin::new(origin, &link, tree, [].iter(), Timestamp::from_micros(0), 0).to_record())
        };
        let good = Link { epoch: 2, ..follower.link };
        let cases = [
            (begin(good, &follower.tree, "o"), Ok(())),
            (begin(follower.link, &follower.tree, "o"), Ok(())),
            (begin(Link { epoch: 0, ..good }, &follower.tree, "o"), Err(Flaw::Epoch)),
            (begin(good, &follower.tree, "p"), Err(Flaw::Origin)),
            (begin(Link { head: [1; 32], ..good }, &follower.tree, "o"), Err(Flaw::Sequence)),
            (begin(good, &Range::from_parts(1, vec![[1; 32]]).unwrap(), "o"), Err(Flaw::Sequence)),
        ];
        for (mut line, expected) in cases {
            assert_eq!(follower.clone().line(&mut line), expected);
        }
    }
}
