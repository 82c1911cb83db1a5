//! Services on this machine that a module needs and that may start later than the gateway (`dependency_wait_*`).

use std::time::Duration;

use bailiwick_modules::egress::{Egress, Rules};
use tracing::info;
use url::{Host, Url};

/// Waiting for all services of one agent together; they are waited for at the same time.
pub(crate) const WAIT_TOTAL_DEFAULT: Duration = Duration::from_secs(60);
/// Names that limit.
pub(crate) const WAIT_TOTAL_VARIABLE: &str = "SCOPED_MCP_DEPENDENCY_WAIT_BUDGET_SECONDS";
/// One attempt: a port of this machine accepts at once or not at all.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// A port of this machine, and how long it is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    host: String,
    port: u16,
    timeout: Duration,
    interval: Duration,
}

impl Dependency {
    /// `None` when nothing is to be waited for: `url` leads elsewhere, or `timeout` is zero.
    pub(crate) fn of(url: &str, timeout: Duration, interval: Duration) -> Option<Self> {
        let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        let local = match url.host()? {
            Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        let (host, port) = (url.host_str()?.to_owned(), url.port_or_known_default()?);
        (local && !timeout.is_zero()).then_some(Self { host, port, timeout, interval })
    }

    /// Waits until the port accepts, at most `limit` and the module's own timeout. Whoever comes too late is tried all the same.
    pub(crate) async fn ready(&self, module: &str, egress: &Egress, limit: Duration) {
        let rules = Rules::for_configured_host(&self.host, Vec::new());
        let mut waited = false;
        let accepting = async {
            while !matches!(tokio::time::timeout(CONNECT_MAX, egress.connect(&self.host, self.port, &rules)).await, Ok(Ok(_))) {
                waited = true;
                tokio::time::sleep(self.interval).await;
            }
        };
        let ready = tokio::time::timeout(self.timeout.min(limit), accepting).await.is_ok();
        if waited {
            let (host, port) = (self.host.as_str(), self.port);
            info!(target: "ops", event = "dependency_wait", module, host, port, ready, "waited for a service of this machine");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::{IpAddr, SocketAddr};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use bailiwick_modules::egress::{Network, Pending, Stream};

    use super::*;

    fn of(url: &str) -> Option<(String, u16)> {
        Dependency::of(url, Duration::from_secs(30), Duration::from_secs(1)).map(|found| (found.host, found.port))
    }

    #[test]
    fn only_services_of_this_machine_are_waited_for() {
        assert_eq!(of("http://127.0.0.1:8500/mcp"), Some(("127.0.0.1".into(), 8500)));
        assert_eq!(of("http://localhost/mcp"), Some(("localhost".into(), 80)));
        assert_eq!(of("https://[::1]/"), Some(("[::1]".into(), 443)));
        for other in ["http://10.0.0.1:1/", "https://mcp.example.org/", "ws://127.0.0.1:1/", "/tmp/x", "http://127.0.0.1.example.org/"] {
            assert_eq!(of(other), None, "{other}");
        }
        assert!(Dependency::of("http://127.0.0.1:1/", Duration::ZERO, Duration::from_secs(1)).is_none());
    }

    /// Accepts from the third attempt on.
    #[derive(Default)]
    struct Late(AtomicU32);

    impl Network for Late {
        fn resolve<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<Vec<IpAddr>>> {
            Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) })
        }

        fn connect(&self, _: SocketAddr) -> Pending<'_, io::Result<Box<dyn Stream>>> {
            let attempt = self.0.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                if attempt < 2 {
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                Ok(Box::new(tokio::io::duplex(1).0) as Box<dyn Stream>)
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_tried_again_and_again_and_not_for_ever() {
        let late = Arc::new(Late::default());
        let egress = Egress::new(late.clone());
        let began = tokio::time::Instant::now();
        let found = |timeout| Dependency::of("http://127.0.0.1:1/", timeout, Duration::from_secs(3)).unwrap();
        found(Duration::from_secs(30)).ready("m", &egress, WAIT_TOTAL_DEFAULT).await;
        assert_eq!((late.0.load(Ordering::SeqCst), began.elapsed()), (3, Duration::from_secs(6)));
        late.0.store(0, Ordering::SeqCst);
        let began = tokio::time::Instant::now();
        found(Duration::from_secs(30)).ready("m", &egress, Duration::from_secs(5)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(5), "all together have their limit as well");
    }
}
