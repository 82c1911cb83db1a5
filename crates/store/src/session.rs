//! Sessions of clients that speak the `initialize` revisions. Rows, so that any replica can answer; bound to the agent, so that a
//! stolen id is worth nothing to another (security reference section 3, T-SESS). Only a digest of the id is stored.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use bailiwick_model::{AgentId, OrgId, Timestamp};
use data_encoding::BASE64URL_NOPAD;
use sqlx::Row;

use crate::error::{StoreError, StoreResult};
use crate::scope::{PlatformScope, Scope};
use crate::store::{Store, Tx};

/// Bytes of randomness in an id; 43 characters as text.
const ID_BYTES: usize = 32;
/// Ids longer than this are refused unread.
const ID_CHARS_MAX: usize = 128;
/// Sessions one agent may have; a new one then takes the place of the one unused for longest.
pub const SESSIONS_PER_AGENT_MAX: i64 = 256;
/// Resources that one session may watch.
pub const SUBSCRIPTIONS_PER_SESSION_MAX: usize = 200;
/// Sessions kept in memory.
const SESSIONS_CACHED_MAX: usize = 4_096;
/// How long a session in memory is believed; after that another replica's end of it is noticed.
const CACHE_AGE_MAX: Duration = Duration::from_secs(2);
/// Between two writes of the time a session was last used.
const TOUCH_PERIOD: Duration = Duration::from_secs(60);
/// Largest capabilities and client information.
const FACTS_BYTES_MAX: usize = 8 * 1024;

/// What `initialize` agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSession {
    /// The protocol revision, e.g. `2025-11-25`.
    pub revision: String,
    /// The client's capabilities as JSON text.
    pub capabilities: String,
    /// What the client says of itself, as JSON text; never used for a decision.
    pub client_info: Option<String>,
}

/// A live session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The agent it belongs to.
    pub agent_id: AgentId,
    /// What `initialize` agreed on.
    pub facts: NewSession,
    /// When it was opened.
    pub created_at: Timestamp,
    /// What the client has set since.
    pub state: SessionState,
}

/// What a client has set in its session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionState {
    /// Of which severity it wants log messages, e.g. `info`.
    pub log_level: Option<String>,
    /// URIs of the resources that it watches, in the order in which they were added; at most [`SUBSCRIPTIONS_PER_SESSION_MAX`].
    pub subscriptions: Vec<String>,
}

pub(crate) type Digest = [u8; 32];

#[derive(Default)]
pub(crate) struct SessionCache(Mutex<HashMap<(OrgId, Digest), Cached>>);

struct Cached {
    session: Arc<Session>,
    loaded_at: Timestamp,
    touched_at: Timestamp,
}

/// Functions on sessions; see [`Store::sessions`].
#[derive(Clone, Copy, Debug)]
pub struct Sessions<'a>(&'a Store);

impl Store {
    /// Sessions of the `initialize` revisions.
    #[must_use]
    pub const fn sessions(&self) -> Sessions<'_> {
        Sessions(self)
    }
}

