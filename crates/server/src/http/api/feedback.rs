//! `/v1/orgs/{org}/feedback`: what agents and people say about tools and about what is missing.

use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::{Acting, Fault, Operations, feedback};
use bailiwick_model::feedback::{InvalidFeedback, Signal};
use bailiwick_model::{Code, FeedbackId, NewFeedback, OrgId, Timestamp};
use bailiwick_store::FeedbackFilter;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::cursor;
use super::operation::{Ask, Example, Facts, Needs, Nothing, Operation, Verb};
use super::org::OrgPath;
use super::page::{self, Limit, Page};
use super::route::Route;
use super::schemas;

const MANY: &str = "/v1/orgs/{org}/feedback";
const RESOLVE: &str = "/v1/orgs/{org}/feedback/{feedback_id}/resolve";

pub(super) fn routes() -> Vec<Route> {
    vec![Route::of::<ListFeedback>(), Route::of::<GiveFeedback>(), Route::of::<ResolveFeedback>()]
}

/// A feedback.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Feedback {
    #[schema(value_type = schemas::FeedbackId)]
    pub(crate) id: String,
    #[schema(value_type = schemas::OrgId)]
    pub(crate) tenant_id: OrgId,
    /// When it was given.
    #[schema(value_type = schemas::Moment)]
    pub(crate) created_at: String,
    /// Through what it came.
    pub(crate) server: String,
    /// `tool_feedback` or `gap`.
    pub(crate) signal: String,
    /// What sort it is.
    pub(crate) kind: String,
    /// What was given as kind, when that is not known.
    pub(crate) kind_raw: Option<String>,
    /// The tool, instruction or data.
    pub(crate) target: String,
    /// What was said.
    pub(crate) text: Option<String>,
    /// Who gave it.
    pub(crate) sub: Option<String>,
    /// His address at that time.
    pub(crate) email: Option<String>,
    /// During which run.
    pub(crate) run_id: Option<String>,
    /// `agent` or `human`.
    pub(crate) source: String,
    /// When it was resolved; null while it is open.
    #[schema(value_type = Option<schemas::Moment>)]
    pub(crate) resolved_at: Option<String>,
    /// By whom.
    pub(crate) resolved_by: Option<String>,
    /// What came of it.
    pub(crate) resolution: Option<String>,
}

impl Feedback {
    fn of(org: &OrgId, row: bailiwick_store::Feedback) -> Self {
        let (resolved_at, resolved_by, resolution) = match row.resolved {
            Some(end) => (Some(end.at.to_string()), Some(end.by), Some(end.resolution)),
            None => (None, None, None),
        };
        Self {
            id: row.id.to_string(),
            tenant_id: org.clone(),
            created_at: row.created_at.to_string(),
            server: row.server,
            signal: row.signal.as_str().to_owned(),
            kind: row.kind.as_str().to_owned(),
            kind_raw: row.kind_raw,
            target: row.target,
            text: row.text,
            sub: row.sub,
            email: row.email,
            run_id: row.run_id,
            source: row.source.as_str().to_owned(),
            resolved_at,
            resolved_by,
            resolution,
        }
    }
}

/// Which feedback; what is left out does not restrict.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeedbackQuery {
    /// How many items at most; 100 when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 500)]
    pub(crate) limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048)]
    pub(crate) cursor: Option<String>,
    /// Only what is resolved, or only what is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resolved: Option<bool>,
    /// Only this signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Signal>)]
    pub(crate) signal: Option<SignalWord>,
}

/// A signal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct SignalWord(String);

impl TryFrom<String> for SignalWord {
    type Error = &'static str;

    fn try_from(word: String) -> Result<Self, &'static str> {
        Signal::parse(&word).map(|_| Self(word)).ok_or("`tool_feedback` or `gap`")
    }
}

/// Feedback to be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GivenFeedback {
    #[schema(value_type = schemas::Signal)]
    pub(crate) signal: SignalWord,
    /// What sort it is; one that the signal does not know becomes `other` and is kept beside.
    pub(crate) kind: String,
    /// The tool, or what is missing: 1 to 200 characters.
    pub(crate) target: String,
    /// What happened, at most 4,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
}

/// What came of a feedback.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resolution {
    /// At most 2,000 characters; newlines and tabs are the only control characters.
    #[schema(max_length = 2000)]
    pub(crate) resolution: String,
}

/// The feedback that is meant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeedbackPath {
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
    #[schema(value_type = schemas::FeedbackId)]
    pub(crate) feedback_id: FeedbackText,
}

