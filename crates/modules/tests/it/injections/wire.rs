//! Keeps every byte that goes out, and reads the bytes without a trace of leniency.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bailiwick_modules::Pending;
use bailiwick_modules::egress::{Network, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of one connection.
type Kept = Arc<Mutex<Vec<u8>>>;

/// A network before another one.
pub(super) struct Tap {
    inner: Arc<dyn Network>,
    resolved: Mutex<u32>,
    connections: Arc<Mutex<Vec<Kept>>>,
}

impl Tap {
    pub(super) fn new(inner: Arc<dyn Network>) -> Self {
        Self { inner, resolved: Mutex::default(), connections: Arc::default() }
    }

    /// Whether nobody was asked anything, not even a name server.
    pub(super) fn is_silent(&self) -> bool {
        *self.resolved.lock().unwrap() == 0 && self.connections.lock().unwrap().is_empty()
    }

    /// What went out, connection by connection.
    pub(super) fn bytes(&self) -> Vec<Vec<u8>> {
        self.connections.lock().unwrap().iter().map(|kept| kept.lock().unwrap().clone()).collect()
    }
}

impl Network for Tap {
    fn resolve<'a>(&'a self, host: &'a str) -> Pending<'a, io::Result<Vec<IpAddr>>> {
        *self.resolved.lock().unwrap() += 1;
        self.inner.resolve(host)
    }

    fn connect(&self, address: SocketAddr) -> Pending<'_, io::Result<Box<dyn Stream>>> {
        let kept = Kept::default();
        self.connections.lock().unwrap().push(kept.clone());
        Box::pin(async move { Ok(Box::new(Tapped { inner: self.inner.connect(address).await?, kept }) as Box<dyn Stream>) })
    }
}

struct Tapped {
    inner: Box<dyn Stream>,
    kept: Kept,
}

impl AsyncRead for Tapped {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.kept.lock().unwrap().extend_from_slice(&bytes[..count]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// One request as it stands on the wire.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The whole request line.
    pub(super) line: String,
    /// Sorted; names as they are written.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// The requests of one connection.
///
/// # Errors
/// Anything beside requests that every server reads alike: a byte that is not printable ASCII in a head, a line that is no header, two
/// lengths, bytes behind the last request.
pub(super) fn requests(bytes: &[u8]) -> Result<Vec<Seen>, String> {
    let mut rest = bytes;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(|| format!("bytes without an end: {rest:?}"))?;
        let head = std::str::from_utf8(&rest[..end]).map_err(|_| "a head that is not text".to_owned())?;
        let (line, headers) = read_head(head)?;
        let lengths: Vec<_> = headers.iter().filter(|(name, _)| name == "content-length").collect();
        if lengths.len() > 1 || headers.iter().any(|(name, _)| name == "transfer-encoding") {
            return Err(format!("framed in two ways: {head:?}"));
        }
        let length = lengths.first().map_or(Ok(0), |(_, value)| value.parse::<usize>()).map_err(|_| format!("no length: {head:?}"))?;
        rest = &rest[end + 4..];
        let (body, after) = rest.split_at_checked(length).ok_or_else(|| format!("the body is cut: {head:?}"))?;
        all.push(Seen { line, headers, body: body.to_vec() });
        rest = after;
    }
    Ok(all)
}

fn read_head(head: &str) -> Result<(String, Vec<(String, String)>), String> {
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default().to_owned();
    if head.replace("\r\n", "").bytes().any(|byte| !matches!(byte, b' '..=b'~')) {
        return Err(format!("a byte that may stand in no head: {head:?}"));
    }
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let header = |line: &str| {
        let found = line.split_once(": ").filter(|(name, _)| is_name(name));
        found.map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| format!("no header: {line:?}"))
    };
    let mut headers = lines.map(header).collect::<Result<Vec<_>, _>>()?;
    headers.sort();
    Ok((line, headers))
}

#[test]
fn the_reader_forgives_nothing() {
    let read = |text: &str| requests(text.as_bytes()).map(|all| all.len());
    assert_eq!(read("GET / HTTP/1.1\r\na: b\r\n\r\nPOST /x HTTP/1.1\r\ncontent-length: 1\r\n\r\nyGET / HTTP/1.1\r\na: b\r\n\r\n"), Ok(3));
    for text in [
        "GET / HTTP/1.1\r\na: b\n\r\n\r\n",
        "GET / HTTP/1.1\r\na: b\rX: 1\r\n\r\n",
        "GET / HTTP/1.1\r\na: b\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\na: b\0\r\n\r\n",
        "GET / HTTP/1.1\r\na: ü\r\n\r\n",
        "GET / HTTP/1.1\r\na : b\r\n\r\n",
        "GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxy",
        "GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\ncontent-length: 2\r\n\r\nx",
        "GET / HTTP/1.1\r\na: b\r\n\r\nmore",
    ] {
        assert!(read(text).is_err(), "{text:?}");
    }
}
