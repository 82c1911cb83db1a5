//! The program `bailiwick` as a child process: started, asked, killed, restarted.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::place::Place;

/// How long [`App`] waits for the program to be ready.
pub const READY_WAIT: Duration = Duration::from_secs(30);
/// How long [`App::terminate`] waits for a graceful end.
pub const END_WAIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);
/// Standard error kept; what comes after is read and dropped.
const STDERR_BYTES_MAX: usize = 8 << 20;

/// What to start; see [`App::program`].
#[must_use]
pub struct AppSetup {
    program: PathBuf,
    place: Place,
    port: u16,
    environment: Vec<(OsString, OsString)>,
    config: PathBuf,
}

/// `bailiwick serve` in a private directory, on a loopback port of its own. Killed when dropped.
pub struct App {
    setup: AppSetup,
    child: Option<Child>,
    stderr: Words,
}

/// Standard error of a child, read by a thread of its own.
#[derive(Default)]
struct Words {
    kept: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl App {
    /// Prepares a start of `program` (tests of the package `bailiwick` give `env!("CARGO_BIN_EXE_bailiwick")`).
    pub fn program(program: impl Into<PathBuf>) -> AppSetup {
        let place = Place::new();
        let config = place.join("bailiwick.yml");
        AppSetup { program: program.into(), place, port: free_port(), environment: Vec::new(), config }
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.setup.base_url()
    }

    /// The MCP endpoint at its default path.
    #[must_use]
    pub fn mcp_url(&self) -> String {
        format!("{}/mcp", self.base_url())
    }

    /// The private directory: configuration, manifests, and the state directory if the configuration says `{dir}/...`.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.setup.place
    }

    /// Process id of the running program.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// What the program has written to standard error since its last start.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// `bailiwick ARGS --config FILE`, run to its end beside the server.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Output {
        self.setup.command(args)
    }

    /// A fresh API key for this agent; the test ends when `key create` fails.
    #[must_use]
    pub fn key(&self, agent_id: &str, agent_type: &str) -> String {
        self.setup.key(agent_id, agent_type)
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM, and waits for a graceful end; the test ends when there is none within [`END_WAIT`].
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait_for_end()
    }

    /// Sends a signal to the running program.
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("the program runs");
        let pid = Pid::from_raw(child.id().cast_signed()).expect("a process id");
        kill_process(pid, signal).expect("a signal to our own child");
    }

    /// Waits for the program to end by itself.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the program runs");
        match poll(END_WAIT, || child.try_wait().expect("state of the child")) {
            Some(status) => {
                self.stderr.wait();
                status
            }
            None => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the program did not end within {END_WAIT:?}\n{}", self.stderr())
            }
        }
    }

    /// Starts the program again with the same configuration, port and directory, after [`App::kill`] or [`App::terminate`].
    /// Gives the time until it was ready.
    pub fn restart(&mut self) -> Duration {
        assert!(self.child.is_none(), "the program still runs");
        self.launch()
    }

    fn launch(&mut self) -> Duration {
        let begun = Instant::now();
        let mut child = self.setup.serve().spawn().unwrap_or_else(|e| panic!("{}: {e}", self.setup.program.display()));
        self.stderr = Words::keep(child.stderr.take().expect("a pipe"));
        self.child = Some(child);
        let url = self.base_url();
        let ready = poll(READY_WAIT, || match self.child.as_mut().and_then(|c| c.try_wait().ok().flatten()) {
            Some(status) => Some(Err(status)),
            None => (http_status(self.setup.port, "/readyz") == Some(200)).then_some(Ok(())),
        });
        match ready {
            Some(Ok(())) => begun.elapsed(),
            Some(Err(status)) => {
                self.stderr.wait();
                panic!("the program ended at its start with {status}\n{}", self.stderr())
            }
            None => panic!("{url}/readyz did not answer 200 within {READY_WAIT:?}\n{}", self.stderr()),
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.kill();
    }
}

impl AppSetup {
    /// The private directory, for files that the configuration names.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Writes `bailiwick.yml`; `{dir}` stands for the private directory and `{port}` for the port.
    pub fn config(self, text: &str) -> Self {
        let text = self.fill(text);
        self.place.file("bailiwick.yml", text);
        self
    }

    /// Writes another file below the private directory, with the same two placeholders.
    pub fn file(self, name: &str, text: &str) -> Self {
        let text = self.fill(text);
        self.place.file(name, text);
        self
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{dir}", &self.place.path().to_string_lossy()).replace("{port}", &self.port.to_string())
    }

