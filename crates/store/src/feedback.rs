//! Feedback on tools and gaps, each with who gave it and during which run (reference, governance 4.2).

use bailiwick_model::instruction::hides;
use bailiwick_model::{FeedbackId, FeedbackKind, NewFeedback, RunId, Signal, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::scope::Tenant;
use crate::store::{Store, Tx};

/// Feedback one listing gives.
pub const FEEDBACK_PAGE_MAX: u32 = 500;
/// Feedback one organisation may have; more is refused until some is pruned.
pub const FEEDBACK_PER_ORG_MAX: i64 = 50_000;
/// Feedback of one subject that is kept; more of it is refused.
pub const FEEDBACK_PER_SUBJECT_MAX: i64 = 5_000;
/// Feedback one round of pruning takes away.
pub const FEEDBACK_PRUNED_MAX: i64 = 1_000;
/// Longest resolution.
pub const RESOLUTION_CHARS_MAX: usize = 2_000;
/// Longest name of a server, subject and address; longer ones are cut.
const STAMP_CHARS_MAX: usize = 320;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedbackSource {
    /// An agent, through the tool.
    Agent,
    /// A person, through console or API.
    Human,
}

impl FeedbackSource {
    /// The word in the row.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Human => "human",
        }
    }
}

/// What the gateway adds to a feedback.
#[derive(Clone, Copy, Debug)]
pub struct FeedbackStamp<'a> {
    /// The instance or virtual server through which it came.
    pub server: &'a str,
    /// Who gave it.
    pub sub: Option<&'a str>,
    /// His address, as far as known.
    pub email: Option<&'a str>,
    /// During which run.
    pub run_id: Option<&'a RunId>,
    /// Who speaks.
    pub source: FeedbackSource,
}

/// A feedback as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feedback {
    /// Its id.
    pub id: FeedbackId,
    /// When it was given.
    pub created_at: Timestamp,
    /// See [`FeedbackStamp::server`].
    pub server: String,
    /// What it is about.
    pub signal: Signal,
    /// What sort it is.
    pub kind: FeedbackKind,
    /// What was given as kind, when that is not known.
    pub kind_raw: Option<String>,
    /// The tool, instruction or data.
    pub target: String,
    /// What was said.
    pub text: Option<String>,
    /// Who gave it.
    pub sub: Option<String>,
    /// His address at that time.
    pub email: Option<String>,
    /// During which run.
    pub run_id: Option<String>,
    /// Who speaks.
    pub source: FeedbackSource,
    /// How it was resolved; `None` while it is open.
    pub resolved: Option<Resolved>,
}

/// The end of a feedback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// What was done.
    pub resolution: String,
}

/// Which feedback; an absent member does not restrict.
#[derive(Clone, Copy, Debug, Default)]
pub struct FeedbackFilter {
    /// Only this signal.
    pub signal: Option<Signal>,
    /// Only resolved or only open.
    pub resolved: Option<bool>,
}

/// Functions on feedback; see [`Store::feedback`].
#[derive(Clone, Copy, Debug)]
pub struct Feedbacks<'a>(&'a Store);

impl Store {
    /// Feedback on tools and gaps.
    #[must_use]
    pub const fn feedback(&self) -> Feedbacks<'_> {
        Feedbacks(self)
    }
}

