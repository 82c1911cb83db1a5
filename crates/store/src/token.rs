//! The text of an API key: `bw_<key id, 16 hex>_<secret, 43 base64url>_<checksum, 8 hex>`, 72 characters. The checksum lets scanners
//! for leaked keys be certain and tells a typing mistake from a wrong key. The secret may itself contain `_`, so the parts are found
//! by their positions.

use aws_lc_rs::digest::{SHA256, digest};
use bailiwick_model::KeyId;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use secrecy::{ExposeSecret, SecretString};

use crate::seal::KeyBytes;

const PREFIX: &[u8] = b"bw_";
const KEY_ID_AT: usize = 3;
const SECRET_AT: usize = KEY_ID_AT + 16 + 1;
const CHECKSUM_AT: usize = SECRET_AT + 43 + 1;
/// Length of an API key.
pub(crate) const TOKEN_CHARS: usize = CHECKSUM_AT + 8;

/// Raw secret of a key.
pub(crate) type TokenSecret = KeyBytes;

/// The parts of a well-formed token.
pub(crate) struct Token {
    pub(crate) key_id: [u8; 8],
    pub(crate) secret: TokenSecret,
}

/// Makes the text of a key.
pub(crate) fn format(key_id: KeyId, secret: &TokenSecret) -> SecretString {
    let mut text = String::with_capacity(TOKEN_CHARS);
    text.push_str("bw_");
    text.push_str(&HEXLOWER.encode(key_id.as_bytes()));
    text.push('_');
    BASE64URL_NOPAD.encode_append(secret.as_slice(), &mut text);
    let sum = checksum(text.as_bytes());
    text.push('_');
    HEXLOWER.encode_append(&sum, &mut text);
    text.into()
}

/// Reads a token without allocating; `None` for any text that [`format()`] would not have made.
pub(crate) fn parse(text: &str) -> Option<Token> {
    let bytes: &[u8; TOKEN_CHARS] = text.as_bytes().try_into().ok()?;
    let separators = bytes.starts_with(PREFIX) && bytes[SECRET_AT - 1] == b'_' && bytes[CHECKSUM_AT - 1] == b'_';
    let mut given = [0; 4];
    HEXLOWER.decode_mut(&bytes[CHECKSUM_AT..], &mut given).ok()?;
    if !separators || given != checksum(&bytes[..CHECKSUM_AT - 1]) {
        return None;
    }
    let mut token = Token { key_id: [0; 8], secret: TokenSecret::default() };
    HEXLOWER.decode_mut(&bytes[KEY_ID_AT..SECRET_AT - 1], &mut token.key_id).ok()?;
    BASE64URL_NOPAD.decode_mut(&bytes[SECRET_AT..CHECKSUM_AT - 1], token.secret.as_mut_slice()).ok()?;
    Some(token)
}

/// Whether a presented secret is the expected one. Takes the same time whatever it is and however long: their digests are compared.
#[must_use]
pub fn same_secret(given: &str, expected: &SecretString) -> bool {
    let (given, expected) = (digest(&SHA256, given.as_bytes()), digest(&SHA256, expected.expose_secret().as_bytes()));
    aws_lc_rs::constant_time::verify_slices_are_equal(given.as_ref(), expected.as_ref()).is_ok()
}

fn checksum(text: &[u8]) -> [u8; 4] {
    digest(&SHA256, text).as_ref().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiwick_model::time::Random;
    use proptest::prelude::*;

    struct Fixed([u8; 8]);
    impl Random for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.copy_from_slice(&self.0[..bytes.len()]);
        }
    }

    proptest! {
        #[test]
        fn round_trips_and_no_altered_character_passes(id in any::<[u8; 8]>(), secret in any::<[u8; 32]>(), at in 0..TOKEN_CHARS, other in "[ -~]") {
            let text = format(KeyId::random(&Fixed(id)), &KeyBytes::copy_of(&secret).expect("32 bytes"));
            let text = text.expose_secret();
            prop_assert_eq!(text.len(), TOKEN_CHARS);
            let token = parse(text).expect("our own text");
            prop_assert_eq!(token.key_id, id);
            prop_assert_eq!(token.secret.as_slice(), secret.as_slice());
            let mut altered = text.to_owned();
            altered.replace_range(at..=at, &other);
            prop_assert!(altered == *text || parse(&altered).is_none());
        }

        #[test]
        fn hostile_text_never_panics(text in "\\PC{0,80}") {
            prop_assert!(parse(&text).is_none());
        }
    }
}
