//! `/v1/orgs/{org}/calls`: what agents called, with the names that the call log of otomata-mcp has (`tool_calls`).

use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::{Acting, Operations, event};
use bailiwick_model::{AgentId, OrgId, RunId, Subject};
use bailiwick_store::event::{Event, EventFilter, EventKind, EventPage};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::cursor;
use super::key::Moment;
use super::operation::{Ask, Example, Facts, Needs, Nothing, Operation, Verb};
use super::org::OrgPath;
use super::page::{self, Limit, Page};
use super::route::Route;
use super::schemas;
use super::text::Line;

const MANY: &str = "/v1/orgs/{org}/calls";

pub(super) fn routes() -> Vec<Route> {
    vec![Route::of::<ListCalls>()]
}

/// A call, whatever came of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Call {
    /// The event of it.
    #[schema(value_type = schemas::EventId)]
    pub(crate) id: String,
    /// When it began.
    #[schema(value_type = schemas::Moment)]
    pub(crate) created_at: String,
    #[schema(value_type = schemas::OrgId)]
    pub(crate) tenant_id: OrgId,
    /// The server or module that was called.
    pub(crate) server: Option<String>,
    /// The tool by its public name.
    pub(crate) tool: Option<String>,
    /// Which definition the tool had: the beginning of a digest of it.
    pub(crate) tool_revision: Option<String>,
    /// Redacted, cut arguments.
    #[schema(value_type = Option<Object>)]
    pub(crate) args: Option<Value>,
    /// Keyed digest of the arguments as they came.
    pub(crate) args_digest: Option<String>,
    /// The member for whom it was made.
    pub(crate) sub: Option<String>,
    /// His address at that time.
    pub(crate) email: Option<String>,
    /// The agent that made it.
    pub(crate) agent_id: Option<String>,
    /// The client through which it came.
    pub(crate) client_id: Option<String>,
    /// The run it belongs to.
    pub(crate) run_id: Option<String>,
    /// How the run was found: `explicit`, `session` or `inferred`.
    pub(crate) run_source: Option<String>,
    /// What was decided.
    pub(crate) decision: Option<String>,
    /// Whether the caller got what he asked for.
    pub(crate) ok: bool,
    /// A redacted sentence on what went wrong.
    pub(crate) error: Option<String>,
    /// Its code.
    pub(crate) error_code: Option<String>,
    /// The whole call as its caller saw it.
    pub(crate) duration_ms: Option<i64>,
    /// Size of the result.
    pub(crate) result_bytes: Option<i64>,
    /// Whose credential was used.
    pub(crate) credential_kind: Option<String>,
    /// The trace.
    pub(crate) trace_id: Option<String>,
}

impl Call {
    fn of(org: &OrgId, row: Event) -> Self {
        // Arguments are JSON inside JSON in the database; here they are one.
        let args = row.args.as_deref().map(|text| serde_json::from_str(text).unwrap_or_else(|_| text.into()));
        Self {
            id: row.event_id,
            created_at: row.at.to_string(),
            tenant_id: org.clone(),
            server: row.server,
            tool: row.tool,
            tool_revision: row.tool_revision,
            args,
            args_digest: row.args_digest,
            sub: row.sub,
            email: row.email,
            agent_id: row.agent_id,
            client_id: row.client_id,
            run_id: row.run_id,
            run_source: row.run_source,
            decision: row.decision,
            ok: row.ok,
            error: row.error,
            error_code: row.code,
            duration_ms: row.duration_ms,
            result_bytes: row.result_bytes,
            credential_kind: row.credential_kind,
            trace_id: row.trace_id,
        }
    }
}

/// Which calls; what is left out does not restrict.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallQuery {
    /// How many items at most; 100 when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 500)]
    pub(crate) limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048)]
    pub(crate) cursor: Option<String>,
    /// Only of this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::RunId>)]
    pub(crate) run_id: Option<RunId>,
    /// Only of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::AgentId>)]
    pub(crate) agent_id: Option<AgentId>,
    /// Only of this member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Subject>)]
    pub(crate) sub: Option<Subject>,
    /// Only of this server or module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Line>)]
    pub(crate) server: Option<Line>,
    /// Only of this tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Line>)]
    pub(crate) tool: Option<Line>,
    /// Only with this code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Line>)]
    pub(crate) error_code: Option<Line>,
    /// Only successes, or only what was refused or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ok: Option<bool>,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Moment>)]
    pub(crate) since: Option<Moment>,
    /// Before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Moment>)]
    pub(crate) until: Option<Moment>,
}

impl CallQuery {
    fn filter(&self) -> EventFilter {
        let text = |line: &Option<Line>| line.as_ref().map(|line| line.as_str().to_owned());
        EventFilter {
            kind: Some(EventKind::Call),
            agent_id: self.agent_id.clone(),
            sub: self.sub.as_ref().map(|sub| sub.as_str().to_owned()),
            server: text(&self.server),
            tool: text(&self.tool),
            code: text(&self.error_code),
            ok: self.ok,
            run_id: self.run_id.clone(),
            since: self.since.map(|Moment(at)| at),
            until: self.until.map(|Moment(at)| at),
        }
    }
}

/// Lists calls.
pub(crate) struct ListCalls;

impl Operation for ListCalls {
    const FACTS: Facts = Facts::new("list_calls", "calls", Verb::Get, MANY, Needs::OrgAdmin, "Lists calls of agents, newest first.");
    type Path = OrgPath;
    type Query = CallQuery;
    type Body = Nothing;
    type Answer = Page<Call>;

    fn example() -> Example {
        Example { path: json!({"org": "acme"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Page<Call>> {
        let org = &ask.path.org;
        let limit = page::limit(ask.query.limit);
        let page = match cursor::open(Self::FACTS.id, org.as_str(), ask.query.cursor.as_deref())?.as_str() {
            "" => EventPage::Newest,
            before => EventPage::Before(before.parse().map_err(|_| cursor::foreign())?),
        };
        let rows = event::list(operations, acting, org, &ask.query.filter(), page, limit).await?;
        let full = u32::try_from(rows.len()).is_ok_and(|count| count >= limit);
        let next_cursor = rows.last().filter(|_| full).map(|last| cursor::seal(Self::FACTS.id, org.as_str(), &last.id.to_string()));
        Ok(Page { items: rows.into_iter().map(|row| Call::of(org, row)).collect(), next_cursor })
    }
}
