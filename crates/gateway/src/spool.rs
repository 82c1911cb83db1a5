//! Ends of calls that the ledger cannot take at the moment (security reference section 5).
//!
//! The effect has happened and its intent is on the ledger, so the answer may leave as soon as its outcome has a place here. Places
//! are bounded; while there is none, answers are kept back and no call is admitted. If the process ends before the ledger works
//! again, the next start closes these calls as indeterminate.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::config::Limits;
use bailiwick_store::ledger::{Append, Entry, HANG_MS_MAX, Ledger, RECORD_BYTES_MAX};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::{error, info};

use crate::lock::Lock;

/// Entries that are given to the ledger together.
const BATCH_RECORDS_MAX: usize = 256;
/// Pause after an attempt that the ledger refused.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// See the module.
pub(crate) struct Spool {
    ledger: Ledger,
    kept: Lock<VecDeque<Kept>>,
    records: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    records_max: usize,
    bytes_max: u32,
    filled: Notify,
    emptied: Notify,
}

/// An entry that waits.
struct Kept {
    entry: Entry,
    /// The attempt that was not decided within the hang limit; while it runs there is no second one, so that nothing is recorded twice.
    running: Option<Append>,
    _places: [OwnedSemaphorePermit; 2],
}

/// An entry that the ledger did not take.
pub(crate) struct Untaken {
    running: Option<Append>,
    /// Why.
    pub(crate) reason: String,
    /// Trying again is in vain.
    pub(crate) never: bool,
}

impl Spool {
    pub(crate) fn new(ledger: Ledger, limits: &Limits) -> Self {
        let records_max = usize::try_from(limits.spool_records_max).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS);
        let bytes_max = u32::try_from(limits.spool_bytes_max).unwrap_or(u32::MAX);
        Self {
            ledger,
            kept: Lock::default(),
            records: Arc::new(Semaphore::new(records_max)),
            bytes: Arc::new(Semaphore::new(bytes_max as usize)),
            records_max,
            bytes_max,
            filled: Notify::new(),
            emptied: Notify::new(),
        }
    }

    /// Gives `entry` to the ledger and waits at most the hang limit.
    pub(crate) async fn attempt(&self, entry: Entry) -> Result<(), Untaken> {
        let mut append = self.ledger.begin(entry);
        match timeout(Duration::from_millis(HANG_MS_MAX), &mut append).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(unavailable)) => Err(Untaken { running: None, reason: unavailable.reason, never: unavailable.never }),
            Err(_) => Err(Untaken { running: Some(append), reason: "the writer does not answer".to_owned(), never: false }),
        }
    }

    /// Keeps what the ledger did not take; `entry` is the same once more. Waits while the spool is full.
    pub(crate) async fn keep(&self, untaken: Untaken, entry: Entry) {
        let (records, bytes) = (self.records.clone(), self.bytes.clone());
        // The semaphores are never closed.
        let (Ok(record), Ok(bytes)) = (records.acquire_owned().await, bytes.acquire_many_owned(self.weight(&entry)).await) else { return };
        self.put(Kept { entry, running: untaken.running, _places: [record, bytes] }, &untaken.reason);
    }

    /// The same without waiting; `false` when the spool is full and the entry is not kept.
    pub(crate) fn try_keep(&self, untaken: Untaken, entry: Entry) -> bool {
        let weight = self.weight(&entry);
        let (record, bytes) = (self.records.clone().try_acquire_owned(), self.bytes.clone().try_acquire_many_owned(weight));
        let (Ok(record), Ok(bytes)) = (record, bytes) else { return false };
        self.put(Kept { entry, running: untaken.running, _places: [record, bytes] }, &untaken.reason);
        true
    }

    fn weight(&self, entry: &Entry) -> u32 {
        u32::try_from(entry.bytes.len()).unwrap_or(u32::MAX).min(self.bytes_max)
    }

    fn put(&self, kept: Kept, reason: &str) {
        self.kept.lock().push_back(kept);
        if self.len() == 1 {
            error!(reason, "the ledger does not take the ends of calls; they are kept in memory until it does");
        }
        self.filled.notify_one();
    }

    /// Whether there is no room for the end of one more call.
    pub(crate) fn is_full(&self) -> bool {
        self.records.available_permits() == 0 || self.bytes.available_permits() < RECORD_BYTES_MAX.min(self.bytes_max as usize)
    }

    /// Entries that wait.
    pub(crate) fn len(&self) -> usize {
        self.records_max - self.records.available_permits()
    }

    /// Brings what is kept to the ledger, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let mut refused = Vec::new();
            for kept in self.begin_batch() {
                refused.extend(kept.end().await);
            }
            if !refused.is_empty() {
                self.put_back(refused);
                tokio::time::sleep(RETRY_PAUSE).await;
            } else if self.kept.lock().is_empty() {
                if self.len() == 0 {
                    self.emptied.notify_waiters();
                }
                self.filled.notified().await;
            }
        }
    }

    /// Gives the oldest entries to the ledger, all before any is waited for.
    fn begin_batch(&self) -> Vec<Kept> {
        let mut queue = self.kept.lock();
        let count = queue.len().min(BATCH_RECORDS_MAX);
        let mut batch: Vec<Kept> = queue.drain(..count).collect();
        drop(queue);
        for kept in &mut batch {
            kept.running.get_or_insert_with(|| self.ledger.begin(kept.entry.clone()));
        }
        batch
    }

    fn put_back(&self, refused: Vec<Kept>) {
        let mut queue = self.kept.lock();
        for kept in refused.into_iter().rev() {
            queue.push_front(kept);
        }
    }

    /// Waits until everything is on the ledger, at most `limit`. Gives the number of entries that are not.
    pub(crate) async fn drain(&self, limit: Duration) -> usize {
        let emptied = async {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.len() > 0 {
                emptied.await;
                info!("the ends of all calls are on the ledger");
            }
        };
        let _ = timeout(limit, emptied).await;
        self.len()
    }
}

impl Kept {
    /// Waits for the attempt. Gives the entry back when the ledger refused it.
    async fn end(mut self) -> Option<Self> {
        match self.running.take()?.await {
            Ok(_) => None,
            Err(unavailable) if unavailable.never => {
                error!(reason = unavailable.reason, "the end of a call cannot be recorded");
                None
            }
            Err(_) => Some(self),
        }
    }
}
