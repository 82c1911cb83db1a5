//! The fake server over standard input and output; runs in the program `fake-upstream`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::behaviour::{ENDLESS_BYTES_MAX, Fault, ProcessHabits};
use super::fault;
use super::news::Listener;
use super::server::{Incoming, Plan, Server};
use super::wire::Envelope;

/// Lines that wait for the reader of our output.
const LINES_QUEUED_MAX: usize = 256;
/// How long a process that ignores the end of its input lives on.
const STUBBORN_SECONDS: u64 = 3600;

type Lines = mpsc::Sender<Vec<u8>>;
type Running = Arc<Mutex<HashMap<String, AbortHandle>>>;

/// Serves standard input until it ends.
pub(super) async fn serve(server: Arc<Server>) -> std::io::Result<()> {
    let habits = server.scene().behaviour.process.clone();
    prepare(&habits)?;
    let (tx, mut rx) = mpsc::channel::<Vec<u8>>(LINES_QUEUED_MAX);
    let writer = tokio::spawn(async move {
        let mut out = tokio::io::stdout();
        while let Some(line) = rx.recv().await {
            if out.write_all(&line).await.is_err() || out.flush().await.is_err() {
                return;
            }
        }
    });
    if let Some(greeting) = habits.greeting {
        let _ = tx.send(format!("{greeting}\n").into_bytes()).await;
    }
    let running = Running::default();
    let mut input = BufReader::with_capacity(64 << 10, tokio::io::stdin());
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line).await? > 0 {
        if let Some(id) = cancelled(&line) {
            cancel(&server, &running, &id);
        }
        answer_line(&server, &tx, &running, std::mem::take(&mut line)).await;
    }
    if habits.ignores_eof {
        tokio::time::sleep(Duration::from_secs(STUBBORN_SECONDS)).await;
    }
    drop(tx);
    // Answers that are still being made are lost, as with any server that stops when its input ends.
    running.lock().unwrap_or_else(PoisonError::into_inner).values().for_each(AbortHandle::abort);
    let _ = writer.await;
    Ok(())
}

fn prepare(habits: &ProcessHabits) -> std::io::Result<()> {
    if let Some(code) = habits.exit_at_start {
        eprintln!("fake-upstream: told to end with code {code}");
        std::process::exit(code.into());
    }
    if habits.ignores_sigterm {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::spawn(async move { while terminate.recv().await.is_some() {} });
    }
    if let Some(file) = &habits.grandchild {
        let child = std::process::Command::new("sleep").arg(STUBBORN_SECONDS.to_string()).spawn()?;
        std::fs::write(file, child.id().to_string())?;
    }
    let line = "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopq";
    for _ in 0..habits.stderr_bytes / (line.len() + 1) {
        eprintln!("{line}");
    }
    Ok(())
}

async fn answer_line(server: &Arc<Server>, out: &Lines, running: &Running, line: Vec<u8>) {
    let scene = server.scene();
    let plan = server.plan(&scene, &Incoming { body: line.trim_ascii_end(), headers: None, connection: 0 });
    match plan {
        Plan::Nothing => {}
        Plan::Crash => std::process::exit(70),
        Plan::Fault(fault, id) => misbehave(out.clone(), fault, id).await,
        Plan::Listen(id, listener) => {
            let task = tokio::spawn(news(server.clone(), out.clone(), listener));
            running.lock().unwrap_or_else(PoisonError::into_inner).insert(id, task.abort_handle());
        }
        Plan::Talk(talk) => {
            let (server, out, finished, key) = (server.clone(), out.clone(), running.clone(), talk.id.clone());
            let id = key.clone();
            let task = tokio::spawn(async move {
                let ended = talk
                    .hold(&server.questions, |message| async {
                        send(&out, message).await;
                        true
                    })
                    .await;
                if let Some(message) = ended {
                    send(&out, message).await;
                }
                finished.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            });
            running.lock().unwrap_or_else(PoisonError::into_inner).insert(id, task.abort_handle());
        }
        Plan::Answer(answer) => {
            let opened = serde_json::from_slice::<Envelope<'_>>(&line).is_ok_and(|e| e.method.as_deref() == Some("initialize"));
            if opened {
                let task = tokio::spawn(news(server.clone(), out.clone(), Listener::Session(String::new())));
                // No request has an empty id.
                running.lock().unwrap_or_else(PoisonError::into_inner).insert(String::new(), task.abort_handle());
            }
            let id = id_of(&line);
            let (out, finished, key) = (out.clone(), running.clone(), id.clone());
            let task = tokio::spawn(async move {
                for message in answer.progress {
                    send(&out, message).await;
                }
                if !answer.delay.is_zero() {
                    tokio::time::sleep(answer.delay).await;
                }
                send(&out, answer.message).await;
                finished.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            });
            // A single-threaded runtime cannot have finished the task before this line.
            running.lock().unwrap_or_else(PoisonError::into_inner).insert(id, task.abort_handle());
        }
    }
}

async fn send(out: &Lines, mut message: Vec<u8>) {
    message.push(b'\n');
    let _ = out.send(message).await;
}

async fn misbehave(out: Lines, wrong: Fault, id: String) {
    match &wrong {
        Fault::Silence => {}
        Fault::Endless => {
            const PART: usize = 64 << 10;
            for _ in 0..ENDLESS_BYTES_MAX / PART {
                if out.send(vec![b'x'; PART]).await.is_err() {
                    break;
                }
            }
            std::process::exit(71)
        }
        Fault::Truncated => {
            let mut stdout = tokio::io::stdout();
            let _ = stdout.write_all(&fault::text(&wrong, &id).unwrap_or_default()).await;
            let _ = stdout.flush().await;
            std::process::exit(72)
        }
        _ => match fault::text(&wrong, &id) {
            Some(text) => send(&out, text).await,
            None => std::process::exit(73),
        },
    }
}

async fn news(server: Arc<Server>, out: Lines, listener: Listener) {
    let mut news = server.news.subscribe();
    if let Some(greeting) = listener.greeting() {
        send(&out, greeting).await;
    }
    while let Ok(one) = news.recv().await {
        if let Some(message) = listener.hear(&server, &one) {
            send(&out, message).await;
        }
    }
}

fn id_of(line: &[u8]) -> String {
    serde_json::from_slice::<Envelope<'_>>(line).ok().and_then(|e| e.id.map(|id| id.get().to_owned())).unwrap_or_default()
}

/// The id that a `notifications/cancelled` names.
fn cancelled(line: &[u8]) -> Option<String> {
    let envelope: Envelope<'_> = serde_json::from_slice(line).ok()?;
    if envelope.method.as_deref() != Some("notifications/cancelled") {
        return None;
    }
    let params: super::wire::Params<'_> = serde_json::from_str(envelope.params?.get()).ok()?;
    Some(params.request_id?.get().to_owned())
}

fn cancel(server: &Server, running: &Running, id: &str) {
    if let Some(task) = running.lock().unwrap_or_else(PoisonError::into_inner).remove(id) {
        task.abort();
        server.record.note_abandoned();
    }
}
