//! From a method's name to what answers it.

use bailiwick_mcp::exchange::removed_in_modern;
use bailiwick_mcp::{Era, Json, RpcError, error};
use bailiwick_model::EventId;

use crate::asked::Asked;
use crate::call::{self, decode, encode::Answer};
use crate::gateway::Gateway;
use crate::{discover, initialize};

/// Answers one request of any door and era.
pub(crate) async fn answer(gateway: &Gateway, asked: Asked) -> Answer {
    if is_call(&asked.method) { tools_call(gateway, asked).await } else { quick(asked).await }
}

/// Whether the method may wait for somebody else.
pub(crate) fn is_call(method: &str) -> bool {
    method == "tools/call"
}

/// Every other method; it waits for nobody but, once, for the first discovery of the agent's servers.
pub(crate) async fn quick(asked: Asked) -> Answer {
    match (&*asked.method, asked.era) {
        ("tools/list", _) => tools_list(asked).await,
        ("server/discover", Era::Modern) => Answer::rendered(asked.id, Era::Modern, discover::result()),
        ("initialize", Era::Legacy) => initialize::answer(&asked),
        ("ping", Era::Legacy) => Answer::rendered(asked.id, Era::Legacy, Json::from_static("{}")),
        (method, era) => {
            let removed = era == Era::Modern && removed_in_modern(method);
            let message = if removed { "this method does not exist in 2026-07-28" } else { "method not found" };
            Answer::error(asked.id, era, RpcError::new(error::METHOD_NOT_FOUND, message))
        }
    }
}

/// The call path behind the request's own checks.
pub(crate) async fn tools_call(gateway: &Gateway, asked: Asked) -> Answer {
    let (id, era) = (asked.id.clone(), asked.era);
    let now = gateway.now();
    let event = EventId::fresh(now, gateway.random());
    match decode::tool_call(asked, event, now) {
        Ok(request) => call::call(gateway, request).await,
        Err(fault) => Answer::error(id, era, fault),
    }
}

async fn tools_list(asked: Asked) -> Answer {
    // The whole list is one page, so no cursor was ever given out.
    if asked.params.as_ref().is_some_and(|params| params.member("cursor").is_some()) {
        return Answer::error(asked.id, asked.era, RpcError::new(error::INVALID_PARAMS, "unknown cursor; list again without one"));
    }
    let view = asked.caller.bailiwick().view().await;
    Answer::rendered(asked.id, asked.era, view.list(asked.era).clone())
}
