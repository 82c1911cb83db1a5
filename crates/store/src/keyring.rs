//! Verification of API keys in memory: no database, no lock and next to no allocation on the way of a call. A background task keeps
//! the copy fresh; a copy that is older than a second is not used, so that a revoked key stops working within that time.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use bailiwick_model::{OrgId, Timestamp};
use data_encoding::HEXLOWER;
use tokio::sync::Mutex;

use crate::error::StoreResult;
use crate::generation::Topic;
use crate::key::{mac, mac_subject};
use crate::scope::{PlatformScope, Principal, Scope};
use crate::store::Store;
use crate::system::{KeyRow, keys_changed_since};
use crate::token;
use crate::vault::Vault;

/// A copy older than this is not used. [`Keyring::refresh`] should run at least twice in this time.
pub const KEYRING_AGE_MAX: Duration = Duration::from_secs(1);
/// Between two rounds that write down when keys were last used; so at most one write per key and minute.
const USE_WRITE_PERIOD: Duration = Duration::from_secs(60);

/// Keeps the write lock short when many keys are in use.
const USE_WRITES_PER_TRANSACTION_MAX: usize = 250;

/// Why a token was refused. Callers on the network learn only that it was refused; the word is for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyRefusal {
    /// Not the text of a key: wrong shape or checksum.
    Malformed,
    /// No such key, or a wrong secret.
    Unknown,
    /// Revoked.
    Revoked,
    /// Its time is over.
    Expired,
    /// Its agent is disabled, or its member has left the organisation.
    Disabled,
    /// The copy in memory is too old to decide: await [`Keyring::refresh`] and ask again.
    Stale,
    /// The root key is missing, so no key can be verified.
    Sealed,
}

impl KeyRefusal {
    /// The word for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Disabled => "disabled",
            Self::Stale => "stale",
            Self::Sealed => "sealed",
        }
    }
}

impl fmt::Display for KeyRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// All keys of all organisations. A clone is cheap and shares everything.
#[derive(Clone)]
pub struct Keyring(Arc<Inner>);

struct Inner {
    store: Store,
    entries: ArcSwap<HashMap<[u8; 8], Arc<Entry>>>,
    /// Start of the last successful refresh, in microseconds.
    fresh_at: AtomicI64,
    /// Counter of changes to agents at that time.
    agent_states: AtomicI64,
    /// Refreshes begun so far, and the newest one that succeeded.
    begun: AtomicU64,
    succeeded: AtomicU64,
    refresh: Mutex<RefreshState>,
}

struct RefreshState {
    generation: i64,
    uses_written_at: Timestamp,
}

struct Entry {
    scope: Scope,
    subject: Vec<u8>,
    mac: Vec<u8>,
    pepper_version: i64,
    expires_at: Option<Timestamp>,
    revoked: bool,
    disabled: bool,
    used_at: AtomicI64,
    use_written_at: AtomicI64,
}

impl Keyring {
    /// Loads all keys.
    ///
    /// # Errors
    /// As the database gives them. A sealed store is no error here; every token is then refused as [`KeyRefusal::Sealed`].
    pub async fn start(store: Store) -> StoreResult<Self> {
        let refresh = Mutex::new(RefreshState { generation: 0, uses_written_at: store.now() });
        let inner = Inner {
            store,
            entries: ArcSwap::default(),
            fresh_at: AtomicI64::new(i64::MIN),
            agent_states: AtomicI64::new(0),
            begun: AtomicU64::new(0),
            succeeded: AtomicU64::new(0),
            refresh,
        };
        let keyring = Self(Arc::new(inner));
        keyring.refresh().await?;
        Ok(keyring)
    }

