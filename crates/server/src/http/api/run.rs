//! `/v1/orgs/{org}/runs`: what agents worked on.

use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::{Acting, Operations, run};
use bailiwick_model::{OrgId, Outcome, RunId, RunNote, Timestamp};
use bailiwick_store::{FINISH_REASON_CHARS_MAX, RunFilter};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::cursor;
use super::operation::{Ask, Example, Facts, Needs, Nothing, Operation, Verb};
use super::org::OrgPath;
use super::page::{self, Limit, Page};
use super::route::Route;
use super::schemas;

const MANY: &str = "/v1/orgs/{org}/runs";
const ONE: &str = "/v1/orgs/{org}/runs/{run_id}";
const FINISH: &str = "/v1/orgs/{org}/runs/{run_id}/finish";

pub(super) fn routes() -> Vec<Route> {
    vec![Route::of::<ListRuns>(), Route::of::<ShowRun>(), Route::of::<FinishRun>()]
}

/// A run.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Run {
    #[schema(value_type = schemas::RunId)]
    pub(crate) run_id: RunId,
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
    /// Whose it is: a member, or `agent:` and an agent's id.
    pub(crate) sub: String,
    /// The client through which it was started; empty when that has no id.
    pub(crate) client_id: String,
    /// The run in which it was started.
    #[schema(value_type = Option<schemas::RunId>)]
    pub(crate) parent_run_id: Option<RunId>,
    /// What it is about.
    pub(crate) label: String,
    /// How it ended; `open`, or `no news since` a time, while it has not.
    pub(crate) state: String,
    /// The slug of the instruction that it follows.
    pub(crate) doctrine: Option<String>,
    /// The kind of that instruction.
    pub(crate) doctrine_kind: Option<String>,
    /// The version of it at the start.
    pub(crate) doctrine_version: Option<i64>,
    /// How it ended.
    #[schema(value_type = Option<schemas::Outcome>)]
    pub(crate) outcome: Option<Outcome>,
    /// What was said at its end.
    pub(crate) note: Option<String>,
    /// Whether nobody started it.
    pub(crate) implicit: bool,
    /// When it was started.
    #[schema(value_type = schemas::Moment)]
    pub(crate) started_at: String,
    /// When something was last seen of it, to within half a minute.
    #[schema(value_type = schemas::Moment)]
    pub(crate) last_seen_at: String,
    /// When it ended.
    #[schema(value_type = Option<schemas::Moment>)]
    pub(crate) finished_at: Option<String>,
    /// Who ended it.
    pub(crate) finished_by: Option<String>,
    /// Why an administrator ended it.
    pub(crate) finish_reason: Option<String>,
}

impl Run {
    fn of(org: &OrgId, now: Timestamp, run: bailiwick_store::Run) -> Self {
        // Derived, never stored: a run without news is not one that ended.
        let state = match run.outcome {
            Some(outcome) => outcome.as_str().to_owned(),
            None if run.stale(now) => format!("no news since {}", run.last_seen_at),
            None => "open".to_owned(),
        };
        let frozen = run.frozen.as_ref();
        Self {
            org: org.clone(),
            sub: run.owner.sub().to_owned(),
            client_id: run.owner.client_id().to_owned(),
            parent_run_id: run.parent,
            label: run.label,
            state,
            doctrine_kind: frozen.map(|frozen| frozen.kind.to_string()),
            doctrine_version: frozen.map(|frozen| frozen.version),
            doctrine: run.doctrine,
            outcome: run.outcome,
            note: run.note,
            implicit: run.implicit,
            started_at: run.started_at.to_string(),
            last_seen_at: run.last_seen_at.to_string(),
            finished_at: run.finished_at.map(|at| at.to_string()),
            finished_by: run.finished_by,
            finish_reason: run.finish_reason,
            run_id: run.run_id,
        }
    }
}

/// The run that is meant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunPath {
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
    #[schema(value_type = schemas::RunId)]
    pub(crate) run_id: RunId,
}

/// Which runs; what is left out does not restrict.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunQuery {
    /// How many items at most; 100 when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 500)]
    pub(crate) limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048)]
    pub(crate) cursor: Option<String>,
    /// Only those of this subject: a member, or `agent:` and an agent's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Subject>)]
    pub(crate) sub: Option<bailiwick_model::Subject>,
    /// Only those that have not ended, or only those that have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) open: Option<bool>,
    /// Only those that ended so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Outcome>)]
    pub(crate) outcome: Option<Outcome>,
}

