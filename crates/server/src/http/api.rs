//! The management API under `/v1`: one table of operations, from which the router, the OpenAPI document and the test of who may do what are
//! all made. An operation is a type that implements [`operation::Operation`]; it does not compile without its path, its required role,
//! its shapes and an example of a request. A noun is one file beside this one, and one line in [`routes`].
//!
//! The command line runs the same operations, against this API or in its own process (`cli/desk.rs`).

pub(crate) mod agent;
mod answer;
pub(crate) mod call;
pub(crate) mod connection;
mod cursor;
mod decode;
mod docs;
pub(crate) mod document;
pub(crate) mod envelope;
pub(crate) mod event;
pub(crate) mod feedback;
pub(crate) mod group;
pub(crate) mod instruction;
pub(crate) mod key;
pub(crate) mod me;
pub(crate) mod member;
mod named;
pub(crate) mod operation;
pub(crate) mod org;
pub(crate) mod page;
pub(crate) mod platform_admin;
pub(crate) mod problem;
pub(crate) mod route;
pub(crate) mod run;
mod schemas;
pub(crate) mod secret;
pub(crate) mod server;
mod table;
pub(crate) mod text;

use std::sync::{Arc, LazyLock};

use axum::body::Body as AnswerBody;
use bailiwick_gateway::Gateway;
use bailiwick_gateway::operations::{Acting, Fault, Operations};
use bailiwick_model::Code;
use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Body;
use tokio::sync::Semaphore;

use problem::Problem;
use route::{Asked, Route};
use table::{Found, Table};

/// Requests that are answered at once by one process; more are told to come again.
const IN_FLIGHT_MAX: usize = 64;
/// When they are.
const RETRY_SECONDS: u16 = 1;

/// Every operation, noun by noun, in the order of the documentation.
pub(crate) fn routes() -> Vec<Route> {
    let nouns = [
        me::routes(),
        org::routes(),
        member::routes(),
        group::routes(),
        agent::routes(),
        key::routes(),
        secret::routes(),
        instruction::routes(),
        run::routes(),
        call::routes(),
        feedback::routes(),
        event::routes(),
        server::routes(),
        connection::routes(),
        platform_admin::routes(),
    ];
    nouns.into_iter().flatten().collect()
}

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(routes()));

/// The management API of one gateway. A clone is cheap and shares everything.
#[derive(Clone)]
pub struct Api {
    gateway: Gateway,
    operations: Operations,
    places: Arc<Semaphore>,
}

impl Api {
    /// The API of `gateway`; `None` where nobody is told apart.
    pub(crate) fn of(gateway: &Gateway) -> Option<Self> {
        let operations = gateway.operations()?;
        Some(Self { gateway: gateway.clone(), operations, places: Arc::new(Semaphore::new(IN_FLIGHT_MAX)) })
    }

    /// Whether the API, and nothing else, answers at `path`.
    pub(crate) fn serves(path: &str) -> bool {
        path == docs::PATH || path == "/v1" || path.starts_with("/v1/")
    }

    /// Answers one request; every refusal is an answer too.
    pub(crate) async fn answer<B>(&self, request: Request<B>) -> Response<AnswerBody>
    where
        B: Body<Data = Bytes> + Send,
    {
        let path = request.uri().path().to_owned();
        match self.take(request).await {
            Ok(response) => response,
            Err(problem) => problem.into_response(&path),
        }
    }

    /// The path of a request, top to bottom.
    async fn take<B>(&self, request: Request<B>) -> Result<Response<AnswerBody>, Problem>
    where
        B: Body<Data = Bytes> + Send,
    {
        if let Some(page) = docs::open_page(request.uri().path()) {
            self.gateway.admit_anybody(&request)?;
            return page.answer(request.method());
        }
        let uri = request.uri().clone();
        // Authentication comes before the path: who is unknown learns nothing from a 404.
        let admitted = self.gateway.admit(request).await?;
        let Found { route, path } = TABLE.find(uri.path(), admitted.method())?;
        let (scope, headers) = (admitted.scope().clone(), admitted.headers().clone());
        let body = if route.has_body() { Some(admitted.read().await?) } else { refuse_body(&headers).map(|()| None)? };
        // Only now: whoever sends slowly takes nobody's place.
        let _place = self.places.try_acquire().map_err(|_| busy())?;
        let asked = Asked::decode(route, path, uri.query(), body.as_ref(), &headers)?;
        let name = named::read(route, &uri, &headers, body.as_ref())?;
        let acting = self.operations.caller(scope).await?;
        self.run(route, acting, asked, name).await
    }

    /// A task of its own, so that a client that goes away leaves no deed half recorded.
    async fn run(
        &self,
        route: &'static Route,
        acting: Acting,
        asked: Asked,
        name: Option<named::Name>,
    ) -> Result<Response<AnswerBody>, Problem> {
        let operations = self.operations.clone();
        let work = tokio::spawn(async move {
            match name {
                Some(name) => named::once(&operations, route, acting, asked, name).await,
                None => route.run(&operations, &acting, asked).await.map(answer::Reply::into_response),
            }
        });
        match work.await {
            Ok(done) => Ok(done?),
            Err(cause) => {
                tracing::error!(target: "ops", event = "operation_broken", %cause, operation = route.facts.id, "an operation ended in a fault of our own");
                Err(Fault::new(Code::Internal, "a fault of our own", "see the operator's log").into())
            }
        }
    }
}

fn busy() -> Problem {
    let fault = Fault::new(Code::RateLimited, "too many requests at once", "send it again in a moment");
    Fault { retry_after: Some(RETRY_SECONDS), ..fault }.into()
}

/// What an operation does not read must not be sent: somebody would believe that it had an effect.
fn refuse_body(headers: &http::HeaderMap) -> Result<(), Problem> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if length.is_none_or(|length| length == "0") && !headers.contains_key(header::TRANSFER_ENCODING) {
        return Ok(());
    }
    Err(Fault::invalid("", "this operation takes no body").into())
}
