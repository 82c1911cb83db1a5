//! The process group of a child: its leader is the child itself, so that one signal reaches all it started.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use crate::client::fault::{FaultKind, UpstreamFault};
use crate::client::options::StdioCommand;

/// Ends every process of the group when it is dropped.
#[derive(Debug)]
pub(crate) struct Group(Option<Pid>);

impl Group {
    /// Starts the command as the leader of a new group, with exactly the given environment and all three streams piped.
    pub(crate) fn spawn(command: &StdioCommand) -> Result<(Child, Self), UpstreamFault> {
        let mut start = match &command.launcher {
            None => Command::new(&command.program),
            Some(launcher) => {
                let mut start = Command::new(&launcher.program);
                start.args(&launcher.args).arg(&command.program);
                start
            }
        };
        start.args(&command.args).env_clear().envs(command.env.iter().map(|(name, value)| (name, value)));
        if let Some(cwd) = &command.cwd {
            start.current_dir(cwd);
        }
        start.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
        let child = start.spawn().map_err(|error| {
            let program = start.as_std().get_program().display();
            UpstreamFault::unsent(
                FaultKind::Unreachable,
                format!("`{program}` cannot be started: {error}; check the path and its permissions"),
            )
        })?;
        let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok((child, Self(leader)))
    }

    /// Asks every process of the group to end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends every process of the group, and forgets it: its number may be given to somebody else afterwards.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.0 = None;
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.0 {
            // The only failure is that nobody is left.
            let _ = kill_process_group(leader, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
