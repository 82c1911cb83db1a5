//! What stands in front of a ledger's writer, whatever it writes to: the bounded queue, the waiting callers, the backlog of
//! the index, and the one place that decides whether an entry may come in.

use std::task::Waker;
use std::time::{Duration, Instant};

use bailiwick_model::time::Timestamp;

use super::backlog::Backlog;
use super::chain::WriterId;
use super::record::Span;
use super::slots::{SlotId, Slots};
use super::{Durability, Entry, Receipt, Unavailable};
use crate::event::EventRow;

/// Entries that wait for being written at one time. Beyond it callers are refused.
pub const QUEUE_RECORDS_MAX: usize = 10_000;

/// Bytes of entries that wait for being written or saved at one time.
pub const QUEUE_BYTES_MAX: usize = 64 << 20;

/// How long a write, a save or the index may take before the ledger counts as unavailable, in milliseconds.
pub const HANG_MS_MAX: u64 = 2_000;

/// An entry on its way to the writer.
pub(crate) struct Pending {
    pub(crate) span: Span,
    pub(crate) body: Vec<u8>,
    pub(crate) durability: Durability,
    pub(crate) row: Option<Box<EventRow>>,
    pub(crate) slot: Option<SlotId>,
}

/// Why nothing can be recorded at the moment.
pub(crate) struct Trouble {
    pub(crate) reason: String,
    pub(crate) since: Timestamp,
}

/// An operation that has not returned yet.
#[derive(Clone, Copy)]
pub(crate) struct Running {
    pub(crate) since: Instant,
    /// What callers are told when it hangs.
    pub(crate) what: &'static str,
    /// Somebody has waited for it as long as anybody waits.
    pub(crate) hung: bool,
}

impl Running {
    /// Begins now.
    pub(crate) fn begin(since: Instant, what: &'static str) -> Self {
        Self { since, what, hung: false }
    }
}

/// See the module.
pub(crate) struct Gate {
    pub(crate) writer: WriterId,
    pub(crate) pending: Vec<Pending>,
    /// An empty vector whose capacity is used for the next batch.
    spare: Vec<Pending>,
    pending_bytes: usize,
    pending_rows: usize,
    pub(crate) slots: Slots,
    pub(crate) backlog: Backlog,
    pub(crate) trouble: Option<Trouble>,
    pub(crate) writing: Option<Running>,
    pub(crate) saving: Option<Running>,
    pub(crate) stop: bool,
    pub(crate) hang: Duration,
    /// Entries let in so far, and how many of them have been written, refused or withdrawn.
    pub(crate) accepted: u64,
    pub(crate) settled: u64,
}

/// A ledger whose gate can be reached.
pub(crate) trait Door: Send + Sync {
    /// Runs `act` under the lock.
    fn with_gate(&self, act: &mut dyn FnMut(&mut Gate));
}

impl Gate {
    pub(crate) fn new(writer: WriterId, backlog: Backlog, hang: Duration) -> Self {
        Self {
            writer,
            pending: Vec::new(),
            spare: Vec::new(),
            pending_bytes: 0,
            pending_rows: 0,
            slots: Slots::default(),
            backlog,
            trouble: None,
            writing: None,
            saving: None,
            stop: false,
            hang,
            accepted: 0,
            settled: 0,
        }
    }

    /// Why `entry` cannot come in; `None` when it can.
    pub(crate) fn refusal(&self, entry: &Entry) -> Option<Unavailable> {
        if self.stop {
            return Some(Unavailable::new("the ledger is closed"));
        }
        if let Some(reason) = self.reason() {
            return Some(Unavailable::new(reason));
        }
        if self.pending.len() >= QUEUE_RECORDS_MAX {
            return Some(Unavailable::new("queue full (10,000 records)"));
        }
        if self.pending_bytes + entry.bytes.len() > QUEUE_BYTES_MAX {
            return Some(Unavailable::new("queue full (64 MiB)"));
        }
        // An outcome tells of something that has happened already; it has its place reserved by its intent.
        if matches!(entry.span, Span::Outcome(_)) {
            return None;
        }
        self.backlog.refusal(self.pending_rows, self.hang).map(Unavailable::new)
    }

