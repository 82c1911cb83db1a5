//! From a method's name to what answers it.

use bailiwick_mcp::exchange::removed_in_modern;
use bailiwick_mcp::{Era, Json, RpcError, error};
use bailiwick_model::EventId;

use crate::asked::Asked;
use crate::call::{self, decode, decode::Subject, encode::Answer, task};
use crate::catalog::List;
use crate::gateway::Gateway;
use crate::{discover, initialize, settings};

/// Answers one request of any door and era.
pub(crate) async fn answer(gateway: &Gateway, asked: Asked) -> Answer {
    match Subject::of(&asked.method) {
        Some(subject) => call(gateway, asked, subject).await,
        None => quick(gateway, asked).await,
    }
}

/// Every other method; it waits for nobody but, once, for the first discovery of the agent's servers.
pub(crate) async fn quick(gateway: &Gateway, asked: Asked) -> Answer {
    if let Err(fault) = decode::check_org(&asked.meta, &asked.caller) {
        return Answer::error(asked.id, asked.era, fault);
    }
    match (&*asked.method, asked.era) {
        ("tools/list", _) => list(asked, List::Tools).await,
        ("prompts/list", _) => list(asked, List::Prompts).await,
        ("resources/list", _) => list(asked, List::Resources).await,
        ("resources/templates/list", _) => list(asked, List::Templates).await,
        ("server/discover", Era::Modern) => discover::answer(gateway, asked).await,
        ("initialize", Era::Legacy) => initialize::answer(gateway, &asked).await,
        ("ping", Era::Legacy) => Answer::rendered(asked.id, Era::Legacy, Json::from_static("{}")),
        ("logging/setLevel", Era::Legacy) => settings::set_level(gateway, asked).await,
        ("resources/subscribe", Era::Legacy) => settings::subscribe(gateway, asked, true).await,
        ("resources/unsubscribe", Era::Legacy) => settings::subscribe(gateway, asked, false).await,
        (method, era) => {
            let removed = era == Era::Modern && removed_in_modern(method);
            let message = if removed { "this method does not exist in 2026-07-28" } else { "method not found" };
            Answer::error(asked.id, era, RpcError::new(error::METHOD_NOT_FOUND, message))
        }
    }
}

/// The call path behind the request's own checks.
pub(crate) async fn call(gateway: &Gateway, asked: Asked, subject: Subject) -> Answer {
    let (id, era) = (asked.id.clone(), asked.era);
    if subject.is_task() && !knows_tasks(&asked).await {
        return Answer::error(id, era, RpcError::new(error::METHOD_NOT_FOUND, "method not found"));
    }
    let now = gateway.now();
    let event = EventId::fresh(now, gateway.random());
    match decode::decode(asked, subject, event, now) {
        Ok(request) => call::call(gateway, request).await,
        Err(fault) => Answer::error(id, era, fault),
    }
}

/// Whether there is a server with tasks, and a client of the revision that has them.
async fn knows_tasks(asked: &Asked) -> bool {
    asked.era == Era::Modern && asked.caller.bailiwick().view(&asked.lens).await.extends(task::EXTENSION)
}

async fn list(asked: Asked, listing: List) -> Answer {
    let cursor = asked.params.as_ref().and_then(|params| params.member("cursor")).filter(|cursor| !cursor.is_null());
    // What is no text was not given out by us, like any other cursor that is not found.
    let cursor = cursor.map(|cursor| cursor.string().map_or_else(|| "?".to_owned(), |text| text.into_owned()));
    let view = asked.caller.bailiwick().view(&asked.lens).await;
    match view.list(listing, cursor.as_deref(), asked.era) {
        Some(list) => Answer::rendered(asked.id, asked.era, list.clone()),
        None => Answer::error(asked.id, asked.era, RpcError::new(error::INVALID_PARAMS, "unknown cursor; list again without one")),
    }
}
