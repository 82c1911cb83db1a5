//! What several stories need.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// No answer of a test takes longer; a hang becomes a failure.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// A client that writes bytes as they are and reads until a text has come or the server closes.
pub(crate) struct RawClient(TcpStream);

impl RawClient {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(ANSWER_MAX)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until `end` has been seen, or the connection ends.
    pub(crate) fn read_until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        let mut chunk = [0; 4096];
        while !String::from_utf8_lossy(&text).contains(end) {
            match self.0.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => text.extend_from_slice(&chunk[..count]),
                Err(cause) if cause.kind() == io::ErrorKind::ConnectionReset => break,
                Err(cause) => panic!("no answer: {cause}; so far: {}", String::from_utf8_lossy(&text)),
            }
        }
        String::from_utf8(text).unwrap()
    }

    /// Reads until the server closes.
    pub(crate) fn read_to_end(&mut self) -> String {
        self.read_until("\u{0}never\u{0}")
    }
}
