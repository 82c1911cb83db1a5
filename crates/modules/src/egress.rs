//! The one way out: every outward connection of modules and servers is opened here (security reference section 7).
//!
//! A name is resolved once, **every** answer is checked, and the connection goes to a checked address itself, so that a
//! second look-up cannot lead elsewhere. The network is an argument: tests record what would have been dialled.
//!
//! | File | Holds |
//! |---|---|
//! | `egress.rs` | names, addresses, connections |
//! | `egress/tls.rs` | whom a connection trusts |
//! | `egress/base_url.rs` | the address of a service, as an operator writes it |
//! | `egress/coding.rs` | undoing compression |
//! | `egress/http.rs` | one bounded exchange with such a service |
//! | `egress/redirect.rs` | a way over several, where an operator wants it |

mod base_url;
mod coding;
mod http;
mod redirect;
mod tls;

pub use base_url::{BaseUrl, segment};
pub use http::{HttpAnswer, HttpClient, HttpFault, HttpFaultKind, HttpLimits, HttpRequest};
pub use redirect::{Followed, follow, location};
pub use tls::{Tls, TlsError};

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::address::{self, Cidr};
use tokio::io::{AsyncRead, AsyncWrite};

/// Answers of a name server that are looked at; more are ignored.
const ANSWERS_MAX: usize = 16;
/// Time for resolving one name.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(3);
/// Time for opening one TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for one TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest host name (RFC 1035).
const HOST_BYTES_MAX: usize = 253;
/// Names under which cloud hosts serve their metadata; they are not even looked up.
const METADATA_NAMES: [&str; 4] = ["metadata.google.internal", "metadata.goog", "metadata.azure.internal", "instance-data.ec2.internal"];

/// A future on the heap, as trait objects need it.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An open byte stream.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

/// Name resolution and TCP; the only two things the outside world is asked for.
pub trait Network: Send + Sync + 'static {
    /// The addresses of `host`.
    fn resolve<'a>(&'a self, host: &'a str) -> Pending<'a, io::Result<Vec<IpAddr>>>;
    /// Opens a connection to exactly this address.
    fn connect(&self, address: SocketAddr) -> Pending<'_, io::Result<Box<dyn Stream>>>;
}

/// The operating system's resolver and sockets.
#[derive(Debug, Default)]
pub struct SystemNetwork;

impl Network for SystemNetwork {
    fn resolve<'a>(&'a self, host: &'a str) -> Pending<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|found| found.ip()).take(ANSWERS_MAX).collect()) })
    }

    fn connect(&self, address: SocketAddr) -> Pending<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let stream = tokio::net::TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

/// No network at all: every name is unknown and every address unreachable.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNetwork;

impl Network for NoNetwork {
    fn resolve<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(std::future::ready(Err(io::ErrorKind::NotFound.into())))
    }

    fn connect(&self, _: SocketAddr) -> Pending<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(std::future::ready(Err(io::ErrorKind::NetworkUnreachable.into())))
    }
}

/// What one destination may reach.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Blocks that an operator opened for this destination although they are not public.
    pub allow_private: Vec<Cidr>,
}

impl Rules {
    /// The rules for a URL that an operator wrote into a configuration file: a literal address there (or `localhost`) is the
    /// operator's own word and opens exactly that address; a name must lead to public space or into `allow_private`.
    #[must_use]
    pub fn for_configured_host(host: &str, mut allow_private: Vec<Cidr>) -> Self {
        if let Ok(literal) = bare(host).parse() {
            allow_private.push(Cidr::host(literal));
        } else if host.eq_ignore_ascii_case("localhost") {
            allow_private.extend([Cidr::host(IpAddr::from([127, 0, 0, 1])), Cidr::host(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST))]);
        }
        Self { allow_private }
    }
}

