//! The fake server over Streamable HTTP.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming as RequestBody, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, watch};

use super::behaviour::{ENDLESS_BYTES_MAX, Fault};
use super::fault;
use super::news::Listener;
use super::record::Arrival;
use super::server::{Answer, Incoming, Plan, Server};
use super::talk::Talk;
use super::wire::MODERN;

/// Parts of a streamed answer that wait for the socket.
const PARTS_QUEUED_MAX: usize = 16;
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain");

/// Serves until `stop` turns true or the behaviour says that the server dies; then every connection is cut.
pub(super) async fn serve(server: Arc<Server>, listener: TcpListener, stop: watch::Sender<bool>) {
    let mut stopped = stop.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        let Ok((socket, _)) = accepted else { continue };
        let _ = socket.set_nodelay(true);
        let number = server.connections.fetch_add(1, Ordering::SeqCst);
        let (server, stop, mut stopped) = (server.clone(), stop.clone(), stop.subscribe());
        tokio::spawn(async move {
            let service = service_fn(|request| handle(server.clone(), stop.clone(), number, request));
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service);
            tokio::select! {
                _ = connection => {}
                _ = stopped.wait_for(|stop| *stop) => {}
            }
        });
    }
}

/// Binds a loopback port; 0 takes a free one.
pub(crate) async fn bind(port: u16) -> std::io::Result<TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    // A restarted fake takes its old port although old connections linger.
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    socket.listen(1024)
}

/// A fault that ends the connection without an answer.
#[derive(Debug)]
pub(crate) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the fake server cuts the connection")
    }
}

impl std::error::Error for Cut {}

async fn handle(
    server: Arc<Server>,
    stop: watch::Sender<bool>,
    connection: u64,
    request: Request<RequestBody>,
) -> Result<Response<Body>, Cut> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Err(Cut) };
    respond(server, stop, connection, &parts, &body.to_bytes()).await
}

/// The answer to a request whose body is there.
pub(crate) async fn respond(
    server: Arc<Server>,
    stop: watch::Sender<bool>,
    connection: u64,
    parts: &http::request::Parts,
    body: &Bytes,
) -> Result<Response<Body>, Cut> {
    match parts.method {
        Method::POST => {}
        // A harness that waits for a server asks for `/readyz`; both paths tell what arrived.
        Method::GET if matches!(parts.uri.path(), "/stats" | "/readyz") => {
            let text = format!(r#"{{"calls":{},"connections":{}}}"#, server.calls(), server.connections.load(Ordering::SeqCst));
            return Ok(whole(StatusCode::OK, JSON, text.into()));
        }
        Method::GET => return Ok(get(&server, parts)),
        Method::DELETE => {
            let session = parts.headers.get("mcp-session-id").and_then(|v| v.to_str().ok()).unwrap_or_default();
            let status = if server.end_session(session) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND };
            return Ok(whole(status, TEXT, Bytes::new()));
        }
        _ => return Ok(whole(StatusCode::METHOD_NOT_ALLOWED, TEXT, Bytes::new())),
    }
    let scene = server.scene();
    let incoming = Incoming { body, headers: Some(&parts.headers), connection };
    match server.plan(&scene, &incoming) {
        Plan::Nothing => Ok(whole(StatusCode::ACCEPTED, JSON, Bytes::new())),
        Plan::Answer(answer) => {
            let modern = parts.headers.get("mcp-protocol-version").is_some_and(|version| version == MODERN);
            let (batch, call) = (scene.behaviour.batch && !modern, answer.is_call);
            match &scene.behaviour.polling {
                Some(polling) if call && !modern => Ok(park(&server, answer, polling.ends, polling.retry_ms)),
                _ if batch && !scene.behaviour.sse => Ok(array(answer)),
                _ => Ok(send(server, answer, scene.behaviour.sse).await),
            }
        }
        Plan::Talk(talk) => Ok(converse(server, talk)),
        Plan::Fault(fault, id) => misbehave(server, fault, &id).await,
        Plan::Listen(_, listener) => Ok(news(&server, listener)),
        Plan::Crash => {
            let _ = stop.send(true);
            Err(Cut)
        }
    }
}

