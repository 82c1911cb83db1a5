//! Fake upstream MCP servers of both eras that do what the test says and write down what arrived.

mod answers;
mod behaviour;
mod catalog;
mod fault;
pub(crate) mod http;
mod news;
mod offer;
mod record;
pub(crate) mod server;
mod stdio;
mod talk;
pub(crate) mod wire;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

pub use self::behaviour::{Act, BIG_BYTES_MAX, Behaviour, ENDLESS_BYTES_MAX, Eras, FakeTool, Fault, ProcessHabits};
pub use self::offer::{FakePrompt, FakeQuestion, FakeResource, News, Polling};
pub use self::record::Arrival;
use self::server::Server;

/// How long [`FakeUpstream::wait_for`] and [`StdioUpstream::wait_for`] wait before they end the test.
pub const ARRIVAL_WAIT: Duration = Duration::from_secs(20);

/// A fake server on a loopback port, with a thread of its own so that a test may block. Ends when dropped.
pub struct FakeUpstream {
    server: Arc<Server>,
    port: u16,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl FakeUpstream {
    /// Starts a server on a free port.
    #[must_use]
    pub fn start(behaviour: Behaviour) -> Self {
        Self::start_on(behaviour, 0)
    }

    /// Starts a server on the given port of 127.0.0.1.
    #[must_use]
    pub fn start_on(behaviour: Behaviour, port: u16) -> Self {
        let mut fake = Self { server: Arc::new(Server::new(behaviour)), port, stop: watch::channel(false).0, thread: None };
        fake.run();
        fake
    }

    fn run(&mut self) {
        let (told, hear) = std::sync::mpsc::sync_channel(1);
        let (server, stop, port) = (self.server.clone(), watch::channel(false).0, self.port);
        self.stop = stop.clone();
        let body = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime of the fake server");
            runtime.block_on(async move {
                let listener = http::bind(port).await.unwrap_or_else(|e| panic!("the fake server cannot listen on port {port}: {e}"));
                told.send(listener.local_addr().expect("bound address").port()).expect("the starter waits");
                http::serve(server, listener, stop).await;
            });
        };
        self.thread = Some(std::thread::Builder::new().name("fake-upstream".into()).spawn(body).expect("thread of the fake server"));
        self.port = hear.recv().expect("the fake server did not start");
    }

    /// The endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.port)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Changes what the server does from the next message on. Tools change silently: see [`FakeUpstream::announce`].
    pub fn set(&self, change: impl FnOnce(&mut Behaviour)) {
        self.server.set(change);
    }

    /// Sends `notifications/tools/list_changed` to every open stream.
    pub fn announce(&self) {
        self.tell(News::Tools);
    }

    /// Sends `notifications/resources/updated` to those who subscribed to the URI.
    pub fn update(&self, uri: &str) {
        self.tell(News::Updated(uri.to_owned()));
    }

    /// Tells every open stream that wants to know.
    pub fn tell(&self, news: News) {
        self.server.tell(news);
    }

    /// The URIs that sessions of the `initialize` era are subscribed to.
    #[must_use]
    pub fn subscribed(&self) -> Vec<String> {
        self.server.subscriptions().into_iter().map(|(_, uri)| uri).collect()
    }

