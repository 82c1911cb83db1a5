//! How a value is sealed (security reference section 4): AES-256-GCM under a key that is used for one value only, which is itself
//! sealed under the organisation's key. The associated data names the place of the value, so that a sealed form that was moved to
//! another row, field or organisation does not open.
//!
//! Stored form: format (1 byte), kind of key (1), key id (8), nonce (12), ciphertext, tag (16).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use bailiwick_model::time::Random;
use zeroize::{Zeroize, Zeroizing};

use crate::error::{StoreError, StoreErrorKind, StoreResult};

/// The only format so far. Anything else is refused, never guessed.
const FORMAT: u8 = 1;
const KEY_ID_BYTES: usize = 8;
const HEADER_BYTES: usize = 2 + KEY_ID_BYTES + NONCE_LEN;
const TAG_BYTES: usize = 16;
const KEY_BYTES: usize = 32;

/// Raw key material or another secret of its size. Wiped when dropped; cannot be printed, copied or serialised.
#[derive(Default)]
pub(crate) struct KeyBytes([u8; KEY_BYTES]);

impl KeyBytes {
    /// Takes a copy of exactly 32 bytes.
    pub(crate) fn copy_of(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(crate) const fn as_slice(&self) -> &[u8] {
        &self.0
    }

    pub(crate) const fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for KeyBytes {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Which kind of key sealed a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum KeyKind {
    Root = 1,
    Platform = 2,
    Tenant = 3,
    Data = 4,
}

/// Names a key inside a stored form. The id of root and data keys is derived or random, that of platform and tenant keys their version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyName {
    pub(crate) kind: KeyKind,
    pub(crate) id: [u8; KEY_ID_BYTES],
}

impl KeyName {
    pub(crate) const fn version(kind: KeyKind, version: i64) -> Self {
        Self { kind, id: version.to_be_bytes() }
    }
}

/// Where a sealed form stands. `tenant` is empty for the platform, which no organisation can be called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) table: &'static str,
    pub(crate) row: &'a str,
    pub(crate) field: &'static str,
    pub(crate) version: i64,
}

/// A key that seals; its bytes are inside the cryptographic library and nowhere else.
pub(crate) struct SealingKey {
    name: KeyName,
    cipher: LessSafeKey,
}

impl SealingKey {
    pub(crate) fn new(name: KeyName, bytes: &KeyBytes) -> StoreResult<Self> {
        let cipher = UnboundKey::new(&AES_256_GCM, bytes.as_slice()).map_err(|_| cipher_fault())?;
        Ok(Self { name, cipher: LessSafeKey::new(cipher) })
    }

    pub(crate) const fn name(&self) -> KeyName {
        self.name
    }

    /// Seals `plain` for `place`. `subject` is the id of the key inside, when the value is a key.
    pub(crate) fn seal(&self, place: &Place<'_>, subject: [u8; KEY_ID_BYTES], plain: &[u8], random: &dyn Random) -> StoreResult<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce);
        let mut form = Vec::with_capacity(HEADER_BYTES + plain.len() + TAG_BYTES);
        form.extend_from_slice(&[FORMAT, self.name.kind as u8]);
        form.extend_from_slice(&self.name.id);
        form.extend_from_slice(&nonce);
        // The capacity is exact, so the plaintext is encrypted in place and never left behind in a freed buffer.
        form.extend_from_slice(plain);
        let aad = Aad::from(associated_data(place, self.name, subject));
        let body = form.get_mut(HEADER_BYTES..).unwrap_or_default();
        let sealed = self.cipher.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, body);
        let Ok(tag) = sealed else {
            form.zeroize();
            return Err(cipher_fault());
        };
        form.extend_from_slice(tag.as_ref());
        Ok(form)
    }

    /// Opens what [`seal`](Self::seal) gave for the same place and subject.
    pub(crate) fn open(&self, place: &Place<'_>, subject: [u8; KEY_ID_BYTES], form: &[u8]) -> StoreResult<Zeroizing<Vec<u8>>> {
        let (name, nonce, body) = split(form).ok_or_else(|| unreadable(place))?;
        if name != self.name {
            return Err(unreadable(place));
        }
        let mut plain = Zeroizing::new(body.to_vec());
        let aad = Aad::from(associated_data(place, name, subject));
        let opened = self.cipher.open_in_place(Nonce::assume_unique_for_key(nonce), aad, &mut plain);
        let length = opened.map_err(|_| unreadable(place))?.len();
        plain.truncate(length);
        Ok(plain)
    }

    pub(crate) fn open_key(&self, place: &Place<'_>, subject: [u8; KEY_ID_BYTES], form: &[u8]) -> StoreResult<KeyBytes> {
        let plain = self.open(place, subject, form)?;
        KeyBytes::copy_of(&plain).ok_or_else(|| unreadable(place))
    }
}

/// A sealed value: its own key, sealed under a longer-lived key, and the value under its own key.
pub(crate) struct Envelope {
    pub(crate) data_key: Vec<u8>,
    pub(crate) sealed: Vec<u8>,
}