async fn send(server: Arc<Server>, answer: Answer, sse: bool) -> Response<Body> {
    if answer.progress.is_empty() && !sse {
        if !answer.delay.is_zero() {
            let waiting = Waiting(Some(server));
            tokio::time::sleep(answer.delay).await;
            waiting.done();
        }
        let mut response = whole(answer.status, JSON, answer.message.into());
        if let Some(session) = answer.session {
            response.headers_mut().insert("mcp-session-id", session.try_into().expect("a session id is visible ASCII"));
        }
        return response;
    }
    let session = answer.session.clone();
    let (tx, rx) = mpsc::channel(PARTS_QUEUED_MAX);
    tokio::spawn(async move {
        let waiting = Waiting(Some(server));
        for message in &answer.progress {
            if tx.send(Ok(event(message))).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(answer.delay) => {}
            () = tx.closed() => return,
        }
        if tx.send(Ok(event(&answer.message))).await.is_ok() {
            waiting.done();
        }
    });
    let mut response = stream(rx);
    if let Some(session) = session {
        response.headers_mut().insert("mcp-session-id", session.try_into().expect("a session id is visible ASCII"));
    }
    response
}

/// Counts a request as abandoned when it is dropped before it was answered.
struct Waiting(Option<Arc<Server>>);

impl Waiting {
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(server) = &self.0 {
            server.record.note_abandoned();
        }
    }
}

async fn misbehave(server: Arc<Server>, fault: Fault, id: &str) -> Result<Response<Body>, Cut> {
    let text = fault::text(&fault, id);
    match fault {
        Fault::HangUp => Err(Cut),
        Fault::Silence => {
            let _waiting = Waiting(Some(server));
            std::future::pending().await
        }
        Fault::Status(status) => {
            let status = StatusCode::from_u16(status).expect("a status between 100 and 999");
            Ok(whole(status, TEXT, Bytes::from_static(b"the fake server was told to say so")))
        }
        Fault::Redirect(to) => {
            let mut response = whole(StatusCode::TEMPORARY_REDIRECT, TEXT, Bytes::new());
            response.headers_mut().insert(LOCATION, to.try_into().expect("an address for the Location header"));
            Ok(response)
        }
        Fault::Endless => Ok(endless()),
        Fault::Truncated => {
            let half = text.unwrap_or_default();
            let (tx, rx) = mpsc::channel(2);
            let mut response = Response::new(Body::Stream(rx));
            response.headers_mut().insert(CONTENT_TYPE, JSON);
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(half.len() * 2));
            tx.try_send(Ok(half.into())).expect("room for the half");
            tx.try_send(Err(Cut)).expect("room for the cut");
            Ok(response)
        }
        _ => Ok(whole(StatusCode::OK, JSON, text.unwrap_or_default().into())),
    }
}

fn endless() -> Response<Body> {
    const PART: usize = 64 << 10;
    let (tx, rx) = mpsc::channel(PARTS_QUEUED_MAX);
    tokio::spawn(async move {
        let part = Bytes::from(vec![b'x'; PART]);
        let mut first = Some(Bytes::from_static(b"data: \""));
        for _ in 0..ENDLESS_BYTES_MAX / PART {
            if tx.send(Ok(first.take().unwrap_or_else(|| part.clone()))).await.is_err() {
                return;
            }
        }
    });
    stream(rx)
}

/// The standalone stream of the `initialize` era: only for a live session.
fn standalone_stream(server: &Arc<Server>, parts: &http::request::Parts) -> Response<Body> {
    let Some(session) = parts.headers.get("mcp-session-id").and_then(|v| v.to_str().ok()) else {
        return whole(StatusCode::METHOD_NOT_ALLOWED, TEXT, Bytes::new());
    };
    if !server.has_session(session) {
        return whole(StatusCode::NOT_FOUND, TEXT, Bytes::new());
    }
    news(server, Listener::Session(session.to_owned()))
}

