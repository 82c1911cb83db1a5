//! Signed statements of what a chain was: C2SP `tlog-checkpoint` text in a C2SP `signed-note` with an Ed25519 signature.
//!
//! ```text
//! bailiwick.example/7f3c/w-0001
//! 1000
//! <Merkle root, base64>
//! time 2026-07-28T09:30:00.000000Z
//!
//! — bailiwick.example/7f3c <key id and signature, base64>
//! ```
//!
//! Each writer's chain is a log of its own; its origin is the ledger's origin, a slash and the writer. The `time` line is one
//! of the extension lines that `tlog-checkpoint` allows. Files of checkpoints hold notes one after the other, each followed by
//! an empty line, and are only ever appended to.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use bailiwick_model::time::Timestamp;
use data_encoding::{BASE64, HEXLOWER};

use super::chain::{Hash, WriterId, sha256};
use crate::sealed_keys::CheckpointKey;

/// A checkpoint is written when this many records lie behind the last one.
pub const CHECKPOINT_RECORDS: u64 = 1_000;

/// A checkpoint is written when records lie behind the last one and it is this old.
pub const CHECKPOINT_AGE_SECONDS: u64 = 60;

/// Longest note that is read.
pub const NOTE_BYTES_MAX: usize = 1024;

/// Longest origin, so that every note stays below [`NOTE_BYTES_MAX`].
pub const ORIGIN_BYTES_MAX: usize = 128;

/// Signature type byte of Ed25519 in signed notes.
const ED25519_TYPE: u8 = 1;

/// Whether `origin` can name a ledger: 1 to 128 of `A-Z a-z 0-9 . - _ /`.
#[must_use]
pub fn is_origin(origin: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_/".contains(&b);
    !origin.is_empty() && origin.len() <= ORIGIN_BYTES_MAX && origin.bytes().all(plain)
}

/// What a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The ledger.
    pub origin: String,
    /// The chain inside it.
    pub writer: WriterId,
    /// Number of records covered.
    pub size: u64,
    /// Merkle root over them.
    pub root: Hash,
    /// When it was signed, as text of `Timestamp`.
    pub at: String,
}

impl Checkpoint {
    /// The signed text, ending in a newline.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}/{}\n{}\n{}\ntime {}\n", self.origin, self.writer, self.size, BASE64.encode(&self.root), self.at)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, writer) = lines.next()?.rsplit_once('/')?;
        let size = lines.next()?.parse().ok()?;
        let root = BASE64.decode(lines.next()?.as_bytes()).ok()?.try_into().ok()?;
        let at = lines.next()?.strip_prefix("time ")?.to_owned();
        let checkpoint = Self { origin: origin.to_owned(), writer: WriterId::parse(writer)?, size, root, at };
        // Rendering again catches every other spelling of the same values (`+7`, `007`, a fifth line).
        (is_origin(origin) && checkpoint.text() == text).then_some(checkpoint)
    }
}

/// A checkpoint and its signature, not yet verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The signed statement.
    pub checkpoint: Checkpoint,
    key_name: String,
    key_id: [u8; 4],
    signature: Vec<u8>,
}

impl Note {
    /// Reads exactly one note.
    #[must_use]
    pub fn parse(note: &str) -> Option<Self> {
        if note.len() > NOTE_BYTES_MAX {
            return None;
        }
        let (text, signature_line) = note.split_once("\n\n")?;
        let checkpoint = Checkpoint::parse(&format!("{text}\n"))?;
        let (key_name, encoded) = signature_line.strip_prefix("\u{2014} ")?.strip_suffix('\n')?.split_once(' ')?;
        let bytes = BASE64.decode(encoded.as_bytes()).ok()?;
        let (key_id, signature) = bytes.split_at_checked(4)?;
        let note_read = Self { checkpoint, key_name: key_name.to_owned(), key_id: key_id.try_into().ok()?, signature: signature.to_vec() };
        (note_read.to_string() == note).then_some(note_read)
    }

    /// Whether one of `keys` signed this note.
    #[must_use]
    pub fn verify(&self, keys: &[VerifierKey]) -> SignatureCheck {
        let text = self.checkpoint.text();
        let mut known = keys.iter().filter(|k| k.id() == self.key_id && k.name == self.key_name).peekable();
        if known.peek().is_none() {
            return SignatureCheck::UnknownKey;
        }
        match known.any(|k| UnparsedPublicKey::new(&ED25519, &k.public).verify(text.as_bytes(), &self.signature).is_ok()) {
            true => SignatureCheck::Good,
            false => SignatureCheck::Bad,
        }
    }
}

/// Outcome of [`Note::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureCheck {
    /// Signed by a given key.
    Good,
    /// Names a given key, but the signature does not fit.
    Bad,
    /// Signed by a key that was not given.
    UnknownKey,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signature = BASE64.encode(&[&self.key_id, &self.signature[..]].concat());
        write!(f, "{}\n\u{2014} {} {signature}\n", self.checkpoint.text(), self.key_name)
    }
}

/// Splits a file of notes; each item is a note with its byte offset, or the offset of the first byte that belongs to none.
pub fn split_notes(file: &str) -> impl Iterator<Item = Result<(u64, Note), u64>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &file[at..];
        if rest.is_empty() {
            return None;
        }
        let offset = at as u64;
        // A note has one empty line inside; the second one ends it.
        let end = rest.find("\n\n").and_then(|inner| rest[inner + 2..].find("\n\n").map(|outer| inner + outer + 4));
        let note = end.and_then(|end| Note::parse(&rest[..end - 1]));
        at = if note.is_some() { at + end.unwrap_or(rest.len()) } else { file.len() };
        Some(note.map(|n| (offset, n)).ok_or(offset))
    })
}

