//! `bailiwick feedback`: what agents and people say about tools and gaps.

use super::args::{FeedbackCommand, Form};
use super::context::Context;
use super::desk::{Desk, Work};
use super::output;
use crate::exit::{Exit, Failure};
use crate::http::api::feedback::{
    FeedbackPath, FeedbackQuery, FeedbackText, GiveFeedback, GivenFeedback, ListFeedback, Resolution, ResolveFeedback, SignalWord,
};
use crate::http::api::org::OrgPath;

pub(super) async fn run(context: &Context, command: FeedbackCommand) -> Result<(), Failure> {
    let work = if matches!(command, FeedbackCommand::List { .. }) { Work::Reads } else { Work::Changes };
    let desk = context.desk(work).await?;
    let done = act(context.form, &desk, command).await;
    done.and(desk.close().await)
}

async fn act(form: Form, desk: &Desk, command: FeedbackCommand) -> Result<(), Failure> {
    match command {
        FeedbackCommand::List { org, open, limit } => {
            let query = FeedbackQuery { resolved: open.then_some(false), ..FeedbackQuery::default() };
            let count = usize::try_from(limit).unwrap_or(usize::MAX);
            let rows = desk.first::<ListFeedback, _>(OrgPath { org: desk.org(org).await? }, query, count).await?;
            output::print_rows(form, &rows, ["ID", "GIVEN", "BY", "SIGNAL", "KIND", "TARGET", "RESOLVED", "TEXT"], |row| {
                let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
                let (resolved, said) = (text(&row.resolved_at), text(&row.text));
                let (signal, kind) = (row.signal.clone(), row.kind.clone());
                [row.id.clone(), row.created_at.clone(), text(&row.sub), signal, kind, row.target.clone(), resolved, said]
            })
        }
        FeedbackCommand::Give { signal, kind, target, text, org } => {
            let signal = SignalWord::try_from(signal).map_err(|rule| Failure::new(Exit::Usage, format!("the signal is {rule}")))?;
            let path = OrgPath { org: desk.org(org).await? };
            let given = desk.ask::<GiveFeedback>(path, GivenFeedback { signal, kind, target, text }).await?;
            output::done(form, &given, &format!("Feedback `{}` is kept.", given.id))
        }
        FeedbackCommand::Resolve { id, resolution, org } => {
            let feedback_id = FeedbackText::from(id);
            let path = FeedbackPath { org: desk.org(org).await?, feedback_id };
            let resolved = desk.ask::<ResolveFeedback>(path, Resolution { resolution }).await?;
            output::done(form, &resolved, &format!("Feedback `{}` is resolved.", resolved.id))
        }
    }
}
