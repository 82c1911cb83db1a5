//! The outside world of a test: every name leads to a public address of its own, and every address to a fake on loopback.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use bailiwick_modules::Pending;
use bailiwick_modules::egress::{Network, Stream, SystemNetwork};
use data_encoding::BASE64;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};

/// For `*.example.com`, `*.slack.com` and `discord.com`, signed by itself. Made for these tests; nobody else trusts it.
const CERTIFICATE: &str = "MIIBuDCCAV6gAwIBAgIUPfDXIuZpCbrbdEe0wE6cHGJQg+kwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJdGVzdCBvbmx5MCAXDTI2MTEyMTE2MzAyMloYDzIxMjYxMDI4MTYzMDIyWjAUMRIwEAYDVQQDDAl0ZXN0IG9ubHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAR34c3tckY1ZRmwub/Vfz1Z/aB/drLDsapZVFNHj+aTz9Y1R0uB1zNvfRReqTuz8GivXbPx2Muc6CVnNiMR+Diuo4GLMIGIMB0GA1UdDgQWBBSr+jgCCIDjrnNasZTT9ISLiPq4nzAfBgNVHSMEGDAWgBSr+jgCCIDjrnNasZTT9ISLiPq4nzA4BgNVHREEMTAvgg0qLmV4YW1wbGUuY29tggsqLnNsYWNrLmNvbYILZGlzY29yZC5jb22HBH8AAAEwDAYDVR0TAQH/BAIwADAKBggqhkjOPQQDAgNIADBFAiEAnxTBlpk/vtAp0GGdTq/x8CAiu68mQYtojxTbim2ubgcCIHSD8Ns62SSwK9vsRgnOfHjCl8U8plMRYJPg5yrabwkd";
const KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgKcVAgdCQ7n7MoZKIfxX9av6wReTVnO2u3IKF8yjx0XChRANCAAR34c3tckY1ZRmwub/Vfz1Z/aB/drLDsapZVFNHj+aTz9Y1R0uB1zNvfRReqTuz8GivXbPx2Muc6CVnNiMR+Diu";

/// The certificate as the trust store of a process reads it.
pub(crate) fn certificate_pem() -> String {
    format!("-----BEGIN CERTIFICATE-----\n{CERTIFICATE}\n-----END CERTIFICATE-----\n")
}

/// Names and where they lead. What is not in it is unknown, and addresses outside of it are never dialled.
#[derive(Default)]
pub(crate) struct Town {
    names: BTreeMap<String, IpAddr>,
    doors: BTreeMap<SocketAddr, SocketAddr>,
    /// What was dialled without being in the town.
    pub(crate) strayed: Mutex<Vec<SocketAddr>>,
}

impl Town {
    /// Lets `host:port` lead to `fake`; a name gets a public address of its own.
    pub(crate) fn door(&mut self, host: &str, port: u16, fake: SocketAddr) {
        let next = u8::try_from(self.names.len() + 1).unwrap();
        let ip =
            host.parse().unwrap_or_else(|_| *self.names.entry(host.to_owned()).or_insert(IpAddr::V4(Ipv4Addr::new(93, 184, 216, next))));
        self.doors.insert(SocketAddr::new(ip, port), fake);
    }

    /// The same behind TLS.
    pub(crate) async fn tls_door(&mut self, host: &str, port: u16, fake: SocketAddr) {
        let front = terminate(fake).await;
        self.door(host, port, front);
    }
}

impl Network for Town {
    fn resolve<'a>(&'a self, host: &'a str) -> Pending<'a, io::Result<Vec<IpAddr>>> {
        let found = self.names.get(host).map(|ip| vec![*ip]).ok_or_else(|| io::ErrorKind::NotFound.into());
        Box::pin(std::future::ready(found))
    }

    fn connect(&self, address: SocketAddr) -> Pending<'_, io::Result<Box<dyn Stream>>> {
        let Some(fake) = self.doors.get(&address).copied() else {
            self.strayed.lock().unwrap().push(address);
            return Box::pin(std::future::ready(Err(io::ErrorKind::ConnectionRefused.into())));
        };
        Box::pin(async move { SystemNetwork.connect(fake).await })
    }
}

/// The server side with [`CERTIFICATE`].
pub(crate) fn acceptor() -> tokio_rustls::TlsAcceptor {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(BASE64.decode(KEY.as_bytes()).unwrap()));
    let certificate = BASE64.decode(CERTIFICATE.as_bytes()).unwrap().into();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap()).into()
}

/// A TLS front before a plain fake; gives its address.
async fn terminate(fake: SocketAddr) -> SocketAddr {
    let acceptor = acceptor();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let (Ok(mut outer), Ok(mut inner)) = (acceptor.accept(stream).await, TcpStream::connect(fake).await) else { return };
                let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
            });
        }
    });
    address
}
