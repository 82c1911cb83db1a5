//! Writes segments. Two may write: a caller who finds the journal free, and the writer thread; whoever writes holds the journal,
//! the state stays unlocked meanwhile. Only the thread saves (`fdatasync`), begins segments, makes checkpoints and repairs.
//!
//! Group commit needs no waiting window: what arrives while the thread saves is written and saved together in its next round.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::Waker;
use std::time::Instant;

use bailiwick_model::time::{Clock, Timestamp};
use tokio::sync::Notify;

use super::chain::WriterId;
use super::checkpoint::{self, Note, SigningKey};
use super::disk::reason;
use super::gate::{Gate, Running, Trouble};
use super::journal::Journal;
use super::merkle::Range;
use super::record;
use super::state::{Guard, State};
use super::wait::{Append, Waiting};
use super::{Durability, Entry, LedgerHealth, Receipt, Unavailable, Writes};

/// Rounds a caller writes for others who queued while he wrote, before he leaves it to the thread.
const CALLER_ROUNDS_MAX: u32 = 4;

/// What callers, the writer thread and the index task share.
pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    pub(crate) wake: Condvar,
    /// Tells the task that writes to PostgreSQL.
    pub(crate) task: Notify,
    /// Tells the index task that something waits.
    pub(crate) index: Notify,
    /// Tells those who flush or close that something was saved or indexed, or that the thread ended.
    pub(crate) progress: Notify,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) origin: Arc<str>,
    key: Arc<SigningKey>,
    writes: Writes,
    damaged: Vec<String>,
}