    /// Sets a variable. The program sees only `PATH`, `HOME`, which is the private directory, and what is set here.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// A fresh API key, created before the start.
    #[must_use]
    pub fn key(&self, agent_id: &str, agent_type: &str) -> String {
        let output = self.command(&["key", "create", "--agent-id", agent_id, "--agent-type", agent_type]);
        assert!(output.status.success(), "key create: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        // The last word of the output, so that a label before it does no harm.
        let text = String::from_utf8(output.stdout).expect("text");
        text.split_whitespace().last().expect("a token on standard output").to_owned()
    }

    /// `bailiwick ARGS --config FILE`, run to its end.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Output {
        let mut command = self.base();
        command.args(args).arg("--config").arg(&self.config);
        command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{}: {e}", self.program.display()))
    }

    /// Starts the server and waits until `/readyz` answers 200; the test ends with its standard error when it does not.
    #[must_use]
    pub fn start(self) -> App {
        let mut app = App { setup: self, child: None, stderr: Words::default() };
        app.launch();
        app
    }

    /// Runs the server and expects it to end by itself within [`END_WAIT`]: for configurations that must be refused.
    #[must_use]
    pub fn refused(self) -> Output {
        let mut child = self.serve().stdout(Stdio::piped()).spawn().unwrap_or_else(|e| panic!("{}: {e}", self.program.display()));
        let stderr = Words::keep(child.stderr.take().expect("a pipe"));
        let Some(status) = poll(END_WAIT, || child.try_wait().expect("state of the child")) else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the program runs although it should refuse to\n{}", stderr.text())
        };
        stderr.wait();
        let mut stdout = Vec::new();
        let _ = child.stdout.take().expect("a pipe").read_to_end(&mut stdout);
        Output { status, stdout, stderr: stderr.text().into_bytes() }
    }

    fn serve(&self) -> Command {
        let mut command = self.base();
        command.arg("serve").arg("--config").arg(&self.config);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn base(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().envs(crate::needs::variable("PATH").map(|path| ("PATH", path))).env("HOME", self.place.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).current_dir(self.place.path());
        command
    }
}

/// Whether the program ended through this signal.
#[must_use]
pub fn ended_by(status: ExitStatus, signal: Signal) -> bool {
    status.signal() == Some(signal.as_raw())
}

/// A port that nobody listened on a moment ago.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).expect("a free loopback port").port()
}

/// Status of `GET path` on a loopback port; none while nobody answers.
#[must_use]
pub fn http_status(port: u16, path: &str) -> Option<u16> {
    const ANSWER: Duration = Duration::from_secs(5);
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    socket.set_read_timeout(Some(ANSWER)).ok()?;
    write!(socket, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").ok()?;
    let mut line = String::new();
    BufReader::new(socket.take(1024)).read_line(&mut line).ok()?;
    line.split(' ').nth(1)?.parse().ok()
}

/// Asks again and again until there is an answer or `limit` has passed.
#[allow(clippy::disallowed_methods, reason = "the state of another process: there is no event to wait for")]
pub fn poll<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(POLL);
    }
}

impl Words {
    fn keep(mut pipe: impl std::io::Read + Send + 'static) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let into = kept.clone();
        let body = move || {
            let mut part = vec![0; 16 << 10];
            while let Ok(length @ 1..) = pipe.read(&mut part) {
                let mut kept = into.lock().unwrap_or_else(PoisonError::into_inner);
                let room = STDERR_BYTES_MAX.saturating_sub(kept.len()).min(length);
                kept.extend_from_slice(&part[..room]);
            }
        };
        let reader = std::thread::Builder::new().name("stderr".into()).spawn(body).expect("a thread");
        Self { kept, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Until everything is read. Not for ever: a grandchild that lives on holds the pipe open.
    fn wait(&self) {
        const LAST_WORDS: Duration = Duration::from_secs(2);
        if let Some(reader) = &self.reader {
            poll(LAST_WORDS, || reader.is_finished().then_some(()));
        }
    }
}

/// A `Command` for `bailiwick run --manifest FILE` under the given identity, to be given to
/// [`Client::stdio`](crate::client::Client::stdio). It sees `PATH`, the identity and `HOME`, which is `place`.
#[must_use]
pub fn run_command(program: &Path, manifest: &Path, agent_id: &str, agent_type: &str, place: &Place) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(program);
    command.arg("run").arg("--manifest").arg(manifest).env_clear().envs(crate::needs::variable("PATH").map(|path| ("PATH", path)));
    command.env("AGENT_ID", agent_id).env("AGENT_TYPE", agent_type).env("HOME", place.path()).current_dir(place.path());
    command
}