/// Seals `plain` under a fresh key, and that key under `wrapping`.
pub(crate) fn seal_value(wrapping: &SealingKey, place: &Place<'_>, plain: &[u8], random: &dyn Random) -> StoreResult<Envelope> {
    let bytes = random_key(random);
    let mut id = [0; KEY_ID_BYTES];
    random.fill(&mut id);
    let data = SealingKey::new(KeyName { kind: KeyKind::Data, id }, &bytes)?;
    let sealed = data.seal(place, [0; KEY_ID_BYTES], plain, random)?;
    let data_key = wrapping.seal(&data_key_place(place), id, bytes.as_slice(), random)?;
    Ok(Envelope { data_key, sealed })
}

/// Opens what [`seal_value`] gave for the same place.
pub(crate) fn open_value(wrapping: &SealingKey, place: &Place<'_>, envelope: &Envelope) -> StoreResult<Zeroizing<Vec<u8>>> {
    let (name, ..) = split(&envelope.sealed).ok_or_else(|| unreadable(place))?;
    if name.kind != KeyKind::Data {
        return Err(unreadable(place));
    }
    let bytes = wrapping.open_key(&data_key_place(place), name.id, &envelope.data_key)?;
    SealingKey::new(name, &bytes)?.open(place, [0; KEY_ID_BYTES], &envelope.sealed)
}

/// How much of a sealed value says which data key sealed it.
pub(crate) const HEAD_BYTES: usize = 2 + KEY_ID_BYTES;

/// Seals the data key of a value under another key, for the same place. Of the value itself only the first [`HEAD_BYTES`] are needed.
pub(crate) fn rewrap(
    (from, to): (&SealingKey, &SealingKey),
    place: &Place<'_>,
    data_key: &[u8],
    head: &[u8],
    random: &dyn Random,
) -> StoreResult<Vec<u8>> {
    let id = match head.split_first_chunk::<2>() {
        Some((&[FORMAT, kind], id)) if kind == KeyKind::Data as u8 => <[u8; KEY_ID_BYTES]>::try_from(id).ok(),
        _ => None,
    };
    let id = id.ok_or_else(|| unreadable(place))?;
    let place = data_key_place(place);
    let bytes = from.open_key(&place, id, data_key)?;
    to.seal(&place, id, bytes.as_slice(), random)
}

const fn data_key_place<'a>(place: &Place<'a>) -> Place<'a> {
    Place { field: "data_key", ..*place }
}

/// A fresh key.
pub(crate) fn random_key(random: &dyn Random) -> KeyBytes {
    let mut bytes = KeyBytes::default();
    random.fill(bytes.as_mut_slice());
    bytes
}

/// A key for one purpose out of a key for several.
pub(crate) fn derive(bytes: &KeyBytes, purpose: &'static [u8]) -> StoreResult<KeyBytes> {
    struct Length;
    impl KeyType for Length {
        fn len(&self) -> usize {
            KEY_BYTES
        }
    }
    let mut derived = KeyBytes::default();
    let secret = Salt::new(HKDF_SHA256, &[]).extract(bytes.as_slice());
    let filled = secret.expand(&[purpose], Length).and_then(|output| output.fill(derived.as_mut_slice()));
    filled.map_err(|_| cipher_fault())?;
    Ok(derived)
}

fn split(form: &[u8]) -> Option<(KeyName, [u8; NONCE_LEN], &[u8])> {
    let (&[format, kind], rest) = form.split_first_chunk::<2>()?;
    let (id, rest) = rest.split_first_chunk::<KEY_ID_BYTES>()?;
    let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>()?;
    let kind = [KeyKind::Root, KeyKind::Platform, KeyKind::Tenant, KeyKind::Data].into_iter().find(|known| *known as u8 == kind)?;
    (format == FORMAT && body.len() >= TAG_BYTES).then_some((KeyName { kind, id: *id }, *nonce, body))
}

/// Every part has its length in front, so that no two places have the same text.
fn associated_data(place: &Place<'_>, key: KeyName, subject: [u8; KEY_ID_BYTES]) -> Vec<u8> {
    let mut data = b"bailiwick/seal".to_vec();
    data.extend_from_slice(&[FORMAT, key.kind as u8]);
    data.extend_from_slice(&key.id);
    data.extend_from_slice(&subject);
    data.extend_from_slice(&place.version.to_be_bytes());
    for part in [place.tenant, place.table, place.row, place.field] {
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part.as_bytes());
    }
    data
}

fn unreadable(place: &Place<'_>) -> StoreError {
    let message =
        format!("a sealed value cannot be read: {} `{}`, field {}: it was altered, moved or damaged", place.table, place.row, place.field);
    StoreError::new(StoreErrorKind::Corrupt, message, "set the value again, or restore the row from a backup")
}

