//! TLS: whom the client trusts, and for which name.

use std::sync::Arc;

use bailiwick_modules::egress::Tls;
use data_encoding::BASE64;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// For `mcp.example.com` and 127.0.0.1, signed by itself. Made for this test; nobody trusts it.
const CERTIFICATE: &str = "MIIBnjCCAUSgAwIBAgIUXbRVxFpvKBur1wlRrxG099o1PAkwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJdGVzdCBvbmx5MCAXDTI2MTEyMTEwNDI0OVoYDzIx\
MjYxMDI4MTA0MjQ5WjAUMRIwEAYDVQQDDAl0ZXN0IG9ubHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQXeFsOgUzIpTf/iWaV6KHG+oAT12i2ubqqeSVC\
kkKChxiRXZRAGk6SghP1J/eVX1+BGtS0VggmNjx8LPOpQWCdo3IwcDAdBgNVHQ4EFgQU+7pW9VspmB0FP5+Egc3PLA8xJmIwHwYDVR0jBBgwFoAU+7pW9Vsp\
mB0FP5+Egc3PLA8xJmIwIAYDVR0RBBkwF4IPbWNwLmV4YW1wbGUuY29thwR/AAABMAwGA1UdEwEB/wQCMAAwCgYIKoZIzj0EAwIDSAAwRQIhAOyxKOa+ljZZ\
PFsmxEzh9/h3QIeD0sODuPIEbzDWtTMmAiAA2VonfVHw5DlLwlRuauqqIPIUdUaQTdGikHmAJ2+2ZA==";
const KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgAVyM/NgeQVRt2bBARRZ6Ub6hNitJLzHS9eDcNYvXCt2hRANCAAQXeFsOgUzIpTf/iWaV6KHG\
+oAT12i2ubqqeSVCkkKChxiRXZRAGk6SghP1J/eVX1+BGtS0VggmNjx8LPOpQWCd";

fn certificate() -> CertificateDer<'static> {
    BASE64.decode(CERTIFICATE.as_bytes()).unwrap().into()
}

/// A TLS server that echoes one byte.
async fn server() -> TcpListener {
    TcpListener::bind(("127.0.0.1", 0)).await.unwrap()
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The server side with [`CERTIFICATE`].
pub(crate) fn acceptor() -> TlsAcceptor {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(BASE64.decode(KEY.as_bytes()).unwrap()));
    let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate()], key).unwrap()))
}

/// A TLS server with the certificate of these tests that gives each request head to `answer` and writes what comes back.
pub(crate) async fn answering(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> std::net::SocketAddr {
    let listener = server().await;
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor().accept(stream).await else { return };
                let mut head = Vec::new();
                while let Ok(byte) = stream.read_u8().await {
                    head.push(byte);
                    if head.ends_with(b"\r\n\r\n") {
                        let reply = answer(std::str::from_utf8(&head).unwrap());
                        head.clear();
                        if stream.write_all(reply.as_bytes()).await.is_err() || stream.flush().await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    address
}

/// The certificate as an operator would put it into a file.
pub(crate) fn pem() -> String {
    format!("-----BEGIN CERTIFICATE-----\n{CERTIFICATE}\n-----END CERTIFICATE-----\n")
}

async fn echo(listener: TcpListener) {
    let acceptor = acceptor();
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let byte = stream.read_u8().await.unwrap_or_default();
                let _ = stream.write_u8(byte).await;
            }
        });
    }
}

fn trusting() -> Tls {
    Tls::trusting(pem().as_bytes()).unwrap()
}

#[tokio::test]
async fn a_trusted_certificate_for_the_name_or_address_is_accepted() {
    let listener = server().await;
    let address = listener.local_addr().unwrap();
    tokio::spawn(echo(listener));
    for host in ["mcp.example.com", "127.0.0.1"] {
        let mut stream = trusting().wrap(TcpStream::connect(address).await.unwrap(), host).await.unwrap();
        stream.write_u8(7).await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), 7, "{host}");
    }
}

#[tokio::test]
async fn everything_else_is_refused() {
    let listener = server().await;
    let address = listener.local_addr().unwrap();
    tokio::spawn(echo(listener));
    let platform = Tls::default();
    for (host, config) in [
        ("mcp.example.com", platform),
        ("other.example.com", trusting()),
        ("127.0.0.2", trusting()),
        ("not a name", trusting()),
        ("", trusting()),
    ] {
        let error = config.wrap(TcpStream::connect(address).await.unwrap(), host).await.err();
        let error = error.unwrap_or_else(|| panic!("`{host}` was accepted"));
        assert!(error.to_string().contains(host), "{error}");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused() {
    let listener = server().await;
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read_u8().await;
    });
    let error = trusting().wrap(TcpStream::connect(address).await.unwrap(), "mcp.example.com").await.err().unwrap();
    assert!(error.to_string().contains("failed"), "{error}");
}

#[test]
fn a_file_without_a_certificate_is_no_authority() {
    for pem in ["", "nothing", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"] {
        assert!(Tls::trusting(pem.as_bytes()).is_err(), "{pem}");
    }
}
