//! An HTTP service on loopback that answers from a script and keeps what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// No request of a test is awaited longer; a hang becomes a failure.
const AWAITED_MAX: Duration = Duration::from_secs(30);

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method and target.
    pub(crate) line: String,
    /// Sorted, names in lower case; without `host`, whose port is the test's own, and `user-agent`.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

type Script = dyn Fn(&Asked) -> (u16, Value) + Send + Sync;

/// Listens until dropped.
pub(crate) struct Recorder {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    came: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Recorder {
    /// Answers each request with a status and JSON; a text is sent as it is.
    pub(crate) async fn start(script: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, came, script) = (Arc::new(Mutex::default()), Arc::new(Notify::new()), Arc::new(script));
        let (log, bell) = (Arc::clone(&asked), Arc::clone(&came));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, log.clone(), bell.clone(), script.clone()));
            }
        });
        Self { url, asked, came, task }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits until a request with this line has come.
    pub(crate) async fn awaits(&self, line: &str) -> Asked {
        let wait = async {
            loop {
                let next = self.came.notified();
                if let Some(found) = self.asked().into_iter().find(|asked| asked.line == line) {
                    return found;
                }
                next.await;
            }
        };
        tokio::time::timeout(AWAITED_MAX, wait).await.unwrap_or_else(|_| panic!("no `{line}`: {:?}", self.asked()))
    }
}

async fn converse(mut stream: TcpStream, log: Arc<Mutex<Vec<Asked>>>, bell: Arc<Notify>, script: Arc<Script>) {
    let mut bytes = Vec::new();
    loop {
        let Some((asked, used)) = parse(&bytes) else {
            if matches!(stream.read_buf(&mut bytes).await, Ok(0) | Err(_)) {
                return;
            }
            continue;
        };
        bytes.drain(..used);
        let (status, body) = script(&asked);
        log.lock().unwrap().push(asked);
        bell.notify_one();
        let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
        let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn parse(bytes: &[u8]) -> Option<(Asked, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let line = head.lines().next().unwrap().strip_suffix(" HTTP/1.1").unwrap().to_owned();
    let pairs = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let mut headers: Vec<(String, String)> = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let length: usize = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let body = String::from_utf8(bytes.get(end..end + length)?.to_vec()).unwrap();
    headers.retain(|(name, _)| name != "host" && name != "user-agent");
    headers.sort();
    Some((Asked { line, headers, body }, end + length))
}
