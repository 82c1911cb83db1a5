//! Rows and checkpoints that are on the ledger but not yet in the readable index.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::chain::WriterId;
use super::checkpoint::Note;
use crate::event::EventRow;

/// Rows that may wait for the index at one time. Beyond it no further call is let in.
pub const INDEX_ROWS_MAX: usize = 10_000;

/// Rows after which the index is written without waiting for more.
pub const INDEX_BATCH_ROWS: usize = 500;

/// Longest text of redacted arguments that a row may carry; a longer one is left out.
pub const ARGS_BYTES_MAX: usize = 16 << 10;

/// What the index writer takes at once.
pub struct Batch {
    /// Whose records.
    pub writer: WriterId,
    /// Rows and the numbers of their records, in the order of the chain.
    pub rows: Vec<(u64, Box<EventRow>)>,
    /// Checkpoints made since.
    pub notes: Vec<Note>,
    /// Every record up to this one has its row in this batch or an earlier one.
    pub position: u64,
}

/// See the module.
pub(crate) struct Backlog {
    enabled: bool,
    waiting: Batch,
    /// Batches of writers that this process had before.
    earlier: VecDeque<Batch>,
    /// Rows taken by the index writer and not yet confirmed.
    in_flight: usize,
    /// Since when the index writer tries in vain, and what it was told.
    stuck: Option<(Instant, String)>,
    /// Every record up to this one is in the index.
    pub(crate) indexed: u64,
    /// Somebody waits for the index.
    pub(crate) hurry: bool,
    /// Set when a row was pushed to an empty backlog or the batch is full: the index writer has to be told.
    tell: bool,
}

impl Batch {
    /// Nothing of `writer`.
    #[must_use]
    pub const fn empty(writer: WriterId) -> Self {
        Self { writer, rows: Vec::new(), notes: Vec::new(), position: 0 }
    }
}

impl Backlog {
    /// Without an index (`enabled` false) rows are dropped.
    pub(crate) fn new(enabled: bool, writer: WriterId) -> Self {
        Self {
            enabled,
            waiting: Batch::empty(writer),
            earlier: VecDeque::new(),
            in_flight: 0,
            stuck: None,
            indexed: 0,
            hurry: false,
            tell: false,
        }
    }

    /// Why no further row may come; `reserved` rows are on their way already.
    pub(crate) fn refusal(&self, reserved: usize, hang: Duration) -> Option<String> {
        if let Some((_, reason)) = self.stuck.as_ref().filter(|(since, _)| since.elapsed() >= hang) {
            return Some(reason.clone());
        }
        (self.len() + reserved >= INDEX_ROWS_MAX).then(|| "index queue full (10,000 rows)".to_owned())
    }

    /// Rows not yet in the index.
    pub(crate) fn len(&self) -> usize {
        self.earlier.iter().map(|batch| batch.rows.len()).sum::<usize>() + self.waiting.rows.len() + self.in_flight
    }

    /// From now on rows are of another writer; `written` is the last record of the one before.
    pub(crate) fn switch(&mut self, writer: WriterId, written: u64) {
        if writer != self.waiting.writer {
            let mut before = std::mem::replace(&mut self.waiting, Batch::empty(writer));
            before.position = written;
            self.earlier.push_back(before);
            self.indexed = 0;
        }
    }

    pub(crate) fn push_row(&mut self, seq: u64, mut row: Box<EventRow>) {
        if !self.enabled {
            return;
        }
        if row.args.as_ref().is_some_and(|a| a.len() > ARGS_BYTES_MAX) {
            row.args = None;
            row.note = Some("the arguments are too long for the index".into());
        }
        self.waiting.rows.push((seq, row));
        self.tell |= self.waiting.rows.len() == 1 || self.waiting.rows.len() == INDEX_BATCH_ROWS;
    }

    pub(crate) fn push_note(&mut self, note: Note) {
        if self.enabled {
            self.waiting.notes.push(note);
            self.tell = true;
        }
    }

    /// Whether the index writer has to be woken; asked once after pushing.
    pub(crate) fn take_tell(&mut self) -> bool {
        std::mem::take(&mut self.tell)
    }

    /// Whether enough waits for writing at once.
    pub(crate) fn is_ready(&self) -> bool {
        self.hurry || self.waiting.rows.len() >= INDEX_BATCH_ROWS
    }

    /// Whether nothing waits or is on its way.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0 && self.waiting.notes.is_empty() && self.earlier.is_empty()
    }

    /// Takes everything; `written` is the last record on the ledger.
    pub(crate) fn take(&mut self, written: u64) -> Option<Batch> {
        self.hurry = false;
        if let Some(before) = self.earlier.pop_front() {
            self.in_flight = before.rows.len();
            return Some(before);
        }
        if self.waiting.rows.is_empty() && self.waiting.notes.is_empty() {
            return None;
        }
        self.in_flight = self.waiting.rows.len();
        let next = Batch::empty(self.waiting.writer);
        let mut batch = std::mem::replace(&mut self.waiting, next);
        batch.position = written;
        Some(batch)
    }

    /// The index writer begins to try.
    pub(crate) fn trying(&mut self) {
        self.stuck.get_or_insert_with(|| (Instant::now(), "index database does not answer".to_owned()));
    }

    /// The batch is in the index.
    pub(crate) fn done(&mut self, batch: &Batch) {
        if batch.writer == self.waiting.writer {
            self.indexed = batch.position;
        }
        self.in_flight = 0;
        self.stuck = None;
    }

    /// The batch could not be written for `reason`; it will be tried again.
    pub(crate) fn failed(&mut self, reason: String) {
        if let Some((_, told)) = &mut self.stuck {
            *told = reason;
        }
    }

    /// What the index writer was told last, while it tries in vain.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.stuck.as_ref().map(|(_, reason)| reason.as_str())
    }
}
