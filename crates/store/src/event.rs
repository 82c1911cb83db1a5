//! The readable index of the ledger: one row per call or event, redacted, under its own retention (reference, governance section
//! 4.1). It proves nothing; the ledger does. Rows are written behind by the ledger only, and read by `audit list | show | tail`.

use std::borrow::Cow;
use std::sync::Arc;

use bailiwick_model::code::Code;
use bailiwick_model::time::Timestamp;
use bailiwick_model::{AgentId, AgentType, EventId, OrgId, RunId, Subject};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreResult;
use crate::scope::{PlatformScope, Scope, Tenant};
use crate::store::{Store, Tx};

/// Rows that one round of pruning takes away, so that the write lock is held shortly.
const PRUNE_ROWS_MAX: i64 = 1_000;

/// Rows of one page at most.
pub const EVENT_PAGE_MAX: u32 = 500;

/// What a row tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A call of a tool, resource or prompt.
    Call,
    /// A login, a presented key, a refused credential.
    Auth,
    /// A change of configuration, manifests or organisations.
    Config,
    /// A key was made or revoked.
    Key,
    /// A secret was stored, used by an operator, or removed.
    Secret,
    /// What an external server offers was looked up or changed.
    Discovery,
    /// A policy or contract decision outside a call.
    Policy,
    /// The ledger itself was read or exported.
    Audit,
    /// The process started, stopped or recovered.
    System,
}

impl EventKind {
    /// Every kind.
    pub const ALL: &'static [Self] =
        &[Self::Call, Self::Auth, Self::Config, Self::Key, Self::Secret, Self::Discovery, Self::Policy, Self::Audit, Self::System];

    /// The word in rows and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Auth => "auth",
            Self::Config => "config",
            Self::Key => "key",
            Self::Secret => "secret",
            Self::Discovery => "discovery",
            Self::Policy => "policy",
            Self::Audit => "audit",
            Self::System => "system",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }
}

/// Who caused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// An authenticated agent.
    Agent(Scope),
    /// An operator, by the name he acts under.
    Operator {
        /// The organisation he acts in; `None` for the platform.
        org: Option<OrgId>,
        /// His name.
        name: Arc<str>,
    },
    /// What a record says of a process that is gone, or of a caller who was not admitted.
    Claimed {
        /// The organisation, when known.
        org: Option<OrgId>,
        /// The instance, when known.
        agent_id: Option<AgentId>,
        /// Its kind, when known.
        agent_type: Option<AgentType>,
        /// The member for whom it acted, when known.
        sub: Option<Subject>,
    },
}

impl Actor {
    /// Nobody known: a refused credential.
    #[must_use]
    pub const fn unknown() -> Self {
        Self::Claimed { org: None, agent_id: None, agent_type: None, sub: None }
    }

    /// The organisation whose row it is; `None` for the platform's own.
    #[must_use]
    pub fn org(&self) -> Option<&OrgId> {
        match self {
            Self::Agent(scope) => Some(scope.org()),
            Self::Operator { org, .. } | Self::Claimed { org, .. } => org.as_ref(),
        }
    }

    /// The member for whom an agent acted, and his address.
    fn member(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Agent(scope) => (scope.principal().sub.as_ref().map(Subject::as_str), scope.principal().email.as_deref()),
            Self::Claimed { sub, .. } => (sub.as_ref().map(Subject::as_str), None),
            Self::Operator { .. } => (None, None),
        }
    }

    fn agent(&self) -> (Option<&AgentId>, Option<&AgentType>) {
        match self {
            Self::Agent(scope) => (Some(scope.agent_id()), Some(scope.agent_type())),
            Self::Operator { .. } => (None, None),
            Self::Claimed { agent_id, agent_type, .. } => (agent_id.as_ref(), agent_type.as_ref()),
        }
    }
}

