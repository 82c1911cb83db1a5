//! Networks that record what would have been dialled, and the fake service they lead to.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use bailiwick_modules::Host;
use bailiwick_modules::egress::{Egress, Network, Stream, SystemNetwork};
use bailiwick_modules::host::SecretSink;
use bailiwick_testkit::service::converse;
pub(crate) use bailiwick_testkit::service::{FakeService, Received, Reply};

/// Leads to loopback only, and says what would have been dialled elsewhere.
#[derive(Default)]
pub(crate) struct RecordingNetwork {
    /// Names and their addresses; a name that is not here is unknown.
    pub(crate) names: BTreeMap<String, Vec<IpAddr>>,
    /// Every name looked up.
    pub(crate) resolved: Mutex<Vec<String>>,
    /// Every address dialled; those that are not loopback are refused.
    pub(crate) dialled: Mutex<Vec<SocketAddr>>,
    /// Where everything leads that is dialled, whatever its address.
    pub(crate) leads_to: Option<SocketAddr>,
    /// Answers for look-ups to come, whatever the name; when they are used up, `names` answers.
    pub(crate) next_answers: Mutex<VecDeque<Vec<IpAddr>>>,
}

impl Network for RecordingNetwork {
    fn resolve<'a>(&'a self, host: &'a str) -> bailiwick_modules::Pending<'a, io::Result<Vec<IpAddr>>> {
        self.resolved.lock().unwrap().push(host.to_owned());
        if let Some(next) = self.next_answers.lock().unwrap().pop_front() {
            return Box::pin(std::future::ready(Ok(next)));
        }
        Box::pin(std::future::ready(self.names.get(host).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())))
    }

    fn connect(&self, address: SocketAddr) -> bailiwick_modules::Pending<'_, io::Result<Box<dyn Stream>>> {
        self.dialled.lock().unwrap().push(address);
        if let Some(address) = self.leads_to.or(address.ip().is_loopback().then_some(address)) {
            return Box::pin(async move { SystemNetwork.connect(address).await });
        }
        Box::pin(std::future::ready(Err(io::ErrorKind::ConnectionRefused.into())))
    }
}

/// Leads every connection to a conversation in this process, so that nothing but time passes while both sides wait: with a paused clock
/// hours take no time.
pub(crate) struct PipeNetwork {
    /// Names and their addresses; a name that is not here is unknown.
    pub(crate) names: BTreeMap<String, Vec<IpAddr>>,
    /// Every address dialled.
    pub(crate) dialled: Mutex<Vec<SocketAddr>>,
    talk: Box<dyn Fn(tokio::io::DuplexStream) + Send + Sync>,
}

/// Bytes that wait in a pipe.
const PIPE_BYTES: usize = 64 << 10;

impl PipeNetwork {
    /// `talk` gets the far end of every connection.
    pub(crate) fn new(talk: impl Fn(tokio::io::DuplexStream) + Send + Sync + 'static) -> Self {
        Self { names: BTreeMap::new(), dialled: Mutex::default(), talk: Box::new(talk) }
    }

    /// An HTTP service with what it received.
    pub(crate) fn http(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> (Self, Arc<Mutex<Vec<Received>>>) {
        let (received, answer) = (Arc::<Mutex<Vec<Received>>>::default(), Arc::new(answer));
        let log = received.clone();
        let talk = move |stream| drop(tokio::spawn(converse(stream, log.clone(), answer.clone())));
        (Self::new(talk), received)
    }
}

impl Network for PipeNetwork {
    fn resolve<'a>(&'a self, host: &'a str) -> bailiwick_modules::Pending<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(std::future::ready(self.names.get(host).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())))
    }

    fn connect(&self, address: SocketAddr) -> bailiwick_modules::Pending<'_, io::Result<Box<dyn Stream>>> {
        self.dialled.lock().unwrap().push(address);
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        (self.talk)(far);
        Box::pin(std::future::ready(Ok(Box::new(near) as Box<dyn Stream>)))
    }
}

/// Keeps the secrets that a module derives.
#[derive(Default)]
pub(crate) struct Learned(pub(crate) Mutex<Vec<String>>);

impl SecretSink for Learned {
    fn learn(&self, secret: &str) {
        self.0.lock().unwrap().push(secret.to_owned());
    }
}

/// The names of a request's headers, sorted.
pub(crate) fn header_names(request: &Received) -> Vec<&str> {
    let mut names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names
}

/// A host over `network`.
pub(crate) fn host(network: Arc<dyn Network>) -> Host {
    Host { egress: Egress::new(network), ..Host::isolated() }
}
