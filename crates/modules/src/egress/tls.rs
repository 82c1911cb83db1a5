//! TLS outward: certificates are checked by the platform's own verifier, against the name that was asked for. There is no way to switch
//! the check off; an operator may add a certificate authority of his own.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::Stream;

/// Largest file of certificate authorities.
const CA_BYTES_MAX: usize = 1 << 20;

/// Whom a connection trusts. Clones share the settings, which are made at the first use: reading the platform's trust store takes time
/// that plain connections should not pay.
#[derive(Clone, Default)]
pub struct Tls(Arc<Inner>);

#[derive(Default)]
struct Inner {
    extra: Vec<CertificateDer<'static>>,
    /// For protocols other than HTTP: nothing is negotiated.
    no_alpn: bool,
    config: OnceLock<Result<Arc<ClientConfig>, TlsError>>,
}

/// Why there is no TLS connection; for operators, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError(pub(super) String);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

impl Tls {
    /// Trusts what the platform trusts, and the authorities in `pem`.
    ///
    /// # Errors
    /// When `pem` holds no certificate, one that cannot be read, or is larger than 1 MiB.
    pub fn trusting(pem: &[u8]) -> Result<Self, TlsError> {
        if pem.len() > CA_BYTES_MAX {
            return Err(TlsError(format!("more than {CA_BYTES_MAX} bytes of certificates")));
        }
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let extra = read.map_err(|cause| TlsError(format!("not a list of PEM certificates: {cause}")))?;
        if extra.is_empty() {
            return Err(TlsError("holds no PEM certificate".to_owned()));
        }
        Ok(Self(Arc::new(Inner { extra, ..Inner::default() })))
    }

    /// The same trust for a protocol other than HTTP.
    #[must_use]
    pub fn without_alpn(&self) -> Self {
        Self(Arc::new(Inner { extra: self.0.extra.clone(), no_alpn: true, config: OnceLock::new() }))
    }

    /// Wraps an open stream in TLS for `host` (a DNS name or an IP address without brackets). The caller bounds the time.
    ///
    /// # Errors
    /// When `host` is no server name, the platform's trust store cannot be read, or the handshake or the certificate fails.
    pub async fn wrap<S>(&self, stream: S, host: &str) -> Result<Box<dyn Stream>, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| TlsError(format!("`{host}` is not a name that a certificate can carry")))?;
        let config = self.0.config.get_or_init(|| self.0.build()).clone()?;
        match TlsConnector::from(config).connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(TlsError(format!("TLS with {host} failed: {error}"))),
        }
    }
}

impl Inner {
    fn build(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let fault = |error: rustls::Error| TlsError(format!("TLS cannot be set up: {error}"));
        let provider = Arc::new(default_provider());
        let verifier = if self.extra.is_empty() {
            Verifier::new(provider.clone())
        } else {
            Verifier::new_with_extra_roots(self.extra.iter().cloned(), provider.clone())
        };
        let verifier: Arc<dyn ServerCertVerifier> = Arc::new(verifier.map_err(fault)?);
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(fault)?;
        let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        if !self.no_alpn {
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
        }
        Ok(Arc::new(config))
    }
}
