//! The HTTP endpoint of a house on a loopback port, for clients that speak HTTP.

use bailiwick_gateway::Gateway;
use bailiwick_testkit::client::{Client, Era};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// A listening door; it is gone with the runtime.
pub(crate) struct Door {
    url: String,
}

impl Door {
    pub(crate) async fn open(gateway: &Gateway) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://127.0.0.1:{}/mcp", listener.local_addr().unwrap().port());
        let gateway = gateway.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let gateway = gateway.clone();
                let answer = service_fn(move |request| {
                    let gateway = gateway.clone();
                    async move { Ok::<_, std::convert::Infallible>(gateway.http(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
        Self { url }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A client with this key, greeted.
    pub(crate) async fn client(&self, era: Era, key: &str) -> Client {
        let client = Client::http(&self.url, era).bearer(key);
        client.open().await.unwrap();
        client
    }
}
