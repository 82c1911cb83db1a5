//! `run_start` and `run_finish` (governance 3).

use bailiwick_model::instruction::DocSlug;
use bailiwick_model::run::{Outcome, RunLabel, RunNote, RunSource};
use bailiwick_model::{Code, Role, RunId, Standing};
use bailiwick_modules::ToolOutput;
use bailiwick_store::{FINISH_REASON_CHARS_MAX, Finisher, NewRun, RunStart};
use serde::Deserialize;
use serde_json::json;

use super::attribute::{owner, runs, unknown, whereabouts};
use super::instructions::layers;
use super::{arguments, output, refused};
use crate::call::decode::Story;
use crate::gateway::Gateway;
use crate::refusal::Refusal;

/// Why an administrator ended somebody else's run, when the note does not say.
const ADMIN_REASON: &str = "ended by an administrator";

#[derive(Deserialize)]
struct StartArguments {
    label: String,
    doctrine: Option<String>,
}

#[derive(Deserialize)]
struct FinishArguments {
    run_id: String,
    outcome: String,
    note: Option<String>,
}

/// The row of this call carries the new run.
pub(super) async fn start(gateway: &Gateway, story: &mut Story, standing: &Standing) -> Result<ToolOutput, Refusal> {
    let StartArguments { label, doctrine } = arguments(story)?;
    let label = RunLabel::parse(&label).map_err(|rule| invalid("label", &rule))?;
    // A slug that cannot exist is one that does not: the run is ad hoc.
    let slug = doctrine.as_deref().and_then(|slug| DocSlug::parse(slug).ok());
    let owner = owner(story)?;
    let layers = layers(standing);
    let shown = label.clone();
    let new = NewRun { label, doctrine: slug.as_ref(), layers: &layers };
    let started = runs(gateway).start(story.caller.scope(), &owner, whereabouts(story), &new).await;
    let RunStart::Started { run_id, frozen, .. } = started.map_err(|error| refused(&error))? else { return Err(unknown()) };
    (story.run, story.run_source) = (Some(run_id.clone()), Some(RunSource::Explicit));
    let version = frozen.map(|frozen| frozen.version);
    output(&json!({"run_id": run_id, "label": shown, "doctrine": doctrine, "doctrine_version": version}))
}

/// The row of this call carries the run that it ends.
pub(super) async fn finish(gateway: &Gateway, story: &mut Story, standing: &Standing) -> Result<ToolOutput, Refusal> {
    let FinishArguments { run_id, outcome, note } = arguments(story)?;
    let outcome =
        Outcome::parse(&outcome).map_err(|rule| Refusal::new(Code::RunOutcomeInvalid, rule.to_string(), "use one of the four words"))?;
    let note = note.map(|note| RunNote::parse(&note)).transpose().map_err(|rule| invalid("note", &rule))?;
    let was_open = match RunId::parse(&run_id) {
        Ok(id) => {
            let owner = owner(story)?;
            let scope = story.caller.scope();
            let ended = runs(gateway).finish(scope, Finisher::Owner(&owner), &id, outcome, note.as_ref()).await;
            let mut was_open = ended.map_err(|error| refused(&error))?.was_open;
            // Somebody else's: an administrator may, and the row says so.
            if !was_open && standing.is(Role::OrgAdmin) {
                let reason = note.as_ref().map_or(ADMIN_REASON, RunNote::as_str).lines().next().unwrap_or(ADMIN_REASON);
                let reason: String = reason.chars().filter(|c| !c.is_control()).take(FINISH_REASON_CHARS_MAX).collect();
                let by = Finisher::Admin { reason: if reason.trim().is_empty() { ADMIN_REASON } else { &reason } };
                was_open = runs(gateway).finish(scope, by, &id, outcome, note.as_ref()).await.map_err(|error| refused(&error))?.was_open;
            }
            if was_open {
                (story.run, story.run_source) = (Some(id), Some(RunSource::Explicit));
            }
            was_open
        }
        Err(_) => false,
    };
    output(&json!({"ok": true, "run_id": run_id, "outcome": outcome, "was_open": was_open}))
}

fn invalid(member: &str, rule: &dyn std::fmt::Display) -> Refusal {
    Refusal::new(Code::InvalidArgument, format!("argument `{member}`: {rule}"), "correct the argument and call again")
        .with_details(json!({"path": format!("/{member}")}))
}
