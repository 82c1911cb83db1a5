//! The ledger on PostgreSQL: rows of `ledger_records`, written by one task per process.
//!
//! A writer belongs to a process by a session advisory lock. Locks can outlive a network, so every insert also carries the epoch:
//! in the same statement it must find its own epoch in `ledger_writers`, or nothing is written.

mod chain;
mod claim;
mod task;

use std::sync::Arc;

use super::backlog::Backlog;
use super::chain::WriterId;
use super::gate::Gate;
use super::open::{LedgerError, LedgerOptions};
use super::record::{Span, indeterminate, put};
use super::writer::{Parts, Shared};
use super::{index, rebuild};
use crate::dialect::Dialect;
use crate::store::Store;
use chain::Chain;

/// Takes up a writer, brings the index up to it, and starts the task.
pub(crate) async fn open(store: Store, options: LedgerOptions) -> Result<Arc<Shared>, LedgerError> {
    if store.dialect() != Dialect::Postgres {
        return Err(LedgerError::new("the ledger cannot be kept in a SQLite database", "keep it in segment files beside the database"));
    }
    let origin: Arc<str> = claim::origin(&store, options.key.verifier().name()).await?.into();
    let (mut chain, damaged) = claim::claim(&store, &origin).await?;
    let now = options.clock.now();
    let writer = chain.writer();
    if let Some(index) = &options.index {
        chain.index_missing(index.as_ref(), now).await?;
    }
    let mut backlog = Backlog::new(options.index.is_some(), writer);
    close_open_intents(&mut chain, &mut backlog, now).await?;
    let parts = Parts {
        gate: Gate::new(writer, backlog, options.hang),
        journal: None,
        written: chain.link().seq,
        origin: Arc::clone(&origin),
        clock: options.clock,
        key: options.key,
        writes: super::Writes::ByThread,
        damaged,
        claim: None,
        indexed: options.index.is_some(),
    };
    let shared = Arc::new(Shared::new(parts));
    tokio::spawn(task::run(Arc::clone(&shared), store, chain));
    if let Some(index) = options.index {
        tokio::spawn(index::run(Arc::clone(&shared), index, origin));
    }
    Ok(shared)
}

/// Begins the epoch and closes the intents that the writer's last process left open.
async fn close_open_intents(chain: &mut Chain, backlog: &mut Backlog, now: bailiwick_model::Timestamp) -> Result<(), LedgerError> {
    let open = chain.take_open();
    chain.stage_begin(now);
    for (id, intent) in &open {
        let body = indeterminate(now);
        let seq = chain.stage(Span::Outcome(*id), &body);
        let mut record = Vec::new();
        put(&mut record, Span::Outcome(*id), &body);
        if let Some(row) = rebuild::row(&record, intent.as_deref(), now) {
            backlog.push_row(seq, Box::new(row));
        }
    }
    chain.commit(true).await?;
    if !open.is_empty() {
        tracing::warn!(writer = %chain.writer(), calls = open.len(), "calls without a recorded outcome were closed as indeterminate");
    }
    Ok(())
}

/// The advisory lock of the writer with this number: the class is a constant of ours, the letters "bw" and a version.
const LOCK_CLASS: i32 = 0x6277_0001;

fn writer_of(number: i32) -> WriterId {
    WriterId::numbered(number.unsigned_abs())
}
