//! What people administer: one file per noun. An operation is a check of the caller's standing, then a call of the store between two
//! records of the ledger: no record, no change. The management API and the command line both come through here.
//!
//! Who asks is an [`Acting`]; what he may do is a type that only [`acting`] makes: a [`Reader`] for what is shown, an [`Admin`] for what
//! changes inside one organisation, a [`Platform`] for what stands above them.

pub mod acting;
pub mod agent;
pub mod event;
pub mod fault;
pub mod feedback;
pub mod group;
pub mod instruction;
pub mod key;
pub mod me;
pub mod member;
pub mod org;
pub mod platform_admin;
mod record;
pub mod repeat;
pub mod run;
pub mod secret;
mod tools;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bailiwick_model::time::{Clock, Random};
use bailiwick_model::{Code, HouseRules, Timestamp};
use bailiwick_store::Store;
use bailiwick_store::ledger::Ledger;

pub use acting::{Acting, Admin, Author, Platform, Reader, Required};
use fault::Done;
pub use fault::{Fault, Wrong};
pub use record::Deed;
pub use tools::LiveTools;

use crate::lock::Lock;
use crate::window::Window;

/// Refusals that are recorded in one second; the rest is refused all the same, so that a flood cannot fill the ledger.
const REFUSALS_PER_SECOND_MAX: usize = 10;

/// The parts that [`Operations::new`] takes.
pub struct OperationsSetup {
    /// What is administered.
    pub store: Store,
    /// Without one only those operations work that change nothing.
    pub ledger: Option<Ledger>,
    /// What instructions must not say.
    pub rules: HouseRules,
    /// Where it is known which tools there are, if anywhere.
    pub tools: Option<Arc<dyn LiveTools>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub random: Arc<dyn Random>,
}

/// Everything that operations need. A clone is cheap and shares everything.
#[derive(Clone)]
pub struct Operations(Arc<Inner>);

struct Inner {
    store: Store,
    /// Without one nothing can be changed.
    ledger: Option<Ledger>,
    /// What instructions must not say.
    rules: HouseRules,
    /// Where it is known which tools there are.
    tools: Option<Arc<dyn LiveTools>>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    refusals: Lock<Window>,
    /// Deeds that were done although their outcome could not be recorded.
    unrecorded: AtomicU64,
}

impl Operations {
    /// Operations on these parts.
    #[must_use]
    pub fn new(setup: OperationsSetup) -> Self {
        let OperationsSetup { store, ledger, rules, tools, clock, random } = setup;
        let refusals = Lock::new(Window::new(REFUSALS_PER_SECOND_MAX, Duration::from_secs(1)));
        Self(Arc::new(Inner { store, ledger, rules, tools, clock, random, refusals, unrecorded: AtomicU64::new(0) }))
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Deeds that were done although their outcome could not be recorded; the next start of a gateway closes them as indeterminate.
    #[must_use]
    pub fn unrecorded(&self) -> u64 {
        self.0.unrecorded.load(Ordering::Relaxed)
    }

    fn store(&self) -> &Store {
        &self.0.store
    }

    fn rules(&self) -> &HouseRules {
        &self.0.rules
    }

    fn tools(&self) -> Option<&dyn LiveTools> {
        self.0.tools.as_deref()
    }

    fn ledger(&self) -> Done<&Ledger> {
        let none =
            || Fault::new(Code::AuditUnavailable, "there is no ledger; nothing was changed", "open the ledger before changing anything");
        self.0.ledger.as_ref().ok_or_else(none)
    }

    fn random(&self) -> &dyn Random {
        self.0.random.as_ref()
    }
}
