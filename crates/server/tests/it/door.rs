//! The HTTP door with a stand-in behind it: routes, limits, deadlines, stopping.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bailiwick_server::http::{Door, Endpoint, Health, HttpLimits, Part, StopSwitch};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::support::RawClient;

/// Echoes the request; `/mcp?wait` waits for a permission; `/mcp?panic` panics.
#[derive(Clone, Default)]
struct Echo {
    entered: Arc<Notify>,
    release: Arc<Notify>,
    unready: Arc<AtomicBool>,
}

impl Endpoint for Echo {
    type Answer = Full<Bytes>;

    async fn mcp(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        match head.uri.query() {
            Some("wait") => {
                self.entered.notify_one();
                self.release.notified().await;
            }
            Some("panic") => panic!("as asked"),
            _ => {}
        }
        let text = match body.collect().await {
            Ok(body) => format!("{} {} {}", head.method, head.uri.path(), body.to_bytes().len()),
            Err(cause) => format!("failed: {cause}"),
        };
        Response::new(Full::new(text.into()))
    }

    async fn health(&self) -> Health {
        let ok = !self.unready.load(Relaxed);
        Health { ready: ok, parts: vec![Part { name: "database".into(), ok }], degraded: false, counts: vec![("servers".into(), 2)] }
    }
}

struct Running {
    address: SocketAddr,
    stop: StopSwitch,
    echo: Echo,
    task: JoinHandle<()>,
}

fn start(limits: HttpLimits) -> Running {
    let door = Door::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (stop, echo) = (StopSwitch::default(), Echo::default());
    let address = door.address();
    let (endpoint, switch) = (echo.clone(), stop.clone());
    let task = tokio::spawn(async move { door.serve(endpoint, "/mcp", limits, switch).await });
    Running { address, stop, echo, task }
}

