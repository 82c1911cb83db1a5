//! A fake HTTP service on loopback that keeps every byte it receives, and a network that records what would have been dialled.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use bailiwick_modules::Host;
use bailiwick_modules::egress::{Egress, Network, Stream, SystemNetwork};
use bailiwick_modules::host::SecretSink;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Largest request a test may send.
const REQUEST_BYTES_MAX: usize = 16 << 20;

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// Path and query, as they stood on the wire.
    pub(crate) target: String,
    /// In the order of the wire, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What the service says.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    pub(crate) fn json(body: &Value) -> Self {
        Self::new(200, body.to_string()).with("content-type", "application/json")
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Listens until dropped.
pub(crate) struct FakeService {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for FakeService {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeService {
    /// Answers each request with what `answer` makes of it.
    pub(crate) async fn start(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (received.clone(), Arc::new(answer));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, log.clone(), answer.clone()));
            }
        });
        Self { address, received, task }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything received so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Everything received since the last look.
    pub(crate) fn take(&self) -> Vec<Received> {
        std::mem::take(&mut *self.received.lock().unwrap())
    }

    /// The only request.
    pub(crate) fn only(&self) -> Received {
        let mut all = self.received();
        assert_eq!(all.len(), 1, "{all:#?}");
        all.remove(0)
    }
}

async fn converse(mut stream: TcpStream, log: Arc<Mutex<Vec<Received>>>, answer: Arc<dyn Fn(&Received) -> Reply + Send + Sync>) {
    // Head and body are written apart.
    stream.set_nodelay(true).unwrap();
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut stream, &mut buffer).await {
        let reply = answer(&request);
        log.lock().unwrap().push(request);
        let mut head = format!("HTTP/1.1 {} x\r\ncontent-length: {}\r\n", reply.status, reply.body.len());
        for (name, value) in &reply.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let sent = async {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&reply.body).await
        };
        if sent.await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Received> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if buffer.len() > REQUEST_BYTES_MAX || stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer[..head_end].to_vec()).expect("a request head is ASCII");
    let mut lines = head.trim_end().split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .map(|line| {
            let (name, value) = line.split_once(':').expect("a header has a colon");
            (name.to_ascii_lowercase(), value.trim().to_owned())
        })
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    while buffer.len() < head_end + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer[head_end..head_end + length].to_vec();
    buffer.drain(..head_end + length);
    Some(Received { method, target, headers, body })
}

/// Leads to loopback only, and says what would have been dialled elsewhere.
#[derive(Default)]
pub(crate) struct RecordingNetwork {
    /// Names and their addresses; a name that is not here is unknown.
    pub(crate) names: BTreeMap<String, Vec<IpAddr>>,
    /// Every name looked up.
    pub(crate) resolved: Mutex<Vec<String>>,
    /// Every address dialled; those that are not loopback are refused.
    pub(crate) dialled: Mutex<Vec<SocketAddr>>,
    /// Where everything leads that is dialled, whatever its address.
    pub(crate) leads_to: Option<SocketAddr>,
    /// Answers for look-ups to come, whatever the name; when they are used up, `names` answers.
    pub(crate) next_answers: Mutex<VecDeque<Vec<IpAddr>>>,
}

impl Network for RecordingNetwork {
    fn resolve<'a>(&'a self, host: &'a str) -> bailiwick_modules::Pending<'a, io::Result<Vec<IpAddr>>> {
        self.resolved.lock().unwrap().push(host.to_owned());
        if let Some(next) = self.next_answers.lock().unwrap().pop_front() {
            return Box::pin(std::future::ready(Ok(next)));
        }
        Box::pin(std::future::ready(self.names.get(host).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())))
    }

    fn connect(&self, address: SocketAddr) -> bailiwick_modules::Pending<'_, io::Result<Box<dyn Stream>>> {
        self.dialled.lock().unwrap().push(address);
        if let Some(address) = self.leads_to.or(address.ip().is_loopback().then_some(address)) {
            return Box::pin(async move { SystemNetwork.connect(address).await });
        }
        Box::pin(std::future::ready(Err(io::ErrorKind::ConnectionRefused.into())))
    }
}

/// Keeps the secrets that a module derives.
#[derive(Default)]
pub(crate) struct Learned(pub(crate) Mutex<Vec<String>>);

impl SecretSink for Learned {
    fn learn(&self, secret: &str) {
        self.0.lock().unwrap().push(secret.to_owned());
    }
}

/// A host over `network`.
pub(crate) fn host(network: Arc<dyn Network>) -> Host {
    Host { egress: Egress::new(network), ..Host::isolated() }
}