/// How a run is ended for somebody.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunEnd {
    #[schema(value_type = schemas::Outcome)]
    pub(crate) outcome: Outcome,
    /// Why; it stands on the ledger.
    #[schema(value_type = schemas::Reason)]
    pub(crate) reason: Reason,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Note>)]
    pub(crate) note: Option<RunNote>,
}

/// Why somebody's run is ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Reason(String);

impl TryFrom<String> for Reason {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let chars = text.trim().chars().count();
        if (1..=FINISH_REASON_CHARS_MAX).contains(&chars) && !text.chars().any(super::text::is_hidden) {
            return Ok(Self(text.trim().to_owned()));
        }
        Err("a text of 1 to 500 characters on one line, none of them hidden")
    }
}

/// Lists runs.
pub(crate) struct ListRuns;

impl Operation for ListRuns {
    const FACTS: Facts =
        Facts::new("list_runs", "runs", Verb::Get, MANY, Needs::OrgAdmin, "Lists runs, those that were started last first.");
    type Path = OrgPath;
    type Query = RunQuery;
    type Body = Nothing;
    type Answer = Page<Run>;

    fn example() -> Example {
        Example { path: json!({"org": "acme"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Page<Run>> {
        let Ask { path: OrgPath { org }, query, .. } = ask;
        let before = before(&cursor::open(Self::FACTS.id, org.as_str(), query.cursor.as_deref())?)?;
        let filter = RunFilter { sub: query.sub.map(|sub| sub.to_string()), open: query.open, outcome: query.outcome };
        let rows = run::list(operations, acting, &org, &filter, (before, page::limit(query.limit))).await?;
        let position = |last: &bailiwick_store::Run| format!("{}/{}", last.started_at.as_micros(), last.run_id);
        // The store gives shorter pages than may be asked for; only an empty one is the last for sure.
        let next_cursor = rows.last().map(|last| cursor::seal(Self::FACTS.id, org.as_str(), &position(last)));
        let now = operations.now();
        Ok(Page { items: rows.into_iter().map(|row| Run::of(&org, now, row)).collect(), next_cursor })
    }
}

fn before(last: &str) -> Done<Option<(Timestamp, RunId)>> {
    if last.is_empty() {
        return Ok(None);
    }
    let (at, id) = last.split_once('/').ok_or_else(cursor::foreign)?;
    match (at.parse(), RunId::parse(id)) {
        (Ok(micros), Ok(id)) => Ok(Some((Timestamp::from_micros(micros), id))),
        _ => Err(cursor::foreign()),
    }
}

/// Shows a run.
pub(crate) struct ShowRun;

impl Operation for ShowRun {
    const FACTS: Facts = Facts::new("show_run", "runs", Verb::Get, ONE, Needs::OrgAdmin, "Shows a run; its calls stand in `/calls`.");
    type Path = RunPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = Run;

    fn example() -> Example {
        Example { path: json!({"org": "acme", "run_id": "0123456789abcdef0123456789abcdef"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Run> {
        let RunPath { org, run_id } = ask.path;
        run::get(operations, acting, &org, &run_id).await.map(|row| Run::of(&org, operations.now(), row))
    }
}

/// Ends somebody's run.
pub(crate) struct FinishRun;

impl Operation for FinishRun {
    const FACTS: Facts =
        Facts::new("finish_run", "runs", Verb::Post, FINISH, Needs::OrgAdmin, "Ends somebody's run; those nested in it stay open.");
    type Path = RunPath;
    type Query = Nothing;
    type Body = RunEnd;
    type Answer = Run;

    fn example() -> Example {
        Example {
            path: json!({"org": "acme", "run_id": "0123456789abcdef0123456789abcdef"}),
            body: json!({"outcome": "abandoned", "reason": "Its agent was taken out of service."}),
        }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Run> {
        let RunPath { org, run_id } = ask.path;
        let RunEnd { outcome, reason, note } = ask.body;
        let ended = run::finish(operations, acting, (&org, &run_id), (outcome, note.as_ref()), &reason.0).await;
        ended.map(|row| Run::of(&org, operations.now(), row))
    }
}