    /// Streams on which somebody listens to news.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.server.record.listeners()
    }

    /// Blocks until exactly so many streams of news are open; ends the test after [`ARRIVAL_WAIT`].
    pub fn wait_for_listeners(&self, count: usize) {
        let reached = self.server.record.wait_for_listeners(ARRIVAL_WAIT, count);
        assert!(reached, "{count} streams of news were not open; there were {}", self.listeners());
    }

    /// Blocks until `count` messages of this method have arrived (`GET` for a stream that is continued); ends the test after
    /// [`ARRIVAL_WAIT`].
    pub fn wait_for_method(&self, method: &str, count: usize) {
        let reached = self.server.record.wait(ARRIVAL_WAIT, |arrivals, _| arrivals.iter().filter(|a| a.method == method).count() >= count);
        assert!(reached, "{count} messages {method} did not arrive; there were {}", self.count(method));
    }

    /// Sessions that were opened and not ended.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.server.sessions()
    }

    /// Forgets every session: later requests under the old ids get 404.
    pub fn forget_sessions(&self) {
        self.server.forget_sessions();
    }

    /// Everything that arrived, in order.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.server.record.arrivals()
    }

    /// The argument texts of the calls of `tool`, in order of arrival.
    #[must_use]
    pub fn calls(&self, tool: &str) -> Vec<String> {
        calls(&self.arrivals(), tool)
    }

    /// How many messages of this method arrived.
    #[must_use]
    pub fn count(&self, method: &str) -> usize {
        self.arrivals().iter().filter(|a| a.method == method).count()
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.server.connections.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Requests whose caller cancelled or went away before the answer.
    #[must_use]
    pub fn abandoned(&self) -> u64 {
        self.server.record.abandoned()
    }

    /// Forgets what arrived.
    pub fn clear(&self) {
        self.server.record.clear();
    }

    /// Blocks until `count` calls of `tool` have arrived; ends the test after [`ARRIVAL_WAIT`].
    pub fn wait_for(&self, tool: &str, count: usize) {
        let reached = self.server.record.wait(ARRIVAL_WAIT, |arrivals, _| calls(arrivals, tool).len() >= count);
        assert!(reached, "{count} calls of {tool} did not arrive; there were {}", self.calls(tool).len());
    }

    /// Blocks until `count` requests were abandoned; ends the test after [`ARRIVAL_WAIT`].
    pub fn wait_for_abandoned(&self, count: u64) {
        let reached = self.server.record.wait(ARRIVAL_WAIT, |_, abandoned| abandoned >= count);
        assert!(reached, "{count} requests were not abandoned; there were {}", self.abandoned());
    }

    /// Cuts every connection and stops listening. What arrived is kept.
    pub fn stop(&mut self) {
        // Also when the thread has not begun to listen for it.
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    /// Listens on the same port again, after [`FakeUpstream::stop`] or a crash.
    pub fn restart(&mut self) {
        self.stop();
        self.run();
    }
}

impl Drop for FakeUpstream {
    fn drop(&mut self) {
        self.stop();
    }
}

fn calls(arrivals: &[Arrival], tool: &str) -> Vec<String> {
    arrivals.iter().filter(|a| a.tool.as_deref() == Some(tool)).map(|a| a.arguments.clone().unwrap_or_default()).collect()
}

/// The command line of a fake stdio server and the file in which it writes down what arrived.
#[derive(Clone, Debug)]
pub struct StdioUpstream {
    program: PathBuf,
    behaviour: Behaviour,
    record: PathBuf,
}

impl StdioUpstream {
    /// A server that records into `record`, a file that need not exist.
    #[must_use]
    pub fn new(behaviour: Behaviour, record: &Path) -> Self {
        let behaviour = Behaviour { record_to: Some(record.to_owned()), ..behaviour };
        Self { program: crate::program::fake_upstream().to_owned(), behaviour, record: record.to_owned() }
    }

    /// The program to start.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Its arguments.
    #[must_use]
    pub fn args(&self) -> Vec<OsString> {
        vec!["--stdio".into(), serde_json::to_string(&self.behaviour).expect("a behaviour is JSON").into()]
    }

    /// Everything that arrived at any process started from this command line, in order.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Arrival> {
        record::read(&self.record)
    }

    /// The argument texts of the calls of `tool`, in order of arrival.
    #[must_use]
    pub fn calls(&self, tool: &str) -> Vec<String> {
        calls(&self.arrivals(), tool)
    }

    /// Blocks until `count` calls of `tool` have arrived; ends the test after [`ARRIVAL_WAIT`].
    #[allow(clippy::disallowed_methods, reason = "another process writes the file: there is no event to wait for")]
    pub fn wait_for(&self, tool: &str, count: usize) {
        let end = Instant::now() + ARRIVAL_WAIT;
        while self.calls(tool).len() < count {
            assert!(Instant::now() < end, "{count} calls of {tool} did not arrive; there were {}", self.calls(tool).len());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// `fake-upstream --stdio [BEHAVIOUR]` or `fake-upstream --listen PORT [BEHAVIOUR]`, the behaviour as JSON.
/// The second form prints `listening on URL` once it does, and serves until SIGTERM.
///
/// # Errors
/// Arguments that make no sense, and whatever the operating system refuses.
pub fn main(mut args: impl Iterator<Item = String>) -> std::io::Result<()> {
    let wrong = |why: &str| std::io::Error::new(std::io::ErrorKind::InvalidInput, why.to_owned());
    let mode = args.next().ok_or_else(|| wrong("--stdio or --listen is missing"))?;
    let port = match mode.as_str() {
        "--stdio" => None,
        "--listen" => Some(args.next().and_then(|p| p.parse::<u16>().ok()).ok_or_else(|| wrong("--listen needs a port"))?),
        _ => return Err(wrong("unknown argument")),
    };
    let behaviour = match args.next() {
        None => Behaviour::default(),
        Some(text) => serde_json::from_str(&text).map_err(|e| wrong(&format!("behaviour: {e}")))?,
    };
    let server = Arc::new(Server::new(behaviour));
    if let Some(path) = &server.scene().behaviour.record_to {
        server.record.write_to(path)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let Some(port) = port else { return stdio::serve(server).await };
        let listener = http::bind(port).await?;
        println!("listening on http://{}/mcp", listener.local_addr()?);
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            () = http::serve(server, listener, watch::channel(false).0) => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })?;
    // Standard input may be in the middle of a blocking read; nothing is left to be done.
    std::process::exit(0)
}
