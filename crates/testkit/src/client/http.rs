//! The client's Streamable HTTP side.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;

use super::{Answer, Era, Fault, rules};

/// The largest answer or event that a client takes.
const ANSWER_BYTES_MAX: usize = 40 << 20;

/// One HTTP/1.1 connection that sends one request at a time.
pub struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    /// Connects to `host:port`. The connection is driven by a task of its own.
    ///
    /// # Errors
    /// What the operating system or the handshake says.
    pub async fn open(authority: &str) -> Result<Self, String> {
        let socket = tokio::net::TcpStream::connect(authority).await.map_err(|e| format!("connect to {authority}: {e}"))?;
        socket.set_nodelay(true).map_err(|e| e.to_string())?;
        let (sender, connection) = handshake(TokioIo::new(socket)).await.map_err(|e| e.to_string())?;
        tokio::spawn(async move {
            // Its failure is the failure of the request that waits.
            let _ = connection.await;
        });
        Ok(Self(sender))
    }

    /// Sends a request; the body of the answer is still to be read.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String> {
        self.0.ready().await.map_err(|e| e.to_string())?;
        self.0.send_request(request).await.map_err(|e| e.to_string())
    }

    fn is_open(&self) -> bool {
        !self.0.is_closed()
    }
}

/// A whole HTTP answer.
#[derive(Clone, Debug)]
pub struct HttpReply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl HttpReply {
    /// A header as text; empty when absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

#[derive(Clone)]
pub(super) struct HttpSide {
    authority: String,
    path: String,
    era: Era,
    headers: HeaderMap,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    session: Mutex<Option<String>>,
    idle: Mutex<Vec<Connection>>,
}

impl HttpSide {
    pub(super) fn new(url: &str, era: Era) -> Self {
        let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("{url}: only http:// here"));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        Self { authority: authority.into(), path: format!("/{path}"), era, headers: HeaderMap::new(), shared: Arc::default() }
    }

    pub(super) fn set_header(&mut self, name: &str, value: &str) {
        let name: HeaderName = name.parse().expect("a header name");
        self.headers.insert(name, value.parse().expect("a header value"));
    }

    pub(super) fn session(&self) -> Option<String> {
        self.shared.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) async fn ask(&self, id: i64, method: &str, name: Option<&str>, message: String) -> Result<Answer, Fault> {
        let (mut connection, response) = self.post(method, name, message).await?;
        let status = response.status().as_u16();
        let kind = content_type(&response);
        self.take_session(method, response.headers())?;
        if kind == "text/event-stream" {
            let answer = read_stream(response, id, self.era).await?;
            return Ok(Answer { status: Some(status), ..answer });
        }
        let text = read_whole(response.into_body()).await?;
        if connection.0.ready().await.is_ok() {
            self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        if kind != "application/json" && status == 200 {
            return Err(Fault::Broken(format!("content type {kind:?} on an answer")));
        }
        let text = String::from_utf8(text.into()).map_err(|_| Fault::Broken("the answer is not UTF-8".into()))?;
        Ok(Answer { status: Some(status), text, notifications: Vec::new() })
    }

    pub(super) async fn tell(&self, method: &str, message: String) -> Result<(), Fault> {
        let (_, response) = self.post(method, None, message).await?;
        let status = response.status().as_u16();
        let body = read_whole(response.into_body()).await?;
        if status >= 400 {
            return Err(Fault::Status(status, rules::shorten(&String::from_utf8_lossy(&body))));
        }
        if status != 202 || !body.is_empty() {
            return Err(Fault::Broken(format!("a notification was answered with status {status} and {} bytes", body.len())));
        }
        Ok(())
    }

    pub(super) async fn raw(&self, method: &str, headers: &[(&str, &str)], body: Bytes) -> Result<HttpReply, Fault> {
        let mut all = self.base_headers();
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("a header name");
            all.insert(name, value.parse().expect("a header value"));
        }
        let (_, response) = self.send(method.parse().expect("an HTTP method"), all, body).await?;
        let (parts, body) = response.into_parts();
        Ok(HttpReply { status: parts.status.as_u16(), headers: parts.headers, body: read_whole(body).await? })
    }

    async fn post(&self, method: &str, name: Option<&str>, message: String) -> Result<(Connection, Response<Incoming>), Fault> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        if method != "initialize" {
            headers.insert("mcp-protocol-version", HeaderValue::from_static(self.era.revision()));
        }
        if self.era == Era::Modern {
            headers.insert("mcp-method", method.parse().expect("a method fits a header"));
            if let (Some(name), "tools/call" | "prompts/get" | "resources/read") = (name, method) {
                headers.insert("mcp-name", encode_header(name));
            }
        }
        headers.extend(self.base_headers());
        self.send(Method::POST, headers, message.into()).await
    }

    /// The caller's headers and the session.
    fn base_headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        if let Some(session) = self.session() {
            headers.entry("mcp-session-id").or_insert(session.parse().expect("a session id fits a header"));
        }
        headers
    }

    async fn send(&self, method: Method, headers: HeaderMap, body: Bytes) -> Result<(Connection, Response<Incoming>), Fault> {
        let idle = loop {
            match self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
                Some(connection) if !connection.is_open() => {}
                other => break other,
            }
        };
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::open(&self.authority).await.map_err(Fault::Lost)?,
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.path.parse().expect("the path of the endpoint");
        *request.headers_mut() = headers;
        let host = self.authority.parse().expect("the host of the endpoint");
        request.headers_mut().entry(HOST).or_insert(host);
        let response = connection.send(request).await.map_err(Fault::Lost)?;
        Ok((connection, response))
    }

    fn take_session(&self, method: &str, headers: &HeaderMap) -> Result<(), Fault> {
        let Some(session) = headers.get("mcp-session-id") else { return Ok(()) };
        if self.era == Era::Modern {
            return Err(Fault::Broken("Mcp-Session-Id on a modern answer".into()));
        }
        let session = session.to_str().unwrap_or_default();
        if session.is_empty() || !session.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Fault::Broken("the session id is not visible ASCII".into()));
        }
        if method == "initialize" {
            *self.shared.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.to_owned());
        }
        Ok(())
    }
}

