//! Which run a call belongs to (governance 3.4): the one that it names, else the innermost one of its session, else the only one of
//! its caller. Found before anything else, so that refused calls belong to their run as well.

use bailiwick_model::config::RunsConfig;
use bailiwick_model::run::RunSource;
use bailiwick_model::{Code, RunId, RunOwner};
use bailiwick_store::{Attribution, Runs, Whereabouts};
use tracing::warn;

use super::HouseTool;
use crate::call::decode::{Call, Story};
use crate::call::refused::{Refused, Verdict};
use crate::gateway::Gateway;
use crate::refusal::Refusal;

/// The argument in which a model names the run; taken out before anybody else sees it.
const ARGUMENT: &str = "_run_id";

/// A call that knows its run, if it has one.
pub(crate) struct Attributed {
    story: Story,
}

impl Attributed {
    pub(crate) fn into_story(self) -> Story {
        self.story
    }
}

/// Finds the run. Where the house has no runs, what the request says in its `_meta` is only written down.
pub(crate) async fn attribute(gateway: &Gateway, request: Call) -> Result<Attributed, Refused> {
    let mut story = request.into_story();
    let Some(config) = gateway.house().runs() else { return Ok(Attributed { story }) };
    match Box::pin(find(gateway, &mut story, *config)).await {
        Ok(()) => Ok(Attributed { story }),
        Err(refusal) => Err(Refused::new(story, None, Verdict::Refusal(refusal))),
    }
}

/// The runs of the store, with the idle window of the house.
pub(super) fn runs(gateway: &Gateway) -> Runs<'_> {
    let idle = gateway.house().runs().copied().unwrap_or_default().idle;
    gateway.store().runs().with_idle_window(idle)
}

/// Whose run it would be. Two keys of one person are two clients, and so are two clients that an issuer names.
pub(super) fn owner(story: &Story) -> Result<RunOwner, Refusal> {
    let principal = story.caller.scope().principal();
    let named = principal.claims.as_ref().and_then(|claims| claims.client_id.as_deref().map(str::to_owned));
    let client = named.or_else(|| principal.key_id.map(|key| key.to_string())).unwrap_or_default();
    let owner = match &principal.sub {
        Some(sub) => RunOwner::person(sub, &client),
        None => RunOwner::agent(&principal.agent_id, &client),
    };
    owner.map_err(|rule| {
        Refusal::new(Code::Internal, "the run cannot be found", "report the event id to the operator").because(rule.to_string())
    })
}

/// Where the call says that it comes from.
pub(super) fn whereabouts(story: &Story) -> Whereabouts<'_> {
    let named = story.run_source == Some(RunSource::Explicit);
    Whereabouts { run_id: story.run.as_ref().filter(|_| named), session: story.session.as_deref() }
}

async fn find(gateway: &Gateway, story: &mut Story, config: RunsConfig) -> Result<(), Refusal> {
    if let Some(named) = take_argument(story)? {
        (story.run, story.run_source) = (Some(named), Some(RunSource::Explicit));
    }
    let owner = owner(story)?;
    let (runs, scope) = (runs(gateway), story.caller.scope());
    let found = if config.implicit && !begins_or_ends(story) {
        runs.ensure_implicit(scope, &owner, whereabouts(story)).await
    } else {
        runs.attribute(scope, &owner, whereabouts(story)).await
    };
    match found.map_err(|error| super::unavailable(&error))? {
        Attribution::Run(run) => {
            // A date for people; the call does not fail for it.
            if let Err(error) = runs.touch(scope, &run).await {
                warn!(?error, "when something was last seen of a run could not be written");
            }
            (story.run, story.run_source) = (Some(run.run_id), Some(run.source));
        }
        Attribution::None => (story.run, story.run_source) = (None, None),
        Attribution::Unknown => return Err(unknown()),
    }
    Ok(())
}

/// Whether the call says itself which run it is about.
fn begins_or_ends(story: &Story) -> bool {
    [HouseTool::RunStart, HouseTool::RunFinish].iter().any(|tool| tool.name() == &*story.name)
}

/// The run that the arguments name, which are without it then.
fn take_argument(story: &mut Story) -> Result<Option<RunId>, Refusal> {
    let Some(named) = story.arguments.member(ARGUMENT) else { return Ok(None) };
    story.arguments = story.arguments.edit(&[ARGUMENT], &[]);
    if named.is_null() {
        return Ok(None);
    }
    named.string().and_then(|text| RunId::parse(&text).ok()).map(Some).ok_or_else(unknown)
}

pub(super) fn unknown() -> Refusal {
    Refusal::new(Code::RunUnknown, "this is no open run of yours", "begin one with `run_start`, or leave the run id out")
}
