//! To which run a call belongs (reference 3.4): the one it names, else the innermost of its session, else the only one that its owner
//! has, else none. Two candidates are no reason to guess.

use bailiwick_model::{RunId, RunOwner, RunSource, Timestamp};
use data_encoding::HEXLOWER;
use sqlx::Row;

use super::cache::Known;
use super::row::read_id;
use super::{Runs, TOUCH_PERIOD};
use crate::error::StoreResult;
use crate::generation::Topic;
use crate::scope::{PlatformScope, Tenant};
use crate::session::id_digest;
use crate::store::Tx;

/// Where a call says that it comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whereabouts<'a> {
    /// The run that it names.
    pub run_id: Option<&'a RunId>,
    /// The id of its session, for clients of the `initialize` revisions.
    pub session: Option<&'a str>,
}

/// The run of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributed {
    /// Which.
    pub run_id: RunId,
    /// How it was found.
    pub source: RunSource,
    /// When something was last seen of it.
    pub last_seen_at: Timestamp,
}

/// The answer to [`Runs::attribute`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribution {
    /// It belongs to this run.
    Run(Attributed),
    /// It belongs to none.
    None,
    /// It names a run that is not an open run of the same organisation and subject (`run_unknown`).
    Unknown,
}

/// What was found, as the rows have it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Run(Attributed),
    /// Several runs, none of which the call can be said to belong to.
    Several,
    Nothing,
    Unknown,
}

impl From<Found> for Attribution {
    fn from(found: Found) -> Self {
        match found {
            Found::Run(run) => Self::Run(run),
            Found::Several | Found::Nothing => Self::None,
            Found::Unknown => Self::Unknown,
        }
    }
}

impl Attribution {
    /// The run, where there is one.
    #[must_use]
    pub fn run(self) -> Option<Attributed> {
        match self {
            Self::Run(run) => Some(run),
            Self::None | Self::Unknown => None,
        }
    }
}

impl Runs<'_> {
    /// Finds the run of a call. A named run must be the subject's own, through whichever client: whoever reconnects may come with another
    /// client id. What is not named is looked for among the runs of subject and client both.
    ///
    /// An owner without open runs costs nothing but a look into memory, with one short statement for all owners every half second.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn attribute(&self, tenant: &impl Tenant, owner: &RunOwner, at: Whereabouts<'_>) -> StoreResult<Attribution> {
        Ok(self.look_for(tenant, owner, at).await?.into())
    }

    pub(super) async fn look_for(&self, tenant: &impl Tenant, owner: &RunOwner, at: Whereabouts<'_>) -> StoreResult<Found> {
        if at.run_id.is_some() {
            let mut tx = self.store.read(tenant).await?;
            return find(&mut tx, tenant, owner, at, self.idle_before()).await;
        }
        self.check_counter().await?;
        let epoch = match self.store.0.runs.look(tenant.org(), owner, self.store.now()) {
            Known::None => return Ok(Found::Nothing),
            Known::Nothing(epoch) => epoch,
        };
        // Boxed: it is rare, and room for it would be copied about with every call.
        Box::pin(async move {
            let mut tx = self.store.read(tenant).await?;
            let candidates = candidates(&mut tx, tenant, owner, at.session, self.idle_before()).await?;
            if candidates.is_empty() {
                self.store.0.runs.enter(tenant.org(), owner, epoch);
            }
            Ok(choose(candidates, self.idle_before()))
        })
        .await
    }

    /// Notes that something was seen of a run, at most once in [`TOUCH_PERIOD`]: most calls find in `run` that there is nothing to write.
    ///
    /// # Errors
    /// `Unavailable`, `Locked` or `Full`; the run stays as it was.
    pub async fn touch(&self, tenant: &impl Tenant, run: &Attributed) -> StoreResult<()> {
        let now = self.store.now();
        if now.since(run.last_seen_at) < TOUCH_PERIOD {
            return Ok(());
        }
        // What ended stays as it ended, an implicit run that was idle for too long included.
        let statement = "UPDATE runs SET last_seen_at = $3 WHERE tenant_id = $1 AND run_id = $2 AND outcome IS NULL AND last_seen_at < $3 \
                         AND (implicit = 0 OR last_seen_at >= $4)";
        let mut tx = self.store.write(tenant).await?;
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(run.run_id.as_str());
        query.bind(now.as_micros()).bind(self.idle_before().as_micros()).execute(tx.connection()).await?;
        tx.commit().await
    }

    async fn check_counter(&self) -> StoreResult<()> {
        let begun_at = self.store.now();
        if !self.store.0.runs.claim_check(begun_at) {
            return Ok(());
        }
        let counter = Box::pin(self.store.generations(&PlatformScope::system())).await?.of(Topic::Runs);
        self.store.0.runs.checked(counter, begun_at);
        Ok(())
    }
}

