//! What agents and people say about tools and gaps.

use bailiwick_model::{FeedbackId, NewFeedback, OrgId, Timestamp};
use bailiwick_store::event::EventKind;
use bailiwick_store::{Feedback, FeedbackFilter, FeedbackSource, FeedbackStamp};

use super::fault::{Done, Fault};
use super::{Acting, Deed, Operations, Required};

/// Where feedback came from that did not come through a tool.
const SERVER: &str = "api";

/// One page of feedback, the newest first; for administrators of the organisation.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn list(
    ops: &Operations,
    acting: &Acting,
    org: &OrgId,
    filter: FeedbackFilter,
    (before, limit): (Option<(Timestamp, FeedbackId)>, u32),
) -> Done<Vec<Feedback>> {
    let reader = ops.reader(acting, org, Required::OrgAdmin, "feedback list").await?;
    Ok(ops.store().feedback().list(reader.scope(), filter, before, limit).await?)
}

/// Gives feedback; for every member. A person speaks for himself, a key without a person for its agent.
///
/// # Errors
/// `invalid_argument` when the organisation, or who gives it, has as much as is kept.
pub async fn give(ops: &Operations, acting: &Acting, org: &OrgId, new: &NewFeedback) -> Done<Feedback> {
    const OPERATION: &str = "feedback give";
    let admin = ops.admin(acting, org, Required::Member, OPERATION).await?;
    let person = acting.scope().and_then(|scope| scope.principal().sub.as_ref());
    let source = if acting.scope().is_some() && person.is_none() { FeedbackSource::Agent } else { FeedbackSource::Human };
    let stamp = FeedbackStamp {
        server: SERVER,
        sub: Some(person.map_or(&*admin.author().name, |sub| sub.as_str())),
        email: acting.scope().and_then(|scope| scope.principal().email.as_deref()),
        run_id: None,
        source,
    };
    let effect = async {
        let feedback = ops.store().feedback();
        let id = feedback.put(admin.scope(), new, &stamp).await?;
        feedback.get(admin.scope(), id).await
    };
    let deed = Deed::new(EventKind::Config, OPERATION, new.signal().as_str());
    ops.record(admin.author(), deed, effect).await?.ok_or_else(|| Fault::not_found("the feedback"))
}

/// Says what came of a feedback, once; for administrators of the organisation.
///
/// # Errors
/// `not_found`; `conflict` when that was said already; `invalid_argument` for a text that cannot be kept.
pub async fn resolve(ops: &Operations, acting: &Acting, org: &OrgId, id: FeedbackId, resolution: &str) -> Done<Feedback> {
    const OPERATION: &str = "feedback resolve";
    let admin = ops.admin(acting, org, Required::OrgAdmin, OPERATION).await?;
    let effect = async {
        let feedback = ops.store().feedback();
        feedback.resolve(admin.scope(), id, resolution).await?;
        feedback.get(admin.scope(), id).await
    };
    let subject = id.to_string();
    ops.record(admin.author(), Deed::new(EventKind::Config, OPERATION, &subject), effect)
        .await?
        .ok_or_else(|| Fault::not_found("the feedback"))
}
