//! The signing key as a file, for installations without a root key, and the public keys beside the ledger.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use bailiwick_model::time::Random;
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use super::checkpoint::{SigningKey, VerifierKey, is_origin};
use super::disk::create_dir;

/// Name of the private file.
const KEY_FILE: &str = "checkpoint.key";
/// Name of the public file: one verifier key a line, newest last.
const VERIFIER_FILE: &str = "checkpoint.pub";
/// Name of the file that holds the ledger's origin, so that a new signing key does not make it another ledger.
const ORIGIN_FILE: &str = "origin";
/// Largest public file that is read.
const VERIFIER_BYTES_MAX: u64 = 64 << 10;

/// Reads the signing key of the ledger in `dir`, or makes one with a fresh name: `bailiwick/<16 hex digits>`.
///
/// # Errors
/// When the file cannot be read or made, is not a key, or may be read by others than its owner.
pub fn load_or_create_key(dir: &Path, random: &dyn Random) -> io::Result<SigningKey> {
    create_dir(dir)?;
    let path = dir.join(KEY_FILE);
    match read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        result => return result,
    }
    let mut seed = Zeroizing::new([0; 32]);
    let mut name = [0; 8];
    random.fill(seed.as_mut());
    random.fill(&mut name);
    let text = Zeroizing::new(format!("bailiwick/{}\n{}\n", HEXLOWER.encode(&name), HEXLOWER.encode(seed.as_ref())));
    create_once(&path, &text)?;
    read(&path)
}

/// Makes a private file with `text` unless it is there already. Written beside and linked into place, so that processes that
/// start together end up with one text, and it is whole.
fn create_once(path: &Path, text: &str) -> io::Result<()> {
    let own = path.with_extension(format!("new-{}", std::process::id()));
    let _ = std::fs::remove_file(&own);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&own)?;
    let linked = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| std::fs::hard_link(&own, path));
    std::fs::remove_file(&own)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// The origin of the ledger in `dir`: what it was first called, and otherwise `name`.
pub(crate) fn origin(dir: &Path, name: &str) -> io::Result<String> {
    let path = dir.join(ORIGIN_FILE);
    if !path.exists() {
        create_once(&path, &format!("{name}\n"))?;
    }
    let text = std::fs::read_to_string(&path)?;
    match text.strip_suffix('\n').filter(|origin| is_origin(origin)) {
        Some(origin) => Ok(origin.to_owned()),
        None => Err(io::Error::new(ErrorKind::InvalidData, format!("{} does not name a ledger: restore it", path.display()))),
    }
}

fn read(path: &Path) -> io::Result<SigningKey> {
    let mode = std::fs::metadata(path)?.mode();
    if mode & 0o077 != 0 {
        let message = format!("{} may be read by others: run `chmod 600` on it, or replace it", path.display());
        return Err(io::Error::new(ErrorKind::PermissionDenied, message));
    }
    let text = Zeroizing::new(std::fs::read_to_string(path)?);
    let key = text.lines().next().zip(text.lines().nth(1)).and_then(|(name, seed)| {
        let seed: Zeroizing<Vec<u8>> = Zeroizing::new(HEXLOWER.decode(seed.as_bytes()).ok()?);
        SigningKey::from_seed(name, seed.as_slice().try_into().ok()?).ok()
    });
    key.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, format!("{} is not a signing key: restore it or remove it", path.display())))
}

/// Adds the public half of `key` to the file beside the ledger, unless it is there.
pub(crate) fn publish(dir: &Path, key: &VerifierKey) -> io::Result<()> {
    if load_verifiers(dir)?.contains(key) {
        return Ok(());
    }
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(dir.join(VERIFIER_FILE))?;
    file.write_all(format!("{key}\n").as_bytes())?;
    file.sync_data()
}

/// The public keys beside the ledger in `dir`. They show damage; against someone who can write there, only a key that was kept
/// elsewhere proves anything.
///
/// # Errors
/// When the file exists and cannot be read. Lines that are no keys are left out.
pub fn load_verifiers(dir: &Path) -> io::Result<Vec<VerifierKey>> {
    let path = dir.join(VERIFIER_FILE);
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
        Ok(found) if found.len() > VERIFIER_BYTES_MAX => {
            return Err(io::Error::new(ErrorKind::InvalidData, format!("{} is too large", path.display())));
        }
        Ok(_) => {}
    }
    Ok(std::fs::read_to_string(&path)?.lines().filter_map(VerifierKey::parse).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Counting(std::sync::atomic::AtomicU8);
    impl Random for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        }
    }

    #[test]
    fn a_ledger_keeps_its_origin() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(origin(dir.path(), "first").unwrap(), "first");
        assert_eq!(origin(dir.path(), "second").unwrap(), "first");
    }

    #[test]
    fn the_key_is_made_once_and_must_be_private() {
        let dir = tempfile::tempdir().unwrap();
        let random = Counting(1.into());
        let first = load_or_create_key(dir.path(), &random).unwrap();
        let second = load_or_create_key(dir.path(), &random).unwrap();
        assert_eq!(first.verifier(), second.verifier());
        for _ in 0..2 {
            publish(dir.path(), first.verifier()).unwrap();
        }
        assert_eq!(load_verifiers(dir.path()).unwrap(), [first.verifier().clone()]);
        let path = dir.path().join(KEY_FILE);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(load_or_create_key(dir.path(), &random).err().unwrap().kind(), ErrorKind::PermissionDenied);
    }
}