impl Feedbacks<'_> {
    /// Keeps a feedback and gives its id.
    ///
    /// # Errors
    /// `Invalid` beyond [`FEEDBACK_PER_ORG_MAX`]; `Conflict` when the organisation does not exist; otherwise `Unavailable`, `Locked` or
    /// `Full`.
    pub async fn put(&self, tenant: &impl Tenant, new: &NewFeedback, stamp: &FeedbackStamp<'_>) -> StoreResult<FeedbackId> {
        let now = self.0.now();
        let id = FeedbackId::random(self.0.random());
        let statement = "INSERT INTO tool_feedback (tenant_id, id, created_at, server, signal, kind, kind_raw, target, text, sub, email, \
                         run_id, source) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
        let mut tx = self.0.write(tenant).await?;
        check_room(&mut tx, tenant, stamp.sub).await?;
        sqlx::query(statement)
            .bind(tenant.org().as_str())
            .bind(id.to_string())
            .bind(now.as_micros())
            .bind(cut(stamp.server))
            .bind(new.signal().as_str())
            .bind(new.kind().as_str())
            .bind(new.kind_raw())
            .bind(new.target())
            .bind(new.text())
            .bind(stamp.sub.map(cut))
            .bind(stamp.email.map(cut))
            .bind(stamp.run_id.map(RunId::as_str))
            .bind(stamp.source.as_str())
            .execute(tx.connection())
            .await?;
        tx.commit().await?;
        Ok(id)
    }

    /// The newest feedback first, what is older than `before`; `limit` is brought into 1 to [`FEEDBACK_PAGE_MAX`].
    ///
    /// # Errors
    /// `Unavailable`, `Locked` or `Corrupt`.
    pub async fn list(
        &self,
        tenant: &impl Tenant,
        filter: FeedbackFilter,
        before: Option<(Timestamp, FeedbackId)>,
        limit: u32,
    ) -> StoreResult<Vec<Feedback>> {
        let statement = "SELECT id, created_at, server, signal, kind, kind_raw, target, text, sub, email, run_id, source, resolved_at, \
                         resolved_by, resolution FROM tool_feedback WHERE tenant_id = $1 \
                         AND (created_at < $2 OR (created_at = $2 AND id < $3)) AND ($4 IS NULL OR signal = $4) \
                         AND ($5 IS NULL OR $5 = CASE WHEN resolved_at IS NULL THEN 'open' ELSE 'resolved' END) \
                         ORDER BY created_at DESC, id DESC LIMIT $6";
        let (at, id) = before.map_or((i64::MAX, String::new()), |(at, id)| (at.as_micros(), id.to_string()));
        let mut tx = self.0.read(tenant).await?;
        let rows = sqlx::query(statement)
            .bind(tenant.org().as_str())
            .bind(at)
            .bind(id)
            .bind(filter.signal.map(Signal::as_str))
            .bind(filter.resolved.map(|resolved| if resolved { "resolved" } else { "open" }))
            .bind(i64::from(limit.clamp(1, FEEDBACK_PAGE_MAX)))
            .fetch_all(tx.connection())
            .await?;
        rows.iter().map(read).collect()
    }

    /// One feedback; `None` also for one of another organisation.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn get(&self, tenant: &impl Tenant, id: FeedbackId) -> StoreResult<Option<Feedback>> {
        let statement = "SELECT id, created_at, server, signal, kind, kind_raw, target, text, sub, email, run_id, source, resolved_at, \
                         resolved_by, resolution FROM tool_feedback WHERE tenant_id = $1 AND id = $2";
        let mut tx = self.0.read(tenant).await?;
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(id.to_string());
        query.fetch_optional(tx.connection()).await?.as_ref().map(read).transpose()
    }

    /// Says what came of a feedback. Once: the first resolution stays.
    ///
    /// # Errors
    /// `NotFound`, also for one of another organisation; `Conflict` when it is resolved; `Invalid` for a resolution of more than
    /// [`RESOLUTION_CHARS_MAX`] characters, of none, or with hidden ones.
    pub async fn resolve(&self, tenant: &impl Tenant, id: FeedbackId, resolution: &str) -> StoreResult<()> {
        let fits = !resolution.trim().is_empty() && resolution.chars().count() <= RESOLUTION_CHARS_MAX;
        if !fits || hides(resolution) {
            return Err(StoreError::invalid("the resolution is empty, too long or holds hidden characters", "write 1 to 2,000 characters"));
        }
        let find = "SELECT resolved_at FROM tool_feedback WHERE tenant_id = $1 AND id = $2";
        let update = "UPDATE tool_feedback SET resolved_at = $3, resolved_by = $4, resolution = $5 \
                      WHERE tenant_id = $1 AND id = $2 AND resolved_at IS NULL";
        let mut tx = self.0.write(tenant).await?;
        let query = sqlx::query(update).bind(tenant.org().as_str()).bind(id.to_string()).bind(self.0.now().as_micros());
        if query.bind(tenant.actor()).bind(resolution).execute(tx.connection()).await?.rows_affected() == 1 {
            return tx.commit().await;
        }
        let found = sqlx::query(find).bind(tenant.org().as_str()).bind(id.to_string()).fetch_optional(tx.connection()).await?;
        Err(found.map_or_else(
            || StoreError::not_found("the feedback"),
            |_| StoreError::new(StoreErrorKind::Conflict, "the feedback is resolved already", "read its resolution"),
        ))
    }

    /// Takes away the oldest feedback from before `before`, [`FEEDBACK_PRUNED_MAX`] at most; says how much.
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn prune(&self, tenant: &impl Tenant, before: Timestamp) -> StoreResult<u64> {
        let statement = "DELETE FROM tool_feedback WHERE tenant_id = $1 AND id IN \
                         (SELECT id FROM tool_feedback WHERE tenant_id = $1 AND created_at < $2 ORDER BY created_at, id LIMIT $3)";
        let mut tx = self.0.write(tenant).await?;
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(before.as_micros()).bind(FEEDBACK_PRUNED_MAX);
        let gone = query.execute(tx.connection()).await?.rows_affected();
        tx.commit().await?;
        Ok(gone)
    }
}

