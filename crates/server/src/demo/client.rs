//! A small MCP client over HTTP, of both eras: what an agent's program does, and nothing that knows the gateway from inside.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Largest answer.
const ANSWER_BYTES_MAX: usize = 4 << 20;
const MODERN: &str = "2026-07-28";
const LEGACY: &str = "2025-11-25";

/// What came back from one POST.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// The JSON-RPC answer; null when there was none.
    pub(super) body: Value,
}

impl Reply {
    /// The text blocks of a tool result.
    pub(super) fn text(&self) -> String {
        let blocks = self.body["result"]["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        blocks.iter().filter_map(|block| block["text"].as_str()).collect::<Vec<_>>().join("\n")
    }

    /// The refusal code of a tool result that is an error.
    pub(super) fn refusal(&self) -> Option<&str> {
        let result = &self.body["result"];
        result["isError"].as_bool().filter(|is_error| *is_error).and_then(|_| result["structuredContent"]["code"].as_str())
    }

    /// The number and message of a JSON-RPC error.
    pub(super) fn fault(&self) -> Option<(i64, &str)> {
        let error = &self.body["error"];
        Some((error["code"].as_i64()?, error["message"].as_str()?))
    }
}

/// One agent's client.
pub(super) struct Client {
    address: SocketAddr,
    token: String,
    /// Of the `initialize` era: the session, when the server made one.
    legacy: Option<Option<String>>,
    next_id: u64,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// A client of revision 2026-07-28: no handshake.
    pub(super) fn modern(address: SocketAddr, token: &str) -> Self {
        Self { address, token: token.to_owned(), legacy: None, next_id: 1, connection: None }
    }

