//! `/v1/orgs/{org}/events`: what agents and people did, as the readable index of the ledger has it.

use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::{Acting, Fault, Operations, event};
use bailiwick_model::{AgentId, EventId, OrgId, Subject};
use bailiwick_store::event::{Event as Row, EventFilter, EventKind, EventPage};
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

const MANY: &str = "/v1/orgs/{org}/events";
const ONE: &str = "/v1/orgs/{org}/events/{event_id}";

pub(super) fn routes() -> Vec<Route> {
    vec![Route::of::<ListEvents>(), Route::of::<ShowEvent>()]
}

/// One call or change.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Event {
    #[schema(value_type = schemas::EventId)]
    event_id: String,
    /// When it began.
    #[schema(value_type = schemas::Moment)]
    at: String,
    /// The organisation; null for the platform's own.
    org: Option<String>,
    /// `call`, `key`, `secret`, `config`, ...
    kind: String,
    /// The operator who caused it.
    operator: Option<String>,
    /// The agent that caused it.
    agent_id: Option<String>,
    /// Its type.
    agent_type: Option<String>,
    /// The server or module; what was changed.
    server: Option<String>,
    /// The tool by its public name; the operation.
    tool: Option<String>,
    /// Which definition the tool had: the beginning of a digest of it.
    tool_revision: Option<String>,
    /// What was decided.
    decision: Option<String>,
    /// The code of a refusal or fault.
    code: Option<String>,
    /// Whether the caller got what he asked for.
    ok: bool,
    /// A redacted sentence.
    error: Option<String>,
    /// How long it took.
    duration_ms: Option<i64>,
    /// The run it belongs to.
    run_id: Option<String>,
    /// How the run was found.
    run_source: Option<String>,
    /// The trace.
    trace_id: Option<String>,
    /// Redacted, cut arguments.
    #[schema(value_type = Option<Object>)]
    args: Option<Value>,
    /// Keyed digest of the arguments.
    args_digest: Option<String>,
    /// Size of the result.
    result_bytes: Option<i64>,
    /// Whose credential was used.
    credential_kind: Option<String>,
    /// The member for whom the agent acted.
    sub: Option<String>,
    /// His address at that time.
    email: Option<String>,
    /// The registered client through which it came.
    client_id: Option<String>,
    /// A remark of the ledger.
    note: Option<String>,
    /// The writer whose chain holds the record.
    writer: String,
    /// Its number there.
    seq: i64,
}

impl From<Row> for Event {
    fn from(row: Row) -> Self {
        // Arguments are JSON inside JSON in the database; here they are one.
        let args = row.args.as_deref().map(|text| serde_json::from_str(text).unwrap_or_else(|_| text.into()));
        Self {
            event_id: row.event_id,
            at: row.at.to_string(),
            org: row.org,
            kind: row.kind,
            operator: row.operator,
            agent_id: row.agent_id,
            agent_type: row.agent_type,
            server: row.server,
            tool: row.tool,
            tool_revision: row.tool_revision,
            decision: row.decision,
            code: row.code,
            ok: row.ok,
            error: row.error,
            duration_ms: row.duration_ms,
            run_id: row.run_id,
            run_source: row.run_source,
            trace_id: row.trace_id,
            args,
            args_digest: row.args_digest,
            result_bytes: row.result_bytes,
            credential_kind: row.credential_kind,
            sub: row.sub,
            email: row.email,
            client_id: row.client_id,
            note: row.note,
            writer: row.writer,
            seq: row.seq,
        }
    }
}

/// Which events; what is left out does not restrict.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventQuery {
    /// How many items at most; 100 when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 500)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048)]
    cursor: Option<String>,
    /// Only this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::EventKind>)]
    kind: Option<Kind>,
    /// Only of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::AgentId>)]
    agent_id: Option<AgentId>,
    /// Only of this member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Subject>)]
    sub: Option<Subject>,
    /// Only this server or module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Line>)]
    server: Option<Line>,
    /// Only this tool or operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Line>)]
    tool: Option<Line>,
    /// Only this code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Line>)]
    code: Option<Line>,
    /// Only successes, or only what was refused or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ok: Option<bool>,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Moment>)]
    since: Option<Moment>,
    /// Before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Moment>)]
    until: Option<Moment>,
}

/// A kind of event.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String")]
struct Kind(String);

impl TryFrom<String> for Kind {
    type Error = &'static str;

    fn try_from(word: String) -> Result<Self, &'static str> {
        if EventKind::parse(&word).is_some() { Ok(Self(word)) } else { Err("one of the kinds of events") }
    }
}

impl EventQuery {
    fn filter(&self) -> EventFilter {
        let text = |line: &Option<Line>| line.as_ref().map(|line| line.as_str().to_owned());
        EventFilter {
            kind: self.kind.as_ref().and_then(|kind| EventKind::parse(&kind.0)),
            agent_id: self.agent_id.clone(),
            sub: self.sub.as_ref().map(|sub| sub.as_str().to_owned()),
            server: text(&self.server),
            tool: text(&self.tool),
            code: text(&self.code),
            ok: self.ok,
            run_id: None,
            since: self.since.map(|Moment(at)| at),
            until: self.until.map(|Moment(at)| at),
        }
    }
}

/// Lists events.
pub(crate) struct ListEvents;

impl Operation for ListEvents {
    const FACTS: Facts = Facts::new("list_events", "events", Verb::Get, MANY, Needs::OrgAdmin, "Lists what was done, newest first.");
    type Path = OrgPath;
    type Query = EventQuery;
    type Body = Nothing;
    type Answer = Page<Event>;

    fn example() -> Example {
        Example { path: json!({"org": "acme"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Page<Event>> {
        let org = &ask.path.org;
        let (id, limit) = (Self::FACTS.id, page::limit(ask.query.limit));
        let page = match cursor::open(id, org.as_str(), ask.query.cursor.as_deref())?.as_str() {
            "" => EventPage::Newest,
            before => EventPage::Before(before.parse().map_err(|_| cursor::foreign())?),
        };
        let rows = event::list(operations, acting, org, &ask.query.filter(), page, limit).await?;
        let full = u32::try_from(rows.len()).is_ok_and(|count| count >= limit);
        let next_cursor = rows.last().filter(|_| full).map(|last| cursor::seal(id, org.as_str(), &last.id.to_string()));
        Ok(Page { items: rows.into_iter().map(Event::from).collect(), next_cursor })
    }
}

/// The event that is meant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventPath {
    #[schema(value_type = schemas::OrgId)]
    org: OrgId,
    #[schema(value_type = schemas::EventId)]
    event_id: EventText,
}

/// The id of an event.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String")]
struct EventText(String);

impl TryFrom<String> for EventText {
    type Error = bailiwick_model::id::InvalidId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        EventId::parse(&text).map(|_| Self(text))
    }
}

/// Shows an event.
pub(crate) struct ShowEvent;

impl Operation for ShowEvent {
    const FACTS: Facts = Facts::new("show_event", "events", Verb::Get, ONE, Needs::OrgAdmin, "Shows one event, e.g. that of a refusal.");
    type Path = EventPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = Event;

    fn example() -> Example {
        Example { path: json!({"org": "acme", "event_id": "0123456789abcdef0123456789abcdef"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Event> {
        let EventPath { org, event_id } = ask.path;
        let id = EventId::parse(&event_id.0).map_err(|fault| Fault::invalid("event_id", fault.rule()))?;
        event::get(operations, acting, &org, &id).await.map(Event::from)
    }
}
