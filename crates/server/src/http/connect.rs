//! The pages on which a person connects with a registered server (governance reference 6.2). No script, nothing loaded from elsewhere, in no
//! frame. The link says for whom it is; the authorization begins in the browser that agreed, and counts only there.
//!
//! | Path | What |
//! |---|---|
//! | `/connect/{org}/{ticket}` | GET: what the link is for; POST: yes, go on |
//! | `/v1/mcp/oauth/callback`, and below it `/{server_id}` | GET: where the authorization server sends the browser back to |
//! | `/oauth/client-metadata.json` | GET: who we are, for authorization servers |

use axum::body::Body;
use bailiwick_gateway::operations::{Operations, connection};
use bailiwick_gateway::{ConnectFault, Connections, Denied, Returned, Ticket};
use bailiwick_model::OrgId;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};

const CONNECT: &str = "/connect/";
const CALLBACK: &str = "/v1/mcp/oauth/callback";
const METADATA: &str = "/oauth/client-metadata.json";
/// Seconds for which a browser keeps what binds it.
const COOKIE_SECONDS: u32 = 600;
/// Longest `Cookie` header that is looked at.
const COOKIE_BYTES_MAX: usize = 8 << 10;
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem}dt{color:#555}dd{margin:0 0 .6rem;font-weight:600}\
button{font:inherit;padding:.5rem 1.2rem}";

/// Whether these pages answer this request.
pub(crate) fn serves(method: &Method, path: &str) -> bool {
    let is_callback = path.strip_prefix(CALLBACK).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    path.starts_with(CONNECT) || path == METADATA || is_callback && *method == Method::GET
}

/// Answers one of them. Host and Origin have been checked.
pub(crate) async fn answer<B>(connections: &Connections, operations: &Operations, request: &Request<B>) -> Response<Body> {
    let (method, path) = (request.method(), request.uri().path());
    match (method, path.strip_prefix(CONNECT).and_then(|rest| rest.split_once('/'))) {
        (&Method::GET, None) if path == METADATA => metadata(connections),
        (&Method::GET, None) if path.starts_with(CALLBACK) => callback(connections, operations, request).await,
        (&Method::GET, Some((org, handle))) => ask(connections, org, handle).await,
        (&Method::POST, Some((org, handle))) => go_on(connections, request.headers(), org, handle).await,
        (_, None) => gone(StatusCode::NOT_FOUND),
        _ => {
            let mut response = page(StatusCode::METHOD_NOT_ALLOWED, "Not here", "<p>This page is opened, and agreed to; nothing else.</p>");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
            response
        }
    }
}

fn metadata(connections: &Connections) -> Response<Body> {
    match connections.client_metadata() {
        Some(document) => {
            let mut response = Response::new(Body::from(document.to_string()));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
            response
        }
        None => gone(StatusCode::NOT_FOUND),
    }
}

async fn opened(connections: &Connections, org: &str, handle: &str) -> Result<(OrgId, Ticket), Response<Body>> {
    let Ok(org) = OrgId::parse(org) else { return Err(gone(StatusCode::NOT_FOUND)) };
    match connections.open_link(&org, handle).await {
        Ok(Some(ticket)) => Ok((org, ticket)),
        Ok(None) => Err(gone(StatusCode::NOT_FOUND)),
        Err(fault) => Err(failed(&fault)),
    }
}

/// What the link is for.
async fn ask(connections: &Connections, org: &str, handle: &str) -> Response<Body> {
    let (org, ticket) = match opened(connections, org, handle).await {
        Ok(opened) => opened,
        Err(response) => return response,
    };
    let body = format!(
        "<p>The next page is that of the server's provider: you sign in there, and it asks what you allow. The gateway keeps what it gets and \
         uses it for the calls of your agents; no agent and no administrator ever sees it.</p>\n<dl><dt>Server</dt><dd>{}, at {}</dd><dt>Connection of</dt>\
         <dd>{}</dd><dt>In organisation</dt><dd>{}</dd><dt>Asked for by</dt><dd>{}</dd></dl>\n<p>Go on only if this is what you want, and the \
         connection is yours.</p>\n<form method=\"post\"><button type=\"submit\">Go on</button></form>",
        escaped(ticket.name.as_str()),
        escaped(ticket.host.as_str()),
        escaped(ticket.holder_in_words()),
        escaped(org.as_str()),
        escaped(&ticket.asked_by)
    );
    page(StatusCode::OK, &format!("Connect with {}", ticket.name), &body)
}

/// The person agreed: his browser goes to the authorization server.
async fn go_on(connections: &Connections, headers: &HeaderMap, org: &str, handle: &str) -> Response<Body> {
    let (org, ticket) = match opened(connections, org, handle).await {
        Ok(opened) => opened,
        Err(response) => return response,
    };
    let secure = connections.is_https();
    let started = connections.start_in_browser(&org, &ticket, cookie(headers, secure)).await;
    let (started, secret) = match started {
        Ok(started) => started,
        Err(fault) => return failed(&fault),
    };
    let mut response = page(StatusCode::SEE_OTHER, "On the way", "<p>On the way to the authorization server.</p>");
    let kept = format!(
        "{}={}; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax{}",
        cookie_name(secure),
        secret.expose_secret(),
        if secure { "; Secure" } else { "" }
    );
    let location = HeaderValue::from_str(started.authorization_url.expose_secret());
    let (Ok(location), Ok(kept)) = (location, HeaderValue::from_str(&kept)) else { return gone(StatusCode::BAD_GATEWAY) };
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::SET_COOKIE, kept);
    response
}

