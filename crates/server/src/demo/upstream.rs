//! The server behind the gateway in the demonstration: a ticket desk that speaks MCP over HTTP and wants a bearer token.
//!
//! An ordinary MCP server of both eras, without sessions. It knows nothing of the gateway; whoever has the token may do
//! everything, `delete_ticket` included. Runs as a child process and ends when its standard input closes.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::environment::Environment;
use crate::exit::{Exit, Failure};
use crate::http::{Door, Endpoint, Health, HttpLimits, StopSwitch};

/// The variable that holds the token this server demands.
pub(super) const TOKEN_VARIABLE: &str = "BAILIWICK_DEMO_TOKEN";
/// The first line on stdout: this, then the port.
pub(super) const READY: &str = "listening on port ";
/// Names of the numbers in `/health`.
pub(super) const CALLS: &str = "calls_with_token";
pub(super) const REFUSED: &str = "requests_without_token";
pub(super) const DELETED: &str = "tickets_deleted";

/// Largest request.
const REQUEST_BYTES_MAX: usize = 64 << 10;
/// Comments that a ticket keeps.
const COMMENTS_MAX: usize = 100;
const MODERN: &str = "2026-07-28";
const LEGACY: &str = "2025-11-25";

/// Runs the desk until stdin closes.
///
/// # Errors
/// Without a token, or when nothing can be bound.
pub(crate) async fn run(environment: &Environment) -> Result<(), Failure> {
    let token = environment.get(TOKEN_VARIABLE).filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| Failure::new(Exit::Usage, format!("`{TOKEN_VARIABLE}` is not set")))?;
    let door = Door::bind(([127, 0, 0, 1], 0).into())?;
    let mut stdout = std::io::stdout();
    let said = writeln!(stdout, "{READY}{}", door.address().port()).and_then(|()| stdout.flush());
    said.map_err(|cause| Failure::new(Exit::Failed, format!("cannot say the port: {cause}")))?;
    let stop = StopSwitch::default();
    let parent_is_gone = async {
        let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
        stop.cut();
    };
    tokio::join!(door.serve(Desk::new(token), "/mcp", HttpLimits::default(), stop.clone()), parent_is_gone);
    Ok(())
}

#[derive(Clone)]
pub(super) struct Desk(Arc<State>);

struct State {
    credential: String,
    tickets: Mutex<BTreeMap<String, Ticket>>,
    calls: AtomicU64,
    refused: AtomicU64,
    deleted: AtomicU64,
}

struct Ticket {
    title: &'static str,
    comments: Vec<String>,
}

impl Desk {
    pub(super) fn new(token: &str) -> Self {
        let ticket = |id: &str, title| (id.to_owned(), Ticket { title, comments: Vec::new() });
        let tickets = [ticket("T-1", "The export takes an hour"), ticket("T-2", "Sign-in page shows the wrong year")];
        Self(Arc::new(State {
            credential: format!("Bearer {token}"),
            tickets: Mutex::new(tickets.into()),
            calls: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            deleted: AtomicU64::new(0),
        }))
    }

    fn answer(&self, message: &Value) -> (StatusCode, Option<Value>) {
        let Some(id) = message.get("id") else { return (StatusCode::ACCEPTED, None) };
        let params = &message["params"];
        let modern = params["_meta"]["io.modelcontextprotocol/protocolVersion"] == MODERN;
        let outcome = match message["method"].as_str().unwrap_or_default() {
            "server/discover" if modern => {
                Ok(json!({"supportedVersions": [MODERN, LEGACY], "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "private"}))
            }
            "initialize" if !modern => {
                Ok(json!({"protocolVersion": LEGACY, "capabilities": {"tools": {}}, "serverInfo": {"name": "ticket-desk", "version": "1"}}))
            }
            "ping" if !modern => Ok(json!({})),
            "tools/list" => {
                Ok(if modern { json!({"tools": tools(), "ttlMs": 0, "cacheScope": "private"}) } else { json!({"tools": tools()}) })
            }
            "tools/call" => self.call(params),
            _ => Err((-32601, "method not found".to_owned())),
        };
        let body = match outcome {
            Ok(mut result) => {
                if modern {
                    result["resultType"] = json!("complete");
                }
                json!({"jsonrpc": "2.0", "id": id, "result": result})
            }
            Err((code, text)) => {
                let status = if modern && code == -32601 { StatusCode::NOT_FOUND } else { StatusCode::OK };
                return (status, Some(json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}})));
            }
        };
        (StatusCode::OK, Some(body))
    }

