//! A private directory that goes away with the test.

use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A temporary directory of mode 0700, removed when dropped.
#[derive(Debug)]
pub struct Place(TempDir);

impl Place {
    /// A fresh, empty directory.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("bailiwick-").tempdir().expect("temporary directory");
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).expect("mode of the temporary directory");
        Self(dir)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A path below it; nothing is created.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file of mode 0600, with its parent directories, and gives its path. Replaces what was there.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        use std::io::Write as _;
        let path = self.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("parent directories");
        }
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&path).expect("test file");
        file.write_all(content.as_ref()).expect("content of the test file");
        path
    }

    /// The content of a file below it.
    #[must_use]
    pub fn read(&self, name: &str) -> String {
        let path = self.join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_private_and_go_away() {
        let place = Place::new();
        let file = place.file("a/b.txt", "one");
        place.file("a/b.txt", "2");
        assert_eq!(place.read("a/b.txt"), "2");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(place.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        drop(place);
        assert!(!file.exists());
    }
}
