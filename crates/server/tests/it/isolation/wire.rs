//! A client that asks one thing after the other over one connection and looks at everything that comes back.

use std::fmt::Write as _;
use std::time::Duration;

use bailiwick_testkit::client::Connection;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;

/// No answer takes longer; a hang becomes a failure.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// See the module.
pub(crate) struct Wire {
    authority: String,
    connection: Option<Connection>,
}

/// A whole answer.
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Told {
    /// The body; an event stream is what its last event says.
    pub(crate) fn json(&self) -> Value {
        let whole = serde_json::from_slice(&self.body).ok();
        let last = || {
            let text = String::from_utf8_lossy(&self.body).into_owned();
            text.lines().rev().find_map(|line| serde_json::from_str(line.strip_prefix("data:")?).ok())
        };
        whole.or_else(last).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    }

    /// Everything of it, to be searched.
    pub(crate) fn everything(&self) -> Vec<u8> {
        let mut head = self.status.to_string();
        for (name, value) in &self.headers {
            let _ = write!(head, "\n{name}: {}", String::from_utf8_lossy(value.as_bytes()));
        }
        [head.as_bytes(), b"\n\n", &self.body].concat()
    }
}

impl Wire {
    pub(crate) fn new(base_url: &str) -> Self {
        Self { authority: base_url.trim_start_matches("http://").to_owned(), connection: None }
    }

    /// A request that is still to get its method, target and body.
    pub(crate) fn request(&self, key: Option<&str>) -> http::request::Builder {
        let request = Request::builder().header("host", &self.authority);
        key.into_iter().fold(request, |request, key| request.header("authorization", format!("Bearer {key}")))
    }

    /// Asks. A connection that the program has closed after its last answer is made anew.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Told {
        let what = format!("{} {}", request.method(), request.uri());
        tokio::time::timeout(ANSWER_MAX, self.ask(request)).await.unwrap_or_else(|_| panic!("no answer to {what}"))
    }

    async fn ask(&mut self, request: Request<Full<Bytes>>) -> Told {
        let mut last = String::new();
        for _ in 0..3 {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => Connection::open(&self.authority).await.unwrap(),
            };
            match connection.send(request.clone()).await {
                Ok(response) => {
                    let (parts, body) = response.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    self.connection = Some(connection);
                    return Told { status: parts.status.as_u16(), headers: parts.headers, body };
                }
                Err(cause) => last = cause,
            }
        }
        panic!("no connection for {} {}: {last}", request.method(), request.uri());
    }
}
