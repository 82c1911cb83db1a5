//! How the client reaches an address: it never opens a socket itself, the owner of the egress guard does.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

/// Where a connection shall lead.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Whether the connection is to be wrapped in TLS, verified against `host`.
    pub https: bool,
    /// A DNS name, or an IP address; an IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// An open byte stream, TLS included where the target asks for it.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// The future a [`Dial`] answers with.
pub type Dialling<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Connection>, DialError>> + Send + 'a>>;

/// Opens connections. The implementer checks the address (reference, security section 7), sets `TCP_NODELAY`
/// and bounds nothing: the client gives up after `Options::open_deadline`.
pub trait Dial: Send + Sync + 'static {
    /// Opens one new connection to `target`.
    fn dial<'a>(&'a self, target: &'a Target) -> Dialling<'a>;
}

/// Why no connection came about; no byte of a request has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialError {
    /// The class of the failure.
    pub kind: DialErrorKind,
    /// One line for operators, without secrets.
    pub detail: String,
}

/// The class of a [`DialError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialErrorKind {
    /// The egress guard forbids the address.
    Denied,
    /// The name has no address.
    Resolve,
    /// Nobody answered at the address.
    Connect,
    /// The TLS handshake or the certificate was refused.
    Tls,
}

impl DialError {
    /// An error of the class with its detail.
    #[must_use]
    pub fn new(kind: DialErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for DialError {}