/// What [`Shared::new`] needs.
pub(crate) struct Parts {
    pub(crate) gate: Gate,
    /// The open segment; none on PostgreSQL.
    pub(crate) journal: Option<Journal>,
    /// Last record written and saved before.
    pub(crate) written: u64,
    pub(crate) origin: Arc<str>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) key: Arc<SigningKey>,
    pub(crate) writes: Writes,
    pub(crate) damaged: Vec<String>,
    pub(crate) claim: Option<std::fs::File>,
    pub(crate) indexed: bool,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Self {
        let state = State::new(parts.gate, parts.journal, parts.claim, parts.written, parts.indexed);
        Self {
            state: Mutex::new(state),
            wake: Condvar::new(),
            task: Notify::new(),
            index: Notify::new(),
            progress: Notify::new(),
            clock: parts.clock,
            origin: parts.origin,
            key: parts.key,
            writes: parts.writes,
            damaged: parts.damaged,
        }
    }

    /// A panic elsewhere must not stop the ledger: the state is consistent between any two statements that can panic.
    pub(crate) fn lock(&self) -> Guard<'_> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `act` under the lock.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.lock())
    }

    pub(crate) fn append(self: &Arc<Self>, entry: Entry) -> Append {
        if let Some(rule) = record::refusal(&entry.bytes) {
            return Append::done(Err(Unavailable::never(rule)));
        }
        let mut state = self.lock();
        let refusal = state.gate.refusal(&entry).or_else(|| state.intent_refusal(entry.span));
        if let Some(refused) = refusal {
            return Append::done(Err(refused));
        }
        if entry.durability == Durability::Process && self.writes == Writes::ByCaller && state.is_free() {
            state.gate.push(entry, false);
            return Append::done(self.write_own(state));
        }
        let hang = state.gate.hang;
        let slot = state.gate.push(entry, true);
        // A caller who writes at the moment looks at the queue again and tells the thread himself.
        let tell = state.is_writable() && state.take_sleeper();
        drop(state);
        self.tell(tell);
        match slot {
            Some(slot) => Append::waiting(Waiting::new(Arc::<Self>::clone(self), slot, hang)),
            None => Append::done(Err(Unavailable::new("the ledger is closed"))),
        }
    }

    /// Writes the queue, whose last entry is the caller's own, and what others add meanwhile.
    fn write_own(&self, state: Guard<'_>) -> Result<Receipt, Unavailable> {
        let mut wake = Vec::new();
        let (mut state, written) = self.write_batch(state, &mut wake);
        let writer = state.gate.writer;
        let mut round = 1;
        while written.is_ok() && round < CALLER_ROUNDS_MAX && !state.gate.pending.is_empty() && state.is_free() {
            state = self.write_batch(state, &mut wake).0;
            round += 1;
        }
        let tell = state.needs_thread() && state.take_sleeper();
        let tell_index = state.gate.backlog.take_tell();
        drop(state);
        self.tell(tell);
        if tell_index {
            self.index.notify_one();
        }
        wake.into_iter().for_each(Waker::wake);
        written.map(|seq| Receipt { writer, seq })
    }

    /// Takes journal and queue, writes, and settles. Answers with the number of the last record of the batch.
    pub(crate) fn write_batch<'a>(&'a self, mut state: Guard<'a>, wake: &mut Vec<Waker>) -> (Guard<'a>, Result<u64, Unavailable>) {
        let Some(mut journal) = state.journal.take() else { return (state, Err(Unavailable::new("the ledger is busy"))) };
        let mut batch = state.gate.take_batch();
        let since = Instant::now();
        state.gate.writing = Some(Running::begin(since, "write"));
        drop(state);
        let first = journal.link().seq + 1;
        let mut bytes = 0;
        for entry in &mut batch {
            journal.stage(entry.span, &entry.body);
            bytes += entry.body.len();
            entry.body = Vec::new();
        }
        let result = journal.commit();
        let mut state = self.lock();
        state.gate.writing = None;
        let answer = match result {
            Ok(()) => {
                state.adopt(&mut journal, since);
                let State { gate, unsaved, .. } = &mut *state;
                gate.settle(batch, bytes, first, |seq, slot| unsaved.push_back((seq, slot)), wake);
                Ok(state.written)
            }
            Err(error) => {
                let reason = reason(&error);
                self.trouble(&mut state, &reason);
                state.gate.fail(batch, &reason, wake);
                Err(Unavailable::new(reason))
            }
        };
        state.journal = Some(journal);
        if since.elapsed() >= state.gate.hang {
            self.trouble(&mut state, "write hung");
        }
        (state, answer)
    }

    /// From now on nothing is let in until the thread has repaired the ledger.
    pub(crate) fn trouble(&self, state: &mut State, reason: &str) {
        let since = state.gate.trouble.as_ref().map_or_else(|| self.clock.now(), |t| t.since);
        if state.gate.trouble.is_none() {
            tracing::error!(writer = %state.gate.writer, reason, "the ledger cannot record");
        }
        state.gate.trouble = Some(Trouble { reason: reason.to_owned(), since });
    }

    fn tell(&self, sleeping: bool) {
        if sleeping {
            self.wake.notify_one();
            self.task.notify_one();
        }
    }

    /// A signed checkpoint over `tree`, and its time.
    pub(crate) fn sign(&self, tree: &Range) -> Option<(Note, Timestamp)> {
        let (now, writer) = (self.clock.now(), self.writer());
        let note = checkpoint::make(&self.key, &self.origin, writer, tree.size(), tree.root(), now)?;
        Some((note, now))
    }

    /// Asks the thread to end; it writes what is queued first.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.gate.stop = true;
        let tell = state.take_sleeper();
        drop(state);
        self.tell(tell);
        self.index.notify_one();
    }

    /// Asks the thread to save at once.
    pub(crate) fn hurry(&self) {
        let mut state = self.lock();
        state.hurry = true;
        state.gate.backlog.hurry = true;
        let tell = state.take_sleeper();
        drop(state);
        self.tell(tell);
        self.index.notify_one();
    }

    pub(crate) fn writer(&self) -> WriterId {
        self.lock().gate.writer
    }

    pub(crate) fn health(&self) -> LedgerHealth {
        let state = self.lock();
        let reason = state.gate.reason().or_else(|| state.gate.backlog.refusal(0, state.gate.hang));
        LedgerHealth {
            writer: state.gate.writer,
            unavailable: reason,
            unavailable_since: state.gate.trouble.as_ref().map(|t| t.since),
            queued: state.gate.pending.len(),
            written: state.written,
            saved: state.saved,
            open_intents: state.open_intents,
            index_backlog: state.gate.backlog.len(),
            checkpoint: state.checkpoint.made,
            damaged: self.damaged.clone(),
        }
    }
}
