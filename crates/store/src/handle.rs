//! Handles: short texts that we give to a client and that come back, such as the state of a call that waits for input. Only the
//! organisation that made one can read it, on any replica, and only for what it was made for (protocol reference 2.8 and 5.4).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use bailiwick_model::time::Random;
use data_encoding::BASE64URL_NOPAD;

use crate::sealed_keys::AuditKey;

/// Longest content.
pub const HANDLE_BYTES_MAX: usize = 64 << 10;
/// What the key is derived for; a change of the form changes it.
const PURPOSE: &[u8] = b"bailiwick handle v1";

impl AuditKey {
    /// Seals `content` for `purpose`; both together at most 2^31 times under one key, far above what is ever made. `None` when the content
    /// is larger than [`HANDLE_BYTES_MAX`].
    #[must_use]
    pub fn seal_handle(&self, purpose: &[u8], content: &[u8], random: &dyn Random) -> Option<String> {
        if content.len() > HANDLE_BYTES_MAX {
            return None;
        }
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce);
        let mut sealed = content.to_vec();
        let cipher = self.handle_cipher()?;
        cipher.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(purpose), &mut sealed).ok()?;
        let mut bytes = nonce.to_vec();
        bytes.append(&mut sealed);
        Some(BASE64URL_NOPAD.encode(&bytes))
    }

    /// The content of a handle that was sealed for the same purpose; `None` for everything else.
    #[must_use]
    pub fn open_handle(&self, purpose: &[u8], handle: &str) -> Option<Vec<u8>> {
        if handle.len() > HANDLE_BYTES_MAX * 2 {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(handle.as_bytes()).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut content = sealed.to_vec();
        let length =
            self.handle_cipher()?.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(purpose), &mut content).ok()?.len();
        content.truncate(length);
        Some(content)
    }

    fn handle_cipher(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, &self.digest(PURPOSE)).ok().map(LessSafeKey::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::KeyBytes;

    struct Fixed;
    impl Random for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    fn key(byte: u8) -> AuditKey {
        AuditKey::new(1, &KeyBytes::copy_of(&[byte; 32]).unwrap())
    }

    #[test]
    fn a_handle_opens_for_its_key_and_purpose_only() {
        let handle = key(1).seal_handle(b"a", b"content", &Fixed).unwrap();
        assert_eq!(key(1).open_handle(b"a", &handle).as_deref(), Some(&b"content"[..]));
        assert_eq!(key(1).open_handle(b"b", &handle), None);
        assert_eq!(key(2).open_handle(b"a", &handle), None);
        for altered in [format!("{handle}-TAMPERED"), format!("A{}", &handle[1..]), handle[..handle.len() - 2].to_owned(), String::new()] {
            assert_eq!(key(1).open_handle(b"a", &altered), None, "{altered}");
        }
        assert!(key(1).seal_handle(b"a", &vec![0; HANDLE_BYTES_MAX + 1], &Fixed).is_none());
    }
}
