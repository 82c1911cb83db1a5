//! Brings the journal back after a write or a save failed, without a restart, and says so on the ledger.

use std::io;

use super::disk::reason;
use super::gate::Trouble;
use super::journal::Journal;
use super::record;
use super::state::Guard;
use super::writer::Shared;

/// Pause between two attempts, in milliseconds.
pub(crate) const RETRY_MS: u64 = 200;

/// What a failed save may have lost.
struct Unsaved {
    bytes: Vec<u8>,
    from: u64,
    rewrite: bool,
}

impl Shared {
    /// One attempt: cuts off what a failed write left, writes again what a failed save may have lost, saves, and records that the
    /// ledger had been unavailable. Nothing else is written while there is trouble, so that the state cannot move meanwhile.
    pub(crate) fn repair<'a>(&'a self, mut state: Guard<'a>) -> (Guard<'a>, bool) {
        let (Some(mut journal), Some(trouble)) = (state.journal.take(), state.gate.trouble.take()) else { return (state, false) };
        let since = trouble.since;
        let record = record::resumed(self.clock.now(), since, &trouble.reason);
        state.gate.trouble = Some(trouble);
        let unsaved = Unsaved { bytes: std::mem::take(&mut state.unsaved_bytes), from: state.unsaved_from, rewrite: state.rewrite };
        drop(state);
        let restored = restore(&mut journal, &unsaved);
        let was_restored = restored.is_ok();
        let result = restored.and_then(|()| self.announce(&mut journal, &record));
        let mut state = self.lock();
        let wake = match &result {
            Ok(()) => {
                state.gate.trouble = None;
                state.rewrite = false;
                state.follow(&mut journal, true)
            }
            Err(error) => {
                state.gate.trouble = Some(Trouble { reason: reason(error), since });
                state.rewrite = true;
                if was_restored {
                    state.follow(&mut journal, false)
                } else {
                    state.unsaved_bytes = unsaved.bytes;
                    Vec::new()
                }
            }
        };
        state.journal = Some(journal);
        if result.is_ok() {
            tracing::info!(writer = %state.gate.writer, "the ledger records again");
            state = self.wake_all(state, wake);
        }
        (state, result.is_ok())
    }

    fn announce(&self, journal: &mut Journal, record: &[u8]) -> io::Result<()> {
        if journal.is_full() {
            journal.rotate(self.clock.now())?;
        }
        journal.stage_own(record);
        journal.commit()?;
        journal.file().sync()
    }
}

fn restore(journal: &mut Journal, unsaved: &Unsaved) -> io::Result<()> {
    journal.cut()?;
    if unsaved.rewrite {
        journal.rewrite(&unsaved.bytes, unsaved.from)?;
    }
    journal.file().sync()
}