    /// Verifies the text of a key. Never waits.
    ///
    /// # Errors
    /// The reason of the refusal. An unknown key costs the same work as a known one with a wrong secret.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Scope, KeyRefusal> {
        let token = token::parse(token).ok_or(KeyRefusal::Malformed)?;
        let Vault::Open(vault) = self.0.store.vault() else { return Err(KeyRefusal::Sealed) };
        if self.stale(now) {
            return Err(KeyRefusal::Stale);
        }
        let entries = self.0.entries.load();
        let Some(entry) = entries.get(&token.key_id) else {
            std::hint::black_box(mac(&vault.pepper, &[0; 48], &token.secret));
            return Err(KeyRefusal::Unknown);
        };
        let computed = mac(&vault.pepper, &entry.subject, &token.secret);
        let equal = verify_slices_are_equal(computed.as_ref(), &entry.mac).is_ok();
        // Only who knows the secret learns what became of the key.
        if !equal || entry.pepper_version != vault.platform_version {
            return Err(KeyRefusal::Unknown);
        }
        entry.admit(now)?;
        entry.used_at.fetch_max(now.as_micros(), Ordering::Relaxed);
        Ok(entry.scope.clone())
    }

    /// The counter of changes to agents that exist ([`Topic::AgentStates`]), no older than [`KEYRING_AGE_MAX`]: what was found out about
    /// an agent holds while it stays the same. Never waits.
    ///
    /// # Errors
    /// [`KeyRefusal::Stale`] when it is older: await [`Keyring::refresh`] and ask again.
    pub fn agent_states(&self, now: Timestamp) -> Result<i64, KeyRefusal> {
        if self.stale(now) { Err(KeyRefusal::Stale) } else { Ok(self.0.agent_states.load(Ordering::Acquire)) }
    }

    /// A clock that was set back makes the copy stale as well, until the next refresh.
    fn stale(&self, now: Timestamp) -> bool {
        let age = now.as_micros().saturating_sub(self.0.fresh_at.load(Ordering::Acquire)).unsigned_abs();
        Duration::from_micros(age) > KEYRING_AGE_MAX
    }

    /// Brings the copy up to date: one small statement when nothing changed. To be called every half second; callers that arrive while
    /// one runs wait for it instead of adding to the load. Once a minute it also writes down which keys were used.
    ///
    /// # Errors
    /// As the database gives them; the copy then keeps its age.
    pub async fn refresh(&self) -> StoreResult<()> {
        let inner = &*self.0;
        let begun_before = inner.begun.load(Ordering::Acquire);
        let mut state = inner.refresh.lock().await;
        // One that began after we asked has succeeded while we waited: it saw what we want to see.
        if inner.succeeded.load(Ordering::Acquire) > begun_before {
            return Ok(());
        }
        let number = inner.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let begun_at = inner.store.now();
        let system = PlatformScope::system();
        let newest = inner.store.generations(&system).await?;
        let generation = newest.of(Topic::Keys);
        if generation != state.generation {
            let rows = keys_changed_since(&inner.store, &system, state.generation, generation).await?;
            self.take(rows, generation < state.generation);
            state.generation = generation;
        }
        inner.agent_states.store(newest.of(Topic::AgentStates), Ordering::Release);
        inner.fresh_at.store(begun_at.as_micros(), Ordering::Release);
        inner.succeeded.store(number, Ordering::Release);
        if begun_at.since(state.uses_written_at) >= USE_WRITE_PERIOD {
            state.uses_written_at = begun_at;
            drop(state);
            // Dates for people; the copy is fresh without them, e.g. on a database that is read-only for now.
            if let Err(error) = self.write_uses().await {
                tracing::warn!(?error, "when API keys were last used could not be written");
            }
        }
        Ok(())
    }

    fn take(&self, rows: Vec<KeyRow>, anew: bool) {
        let old = self.0.entries.load();
        let mut entries = if anew { HashMap::new() } else { HashMap::clone(&old) };
        for row in rows {
            let id = *row.key_id.as_bytes();
            let used_at = old.get(&id).map_or(i64::MIN, |entry| entry.used_at.load(Ordering::Relaxed));
            let mut entry = Entry::new(row, used_at);
            // Ids are random and made here; two organisations with the same one means tampering, and neither key may stand for the other.
            if entries.get(&id).is_some_and(|known| known.scope.org() != entry.scope.org() || known.mac.is_empty()) {
                tracing::error!(key = %HEXLOWER.encode(&id), "two organisations have an API key with the same id; both are refused");
                entry.mac.clear();
            }
            entries.insert(id, Arc::new(entry));
        }
        self.0.entries.store(Arc::new(entries));
    }

    /// Writes down when keys were last used, those that were used since the last time. Called by [`refresh`](Self::refresh) once a
    /// minute, and to be called before the process stops.
    ///
    /// # Errors
    /// As the database gives them; nothing is lost but dates.
    pub async fn write_uses(&self) -> StoreResult<()> {
        let mut by_org: BTreeMap<OrgId, Vec<Arc<Entry>>> = BTreeMap::new();
        for entry in self.0.entries.load().values().filter(|entry| entry.use_unwritten()) {
            by_org.entry(entry.scope.org().clone()).or_default().push(Arc::clone(entry));
        }
        for entries in by_org.values().flat_map(|entries| entries.chunks(USE_WRITES_PER_TRANSACTION_MAX)) {
            self.write_uses_of_org(entries).await?;
        }
        Ok(())
    }

    async fn write_uses_of_org(&self, entries: &[Arc<Entry>]) -> StoreResult<()> {
        let Some(first) = entries.first() else { return Ok(()) };
        let mut tx = self.0.store.write(&first.scope).await?;
        let statement = "UPDATE api_keys SET last_used_at = $3 WHERE tenant_id = $1 AND key_id = $2 AND coalesce(last_used_at, 0) < $3";
        let mut written = Vec::with_capacity(entries.len());
        for entry in entries {
            let Some(key_id) = entry.scope.principal().key_id else { continue };
            let used_at = entry.used_at.load(Ordering::Relaxed);
            let query = sqlx::query(statement).bind(entry.scope.org().as_str()).bind(key_id.to_string()).bind(used_at);
            query.execute(tx.connection()).await?;
            written.push((entry, used_at));
        }
        tx.commit().await?;
        written.into_iter().for_each(|(entry, used_at)| entry.use_written_at.store(used_at, Ordering::Relaxed));
        Ok(())
    }
}

impl Entry {
    fn new(row: KeyRow, used_at: i64) -> Self {
        let subject = mac_subject(&row.org, &row.agent_id, row.sub.as_ref(), row.key_id);
        let (sub, email) = (row.sub, row.email.map(Into::into));
        let principal =
            Principal { agent_id: row.agent_id, agent_type: row.agent_type, key_id: Some(row.key_id), sub, email, claims: None };
        let written = row.last_used_at.map_or(i64::MIN, Timestamp::as_micros);
        Self {
            scope: Scope::new(row.org, principal),
            subject,
            mac: row.mac,
            pepper_version: row.pepper_version,
            expires_at: row.expires_at,
            revoked: row.revoked,
            disabled: row.disabled,
            used_at: AtomicI64::new(used_at.max(written)),
            use_written_at: AtomicI64::new(written),
        }
    }

    fn admit(&self, now: Timestamp) -> Result<(), KeyRefusal> {
        if self.revoked {
            return Err(KeyRefusal::Revoked);
        }
        if self.expires_at.is_some_and(|at| now >= at) {
            return Err(KeyRefusal::Expired);
        }
        if self.disabled { Err(KeyRefusal::Disabled) } else { Ok(()) }
    }

    fn use_unwritten(&self) -> bool {
        self.used_at.load(Ordering::Relaxed) > self.use_written_at.load(Ordering::Relaxed)
    }
}
