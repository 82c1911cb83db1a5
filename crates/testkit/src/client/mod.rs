//! A small honest MCP client for tests: both eras, HTTP and stdio. It sends what the specification asks for and checks every
//! answer against the rules of its era; a broken rule is [`Fault::Broken`], never a silent success.

mod http;
mod rules;
mod stdio;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::JoinHandle;

use self::http::HttpSide;
pub use self::http::{Connection, HttpReply};
use self::stdio::StdioSide;
use crate::upstream::wire::MODERN;

/// How long a client waits for one answer.
pub const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// Pages of a list that a client follows before it calls the list endless.
pub const PAGES_MAX: usize = 500;

/// What the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// 2026-07-28, no handshake.
    Modern,
    /// `initialize` with this revision.
    Legacy(&'static str),
}

impl Era {
    /// 2026-07-28, then the served revisions of the `initialize` era.
    pub const ALL: [Self; 4] = [Self::Modern, Self::Legacy("2025-11-25"), Self::Legacy("2025-06-18"), Self::Legacy("2025-03-26")];
    /// The newest revision with a handshake.
    pub const LEGACY: Self = Self::Legacy("2025-11-25");

    /// The revision's name.
    #[must_use]
    pub const fn revision(self) -> &'static str {
        match self {
            Self::Modern => MODERN,
            Self::Legacy(revision) => revision,
        }
    }
}

/// Why there is no result.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A well-formed JSON-RPC error; `status` is the HTTP status.
    Rpc {
        /// HTTP status; absent on stdio.
        status: Option<u16>,
        /// `error.code`.
        code: i64,
        /// `error.message`.
        message: String,
        /// `error.data`, null when absent.
        data: Value,
    },
    /// An HTTP answer that is no JSON-RPC message.
    Status(u16, String),
    /// The server broke a rule; the text names it.
    Broken(String),
    /// The connection ended, or no answer came in time.
    Lost(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rpc { status, code, message, data } => write!(f, "JSON-RPC error {code} {message} {data} (status {status:?})"),
            Self::Status(status, body) => write!(f, "HTTP status {status}: {body}"),
            Self::Broken(rule) => write!(f, "the server broke a rule: {rule}"),
            Self::Lost(why) => write!(f, "no answer: {why}"),
        }
    }
}

impl std::error::Error for Fault {}

impl Fault {
    /// The JSON-RPC code, when it is one.
    #[must_use]
    pub const fn code(&self) -> Option<i64> {
        if let Self::Rpc { code, .. } = self { Some(*code) } else { None }
    }
}

/// An answer that passed the checks.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The `result`.
    pub result: Value,
    /// The whole message as it came, for tests of exact bytes.
    pub text: String,
    /// Notifications that came on the request's own stream before it (HTTP), or while it was open (stdio).
    pub notifications: Vec<Value>,
}

/// The client. Clones share connection and session.
#[derive(Clone)]
pub struct Client {
    era: Era,
    side: Side,
    next_id: Arc<AtomicI64>,
    capabilities: Value,
}

#[derive(Clone)]
enum Side {
    Http(HttpSide),
    Stdio(StdioSide),
}

impl Client {
    /// A client of a Streamable HTTP endpoint. Nothing is sent yet.
    #[must_use]
    pub fn http(url: &str, era: Era) -> Self {
        Self::new(era, Side::Http(HttpSide::new(url, era)))
    }

    /// Starts `command` as a stdio server. Standard error is kept, see [`Client::stderr`].
    #[must_use]
    pub fn stdio(command: Command, era: Era) -> Self {
        Self::new(era, Side::Stdio(StdioSide::start(command)))
    }

    fn new(era: Era, side: Side) -> Self {
        Self { era, side, next_id: Arc::new(AtomicI64::new(1)), capabilities: json!({}) }
    }

