//! What the program lends a module: the way out to the network, a place for its secrets to be known, and a memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::egress::{Egress, NoNetwork};
use crate::module::Pending;

/// Most facts of one topic. What an agent can make grow has a limit.
pub const FACTS_MAX: usize = 10_000;
/// Longest fact in bytes.
pub const FACT_BYTES_MAX: usize = 512;

/// Lent to [`ModuleKind::open`](crate::ModuleKind::open); clones share everything.
#[derive(Clone)]
pub struct Host {
    /// The guarded way out.
    pub egress: Egress,
    /// Learns values that must never be shown.
    pub secrets: Arc<dyn SecretSink>,
    /// What this instance keeps across restarts.
    pub memory: Arc<dyn Memory>,
}

impl Host {
    /// Without network, and with a memory that ends with the process.
    #[must_use]
    pub fn isolated() -> Self {
        Self { egress: Egress::new(Arc::new(NoNetwork)), secrets: Arc::new(NoSink), memory: Arc::new(ProcessMemory::default()) }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

/// Takes secrets that a module derives from its credentials (an encoded pair of user and password, the path of a webhook).
/// The credentials themselves are known already.
pub trait SecretSink: Send + Sync + 'static {
    /// From now on `secret` is masked in results, errors and logs.
    fn learn(&self, secret: &str);
}

struct NoSink;

impl SecretSink for NoSink {
    fn learn(&self, _: &str) {}
}

/// Sets of short texts that one instance (organisation, agent, manifest key) keeps across restarts, e.g. the names of what it created.
pub trait Memory: Send + Sync + 'static {
    /// Every fact of a topic.
    fn recall<'a>(&'a self, topic: &'a str) -> Pending<'a, Result<BTreeSet<String>, MemoryFault>>;

    /// Adds a fact; one that is known already changes nothing.
    ///
    /// # Errors
    /// Also when the topic has [`FACTS_MAX`] facts, or the fact is longer than [`FACT_BYTES_MAX`].
    fn remember<'a>(&'a self, topic: &'a str, fact: &'a str) -> Pending<'a, Result<(), MemoryFault>>;
}

/// The memory cannot be used; the text is for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryFault(
    /// What failed.
    pub String,
);

impl fmt::Display for MemoryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the memory of the module cannot be used: {}", self.0)
    }
}

impl std::error::Error for MemoryFault {}

/// A memory that ends with the process.
#[derive(Debug, Default)]
pub struct ProcessMemory(Mutex<BTreeMap<String, BTreeSet<String>>>);

impl Memory for ProcessMemory {
    fn recall<'a>(&'a self, topic: &'a str) -> Pending<'a, Result<BTreeSet<String>, MemoryFault>> {
        let facts = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(topic).cloned().unwrap_or_default();
        Box::pin(std::future::ready(Ok(facts)))
    }

    fn remember<'a>(&'a self, topic: &'a str, fact: &'a str) -> Pending<'a, Result<(), MemoryFault>> {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let facts = topics.entry(topic.to_owned()).or_default();
        let done = if fact.len() > FACT_BYTES_MAX {
            Err(MemoryFault(format!("a fact is longer than {FACT_BYTES_MAX} bytes")))
        } else if facts.len() >= FACTS_MAX && !facts.contains(fact) {
            Err(MemoryFault(format!("there are {FACTS_MAX} facts already")))
        } else {
            facts.insert(fact.to_owned());
            Ok(())
        };
        Box::pin(std::future::ready(done))
    }
}
