//! A scriptable upstream server: it sees every request as it came, and answers with exact bytes.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bailiwick_mcp::Json;
use bailiwick_mcp::client::{
    Cancel, Dial, DialError, DialErrorKind, Dialling, HttpEndpoint, Notice, Options, Outgoing, Target, Upstream, UpstreamFault,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, broadcast};

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub verb: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: String,
    /// Which of the connections it came on, counted from 0.
    pub connection: usize,
}

impl Seen {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    pub fn rpc(&self) -> String {
        self.json()["method"].as_str().unwrap_or_default().to_owned()
    }

    pub fn id(&self) -> Value {
        self.json()["id"].clone()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// A 200 with this result.
    pub fn result(&self, result: Value) -> Answer {
        Answer::json(200, &json!({"jsonrpc": "2.0", "id": self.id(), "result": result}))
    }

    /// A JSON-RPC error with this status.
    pub fn error(&self, status: u16, code: i64, data: Value) -> Answer {
        Answer::json(status, &json!({"jsonrpc": "2.0", "id": self.id(), "error": {"code": code, "message": "no", "data": data}}))
    }
}

pub type Script = Box<dyn FnOnce(TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// What the server does with a request.
pub enum Answer {
    /// Writes these bytes and waits for the next request.
    Bytes(Vec<u8>),
    /// Writes these bytes and closes.
    Close(Vec<u8>),
    /// Takes the connection over.
    Script(Script),
}

impl Answer {
    pub fn http(status: u16, headers: &str, body: &str) -> Self {
        Self::Bytes(format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len()).into_bytes())
    }

    pub fn json(status: u16, body: &Value) -> Self {
        Self::http(status, "content-type: application/json\r\n", &body.to_string())
    }

    pub fn empty(status: u16) -> Self {
        Self::http(status, "", "")
    }

    pub fn events(text: &str) -> Self {
        Self::http(200, "content-type: text/event-stream\r\n", text)
    }

    /// Answers nothing, and tells `gone` when the client has closed the connection.
    pub fn hang(gone: Arc<Notify>) -> Self {
        Self::script(move |mut stream| async move {
            let _ = stream.read(&mut [0; 16]).await;
            gone.notify_one();
        })
    }

    pub fn script<F: Future<Output = ()> + Send + 'static>(script: impl FnOnce(TcpStream) -> F + Send + 'static) -> Self {
        Self::Script(Box::new(|stream| Box::pin(script(stream))))
    }
}

type Handler = dyn Fn(&Seen) -> Answer + Send + Sync;

/// A running server.
pub struct Fake {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    pub connections: Arc<AtomicUsize>,
    arrived: Arc<Notify>,
}

impl Fake {
    pub async fn start(handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let fake = Self { address, seen: Arc::default(), connections: Arc::default(), arrived: Arc::default() };
        let (seen, connections, arrived) = (Arc::clone(&fake.seen), Arc::clone(&fake.connections), Arc::clone(&fake.arrived));
        let handler: Arc<Handler> = Arc::new(handler);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, number, Arc::clone(&handler), Arc::clone(&seen), Arc::clone(&arrived)));
            }
        });
        fake
    }

    /// A server of the modern era; `handler` gets everything but the probe.
    pub async fn modern(handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::start(move |seen| if seen.rpc() == "server/discover" { seen.result(discovery()) } else { handler(seen) }).await
    }

    /// A server of the legacy era with sessions `s1`, `s2`, …; `handler` gets everything but the handshake.
    pub async fn legacy(revision: &'static str, handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let sessions = AtomicUsize::new(0);
        Self::start(move |seen| match seen.rpc().as_str() {
            "server/discover" => Answer::empty(400),
            "initialize" => {
                let number = sessions.fetch_add(1, Ordering::SeqCst) + 1;
                let body = json!({"jsonrpc": "2.0", "id": seen.id(), "result": initialized(revision)}).to_string();
                Answer::http(200, &format!("content-type: application/json\r\nmcp-session-id: s{number}\r\n"), &body)
            }
            "notifications/initialized" => Answer::empty(202),
            _ => handler(seen),
        })
        .await
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The methods of every request so far.
    pub fn methods(&self) -> Vec<String> {
        self.seen().iter().map(Seen::rpc).collect()
    }

    /// Waits for a request of this method.
    pub async fn wait_for(&self, method: &str) -> Seen {
        loop {
            let arrived = self.arrived.notified();
            if let Some(seen) = self.seen().into_iter().find(|seen| seen.rpc() == method) {
                return seen;
            }
            arrived.await;
        }
    }

    pub fn endpoint(&self) -> HttpEndpoint {
        HttpEndpoint::parse(&format!("http://{}/mcp", self.address), Vec::new()).unwrap()
    }

    pub fn upstream(&self, options: Options) -> Upstream {
        Upstream::http(&self.endpoint(), Arc::new(Direct), options).unwrap()
    }
}

