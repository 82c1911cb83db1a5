//! Starting runs. Starts queue for the counter of runs before they look at anything, so two of one owner see each other.

use bailiwick_model::run::IMPLICIT_LABEL;
use bailiwick_model::{DocOwner, DocSlug, Outcome, RunId, RunLabel, RunOwner, RunSource, Timestamp};

use super::attribute::{Attributed, Attribution, Found, Whereabouts, find, session_key};
use super::{FrozenDoctrine, Runs};
use crate::error::StoreResult;
use crate::generation::{Topic, bump};
use crate::instruction::frozen;
use crate::scope::Tenant;
use crate::store::Tx;

/// Runs one owner may have open. One more ends the one that was seen longest ago as abandoned: an agent that never ends its runs must be
/// able to go on.
pub const OPEN_RUNS_PER_OWNER_MAX: i64 = 200;
/// Note of a run that had to make room.
const CROWDED_OUT: &str = "ended because its owner has too many open runs";
/// Note of an implicit run behind which a run was started.
const REPLACED: &str = "ended because a run was started";
/// Note of an implicit run that was idle.
const IDLE: &str = "ended because nothing was seen of it";

/// What a run is about.
#[derive(Clone, Debug)]
pub struct NewRun<'a> {
    /// For people.
    pub label: RunLabel,
    /// The instruction that it follows, if any.
    pub doctrine: Option<&'a DocSlug>,
    /// Whose instructions are meant, the first that has one of this slug: the organisation, then the owner's groups.
    pub layers: &'a [DocOwner],
}

/// The answer to [`Runs::start`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunStart {
    /// Started.
    Started {
        /// Its id.
        run_id: RunId,
        /// The run that was active before; this one is nested in it.
        parent: Option<RunId>,
        /// The text that it follows; `None` without an instruction of this slug.
        frozen: Option<FrozenDoctrine>,
    },
    /// The call named a run that it does not have (`run_unknown`); nothing was started.
    Unknown,
}

impl Runs<'_> {
    /// Starts a run on top of the active one. The implicit run of the owner ends with it: somebody says now what the calls are about.
    ///
    /// # Errors
    /// `Conflict` when the organisation does not exist; `Invalid` for too many layers; `Unavailable`, `Locked` or `Full`.
    pub async fn start(&self, tenant: &impl Tenant, owner: &RunOwner, at: Whereabouts<'_>, new: &NewRun<'_>) -> StoreResult<RunStart> {
        let mut tx = self.store.write(tenant).await?;
        bump(&mut tx, Topic::Runs).await?;
        let (now, idle_before) = (self.store.now(), self.idle_before());
        let active = match find(&mut tx, tenant, owner, at, idle_before).await? {
            Found::Unknown => return Ok(RunStart::Unknown),
            Found::Run(run) => Some(run),
            Found::Several | Found::Nothing => None,
        };
        end_implicit(&mut tx, tenant, owner, now, idle_before).await?;
        make_room(&mut tx, tenant, owner, now).await?;
        let parent = match active {
            Some(active) if still_open(&mut tx, tenant, &active.run_id).await? => Some(active.run_id),
            _ => None,
        };
        let text = match new.doctrine {
            Some(slug) => frozen(&mut tx, tenant, new.layers, slug).await?,
            None => None,
        };
        let frozen = text.map(|(owner, kind, version)| FrozenDoctrine { owner, kind, version });
        let run_id = RunId::random(self.store.random());
        let row = NewRow {
            run_id: &run_id,
            parent: parent.as_ref(),
            label: new.label.as_str(),
            doctrine: new.doctrine,
            frozen: frozen.as_ref(),
            session: at.session,
            implicit: false,
        };
        insert(&mut tx, tenant, owner, &row, now).await?;
        tx.commit().await?;
        self.store.0.runs.started(tenant.org(), owner);
        Ok(RunStart::Started { run_id, parent, frozen })
    }

    /// The run of a call as [`attribute`](Self::attribute) finds it, or, where the owner has no open run that anything was seen of within
    /// the idle window, a new implicit one. Such a run is labelled `implicit` and belongs to no session.
    ///
    /// Nobody ends it: it is over once nothing was seen of it for the idle window. [`get`](Self::get), [`list`](Self::list) and
    /// [`attribute`](Self::attribute) then read it as abandoned at the moment it was last seen; the next start of its owner also writes that.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn ensure_implicit(&self, tenant: &impl Tenant, owner: &RunOwner, at: Whereabouts<'_>) -> StoreResult<Attribution> {
        match self.look_for(tenant, owner, at).await? {
            Found::Nothing => Box::pin(self.open_implicit(tenant, owner, at)).await,
            known => Ok(known.into()),
        }
    }

    async fn open_implicit(&self, tenant: &impl Tenant, owner: &RunOwner, at: Whereabouts<'_>) -> StoreResult<Attribution> {
        let now = self.store.now();
        let mut tx = self.store.write(tenant).await?;
        bump(&mut tx, Topic::Runs).await?;
        let found = find(&mut tx, tenant, owner, at, self.idle_before()).await?;
        if found != Found::Nothing {
            // Another replica was faster, and this one does not know yet.
            self.store.0.runs.started(tenant.org(), owner);
            return Ok(found.into());
        }
        end_implicit(&mut tx, tenant, owner, now, self.idle_before()).await?;
        make_room(&mut tx, tenant, owner, now).await?;
        let run_id = RunId::random(self.store.random());
        let row =
            NewRow { run_id: &run_id, parent: None, label: IMPLICIT_LABEL, doctrine: None, frozen: None, session: None, implicit: true };
        insert(&mut tx, tenant, owner, &row, now).await?;
        tx.commit().await?;
        self.store.0.runs.started(tenant.org(), owner);
        Ok(Attribution::Run(Attributed { run_id, source: RunSource::Inferred, last_seen_at: now }))
    }
}

