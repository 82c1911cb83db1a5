//! What people administer: one file per noun. An operation is a check of the caller's standing, then a call of the store between two
//! records of the ledger: no record, no change. The management API and the command line both come through here.
//!
//! Who asks is an [`Acting`]; what he may do is a type that only [`acting`] makes: a [`Reader`] for what is shown, an [`Admin`] for what
//! changes inside one organisation, a [`Platform`] for what stands above them.

pub mod acting;
pub mod agent;
pub mod connection;
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
pub mod server;
mod tools;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bailiwick_model::time::{Clock, Random};
use bailiwick_model::{Code, HouseRules, OrgId, Timestamp};
use bailiwick_store::ledger::Ledger;
use bailiwick_store::{Runs, Store};

pub use acting::{Acting, Admin, Author, Person, Platform, Reader, Required};
use fault::Done;
pub use fault::{Fault, Wrong};
pub use record::Deed;
pub use tools::LiveTools;

use crate::connections::Connections;
use crate::lock::Lock;
use crate::window::Window;

/// Refusals of one organisation that are recorded in one second; the rest is refused all the same, so that a flood cannot fill the ledger.
const REFUSALS_PER_SECOND_MAX: usize = 10;
/// Organisations whose refusals are counted at once.
const COUNTED_ORGS_MAX: usize = 10_000;

/// The parts that [`Operations::new`] takes.
pub struct OperationsSetup {
    /// What is administered.
    pub store: Store,
    /// Without one only those operations work that change nothing.
    pub ledger: Option<Ledger>,
    /// What instructions must not say.
    pub rules: HouseRules,
    /// How long an implicit run lasts without news; the same as where agents are served.
    pub idle: Duration,
    /// Where it is known which tools there are, if anywhere.
    pub tools: Option<Arc<dyn LiveTools>>,
    /// The way to registered servers and their authorization servers.
    pub connections: Connections,
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
    connections: Connections,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Each organisation has its own, so that none can hide in another's noise.
    refusals: Lock<HashMap<OrgId, Window>>,
    /// How long an implicit run lasts without news.
    idle: Duration,
    /// Deeds that were done although their outcome could not be recorded.
    unrecorded: AtomicU64,
}

impl Operations {
    /// Operations on these parts.
    #[must_use]
    pub fn new(setup: OperationsSetup) -> Self {
        let OperationsSetup { store, ledger, rules, idle, tools, connections, clock, random } = setup;
        let (refusals, unrecorded) = (Lock::default(), AtomicU64::new(0));
        Self(Arc::new(Inner { store, ledger, rules, tools, connections, clock, random, refusals, idle, unrecorded }))
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

    fn runs(&self) -> Runs<'_> {
        self.0.store.runs().with_idle_window(self.0.idle)
    }

    /// Whether one more refusal of `org` is to be recorded now; counts it then.
    fn counts_refusal(&self, org: &OrgId, at: Instant) -> bool {
        let mut refusals = self.0.refusals.lock();
        if refusals.len() >= COUNTED_ORGS_MAX {
            refusals.clear();
        }
        let window = refusals.entry(org.clone()).or_insert_with(|| Window::new(REFUSALS_PER_SECOND_MAX, Duration::from_secs(1)));
        let room = window.wait(at).is_none();
        if room {
            window.count(at);
        }
        room
    }

    fn connections(&self) -> &Connections {
        &self.0.connections
    }

    fn rules(&self) -> &HouseRules {
        &self.0.rules
    }

    fn tools(&self) -> Option<&dyn LiveTools> {
        self.0.tools.as_deref()
    }

    fn allows_loopback_http(&self) -> bool {
        self.0.connections.allows_loopback_http()
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