/// The rest of a stream that ended early, or the standalone stream.
fn get(server: &Arc<Server>, parts: &http::request::Parts) -> Response<Body> {
    let Some(last) = parts.headers.get("last-event-id").and_then(|v| v.to_str().ok()) else { return standalone_stream(server, parts) };
    if server.scene().behaviour.record {
        let headers = [("last-event-id".to_owned(), last.to_owned())].into();
        let (method, message) = ("GET".to_owned(), serde_json::Value::Null);
        server.record.note(Arrival { method, tool: None, arguments: None, message, headers, modern: false, connection: 0 });
    }
    let Some((ends, answer)) = server.unpark(last) else { return whole(StatusCode::NOT_FOUND, TEXT, Bytes::new()) };
    if let (1.., Some(polling)) = (ends, &server.scene().behaviour.polling) {
        return park(server, answer, ends, polling.retry_ms);
    }
    let (tx, rx) = mpsc::channel(answer.progress.len() + 1);
    for message in answer.progress.iter().chain([&answer.message]) {
        tx.try_send(Ok(event(message))).expect("room for every message");
    }
    stream(rx)
}

/// A stream that ends after the event that says where to continue.
fn park(server: &Server, answer: Answer, ends: u32, retry_ms: u64) -> Response<Body> {
    let id = server.park(ends.saturating_sub(1), answer);
    let (tx, rx) = mpsc::channel(1);
    tx.try_send(Ok(format!("id: {id}\nretry: {retry_ms}\ndata:\n\n").into())).expect("room for the first event");
    stream(rx)
}

/// Everything in one JSON array.
fn array(answer: Answer) -> Response<Body> {
    let messages: Vec<&[u8]> = answer.progress.iter().chain([&answer.message]).map(Vec::as_slice).collect();
    let text = [b"[".as_slice(), &messages.join(&b','), b"]"].concat();
    whole(answer.status, JSON, text.into())
}

/// A stream with questions, and the answer when they are answered.
fn converse(server: Arc<Server>, talk: Talk) -> Response<Body> {
    let (tx, rx) = mpsc::channel(PARTS_QUEUED_MAX);
    tokio::spawn(async move {
        let waiting = Waiting(Some(server.clone()));
        let talking = talk.hold(&server.questions, |message| {
            let (tx, event) = (&tx, event(&message));
            async move { tx.send(Ok(event)).await.is_ok() }
        });
        let ended = tokio::select! {
            ended = talking => ended,
            () = tx.closed() => return,
        };
        if let Some(message) = ended
            && tx.send(Ok(event(&message))).await.is_ok()
        {
            waiting.done();
        }
    });
    stream(rx)
}

fn news(server: &Arc<Server>, listener: Listener) -> Response<Body> {
    let mut news = server.news.subscribe();
    let (tx, rx) = mpsc::channel(PARTS_QUEUED_MAX);
    let present = Present::new(server);
    let server = server.clone();
    tokio::spawn(async move {
        let _present = present;
        if let Some(greeting) = listener.greeting()
            && tx.send(Ok(event(&greeting))).await.is_err()
        {
            return;
        }
        loop {
            let one = tokio::select! {
                one = news.recv() => one,
                () = tx.closed() => return,
            };
            let message = match one {
                Ok(one) => listener.hear(&server, &one),
                Err(broadcast::error::RecvError::Lagged(_)) => None,
                Err(broadcast::error::RecvError::Closed) => return,
            };
            if let Some(message) = message
                && tx.send(Ok(event(&message))).await.is_err()
            {
                return;
            }
        }
    });
    stream(rx)
}

/// Counted among those who listen.
struct Present(Arc<Server>);

impl Present {
    fn new(server: &Arc<Server>) -> Self {
        server.record.note_listener(true);
        Self(server.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.record.note_listener(false);
    }
}

fn event(message: &[u8]) -> Bytes {
    let mut event = Vec::with_capacity(message.len() + 24);
    event.extend_from_slice(b"event: message\ndata: ");
    event.extend_from_slice(message);
    event.extend_from_slice(b"\n\n");
    event.into()
}

pub(crate) fn whole(status: StatusCode, content_type: HeaderValue, text: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::Whole(Some(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn stream(parts: mpsc::Receiver<Result<Bytes, Cut>>) -> Response<Body> {
    let mut response = Response::new(Body::Stream(parts));
    response.headers_mut().insert(CONTENT_TYPE, STREAM);
    response
}

pub(crate) enum Body {
    Whole(Option<Bytes>),
    Stream(mpsc::Receiver<Result<Bytes, Cut>>),
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Self::Whole(text) => Poll::Ready(text.take().map(|t| Ok(Frame::data(t)))),
            Self::Stream(parts) => parts.poll_recv(cx).map(|part| part.map(|p| p.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}
