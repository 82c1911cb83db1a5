//! The life of one child: it is watched, and it is ended with all that it started.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::group::Group;
use super::reader;
use super::table::Table;
use super::tail::Tail;

/// From the closed input to the request to end, and from there to the end (reference, security section 12).
const INPUT_CLOSED_GRACE: Duration = Duration::from_secs(5);
const TERMINATE_GRACE: Duration = Duration::from_secs(3);
/// What an ended child has written is still read, for this long.
const DRAIN_GRACE: Duration = Duration::from_millis(250);

/// The tasks that serve one child.
pub(super) struct Tasks {
    pub(super) writer: JoinHandle<()>,
    pub(super) reader: JoinHandle<reader::End>,
    pub(super) errors: JoinHandle<()>,
}

/// Owns the child.
pub(super) struct Supervisor {
    pub(super) child: Child,
    pub(super) group: Group,
    pub(super) tasks: Tasks,
    pub(super) table: Arc<Table>,
    pub(super) tail: Arc<Tail>,
}

impl Supervisor {
    /// Runs until the child is gone, whether by itself, by its own misbehaviour or because `stop` said so (or went away).
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>, stopped: watch::Sender<bool>) {
        let exited = tokio::select! {
            () = asked(&mut stop) => {
                self.table.end("the server is being stopped");
                false
            }
            status = self.child.wait() => {
                // Its last answers may still be in the pipe.
                let _ = timeout(DRAIN_GRACE, &mut self.tasks.reader).await;
                let _ = timeout(DRAIN_GRACE, &mut self.tasks.errors).await;
                self.table.end(&self.obituary(&describe(status.ok())));
                true
            }
            end = &mut self.tasks.reader => match end {
                Ok(reader::End::Closed) => {
                    // Mostly the child is just ending: its status says more than its closed output.
                    let status = timeout(DRAIN_GRACE, self.child.wait()).await;
                    let what = status.as_ref().map_or("the child closed its standard output".into(), |status| describe(status.as_ref().ok().copied()));
                    self.table.end(&self.obituary(&what));
                    status.is_ok()
                }
                Ok(end) => {
                    self.table.end(&end.into_reason());
                    false
                }
                Err(_) => {
                    self.table.end("the reader of the child failed");
                    false
                }
            },
            _ = &mut self.tasks.writer => {
                self.table.end(&self.obituary("the child closed its standard input"));
                false
            }
        };
        // Ends the writer, which owns the child's input.
        self.tasks.writer.abort();
        if !exited {
            self.stop().await;
        }
        self.group.kill();
        self.tasks.reader.abort();
        self.tasks.errors.abort();
        stopped.send_replace(true);
    }

    async fn stop(&mut self) {
        if timeout(INPUT_CLOSED_GRACE, self.child.wait()).await.is_ok() {
            return;
        }
        self.group.terminate();
        if timeout(TERMINATE_GRACE, self.child.wait()).await.is_ok() {
            return;
        }
        self.group.kill();
        let _ = self.child.wait().await;
    }

    fn obituary(&self, what: &str) -> String {
        match self.tail.last_line() {
            Some(line) => format!("{what}; its last words: {line}"),
            None => what.to_owned(),
        }
    }
}

/// Waits until the child shall stop. Nobody left to say so means the same.
async fn asked(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

fn describe(status: Option<ExitStatus>) -> String {
    match status {
        Some(status) => format!("the child ended with {status}"),
        None => "the child ended".into(),
    }
}
