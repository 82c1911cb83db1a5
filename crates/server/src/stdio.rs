//! The stdio door: one client, lines in and lines out.
//!
//! The reader spawns one task per line, a single writer owns the output, and both are bounded: a client that does not read its
//! answers is not read from either. Standard output carries nothing but JSON-RPC.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_mcp::stdio::{Line, LineReader, LineWriter};
use bailiwick_mcp::{Frame, WireError, encode, error};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Lines that are worked on at once. More than the gateway lets one agent run or queue, so that a cancellation still gets through.
const LINES_AT_ONCE_MAX: usize = 256;
/// Messages that wait for the client to read them.
const OUTBOX_FRAMES_MAX: usize = 256;

/// What answers lines; the gateway with its peer, or a stand-in under test.
pub trait Answerer: Send + Sync + 'static {
    /// Takes one line; `None` for notifications and responses. Called in the order of the lines; the futures run side by side.
    fn line(&self, line: Bytes) -> impl Future<Output = Option<Frame>> + Send + 'static;
}

/// Both ends of the way to the client. The sender may be shared with whoever has notifications to send.
#[must_use]
pub fn outbox() -> (Sender<Frame>, Receiver<Frame>) {
    mpsc::channel(OUTBOX_FRAMES_MAX)
}

/// Why the door closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The client closed its end, or `stop` resolved; every accepted line was answered.
    Finished,
    /// The same, but some lines were not answered in time.
    Unanswered,
    /// The client does not take answers any more.
    Broken,
}

/// Serves until the input ends or `stop` resolves, then lets running lines finish for at most `drain`.
///
/// # Errors
/// What reading the input reports.
pub async fn serve<A: Answerer>(
    answerer: A,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin + Send + 'static,
    outbox: (Sender<Frame>, Receiver<Frame>),
    stop: impl Future<Output = ()>,
    drain: Duration,
) -> io::Result<Closed> {
    let (sender, receiver) = outbox;
    let places = Arc::new(Semaphore::new(LINES_AT_ONCE_MAX));
    let (close, closing) = oneshot::channel();
    let mut writer = tokio::spawn(write_frames(receiver, output, closing));
    let read = tokio::select! {
        read = read_lines(&answerer, input, &sender, &places) => read,
        () = stop => Ok(()),
        _ = &mut writer => return Ok(Closed::Broken),
    };
    // All places free means that every answer is in the outbox.
    let all = places.acquire_many(u32::try_from(LINES_AT_ONCE_MAX).unwrap_or(u32::MAX));
    let answered = tokio::time::timeout(drain, all).await.is_ok();
    let _ = close.send(());
    let written = tokio::time::timeout(FLUSH_MAX, writer).await.is_ok();
    read.map(|()| if answered && written { Closed::Finished } else { Closed::Unanswered })
}

/// How long the last frames may take to leave.
const FLUSH_MAX: Duration = Duration::from_secs(1);

async fn read_lines<A: Answerer>(
    answerer: &A,
    input: impl AsyncRead + Unpin,
    sender: &Sender<Frame>,
    places: &Arc<Semaphore>,
) -> io::Result<()> {
    let mut lines = LineReader::new(input);
    loop {
        match lines.next().await? {
            Line::End => return Ok(()),
            Line::TooLong(id) => {
                let fault = WireError::new(error::INVALID_REQUEST, "Invalid request: the line is longer than 16 MiB; send less at once");
                let fault = fault.with_id(id);
                let _ = sender.send(encode::wire_error(&fault)).await;
            }
            Line::Text(line) => {
                let Ok(place) = Arc::clone(places).acquire_owned().await else { return Ok(()) };
                tokio::spawn(answer(answerer.line(line), sender.clone(), place));
            }
        }
    }
}

async fn answer(work: impl Future<Output = Option<Frame>>, sender: Sender<Frame>, _place: OwnedSemaphorePermit) {
    if let Some(frame) = work.await {
        // The writer is gone only when the client is.
        let _ = sender.send(frame).await;
    }
}