/// The id of a feedback.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct FeedbackText(String);

impl TryFrom<String> for FeedbackText {
    type Error = bailiwick_model::id::InvalidId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        FeedbackId::parse(&text).map(|_| Self(text))
    }
}

impl From<FeedbackId> for FeedbackText {
    fn from(id: FeedbackId) -> Self {
        Self(id.to_string())
    }
}

/// Lists feedback.
pub(crate) struct ListFeedback;

impl Operation for ListFeedback {
    const FACTS: Facts = Facts::new("list_feedback", "feedback", Verb::Get, MANY, Needs::OrgAdmin, "Lists feedback, newest first.");
    type Path = OrgPath;
    type Query = FeedbackQuery;
    type Body = Nothing;
    type Answer = Page<Feedback>;

    fn example() -> Example {
        Example { path: json!({"org": "acme"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Page<Feedback>> {
        let Ask { path: OrgPath { org }, query, .. } = ask;
        let limit = page::limit(query.limit);
        let before = before(&cursor::open(Self::FACTS.id, org.as_str(), query.cursor.as_deref())?)?;
        let signal = query.signal.as_ref().and_then(|SignalWord(word)| Signal::parse(word));
        let filter = FeedbackFilter { signal, resolved: query.resolved };
        let rows = feedback::list(operations, acting, &org, filter, (before, limit)).await?;
        let full = u32::try_from(rows.len()).is_ok_and(|count| count >= limit);
        let position = |last: &bailiwick_store::Feedback| format!("{}/{}", last.created_at.as_micros(), last.id);
        let next_cursor = rows.last().filter(|_| full).map(|last| cursor::seal(Self::FACTS.id, org.as_str(), &position(last)));
        Ok(Page { items: rows.into_iter().map(|row| Feedback::of(&org, row)).collect(), next_cursor })
    }
}

fn before(last: &str) -> Done<Option<(Timestamp, FeedbackId)>> {
    if last.is_empty() {
        return Ok(None);
    }
    let (at, id) = last.split_once('/').ok_or_else(cursor::foreign)?;
    match (at.parse(), FeedbackId::parse(id)) {
        (Ok(micros), Ok(id)) => Ok(Some((Timestamp::from_micros(micros), id))),
        _ => Err(cursor::foreign()),
    }
}

/// Gives feedback.
pub(crate) struct GiveFeedback;

impl Operation for GiveFeedback {
    const FACTS: Facts =
        Facts::new("give_feedback", "feedback", Verb::Post, MANY, Needs::Member, "Gives feedback on a tool, or on something missing.")
            .answering(StatusCode::CREATED);
    type Path = OrgPath;
    type Query = Nothing;
    type Body = GivenFeedback;
    type Answer = Feedback;

    fn example() -> Example {
        let body = json!({"signal": "gap", "kind": "missing_tool", "target": "calendar", "text": "Nobody can see who is away."});
        Example { path: json!({"org": "acme"}), body }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Feedback> {
        let Ask { path: OrgPath { org }, body: GivenFeedback { signal, kind, target, text }, .. } = ask;
        // The rule names its member, as the tool's does.
        let unfit = |rule: InvalidFeedback| Fault::new(Code::InvalidArgument, rule.to_string(), "correct the text and send it again");
        let new = NewFeedback::parse(&signal.0, &kind, &target, text.as_deref()).map_err(unfit)?;
        feedback::give(operations, acting, &org, &new).await.map(|row| Feedback::of(&org, row))
    }
}

/// Says what came of a feedback.
pub(crate) struct ResolveFeedback;

impl Operation for ResolveFeedback {
    const FACTS: Facts = Facts::new(
        "resolve_feedback",
        "feedback",
        Verb::Post,
        RESOLVE,
        Needs::OrgAdmin,
        "Says what came of a feedback, once; what was said stays.",
    );
    type Path = FeedbackPath;
    type Query = Nothing;
    type Body = Resolution;
    type Answer = Feedback;

    fn example() -> Example {
        Example {
            path: json!({"org": "acme", "feedback_id": "0123456789abcdef0123456789abcdef"}),
            body: json!({"resolution": "There is a calendar server now."}),
        }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Feedback> {
        let FeedbackPath { org, feedback_id } = ask.path;
        let id = FeedbackId::parse(&feedback_id.0).map_err(|fault| Fault::invalid("feedback_id", fault.rule()))?;
        feedback::resolve(operations, acting, &org, id, &ask.body.resolution).await.map(|row| Feedback::of(&org, row))
    }
}
