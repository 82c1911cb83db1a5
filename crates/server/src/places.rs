//! Where files lie when nobody says otherwise, and how private directories are made.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::exit::{Exit, Failure};

/// Permission bits of the state directory and of everything like it: owner only.
const PRIVATE_DIRECTORY_MODE: u32 = 0o700;
/// Group and other write bits.
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// The file name of the database inside the state directory.
const DATABASE_FILE: &str = "bailiwick.db";

/// Directories from the environment: `XDG_STATE_HOME`, `XDG_CONFIG_HOME`, `HOME`, and systemd's `STATE_DIRECTORY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    state: Option<PathBuf>,
    config: Option<PathBuf>,
}

impl Places {
    /// Reads the environment; relative paths in it are ignored, as the XDG specification says.
    #[must_use]
    pub(crate) fn new(environment: &BTreeMap<String, String>) -> Self {
        let absolute = |name: &str| environment.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute("HOME");
        let under = |name: &str, fallback: &str| absolute(name).or_else(|| home.as_ref().map(|home| home.join(fallback)));
        // systemd gives a colon-separated list; ours declares one directory.
        let service = environment.get("STATE_DIRECTORY").and_then(|list| list.split(':').next()).map(PathBuf::from);
        let state = service
            .filter(|path| path.is_absolute())
            .or_else(|| under("XDG_STATE_HOME", ".local/state").map(|base| base.join("bailiwick")));
        Self { state, config: under("XDG_CONFIG_HOME", ".config").map(|base| base.join("bailiwick")) }
    }

    /// The state directory: the configured one, or the user's.
    ///
    /// # Errors
    /// When neither the configuration nor the environment names one.
    pub(crate) fn state_dir(&self, configured: Option<&Path>) -> Result<PathBuf, Failure> {
        configured.map(Path::to_path_buf).or_else(|| self.state.clone()).ok_or_else(|| homeless("state directory", "state_dir"))
    }

    /// The file of the root key: the configured one, or `root.key` in the user's configuration directory.
    ///
    /// # Errors
    /// When neither the configuration nor the environment names one.
    pub(crate) fn root_key_file(&self, configured: Option<&Path>) -> Result<PathBuf, Failure> {
        let default = self.config.as_ref().map(|base| base.join("root.key"));
        configured.map(Path::to_path_buf).or(default).ok_or_else(|| homeless("root key", "root_key_file"))
    }

    /// The configuration file that is read when none is named: `bailiwick.yml` here, then in the user's configuration directory.
    #[must_use]
    pub(crate) fn config_candidates(&self) -> Vec<PathBuf> {
        let user = self.config.as_ref().map(|base| base.join("bailiwick.yml"));
        [Some(PathBuf::from("bailiwick.yml")), user].into_iter().flatten().collect()
    }
}

fn homeless(what: &str, key: &str) -> Failure {
    Failure::new(Exit::Usage, format!("no place for the {what}: neither `HOME` nor the configuration names one"))
        .hint(format!("set `{key}` in the configuration, or `HOME` in the environment"))
}

/// The database of a state directory.
#[must_use]
pub(crate) fn database_file(state_dir: &Path) -> PathBuf {
    state_dir.join(DATABASE_FILE)
}

/// Makes `directory` with its parents, readable by its owner only, and proves that files can be made in it.
///
/// An existing one keeps its mode (it may be a mount of someone else's making), but one that others may write is refused:
/// they could replace the database or the ledger.
///
/// # Errors
/// [`Exit::Unavailable`] naming the directory, the cause and the remedy.
pub(crate) fn private_directory(directory: &Path) -> Result<(), Failure> {
    let fail = |cause: &io::Error| {
        Failure::new(Exit::Unavailable, format!("cannot use the directory `{}`: {cause}", directory.display()))
            .hint("it must be a directory that this user owns and may write; `state_dir` names another one")
    };
    make_directory(directory).map_err(|cause| fail(&cause))?;
    let mode = fs::metadata(directory).map_err(|cause| fail(&cause))?.permissions().mode();
    if mode & WRITABLE_BY_OTHERS != 0 {
        let text = format!("the directory `{}` may be written by other users (mode {:o})", directory.display(), mode & 0o7777);
        return Err(Failure::new(Exit::Unavailable, text)
            .hint(format!("run `chmod 700 {}`, or name another one as `state_dir`", directory.display())));
    }
    // A read-only mount or a foreign owner shows only when something is written; find out before anything else has started.
    tempfile::Builder::new().prefix(".writable").tempfile_in(directory).map(drop).map_err(|cause| fail(&cause))
}

/// Makes `directory` and its missing parents with mode 0700; an existing one stays as it is.
///
/// # Errors
/// What the operating system says.
pub(crate) fn make_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(PRIVATE_DIRECTORY_MODE).create(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn follows_xdg_and_systemd() {
        let home = Places::new(&environment(&[("HOME", "/home/u")]));
        assert_eq!(home.state_dir(None), Ok(PathBuf::from("/home/u/.local/state/bailiwick")));
        assert_eq!(home.root_key_file(None), Ok(PathBuf::from("/home/u/.config/bailiwick/root.key")));

        let xdg = Places::new(&environment(&[("HOME", "/home/u"), ("XDG_STATE_HOME", "/s"), ("XDG_CONFIG_HOME", "relative")]));
        assert_eq!(xdg.state_dir(None), Ok(PathBuf::from("/s/bailiwick")));
        assert_eq!(xdg.root_key_file(None), Ok(PathBuf::from("/home/u/.config/bailiwick/root.key")));

        let unit = Places::new(&environment(&[("STATE_DIRECTORY", "/var/lib/bailiwick:/other")]));
        assert_eq!(unit.state_dir(None), Ok(PathBuf::from("/var/lib/bailiwick")));
        assert_eq!(unit.state_dir(Some(Path::new("/x"))), Ok(PathBuf::from("/x")));
        assert_eq!(unit.root_key_file(None).unwrap_err().exit(), Exit::Usage);
    }

    #[test]
    fn makes_directories_private_and_names_what_it_cannot_use() {
        let base = tempfile::tempdir().unwrap();
        let made = base.path().join("a/b");
        private_directory(&made).unwrap();
        private_directory(&made).unwrap();
        assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(&made).unwrap().count(), 0, "the probe leaves nothing behind");

        fs::set_permissions(&made, fs::Permissions::from_mode(0o775)).unwrap();
        let open = private_directory(&made).unwrap_err();
        assert!(open.message().ends_with("may be written by other users (mode 775)"), "{open}");
        assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o775, "not ours to change");

        let file = base.path().join("file");
        fs::write(&file, "").unwrap();
        let failure = private_directory(&file).unwrap_err();
        assert_eq!(failure.exit(), Exit::Unavailable);
        assert!(failure.message().contains("file"), "{failure}");
    }
}
