//! The root key: the one secret that is never in the database. It wraps the platform's key and the keys of organisations.

use std::fs::{File, OpenOptions, hard_link};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bailiwick_model::time::Random;
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::seal::{KeyBytes, KeyKind, KeyName, SealingKey, derive, random_key};

/// A key file holds 64 hexadecimal digits and a line end; anything near this size is something else.
const KEY_FILE_BYTES_MAX: u64 = 256;

/// Where the root key comes from.
pub enum RootKeySource {
    /// A file of mode 0600 that belongs to the service user and holds 32 bytes as hexadecimal or base64 text.
    File {
        /// Its path, outside the data directory.
        path: PathBuf,
        /// Create it when it is missing and the database holds no sealed value.
        create: bool,
    },
    /// A value that the entry point took from the environment variable `name` and removed there. Works, with a warning.
    Environment {
        /// The variable, for messages.
        name: String,
        /// Its value: 32 bytes as hexadecimal or base64 text.
        value: SecretString,
    },
    /// No root key: the store opens sealed.
    None,
}

pub(crate) struct RootKey {
    pub(crate) key: SealingKey,
}

impl RootKey {
    fn new(bytes: &KeyBytes) -> StoreResult<Self> {
        // The id tells root keys apart without saying anything of the key itself.
        let mut id = [0; 8];
        id.copy_from_slice(derive(bytes, b"bailiwick root key id v1")?.as_slice().first_chunk::<8>().unwrap_or(&[0; 8]));
        Ok(Self { key: SealingKey::new(KeyName { kind: KeyKind::Root, id }, bytes)? })
    }

    /// The public name of this root key, stored beside what it wraps.
    pub(crate) fn id(&self) -> String {
        HEXLOWER.encode(&self.key.name().id)
    }
}

/// What a source gave.
pub(crate) enum Loaded {
    /// A key, and a warning for the operator when the source is a weak one.
    Key(RootKey, Option<String>),
    /// No key, and why.
    Missing(String),
}

/// Reads the root key. `may_create` is false as soon as sealed values exist: a new key could not open them.
pub(crate) fn load(source: &RootKeySource, may_create: bool, random: &dyn Random) -> StoreResult<Loaded> {
    match source {
        RootKeySource::None => Ok(Loaded::Missing("no root key is configured".to_owned())),
        RootKeySource::Environment { name, value } => {
            let bytes = decode(value.expose_secret()).ok_or_else(|| not_a_key(&format!("the environment variable {name}")))?;
            let warning =
                format!("the root key comes from the environment variable {name}, which other programs may read; prefer `root_key_file`");
            Ok(Loaded::Key(RootKey::new(&bytes)?, Some(warning)))
        }
        RootKeySource::File { path, create } => match read_file(path)? {
            Some(bytes) => Ok(Loaded::Key(RootKey::new(&bytes)?, None)),
            None if *create && may_create => {
                create_file(path, random)?;
                let bytes = read_file(path)?.ok_or_else(|| file_error(path, "vanished after it was created"))?;
                Ok(Loaded::Key(RootKey::new(&bytes)?, None))
            }
            None => Ok(Loaded::Missing(format!("the root key file {} does not exist", path.display()))),
        },
    }
}

/// Checks the opened descriptor, not the path, so that nothing can be put in its place between check and use.
fn read_file(path: &Path) -> StoreResult<Option<KeyBytes>> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(file_error(path, "is a symbolic link"));
        }
        Err(error) => return Err(file_error(path, "cannot be opened").with_cause(error)),
    };
    check_file(path, &file)?;
    let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES_MAX as usize));
    let read = Read::by_ref(&mut file).take(KEY_FILE_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| file_error(path, "cannot be read as text").with_cause(error.kind()))?;
    let place = format!("the root key file {}", path.display());
    decode(&text).map(Some).ok_or_else(|| not_a_key(&place))
}

fn check_file(path: &Path, file: &File) -> StoreResult<()> {
    let facts = file.metadata().map_err(|error| file_error(path, "cannot be examined").with_cause(error))?;
    if !facts.is_file() {
        return Err(file_error(path, "is not a regular file"));
    }
    if facts.uid() != rustix::process::geteuid().as_raw() {
        return Err(file_error(path, "does not belong to the user this process runs as"));
    }
    if facts.mode() & 0o077 != 0 {
        return Err(file_error(path, "can be read or written by others"));
    }
    if facts.len() > KEY_FILE_BYTES_MAX {
        return Err(file_error(path, "is too large for a key"));
    }
    Ok(())
}