/// A row to be written. Texts must be redacted and cut (`ledger::redact`); they are escaped here, so that none can forge a line.
#[derive(Clone, Debug)]
pub struct EventRow {
    /// The id shared with the records of the ledger.
    pub event_id: EventId,
    /// When it began.
    pub at: Timestamp,
    /// What it is.
    pub kind: EventKind,
    /// Who caused it.
    pub actor: Actor,
    /// The server or module.
    pub server: Option<Arc<str>>,
    /// The public name of the tool, or the operation.
    pub tool: Option<Arc<str>>,
    /// Which definition the tool had: the beginning of a digest of it, 16 hexadecimal digits.
    pub tool_revision: Option<Arc<str>>,
    /// `allowed`, `denied`, ...
    pub decision: Option<Cow<'static, str>>,
    /// The code of a refusal or fault.
    pub code: Option<Cow<'static, str>>,
    /// Whether the caller got what he asked for.
    pub ok: bool,
    /// A redacted sentence.
    pub error: Option<String>,
    /// The whole call as seen by the caller.
    pub duration_ms: Option<u32>,
    /// The run it belongs to.
    pub run_id: Option<RunId>,
    /// How the run was found (`explicit`, `session`, `inferred`).
    pub run_source: Option<Cow<'static, str>>,
    /// The trace, 32 hexadecimal digits.
    pub trace_id: Option<String>,
    /// Redacted, cut arguments as JSON text, at most `ledger::ARGS_BYTES_MAX` bytes.
    pub args: Option<String>,
    /// Keyed digest of the arguments.
    pub args_digest: Option<String>,
    /// Size of the result.
    pub result_bytes: Option<u64>,
    /// Whose credential was used toward the server (`user`, `org`, `none`).
    pub credential_kind: Option<Cow<'static, str>>,
    /// The registered client through which it came, as the token names it.
    pub client_id: Option<String>,
    /// A remark of the ledger about this row.
    pub note: Option<Cow<'static, str>>,
}

impl EventRow {
    /// A row about a success, everything optional absent.
    #[must_use]
    pub const fn new(event_id: EventId, at: Timestamp, kind: EventKind, actor: Actor) -> Self {
        Self {
            event_id,
            at,
            kind,
            actor,
            server: None,
            tool: None,
            tool_revision: None,
            decision: None,
            code: None,
            ok: true,
            error: None,
            duration_ms: None,
            run_id: None,
            run_source: None,
            trace_id: None,
            args: None,
            args_digest: None,
            result_bytes: None,
            credential_kind: None,
            client_id: None,
            note: None,
        }
    }

    /// The same row as a refusal or fault with `code`.
    #[must_use]
    pub fn failed(mut self, code: Code) -> Self {
        self.ok = false;
        self.code = Some(Cow::Borrowed(code.as_str()));
        self
    }

    pub(crate) fn agent(&self) -> (Option<&AgentId>, Option<&AgentType>) {
        self.actor.agent()
    }

    pub(crate) fn member(&self) -> (Option<&str>, Option<&str>) {
        self.actor.member()
    }
}

/// A row as read. Times are microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Position in the index; the cursor of [`EventPage`].
    pub id: i64,
    /// Organisation; `None` for the platform's own.
    pub org: Option<String>,
    /// See [`EventRow::event_id`], 32 hexadecimal digits.
    pub event_id: String,
    /// See [`EventRow::at`].
    pub at: Timestamp,
    /// See [`EventRow::kind`].
    pub kind: String,
    /// Name of the operator.
    pub operator: Option<String>,
    /// Acting agent.
    pub agent_id: Option<String>,
    /// Its kind.
    pub agent_type: Option<String>,
    /// See [`EventRow::server`].
    pub server: Option<String>,
    /// See [`EventRow::tool`].
    pub tool: Option<String>,
    /// See [`EventRow::tool_revision`].
    pub tool_revision: Option<String>,
    /// See [`EventRow::decision`].
    pub decision: Option<String>,
    /// See [`EventRow::code`].
    pub code: Option<String>,
    /// See [`EventRow::ok`].
    pub ok: bool,
    /// See [`EventRow::error`].
    pub error: Option<String>,
    /// See [`EventRow::duration_ms`].
    pub duration_ms: Option<i64>,
    /// See [`EventRow::run_id`].
    pub run_id: Option<String>,
    /// See [`EventRow::run_source`].
    pub run_source: Option<String>,
    /// See [`EventRow::trace_id`].
    pub trace_id: Option<String>,
    /// See [`EventRow::args`].
    pub args: Option<String>,
    /// See [`EventRow::args_digest`].
    pub args_digest: Option<String>,
    /// See [`EventRow::result_bytes`].
    pub result_bytes: Option<i64>,
    /// See [`EventRow::credential_kind`].
    pub credential_kind: Option<String>,
    /// The member for whom the agent acted.
    pub sub: Option<String>,
    /// His address at that time.
    pub email: Option<String>,
    /// See [`EventRow::client_id`].
    pub client_id: Option<String>,
    /// See [`EventRow::note`].
    pub note: Option<String>,
    /// The writer whose chain holds the record.
    pub writer: String,
    /// Its number there.
    pub seq: i64,
}

