//! An event stream as the wire has it: ids, retry fields, data.

use std::time::Duration;

use bailiwick_testkit::app::App;
use bailiwick_testkit::client::{Client, Connection, Era};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::scene::{client, port};

/// No event takes longer; a hang becomes a failure.
const EVENT_MAX: Duration = Duration::from_secs(20);

/// A session of an older revision, at the level of requests.
pub(crate) struct Session<'a> {
    app: &'a App,
    key: String,
    pub(crate) id: String,
    revision: &'static str,
}

impl<'a> Session<'a> {
    /// A new session of a client that can be asked for forms.
    pub(crate) async fn open(app: &'a App, key: &str, revision: &'static str) -> Self {
        let opened = client(app, key, Era::Legacy(revision)).capabilities(json!({"elicitation": {}}));
        opened.open().await.unwrap();
        Self { app, key: key.into(), id: opened.session().unwrap(), revision }
    }

    /// The same session, claimed with another key.
    pub(crate) fn with_key(&self, key: &str) -> Self {
        Self { app: self.app, key: key.into(), id: self.id.clone(), revision: self.revision }
    }

    /// The same session at another replica.
    pub(crate) fn at<'b>(&self, app: &'b App) -> Session<'b> {
        Session { app, key: self.key.clone(), id: self.id.clone(), revision: self.revision }
    }

    /// A client without streams, for what is not looked at here.
    pub(crate) fn client(&self) -> Client {
        client(self.app, &self.key, Era::Legacy(self.revision)).header("mcp-session-id", &self.id)
    }

    async fn send(&self, method: &str, headers: &[(&str, &str)], body: String) -> Result<Ear, (u16, String)> {
        let authority = format!("127.0.0.1:{}", port(self.app));
        let mut request = Request::builder().method(method).uri("/mcp").header("host", &authority);
        request = request.header("authorization", format!("Bearer {}", self.key)).header("content-type", "application/json");
        request = request.header("mcp-session-id", &self.id).header("mcp-protocol-version", self.revision);
        if !headers.iter().any(|(name, _)| *name == "accept") {
            request = request.header("accept", "application/json, text/event-stream");
        }
        request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let mut connection = Connection::open(&authority).await.unwrap();
        let sent = connection.send(request.body(Full::new(Bytes::from(body))).unwrap());
        let response = tokio::time::timeout(EVENT_MAX, sent).await.expect("an answer in time").unwrap();
        let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        if response.status() == 200 && kind.as_deref() == Some("text/event-stream") {
            return Ok(Ear { body: response.into_body(), read: Vec::new(), _connection: connection });
        }
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Err((status, String::from_utf8(body.into()).unwrap()))
    }

    /// Any message by POST; an answer that is no stream is the error.
    pub(crate) async fn post(&self, message: &Value) -> Result<Ear, (u16, String)> {
        self.send("POST", &[], message.to_string()).await
    }

    /// A call that wants progress.
    pub(crate) async fn call(&self, id: u64, tool: &str, arguments: Value) -> Ear {
        self.post(&call(id, tool, arguments)).await.unwrap_or_else(|(status, body)| panic!("no stream: {status} {body}"))
    }

    /// The client's answer to a question, or a notification.
    pub(crate) async fn tell(&self, message: &Value) {
        assert_eq!(self.post(message).await.err(), Some((202, String::new())), "{message}");
    }

    /// The client fills in the form.
    pub(crate) async fn fill_in(&self, question: &Value) {
        let result = json!({"action": "accept", "content": {"answer": "forty-two"}});
        self.tell(&json!({"jsonrpc": "2.0", "id": question["id"], "result": result})).await;
    }

    pub(crate) async fn get(&self, headers: &[(&str, &str)]) -> Result<Ear, (u16, String)> {
        self.send("GET", headers, String::new()).await
    }

    /// GET with `Last-Event-ID`.
    pub(crate) async fn resume(&self, last: &str) -> Result<Ear, (u16, String)> {
        self.get(&[("last-event-id", last)]).await
    }

    /// The status with which a resumption is refused.
    pub(crate) async fn refusal(&self, last: &str) -> u16 {
        self.resume(last).await.map(drop).expect_err("the stream is read on").0
    }
}

/// A call that wants progress.
pub(crate) fn call(id: u64, tool: &str, arguments: Value) -> Value {
    let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": 1}});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
}

/// One event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) retry: String,
    pub(crate) data: String,
}

impl Event {
    /// The message in it.
    pub(crate) fn message(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|fault| panic!("{fault}: {self:?}"))
    }
}

/// An open event stream. The connection breaks when this is dropped.
pub(crate) struct Ear {
    body: Incoming,
    read: Vec<u8>,
    _connection: Connection,
}

impl Ear {
    /// The next event; `None` at the end. Comments are left out.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.read.windows(2).position(|pair| pair == b"\n\n") {
                let rest = self.read.split_off(end + 2);
                let block = String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap();
                let mut event = Event::default();
                for line in block.lines().filter(|line| !line.is_empty() && !line.starts_with(':')) {
                    let (field, value) = line.split_once(':').unwrap_or((line, ""));
                    let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
                    match field {
                        "id" => event.id = value,
                        "retry" => event.retry = value,
                        "data" => event.data = value,
                        "event" => assert_eq!(value, "message"),
                        other => panic!("a field `{other}`"),
                    }
                }
                if block.lines().any(|line| !line.is_empty() && !line.starts_with(':')) {
                    return Some(event);
                }
            }
            let frame = tokio::time::timeout(EVENT_MAX, self.body.frame()).await.expect("an event in time")?;
            self.read.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
    }

    /// The next event, which must be there.
    pub(crate) async fn one(&mut self) -> Event {
        self.next().await.expect("the stream ended")
    }

    /// The events up to the end.
    pub(crate) async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}