/// The public half of a signing key, in the form `name+id+key` of C2SP signed notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    public: [u8; 32],
}

impl VerifierKey {
    /// Reads `name+<8 hex digits>+<base64>`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().splitn(3, '+');
        let (name, id, key) = (parts.next()?, parts.next()?, parts.next()?);
        let bytes = BASE64.decode(key.as_bytes()).ok()?;
        let (kind, public) = bytes.split_first()?;
        let read = Self { name: name.to_owned(), public: public.try_into().ok()? };
        (*kind == ED25519_TYPE && is_origin(name) && HEXLOWER.encode(&read.id()) == id).then_some(read)
    }

    /// The name, a short text of the form of an origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> [u8; 4] {
        let hash = sha256(&[self.name.as_bytes(), b"\n", &[ED25519_TYPE], &self.public].concat());
        [hash[0], hash[1], hash[2], hash[3]]
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = BASE64.encode(&[&[ED25519_TYPE], &self.public[..]].concat());
        write!(f, "{}+{}+{key}", self.name, HEXLOWER.encode(&self.id()))
    }
}

/// The private key that signs checkpoints. Has no `Debug`, `Display` or `Clone`.
pub struct SigningKey {
    pair: Pair,
    verifier: VerifierKey,
}

enum Pair {
    Own(Ed25519KeyPair),
    Sealed(CheckpointKey),
}

/// Why a signing key cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidKey;

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the ledger's signing key or its name cannot be used")
    }
}

impl std::error::Error for InvalidKey {}

impl SigningKey {
    /// The key named `name` (an origin) with the secret `seed`.
    ///
    /// # Errors
    /// [`InvalidKey`] when the name is no origin.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, InvalidKey> {
        if !is_origin(name) {
            return Err(InvalidKey);
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| InvalidKey)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| InvalidKey)?;
        Ok(Self { pair: Pair::Own(pair), verifier: VerifierKey { name: name.to_owned(), public } })
    }

    /// The store's sealed key, named after its public half: `bailiwick/<16 hex digits>`.
    #[must_use]
    pub fn sealed(key: CheckpointKey) -> Self {
        let public = key.public_key();
        let name = format!("bailiwick/{}", HEXLOWER.encode(&sha256(&public)[..8]));
        Self { pair: Pair::Sealed(key), verifier: VerifierKey { name, public } }
    }

    /// The public half.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs `checkpoint`; `None` when the library fails, in which case the next one is due at once.
    #[must_use]
    pub fn sign(&self, checkpoint: Checkpoint) -> Option<Note> {
        let text = checkpoint.text();
        let signature = match &self.pair {
            Pair::Own(pair) => pair.try_sign(text.as_bytes()).ok()?.as_ref().to_vec(),
            Pair::Sealed(key) => key.sign(text.as_bytes()).to_vec(),
        };
        Some(Note { checkpoint, key_name: self.verifier.name.clone(), key_id: self.verifier.id(), signature })
    }
}

/// A checkpoint over `size` records with `root`, signed now.
pub(crate) fn make(key: &SigningKey, origin: &str, writer: WriterId, size: u64, root: Hash, at: Timestamp) -> Option<Note> {
    key.sign(Checkpoint { origin: origin.to_owned(), writer, size, root, at: at.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_seed("ledger.example", &[7; 32]).unwrap()
    }

    fn note(size: u64) -> Note {
        make(&key(), "ledger.example/a", WriterId::numbered(1), size, [5; 32], Timestamp::from_micros(0)).unwrap()
    }

    /// The key and the signed message in the documentation of Go's `sumdb/note`, the origin of the format.
    #[test]
    fn keys_and_signatures_agree_with_another_implementation() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key = VerifierKey::parse(text).unwrap();
        assert_eq!(key.to_string(), text);
        let message = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
        let line = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let signature = BASE64.decode(line.as_bytes()).unwrap();
        assert_eq!(signature[..4], key.id());
        UnparsedPublicKey::new(&ED25519, &key.public).verify(message.as_bytes(), &signature[4..]).unwrap();
    }

    #[test]
    fn a_key_with_another_name_is_another_key() {
        let own = key().verifier().to_string();
        assert_eq!(VerifierKey::parse(&own).as_ref(), Some(key().verifier()));
        assert_eq!(VerifierKey::parse(&own.replace("ledger.example+", "ledger.exampl3+")), None);
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let text = note(1000).to_string();
        let keys = [key().verifier().clone()];
        assert_eq!(Note::parse(&text).unwrap().verify(&keys), SignatureCheck::Good);
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                let verdict = Note::parse(&changed).map(|n| n.verify(&keys));
                assert_ne!(verdict, Some(SignatureCheck::Good), "byte {at} bit {bit}: {changed}");
            }
        }
    }

    #[test]
    fn files_of_notes_are_split() {
        let file = format!("{}\n{}\n", note(1), note(2));
        let sizes: Vec<_> = split_notes(&file).map(|n| n.unwrap().1.checkpoint.size).collect();
        assert_eq!(sizes, [1, 2]);
        let torn = &file[..file.len() - 10];
        let last = split_notes(torn).last().unwrap();
        assert_eq!(last, Err(note(1).to_string().len() as u64 + 1));
    }

    #[test]
    fn another_key_is_named_as_such() {
        let other = SigningKey::from_seed("ledger.example", &[8; 32]).unwrap();
        assert_eq!(note(1).verify(&[other.verifier().clone()]), SignatureCheck::UnknownKey);
    }
}