/// Why nothing was opened.
#[derive(Debug)]
pub enum EgressError {
    /// The address may not be dialled; nothing was sent. The class is for operators.
    Denied(address::Blocked),
    /// The name is not one that can be looked up.
    BadHost,
    /// No answer from the name server or the address.
    Unreachable(io::Error),
    /// The certificate or the handshake was refused.
    Tls(TlsError),
    /// A time limit passed.
    Timeout,
}

impl fmt::Display for EgressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(address::Blocked::OwnListener) => f.write_str("the address is the gateway's own"),
            Self::Denied(_) => f.write_str("the address may not be dialled; an operator can open it with `allow_private`"),
            Self::BadHost => f.write_str("not a host name that can be looked up"),
            Self::Unreachable(cause) => write!(f, "cannot be reached: {}", cause.kind()),
            Self::Tls(cause) => cause.fmt(f),
            Self::Timeout => f.write_str("no connection within the time limit"),
        }
    }
}

impl std::error::Error for EgressError {}

/// The guarded door to the network.
#[derive(Clone)]
pub struct Egress {
    network: Arc<dyn Network>,
    /// Where the gateway itself listens.
    own: Arc<[SocketAddr]>,
}

impl Egress {
    /// A door over `network`.
    #[must_use]
    pub fn new(network: Arc<dyn Network>) -> Self {
        Self { network, own: Arc::new([]) }
    }

    /// The same door, which never leads back to one of `listeners`.
    #[must_use]
    pub fn without_own(mut self, listeners: &[SocketAddr]) -> Self {
        self.own = listeners.into();
        self
    }

    /// Whether the gateway itself answers there: at an address it listens on, or on its port of this machine when it listens on every address.
    fn is_own(&self, address: SocketAddr) -> bool {
        let (ip, port) = (address.ip().to_canonical(), address.port());
        let here = |own: &SocketAddr| own.ip() == ip || own.ip().is_unspecified() && (ip.is_loopback() || ip.is_unspecified());
        self.own.iter().any(|own| own.port() == port && here(own))
    }

    /// Opens a connection to `host` under `rules`, wrapped in TLS when `tls` is given; the certificate is held against `host`.
    ///
    /// # Errors
    /// [`EgressError`]; after `Denied` and `BadHost` nothing was dialled.
    pub async fn open(&self, host: &str, port: u16, tls: Option<&Tls>, rules: &Rules) -> Result<Box<dyn Stream>, EgressError> {
        let stream = self.connect(host, port, rules).await?;
        let Some(tls) = tls else { return Ok(stream) };
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.wrap(stream, bare(host))).await {
            Ok(wrapped) => wrapped.map_err(EgressError::Tls),
            Err(_) => Err(EgressError::Timeout),
        }
    }

    /// Opens a TCP connection to `host`, under `rules`.
    ///
    /// # Errors
    /// [`EgressError`]; after `Denied` and `BadHost` nothing was dialled.
    pub async fn connect(&self, host: &str, port: u16, rules: &Rules) -> Result<Box<dyn Stream>, EgressError> {
        let addresses = self.resolve(host).await?;
        for found in &addresses {
            address::check(*found, &rules.allow_private).map_err(EgressError::Denied)?;
            if self.is_own(SocketAddr::new(*found, port)) {
                return Err(EgressError::Denied(address::Blocked::OwnListener));
            }
        }
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for found in addresses {
            match tokio::time::timeout(CONNECT_TIMEOUT, self.network.connect(SocketAddr::new(found, port))).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(cause)) => last = cause,
                Err(_) => return Err(EgressError::Timeout),
            }
        }
        Err(EgressError::Unreachable(last))
    }

    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, EgressError> {
        if let Ok(literal) = bare(host).parse() {
            return Ok(vec![literal]);
        }
        let name = host.trim_end_matches('.');
        if name.is_empty() || name.len() > HOST_BYTES_MAX || is_metadata_name(name) {
            return Err(EgressError::BadHost);
        }
        match tokio::time::timeout(RESOLVE_TIMEOUT, self.network.resolve(host)).await {
            Ok(Ok(mut found)) => {
                found.truncate(ANSWERS_MAX);
                Ok(found)
            }
            Ok(Err(cause)) => Err(EgressError::Unreachable(cause)),
            Err(_) => Err(EgressError::Timeout),
        }
    }
}

