//! Clients that listen: `subscriptions/listen`, the GET stream of sessions, two replicas on one database.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bailiwick_testkit::app::App;
use bailiwick_testkit::client::{Client, Era};
use bailiwick_testkit::upstream::{Behaviour, Eras, FakeTool, FakeUpstream};
use serde_json::{Value, json};

use crate::base::{Base, on_both, wait_for_tool};
use crate::scene::{client, port, started};

/// How soon a change has to be heard.
const HEARD_MAX: Duration = Duration::from_secs(1);
/// How long anything else may take.
const WAIT_MAX: Duration = Duration::from_secs(15);

on_both! { changes_are_heard_in_both_eras, a_stop_ends_the_streams }

/// An event stream on a connection of its own.
struct Ear(BufReader<TcpStream>);

impl Ear {
    fn open(app: &App, request: &str) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port(app))).unwrap();
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut ear = Self(BufReader::new(stream));
        let mut status = String::new();
        ear.0.read_line(&mut status).unwrap();
        assert!(status.contains(" 200 "), "{status}");
        ear
    }

    /// `subscriptions/listen` with this filter.
    fn listen(app: &App, key: &str, notifications: &Value) -> Self {
        let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
        let params = json!({"notifications": notifications, "_meta": meta});
        let body = json!({"jsonrpc": "2.0", "id": 77, "method": "subscriptions/listen", "params": params}).to_string();
        let headers = format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\nContent-Length: {}", body.len());
        Self::open(app, &format!("POST /mcp HTTP/1.1\r\n{}{headers}\r\n\r\n{body}", common(app, key)))
    }

    /// The GET stream of a session.
    fn get(app: &App, key: &str, session: &str) -> Self {
        Self::open(app, &format!("GET /mcp HTTP/1.1\r\n{}Mcp-Session-Id: {session}\r\n\r\n", common(app, key)))
    }

    /// The next message; `None` at the end of the stream.
    fn next(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).ok()? == 0 {
                return None;
            }
            // Without data: what a stream of 2025-11-25 begins with.
            if let Some(data) = line.strip_prefix("data:").filter(|data| !data.trim().is_empty()) {
                return Some(serde_json::from_str(data).unwrap());
            }
            if line.trim() == "0" {
                return None;
            }
        }
    }

    /// The next message with this method.
    fn until(&mut self, method: &str) -> Value {
        loop {
            let message = self.next().unwrap_or_else(|| panic!("the stream ended before {method}"));
            if message["method"] == method {
                return message;
            }
        }
    }
}

fn common(app: &App, key: &str) -> String {
    format!(
        "Host: 127.0.0.1:{}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n",
        port(app)
    )
}

async fn session(app: &App, key: &str) -> Client {
    let client = client(app, key, Era::LEGACY);
    client.open().await.unwrap();
    client
}

/// A server of the `initialize` era, which is told of each resource that somebody watches.
fn old_server() -> FakeUpstream {
    FakeUpstream::start(Behaviour { eras: Eras::Legacy, sessions: true, ..Behaviour::rich() })
}

/// Another list of tools, announced.
fn change_tools(upstream: &FakeUpstream, name: &str) {
    upstream.set(|behaviour| behaviour.tools.push(FakeTool::new(name, bailiwick_testkit::upstream::Act::Echo)));
    upstream.announce();
}

async fn wait_for_subscriptions(upstream: &FakeUpstream, uris: &[&str]) {
    let began = Instant::now();
    while !uris.iter().all(|uri| upstream.subscribed().iter().any(|known| known == uri)) {
        assert!(began.elapsed() < WAIT_MAX, "{:?}", upstream.subscribed());
        tokio::task::yield_now().await;
    }
}

