//! `Idempotency-Key`: a request with a name of its client's is done once, and answered as often as it comes within a day.

use axum::body::Body;
use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::repeat::Turn;
use bailiwick_gateway::operations::{Acting, Fault, Operations};
use bailiwick_store::{Named, Scope};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::{HeaderMap, HeaderName, Response, StatusCode, Uri, header};
use sha2::{Digest, Sha256};

use super::answer::Reply;
use super::envelope;
use super::operation::Verb;
use super::route::{Asked, Route};

/// The header.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest name.
pub(crate) const NAME_CHARS_MAX: usize = 255;

/// Longest answer that is kept; a longer one is made once.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// A named request.
pub(crate) struct Name(Named);

/// The name of a request, if it has one. Only what makes something new can have one: everything else may be repeated as it is.
pub(crate) fn read(route: &Route, uri: &Uri, headers: &HeaderMap, body: Option<&Bytes>) -> Result<Option<Name>, Fault> {
    let mut given = headers.get_all(HEADER).iter();
    let Some(value) = given.next().filter(|_| route.facts.verb == Verb::Post) else { return Ok(None) };
    let fits = |text: &&str| !text.is_empty() && text.len() <= NAME_CHARS_MAX && text.bytes().all(|b| b.is_ascii_graphic());
    let key = value.to_str().ok().filter(fits).filter(|_| given.next().is_none());
    let key = key.ok_or_else(|| Fault::invalid(HEADER.as_str(), "one text of 1 to 255 visible ASCII characters"))?;
    let mut digest = Sha256::new();
    for condition in headers.get_all(header::IF_MATCH) {
        digest.update(condition.as_bytes());
        digest.update([0]);
    }
    if let Ok(Some(org)) = envelope::org(headers) {
        digest.update(org.as_str());
        digest.update([0]);
    }
    digest.update(body.map_or(&[][..], |body| &body[..]));
    let digest = HEXLOWER.encode(&digest.finalize());
    Ok(Some(Name(Named {
        route: format!("POST {}", uri.path_and_query().map_or("/", |whole| whole.as_str())),
        key: key.to_owned(),
        digest,
    })))
}

/// Does a named request unless it was done before.
pub(crate) async fn once(operations: &Operations, route: &Route, acting: Acting, asked: Asked, name: Name) -> Done<Response<Body>> {
    let Some(scope) = acting.scope().cloned() else { return route.run(operations, &acting, asked).await.map(Reply::into_response) };
    let Name(named) = name;
    if let Turn::Again { status, response } = operations.named(&scope, &named).await? {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
        return Ok(Reply { status, version: None, body: Some(response), replayed: true }.into_response());
    }
    let done = route.run(operations, &acting, asked).await;
    keep(operations, route, (&scope, &named), &done).await;
    done.map(Reply::into_response)
}

async fn keep(operations: &Operations, route: &Route, (scope, named): (&Scope, &Named), done: &Done<Reply>) {
    let kept = match done {
        Ok(reply) if route.facts.secret || reply.body.as_ref().is_some_and(|body| body.len() > ANSWER_BYTES_MAX) => {
            Some((reply.status.as_u16(), None))
        }
        Ok(reply) => Some((reply.status.as_u16(), Some(reply.body.as_deref().unwrap_or("{}")))),
        Err(_) => None,
    };
    operations.kept(scope, named, kept).await;
}
