//! TLS towards upstream servers: certificates are checked by the platform's own verifier, against the name that was asked for.

use std::sync::Arc;

pub use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::dial::{Connection, DialError, DialErrorKind};

/// The client settings for every upstream: TLS 1.2 and 1.3, the platform's trust store, HTTP/1.1.
///
/// # Errors
/// When the platform's trust store cannot be read.
pub fn platform_config() -> Result<Arc<ClientConfig>, DialError> {
    let tls = |error: rustls::Error| DialError::new(DialErrorKind::Tls, format!("TLS cannot be set up: {error}"));
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .with_platform_verifier()
        .map_err(tls)?
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Wraps an open stream in TLS for `host` (a DNS name or an IP address without brackets). The caller bounds the time.
///
/// # Errors
/// [`DialErrorKind::Tls`] when `host` is no server name, or the handshake or the certificate fails.
pub async fn wrap<S>(stream: S, host: &str, config: Arc<ClientConfig>) -> Result<Box<dyn Connection>, DialError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| DialError::new(DialErrorKind::Tls, format!("`{host}` is not a name that a certificate can carry")))?;
    let wrapped = TlsConnector::from(config).connect(name, stream).await;
    match wrapped {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(DialError::new(DialErrorKind::Tls, format!("TLS with {host} failed: {error}"))),
    }
}
