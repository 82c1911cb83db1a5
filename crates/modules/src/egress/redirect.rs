//! Following redirects of a service, where an operator wants it (security reference section 7, step 5).
//!
//! Only GET, at most [`HOPS_MAX`] times, never from `https` to `http`. Every hop is resolved, checked and dialled like a first request,
//! under the same rules. On the service's own origin the caller says which targets are allowed; from the first hop elsewhere on, nothing
//! of the first request but its method is sent: no credential, no header, no cookie, also when the way leads back.

use http::{HeaderMap, Method, StatusCode, header};
use url::Url;

use super::{BaseUrl, HttpAnswer, HttpClient, HttpFault, HttpRequest};
use crate::context::CallContext;

/// Most redirects followed for one request.
const HOPS_MAX: usize = 5;
/// Longest address that is followed.
const LOCATION_BYTES_MAX: usize = 8_192;

/// The end of the way.
#[derive(Clone, Debug)]
pub struct Followed {
    /// The last answer; a redirect when it may not be followed.
    pub answer: HttpAnswer,
    /// The last target, while the way stayed at the service itself.
    pub at: Option<String>,
}

/// Sends `request` to the service of `client` and follows its redirects. `own` gives the target to request for one on the service's own
/// origin, or `None` when it may not be requested.
///
/// # Errors
/// [`HttpFault`] of the hop that failed.
pub async fn follow(
    client: &HttpClient,
    request: HttpRequest,
    own: &(dyn Fn(&str) -> Option<String> + Sync),
    context: CallContext<'_>,
) -> Result<Followed, HttpFault> {
    let context = CallContext { deadline: context.deadline.min(std::time::Instant::now() + client.limits().timeout), ..context };
    let mut headers = request.headers.clone();
    let is_get = request.method == Method::GET;
    let (mut base, mut target) = (client.base().clone(), request.target.clone());
    let mut answer = client.send(request, context).await?;
    let mut stayed = true;
    for _ in 0..HOPS_MAX {
        let next = location(&base, &target, &answer).filter(|_| is_get);
        let Some((next_base, next_target)) = next.filter(|(next, _)| next.https || !base.https) else { break };
        let is_own = next_base.same_origin(client.base());
        let Some(next_target) = (if is_own { own(&next_target) } else { Some(next_target) }) else { break };
        stayed &= is_own;
        if !stayed {
            headers = HeaderMap::new();
        }
        (base, target) = (next_base, next_target);
        let hop = HttpRequest { headers: headers.clone(), ..HttpRequest::new(Method::GET, target.clone()) };
        answer = if stayed { client.send(hop, context).await? } else { client.elsewhere(base.clone()).send(hop, context).await? };
    }
    Ok(Followed { answer, at: stayed.then_some(target) })
}

/// Where an answer to the request for `target` at `base` leads: the origin, and path with query. `None` when it is no redirect that keeps
/// a GET what it is, or its address is not one to follow.
#[must_use]
pub fn location(base: &BaseUrl, target: &str, answer: &HttpAnswer) -> Option<(BaseUrl, String)> {
    let follows = matches!(
        answer.status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let mut given = answer.headers.get_all(header::LOCATION).iter();
    let text = given.next().filter(|_| follows)?.to_str().ok()?;
    if given.next().is_some()
        || text.is_empty()
        || text.len() > LOCATION_BYTES_MAX
        || text.bytes().any(|b| !b.is_ascii_graphic() || b == b'\\')
    {
        return None;
    }
    let from = Url::parse(&format!("{}{target}", base.origin())).ok()?;
    let mut to = from.join(text).ok()?;
    let query = to.query().map(|query| format!("?{query}")).unwrap_or_default();
    let target = format!("{}{query}", to.path());
    to.set_query(None);
    to.set_fragment(None);
    to.set_path("");
    // User information is refused here.
    Some((BaseUrl::parse(to.as_str()).ok()?, target))
}
