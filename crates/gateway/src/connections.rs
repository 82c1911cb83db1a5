//! Connections to registered servers: what joins their rows, the OAuth client and the calls (governance reference 5.4, 5.5, 6).
//!
//! | File | Holds |
//! |---|---|
//! | `connections/roster.rs` | the registered servers of each organisation, kept as the database has them |
//! | `connections/lending.rs` | which credential a call to one of them goes with |
//! | `connections/line.rs` | the way of one holder: an upstream, and the token that it sends |
//! | `connections/refresh.rs` | a token is refreshed by one replica at a time |
//! | `connections/rest.rs` | pauses after refreshes that failed |
//! | `connections/set_up.rs` | from a registration to a server that can be called |
//! | `connections/flow.rs` | from a person's wish to connect to a stored token |
//! | `connections/client_credentials.rs` | connections of the organisation that need no person |
//! | `connections/ticket.rs` | the link that a person gets |
//! | `connections/listing.rs` | asking a server for its tools, with somebody's connection |
//! | `connections/diagnosis.rs` | what the doctor found, in words |
//! | `connections/revoke.rs` | giving tokens back whose connection is gone |

mod client_credentials;
mod diagnosis;
mod fault;
mod flow;
mod lending;
mod line;
mod listing;
mod refresh;
mod rest;
mod revoke;
mod roster;
mod set_up;
mod ticket;

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_model::config::{AuthMode, Config};
use bailiwick_model::time::{Clock, Random};
use bailiwick_model::{OrgId, Timestamp};
use bailiwick_modules::egress::{Egress, Network};
use bailiwick_store::{OrgScope, PlatformScope, Store, StoreResult};

pub use diagnosis::{Diagnosis, DiagnosisQuirk, DiagnosisStep};
pub use fault::ConnectFault;
pub use flow::{Connected, Pending, Returned, Started};
pub(crate) use lending::{Lending, Loan, Need, Unlent};
pub(crate) use rest::{Rests, Turns};
pub(crate) use roster::{OrgServers, Roster};
pub use ticket::Ticket;

use crate::gateway::{StartFault, oauth_profiles, oauth_settings, public_fault};
use crate::mask::Mask;
use crate::oauth::Settings;
use crate::oauth::profiles::Profiles;
use crate::servers::Workshop;

/// What all of this needs. A clone shares everything.
#[derive(Clone)]
pub struct Connections(Arc<Parts>);

/// The parts of [`Connections`].
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) oauth: Settings,
    pub(crate) profiles: Profiles,
    pub(crate) workshop: Arc<Workshop>,
    pub(crate) mask: Arc<Mask>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) rests: Rests,
    pub(crate) turns: Turns,
    /// Why nobody can be sent to an authorization server from here; `None`: somebody can.
    pub(crate) unreachable: Option<String>,
    /// Nobody is told apart (`auth: none`, or one agent's token): whoever is here may connect for the organisation.
    pub(crate) is_single: bool,
}

impl Connections {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// For an operator at the machine, without a gateway: what he asks for goes out from his own process.
    ///
    /// # Errors
    /// When `public_url` or `connections` of the configuration cannot work.
    pub fn for_operator(
        config: &Config,
        store: &Store,
        network: Arc<dyn Network>,
        clock: &Arc<dyn Clock>,
        random: &Arc<dyn Random>,
    ) -> Result<Self, StartFault> {
        let mask = Arc::new(Mask::default());
        let egress = Egress::new(network);
        let workshop = Workshop {
            egress: egress.clone(),
            launcher: None,
            environment: BTreeMap::new(),
            limits: config.limits.clone(),
            name_max: config.names.max_length,
            mask: mask.clone(),
            jitter_seed: 0,
        };
        Ok(Self::new(Parts {
            store: store.clone(),
            oauth: oauth_settings(config, &egress)?,
            profiles: oauth_profiles(config)?,
            workshop: Arc::new(workshop),
            mask,
            clock: Arc::clone(clock),
            random: Arc::clone(random),
            rests: Rests::default(),
            turns: Turns::default(),
            unreachable: public_fault(config),
            is_single: config.auth == AuthMode::None,
        }))
    }

    /// Whether people reach this gateway over https.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.oauth().public().starts_with("https://")
    }

    fn store(&self) -> &Store {
        &self.0.store
    }

    /// Whether registered servers may be on this machine, over plain http.
    pub(crate) fn allows_loopback_http(&self) -> bool {
        self.oauth().allows_loopback_http()
    }

    fn oauth(&self) -> &Settings {
        &self.0.oauth
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// What background work acts as.
    fn platform(&self) -> StoreResult<PlatformScope> {
        self.store().platform("gateway")
    }

    fn within(&self, org: &OrgId) -> StoreResult<OrgScope> {
        Ok(self.platform()?.within(org))
    }
}
