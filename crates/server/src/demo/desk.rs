//! The ticket server as a child process.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use super::upstream::{READY, TOKEN_VARIABLE};
use crate::exit::{Exit, Failure};

/// How long the child may take to listen.
const START_MAX: Duration = Duration::from_secs(10);
/// Longest first line.
const LINE_BYTES_MAX: u64 = 256;

/// The running child. It ends when its standard input closes, which also happens when this process dies.
pub(super) struct DeskProcess {
    child: Child,
    pub(super) address: SocketAddr,
}

impl DeskProcess {
    /// Starts this program again as the ticket server, on a free port of the loopback interface.
    pub(super) async fn start(token: &str) -> Result<Self, Failure> {
        let failed = |what: &str| Failure::new(Exit::Failed, format!("the demonstration's ticket server does not start: {what}"));
        let program = std::env::current_exe().map_err(|cause| failed(&cause.to_string()))?;
        let mut command = Command::new(program);
        command.arg("__demo-upstream").env_clear().env(TOKEN_VARIABLE, token);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|cause| failed(&cause.to_string()))?;
        let stdout = child.stdout.take().ok_or_else(|| failed("no standard output"))?;
        let mut line = String::new();
        let mut reader = BufReader::new(stdout.take(LINE_BYTES_MAX));
        let read = tokio::time::timeout(START_MAX, reader.read_line(&mut line)).await;
        read.map_err(|_| failed("it says nothing"))?.map_err(|cause| failed(&cause.to_string()))?;
        let port = line.trim_end().strip_prefix(READY).and_then(|port| port.parse::<u16>().ok());
        let port = port.ok_or_else(|| failed("it does not say its port"))?;
        Ok(Self { child, address: ([127, 0, 0, 1], port).into() })
    }

    /// Ends the child and waits for it.
    pub(super) async fn stop(mut self) {
        drop(self.child.stdin.take());
        if tokio::time::timeout(Duration::from_secs(2), self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}
