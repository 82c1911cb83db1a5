//! The only task that writes to the child.

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::table::Ticket;
use crate::client::compose::Parts;

/// Messages that wait to be written; further callers wait for their turn.
pub(super) const QUEUE_LINES_MAX: usize = 256;
/// Bytes that wait to be written, counted in [`ROOM_UNIT_BYTES`].
const QUEUE_BYTES_MAX: usize = 32 << 20;
const ROOM_UNIT_BYTES: usize = 1 << 10;
/// Messages up to this size are put together, so that one write sends them.
const JOIN_BYTES_MAX: usize = 64 << 10;

/// A message on its way to the child.
pub(super) struct Line {
    pub(super) parts: Parts,
    /// Absent for what nobody waits for.
    pub(super) ticket: Option<Arc<Ticket>>,
    /// Its share of the queue's bytes; given back when it is written.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// The bytes that may wait.
pub(super) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(QUEUE_BYTES_MAX / ROOM_UNIT_BYTES)))
    }
}

impl Room {
    /// Waits until there is room for `bytes`; what is larger than all the room waits for all of it.
    pub(super) async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = bytes.div_ceil(ROOM_UNIT_BYTES).min(QUEUE_BYTES_MAX / ROOM_UNIT_BYTES);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        Arc::clone(&self.0).acquire_many_owned(units).await.ok()
    }
}

/// Writes until the queue is closed or the child reads no more.
pub(super) async fn run(mut input: impl AsyncWrite + Unpin, mut lines: mpsc::Receiver<Line>) {
    let mut joined = Vec::new();
    while let Some(line) = lines.recv().await {
        if line.ticket.as_ref().is_some_and(|ticket| !ticket.send()) {
            continue;
        }
        if write(&mut input, &line.parts, &mut joined).await.is_err() {
            return;
        }
        drop(line.room);
    }
}

async fn write(input: &mut (impl AsyncWrite + Unpin), parts: &Parts, joined: &mut Vec<u8>) -> std::io::Result<()> {
    if parts.len() < JOIN_BYTES_MAX {
        joined.clear();
        for part in &parts.0 {
            joined.extend_from_slice(part);
        }
        one_line(joined);
        joined.push(b'\n');
        input.write_all(joined).await?;
    } else {
        for part in &parts.0 {
            input.write_all(&flattened(part)).await?;
        }
        input.write_all(b"\n").await?;
    }
    input.flush().await
}

/// A line break in valid JSON text stands between tokens, where a space means the same.
fn one_line(text: &mut [u8]) {
    if memchr::memchr2(b'\n', b'\r', text).is_some() {
        text.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    }
}

fn flattened(part: &Bytes) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', part).is_none() {
        return part.clone();
    }
    let mut text = part.to_vec();
    one_line(&mut text);
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn written(parts: Parts) -> Vec<u8> {
        let (outbox, lines) = mpsc::channel(1);
        outbox.send(Line { parts, ticket: None, room: None }).await.unwrap();
        drop(outbox);
        let mut out = Vec::new();
        run(&mut out, lines).await;
        out
    }

    #[tokio::test]
    async fn pretty_printed_arguments_become_one_line() {
        for size in [1, JOIN_BYTES_MAX] {
            let pad = " ".repeat(size);
            let parts = Parts([Bytes::from("{\"a\":"), Bytes::from(format!("{{\r\n\"b\": \"\\n\"{pad}\n}}")), Bytes::from("}")]);
            let out = written(parts).await;
            assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(value["a"]["b"], "\n");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_is_bounded_in_bytes() {
        let room = Room::default();
        let all = room.take(usize::MAX).await;
        assert!(all.is_some());
        let second = tokio::time::timeout(std::time::Duration::from_secs(1), room.take(1)).await;
        assert!(second.is_err(), "no room is left");
        drop(all);
        assert!(room.take(1).await.is_some());
    }
}
