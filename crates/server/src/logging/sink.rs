//! A bounded queue of lines and the thread that writes them.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use bailiwick_model::time::Clock;

use crate::system::SystemClock;

/// Lines that may wait for the writer; what comes on top is dropped and counted.
const QUEUE_LINES_MAX: usize = 8192;
/// Longest line; the rest is cut, so that the queue is bounded in bytes as well (512 MiB at worst, in practice a few MiB).
const LINE_BYTES_MAX: usize = 64 << 10;
/// Lines written between two flushes.
const BATCH_LINES_MAX: usize = 256;
/// How long an ending process waits for its last lines.
const FLUSH_MAX: Duration = Duration::from_secs(1);

enum Order {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Takes lines without ever blocking.
pub(super) struct LineSink {
    orders: Option<SyncSender<Order>>,
    dropped: Arc<AtomicU64>,
}

impl LineSink {
    /// Starts the writer thread. Without a thread (the system has none left) every line counts as dropped.
    pub(super) fn start(name: &str, target: impl Write + Send + 'static) -> Self {
        let (orders, queue) = sync_channel(QUEUE_LINES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        let started = thread::Builder::new().name(name.to_owned()).spawn(move || write_lines(&queue, target, &counter));
        Self { orders: started.is_ok().then_some(orders), dropped }
    }

    /// Queues one line, which must end in a newline.
    pub(super) fn send(&self, mut line: Vec<u8>) {
        if line.len() > LINE_BYTES_MAX {
            line.truncate(LINE_BYTES_MAX - 1);
            line.push(b'\n');
        }
        let taken = self.orders.as_ref().is_some_and(|orders| orders.try_send(Order::Line(line)).is_ok());
        if !taken {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Waits until everything queued so far is written, at most a second.
    pub(super) fn flush(&self) {
        let (done, written) = sync_channel(1);
        let Some(orders) = &self.orders else { return };
        let mut order = Order::Flush(done);
        let give_up = std::time::Instant::now() + FLUSH_MAX;
        // The queue may be full of lines that are being written at this moment.
        while let Err(TrySendError::Full(back)) = orders.try_send(order) {
            if std::time::Instant::now() >= give_up {
                return;
            }
            order = back;
            thread::yield_now();
        }
        let _ = written.recv_timeout(FLUSH_MAX);
    }
}

fn write_lines(queue: &Receiver<Order>, mut target: impl Write, dropped: &AtomicU64) {
    let mut batch = Vec::new();
    while let Ok(first) = queue.recv() {
        let mut waiting = None;
        for order in std::iter::once(first).chain(queue.try_iter().take(BATCH_LINES_MAX)) {
            match order {
                Order::Line(line) => batch.push(line),
                Order::Flush(done) => {
                    waiting = Some(done);
                    break;
                }
            }
        }
        let missing = dropped.swap(0, Relaxed);
        if missing > 0 {
            batch.push(dropped_note(missing));
        }
        let lines = batch.len() as u64;
        if write_batch(&mut target, &batch).is_err() {
            // A full disk or a closed pipe: count what is lost and say so once there is room again.
            dropped.fetch_add(missing.max(lines), Relaxed);
        }
        batch.clear();
        if let Some(done) = waiting {
            // Who asked may have given up waiting.
            let _ = done.send(());
        }
    }
}

fn write_batch(target: &mut impl Write, batch: &[Vec<u8>]) -> io::Result<()> {
    batch.iter().try_for_each(|line| target.write_all(line))?;
    target.flush()
}

fn dropped_note(count: u64) -> Vec<u8> {
    let now = SystemClock.now();
    format!("{{\"timestamp\":\"{now}\",\"level\":\"warning\",\"logger\":\"ops\",\"event\":\"log_lines_dropped\",\"count\":{count}}}\n")
        .into_bytes()
}

/// Gives each write of the text formatter, which is one whole line, to the sink.
pub(super) struct LineWriter(pub(super) Arc<LineSink>);

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.send(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc;

    use super::*;

    /// A target that waits for a permission before each write.
    struct Gated {
        permits: mpsc::Receiver<()>,
        text: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.permits.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.text.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_target_drops_lines_counts_them_and_recovers() {
        let (permit, permits) = sync_channel(QUEUE_LINES_MAX * 2);
        let text = Arc::new(Mutex::new(Vec::new()));
        let sink = LineSink::start("test", Gated { permits, text: Arc::clone(&text) });
        let sent = QUEUE_LINES_MAX + BATCH_LINES_MAX + 50;
        for _ in 0..sent {
            sink.send(b"line\n".to_vec());
        }
        assert!(sink.dropped.load(Relaxed) >= 1, "nothing blocks, something is dropped");
        for _ in 0..=sent {
            permit.send(()).unwrap();
        }
        sink.flush();
        // The note follows the first batch that is written after the loss.
        permit.send(()).unwrap();
        sink.send(b"last\n".to_vec());
        sink.flush();
        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        let written = text.matches("line\n").count();
        let count = text.lines().find_map(|line| line.split("\"count\":").nth(1)).unwrap().trim_end_matches('}').parse::<usize>().unwrap();
        assert_eq!(written + count, sent);
    }

    #[test]
    fn long_lines_are_cut() {
        let (permit, permits) = sync_channel(2);
        let text = Arc::new(Mutex::new(Vec::new()));
        let sink = LineSink::start("test", Gated { permits, text: Arc::clone(&text) });
        permit.send(()).unwrap();
        sink.send(vec![b'x'; LINE_BYTES_MAX * 2]);
        sink.flush();
        let text = text.lock().unwrap();
        assert_eq!(text.len(), LINE_BYTES_MAX);
        assert!(text.ends_with(b"x\n"));
    }
}