    /// A client of the `initialize` era, after its handshake.
    pub(super) async fn legacy(address: SocketAddr, token: &str) -> Result<Self, String> {
        let mut client = Self { legacy: Some(None), ..Self::modern(address, token) };
        let about = json!({"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "demo-client", "version": "1"}});
        let (reply, headers) = client.post("initialize", about, false).await?;
        if reply.body["result"]["protocolVersion"] != LEGACY {
            return Err(format!("`initialize` was answered with {} {}", reply.status, reply.body));
        }
        client.legacy = Some(headers.get("mcp-session-id").and_then(|id| id.to_str().ok()).map(str::to_owned));
        client.post("notifications/initialized", json!({}), true).await?;
        Ok(client)
    }

    /// Names of all tools this agent sees, in the order given.
    pub(super) async fn tools(&mut self) -> Result<Vec<String>, String> {
        let (reply, _) = self.post("tools/list", json!({}), false).await?;
        let tools = reply.body["result"]["tools"]
            .as_array()
            .ok_or_else(|| format!("`tools/list` was answered with {} {}", reply.status, reply.body))?;
        Ok(tools.iter().filter_map(|tool| tool["name"].as_str()).map(str::to_owned).collect())
    }

    /// Calls one tool.
    pub(super) async fn call(&mut self, tool: &str, arguments: Value) -> Result<Reply, String> {
        self.post("tools/call", json!({"name": tool, "arguments": arguments}), false).await.map(|(reply, _)| reply)
    }

    /// `server/discover`.
    pub(super) async fn discover(&mut self) -> Result<Reply, String> {
        self.post("server/discover", json!({}), false).await.map(|(reply, _)| reply)
    }

    async fn post(&mut self, method: &str, mut params: Value, notification: bool) -> Result<(Reply, HeaderMap), String> {
        let mut request = Request::builder().method(Method::POST).uri("/mcp");
        request = request.header(header::HOST, self.address.to_string()).header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        request = request.header(header::CONTENT_TYPE, "application/json").header(header::ACCEPT, "application/json, text/event-stream");
        match &self.legacy {
            None => {
                request = request.header("mcp-protocol-version", MODERN).header("mcp-method", method);
                if let Some(name) = params["name"].as_str() {
                    request = request.header("mcp-name", name);
                }
                params["_meta"] = json!({
                    "io.modelcontextprotocol/protocolVersion": MODERN,
                    "io.modelcontextprotocol/clientCapabilities": {},
                    "io.modelcontextprotocol/clientInfo": {"name": "demo-client", "version": "1"},
                });
            }
            Some(session) => {
                if method != "initialize" {
                    request = request.header("mcp-protocol-version", LEGACY);
                }
                if let Some(session) = session {
                    request = request.header("mcp-session-id", session);
                }
            }
        }
        let mut message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        if !notification {
            message["id"] = json!(self.next_id);
            self.next_id += 1;
        }
        let request = request.body(Full::new(Bytes::from(message.to_string()))).map_err(|cause| cause.to_string())?;
        let exchanged = tokio::time::timeout(ANSWER_MAX, self.exchange(request)).await;
        exchanged.map_err(|_| format!("no answer to `{method}` within {} s", ANSWER_MAX.as_secs()))?
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<(Reply, HeaderMap), String> {
        let mut sender = match self.connection.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => connect(self.address).await?,
        };
        sender.ready().await.map_err(|cause| cause.to_string())?;
        let response = sender.send_request(request).await.map_err(|cause| cause.to_string())?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|cause| cause.to_string())?.to_bytes();
        self.connection = Some(sender);
        let stream = head.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let text = if stream { last_event(&body) } else { body.to_vec() };
        let body = serde_json::from_slice(&text).unwrap_or(Value::Null);
        Ok((Reply { status: head.status, body }, head.headers))
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>, String> {
    let stream = TcpStream::connect(address).await.map_err(|cause| format!("cannot connect to {address}: {cause}"))?;
    stream.set_nodelay(true).map_err(|cause| cause.to_string())?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|cause| cause.to_string())?;
    tokio::spawn(connection);
    Ok(sender)
}

/// The data of the last event: the answer ends the stream.
fn last_event(stream: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(stream);
    let last = text.lines().rev().find_map(|line| line.strip_prefix("data:"));
    last.map(|data| data.trim_start().as_bytes().to_vec()).unwrap_or_default()
}

/// A GET outside MCP, as JSON.
pub(super) async fn get(address: SocketAddr, path: &str) -> Result<Value, String> {
    let request = Request::get(path).header(header::HOST, address.to_string()).body(Full::default()).map_err(|cause| cause.to_string())?;
    let mut sender = connect(address).await?;
    let response = tokio::time::timeout(ANSWER_MAX, sender.send_request(request)).await.map_err(|_| "no answer".to_owned())?;
    let body = Limited::new(response.map_err(|cause| cause.to_string())?.into_body(), ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|cause| cause.to_string())?.to_bytes();
    serde_json::from_slice(&body).map_err(|cause| cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::upstream::{CALLS, DELETED, Desk, REFUSED};
    use super::*;
    use crate::http::{Door, HttpLimits, StopSwitch};

    #[tokio::test]
    async fn both_eras_talk_to_the_desk_and_nobody_without_the_token() {
        let door = Door::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = door.address();
        tokio::spawn(door.serve(Desk::new("right"), "/mcp", HttpLimits::default(), StopSwitch::default()));

        let mut modern = Client::modern(address, "right");
        assert_eq!(modern.discover().await.unwrap().body["result"]["supportedVersions"][0], MODERN);
        assert_eq!(modern.tools().await.unwrap(), ["lookup_ticket", "add_comment", "delete_ticket"]);
        let ticket = modern.call("lookup_ticket", json!({"id": "T-1"})).await.unwrap();
        assert!(ticket.text().starts_with("T-1: The export takes an hour (0 comments)"), "{ticket:?}");

        let mut legacy = Client::legacy(address, "right").await.unwrap();
        assert_eq!(legacy.call("add_comment", json!({"id": "T-1", "text": "seen"})).await.unwrap().text(), "T-1 has 1 comments now");
        assert_eq!(legacy.call("delete_ticket", json!({"id": "T-2"})).await.unwrap().text(), "T-2 is gone");
        assert_eq!(legacy.call("nothing", json!({})).await.unwrap().fault(), Some((-32602, "unknown tool")));

        let wrong = Client::modern(address, "wrong").call("lookup_ticket", json!({"id": "T-1"})).await.unwrap();
        assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
        let health = get(address, "/health").await.unwrap();
        assert_eq!((&health[CALLS], &health[REFUSED], &health[DELETED]), (&json!(4), &json!(1), &json!(1)));
    }

    #[test]
    fn the_last_event_is_the_answer() {
        assert_eq!(last_event(b": hi\n\nevent: message\ndata: {\"a\":1}\n\ndata: {\"b\":2}\n\n"), b"{\"b\":2}");
        assert_eq!(last_event(b""), b"");
    }
}