fn content_type(response: &Response<Incoming>) -> String {
    let value = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Plain visible ASCII as it is, anything else in the base64 form (protocol reference section 2.2).
fn encode_header(value: &str) -> HeaderValue {
    let plain = value.bytes().all(|b| b.is_ascii_graphic() || b == b' ') && value.trim() == value && !value.starts_with("=?base64?");
    let text = if plain { value.to_owned() } else { format!("=?base64?{}?=", data_encoding::BASE64.encode(value.as_bytes())) };
    text.parse().expect("an encoded value fits a header")
}

async fn read_whole(mut body: Incoming) -> Result<Bytes, Fault> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Fault::Lost(format!("body: {e}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > ANSWER_BYTES_MAX {
            return Err(Fault::Broken(format!("an answer of more than {ANSWER_BYTES_MAX} bytes")));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.into())
}

/// Reads events until the answer to `id`; what comes before it are notifications.
async fn read_stream(response: Response<Incoming>, id: i64, era: Era) -> Result<Answer, Fault> {
    let mut body = response.into_body();
    let (mut buffer, mut notifications) = (Vec::new(), Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Fault::Lost(format!("event stream: {e}")))?;
        let Ok(data) = frame.into_data() else { continue };
        // Look for the end only where it can be new: a long event must not be searched again with each frame.
        let mut searched = buffer.len().saturating_sub(3);
        buffer.extend_from_slice(&data);
        if buffer.len() > ANSWER_BYTES_MAX {
            return Err(Fault::Broken(format!("an event of more than {ANSWER_BYTES_MAX} bytes")));
        }
        while let Some(event) = next_event(&mut buffer, std::mem::take(&mut searched)) {
            let Some(text) = event_data(&event, era)? else { continue };
            let message: Value = serde_json::from_str(&text).map_err(|_| Fault::Broken("an event that is not JSON".into()))?;
            if message.get("method").is_some() {
                notifications.push(message);
            } else if message["id"] == id || message["id"].is_null() {
                return Ok(Answer { status: None, text, notifications });
            } else {
                return Err(Fault::Broken("the answer to another request on this stream".into()));
            }
        }
    }
    Err(Fault::Lost("the event stream ended without the answer".into()))
}

/// Cuts the first whole event off; its end is not before `searched`.
fn next_event(buffer: &mut Vec<u8>, searched: usize) -> Option<Vec<u8>> {
    let find = |end: &[u8]| buffer[searched..].windows(end.len()).position(|w| w == end).map(|at| searched + at + end.len());
    let end = [find(b"\n\n"), find(b"\r\n\r\n")].into_iter().flatten().min()?;
    let rest = buffer.split_off(end);
    Some(std::mem::replace(buffer, rest))
}

/// The data of an event; none for a comment or an event without data.
fn event_data(event: &[u8], era: Era) -> Result<Option<String>, Fault> {
    let event = std::str::from_utf8(event).map_err(|_| Fault::Broken("an event that is not UTF-8".into()))?;
    let mut data: Option<String> = None;
    for line in event.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut data {
                Some(data) => *data = format!("{data}\n{value}"),
                None => data = Some(value.to_owned()),
            },
            "id" if era == Era::Modern => return Err(Fault::Broken("an event id on a modern stream".into())),
            _ => {}
        }
    }
    Ok(data.filter(|d| !d.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_cut_and_joined() {
        let mut buffer = b": hello\n\ndata: {\"a\":\ndata: 1}\r\n\r\nid: 4\ndata:".to_vec();
        let comment = next_event(&mut buffer, 0).unwrap();
        assert!(matches!(event_data(&comment, Era::Modern), Ok(None)));
        let event = next_event(&mut buffer, 0).unwrap();
        assert_eq!(event_data(&event, Era::Modern).unwrap().as_deref(), Some("{\"a\":\n1}"));
        assert!(next_event(&mut buffer, 0).is_none());
        assert!(event_data(b"id: 4\ndata: {}\n\n", Era::Modern).is_err());
        assert!(event_data(b"id: 4\ndata: {}\n\n", Era::LEGACY).is_ok());
    }

    #[test]
    fn names_beyond_ascii_are_encoded() {
        assert_eq!(encode_header("read_file"), "read_file");
        assert_eq!(encode_header("größe"), "=?base64?Z3LDtsOfZQ==?=");
        assert_eq!(encode_header(" x"), "=?base64?IHg=?=");
    }
}
