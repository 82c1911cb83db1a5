//! The task that writes: takes the queue, commits it, answers; takes the writer up again when the connection was lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::chain::{Chain, STATEMENT_BYTES_MAX, STATEMENT_RECORDS};
use super::claim;
use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::ledger::Durability;
use crate::ledger::gate::{Pending, Running};
use crate::ledger::record;
use crate::ledger::repair::RETRY_MS;
use crate::ledger::writer::Shared;
use crate::store::Store;

/// Largest number of records of one statement.
const BATCH_RECORDS_MAX: usize = STATEMENT_RECORDS[STATEMENT_RECORDS.len() - 1];

/// The session that wrote before.
#[derive(Clone, Copy)]
struct Lost {
    number: i32,
    pid: i32,
}

/// Body of the task.
pub(crate) async fn run(shared: Arc<Shared>, store: Store, mut chain: Chain) {
    let mut queue = VecDeque::new();
    loop {
        let done = step(&shared, &mut chain, &mut queue).await;
        let fault = match done {
            Ok(true) => break,
            Ok(false) => continue,
            Err(fault) => fault,
        };
        refuse(&shared, &mut queue, &fault);
        let lost = Lost { number: chain.number, pid: chain.pid };
        // The session may be alive still; it must not hold the lock.
        drop(chain);
        match take_up_again(&shared, &store, lost).await {
            Some(again) => chain = again,
            None => break,
        }
    }
    shared.with(|state| state.thread_ended = true);
    shared.index.notify_one();
    shared.progress.notify_waiters();
}

/// One batch, one save, one checkpoint, or a pause. `true` at the end.
async fn step(shared: &Shared, chain: &mut Chain, queue: &mut VecDeque<Pending>) -> StoreResult<bool> {
    shared.with(|state| queue.extend(state.gate.take_batch()));
    if !queue.is_empty() {
        write(shared, chain, queue).await?;
        return Ok(false);
    }
    let now = Instant::now();
    let (save, checkpoint, stop, pause) = shared.with(|state| {
        let save = state.save_due(now);
        let checkpoint = state.checkpoint_due(now) || state.gate.stop && state.is_uncovered();
        let idle = state.gate.pending.is_empty();
        if idle && !save && !checkpoint {
            state.fall_asleep();
        }
        (save || !idle, checkpoint && idle, state.gate.stop && idle, state.pause(now))
    });
    if save {
        chain.save().await?;
        mark_saved(shared, chain);
    } else if checkpoint {
        make_checkpoint(shared, chain).await?;
    } else if stop {
        return Ok(true);
    } else {
        let pause = pause.unwrap_or(Duration::from_secs(3600));
        let _ = tokio::time::timeout(pause, shared.task.notified()).await;
        shared.with(|state| state.wake_up());
    }
    Ok(false)
}

async fn write(shared: &Shared, chain: &mut Chain, queue: &mut VecDeque<Pending>) -> StoreResult<()> {
    let since = Instant::now();
    shared.with(|state| state.gate.writing = Some(Running::begin(since, "database write")));
    if chain.wants_begin() {
        chain.stage_begin(shared.clock.now());
        chain.commit(false).await?;
    }
    let first = chain.link().seq + 1;
    let (mut count, mut bytes) = (0, 0);
    let mut power = shared.with(|state| state.save_due(since));
    for entry in queue.iter().take(BATCH_RECORDS_MAX) {
        if bytes + entry.body.len() > STATEMENT_BYTES_MAX && count > 0 {
            break;
        }
        chain.stage(entry.span, &entry.body);
        power |= entry.durability == Durability::Power;
        bytes += entry.body.len();
        count += 1;
    }
    chain.commit(power).await?;
    let batch: Vec<Pending> = queue.drain(..count).collect();
    let mut wake = Vec::new();
    let tell_index = shared.with(|state| {
        state.gate.writing = None;
        state.committed(chain.link().seq, chain.open_intents(), power, since);
        let mut later = Vec::new();
        state.gate.settle(batch, bytes, first, |seq, slot| later.push((seq, slot)), &mut wake);
        let writer = state.gate.writer;
        for (seq, slot) in later {
            state.gate.answer(slot, Ok(crate::ledger::Receipt { writer, seq }), &mut wake);
        }
        state.gate.backlog.take_tell()
    });
    if tell_index {
        shared.index.notify_one();
    }
    wake.into_iter().for_each(Waker::wake);
    shared.progress.notify_waiters();
    Ok(())
}

fn mark_saved(shared: &Shared, chain: &Chain) {
    shared.with(|state| state.committed(chain.link().seq, chain.open_intents(), true, Instant::now()));
    shared.progress.notify_waiters();
}

async fn make_checkpoint(shared: &Shared, chain: &mut Chain) -> StoreResult<()> {
    let made = shared.sign(chain.tree());
    let result = match &made {
        Some((note, _)) => chain.put_checkpoint(note).await,
        None => Ok(()),
    };
    shared.with(|state| state.note_checkpoint(made.as_ref().filter(|_| result.is_ok()).map(|(note, at)| (note.checkpoint.size, *at))));
    result
}

/// Tells everybody who waits that the database does not take records, and lets nobody in until it does.
fn refuse(shared: &Shared, queue: &mut VecDeque<Pending>, fault: &StoreError) {
    let reason = reason(fault);
    let mut wake = Vec::new();
    shared.with(|state| {
        state.gate.writing = None;
        shared.trouble(state, &reason);
        state.gate.fail(queue.drain(..).collect(), &reason, &mut wake);
    });
    wake.into_iter().for_each(Waker::wake);
}

fn reason(fault: &StoreError) -> String {
    match fault.kind() {
        StoreErrorKind::Full => "database: disk full".to_owned(),
        _ => format!("database: {}", fault.message()),
    }
}

/// `None` when the process ends meanwhile.
async fn take_up_again(shared: &Shared, store: &Store, lost: Lost) -> Option<Chain> {
    loop {
        match begin_again(shared, store, lost).await {
            Ok(chain) => {
                shared.with(|state| {
                    state.gate.trouble = None;
                    let written = state.written;
                    state.gate.switch(chain.writer(), written);
                    state.committed(chain.link().seq, chain.open_intents(), true, Instant::now());
                });
                tracing::info!(writer = %chain.writer(), "the ledger records again");
                return Some(chain);
            }
            Err(fault) => shared.with(|state| shared.trouble(state, &reason(&fault))),
        }
        if shared.with(|state| state.gate.stop) {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(RETRY_MS)).await;
    }
}

async fn begin_again(shared: &Shared, store: &Store, lost: Lost) -> StoreResult<Chain> {
    let mut chain = claim::reclaim(store, &shared.origin, lost.number, lost.pid).await?;
    let now = shared.clock.now();
    // The intents of our own calls are still running; those of another process's writer are not ours to know.
    let open = chain.take_open();
    chain.stage_begin(now);
    if chain.number != lost.number {
        for id in open.keys() {
            chain.stage(record::Span::Outcome(*id), &record::indeterminate(now));
        }
    }
    let told = shared.with(|state| state.gate.trouble.as_ref().map(|t| (t.since, t.reason.clone())));
    if let Some((since, reason)) = told {
        chain.stage_record(&record::resumed(now, since, &reason), None);
    }
    chain.commit(true).await?;
    Ok(chain)
}
