//! Sessions of the older revisions over HTTP: rows bound to their principal, so that any replica can serve them.

use std::sync::Arc;

use bailiwick_mcp::{Json, Revision};
use bailiwick_store::NewSession;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tracing::warn;

use crate::body::AnswerBody;
use crate::call::authenticate::Caller;
use crate::fault::HttpFault;
use crate::gateway::Gateway;

/// A session that exists and is the caller's.
pub(crate) struct Session {
    pub(crate) revision: Revision,
    pub(crate) row: Arc<bailiwick_store::Session>,
}

/// Begins a session. When the row cannot be written the client is served without one: sessions are optional.
pub(crate) async fn begin(gateway: &Gateway, caller: &Caller, revision: Revision, params: Option<&Json>) -> Option<HeaderValue> {
    let object = |name| params.and_then(|p| p.member(name)).filter(Json::is_object).map(|json| json.as_str().to_owned());
    let new = NewSession {
        revision: revision.as_str().to_owned(),
        capabilities: object("capabilities").unwrap_or_else(|| "{}".to_owned()),
        client_info: object("clientInfo"),
    };
    match gateway.store().sessions().create(caller.scope(), new).await {
        Ok(id) => HeaderValue::from_str(&id).ok(),
        Err(cause) => {
            warn!(%cause, "no session row; the client is served without a session");
            None
        }
    }
}

/// The session of this id, if it is the caller's. A foreign one is as unknown as one that never was.
pub(crate) async fn known(gateway: &Gateway, caller: &Caller, id: &str) -> Option<Session> {
    let row = gateway.store().sessions().get(caller.scope(), id).await.ok().flatten()?;
    // Written at most once a minute; a session whose use cannot be noted is used all the same.
    if let Err(cause) = gateway.store().sessions().touch(caller.scope(), id).await {
        warn!(%cause, "the use of a session is not noted");
    }
    Revision::parse(&row.facts.revision).map(|revision| Session { revision, row })
}

/// DELETE: ends the session.
pub(crate) async fn end(gateway: &Gateway, caller: &Caller, headers: &HeaderMap) -> Result<Response<AnswerBody>, HttpFault> {
    let Some(id) = headers.get("mcp-session-id").and_then(|id| id.to_str().ok()) else {
        return Err(HttpFault::method_not_allowed());
    };
    let ended = gateway.store().sessions().end(caller.scope(), id).await;
    match ended {
        Ok(true) => {
            gateway.streams().forget_session(id);
            let mut response = Response::new(AnswerBody::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            Ok(response)
        }
        Ok(false) => Err(HttpFault::new(StatusCode::NOT_FOUND, "unknown session", "initialize again")),
        Err(_) => Err(HttpFault::unavailable("the session cannot be ended at the moment")),
    }
}
