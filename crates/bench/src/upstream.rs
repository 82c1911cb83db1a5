//! The fake upstream as a child process: this program again, with the first argument `upstream`.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};

use bailiwick_testkit::upstream::{self, Behaviour};

use crate::Outcome;

/// Tools of the upstream that are not fillers.
pub(crate) const TOOLS_MIN: usize = 5;

/// The running upstream; ended when dropped.
pub(crate) struct Upstream {
    child: Child,
    /// Its endpoint.
    pub(crate) url: String,
}

/// The body of the child.
pub(crate) fn serve(args: impl Iterator<Item = String>) -> ExitCode {
    match upstream::main(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench upstream: {error}");
            ExitCode::from(2)
        }
    }
}

impl Upstream {
    /// Starts an upstream with sessions and so many tools.
    pub(crate) fn start(tools: usize) -> Outcome<Self> {
        let fillers = tools.checked_sub(TOOLS_MIN).ok_or_else(|| format!("at least {TOOLS_MIN} tools"))?;
        let behaviour = Behaviour { fillers, sessions: true, record: false, ..Behaviour::default() };
        let behaviour = serde_json::to_string(&behaviour).map_err(|e| e.to_string())?;
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut command = Command::new(program);
        command.args(["upstream", "--listen", "0", &behaviour]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("upstream: {e}"))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(|e| format!("upstream: {e}"))?;
        }
        match line.trim().strip_prefix("listening on ") {
            Some(url) => Ok(Self { url: url.to_owned(), child }),
            None => Err("the upstream did not start".to_owned()),
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