    fn call(&self, params: &Value) -> Result<Value, (i64, String)> {
        self.0.calls.fetch_add(1, Relaxed);
        let arguments = &params["arguments"];
        let id = arguments["id"].as_str().unwrap_or_default();
        let mut tickets = self.0.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        let text = match (params["name"].as_str().unwrap_or_default(), tickets.get_mut(id)) {
            ("lookup_ticket" | "add_comment" | "delete_ticket", None) => {
                return Ok(json!({"content": [{"type": "text", "text": "no such ticket"}], "isError": true}));
            }
            ("lookup_ticket", Some(ticket)) => {
                format!("{id}: {} ({} comments). Signed in as service account `desk-bot`.", ticket.title, ticket.comments.len())
            }
            ("add_comment", Some(ticket)) if ticket.comments.len() < COMMENTS_MAX => {
                ticket.comments.push(arguments["text"].as_str().unwrap_or_default().to_owned());
                format!("{id} has {} comments now", ticket.comments.len())
            }
            ("add_comment", Some(_)) => return Err((-32603, "too many comments".to_owned())),
            ("delete_ticket", Some(_)) => {
                tickets.remove(id);
                self.0.deleted.fetch_add(1, Relaxed);
                format!("{id} is gone")
            }
            _ => return Err((-32602, "unknown tool".to_owned())),
        };
        Ok(json!({"content": [{"type": "text", "text": text}]}))
    }
}

fn tools() -> Value {
    let id = json!({"type": "string", "description": "Ticket id, e.g. T-1"});
    let tool = |name: &str, description: &str, properties: Value, required: Value, annotations: Value| {
        let schema = json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
        json!({"name": name, "description": description, "inputSchema": schema, "annotations": annotations})
    };
    json!([
        tool("lookup_ticket", "Read one ticket", json!({"id": id}), json!(["id"]), json!({"readOnlyHint": true})),
        tool(
            "add_comment",
            "Add a comment to a ticket",
            json!({"id": id, "text": {"type": "string"}}),
            json!(["id", "text"]),
            json!({"readOnlyHint": false, "destructiveHint": false})
        ),
        tool("delete_ticket", "Delete a ticket for good", json!({"id": id}), json!(["id"]), json!({"destructiveHint": true})),
    ])
}

fn response(status: StatusCode, body: Option<Value>) -> Response<Full<Bytes>> {
    let text = body.map(|body| body.to_string()).unwrap_or_default();
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl Endpoint for Desk {
    type Answer = Full<Bytes>;

    async fn mcp(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let credential = request.headers().get(header::AUTHORIZATION);
        if credential.is_none_or(|given| given != self.0.credential.as_str()) {
            self.0.refused.fetch_add(1, Relaxed);
            let mut refusal = response(StatusCode::UNAUTHORIZED, None);
            refusal.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return refusal;
        }
        if request.method() != Method::POST {
            return response(StatusCode::METHOD_NOT_ALLOWED, None);
        }
        let Ok(body) = Limited::new(request.into_body(), REQUEST_BYTES_MAX).collect().await else {
            return response(StatusCode::BAD_REQUEST, None);
        };
        let Ok(message) = serde_json::from_slice::<Value>(&body.to_bytes()) else {
            return response(StatusCode::BAD_REQUEST, Some(json!({"jsonrpc": "2.0", "error": {"code": -32700, "message": "not JSON"}})));
        };
        let (status, body) = self.answer(&message);
        response(status, body)
    }

    async fn health(&self) -> Health {
        let state = &self.0;
        let counts = [(CALLS, &state.calls), (REFUSED, &state.refused), (DELETED, &state.deleted)];
        Health {
            ready: true,
            parts: Vec::new(),
            degraded: false,
            counts: counts.map(|(name, count)| (name.to_owned(), count.load(Relaxed))).into(),
        }
    }
}
