//! What callers, the writer and the index task share under one lock.

use std::collections::VecDeque;
use std::sync::{Arc, MutexGuard};
use std::task::Waker;
use std::time::{Duration, Instant};

use bailiwick_model::time::Timestamp;

use super::checkpoint::{CHECKPOINT_AGE_SECONDS, CHECKPOINT_RECORDS};
use super::disk::DiskFile;
use super::gate::Gate;
use super::journal::{Journal, OPEN_INTENTS_MAX};
use super::record::Span;
use super::slots::SlotId;
use super::{Receipt, Unavailable};

/// Records are saved this long after they were written, in milliseconds: half of what a power cut may cost, for the save itself.
pub(crate) const SAVE_AFTER_MS: u64 = 25;
/// The thread reckons its sleep a moment after the look at the clock that said how long it may be. Without this allowance every entry
/// would find it a moment too long and wake the thread.
const SLEEP_SLACK_MS: u64 = 5;

/// A save that takes longer than this, in milliseconds, makes callers leave the writing to the thread.
const SLOW_SAVE_MS: u64 = 100;

/// Largest queue that a caller writes himself.
const CALLER_BYTES_MAX: usize = 256 << 10;

/// Pause between two attempts at a checkpoint that could not be written, in seconds.
const CHECKPOINT_RETRY_SECONDS: u64 = 5;

/// Everything under the lock.
pub(crate) struct State {
    pub(crate) gate: Gate,
    /// Absent while somebody writes.
    pub(crate) journal: Option<Box<Journal>>,
    /// None on PostgreSQL, like the journal.
    pub(crate) file: Option<Arc<dyn DiskFile>>,
    pub(crate) written: u64,
    pub(crate) saved: u64,
    pub(crate) written_len: u64,
    pub(crate) open_intents: usize,
    /// Written entries whose callers wait for the save, in order.
    pub(crate) unsaved: VecDeque<(u64, SlotId)>,
    /// What the segment holds behind `unsaved_from`, kept until it is saved: a failed save may drop it from the system's cache.
    pub(crate) unsaved_bytes: Vec<u8>,
    pub(crate) unsaved_from: u64,
    /// Since when something is written but not saved.
    pub(crate) dirty: Option<Instant>,
    /// Somebody flushes.
    pub(crate) hurry: bool,
    /// The last save failed.
    pub(crate) rewrite: bool,
    /// The process is about to end and the last repair failed.
    pub(crate) given_up: bool,
    pub(crate) sleep: Sleep,
    pub(crate) checkpoint: LastCheckpoint,
    pub(crate) thread_ended: bool,
    pub(crate) index_ended: bool,
    /// The lock on the writer's directory, held as long as anyone may write.
    pub(crate) claim: Option<std::fs::File>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Sleep {
    Awake,
    Until(Instant),
    Forever,
}

/// What the thread does next.
pub(crate) enum Step {
    Repair,
    Write,
    Save,
    Rotate,
    Sleep(Option<Duration>),
    End,
}

pub(crate) struct LastCheckpoint {
    /// Records covered by the last one.
    pub(crate) size: u64,
    tried: Instant,
    failed: bool,
    pub(crate) made: Option<(u64, Timestamp)>,
}

pub(crate) type Guard<'a> = MutexGuard<'a, State>;

impl State {
    pub(crate) fn new(gate: Gate, journal: Option<Journal>, claim: Option<std::fs::File>, written: u64, indexed: bool) -> Self {
        let len = journal.as_ref().map_or(0, Journal::len);
        Self {
            gate,
            file: journal.as_ref().map(Journal::file),
            written,
            saved: written,
            written_len: len,
            open_intents: journal.as_ref().map_or(0, |j| j.open().len()),
            unsaved: VecDeque::new(),
            unsaved_bytes: Vec::new(),
            unsaved_from: len,
            dirty: None,
            hurry: false,
            rewrite: false,
            given_up: false,
            sleep: Sleep::Awake,
            checkpoint: LastCheckpoint { size: 0, tried: Instant::now(), failed: false, made: None },
            thread_ended: false,
            index_ended: !indexed,
            claim,
            journal: journal.map(Box::new),
        }
    }

    /// Whether a caller may write now, without a risk of waiting for the disk that he can see.
    pub(crate) fn is_free(&self) -> bool {
        let slow = self.gate.saving.is_some_and(|s| s.since.elapsed() >= Duration::from_millis(SLOW_SAVE_MS));
        let room = self.gate.pending_bytes() <= CALLER_BYTES_MAX;
        room && !slow && self.gate.trouble.is_none() && self.journal.as_ref().is_some_and(|j| !j.is_full())
    }

    fn is_full(&self) -> bool {
        self.journal.as_ref().is_some_and(|j| j.is_full())
    }

    pub(crate) fn intent_refusal(&self, span: Span) -> Option<Unavailable> {
        let full = matches!(span, Span::Intent(_)) && self.open_intents >= OPEN_INTENTS_MAX;
        full.then(|| Unavailable::new("16,384 calls are waiting for their outcome"))
    }

    /// Whether the thread has to be told: something waits for it, or it sleeps past the time by which this has to be saved.
    pub(crate) fn needs_thread(&self) -> bool {
        let late = match self.sleep {
            Sleep::Awake => false,
            Sleep::Forever => self.dirty.is_some(),
            Sleep::Until(end) => self.dirty.is_some_and(|d| d + Duration::from_millis(SAVE_AFTER_MS + SLEEP_SLACK_MS) < end),
        };
        late || self.gate.trouble.is_some() || !self.gate.pending.is_empty() || !self.unsaved.is_empty()
    }

