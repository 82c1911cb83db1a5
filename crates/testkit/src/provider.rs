//! A fake provider on a loopback port: an MCP server that wants tokens, and the authorization server that gives them, with the habits of real ones.
//! It does what the test says, at once, and keeps everything that it was sent.

mod authorize;
mod documents;
mod habits;
mod http;
mod ledger;
mod register;
mod repeat;
mod token;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::watch;
use url::Url;

pub use self::habits::{Habits, IssuerPlace, KnownClient, RefreshRule, ResourcePlaces, Revocation, words};
use self::ledger::Ledger;
pub use self::ledger::Sent;
use crate::upstream::http as mcp;
use crate::upstream::server::Server;

/// A provider; ends when dropped.
pub struct Provider {
    desk: Arc<Desk>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// What all requests share.
struct Desk {
    habits: Mutex<Habits>,
    ledger: Mutex<Ledger>,
    mcp: Arc<Server>,
    port: u16,
}

impl Desk {
    fn habits(&self) -> Habits {
        self.habits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn issuer(&self, habits: &Habits) -> String {
        habits.issuer_says.clone().unwrap_or_else(|| format!("{}{}", self.origin(), habits.issuer_path))
    }

    fn resource(&self, habits: &Habits) -> String {
        habits.resource_says.clone().unwrap_or_else(|| format!("{}{}", self.origin(), habits.mcp_path))
    }
}

impl Provider {
    /// Starts a provider on a free port.
    #[must_use]
    pub fn start(habits: Habits) -> Self {
        let (told, hear) = std::sync::mpsc::sync_channel(1);
        let stop = watch::channel(false).0;
        let body = {
            let stop = stop.clone();
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime of the fake provider");
                runtime.block_on(async move {
                    let listener = mcp::bind(0).await.expect("a free port for the fake provider");
                    let port = listener.local_addr().expect("bound address").port();
                    let server = Arc::new(Server::new(habits.behaviour.clone()));
                    let desk = Arc::new(Desk { habits: Mutex::new(habits), ledger: Mutex::default(), mcp: server, port });
                    told.send(desk.clone()).expect("the starter waits");
                    http::serve(desk, listener, stop).await;
                });
            }
        };
        let thread = std::thread::Builder::new().name("fake-provider".into()).spawn(body).expect("thread of the fake provider");
        let desk = hear.recv().expect("the fake provider did not start");
        Self { desk, stop, thread: Some(thread) }
    }

    /// The MCP endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.desk.origin(), self.desk.habits().mcp_path)
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn origin(&self) -> String {
        self.desk.origin()
    }

    /// The issuer, as it calls itself.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.desk.issuer(&self.desk.habits())
    }

    /// Changes habits from the next request on; the MCP server keeps its behaviour.
    pub fn set(&self, change: impl FnOnce(&mut Habits)) {
        change(&mut self.desk.habits.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Lets the address of a client metadata document lead to `document`.
    pub fn publish(&self, address: &str, document: serde_json::Value) {
        self.desk.ledger().documents.insert(address.to_owned(), document);
    }

    /// Ends every access token.
    pub fn expire_access_tokens(&self) {
        self.desk.ledger().expire_access_tokens();
    }

    /// Revokes every family, as a person would on the provider's page.
    pub fn revoke_everything(&self) {
        self.desk.ledger().revoke_everything();
    }

    /// Forgets every client that was registered by request.
    pub fn forget_clients(&self) {
        self.desk.ledger().clients.clear();
    }

    /// Carries out the next so many refreshes, and cuts the connection instead of answering.
    pub fn lose_refresh_replies(&self, count: u32) {
        self.desk.ledger().losing = count;
    }

    /// Whether a token would be taken at the MCP endpoint.
    #[must_use]
    pub fn accepts(&self, access_token: &str) -> bool {
        self.desk.ledger().scopes_of(access_token).is_some()
    }

    /// Every code, token and client secret that was handed out, in order.
    #[must_use]
    pub fn minted(&self) -> Vec<String> {
        self.desk.ledger().minted.clone()
    }

    /// Families of tokens that were revoked, by whomever.
    #[must_use]
    pub fn revoked_families(&self) -> usize {
        self.desk.ledger().revoked_families()
    }

    /// Everything that was sent here, in order; MCP messages as well.
    #[must_use]
    pub fn sent(&self) -> Vec<Sent> {
        self.desk.ledger().sent.clone()
    }

    /// What was sent to one path, in order.
    #[must_use]
    pub fn sent_to(&self, path: &str) -> Vec<Sent> {
        self.sent().into_iter().filter(|sent| sent.path == path).collect()
    }

    /// The token requests of one grant type, in order.
    #[must_use]
    pub fn grants(&self, grant_type: &str) -> Vec<Sent> {
        self.sent().into_iter().filter(|sent| sent.method == "POST" && sent.field("grant_type") == Some(grant_type)).collect()
    }

    /// Messages that reached the MCP server behind its door.
    #[must_use]
    pub fn mcp_arrivals(&self) -> Vec<crate::upstream::Arrival> {
        self.desk.mcp.record.arrivals()
    }

    /// Opens an authorization address as a browser would, and agrees. Gives the address that the browser is sent back to, which it does not open.
    #[must_use]
    pub fn approve(&self, authorization_url: &str) -> String {
        self.decide(authorization_url, "approve")
    }

    /// The same, and refuses.
    #[must_use]
    pub fn deny(&self, authorization_url: &str) -> String {
        self.decide(authorization_url, "deny")
    }

    fn decide(&self, authorization_url: &str, decision: &str) -> String {
        let url = Url::parse(authorization_url).expect("an authorization address");
        assert_eq!(format!("{}://{}", url.scheme(), url.authority()), self.origin(), "the address leads elsewhere");
        let (status, location, page) = self.browse("GET", &format!("{}?{}", url.path(), url.query().unwrap_or_default()));
        if let Some(location) = location {
            return location;
        }
        assert_eq!(status, 200, "the authorization page: {page}");
        let request = page.split("data-request=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a form on the page").to_owned();
        let (status, location, page) = self.browse("POST", &format!("{}/decide?request={request}&decision={decision}", url.path()));
        assert_eq!(status, 302, "the decision: {page}");
        location.expect("a redirect")
    }

    /// One request of a browser: status, `Location`, body.
    fn browse(&self, method: &str, target: &str) -> (u16, Option<String>, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.desk.port)).expect("the fake provider listens");
        let head = format!("{method} {target} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("a request");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let location = head.lines().find_map(|line| line.strip_prefix("location: ")).map(str::to_owned);
        (status, location, body.to_owned())
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
