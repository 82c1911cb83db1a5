//! The writer thread: writes what callers leave to it, saves, begins segments, makes checkpoints, and repairs.

use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::disk::reason;
use super::gate::Running;
use super::merkle::Range;
use super::notes::NoteFile;
use super::state::{Guard, Sleep, Step};
use super::writer::Shared;

impl Shared {
    /// Body of the writer thread.
    pub(crate) fn run(&self, mut notes: NoteFile) {
        let mut state = self.lock();
        let mut gathered = false;
        loop {
            let now = Instant::now();
            state = match state.step(now) {
                Step::Write | Step::Save if !std::mem::replace(&mut gathered, true) => self.gather(state),
                Step::Repair => self.try_repair(state),
                Step::Write => self.write_as_thread(state),
                Step::Save => {
                    gathered = false;
                    self.save(state, &mut notes, false)
                }
                Step::Rotate => self.rotate(state),
                Step::Sleep(pause) => self.sleep(state, pause),
                Step::End => break,
            };
        }
        if state.gate.trouble.is_none() && state.journal.is_some() && state.is_uncovered() {
            state = self.save(state, &mut notes, true);
        }
        state.thread_ended = true;
        if state.journal.is_some() {
            state.claim = None;
        }
        drop(state);
        self.index.notify_one();
        self.progress.notify_waiters();
    }

    /// Lets those run first who can: where processors are short, they are just about to add entries of their own, and one save serves
    /// all of them. Where nobody waits for a processor this costs a microsecond and no time.
    fn gather<'a>(&'a self, state: Guard<'a>) -> Guard<'a> {
        drop(state);
        std::thread::yield_now();
        self.lock()
    }

    fn try_repair<'a>(&'a self, state: Guard<'a>) -> Guard<'a> {
        let (mut state, repaired) = self.repair(state);
        if repaired {
            return state;
        }
        if state.gate.stop {
            state.given_up = true;
            return state;
        }
        self.sleep(state, Some(Duration::from_millis(super::repair::RETRY_MS)))
    }

    fn write_as_thread<'a>(&'a self, state: Guard<'a>) -> Guard<'a> {
        let mut wake = Vec::new();
        let (mut state, _) = self.write_batch(state, &mut wake);
        if state.gate.backlog.take_tell() {
            self.index.notify_one();
        }
        if wake.is_empty() { state } else { self.wake_all(state, wake) }
    }

    pub(crate) fn wake_all<'a>(&'a self, state: Guard<'a>, wake: Vec<Waker>) -> Guard<'a> {
        drop(state);
        wake.into_iter().for_each(Waker::wake);
        self.progress.notify_waiters();
        self.lock()
    }

    fn sleep<'a>(&'a self, mut state: Guard<'a>, pause: Option<Duration>) -> Guard<'a> {
        state = match pause {
            Some(pause) => {
                state.sleep = Sleep::Until(Instant::now() + pause);
                self.wake.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                state.sleep = Sleep::Forever;
                self.wake.wait(state).unwrap_or_else(PoisonError::into_inner)
            }
        };
        state.sleep = Sleep::Awake;
        state
    }

    /// Saves what is written so far, answers those who waited for it, and makes a checkpoint when one is due.
    fn save<'a>(&'a self, mut state: Guard<'a>, notes: &mut NoteFile, last: bool) -> Guard<'a> {
        let Some(file) = state.file.as_ref().map(Arc::clone) else { return state };
        let since = Instant::now();
        let (seq, len) = (state.written, state.written_len);
        let due = last || state.checkpoint_due(since);
        let tree = state.journal.as_ref().filter(|_| due).map(|j| j.tree().clone());
        state.gate.saving = Some(Running::begin(since, "fsync"));
        state.dirty = None;
        state.hurry = false;
        drop(state);
        let result = file.sync();
        let mut state = self.lock();
        state.gate.saving = None;
        if let Err(error) = result {
            let reason = format!("fsync failed: {}", reason(&error));
            state.rewrite = true;
            self.trouble(&mut state, &reason);
            return state;
        }
        let wake = state.mark_saved(seq, len);
        if since.elapsed() >= state.gate.hang {
            self.trouble(&mut state, "fsync hung");
        }
        state = self.wake_all(state, wake);
        let Some(tree) = tree else { return state };
        drop(state);
        self.checkpoint(&tree, notes);
        self.lock()
    }

    fn checkpoint(&self, tree: &Range, notes: &mut NoteFile) {
        let made = self.sign(tree);
        let appended = made.as_ref().map(|(note, _)| notes.append(note));
        match &appended {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::warn!(reason = reason(error), "a checkpoint could not be written"),
            None => tracing::warn!("a checkpoint could not be signed"),
        }
        let made = made.filter(|_| matches!(appended, Some(Ok(()))));
        let tell_index = self.with(|state| {
            state.note_checkpoint(made.as_ref().map(|(note, at)| (note.checkpoint.size, *at)));
            made.into_iter().for_each(|(note, _)| state.gate.backlog.push_note(note));
            state.gate.backlog.take_tell()
        });
        if tell_index {
            self.index.notify_one();
        }
    }

    fn rotate<'a>(&'a self, mut state: Guard<'a>) -> Guard<'a> {
        let Some(mut journal) = state.journal.take() else { return state };
        let since = Instant::now();
        state.gate.writing = Some(Running::begin(since, "write"));
        drop(state);
        let result = journal.rotate(self.clock.now());
        let mut state = self.lock();
        state.gate.writing = None;
        let wake = state.follow(&mut journal, result.is_ok());
        state.journal = Some(journal);
        if let Err(error) = result {
            let reason = reason(&error);
            state.rewrite = true;
            self.trouble(&mut state, &reason);
        }
        self.wake_all(state, wake)
    }
}