pub fn discovery() -> Value {
    json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "private"})
}

pub fn initialized(revision: &str) -> Value {
    json!({"protocolVersion": revision, "capabilities": {"tools": {}}, "serverInfo": {"name": "fake", "version": "1"}})
}

async fn serve(mut stream: TcpStream, connection: usize, handler: Arc<Handler>, log: Arc<Mutex<Vec<Seen>>>, arrived: Arc<Notify>) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = Vec::new();
    while let Some(seen) = read(&mut stream, &mut buffer, connection).await {
        log.lock().unwrap().push(seen.clone());
        arrived.notify_waiters();
        match handler(&seen) {
            Answer::Bytes(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Answer::Close(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Answer::Script(script) => return script(stream).await,
        }
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>, connection: usize) -> Option<Seen> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (verb, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let mut headers = HashMap::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        assert!(headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()).is_none(), "header `{name}` came twice");
    }
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while buffer.len() < head_end + 4 + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(buffer[head_end + 4..head_end + 4 + length].to_vec()).unwrap();
    buffer.drain(..head_end + 4 + length);
    Some(Seen { verb, path, headers, body, connection })
}

/// Connects without any guard.
pub struct Direct;

impl Dial for Direct {
    fn dial<'a>(&'a self, target: &'a Target) -> Dialling<'a> {
        Box::pin(async move {
            let stream = TcpStream::connect((target.host.as_str(), target.port)).await;
            let stream = stream.map_err(|error| DialError::new(DialErrorKind::Connect, format!("{target}: {error}")))?;
            stream.set_nodelay(true).map_err(|error| DialError::new(DialErrorKind::Connect, error.to_string()))?;
            Ok(Box::new(stream) as _)
        })
    }
}

pub fn options() -> Options {
    Options::new(Json::from_static(r#"{"name":"bailiwick","version":"0"}"#))
}

pub fn text(json: &Json) -> Value {
    serde_json::from_str(json.as_str()).unwrap()
}

/// A plain `tools/call` with ten seconds of patience.
pub async fn call(upstream: &Upstream, name: &str, arguments: &'static str) -> Result<Json, UpstreamFault> {
    call_within(upstream, name, arguments, Duration::from_secs(10), &Cancel::new()).await
}

pub async fn call_within(
    upstream: &Upstream,
    name: &str,
    arguments: &'static str,
    deadline: Duration,
    cancel: &Cancel,
) -> Result<Json, UpstreamFault> {
    let arguments = Json::from_static(arguments);
    upstream.call(Outgoing { deadline, ..outgoing(name, &arguments, cancel) }).await
}

pub fn outgoing<'a>(name: &'a str, arguments: &'a Json, cancel: &'a Cancel) -> Outgoing<'a> {
    Outgoing {
        method: "tools/call",
        name: Some(name),
        arguments: Some(arguments),
        params: &[],
        meta: &[],
        param_headers: &[],
        deadline: Duration::from_secs(10),
        events: None,
        questions: None,
        owner: 0,
        cancel,
    }
}

/// The notices that have come so far.
pub fn told(notices: &mut broadcast::Receiver<Notice>) -> Vec<String> {
    std::iter::from_fn(|| notices.try_recv().ok()).map(|notice| format!("{notice:?}")).collect()
}