/// The run of a call, read within a transaction.
pub(super) async fn find(
    tx: &mut Tx,
    tenant: &impl Tenant,
    owner: &RunOwner,
    at: Whereabouts<'_>,
    idle_before: Timestamp,
) -> StoreResult<Found> {
    let Some(run_id) = at.run_id else {
        return Ok(choose(candidates(tx, tenant, owner, at.session, idle_before).await?, idle_before));
    };
    let statement = "SELECT last_seen_at FROM runs WHERE tenant_id = $1 AND run_id = $2 AND sub = $3 AND outcome IS NULL \
                     AND (implicit = 0 OR last_seen_at >= $4)";
    let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(run_id.as_str()).bind(owner.sub());
    let Some(row) = query.bind(idle_before.as_micros()).fetch_optional(tx.connection()).await? else { return Ok(Found::Unknown) };
    let last_seen_at = Timestamp::from_micros(row.try_get("last_seen_at")?);
    Ok(Found::Run(Attributed { run_id: run_id.clone(), source: RunSource::Explicit, last_seen_at }))
}

struct Candidate {
    run_id: RunId,
    last_seen_at: Timestamp,
    in_session: bool,
}

/// Open runs of an owner, at most two: the innermost of the session first, then those seen last.
async fn candidates(
    tx: &mut Tx,
    tenant: &impl Tenant,
    owner: &RunOwner,
    session: Option<&str>,
    idle_before: Timestamp,
) -> StoreResult<Vec<Candidate>> {
    let statement = "SELECT run_id, last_seen_at, legacy_session_id FROM runs \
                     WHERE tenant_id = $1 AND sub = $2 AND client_id = $3 AND outcome IS NULL AND (implicit = 0 OR last_seen_at >= $4) \
                     ORDER BY CASE WHEN legacy_session_id = $5 THEN stack_position ELSE 0 END DESC, last_seen_at DESC LIMIT 2";
    let session = session.map(session_key);
    let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(owner.sub()).bind(owner.client_id());
    let rows = query.bind(idle_before.as_micros()).bind(session.clone()).fetch_all(tx.connection()).await?;
    let read = |row: &sqlx::any::AnyRow| {
        let started_in: Option<String> = row.try_get("legacy_session_id")?;
        Ok(Candidate {
            run_id: read_id(row.try_get("run_id")?)?,
            last_seen_at: Timestamp::from_micros(row.try_get("last_seen_at")?),
            in_session: started_in.is_some() && started_in == session,
        })
    };
    rows.iter().map(read).collect()
}

fn choose(candidates: Vec<Candidate>, idle_before: Timestamp) -> Found {
    let found = |run: Candidate, source| Found::Run(Attributed { run_id: run.run_id, source, last_seen_at: run.last_seen_at });
    let in_session = candidates.first().is_some_and(|first| first.in_session);
    let mut alive = candidates.into_iter().filter(|run| in_session || run.last_seen_at >= idle_before);
    match (alive.next(), alive.next()) {
        (Some(innermost), _) if in_session => found(innermost, RunSource::Session),
        (Some(only), None) => found(only, RunSource::Inferred),
        (Some(_), Some(_)) => Found::Several,
        (None, _) => Found::Nothing,
    }
}

/// How a session stands in the row of a run: sessions themselves are secrets.
pub(super) fn session_key(id: &str) -> String {
    HEXLOWER.encode(&id_digest(id))
}