async fn changes_are_heard_in_both_eras(base: &Base<'_>) {
    let upstream = old_server();
    let (app, [key]) = started(base.setup_before(&upstream), [("w-1", "worker")]);
    wait_for_tool(&client(&app, &key, Era::Modern), "fake__echo").await;
    let mut modern = Ear::listen(&app, &key, &json!({"toolsListChanged": true, "resourceSubscriptions": ["note://one", "none://x"]}));
    let acknowledged = modern.next().unwrap();
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(acknowledged["params"]["notifications"]["toolsListChanged"], true);
    assert_eq!(acknowledged["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 77);
    let legacy = session(&app, &key).await;
    let mut old = Ear::get(&app, &key, &legacy.session().unwrap());
    legacy.request("resources/subscribe", json!({"uri": "note://two"})).await.unwrap();
    upstream.wait_for_listeners(1);

    change_tools(&upstream, "fresh");
    let began = Instant::now();
    let heard = modern.until("notifications/tools/list_changed");
    assert_eq!(heard["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 77);
    old.until("notifications/tools/list_changed");
    assert!(began.elapsed() < HEARD_MAX, "heard after {:?}", began.elapsed());
    wait_for_tool(&client(&app, &key, Era::Modern), "fake__fresh").await;

    // A subscription of a session is taken up within a second, and the server hears of it shortly after.
    wait_for_subscriptions(&upstream, &["note://one", "note://two"]).await;
    upstream.update("note://one");
    upstream.update("note://two");
    assert_eq!(modern.until("notifications/resources/updated")["params"]["uri"], "note://one");
    assert_eq!(old.until("notifications/resources/updated")["params"]["uri"], "note://two");
}

async fn a_stop_ends_the_streams(base: &Base<'_>) {
    let upstream = FakeUpstream::start(Behaviour::rich());
    let (mut app, [key]) = started(base.setup_before(&upstream), [("w-1", "worker")]);
    wait_for_tool(&client(&app, &key, Era::Modern), "fake__echo").await;
    let mut modern = Ear::listen(&app, &key, &json!({"toolsListChanged": true}));
    modern.next().unwrap();
    let legacy = session(&app, &key).await;
    let mut old = Ear::get(&app, &key, &legacy.session().unwrap());
    let began = Instant::now();
    assert_eq!(app.terminate().code(), Some(0), "{}", app.stderr());
    assert!(began.elapsed() < Duration::from_secs(5), "the streams held the stop up for {:?}", began.elapsed());
    let last = modern.next().unwrap();
    assert_eq!((&last["id"], &last["result"]["resultType"]), (&json!(77), &json!("complete")), "{last}");
    assert!(old.next().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_at_another_replica_and_both_hear_of_changes_on_postgres() {
    let Some(base) = Base::postgres("a_session_goes_on_at_another_replica") else { return };
    let upstream = old_server();
    let (first, [key]) = started(base.setup_before(&upstream), [("w-1", "worker")]);
    let second = base.setup_before(&upstream).file("root.key", &first.place().read("root.key")).start();
    for app in [&first, &second] {
        wait_for_tool(&client(app, &key, Era::Modern), "fake__echo").await;
    }
    let begun = session(&first, &key).await;
    let id = begun.session().unwrap();
    begun.request("logging/setLevel", json!({"level": "info"})).await.unwrap();
    let there = client(&second, &key, Era::LEGACY).header("mcp-session-id", &id);
    let echoed = there.call("fake__echo", json!({"payload": "still here"})).await.unwrap();
    assert_eq!(echoed["content"][0]["text"], "still here");
    // Watched at one replica, heard at the other.
    begun.request("resources/subscribe", json!({"uri": "note://one"})).await.unwrap();
    let mut ears = [Ear::get(&second, &key, &id), Ear::listen(&first, &key, &json!({"toolsListChanged": true}))];
    let mut other = Ear::listen(&second, &key, &json!({"toolsListChanged": true}));
    ears[1].next().unwrap();
    other.next().unwrap();
    upstream.wait_for_listeners(2);
    change_tools(&upstream, "fresh");
    let began = Instant::now();
    for ear in ears.iter_mut().chain([&mut other]) {
        ear.until("notifications/tools/list_changed");
    }
    assert!(began.elapsed() < HEARD_MAX, "heard after {:?}", began.elapsed());
    wait_for_subscriptions(&upstream, &["note://one"]).await;
    upstream.update("note://one");
    assert_eq!(ears[0].until("notifications/resources/updated")["params"]["uri"], "note://one");
}