    /// Sends `Authorization: Bearer` with every HTTP request.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Sends this header with every HTTP request, in place of one that the client sets itself.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let Side::Http(http) = &mut self.side else { panic!("headers belong to HTTP") };
        http.set_header(name, value);
        self
    }

    /// Declares these client capabilities in place of none.
    #[must_use]
    pub fn capabilities(mut self, capabilities: Value) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// What the client speaks.
    #[must_use]
    pub const fn era(&self) -> Era {
        self.era
    }

    /// `server/discover`, or `initialize` and `notifications/initialized`. Gives the result.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Fault::Broken`] when the server answers with a revision that nobody offered.
    pub async fn open(&self) -> Result<Value, Fault> {
        let result = match self.era {
            Era::Modern => self.request("server/discover", json!({})).await?.result,
            Era::Legacy(revision) => {
                let params = json!({"protocolVersion": revision, "capabilities": self.capabilities, "clientInfo": client_info()});
                let result = self.request("initialize", params).await?.result;
                self.notify("notifications/initialized", json!({})).await?;
                result
            }
        };
        rules::opened(self.era, &result).map_err(Fault::Broken)?;
        Ok(result)
    }

    /// All pages of `tools/list`, each tool checked and no name twice.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn tools(&self) -> Result<Vec<Value>, Fault> {
        let (mut tools, mut params) = (Vec::new(), json!({}));
        for _ in 0..PAGES_MAX {
            let mut result = self.request("tools/list", params).await?.result;
            let Value::Array(page) = result["tools"].take() else { return Err(Fault::Broken("tools is not an array".into())) };
            tools.extend(page);
            match result.get("nextCursor") {
                None => {
                    rules::tools(&tools).map_err(Fault::Broken)?;
                    return Ok(tools);
                }
                Some(Value::String(cursor)) => params = json!({"cursor": cursor}),
                Some(other) => return Err(Fault::Broken(format!("nextCursor is {other}"))),
            }
        }
        Err(Fault::Broken(format!("more than {PAGES_MAX} pages of tools")))
    }

    /// The names of [`Client::tools`], in the order of the list.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn tool_names(&self) -> Result<Vec<String>, Fault> {
        let tools = self.tools().await?;
        Ok(tools.iter().filter_map(|t| t["name"].as_str().map(str::to_owned)).collect())
    }

    /// One `tools/call`; gives the result, also when it says `isError: true`.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn call(&self, tool: &str, arguments: Value) -> Result<Value, Fault> {
        Ok(self.request("tools/call", json!({"name": tool, "arguments": arguments})).await?.result)
    }

    /// One request with `params` (an object). The `_meta` members of the era are added.
    ///
    /// # Errors
    /// [`Fault::Rpc`] for a JSON-RPC error, [`Fault::Status`] for an HTTP answer without a message, [`Fault::Broken`] for an
    /// answer that breaks a rule, [`Fault::Lost`] when the connection ends or [`ANSWER_WAIT`] passes.
    pub async fn request(&self, method: &str, params: Value) -> Result<Reply, Fault> {
        let id = self.next_id.fetch_add(1, Ordering::SeqCst);
        self.request_as(id, method, params).await
    }

    /// Sends a request and goes on; see [`Begun`].
    #[must_use]
    pub fn begin(&self, method: &str, params: Value) -> Begun {
        let id = self.next_id.fetch_add(1, Ordering::SeqCst);
        let (client, method) = (self.clone(), method.to_owned());
        Begun { id, task: tokio::spawn(async move { client.request_as(id, &method, params).await }) }
    }

    async fn request_as(&self, id: i64, method: &str, mut params: Value) -> Result<Reply, Fault> {
        if self.era == Era::Modern {
            self.add_meta(&mut params);
        }
        let name = params["name"].as_str().or(params["uri"].as_str()).map(str::to_owned);
        let token = params["_meta"]["progressToken"].clone();
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string();
        let answered = async {
            match &self.side {
                Side::Http(http) => http.ask(id, method, name.as_deref(), message).await,
                Side::Stdio(stdio) => stdio.ask(id, &token, message).await,
            }
        };
        let answer = tokio::time::timeout(ANSWER_WAIT, answered).await.map_err(|_| Fault::Lost(format!("{method}: time is up")))??;
        rules::notifications(&answer.notifications, &token).map_err(Fault::Broken)?;
        let result = rules::message(&answer.text, id, answer.status)?;
        rules::result(self.era, method, &result).map_err(Fault::Broken)?;
        Ok(Reply { result, text: answer.text, notifications: answer.notifications })
    }

    fn add_meta(&self, params: &mut Value) {
        let meta = &mut params["_meta"];
        meta["io.modelcontextprotocol/protocolVersion"] = self.era.revision().into();
        meta["io.modelcontextprotocol/clientCapabilities"] = self.capabilities.clone();
        meta["io.modelcontextprotocol/clientInfo"] = client_info();
    }

    /// One notification.
    ///
    /// # Errors
    /// [`Fault::Broken`] when it is answered with anything but 202 and an empty body, otherwise as [`Client::request`].
    pub async fn notify(&self, method: &str, mut params: Value) -> Result<(), Fault> {
        if self.era == Era::Modern {
            self.add_meta(&mut params);
        }
        let message = json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string();
        match &self.side {
            Side::Http(http) => http.tell(method, message).await,
            Side::Stdio(stdio) => stdio.write(message).await,
        }
    }

    /// Any HTTP request to the endpoint, with the client's own headers: for tests of the endpoint itself.
    ///
    /// # Errors
    /// [`Fault::Lost`] when the connection fails.
    pub async fn raw(&self, method: &str, headers: &[(&str, &str)], body: impl Into<bytes::Bytes>) -> Result<HttpReply, Fault> {
        let Side::Http(http) = &self.side else { panic!("raw requests belong to HTTP") };
        http.raw(method, headers, body.into()).await
    }

    /// Writes a line to the server's standard input as it is.
    ///
    /// # Errors
    /// [`Fault::Lost`] when the pipe is closed.
    pub async fn raw_line(&self, line: &str) -> Result<(), Fault> {
        let Side::Stdio(stdio) = &self.side else { panic!("raw lines belong to stdio") };
        stdio.write(line.to_owned()).await
    }

    /// The session id of the `initialize` era over HTTP, once given.
    #[must_use]
    pub fn session(&self) -> Option<String> {
        if let Side::Http(http) = &self.side { http.session() } else { None }
    }

    /// What a stdio server has written to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        if let Side::Stdio(stdio) = &self.side { stdio.stderr() } else { String::new() }
    }

    /// Process id of a stdio server.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        if let Side::Stdio(stdio) = &self.side { stdio.process_id() } else { None }
    }

    /// Closes a stdio server's input and waits for its end; after [`ANSWER_WAIT`] it is killed. HTTP: ends the session.
    ///
    /// # Errors
    /// [`Fault::Lost`] when the server had to be killed.
    pub async fn close(&self) -> Result<Option<std::process::ExitStatus>, Fault> {
        match &self.side {
            Side::Stdio(stdio) => stdio.close().await.map(Some),
            Side::Http(http) => {
                if http.session().is_some() {
                    http.raw("DELETE", &[], bytes::Bytes::new()).await?;
                }
                Ok(None)
            }
        }
    }
}

/// A request under way.
pub struct Begun {
    /// Its JSON-RPC id, for `notifications/cancelled`.
    pub id: i64,
    task: JoinHandle<Result<Reply, Fault>>,
}

impl Begun {
    /// Waits for the answer.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn answer(self) -> Result<Reply, Fault> {
        self.task.await.map_err(|e| Fault::Lost(e.to_string()))?
    }

    /// Goes away: over HTTP the connection is closed, which is how a modern client cancels.
    pub fn abandon(self) {
        self.task.abort();
    }
}

fn client_info() -> Value {
    json!({"name": "honest-client", "version": "1"})
}

/// One answer before its message is looked at.
struct Answer {
    status: Option<u16>,
    text: String,
    notifications: Vec<Value>,
}
