//! The hidden command `__stdio-exec`: puts limits on itself, then becomes the program of a stdio server.
//!
//! The gateway puts `bailiwick __stdio-exec --parent PID --` in front of a server's command. Limits and the parent-death
//! signal survive `exec`, so no code runs between `fork` and `exec` of the multi-threaded gateway (that would be unsafe).
//!
//! Not set on purpose: an address-space limit (JavaScript and JVM runtimes reserve far more than they use) and a file-size
//! limit. Descriptors other than 0-2 are not inherited because the standard library opens all of them close-on-exec.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit};
use rustix::thread::set_no_new_privs;

use crate::exit::{Exit, Failure};

/// Open files of a stdio server (reference, security section 12).
const OPEN_FILES_MAX: u64 = 256;
/// How many processes and threads may come on top of those that run on the machine when a server starts.
///
/// `RLIMIT_NPROC` counts all tasks of the user, not those of the server: the reference's flat 64 would keep a server from
/// starting on any developer's desktop. Head room above the present count stops a fork bomb and hurts nobody else.
const TASKS_HEADROOM: u64 = 1024;

/// Limits this process, then replaces it by `command`. Returns only when something failed.
#[must_use]
pub(crate) fn exec(parent: i32, command: &[OsString]) -> Failure {
    let Some((program, arguments)) = command.split_first() else {
        return Failure::new(Exit::Usage, "`__stdio-exec` needs a program after `--`");
    };
    if let Err(failure) = confine(parent) {
        return failure;
    }
    let cause = Command::new(program).args(arguments).exec();
    Failure::new(Exit::Failed, format!("cannot start `{}`: {cause}", program.display()))
}

fn confine(parent: i32) -> Result<(), Failure> {
    limit(Resource::Core, 0)?;
    limit(Resource::Nofile, OPEN_FILES_MAX)?;
    if let Some(running) = tasks_running() {
        limit(Resource::Nproc, running + TASKS_HEADROOM)?;
    }
    set_no_new_privs(true).map_err(|cause| refused("no new privileges", cause))?;
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|cause| refused("the parent-death signal", cause))?;
    // A parent that died before the signal was armed will never trigger it.
    if getppid().map(Pid::as_raw_pid) != Some(parent) {
        return Err(Failure::new(Exit::Failed, "the gateway that started this server is gone"));
    }
    Ok(())
}

/// Lowers a limit to `value`, never raising what was inherited.
fn limit(resource: Resource, value: u64) -> Result<(), Failure> {
    let value = getrlimit(resource).maximum.map_or(value, |hard| hard.min(value));
    let both = Rlimit { current: Some(value), maximum: Some(value) };
    setrlimit(resource, both).map_err(|cause| refused(&format!("limit {resource:?}"), cause))
}

fn refused(what: &str, cause: rustix::io::Errno) -> Failure {
    Failure::new(Exit::Failed, format!("cannot set {what} for a stdio server: {cause}"))
}

/// Tasks on this machine: an upper bound of those of this user. `None` where `/proc` is not there.
fn tasks_running() -> Option<u64> {
    // Fourth field: running/total, e.g. `0.20 0.18 0.12 1/80 11206`.
    let load = std::fs::read_to_string("/proc/loadavg").ok()?;
    load.split(' ').nth(3)?.split_once('/')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_tasks_and_refuses_an_empty_command() {
        assert!(tasks_running().is_some_and(|count| count > 1));
        assert_eq!(exec(1, &[]).exit(), Exit::Usage);
    }
}
