//! A Redis of the test's own on a loopback port, in a directory of its own; ends with the test.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bailiwick_testkit::needs::{needs, program_on_path};
use tempfile::TempDir;

const READY_WAIT: Duration = Duration::from_secs(20);

pub(crate) struct RedisServer {
    pub(crate) url: String,
    port: u16,
    child: Child,
    _dir: TempDir,
}

impl RedisServer {
    /// `None`, with a line that says so, on a machine without Redis.
    pub(crate) fn start() -> Option<Self> {
        let program = needs("redis-server", program_on_path("redis-server"))?;
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no", "--dir"]).arg(dir.path());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { url: format!("redis://127.0.0.1:{port}"), port, child, _dir: dir };
        let until = Instant::now() + READY_WAIT;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "redis-server did not start");
            std::thread::yield_now();
        }
        Some(server)
    }

    /// What the server's own client prints.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
