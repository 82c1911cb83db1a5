//! The client's stdio side: a child process, one task that reads its answers, one that keeps its standard error.

use std::collections::HashMap;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;

use super::{ANSWER_WAIT, Answer, Fault, rules};

/// Standard error kept; what comes after is read and dropped, so that the child never blocks.
const STDERR_BYTES_MAX: usize = 4 << 20;
/// Notifications kept between two answers.
const NOTIFICATIONS_MAX: usize = 10_000;

#[derive(Clone)]
pub(super) struct StdioSide(Arc<Process>);

struct Process {
    child: tokio::sync::Mutex<Child>,
    process_id: Option<u32>,
    stdin: tokio::sync::Mutex<Option<ChildStdin>>,
    state: Mutex<State>,
    stderr: Mutex<Vec<u8>>,
}

#[derive(Default)]
struct State {
    waiting: HashMap<i64, Waiting>,
    notifications: Vec<Value>,
    /// Why no further answer can come.
    ended: Option<Fault>,
}

struct Waiting {
    answer: oneshot::Sender<Result<Answer, Fault>>,
    /// Its progress token, null when it has none.
    token: Value,
}

impl StdioSide {
    pub(super) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{:?} cannot be started: {e}", command.as_std().get_program()));
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let process = Arc::new(Process {
            process_id: child.id(),
            child: tokio::sync::Mutex::new(child),
            stdin: tokio::sync::Mutex::new(stdin),
            state: Mutex::default(),
            stderr: Mutex::default(),
        });
        tokio::spawn(read_answers(process.clone(), stdout.expect("a pipe")));
        tokio::spawn(keep_stderr(process.clone(), stderr.expect("a pipe")));
        Self(process)
    }

    pub(super) async fn ask(&self, id: i64, token: &Value, message: String) -> Result<Answer, Fault> {
        let (tx, rx) = oneshot::channel();
        {
            let mut state = self.0.state();
            if let Some(ended) = &state.ended {
                return Err(ended.clone());
            }
            state.waiting.insert(id, Waiting { answer: tx, token: token.clone() });
        }
        self.write(message).await?;
        rx.await.unwrap_or_else(|_| Err(Fault::Lost("the reader of the server's output ended".into())))
    }

    pub(super) async fn write(&self, mut line: String) -> Result<(), Fault> {
        line.push('\n');
        let mut stdin = self.0.stdin.lock().await;
        let pipe = stdin.as_mut().ok_or_else(|| Fault::Lost("the server's input is closed".into()))?;
        let written = async {
            pipe.write_all(line.as_bytes()).await?;
            pipe.flush().await
        };
        written.await.map_err(|e| Fault::Lost(format!("writing to the server: {e}")))
    }

    pub(super) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    pub(super) fn process_id(&self) -> Option<u32> {
        self.0.process_id
    }

    pub(super) async fn close(&self) -> Result<ExitStatus, Fault> {
        self.0.stdin.lock().await.take();
        let mut child = self.0.child.lock().await;
        if let Ok(status) = tokio::time::timeout(ANSWER_WAIT, child.wait()).await {
            return status.map_err(|e| Fault::Lost(e.to_string()));
        }
        let _ = child.kill().await;
        Err(Fault::Lost("the server lived on after its input was closed and was killed".into()))
    }
}

impl Process {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, why: Fault) {
        let mut state = self.state();
        for (_, waiting) in state.waiting.drain() {
            let _ = waiting.answer.send(Err(why.clone()));
        }
        state.ended = Some(why);
    }

    /// Gives one line to whoever waits for it.
    fn take(&self, text: &str) -> Result<(), Fault> {
        let Ok(message @ Value::Object(_)) = serde_json::from_str::<Value>(text) else {
            return Err(Fault::Broken(format!("a line that is not a JSON object: {}", rules::shorten(text))));
        };
        let mut state = self.state();
        if message.get("method").is_some() {
            if state.notifications.len() < NOTIFICATIONS_MAX {
                state.notifications.push(message);
            }
            return Ok(());
        }
        let waiting = match &message["id"] {
            // An error without an id answers a line that could not be read: it belongs to the one who waits, if only one does.
            Value::Null if state.waiting.len() == 1 => state.waiting.keys().next().copied(),
            id => id.as_i64(),
        };
        let Some(waiting) = waiting.and_then(|id| state.waiting.remove(&id)) else {
            return Err(Fault::Broken(format!("an answer that nobody waits for: {}", rules::shorten(text))));
        };
        // Progress of others stays for them; when nobody else waits, a foreign token is this answer's fault.
        let others: Vec<Value> = state.waiting.values().map(|w| w.token.clone()).collect();
        let all = std::mem::take(&mut state.notifications);
        let (notifications, kept) = all.into_iter().partition(|n| !others.contains(&n["params"]["progressToken"]));
        state.notifications = kept;
        let _ = waiting.answer.send(Ok(Answer { status: None, text: text.to_owned(), notifications }));
        Ok(())
    }
}

async fn read_answers(process: Arc<Process>, stdout: ChildStdout) {
    let mut lines = BufReader::with_capacity(64 << 10, stdout).lines();
    let why = loop {
        match lines.next_line().await {
            Ok(Some(line)) => {
                if let Err(broken) = process.take(&line) {
                    break broken;
                }
            }
            Ok(None) => break Fault::Lost("the server closed its output".into()),
            Err(error) => break Fault::Lost(format!("reading from the server: {error}")),
        }
    };
    process.end(why);
    // A server must never block on a full pipe because a test has seen enough.
    let _ = tokio::io::copy(&mut lines.into_inner(), &mut tokio::io::sink()).await;
}

async fn keep_stderr(process: Arc<Process>, mut stderr: impl AsyncRead + Unpin) {
    let mut part = vec![0; 16 << 10];
    while let Ok(length @ 1..) = stderr.read(&mut part).await {
        let mut kept = process.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        let room = STDERR_BYTES_MAX.saturating_sub(kept.len()).min(length);
        kept.extend_from_slice(&part[..room]);
    }
}
