//! Which request goes where, and the door of the MCP server.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use url::form_urlencoded;

use super::habits::{Habits, Revocation};
use super::ledger::Sent;
use super::{Desk, authorize, documents, register, repeat, token};
use crate::upstream::http::{Body, Cut, respond, whole};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const HTML: HeaderValue = HeaderValue::from_static("text/html");

pub(super) type Answered = Result<Response<Body>, Cut>;

/// Serves until `stop` turns true.
pub(super) async fn serve(desk: Arc<Desk>, listener: TcpListener, stop: watch::Sender<bool>) {
    let mut stopped = stop.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        let Ok((socket, _)) = accepted else { continue };
        let _ = socket.set_nodelay(true);
        let (desk, stop, mut stopped) = (desk.clone(), stop.clone(), stop.subscribe());
        tokio::spawn(async move {
            let service = service_fn(|request| handle(desk.clone(), stop.clone(), request));
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service);
            tokio::select! {
                _ = connection => {}
                _ = stopped.wait_for(|stop| *stop) => {}
            }
        });
    }
}

async fn handle(desk: Arc<Desk>, stop: watch::Sender<bool>, request: Request<Incoming>) -> Answered {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let habits = desk.habits();
    let sent = sent(&parts, &body);
    desk.ledger().note(sent.clone());
    if sent.path == habits.mcp_path {
        return match refuse(&desk, &habits, &sent) {
            Some(refusal) => Ok(refusal),
            None => {
                if habits.repeats_credentials {
                    let told = repeat::told(&repeat::credentials(&sent));
                    desk.mcp.set(|behaviour| *behaviour = repeat::behaviour(&habits.behaviour, &told));
                }
                respond(desk.mcp.clone(), stop, 0, &parts, &body).await
            }
        };
    }
    answer(&desk, &habits, &sent, &parts.method)
}

fn answer(desk: &Desk, habits: &Habits, sent: &Sent, method: &Method) -> Answered {
    let base = habits.issuer_path.as_str();
    let of_issuer = sent.path.strip_prefix(base).unwrap_or_default();
    if *method == Method::GET {
        if let Some(document) = documents::find(desk, habits, &sent.path) {
            return Ok(json(StatusCode::OK, &document));
        }
        return match of_issuer {
            "/authorize" => Ok(authorize::page(desk, habits, sent)),
            _ => Ok(text(StatusCode::NOT_FOUND, "nothing here")),
        };
    }
    match of_issuer {
        "/authorize/decide" => Ok(authorize::decide(desk, habits, sent)),
        "/token" if habits.revocation == Revocation::AtToken && sent.field("token").is_some() => Ok(token::revoke(desk, habits, sent)),
        "/token" => token::grant(desk, habits, sent),
        "/revoke" if habits.revocation == Revocation::Own => Ok(token::revoke(desk, habits, sent)),
        "/register" if habits.registers => Ok(register::register(desk, habits, sent)),
        _ => Ok(text(StatusCode::NOT_FOUND, "nothing here")),
    }
}

fn sent(parts: &Parts, body: &Bytes) -> Sent {
    let pairs = |text: &[u8]| form_urlencoded::parse(text).map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    let is_form = parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    let header = |(name, value): (&http::HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Sent {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: pairs(parts.uri.query().unwrap_or_default().as_bytes()),
        headers: parts.headers.iter().map(header).collect(),
        form: if is_form { pairs(body) } else { Vec::new() },
        body: body.to_vec(),
    }
}

/// The door of the MCP server.
fn refuse(desk: &Desk, habits: &Habits, sent: &Sent) -> Option<Response<Body>> {
    let given = sent.header("authorization").and_then(|value| value.split_once(' '));
    let spelled = given.filter(|(scheme, _)| if habits.exact_scheme { *scheme == "Bearer" } else { scheme.eq_ignore_ascii_case("bearer") });
    let ledger = desk.ledger();
    let heard = given.map(|(_, token)| token).filter(|_| habits.repeats_credentials);
    let scopes = spelled.and_then(|(_, token)| ledger.scopes_of(token));
    let metadata = habits.challenge_names_document.then(|| format!("resource_metadata=\"{}\"", documents::address(desk, habits)));
    let scope = |scope: &str| format!("scope=\"{}\"", [Some(scope), heard].into_iter().flatten().collect::<Vec<_>>().join(" "));
    let said = heard.map(repeat::in_challenge);
    let body = said.as_deref().unwrap_or("a token is needed");
    let Some(scopes) = scopes else {
        let error = given.map(|_| "error=\"invalid_token\"".to_owned());
        let params = [error, metadata, habits.challenge_scope.as_deref().map(scope), said.clone()];
        return Some(challenge(StatusCode::UNAUTHORIZED, body, params.into_iter().flatten()));
    };
    let message = sent.json();
    let tool = message["params"]["name"].as_str().filter(|_| message["method"] == "tools/call");
    let needed = habits.tool_scopes.get(tool?).filter(|needed| !scopes.contains(needed))?;
    let params = [Some("error=\"insufficient_scope\"".to_owned()), metadata, Some(scope(needed)), said.clone()];
    Some(challenge(StatusCode::FORBIDDEN, body, params.into_iter().flatten()))
}

fn challenge(status: StatusCode, body: &str, params: impl Iterator<Item = String>) -> Response<Body> {
    let params: Vec<String> = params.collect();
    let value = if params.is_empty() { "Bearer".to_owned() } else { format!("Bearer {}", params.join(", ")) };
    let mut response = text(status, body);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, value.try_into().expect("a challenge in a header"));
    response
}

pub(super) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    whole(status, JSON, value.to_string().into())
}

pub(super) fn text(status: StatusCode, text: &str) -> Response<Body> {
    whole(status, HTML, text.to_owned().into())
}

pub(super) fn redirect(to: &str) -> Response<Body> {
    let mut response = text(StatusCode::FOUND, "");
    response.headers_mut().insert(header::LOCATION, to.try_into().expect("an address for the Location header"));
    response
}