/// Which rows; an absent member does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only this kind.
    pub kind: Option<EventKind>,
    /// Only this agent.
    pub agent_id: Option<AgentId>,
    /// Only this member.
    pub sub: Option<String>,
    /// Only this server or module.
    pub server: Option<String>,
    /// Only this tool.
    pub tool: Option<String>,
    /// Only this code.
    pub code: Option<String>,
    /// Only successes or only failures.
    pub ok: Option<bool>,
    /// Only this run.
    pub run_id: Option<RunId>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// Which part of the matching rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventPage {
    /// The newest rows, newest first.
    Newest,
    /// Rows before this [`Event::id`], newest first.
    Before(i64),
    /// Rows after this [`Event::id`], oldest first: what a tail asks for again and again.
    After(i64),
}

const SELECT: &str = "SELECT id, tenant_id, event_id, at, kind, operator, agent_id, agent_type, server, tool, decision, code, ok, error, \
    duration_ms, run_id, run_source, trace_id, args, args_digest, result_bytes, credential_kind, sub, email, client_id, note, writer, seq, tool_revision FROM events";

const FILTERED: &str = " WHERE tenant_id = $1 AND id < $2 AND id > $3 \
    AND ($4 IS NULL OR kind = $4) AND ($5 IS NULL OR agent_id = $5) AND ($6 IS NULL OR server = $6) AND ($7 IS NULL OR tool = $7) \
    AND ($8 IS NULL OR code = $8) AND ($9 IS NULL OR ok = $9) AND ($10 IS NULL OR run_id = $10) AND ($11 IS NULL OR sub = $11) \
    AND at >= $12 AND at < $13 ORDER BY id ";

/// Functions on the readable index; see [`Store::events`].
#[derive(Clone, Copy, Debug)]
pub struct Events<'a>(&'a Store);

impl Store {
    /// The readable index of the ledger.
    #[must_use]
    pub const fn events(&self) -> Events<'_> {
        Events(self)
    }
}

impl Events<'_> {
    /// Rows of one organisation, at most `limit` and [`EVENT_PAGE_MAX`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list(&self, tenant: &impl Tenant, filter: &EventFilter, page: EventPage, limit: u32) -> StoreResult<Vec<Event>> {
        let tx = self.0.read(tenant).await?;
        list(tx, tenant.org().as_str(), filter, page, limit).await
    }

    /// The platform's own rows, which belong to no organisation.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list_platform(&self, scope: &PlatformScope, filter: &EventFilter, page: EventPage, limit: u32) -> StoreResult<Vec<Event>> {
        let tx = self.read_platform(scope).await?;
        list(tx, PLATFORM, filter, page, limit).await
    }

    /// The row of `event_id`; `None` also when it belongs to another organisation.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn get(&self, tenant: &impl Tenant, event_id: &EventId) -> StoreResult<Option<Event>> {
        let tx = self.0.read(tenant).await?;
        get(tx, tenant.org().as_str(), event_id).await
    }

    /// The platform's own row of `event_id`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn get_platform(&self, scope: &PlatformScope, event_id: &EventId) -> StoreResult<Option<Event>> {
        let tx = self.read_platform(scope).await?;
        get(tx, PLATFORM, event_id).await
    }

    /// Takes away the oldest rows of one organisation that began before `before`, a thousand at most; says how many. The ledger
    /// does not change by it.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn prune(&self, tenant: &impl Tenant, before: Timestamp) -> StoreResult<u64> {
        let mut tx = self.0.write(tenant).await?;
        let gone = prune(&mut tx, tenant.org().as_str(), before).await?;
        tx.commit().await?;
        Ok(gone)
    }

    /// The same for the platform's own rows.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn prune_platform(&self, scope: &PlatformScope, before: Timestamp) -> StoreResult<u64> {
        let mut tx = self.0.write_platform(scope).await?;
        self.bind_platform(&mut tx).await?;
        let gone = prune(&mut tx, PLATFORM, before).await?;
        tx.commit().await?;
        Ok(gone)
    }

    async fn read_platform(&self, scope: &PlatformScope) -> StoreResult<Tx> {
        let mut tx = self.0.read_platform(scope).await?;
        self.bind_platform(&mut tx).await?;
        Ok(tx)
    }

    async fn bind_platform(&self, tx: &mut Tx) -> StoreResult<()> {
        if let Some(bind) = self.0.dialect().bind_tenant() {
            sqlx::query(bind).bind(PLATFORM).execute(tx.connection()).await?;
        }
        Ok(())
    }
}