/// For one subject and for all together: nobody silences the others.
async fn check_room(tx: &mut Tx, tenant: &impl Tenant, sub: Option<&str>) -> StoreResult<()> {
    let statement = "SELECT count(*), coalesce(sum(CASE WHEN sub = $2 THEN 1 ELSE 0 END), 0) FROM tool_feedback WHERE tenant_id = $1";
    let row = sqlx::query(statement).bind(tenant.org().as_str()).bind(sub.map(cut)).fetch_one(tx.connection()).await?;
    let (kept, own): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    if own >= FEEDBACK_PER_SUBJECT_MAX {
        return Err(StoreError::invalid("you have given as much feedback as is kept of one", "give more when the oldest is forgotten"));
    }
    if kept >= FEEDBACK_PER_ORG_MAX {
        return Err(StoreError::invalid("the organisation has as much feedback as is kept", "give it again when the oldest is forgotten"));
    }
    Ok(())
}

fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(STAMP_CHARS_MAX).collect()
}

fn read(row: &AnyRow) -> StoreResult<Feedback> {
    let text = |name| row.try_get::<String, _>(name);
    let broken = |()| StoreError::corrupt("a row of feedback is damaged");
    let source = match text("source")?.as_str() {
        "agent" => FeedbackSource::Agent,
        "human" => FeedbackSource::Human,
        _ => return Err(broken(())),
    };
    let resolved_at: Option<i64> = row.try_get("resolved_at")?;
    let resolved = |at| {
        let (by, resolution): (Option<String>, Option<String>) = (row.try_get("resolved_by")?, row.try_get("resolution")?);
        Ok::<_, StoreError>(Resolved {
            at: Timestamp::from_micros(at),
            by: by.unwrap_or_default(),
            resolution: resolution.unwrap_or_default(),
        })
    };
    Ok(Feedback {
        id: FeedbackId::parse(&text("id")?).map_err(|_| broken(()))?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        server: text("server")?,
        signal: Signal::parse(&text("signal")?).ok_or(()).map_err(broken)?,
        kind: FeedbackKind::parse(&text("kind")?).ok_or(()).map_err(broken)?,
        kind_raw: row.try_get("kind_raw")?,
        target: text("target")?,
        text: row.try_get("text")?,
        sub: row.try_get("sub")?,
        email: row.try_get("email")?,
        run_id: row.try_get("run_id")?,
        source,
        resolved: resolved_at.map(resolved).transpose()?,
    })
}
