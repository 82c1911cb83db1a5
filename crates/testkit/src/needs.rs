//! What a test needs and a developer's machine may lack.

use std::ffi::OsString;
use std::path::PathBuf;

/// Gives `found` back. When it is absent: prints `skipped: needs WHAT` and gives `None`, so that the test returns early;
/// on a build machine (`CI=true`) it panics, since there a skipped test would pass unseen.
///
/// ```no_run
/// # use bailiwick_testkit::needs::{needs, program_on_path};
/// let Some(node) = needs("node", program_on_path("node")) else { return };
/// # drop(node);
/// ```
pub fn needs<T>(what: &str, found: Option<T>) -> Option<T> {
    decide(what, found, variable("CI").is_some_and(|v| v == "true"))
}

fn decide<T>(what: &str, found: Option<T>, strict: bool) -> Option<T> {
    match found {
        Some(found) => Some(found),
        None if strict => panic!("needs {what}, which must be present when CI=true"),
        None => {
            println!("skipped: needs {what}");
            None
        }
    }
}

/// The first executable file called `name` in the directories of `PATH`.
#[must_use]
pub fn program_on_path(name: &str) -> Option<PathBuf> {
    let path = variable("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| is_executable(file))
}

fn is_executable(file: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_shell_and_not_a_directory() {
        assert!(program_on_path("sh").is_some());
        assert!(program_on_path("no-such-program-here").is_none());
        assert!(!is_executable(std::path::Path::new("/")));
    }

    #[test]
    fn absence_is_none_on_a_desk() {
        assert_eq!(decide("x", Some(1), true), Some(1));
        assert_eq!(decide::<()>("x", None, false), None);
    }

    #[test]
    #[should_panic(expected = "needs a moon")]
    fn absence_is_a_failure_on_a_build_machine() {
        decide::<()>("a moon", None, true);
    }
}