    /// Whether the thread sleeps and is to be woken by the caller of this function.
    pub(crate) fn take_sleeper(&mut self) -> bool {
        std::mem::replace(&mut self.sleep, Sleep::Awake) != Sleep::Awake
    }

    pub(crate) fn step(&self, now: Instant) -> Step {
        if self.given_up {
            return Step::End;
        }
        if self.gate.trouble.is_some() {
            return Step::Repair;
        }
        if self.is_full() {
            return if self.dirty.is_some() { Step::Save } else { Step::Rotate };
        }
        if !self.gate.pending.is_empty() && self.journal.is_some() {
            return Step::Write;
        }
        if self.must_save(now) || self.checkpoint_due(now) {
            return Step::Save;
        }
        if self.gate.stop && self.gate.is_idle() {
            return Step::End;
        }
        Step::Sleep(self.pause(now))
    }

    fn must_save(&self, now: Instant) -> bool {
        self.save_due(now) || !self.unsaved.is_empty()
    }

    /// Something written is to be saved now, because of its age or because somebody asked.
    pub(crate) fn save_due(&self, now: Instant) -> bool {
        let late = |dirty: Instant| now.duration_since(dirty) >= Duration::from_millis(SAVE_AFTER_MS);
        self.dirty.is_some_and(|dirty| late(dirty) || self.hurry || self.gate.stop)
    }

    /// Whether something can be written as soon as somebody is told: the journal is at hand, or a task writes.
    pub(crate) const fn is_writable(&self) -> bool {
        self.journal.is_some() || self.file.is_none()
    }

    /// Records lie behind the last checkpoint.
    pub(crate) const fn is_uncovered(&self) -> bool {
        self.written > self.checkpoint.size
    }

    /// The task that writes is about to wait to be told.
    pub(crate) fn fall_asleep(&mut self) {
        self.sleep = Sleep::Forever;
    }

    /// The task that writes goes on.
    pub(crate) fn wake_up(&mut self) {
        self.sleep = Sleep::Awake;
    }

    /// Something was committed to the database up to record `seq`; with `power` it and all before it survive a power cut.
    pub(crate) fn committed(&mut self, seq: u64, open_intents: usize, power: bool, since: Instant) {
        self.written = seq;
        self.open_intents = open_intents;
        if power {
            self.saved = seq;
            self.dirty = None;
            self.hurry = false;
        } else {
            self.dirty.get_or_insert(since);
        }
    }

    /// A checkpoint over `made.0` records was written, or could not be.
    pub(crate) fn note_checkpoint(&mut self, made: Option<(u64, Timestamp)>) {
        self.checkpoint.tried = Instant::now();
        self.checkpoint.failed = made.is_none();
        if let Some((size, at)) = made {
            self.checkpoint.size = size;
            self.checkpoint.made = Some((size, at));
        }
    }

    /// How long the thread may sleep; `None` when only being told can give it work.
    pub(crate) fn pause(&self, now: Instant) -> Option<Duration> {
        let save = self.dirty.map(|d| d + Duration::from_millis(SAVE_AFTER_MS));
        let checkpoint = self.checkpoint.next(self.written);
        let at = [save, checkpoint].into_iter().flatten().min()?;
        Some(at.saturating_duration_since(now).max(Duration::from_millis(1)))
    }

    pub(crate) fn checkpoint_due(&self, now: Instant) -> bool {
        let many = !self.checkpoint.failed && self.written >= self.checkpoint.size + CHECKPOINT_RECORDS;
        many || self.checkpoint.next(self.written).is_some_and(|at| at <= now)
    }

    /// Takes over what the journal has written since.
    pub(crate) fn adopt(&mut self, journal: &mut Journal, since: Instant) {
        self.unsaved_bytes.extend_from_slice(journal.committed());
        journal.clear();
        self.written = journal.link().seq;
        self.written_len = journal.len();
        self.open_intents = journal.open().len();
        self.dirty.get_or_insert(since);
    }

    /// Takes over the segment that the journal went on to. Everything in the one before is saved.
    pub(crate) fn follow(&mut self, journal: &mut Journal, saved: bool) -> Vec<Waker> {
        self.file = Some(journal.file());
        self.unsaved_from = journal.len() - journal.committed().len() as u64;
        self.unsaved_bytes.clear();
        self.adopt(journal, Instant::now());
        if !saved {
            return Vec::new();
        }
        self.dirty = None;
        self.mark_saved(self.written, self.written_len)
    }

    /// Everything up to record `seq` and length `len` survives a power cut. Returns whom to wake.
    pub(crate) fn mark_saved(&mut self, seq: u64, len: u64) -> Vec<Waker> {
        self.saved = seq;
        let bytes = usize::try_from(len - self.unsaved_from).unwrap_or(usize::MAX).min(self.unsaved_bytes.len());
        self.unsaved_bytes.drain(..bytes);
        if self.unsaved_bytes.is_empty() {
            self.unsaved_bytes.shrink_to(KEEP_BYTES_MAX);
        }
        self.unsaved_from = len;
        let mut wake = Vec::new();
        while let Some((seq, slot)) = self.unsaved.pop_front_if(|(seq, _)| *seq <= self.saved) {
            self.gate.answer(slot, Ok(Receipt { writer: self.gate.writer, seq }), &mut wake);
        }
        wake
    }
}

impl LastCheckpoint {
    /// When the next one is due because of its age; `None` when nothing has been written since.
    fn next(&self, written: u64) -> Option<Instant> {
        let pause = if self.failed { CHECKPOINT_RETRY_SECONDS } else { CHECKPOINT_AGE_SECONDS };
        (written > self.size).then(|| self.tried + Duration::from_secs(pause))
    }
}

/// Capacity that an idle copy of unsaved bytes keeps.
const KEEP_BYTES_MAX: usize = 1 << 20;
