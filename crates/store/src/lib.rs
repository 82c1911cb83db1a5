//! Rows behind one set of functions for SQLite and PostgreSQL, sealed secrets, the ledger.
//!
//! Every function takes a scope first: [`Scope`] (an authenticated agent), [`OrgScope`] (an operator inside one organisation) or
//! [`PlatformScope`] (platform rows). An unknown row and a row of another organisation give the same answer. Functions on one noun
//! hang together: `store.agents().create(..)`, `store.keys().revoke(..)`.

mod agent;
mod connection;
mod constraint;
mod database;
mod dialect;
mod error;
pub mod event;
mod feedback;
mod flow;
mod generation;
mod group;
mod handle;
mod idempotency;
mod instruction;
mod key;
mod keyring;
pub mod ledger;
mod member;
mod memory;
mod migrate;
mod migrations;
mod org;
mod pool;
mod rate;
mod revocation;
mod rls;
mod root_key;
mod rotation;
mod run;
mod scope;
mod seal;
mod sealed_keys;
mod secret;
mod server;
mod session;
mod store;
mod system;
mod token;
mod token_agent;
mod vault;
mod wrapped;

pub use agent::{Agent, AgentChange, AgentOwner, Agents};
pub use connection::{
    ConnectionInfo, Connections, Grantor, LeasedRefresh, NewTokens, OpenConnection, REFRESH_LEASE_MAX, RefreshFailure, RefreshLease,
    TOKEN_BYTES_MAX,
};
pub use database::DatabaseUrl;
pub use dialect::{Dialect, LOCK_WAIT};
pub use error::{StoreError, StoreErrorKind, StoreResult};
pub use feedback::{
    FEEDBACK_PAGE_MAX, FEEDBACK_PER_ORG_MAX, FEEDBACK_PER_SUBJECT_MAX, FEEDBACK_PRUNED_MAX, Feedback, FeedbackFilter, FeedbackSource,
    FeedbackStamp, Feedbacks, RESOLUTION_CHARS_MAX, Resolved,
};
pub use flow::{FLOWS_PER_HOLDER_MAX, FLOWS_PER_ORG_MAX, Flow, FlowBearer, Flows, NewFlow, PRUNED_FLOWS_MAX, TakenFlow};
pub use generation::{Generations, Topic};
pub use group::{GROUPS_PER_ORG_MAX, Group, GroupMember, Groups};
pub use handle::HANDLE_BYTES_MAX;
pub use idempotency::{Claim, IDEMPOTENCY_KEPT, IDEMPOTENCY_ROWS_PER_ORG_MAX, IDEMPOTENCY_ROWS_PER_PRINCIPAL_MAX, Idempotency, Named};
pub use instruction::{
    DocName, INSTRUCTION_LAYERS_MAX, INSTRUCTION_PAGE_MAX, INSTRUCTIONS_PER_ORG_MAX, Instruction, InstructionEntry, InstructionPut,
    InstructionRevert, Instructions, REVISION_PAGE_MAX, Revision, SavedInstruction, VERSIONS_PER_INSTRUCTION_MAX,
};
pub use key::{CreatedKey, KeyInfo, Keys, LIVE_KEYS_PER_ORG_MAX, NewKey};
pub use keyring::{KEYRING_AGE_MAX, KeyRefusal, Keyring};
pub use member::{MEMBERS_PER_ORG_MAX, Member, Members, PlatformAdmin};
pub use memory::Memory;
pub use migrate::{Migrate, MigrateReport, apply as apply_migrations, grant as grant_role};
pub use org::{Organisation, Orgs, PAGE_ROWS_MAX};
pub use rate::{Rates, Settled, Share, Taken, Want};
pub use revocation::{DueRevocation, FailedRevocation, REVOCATION_ATTEMPTS_MAX, REVOCATION_LEASE_MAX, REVOCATIONS_LEASED_MAX, Revocations};
pub use root_key::RootKeySource;
pub use rotation::{KeyVersion, Opened, OtherRoot, PlatformKey, RootMoved, Rotated, Rotation};
pub use run::{
    Attributed, Attribution, FINISH_REASON_CHARS_MAX, FinishedRun, Finisher, FrozenDoctrine, NewRun, OPEN_RUNS_PER_OWNER_MAX,
    PRUNED_ROWS_MAX, PRUNED_RUNS_MAX, PrunedRuns, RUN_PAGE_MAX, Run, RunFilter, RunStart, Runs, TOUCH_PERIOD, Whereabouts,
};
pub use scope::{OrgScope, PlatformScope, Principal, Scope, Tenant, TokenClaims};
pub use sealed_keys::{AuditKey, CheckpointKey};
pub use secret::{SECRET_BYTES_MAX, SecretInfo, Secrets};
pub use server::{
    Cascade, ClientInfo, DetailChange, Found, KnownTool, ListedTool, NewClient, ORGS_PER_SERVER_MAX, PROBE_BYTES_MAX, RegisteredServer,
    Registrar, SERVERS_OF_PLATFORM_MAX, SERVERS_PER_ORG_MAX, ServerClient, ServerClients, ServerContext, ServerCredential, ServerOrgs,
    ServerProbe, ServerProbes, Servers, TOOLS_BYTES_MAX, TOOLS_KEPT_MAX, TOOLS_LISTED_MAX, ToolChanges,
};
pub use session::{NewSession, SESSIONS_PER_AGENT_MAX, SUBSCRIPTIONS_PER_SESSION_MAX, Session, SessionState, Sessions};
pub use store::{OpenOptions, Store};
pub use token::same_secret;
pub use token_agent::{AgentRefusal, TokenAgent};

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
            => crate::seal::KeyBytes, crate::seal::SealingKey, crate::root_key::RootKey, crate::vault::Vault, crate::CreatedKey, crate::RootKeySource, crate::OtherRoot);
        assert_cannot!(std::fmt::Display, serde::Serialize => crate::AuditKey, crate::CheckpointKey);
    }
}
