//! `feedback` and `list_feedback` (governance 4.2).

use bailiwick_model::Code;
use bailiwick_model::feedback::NewFeedback;
use bailiwick_modules::ToolOutput;
use bailiwick_store::{FEEDBACK_PAGE_MAX, Feedback, FeedbackFilter, FeedbackSource, FeedbackStamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::attribute::owner;
use super::{arguments, output, refused};
use crate::call::decode::Story;
use crate::catalog::HOUSE;
use crate::gateway::Gateway;
use crate::refusal::Refusal;

/// Rows of a list when nobody says how many.
const LIMIT_DEFAULT: i64 = 50;

#[derive(Deserialize)]
struct PutArguments {
    signal: String,
    kind: String,
    target: String,
    text: Option<String>,
}

#[derive(Deserialize)]
struct ListArguments {
    limit: Option<i64>,
}

pub(super) async fn put(gateway: &Gateway, story: &Story) -> Result<ToolOutput, Refusal> {
    let PutArguments { signal, kind, target, text } = arguments(story)?;
    let new = NewFeedback::parse(&signal, &kind, &target, text.as_deref())
        .map_err(|rule| Refusal::new(Code::InvalidArgument, rule.to_string(), "correct the argument and call again"))?;
    let owner = owner(story)?;
    let stamp = FeedbackStamp {
        server: HOUSE,
        sub: Some(owner.sub()),
        email: story.caller.scope().principal().email.as_deref(),
        run_id: story.run.as_ref(),
        source: FeedbackSource::Agent,
    };
    gateway.store().feedback().put(story.caller.scope(), &new, &stamp).await.map_err(|error| refused(&error))?;
    output(&json!({"ok": true, "signal": new.signal(), "target": new.target()}))
}

pub(super) async fn list(gateway: &Gateway, story: &Story) -> Result<ToolOutput, Refusal> {
    let ListArguments { limit } = arguments(story)?;
    let limit = u32::try_from(limit.unwrap_or(LIMIT_DEFAULT).clamp(1, i64::from(FEEDBACK_PAGE_MAX))).unwrap_or(1);
    let rows = gateway
        .store()
        .feedback()
        .list(story.caller.scope(), FeedbackFilter::default(), None, limit)
        .await
        .map_err(|error| refused(&error))?;
    let rows: Vec<Value> = rows.iter().map(row).collect();
    output(&rows)
}

fn row(row: &Feedback) -> Value {
    let resolved = row.resolved.as_ref();
    json!({
        "id": row.id.to_string(), "created_at": row.created_at.to_string(), "server": row.server, "signal": row.signal, "kind": row.kind,
        "kind_raw": row.kind_raw, "target": row.target, "text": row.text, "sub": row.sub, "email": row.email, "run_id": row.run_id,
        "source": row.source.as_str(), "resolved_at": resolved.map(|end| end.at.to_string()), "resolved_by": resolved.map(|end| &end.by),
        "resolution": resolved.map(|end| &end.resolution),
    })
}
