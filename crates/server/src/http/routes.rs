//! Which path goes where. The MCP endpoint is matched by hand, before any router: it is the path of every call.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::RawQuery;
use axum::response::{IntoResponse, Response as RouterResponse};
use axum::routing::get;
use bailiwick_gateway::Entrance;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body::Body;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};

use super::api::Api;
use super::connect;
use super::connection::AnswerBody;
use super::health::{self, Health};
use super::watch::{Phase, Watch};

/// What stands behind the MCP endpoint; the gateway, or a stand-in under test.
pub trait Endpoint: Clone + Send + Sync + 'static {
    /// The body of an answer.
    type Answer: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin + Send + 'static;

    /// Answers one request of any method; never fails, every refusal is an answer. Limits size and time of the body itself.
    fn mcp(&self, request: Request<Incoming>) -> impl Future<Output = Response<Self::Answer>> + Send;

    /// The management API; `None` where there is none.
    fn api(&self) -> Option<Api> {
        None
    }

    /// The pages on which people connect with registered servers; asked only for paths that they serve.
    fn connect(&self, _request: Request<Incoming>) -> impl Future<Output = Response<axum::body::Body>> + Send {
        std::future::ready(nothing())
    }

    /// The present state. Anybody may ask, as often as he likes: cheap, or kept for a moment.
    fn health(&self) -> impl Future<Output = Health> + Send;

    /// The document at a path below `/.well-known/oauth-protected-resource` (RFC 9728), as JSON; `None` where there is none.
    fn resource_document(&self, _path: &str) -> Option<String> {
        None
    }
}

type Side = TowerToHyperService<Router>;
/// The body of every answer of the door.
type DoorBody<E> = AnswerBody<SideOrAnswer<E>>;
type SideOrAnswer<E> = Either<<E as Endpoint>::Answer, axum::body::Body>;

/// The routes of one listener.
pub(super) struct Routes<E> {
    endpoint: E,
    api: Option<Api>,
    path: String,
    side: Side,
}

impl<E: Endpoint> Routes<E> {
    /// `path` is the MCP endpoint, e.g. `/mcp`; with and without a trailing slash it is the same route, since clients lose
    /// their credentials on a redirect.
    pub(super) fn new(endpoint: E, path: &str) -> Self {
        let side = TowerToHyperService::new(side_routes(endpoint.clone()));
        let api = endpoint.api();
        Self { endpoint, api, path: path.trim_end_matches('/').to_owned(), side }
    }

    fn is_endpoint(&self, path: &str) -> bool {
        matches!(path.strip_prefix(self.path.as_str()), Some("" | "/"))
    }

    /// Which part of the gateway `path` leads into: `/mcp/servers/{name}`, `/mcp/orgs/{org}`, `/mcp/orgs/{org}/servers/{name}`.
    fn entrance(&self, path: &str) -> Option<Entrance> {
        let rest = path.strip_prefix(self.path.as_str())?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let mut parts = rest.strip_prefix('/')?.split('/');
        let mut entrance = Entrance::default();
        while let Some(kind) = parts.next() {
            let name = parts.next().filter(|name| !name.is_empty())?;
            match kind {
                "orgs" if entrance == Entrance::default() => entrance.org = Some(name.to_owned()),
                "servers" if entrance.server.is_none() => entrance.server = Some(name.to_owned()),
                _ => return None,
            }
        }
        Some(entrance)
    }
}

fn side_routes<E: Endpoint>(endpoint: E) -> Router {
    let (ready, described) = (endpoint.clone(), endpoint.clone());
    let described = async move |uri: Uri| match described.resource_document(uri.path()) {
        Some(text) => json_answer(StatusCode::OK, text),
        None => nothing(),
    };
    Router::new()
        .route("/.well-known/oauth-protected-resource", get(described.clone()))
        .route("/.well-known/oauth-protected-resource/{*endpoint}", get(described))
        .route("/livez", get(async || health::live()))
        .route("/readyz", get(async move |query: RawQuery| health::ready(&ready.health().await, &query)))
        .route("/health", get(async move || health::counts(&endpoint.health().await)))
        .method_not_allowed_fallback(async || {
            refusal(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "only GET and HEAD are served here")
        })
        .fallback(async || nothing())
}

/// Also at the rest of `/.well-known/*` and at `/register`: a 200 there sends clients into a sign-in that ignores their key.
fn nothing() -> RouterResponse {
    refusal(StatusCode::NOT_FOUND, "not_found", "nothing is served at this path")
}

fn refusal(status: StatusCode, code: &str, message: &str) -> RouterResponse {
    answer(status, &json!({"code": code, "message": message}))
}

/// A JSON answer outside MCP; never cached.
pub(super) fn answer(status: StatusCode, body: &Value) -> RouterResponse {
    json_answer(status, body.to_string())
}

fn json_answer(status: StatusCode, body: String) -> RouterResponse {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body).into_response()
}

/// The routes as seen by one connection.
pub(super) struct Doorman<E> {
    pub(super) routes: Arc<Routes<E>>,
    pub(super) watch: Arc<Watch>,
}

impl<E: Endpoint> Service<Request<Incoming>> for Doorman<E> {
    type Response = Response<DoorBody<E>>;
    type Error = Infallible;
    type Future = Answering<E>;

    fn call(&self, mut request: Request<Incoming>) -> Answering<E> {
        self.watch.enter(Phase::Busy);
        let (routes, watch) = (Arc::clone(&self.routes), Arc::clone(&self.watch));
        let work = Box::pin(async move {
            if routes.is_endpoint(request.uri().path()) {
                return routes.endpoint.mcp(request).await.map(Either::Left);
            }
            if let Some(only) = routes.entrance(request.uri().path()) {
                request.extensions_mut().insert(only);
                return routes.endpoint.mcp(request).await.map(Either::Left);
            }
            if connect::serves(request.method(), request.uri().path()) {
                return routes.endpoint.connect(request).await.map(Either::Right);
            }
            if let Some(api) = routes.api.as_ref().filter(|_| Api::serves(request.uri().path())) {
                return api.answer(request).await.map(Either::Right);
            }
            let Ok(response) = routes.side.call(request).await;
            response.map(Either::Right)
        });
        Answering { work, watch }
    }
}

/// An answer in the making. One that panics is answered too: one broken request never takes the others with it.
pub(super) struct Answering<E: Endpoint> {
    // Boxed per request: hyper keeps room for this future as long as the connection lives, and most connections are idle.
    work: Pin<Box<dyn Future<Output = Response<SideOrAnswer<E>>> + Send>>,
    watch: Arc<Watch>,
}

impl<E: Endpoint> Future for Answering<E> {
    type Output = Result<Response<DoorBody<E>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match std::panic::catch_unwind(AssertUnwindSafe(|| self.work.as_mut().poll(cx))) {
            Ok(Poll::Ready(response)) => response,
            Ok(Poll::Pending) => return Poll::Pending,
            Err(_) => {
                tracing::error!(target: "ops", event = "request_panicked", "a request ended in a fault of our own");
                internal_fault().map(Either::Right)
            }
        };
        Poll::Ready(Ok(response.map(|body| AnswerBody::new(body, Arc::clone(&self.watch)))))
    }
}

fn internal_fault() -> Response<axum::body::Body> {
    const TEXT: &str = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"internal error"}}"#;
    let mut response = Response::new(axum::body::Body::new(Full::new(Bytes::from_static(TEXT.as_bytes()))));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