/// The browser comes back.
async fn callback<B>(connections: &Connections, operations: &Operations, request: &Request<B>) -> Response<Body> {
    let returned = match Returned::read(request.uri().query().unwrap_or_default()) {
        Ok(returned) => returned,
        Err(fault) => return failed(&fault),
    };
    let Some(secret) = cookie(request.headers(), connections.is_https()) else {
        let body = "<p>This browser did not begin the authorization, or too long ago. Nothing was connected.</p>\n<p>Open the link again, and stay \
                    in the same browser.</p>";
        return page(StatusCode::BAD_REQUEST, "Not connected", body);
    };
    match connection::finish_in_browser(operations, &secret, request.uri().path(), returned).await {
        Ok(connected) => {
            let body = format!(
                "<p>Server <b>{}</b> is connected for <b>{}</b> in organisation <b>{}</b>.</p>\n<p>You can close this window and let your agent go on.</p>",
                escaped(connected.name.as_str()),
                escaped(&connected.holder.to_string()),
                escaped(connected.org.as_str())
            );
            page(StatusCode::OK, "Connected", &body)
        }
        Err(fault) => told(&fault.message, &fault.remedy, fault.code.as_str()),
    }
}

fn cookie_name(secure: bool) -> &'static str {
    if secure { "__Host-bailiwick-connect" } else { "bailiwick-connect" }
}

fn cookie(headers: &HeaderMap, secure: bool) -> Option<SecretString> {
    let given =
        headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).filter(|text| text.len() <= COOKIE_BYTES_MAX);
    let pairs = given.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find(|(name, _)| *name == cookie_name(secure)).map(|(_, value)| SecretString::from(value))
}

/// For a request that comes from another page, or to another name.
pub(crate) fn denied(denied: &Denied) -> Response<Body> {
    page(denied.status, "Not here", &format!("<p>{}.</p>\n<p>What helps: {}.</p>", escaped(&denied.message), escaped(denied.remedy)))
}

fn gone(status: StatusCode) -> Response<Body> {
    let body = "<p>This link is not known here: it is too old, or was cut on its way. Ask for another one.</p>";
    page(status, "Nothing here", body)
}

fn failed(fault: &ConnectFault) -> Response<Body> {
    told(&fault.message, &fault.remedy, fault.reason)
}

fn told(message: &str, remedy: &str, word: &str) -> Response<Body> {
    let body = format!("<p>{}.</p>\n<p>What helps: {}.</p>\n<p><code>{}</code></p>", escaped(message), escaped(remedy), escaped(word));
    page(StatusCode::BAD_REQUEST, "Not connected", &body)
}

fn page(status: StatusCode, title: &str, body: &str) -> Response<Body> {
    let title = escaped(title);
    let text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    );
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // The address holds the ticket, or a code.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