impl Running {
    /// Runs a blocking client beside the door.
    async fn client<T: Send + 'static>(&self, story: impl FnOnce(RawClient) -> T + Send + 'static) -> T {
        let address = self.address;
        tokio::task::spawn_blocking(move || story(RawClient::connect(address))).await.unwrap()
    }

    /// Waits, on a client's thread, until a request to `/mcp?wait` is being answered.
    fn entered(&self) -> impl FnOnce() + Send + 'static {
        let (runtime, entered) = (tokio::runtime::Handle::current(), Arc::clone(&self.echo.entered));
        move || runtime.block_on(entered.notified())
    }

    async fn answer(&self, request: &'static str) -> String {
        self.client(move |mut client| {
            client.send(request);
            client.read_to_end()
        })
        .await
    }
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoint_answers_with_and_without_a_trailing_slash_and_nothing_else_does() {
    let door = start(HttpLimits::default());
    let get = async |request| door.answer(request).await;
    let plain = get("POST /mcp HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc").await;
    assert_eq!((status(&plain), body(&plain)), ("200", "POST /mcp 3"));
    let slash = get("DELETE /mcp/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert_eq!((status(&slash), body(&slash)), ("200", "DELETE /mcp/ 0"));
    for other in [
        "POST /register HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
        "GET /.well-known/oauth-protected-resource/mcp HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        "GET /mcp/.well-known/openid-configuration HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        "GET /mcpx HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    ] {
        let answer = get(other).await;
        assert_eq!(status(&answer), "404", "{other}");
        assert!(answer.contains("content-type: application/json"), "{answer}");
        assert_eq!(body(&answer), r#"{"code":"not_found","message":"nothing is served at this path"}"#);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_what_probes_need() {
    let door = start(HttpLimits::default());
    let get = async |request| door.answer(request).await;
    let live = get("GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert_eq!((status(&live), body(&live)), ("200", r#"{"status":"ok"}"#));
    let ready = get("GET /readyz?verbose HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert_eq!((status(&ready), body(&ready)), ("200", r#"{"parts":[{"name":"database","ok":true}],"status":"ok"}"#));
    door.echo.unready.store(true, Relaxed);
    let unready = get("GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert_eq!((status(&unready), body(&unready)), ("503", r#"{"status":"unavailable"}"#));
    let counts = get("GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert_eq!((status(&counts), body(&counts)), ("503", r#"{"parts":1,"parts_degraded":1,"servers":2,"status":"degraded"}"#));
    let wrong = get("POST /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(status(&wrong), "405");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_costs_one_request_only() {
    let door = start(HttpLimits::default());
    let broken = door.answer("POST /mcp?panic HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(
        (status(&broken), body(&broken)),
        ("500", r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"internal error"}}"#)
    );
    let next = door.answer("GET /mcp HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert_eq!(status(&next), "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_limited_in_size_and_number() {
    let door = start(HttpLimits::default());
    for (bytes, expected) in [(20 << 10, "200"), (40 << 10, "431")] {
        let long = format!("GET /mcp HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-long: {}\r\n\r\n", "a".repeat(bytes));
        let answer = door
            .client(move |mut client| {
                client.send(&long);
                client.read_to_end()
            })
            .await;
        assert_eq!(status(&answer), expected, "{bytes}");
    }
    for (count, expected) in [(90, "200"), (110, "431")] {
        let many = format!("GET /mcp HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{}\r\n", "x-a: b\r\n".repeat(count));
        let answer = door
            .client(move |mut client| {
                client.send(&many);
                client.read_to_end()
            })
            .await;
        assert_eq!(status(&answer), expected, "{count}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_hear_429_and_a_freed_place_is_used_again() {
    for limits in [HttpLimits { connections_max: 1, ..Default::default() }, HttpLimits { connections_per_ip_max: 1, ..Default::default() }]
    {
        let door = start(limits);
        let address = door.address;
        door.client(move |mut first| {
            first.send("GET /mcp HTTP/1.1\r\nhost: x\r\n\r\n");
            assert!(first.read_until("GET /mcp 0").starts_with("HTTP/1.1 200"));
            let mut second = RawClient::connect(address);
            second.send("GET /mcp HTTP/1.1\r\nhost: x\r\n\r\n");
            let refused = second.read_to_end();
            assert_eq!((status(&refused), body(&refused)), ("429", "{\"code\":\"rate_limited\",\"message\":\"too many connections\"}"));
            let length = body(&refused).len();
            assert!(refused.contains(&format!("content-length: {length}\r\n")), "{refused}");
            first.send("GET /mcp HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            first.read_to_end();
            // The server frees the place right after it closes; a new try may still come too early.
            let freed = (0..200).any(|_| {
                let mut third = RawClient::connect(address);
                third.send("GET /mcp HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
                status(&third.read_to_end()) == "200"
            });
            assert!(freed);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_and_idle_connections_end() {
    let short = Duration::from_millis(60);
    let long = Duration::from_secs(3600);
    let head = start(HttpLimits { head_read_max: short, idle_max: long, ..Default::default() });
    let answer = head.answer("GET /mcp HT").await;
    assert_eq!(answer, "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(head.answer("").await, "", "a connection that never says anything is closed without a word");
    // A second request's head has the same deadline although the idle limit is an hour.
    let second = head
        .client(|mut client| {
            client.send("GET /mcp HTTP/1.1\r\nhost: x\r\n\r\n");
            client.read_until("GET /mcp 0");
            client.send("GET");
            client.read_to_end()
        })
        .await;
    assert!(second.starts_with("HTTP/1.1 408"), "{second}");

    let idle = start(HttpLimits { idle_max: short, head_read_max: long, ..Default::default() });
    let answer = idle.answer("GET /mcp HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.ends_with("GET /mcp 0"), "answered, then closed without another word: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_may_outlive_the_head_limit() {
    let door = start(HttpLimits { head_read_max: Duration::from_millis(100), ..Default::default() });
    let address = door.address;
    door.client(move |mut client| {
        client.send("GET /mcp HTTP/1.1\r\nhost: x\r\n\r\n");
        client.read_until("GET /mcp 0");
        // The clock of this test: another connection that waits for the whole head limit.
        let mut slow = RawClient::connect(address);
        slow.send("GET");
        assert_eq!(status(&slow.read_to_end()), "408");
        client.send("GET /mcp HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        assert_eq!(status(&client.read_to_end()), "200");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_closes_the_listener_at_once_and_lets_answers_finish() {
    let door = start(HttpLimits::default());
    let (address, stop, release) = (door.address, door.stop.clone(), Arc::clone(&door.echo.release));
    let entered = door.entered();
    let waiting = door.client(move |mut client| {
        client.send("GET /mcp?wait HTTP/1.1\r\nhost: x\r\n\r\n");
        entered();
        let mut idle = RawClient::connect(address);
        idle.send("GET /mcp HTTP/1.1\r\nhost: x\r\n\r\n");
        idle.read_until("GET /mcp 0");
        stop.drain();
        assert_eq!(idle.read_to_end(), "", "an idle connection is closed");
        // The switch is thrown, the listener's task may not have run yet.
        assert!((0..1000).any(|_| std::net::TcpStream::connect(address).is_err()), "nobody new");
        release.notify_one();
        client.read_to_end()
    });
    let answer = waiting.await;
    // Read to the end, so the connection was closed. Whether the answer announces that depends on which of its task's two wake-ups,
    // the switch or the answer, comes first.
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nGET /mcp 0"), "{answer}");
    door.task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn cutting_ends_what_does_not_end_by_itself() {
    let door = start(HttpLimits::default());
    let (stop, entered) = (door.stop.clone(), door.entered());
    let cut = door.client(move |mut client| {
        client.send("GET /mcp?wait HTTP/1.1\r\nhost: x\r\n\r\n");
        entered();
        stop.drain();
        stop.cut();
        client.read_to_end()
    });
    assert_eq!(cut.await, "");
    door.task.await.unwrap();
}

#[test]
fn a_port_in_use_is_named_with_the_remedy() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let failure = Door::bind(address).err().unwrap();
    assert_eq!(
        failure.to_string(),
        format!(
            "error: cannot listen on `{address}`: Address already in use (os error 98)\n\
             hint: another program holds this port; stop it, or set `listen` to another port (0 takes a free one)"
        )
    );
}