impl Sessions<'_> {
    /// Opens a session for the acting agent and gives its id: 256 random bits as 43 visible ASCII characters.
    ///
    /// # Errors
    /// `Invalid` when capabilities or client information exceed 8 KiB.
    pub async fn create(&self, scope: &Scope, new: NewSession) -> StoreResult<String> {
        if new.capabilities.len() > FACTS_BYTES_MAX || new.client_info.as_ref().is_some_and(|info| info.len() > FACTS_BYTES_MAX) {
            return Err(StoreError::invalid(
                "the client's capabilities or description are larger than 8 KiB",
                "the client has to send less",
            ));
        }
        let store = self.0;
        let mut bytes = [0; ID_BYTES];
        store.random().fill(&mut bytes);
        let id = BASE64URL_NOPAD.encode(&bytes);
        let key = id_digest(&id);
        let now = store.now();
        let mut tx = store.write(scope).await?;
        make_room(&mut tx, scope).await?;
        let insert = "INSERT INTO mcp_sessions (tenant_id, session_digest, agent_id, revision, capabilities, client_info, created_at, seen_at) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $7)";
        sqlx::query(insert)
            .bind(scope.org().as_str())
            .bind(key.to_vec())
            .bind(scope.agent_id().as_str())
            .bind(new.revision.as_str())
            .bind(new.capabilities.as_str())
            .bind(new.client_info.clone())
            .bind(now.as_micros())
            .execute(tx.connection())
            .await?;
        tx.commit().await?;
        let session = Arc::new(Session { agent_id: scope.agent_id().clone(), facts: new, created_at: now, state: SessionState::default() });
        self.remember(scope, key, &session, now);
        Ok(id)
    }

    /// The session with this id, if it belongs to the acting agent. An unknown id, an ended session and one of another agent or
    /// organisation are the same `None`. Usually answered from memory.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn get(&self, scope: &Scope, id: &str) -> StoreResult<Option<Arc<Session>>> {
        if id.len() > ID_CHARS_MAX {
            return Ok(None);
        }
        let (key, now) = (id_digest(id), self.0.now());
        if let Some(session) = self.recall(scope, key, now) {
            return Ok(own(scope, session));
        }
        // Boxed: it is rare, and room for it would be copied about with every call.
        Box::pin(self.read(scope, key)).await
    }

    async fn read(&self, scope: &Scope, key: Digest) -> StoreResult<Option<Arc<Session>>> {
        let statement = "SELECT agent_id, revision, capabilities, client_info, created_at, seen_at, log_level, subscriptions \
                         FROM mcp_sessions WHERE tenant_id = $1 AND session_digest = $2 AND agent_id = $3";
        let mut tx = self.0.read(scope).await?;
        let query = sqlx::query(statement).bind(scope.org().as_str()).bind(key.to_vec()).bind(scope.agent_id().as_str());
        let Some(row) = query.fetch_optional(tx.connection()).await? else {
            self.forget(scope, key);
            return Ok(None);
        };
        let facts = NewSession {
            revision: row.try_get("revision")?,
            capabilities: row.try_get("capabilities")?,
            client_info: row.try_get("client_info")?,
        };
        let created_at = Timestamp::from_micros(row.try_get("created_at")?);
        let subscriptions: String = row.try_get("subscriptions")?;
        let subscriptions =
            serde_json::from_str(&subscriptions).map_err(|_| StoreError::corrupt("a session's subscriptions are damaged"))?;
        let state = SessionState { log_level: row.try_get("log_level")?, subscriptions };
        let session = Arc::new(Session { agent_id: scope.agent_id().clone(), facts, created_at, state });
        self.remember(scope, key, &session, Timestamp::from_micros(row.try_get("seen_at")?));
        Ok(Some(session))
    }

    /// Notes that the session is in use. Writes at most once a minute per session.
    ///
    /// # Errors
    /// `Unavailable`, `Locked` or `Full`; the session stays usable.
    pub async fn touch(&self, scope: &Scope, id: &str) -> StoreResult<()> {
        let (key, now) = (id_digest(id), self.0.now());
        {
            let mut cache = self.0.0.sessions.0.lock().unwrap_or_else(PoisonError::into_inner);
            match cache.get_mut(&(scope.org().clone(), key)) {
                Some(cached) if now.since(cached.touched_at) < TOUCH_PERIOD => return Ok(()),
                Some(cached) => cached.touched_at = now,
                None => {}
            }
        }
        Box::pin(self.note_use(scope, key, now)).await
    }

    async fn note_use(&self, scope: &Scope, key: Digest, now: Timestamp) -> StoreResult<()> {
        let statement =
            "UPDATE mcp_sessions SET seen_at = $4 WHERE tenant_id = $1 AND session_digest = $2 AND agent_id = $3 AND seen_at < $4";
        let mut tx = self.0.write(scope).await?;
        sqlx::query(statement)
            .bind(scope.org().as_str())
            .bind(key.to_vec())
            .bind(scope.agent_id().as_str())
            .bind(now.as_micros())
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }

    /// Changes what the client has set. Here it holds at once, on other replicas within two seconds. `None` when there is no such session.
    /// Two changes of one session at the same moment on two replicas: the later one wins.
    ///
    /// # Errors
    /// `Invalid` beyond [`SUBSCRIPTIONS_PER_SESSION_MAX`]; `Unavailable`, `Locked` or `Full`.
    pub async fn change(&self, scope: &Scope, id: &str, change: impl FnOnce(&mut SessionState)) -> StoreResult<Option<Arc<Session>>> {
        let key = id_digest(id);
        self.forget(scope, key);
        let Some(session) = self.get(scope, id).await? else { return Ok(None) };
        let mut changed = Session::clone(&session);
        change(&mut changed.state);
        if changed.state.subscriptions.len() > SUBSCRIPTIONS_PER_SESSION_MAX {
            let message = format!("a session watches at most {SUBSCRIPTIONS_PER_SESSION_MAX} resources");
            return Err(StoreError::invalid(message, "unsubscribe from some first"));
        }
        let subscriptions = serde_json::to_string(&changed.state.subscriptions).unwrap_or_else(|_| "[]".to_owned());
        let statement = "UPDATE mcp_sessions SET log_level = $4, subscriptions = $5 \
                         WHERE tenant_id = $1 AND session_digest = $2 AND agent_id = $3";
        let mut tx = self.0.write(scope).await?;
        sqlx::query(statement)
            .bind(scope.org().as_str())
            .bind(key.to_vec())
            .bind(scope.agent_id().as_str())
            .bind(changed.state.log_level.clone())
            .bind(subscriptions)
            .execute(tx.connection())
            .await?;
        tx.commit().await?;
        let changed = Arc::new(changed);
        self.remember(scope, key, &changed, self.0.now());
        Ok(Some(changed))
    }

    /// Ends a session of the acting agent; `false` when there was none. Other replicas notice within two seconds.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn end(&self, scope: &Scope, id: &str) -> StoreResult<bool> {
        let key = id_digest(id);
        let mut tx = self.0.write(scope).await?;
        let query = sqlx::query("DELETE FROM mcp_sessions WHERE tenant_id = $1 AND session_digest = $2 AND agent_id = $3");
        let bound = query.bind(scope.org().as_str()).bind(key.to_vec()).bind(scope.agent_id().as_str());
        let ended = bound.execute(tx.connection()).await?.rows_affected() > 0;
        tx.commit().await?;
        if ended {
            self.forget(scope, key);
        }
        Ok(ended)
    }

    /// Ends the sessions of all organisations that were not used for `idle`; gives their number.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`; what was pruned until then stays pruned.
    pub async fn prune(&self, scope: &PlatformScope, idle: Duration) -> StoreResult<u64> {
        let idle = i64::try_from(idle.as_micros()).unwrap_or(i64::MAX);
        let before = self.0.now().as_micros().saturating_sub(idle);
        let (mut pruned, mut after) = (0, String::new());
        loop {
            let page = self.0.orgs().list(scope, &after).await?;
            let Some(last) = page.last() else { return Ok(pruned) };
            after = last.org.to_string();
            for organisation in &page {
                let tenant = scope.within(&organisation.org);
                let mut tx = self.0.write(&tenant).await?;
                let query = sqlx::query("DELETE FROM mcp_sessions WHERE tenant_id = $1 AND seen_at < $2");
                pruned += query.bind(organisation.org.as_str()).bind(before).execute(tx.connection()).await?.rows_affected();
                tx.commit().await?;
            }
        }
    }

    fn recall(&self, scope: &Scope, key: Digest, now: Timestamp) -> Option<Arc<Session>> {
        let cache = self.0.0.sessions.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = cache.get(&(scope.org().clone(), key))?;
        (now.since(cached.loaded_at) <= CACHE_AGE_MAX && now >= cached.loaded_at).then(|| Arc::clone(&cached.session))
    }

    fn remember(&self, scope: &Scope, key: Digest, session: &Arc<Session>, touched_at: Timestamp) {
        let loaded_at = self.0.now();
        let mut cache = self.0.0.sessions.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= SESSIONS_CACHED_MAX {
            cache.retain(|_, cached| loaded_at.since(cached.loaded_at) <= CACHE_AGE_MAX);
        }
        if cache.len() >= SESSIONS_CACHED_MAX {
            cache.clear();
        }
        cache.insert((scope.org().clone(), key), Cached { session: Arc::clone(session), loaded_at, touched_at });
    }

    fn forget(&self, scope: &Scope, key: Digest) {
        self.0.0.sessions.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(scope.org().clone(), key));
    }
}

fn own(scope: &Scope, session: Arc<Session>) -> Option<Arc<Session>> {
    (session.agent_id == *scope.agent_id()).then_some(session)
}

pub(crate) fn id_digest(id: &str) -> Digest {
    digest(&SHA256, id.as_bytes()).as_ref().first_chunk().copied().unwrap_or_default()
}

/// Leaves at most one less than the limit, the most recently used ones.
async fn make_room(tx: &mut Tx, scope: &Scope) -> StoreResult<()> {
    let statement = "DELETE FROM mcp_sessions WHERE tenant_id = $1 AND agent_id = $2 AND session_digest NOT IN \
        (SELECT session_digest FROM mcp_sessions WHERE tenant_id = $1 AND agent_id = $2 ORDER BY seen_at DESC, session_digest LIMIT $3)";
    sqlx::query(statement)
        .bind(scope.org().as_str())
        .bind(scope.agent_id().as_str())
        .bind(SESSIONS_PER_AGENT_MAX - 1)
        .execute(tx.connection())
        .await?;
    Ok(())
}