/// Whether cloud hosts serve their metadata under `name`, which has no dot at its end.
pub(crate) fn is_metadata_name(name: &str) -> bool {
    METADATA_NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// An IPv6 literal stands in brackets in a URL.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Recorded {
        answers: Vec<IpAddr>,
        dialled: Mutex<Vec<SocketAddr>>,
    }

    impl Network for Recorded {
        fn resolve<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<Vec<IpAddr>>> {
            Box::pin(async { Ok(self.answers.clone()) })
        }
        fn connect(&self, address: SocketAddr) -> Pending<'_, io::Result<Box<dyn Stream>>> {
            self.dialled.lock().unwrap().push(address);
            Box::pin(async { Ok(Box::new(tokio::io::duplex(1).0) as Box<dyn Stream>) })
        }
    }

    async fn dial(answers: &[&str], host: &str, rules: Rules) -> (bool, Vec<SocketAddr>) {
        let network = Arc::new(Recorded { answers: answers.iter().map(|a| a.parse().unwrap()).collect(), dialled: Mutex::default() });
        let opened = Egress::new(network.clone()).connect(host, 443, &rules).await.is_ok();
        (opened, network.dialled.lock().unwrap().clone())
    }

    #[tokio::test]
    async fn one_blocked_answer_refuses_the_name() {
        assert_eq!(dial(&["8.8.8.8", "127.0.0.1"], "mixed.example", Rules::default()).await, (false, vec![]));
        let (opened, dialled) = dial(&["8.8.8.8", "1.1.1.1"], "good.example", Rules::default()).await;
        assert!(opened);
        assert_eq!(dialled, ["8.8.8.8:443".parse().unwrap()], "the checked address itself is dialled");
    }

    #[tokio::test]
    async fn the_gateway_does_not_dial_itself() {
        for (listens, dialled, allowed) in [
            ("127.0.0.1:80", "127.0.0.1:80", false),
            ("127.0.0.1:80", "127.0.0.1:81", true),
            ("127.0.0.1:80", "[::ffff:127.0.0.1]:80", false),
            ("0.0.0.0:80", "127.9.9.9:80", false),
            ("[::]:80", "[::1]:80", false),
        ] {
            let target: SocketAddr = dialled.parse().unwrap();
            let egress = Egress::new(Arc::new(Recorded::default())).without_own(&[listens.parse().unwrap()]);
            let rules = Rules::for_configured_host(&target.ip().to_string(), vec![]);
            assert_eq!(egress.connect(&target.ip().to_string(), target.port(), &rules).await.is_ok(), allowed, "{listens} {dialled}");
        }
    }

    #[tokio::test]
    async fn a_configured_literal_is_the_operators_word_and_a_name_is_not() {
        assert!(dial(&[], "127.0.0.1", Rules::for_configured_host("127.0.0.1", vec![])).await.0);
        assert!(dial(&[], "[::1]", Rules::for_configured_host("[::1]", vec![])).await.0);
        assert!(!dial(&[], "127.0.0.1", Rules::default()).await.0);
        assert_eq!(dial(&["10.0.0.7"], "tools.corp", Rules::for_configured_host("tools.corp", vec![])).await, (false, vec![]));
        let open = Rules::for_configured_host("tools.corp", vec![Cidr::parse("10.0.0.0/24").unwrap()]);
        assert!(dial(&["10.0.0.7"], "tools.corp", open).await.0);
        assert!(!dial(&[], "169.254.169.254", Rules::for_configured_host("169.254.169.254", vec![])).await.0);
    }
}
