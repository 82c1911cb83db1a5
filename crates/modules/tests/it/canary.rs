//! No failure of a service shows a credential: neither to the agent nor to the operator.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_model::Code;
use bailiwick_modules::{Cancel, ToolFault};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::service::{FakeService, RecordingNetwork, Reply, host};
use crate::support::{Agent, try_open_on};

/// A module over HTTP with credentials that must not show.
pub(crate) struct Case {
    pub(crate) kind: &'static str,
    pub(crate) config: Value,
    /// The credentials for a service at `http://127.0.0.1:PORT` or the like.
    pub(crate) credentials: fn(&str) -> Vec<(&'static str, String)>,
    pub(crate) arguments: Value,
    /// Parts of the credentials.
    pub(crate) canaries: &'static [&'static str],
}

impl Case {
    /// Lets the service fail in every way, and holds each fault to its word and to silence about the canaries.
    pub(crate) async fn run(&self) {
        let statuses = [(302, Code::UpstreamRedirect), (400, Code::UpstreamError), (401, Code::UpstreamAuth), (404, Code::UpstreamError)];
        let more = [(429, Code::UpstreamError), (500, Code::UpstreamError)];
        // What is shown of a refusal is cut: half a credential must not be left.
        let padded = [485, 495, 505].map(|padding| (400, Code::UpstreamError, padding));
        for (status, code, padding) in statuses.into_iter().chain(more).map(|(status, code)| (status, code, 0)).chain(padded) {
            // A service that says everything it was told.
            let service = FakeService::start(move |request| {
                let (padding, target) = ("x".repeat(padding), &request.target);
                let told = format!("{padding} {target} {:?} is no place", request.header("authorization"));
                Reply::new(status, told).with("location", format!("https://elsewhere.example{}", request.target))
            })
            .await;
            self.expect(&service.url(), code).await;
            assert_eq!(service.received().len(), 1, "status {status} is asked for once");
        }
        let nobody = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
        self.expect(&format!("http://{nobody}"), Code::UpstreamUnreachable).await;
        self.expect(&format!("https://{}", says(b"HTTP/1.1 400 Bad Request\r\n\r\n").await), Code::UpstreamAuth).await;
        self.expect(&format!("http://{}", says(b"220 hello\r\n").await), Code::UpstreamProtocol).await;
        self.expect(&format!("http://{}", says(b"").await), Code::UpstreamTimeout).await;
    }

    async fn expect(&self, url: &str, code: Code) {
        let agent = self.open(url);
        let (text, cancel) = (self.arguments.to_string(), Cancel::new());
        // Only the silent service is waited for this long.
        let patience = Duration::from_millis(if code == Code::UpstreamTimeout { 50 } else { 20_000 });
        let fault = agent.call_until("send", &self.arguments, Instant::now() + patience, &cancel).await.unwrap_err();
        assert_eq!(fault.code, code, "{url} {text}: {fault:?}");
        silent(&fault, self.canaries);
    }

    fn open(&self, url: &str) -> Agent {
        let host = host(Arc::new(RecordingNetwork::default()));
        let credentials = (self.credentials)(url);
        let lent: Vec<_> = credentials.iter().map(|(name, value)| (*name, value.as_str())).collect();
        try_open_on(&host, self.kind, "a", None, &self.config, &lent).unwrap()
    }
}

/// Neither our own words nor those of the service show a canary.
pub(crate) fn silent(fault: &ToolFault, canaries: &[&str]) {
    for canary in canaries {
        assert!(!format!("{fault:?}").contains(canary), "{canary} in {fault:?}");
    }
}

/// A server that says `words` to everybody, whatever it hears, and keeps the line open.
async fn says(words: &'static [u8]) -> std::net::SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.write_all(words).await;
                let mut heard = Vec::new();
                let _ = stream.read_to_end(&mut heard).await;
            });
        }
    });
    address
}
