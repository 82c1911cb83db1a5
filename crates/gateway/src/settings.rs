//! What clients of the older revisions set for their conversation: log level and watched resources (protocol reference 3.1).

use std::time::Duration;

use bailiwick_mcp::meta::LogLevel;
use bailiwick_mcp::{Json, RpcError, error};

use bailiwick_store::StoreErrorKind;

use crate::asked::{Asked, Conversation};
use crate::call::encode::Answer;
use crate::catalog::{View, admits};
use crate::gateway::Gateway;
use crate::listen::WATCHED_MAX;
use crate::servers::Reach;

/// How long a server may take to hear of a level; the client is not kept waiting for it.
const LEVEL_DEADLINE: Duration = Duration::from_secs(10);

/// `logging/setLevel`.
pub(crate) async fn set_level(gateway: &Gateway, asked: Asked) -> Answer {
    let level = asked.params.as_ref().and_then(|params| params.text_of("level")).and_then(|level| LogLevel::parse(&level));
    let Some(level) = level else { return invalid(asked, "`params.level` must be a severity, such as `info`") };
    let kept = match &asked.conversation {
        Conversation::Session(id) => {
            let change = |state: &mut bailiwick_store::SessionState| state.log_level = Some(level.as_str().to_owned());
            gateway.store().sessions().change(asked.caller.scope(), id, change).await.map(drop)
        }
        Conversation::Pipe(peer) => {
            peer.set_log_level(level);
            Ok(())
        }
        // Nothing to remember it in: it has no effect, as the specification allows.
        Conversation::None => Ok(()),
    };
    if let Err(cause) = kept {
        return unavailable(asked, &cause.to_string());
    }
    let view = asked.caller.bailiwick().view(&asked.lens).await;
    raise(&view, level);
    done(asked)
}

/// Older servers log at one level for everybody; each client then hears what he asked for.
pub(crate) fn raise(view: &View, level: LogLevel) {
    for server in view.servers().iter().filter(|server| server.offer().announces("logging")) {
        // A registered server hears of it with the next call.
        if let Reach::One(upstream) = server.reach() {
            let upstream = upstream.clone();
            tokio::spawn(async move { tokio::time::timeout(LEVEL_DEADLINE, upstream.log_level(level)).await });
        }
    }
}

/// `resources/subscribe` (`on`) and `resources/unsubscribe`.
pub(crate) async fn subscribe(gateway: &Gateway, asked: Asked, on: bool) -> Answer {
    let uri = asked.params.as_ref().and_then(|params| params.text_of("uri")).map(|uri| uri.into_owned());
    let Some(uri) = uri else { return invalid(asked, "`params.uri` must be a string") };
    let bailiwick = asked.caller.bailiwick();
    let view = bailiwick.view(&asked.lens).await;
    let known = view.routes().find(&uri).is_some_and(|(server, own)| admits(bailiwick.rules(), server, &own));
    if on && !known {
        let fault = RpcError::new(error::LEGACY_RESOURCE_NOT_FOUND, "unknown resource");
        return Answer::error(asked.id, asked.era, fault);
    }
    let change = |uris: &mut Vec<String>| {
        uris.retain(|known| *known != uri);
        if on {
            uris.push(uri.clone());
        }
    };
    match &asked.conversation {
        Conversation::Session(id) => {
            let sessions = gateway.store().sessions();
            match sessions.change(asked.caller.scope(), id, |state| change(&mut state.subscriptions)).await {
                Ok(_) => done(asked),
                Err(cause) if cause.kind() == StoreErrorKind::Invalid => {
                    invalid(asked, "too many resources are watched; unsubscribe from some first")
                }
                Err(cause) => unavailable(asked, &cause.to_string()),
            }
        }
        Conversation::Pipe(peer) if peer.change_subscriptions(change) => done(asked),
        Conversation::Pipe(_) => invalid(asked, "too many resources are watched; unsubscribe from some first"),
        Conversation::None => invalid(asked, "without a session there is no stream to tell of changes; initialize again"),
    }
}

/// Whether so many may be watched.
pub(crate) fn fits(uris: &[String]) -> bool {
    uris.len() <= WATCHED_MAX
}

fn done(asked: Asked) -> Answer {
    Answer::rendered(asked.id, asked.era, Json::from_static("{}"))
}

fn invalid(asked: Asked, rule: &'static str) -> Answer {
    Answer::error(asked.id, asked.era, RpcError::new(error::INVALID_PARAMS, rule))
}

fn unavailable(asked: Asked, cause: &str) -> Answer {
    tracing::warn!(cause, "what a session has set cannot be kept");
    Answer::error(asked.id, asked.era, RpcError::new(error::INTERNAL, "this cannot be kept at the moment; try again later"))
}