/// Looks at the oldest rows only, by their position: a round costs the same however many rows stay.
async fn prune(tx: &mut Tx, tenant: &str, before: Timestamp) -> StoreResult<u64> {
    let statement = "DELETE FROM events WHERE tenant_id = $1 AND at < $2 \
        AND id IN (SELECT id FROM events WHERE tenant_id = $1 ORDER BY id LIMIT $3)";
    let query = sqlx::query(statement).bind(tenant).bind(before.as_micros()).bind(PRUNE_ROWS_MAX);
    Ok(query.execute(tx.connection()).await?.rows_affected())
}

/// What stands in `tenant_id` of the platform's own rows. No organisation can be called so.
pub(crate) const PLATFORM: &str = "";

async fn list(mut tx: Tx, tenant: &str, filter: &EventFilter, page: EventPage, limit: u32) -> StoreResult<Vec<Event>> {
    let (before, after, order) = match page {
        EventPage::Newest => (i64::MAX, 0, "DESC LIMIT $14"),
        EventPage::Before(id) => (id, 0, "DESC LIMIT $14"),
        EventPage::After(id) => (i64::MAX, id, "ASC LIMIT $14"),
    };
    let text = format!("{SELECT}{FILTERED}{order}");
    let rows = sqlx::query(sqlx::AssertSqlSafe(text))
        .bind(tenant)
        .bind(before)
        .bind(after)
        .bind(filter.kind.map(EventKind::as_str))
        .bind(filter.agent_id.as_ref().map(AgentId::as_str))
        .bind(filter.server.as_deref())
        .bind(filter.tool.as_deref())
        .bind(filter.code.as_deref())
        .bind(filter.ok.map(i64::from))
        .bind(filter.run_id.as_ref().map(RunId::as_str))
        .bind(filter.sub.as_deref())
        .bind(filter.since.map_or(i64::MIN, Timestamp::as_micros))
        .bind(filter.until.map_or(i64::MAX, Timestamp::as_micros))
        .bind(i64::from(limit.clamp(1, EVENT_PAGE_MAX)))
        .fetch_all(tx.connection())
        .await?;
    rows.iter().map(read).collect()
}

async fn get(mut tx: Tx, tenant: &str, event_id: &EventId) -> StoreResult<Option<Event>> {
    let text = format!("{SELECT} WHERE tenant_id = $1 AND event_id = $2 ORDER BY id DESC LIMIT 1");
    let query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(tenant).bind(event_id.to_string());
    query.fetch_optional(tx.connection()).await?.as_ref().map(read).transpose()
}

fn read(row: &AnyRow) -> StoreResult<Event> {
    let org: String = row.try_get("tenant_id")?;
    Ok(Event {
        id: row.try_get("id")?,
        org: (org != PLATFORM).then_some(org),
        event_id: row.try_get("event_id")?,
        at: Timestamp::from_micros(row.try_get("at")?),
        kind: row.try_get("kind")?,
        operator: row.try_get("operator")?,
        agent_id: row.try_get("agent_id")?,
        agent_type: row.try_get("agent_type")?,
        server: row.try_get("server")?,
        tool: row.try_get("tool")?,
        decision: row.try_get("decision")?,
        code: row.try_get("code")?,
        ok: row.try_get::<i64, _>("ok")? != 0,
        error: row.try_get("error")?,
        duration_ms: row.try_get("duration_ms")?,
        run_id: row.try_get("run_id")?,
        run_source: row.try_get("run_source")?,
        trace_id: row.try_get("trace_id")?,
        args: row.try_get("args")?,
        args_digest: row.try_get("args_digest")?,
        result_bytes: row.try_get("result_bytes")?,
        tool_revision: row.try_get("tool_revision")?,
        credential_kind: row.try_get("credential_kind")?,
        sub: row.try_get("sub")?,
        email: row.try_get("email")?,
        client_id: row.try_get("client_id")?,
        note: row.try_get("note")?,
        writer: row.try_get("writer")?,
        seq: row.try_get("seq")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_kinds_are_read_back() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::parse(kind.as_str()), Some(*kind));
        }
        assert_eq!(EventKind::parse("Call"), None);
    }
}
