//! What every serving process does to itself before it opens anything that holds a secret.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// Forbids core dumps and reading of this process's memory by others of the same user.
///
/// Best effort: a container that refuses a step still serves, so each refusal is returned as a line for the log.
#[must_use]
pub(crate) fn harden_process() -> Vec<String> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let steps = [
        ("no core dumps", setrlimit(Resource::Core, none)),
        ("memory not readable by other processes", set_dumpable_behavior(DumpableBehavior::NotDumpable)),
    ];
    steps.into_iter().filter_map(|(what, done)| done.err().map(|cause| format!("{what}: {cause}"))).collect()
}

/// Raises the number of open files to what the system admits, so that the limit on connections is the one that counts.
///
/// Servers on stdio get their own small limit in `__stdio-exec`.
pub(crate) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // A refusal leaves the old limit: connections beyond it wait, nothing else changes.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
