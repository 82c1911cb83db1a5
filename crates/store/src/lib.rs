//! Rows behind one set of functions for SQLite and PostgreSQL, sealed secrets, the ledger.
//!
//! Every function takes a scope first: [`Scope`] (an authenticated agent), [`OrgScope`] (an operator inside one organisation) or
//! [`PlatformScope`] (platform rows). An unknown row and a row of another organisation give the same answer. Functions on one noun
//! hang together: `store.agents().create(..)`, `store.keys().revoke(..)`.

mod agent;
mod constraint;
mod database;
mod dialect;
mod error;
pub mod event;
mod generation;
mod handle;
mod key;
mod keyring;
pub mod ledger;
mod memory;
mod migrate;
mod migrations;
mod org;
mod pool;
mod rate;
mod rls;
mod root_key;
mod scope;
mod seal;
mod sealed_keys;
mod secret;
mod server;
mod session;
mod store;
mod system;
mod token;
mod vault;

pub use agent::{Agent, Agents};
pub use database::DatabaseUrl;
pub use dialect::{Dialect, LOCK_WAIT};
pub use error::{StoreError, StoreErrorKind, StoreResult};
pub use generation::{Generations, Topic};
pub use handle::HANDLE_BYTES_MAX;
pub use key::{CreatedKey, KeyInfo, Keys, LIVE_KEYS_PER_ORG_MAX, NewKey};
pub use keyring::{KEYRING_AGE_MAX, KeyRefusal, Keyring};
pub use memory::Memory;
pub use migrate::{Migrate, MigrateReport, apply as apply_migrations, grant as grant_role};
pub use org::{Organisation, Orgs, PAGE_ROWS_MAX};
pub use rate::{Rates, Settled, Share, Taken, Want};
pub use root_key::RootKeySource;
pub use scope::{OrgScope, PlatformScope, Principal, Scope, Tenant};
pub use sealed_keys::{AuditKey, CheckpointKey};
pub use secret::{SECRET_BYTES_MAX, SecretInfo, Secrets};
pub use server::{PROBE_BYTES_MAX, ServerProbe, Servers};
pub use session::{NewSession, SESSIONS_PER_AGENT_MAX, SUBSCRIPTIONS_PER_SESSION_MAX, Session, SessionState, Sessions};
pub use store::{OpenOptions, Store};
pub use token::same_secret;

#[cfg(test)]
mod tests {
    /// Fails to compile when one of the types has one of the traits: the call would then be ambiguous.
    macro_rules! assert_cannot {
        ($($trait:path),* => $($kind:ty),*) => { assert_cannot!(@each [$($trait),*] $([$kind])*); };
        (@each $traits:tt $([$kind:ty])*) => { $(assert_cannot!(@one $kind, $traits);)* };
        (@one $kind:ty, [$($trait:path),*]) => { $({
            trait Ambiguous<Marker> { fn check() {} }
            impl<T: ?Sized> Ambiguous<()> for T {}
            struct Found;
            impl<T: ?Sized + $trait> Ambiguous<Found> for T {}
            <$kind as Ambiguous<_>>::check();
        })* };
    }

    #[test]
    fn secrets_cannot_be_printed_copied_or_serialised() {
        assert_cannot!(std::fmt::Debug, std::fmt::Display, Clone, serde::Serialize
            => crate::seal::KeyBytes, crate::seal::SealingKey, crate::root_key::RootKey, crate::vault::Vault, crate::CreatedKey, crate::RootKeySource);
        assert_cannot!(std::fmt::Display, serde::Serialize => crate::AuditKey, crate::CheckpointKey);
    }
}