/// Writes until the client is gone, or until `closing` resolves and nothing is left.
async fn write_frames(mut receiver: Receiver<Frame>, output: impl AsyncWrite + Unpin, mut closing: oneshot::Receiver<()>) {
    let mut writer = LineWriter::new(output);
    loop {
        let frame = tokio::select! {
            biased;
            frame = receiver.recv() => frame,
            // Senders of notifications may live on, so the channel does not close by itself.
            _ = &mut closing => None,
        };
        let Some(frame) = frame else { break };
        if let Err(cause) = writer.write(frame).await {
            tracing::warn!(target: "ops", event = "client_gone", %cause, "the client does not take answers any more");
            return;
        }
    }
    let _ = writer.close().await;
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::sync::Notify;

    use super::*;

    /// Answers `{}` to everything but notifications; lines with `wait` wait for a permission.
    #[derive(Clone, Default)]
    struct Echo(Arc<Notify>);

    impl Answerer for Echo {
        fn line(&self, line: Bytes) -> impl Future<Output = Option<Frame>> + Send + 'static {
            let permission = self.0.clone();
            async move {
                let text = String::from_utf8_lossy(&line).into_owned();
                if text.contains("wait") {
                    permission.notified().await;
                }
                (!text.contains("notify")).then(|| encode::notification(&text, None))
            }
        }
    }

    const LONG: Duration = Duration::from_secs(20);

    async fn talk(echo: Echo, text: &str, stop: impl Future<Output = ()>, drain: Duration) -> (String, Closed) {
        let (mut client, input) = duplex(1 << 20);
        let (output, mut answers) = duplex(1 << 20);
        client.write_all(text.as_bytes()).await.unwrap();
        drop(client);
        let closed = serve(echo, input, output, outbox(), stop, drain).await.unwrap();
        let mut out = String::new();
        answers.read_to_string(&mut out).await.unwrap();
        (out, closed)
    }

    #[tokio::test]
    async fn answers_every_line_before_it_ends() {
        let text = (0..1000).map(|n| format!("line{n}\n")).collect::<String>();
        let (out, closed) = talk(Echo::default(), &text, pending(), LONG).await;
        assert_eq!(closed, Closed::Finished);
        assert_eq!(out.lines().count(), 1000);
        assert!(out.lines().all(|line| line.starts_with("{\"jsonrpc\":\"2.0\"")));
    }

    #[tokio::test]
    async fn a_slow_line_delays_no_other_and_is_waited_for() {
        let echo = Echo::default();
        let release = echo.0.clone();
        let (mut client, input) = duplex(1 << 16);
        let (output, answers) = duplex(1 << 16);
        let door = tokio::spawn(async move { serve(echo, input, output, outbox(), pending(), LONG).await.unwrap() });
        client.write_all(b"wait\nnotify\nquick\n").await.unwrap();
        let mut answers = LineReader::new(answers);
        let Line::Text(first) = answers.next().await.unwrap() else { panic!("a line") };
        assert!(String::from_utf8_lossy(&first).contains("quick"));
        drop(client);
        release.notify_one();
        let Line::Text(second) = answers.next().await.unwrap() else { panic!("a line") };
        assert!(String::from_utf8_lossy(&second).contains("wait"));
        assert_eq!(door.await.unwrap(), Closed::Finished);
        assert_eq!(answers.next().await.unwrap(), Line::End);
    }

    #[tokio::test]
    async fn stopping_does_not_wait_longer_than_allowed() {
        let (mut client, input) = duplex(1 << 16);
        let (output, _answers) = duplex(1 << 16);
        client.write_all(b"wait\n").await.unwrap();
        // The input stays open; `stop` becomes ready only after the line was taken, which the reader does first.
        let stop = async { tokio::task::yield_now().await };
        let closed = serve(Echo::default(), input, output, outbox(), stop, Duration::from_millis(50)).await.unwrap();
        assert_eq!(closed, Closed::Unanswered);
        drop(client);
    }

    #[tokio::test]
    async fn a_client_that_is_gone_ends_the_door() {
        let (mut client, input) = duplex(1 << 16);
        let (output, answers) = duplex(1 << 16);
        drop(answers);
        client.write_all(b"quick\n").await.unwrap();
        let closed = serve(Echo::default(), input, output, outbox(), pending(), LONG).await.unwrap();
        assert_eq!(closed, Closed::Broken);
    }

    #[tokio::test]
    async fn a_line_beyond_the_limit_is_told_and_the_next_one_served() {
        let text = format!("{}\nquick\n", "x".repeat((16 << 20) + 1));
        let (mut client, input) = duplex(1 << 20);
        let (output, mut answers) = duplex(1 << 20);
        let feed = tokio::spawn(async move { client.write_all(text.as_bytes()).await });
        let closed = serve(Echo::default(), input, output, outbox(), pending(), LONG).await.unwrap();
        feed.await.unwrap().unwrap();
        let mut out = String::new();
        answers.read_to_string(&mut out).await.unwrap();
        assert_eq!(closed, Closed::Finished);
        assert!(out.contains("-32600") && out.contains("longer than 16 MiB") && out.contains("quick"), "{out}");
    }

    #[tokio::test]
    async fn an_idle_door_stops_at_once() {
        let (_client, input) = duplex(16);
        let (output, _answers) = duplex(16);
        assert_eq!(serve(Echo::default(), input, output, outbox(), ready(()), LONG).await.unwrap(), Closed::Finished);
    }
}
