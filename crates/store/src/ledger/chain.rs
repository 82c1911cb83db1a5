//! The hash chain of one writer: `h = SHA-256(0x00 || writer || epoch || seq || prev || record)` (reference, security section 5).
//!
//! The leading zero byte is RFC 6962's leaf prefix, so a chain hash is at the same time the leaf hash of the Merkle tree over
//! the chain. Numbers are 64-bit big-endian; the writer is its label, padded with zero bytes to sixteen.

use std::fmt;

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;

/// A SHA-256 value.
pub type Hash = [u8; 32];

/// What a chain starts from.
pub const GENESIS: Hash = [0; 32];

/// Bytes hashed before the record: leaf prefix, writer, epoch, seq, previous hash. Exactly as many as the 64 digits and the
/// space that stand before a record in a segment line, which lets both use the same place in a buffer.
pub const PREFIX_BYTES: usize = 65;

/// Longest label of a writer.
pub const WRITER_BYTES_MAX: usize = 16;

/// The label of one writer, e.g. `w-0001`: 1 to 16 of `a-z 0-9 -`. Unique within one ledger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriterId([u8; WRITER_BYTES_MAX]);

impl WriterId {
    /// Reads a label; `None` when it does not follow the rule above.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        let plain = label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if label.is_empty() || label.len() > WRITER_BYTES_MAX || !plain {
            return None;
        }
        let mut bytes = [0; WRITER_BYTES_MAX];
        bytes[..label.len()].copy_from_slice(label.as_bytes());
        Some(Self(bytes))
    }

    /// The label of the `number`th writer, `w-0001` and so on.
    #[must_use]
    pub fn numbered(number: u32) -> Self {
        let mut bytes = [0; WRITER_BYTES_MAX];
        let label = format!("w-{number:04}");
        bytes[..label.len()].copy_from_slice(label.as_bytes());
        Self(bytes)
    }

    /// The label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|b| *b == 0).unwrap_or(WRITER_BYTES_MAX);
        std::str::from_utf8(&self.0[..end]).unwrap_or_default()
    }
}

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a chain stands: the last record and its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whose chain.
    pub writer: WriterId,
    /// Counts the times the writer was taken up; grows, never repeats.
    pub epoch: u64,
    /// Number of the last record, counted from 1 without gaps; 0 before the first.
    pub seq: u64,
    /// Chain hash of the last record; [`GENESIS`] before the first.
    pub head: Hash,
}

impl Link {
    /// A chain without records, before its first epoch.
    #[must_use]
    pub const fn genesis(writer: WriterId) -> Self {
        Self { writer, epoch: 0, seq: 0, head: GENESIS }
    }

    /// The bytes that precede the next record in the hash.
    #[must_use]
    pub fn prefix(&self) -> [u8; PREFIX_BYTES] {
        let mut bytes = [0; PREFIX_BYTES];
        bytes[1..17].copy_from_slice(&self.writer.0);
        bytes[17..25].copy_from_slice(&self.epoch.to_be_bytes());
        bytes[25..33].copy_from_slice(&self.seq.wrapping_add(1).to_be_bytes());
        bytes[33..].copy_from_slice(&self.head);
        bytes
    }

    /// Hash of the next record. `slot` is a buffer whose first [`PREFIX_BYTES`] bytes are free and whose rest is the record;
    /// the free bytes are overwritten. Does not move the chain.
    #[must_use]
    pub fn hash_in_place(&self, slot: &mut [u8]) -> Hash {
        slot[..PREFIX_BYTES].copy_from_slice(&self.prefix());
        sha256(slot)
    }

    /// Moves the chain behind the record whose hash is `hash`.
    pub fn advance(&mut self, hash: Hash) {
        self.seq += 1;
        self.head = hash;
    }
}

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// The 64 lower-case hexadecimal digits of `hash`.
#[must_use]
pub fn hex(hash: &Hash) -> String {
    HEXLOWER.encode(hash)
}

/// Reads 64 lower-case hexadecimal digits; anything else is `None`.
#[must_use]
pub fn unhex(text: &[u8]) -> Option<Hash> {
    let mut hash = [0; 32];
    if text.len() != 64 {
        return None;
    }
    HEXLOWER.decode_mut(text, &mut hash).ok()?;
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_of_the_reference() {
        let link = Link { writer: WriterId::numbered(1), epoch: 2, seq: 6, head: [9; 32] };
        let mut bytes = vec![0];
        bytes.extend_from_slice(b"w-0001\0\0\0\0\0\0\0\0\0\0");
        bytes.extend_from_slice(&2u64.to_be_bytes());
        bytes.extend_from_slice(&7u64.to_be_bytes());
        bytes.extend_from_slice(&[9; 32]);
        bytes.extend_from_slice(b"{\"a\":1}");
        let mut slot = vec![0xFF; PREFIX_BYTES];
        slot.extend_from_slice(b"{\"a\":1}");
        assert_eq!(link.hash_in_place(&mut slot), sha256(&bytes));
    }

    #[test]
    fn labels() {
        assert_eq!(WriterId::numbered(12).as_str(), "w-0012");
        assert_eq!(WriterId::parse("w-0012"), Some(WriterId::numbered(12)));
        for bad in ["", "w_1", "W-1", "a/b", "w-00000000000001x", "w\0"] {
            assert_eq!(WriterId::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn hexadecimal_is_strict() {
        assert_eq!(unhex(hex(&[7; 32]).as_bytes()), Some([7; 32]));
        assert_eq!(unhex(&[b'A'; 64]), None);
        assert_eq!(unhex(&[b'0'; 63]), None);
    }
}