fn cipher_fault() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the cryptographic library refused an operation", "report this as a defect")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Counter(std::sync::atomic::AtomicU8);
    impl Random for Counter {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill_with(|| self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        }
    }

    fn setup() -> (SealingKey, Counter) {
        let random = Counter(7.into());
        (SealingKey::new(KeyName::version(KeyKind::Tenant, 1), &random_key(&random)).expect("key"), random)
    }

    const HERE: Place<'static> = Place { tenant: "acme", table: "secrets", row: "token", field: "value", version: 3 };

    #[test]
    fn opens_only_in_its_place() {
        let (key, random) = setup();
        let envelope = seal_value(&key, &HERE, b"s3cret", &random).expect("sealed");
        assert_eq!(open_value(&key, &HERE, &envelope).expect("opens").as_slice(), b"s3cret");
        let elsewhere = [
            Place { tenant: "acm", ..HERE },
            Place { tenant: "", ..HERE },
            Place { table: "audit_keys", ..HERE },
            Place { row: "tokem", ..HERE },
            Place { field: "other", ..HERE },
            Place { version: 4, ..HERE },
            // The same characters, cut at another place.
            Place { tenant: "acmes", table: "ecrets", ..HERE },
        ];
        for place in elsewhere {
            let error = open_value(&key, &place, &envelope).map(drop).expect_err("must not open");
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{place:?}");
            assert!(!error.to_string().contains("s3cret"));
        }
    }

    #[test]
    fn halves_of_two_envelopes_do_not_fit() {
        let (key, random) = setup();
        let one = seal_value(&key, &HERE, b"one", &random).expect("sealed");
        let two = seal_value(&key, &HERE, b"two", &random).expect("sealed");
        assert!(open_value(&key, &HERE, &Envelope { data_key: one.data_key, sealed: two.sealed }).is_err());
    }

    #[test]
    fn another_wrapping_key_does_not_open() {
        let (key, random) = setup();
        let envelope = seal_value(&key, &HERE, b"one", &random).expect("sealed");
        let same_name = SealingKey::new(key.name(), &random_key(&random)).expect("key");
        assert!(open_value(&same_name, &HERE, &envelope).is_err());
    }

    #[test]
    fn a_rewrapped_data_key_opens_in_its_place_under_the_new_key_only() {
        let (old, random) = setup();
        let new = SealingKey::new(KeyName::version(KeyKind::Tenant, 2), &random_key(&random)).expect("key");
        let Envelope { data_key, sealed } = seal_value(&old, &HERE, b"one", &random).expect("sealed");
        let moved = rewrap((&old, &new), &HERE, &data_key, &sealed[..HEAD_BYTES], &random).expect("moved");
        let elsewhere = Place { row: "other", ..HERE };
        assert!(
            rewrap((&old, &new), &elsewhere, &data_key, &sealed[..HEAD_BYTES], &random).is_err(),
            "nothing is moved that does not open"
        );
        for head in [&sealed[..HEAD_BYTES - 1], &sealed[..=HEAD_BYTES], &data_key[..HEAD_BYTES], &[]] {
            assert!(rewrap((&old, &new), &HERE, &data_key, head, &random).is_err());
        }
        let envelope = Envelope { data_key: moved, sealed };
        assert_eq!(open_value(&new, &HERE, &envelope).expect("opens").as_slice(), b"one");
        assert!(open_value(&new, &elsewhere, &envelope).is_err() && open_value(&old, &HERE, &envelope).is_err());
    }

    #[test]
    fn derived_keys_differ_by_purpose() {
        let bytes = random_key(&Counter(1.into()));
        assert_ne!(derive(&bytes, b"a").expect("a").as_slice(), derive(&bytes, b"b").expect("b").as_slice());
        assert_eq!(derive(&bytes, b"a").expect("a").as_slice(), derive(&bytes, b"a").expect("a").as_slice());
    }

    proptest! {
        #[test]
        fn no_altered_byte_goes_unnoticed(plain in proptest::collection::vec(any::<u8>(), 0..64), at in any::<prop::sample::Index>(), flip in 1u8..) {
            let (key, random) = setup();
            let mut envelope = seal_value(&key, &HERE, &plain, &random).expect("sealed");
            let opened = open_value(&key, &HERE, &envelope).expect("opens");
            prop_assert_eq!(opened.as_slice(), plain.as_slice());
            let cut = envelope.data_key.len();
            let index = at.index(cut + envelope.sealed.len());
            match index.checked_sub(cut) {
                None => envelope.data_key[index] ^= flip,
                Some(rest) => envelope.sealed[rest] ^= flip,
            }
            prop_assert!(open_value(&key, &HERE, &envelope).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_open(data_key in proptest::collection::vec(any::<u8>(), 0..96), sealed in proptest::collection::vec(any::<u8>(), 0..96)) {
            let (key, _) = setup();
            let envelope = Envelope { data_key, sealed };
            prop_assert!(open_value(&key, &HERE, &envelope).is_err());
        }
    }
}