struct NewRow<'a> {
    run_id: &'a RunId,
    parent: Option<&'a RunId>,
    label: &'a str,
    doctrine: Option<&'a DocSlug>,
    frozen: Option<&'a FrozenDoctrine>,
    session: Option<&'a str>,
    implicit: bool,
}

async fn insert(tx: &mut Tx, tenant: &impl Tenant, owner: &RunOwner, row: &NewRow<'_>, now: Timestamp) -> StoreResult<()> {
    let statement = "INSERT INTO runs (tenant_id, run_id, sub, client_id, parent_run_id, label, doctrine, doctrine_kind, doctrine_version, \
                     doctrine_owner_type, doctrine_owner_id, started_at, last_seen_at, legacy_session_id, implicit, stack_position) \
                     SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13, $14, coalesce(max(stack_position), 0) + 1 \
                     FROM runs WHERE tenant_id = $1 AND sub = $3 AND client_id = $4 AND outcome IS NULL";
    sqlx::query(statement)
        .bind(tenant.org().as_str())
        .bind(row.run_id.as_str())
        .bind(owner.sub())
        .bind(owner.client_id())
        .bind(row.parent.map(RunId::as_str))
        .bind(row.label)
        .bind(row.doctrine.map(DocSlug::as_str))
        .bind(row.frozen.map(|text| text.kind.as_str()))
        .bind(row.frozen.map(|text| text.version))
        .bind(row.frozen.map(|text| text.owner.kind()))
        .bind(row.frozen.map(|text| text.owner.id()))
        .bind(now.as_micros())
        .bind(row.session.map(session_key))
        .bind(i64::from(row.implicit))
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Writes the end of the owner's implicit runs: of those that were idle when they were last seen, of a live one now.
async fn end_implicit(tx: &mut Tx, tenant: &impl Tenant, owner: &RunOwner, now: Timestamp, idle_before: Timestamp) -> StoreResult<()> {
    let statement = "UPDATE runs SET outcome = $4, note = CASE WHEN last_seen_at < $5 THEN $6 ELSE $7 END, \
                     finished_at = CASE WHEN last_seen_at < $5 THEN last_seen_at ELSE $8 END \
                     WHERE tenant_id = $1 AND sub = $2 AND client_id = $3 AND outcome IS NULL AND implicit = 1";
    let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(owner.sub()).bind(owner.client_id());
    let query = query.bind(Outcome::Abandoned.as_str()).bind(idle_before.as_micros()).bind(IDLE).bind(REPLACED).bind(now.as_micros());
    query.execute(tx.connection()).await?;
    Ok(())
}

/// Leaves at most one less than the limit, those that were seen last.
async fn make_room(tx: &mut Tx, tenant: &impl Tenant, owner: &RunOwner, now: Timestamp) -> StoreResult<()> {
    let statement = "UPDATE runs SET outcome = $4, note = $5, finished_at = $6 \
                     WHERE tenant_id = $1 AND sub = $2 AND client_id = $3 AND outcome IS NULL AND run_id NOT IN \
                     (SELECT run_id FROM runs WHERE tenant_id = $1 AND sub = $2 AND client_id = $3 AND outcome IS NULL \
                     ORDER BY last_seen_at DESC, stack_position DESC LIMIT $7)";
    let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(owner.sub()).bind(owner.client_id());
    let query = query.bind(Outcome::Abandoned.as_str()).bind(CROWDED_OUT).bind(now.as_micros()).bind(OPEN_RUNS_PER_OWNER_MAX - 1);
    query.execute(tx.connection()).await?;
    Ok(())
}

async fn still_open(tx: &mut Tx, tenant: &impl Tenant, run_id: &RunId) -> StoreResult<bool> {
    let statement = "SELECT run_id FROM runs WHERE tenant_id = $1 AND run_id = $2 AND outcome IS NULL";
    let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(run_id.as_str());
    Ok(query.fetch_optional(tx.connection()).await?.is_some())
}