    /// Why the writer cannot record; `None` when it can.
    pub(crate) fn reason(&self) -> Option<String> {
        if let Some(trouble) = &self.trouble {
            return Some(trouble.reason.clone());
        }
        let hung = [self.writing, self.saving].into_iter().flatten().find(|r| r.hung || r.since.elapsed() >= self.hang);
        hung.map(|r| format!("{} hung", r.what))
    }

    /// Puts an admitted entry at the end of the queue.
    pub(crate) fn push(&mut self, entry: Entry, wait: bool) -> Option<SlotId> {
        let slot = wait.then(|| self.slots.take());
        self.accepted += 1;
        self.pending_bytes += entry.bytes.len();
        self.pending_rows += usize::from(entry.row.is_some());
        self.pending.push(Pending { span: entry.span, body: entry.bytes, durability: entry.durability, row: entry.row, slot });
        slot
    }

    /// Takes the whole queue for writing. Its place in the limits is kept until [`Self::settle`] or [`Self::fail`].
    pub(crate) fn take_batch(&mut self) -> Vec<Pending> {
        std::mem::replace(&mut self.pending, std::mem::take(&mut self.spare))
    }

    /// Gives a batch vector back for reuse.
    fn recycle(&mut self, mut batch: Vec<Pending>) {
        batch.clear();
        if self.spare.capacity() == 0 && batch.capacity() <= QUEUE_RECORDS_MAX {
            self.spare = batch;
        }
    }

    /// Settles a written batch: hands its rows to the index and answers those for whom being written is enough.
    /// `first_seq` is the number of its first entry; `saved` passes the others to the caller.
    pub(crate) fn settle(
        &mut self,
        mut batch: Vec<Pending>,
        bytes: usize,
        first_seq: u64,
        mut unsaved: impl FnMut(u64, SlotId),
        wake: &mut Vec<Waker>,
    ) {
        self.pending_bytes = self.pending_bytes.saturating_sub(bytes);
        self.settled += batch.len() as u64;
        for (entry, seq) in batch.iter_mut().zip(first_seq..) {
            if let Some(row) = entry.row.take() {
                self.pending_rows = self.pending_rows.saturating_sub(1);
                self.backlog.push_row(seq, row);
            }
            let Some(slot) = entry.slot else { continue };
            match entry.durability {
                Durability::Power => unsaved(seq, slot),
                Durability::Process => self.answer(slot, Ok(Receipt { writer: self.writer, seq }), wake),
            }
        }
        self.recycle(batch);
    }

    pub(crate) fn answer(&mut self, slot: SlotId, result: Result<Receipt, Unavailable>, wake: &mut Vec<Waker>) {
        wake.extend(self.slots.resolve(slot, result));
    }

    /// Refuses a batch that could not be written, and everything that waits behind it.
    pub(crate) fn fail(&mut self, batch: Vec<Pending>, reason: &str, wake: &mut Vec<Waker>) {
        let waiting = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        self.pending_rows = 0;
        self.settled += (batch.len() + waiting.len()) as u64;
        for entry in batch.into_iter().chain(waiting) {
            if let Some(slot) = entry.slot {
                self.answer(slot, Err(Unavailable::new(reason)), wake);
            }
        }
    }

    /// From now on records are of another writer; `written` is the last record of the one before.
    pub(crate) fn switch(&mut self, writer: WriterId, written: u64) {
        self.writer = writer;
        self.backlog.switch(writer, written);
    }

    /// Takes back an entry whose caller gave up before it was written.
    pub(crate) fn withdraw(&mut self, slot: SlotId) {
        let Some(at) = self.pending.iter().position(|p| p.slot == Some(slot)) else { return };
        let entry = self.pending.remove(at);
        self.settled += 1;
        self.pending_bytes = self.pending_bytes.saturating_sub(entry.body.len());
        self.pending_rows = self.pending_rows.saturating_sub(usize::from(entry.row.is_some()));
    }

    /// A caller has waited as long as anybody waits: what runs at the moment is what he waited for.
    pub(crate) fn gave_up(&mut self) {
        for running in [&mut self.writing, &mut self.saving].into_iter().flatten() {
            running.hung = true;
        }
    }

    /// Bytes that wait for being written.
    pub(crate) const fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Whether nothing is queued.
    pub(crate) fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.writing.is_none()
    }
}