/// Written aside and linked into place, so that a kill leaves either no key file or a whole one, and an existing one is never replaced.
fn create_file(path: &Path, random: &dyn Random) -> StoreResult<()> {
    let failed = |error: std::io::Error| file_error(path, "cannot be created").with_cause(error);
    let mut suffix = [0; 8];
    random.fill(&mut suffix);
    let aside = path.with_extension(format!("new-{}", HEXLOWER.encode(&suffix)));
    // Grown beforehand, so that no copy of the text stays behind.
    let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES_MAX as usize));
    HEXLOWER.encode_append(random_key(random).as_slice(), &mut text);
    text.push('\n');
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside).map_err(failed)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| hard_link(&aside, path));
    let removed = std::fs::remove_file(&aside);
    match written {
        // Another process was faster; its key is as good.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        other => other.map_err(failed)?,
    }
    removed.map_err(failed)?;
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|d| d.sync_all()).map_err(failed)
}

fn decode(text: &str) -> Option<KeyBytes> {
    let text = text.trim().as_bytes();
    let encodings = [&HEXLOWER_PERMISSIVE, &BASE64, &BASE64_NOPAD, &BASE64URL, &BASE64URL_NOPAD];
    encodings.into_iter().find_map(|encoding| {
        let plain = Zeroizing::new(encoding.decode(text).ok()?);
        KeyBytes::copy_of(&plain)
    })
}

fn not_a_key(place: &str) -> StoreError {
    let message = format!("{place} does not hold 32 bytes as hexadecimal or base64 text");
    StoreError::invalid(message, "make a key with `openssl rand -hex 32`")
}

fn file_error(path: &Path, what: &str) -> StoreError {
    let message = format!("the root key file {} {what}", path.display());
    StoreError::new(StoreErrorKind::Invalid, message, "give a regular file of mode 0600 that belongs to the service user")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    struct Fixed(u8);
    impl Random for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    fn id(source: &RootKeySource, may_create: bool) -> StoreResult<Option<String>> {
        load(source, may_create, &Fixed(5)).map(|loaded| match loaded {
            Loaded::Key(key, _) => Some(key.id()),
            Loaded::Missing(_) => None,
        })
    }

    fn write(path: &Path, text: &str, mode: u32) {
        std::fs::write(path, text).expect("written");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("mode");
    }

    #[test]
    fn same_key_in_every_encoding_and_place() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("root.key");
        let mut ids = Vec::new();
        for text in [HEXLOWER.encode(&[9; 32]), BASE64.encode(&[9; 32]), format!("  {}\n", BASE64URL_NOPAD.encode(&[9; 32]))] {
            write(&path, &text, 0o600);
            ids.push(id(&RootKeySource::File { path: path.clone(), create: false }, false).expect("reads").expect("a key"));
            let value = text.into();
            ids.push(id(&RootKeySource::Environment { name: "K".into(), value }, false).expect("reads").expect("a key"));
        }
        ids.dedup();
        assert_eq!(ids.len(), 1);
    }

    #[test]
    fn creates_only_when_allowed_and_never_replaces() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("root.key");
        let source = |create| RootKeySource::File { path: path.clone(), create };
        assert_eq!(id(&source(false), true).expect("no fault"), None);
        assert_eq!(id(&source(true), false).expect("no fault"), None);
        assert!(!path.exists());
        let made = id(&source(true), true).expect("created").expect("a key");
        assert_eq!(path.metadata().expect("exists").mode() & 0o777, 0o600);
        create_file(&path, &Fixed(6)).expect("existing file stays");
        assert_eq!(id(&source(true), true).expect("reads"), Some(made));
        assert_eq!(std::fs::read_dir(dir.path()).expect("dir").count(), 1, "nothing left beside the key");
    }

    #[test]
    fn refuses_unsafe_files_and_shows_no_content() {
        let dir = tempfile::tempdir().expect("dir");
        let good = HEXLOWER.encode(&[9; 32]);
        let path = dir.path().join("k");
        let source = |path: &Path| RootKeySource::File { path: path.to_owned(), create: true };
        for (text, mode) in [(good.as_str(), 0o640), (good.as_str(), 0o602), ("hunter2", 0o600), ("", 0o600), (&good.repeat(5), 0o600)] {
            write(&path, text, mode);
            let error = id(&source(&path), true).expect_err("refused");
            assert_eq!(error.kind(), StoreErrorKind::Invalid);
            assert!(!format!("{error:?}").contains("hunter2"));
        }
        write(&path, &good, 0o600);
        let link = dir.path().join("link");
        symlink(&path, &link).expect("link");
        assert!(id(&source(&link), true).expect_err("refused").message().contains("symbolic link"));
        assert!(id(&source(dir.path()), true).expect_err("refused").message().contains("regular file"));
    }
}
