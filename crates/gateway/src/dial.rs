//! Connections to servers, opened through the one guarded way out.

use std::sync::{Arc, OnceLock};

use bailiwick_mcp::client::tls;
use bailiwick_mcp::client::{Connection, Dial, DialError, DialErrorKind, Dialling, Target};
use bailiwick_modules::egress::{Egress, EgressError, Rules};

type TlsConfig = Arc<tls::ClientConfig>;

/// Dials one server under its own rules.
pub(crate) struct GuardedDial {
    egress: Egress,
    rules: Rules,
    /// Made at the first https connection: reading the platform's trust store takes time that plain servers should not pay.
    tls: OnceLock<Result<TlsConfig, DialError>>,
}

impl GuardedDial {
    pub(crate) fn new(egress: Egress, rules: Rules) -> Self {
        Self { egress, rules, tls: OnceLock::new() }
    }

    async fn open(&self, target: &Target) -> Result<Box<dyn Connection>, DialError> {
        let stream = self.egress.connect(&target.host, target.port, &self.rules).await.map_err(|cause| refused(&cause))?;
        if !target.https {
            return Ok(Box::new(stream));
        }
        let config = self.tls.get_or_init(tls::platform_config).clone()?;
        tls::wrap(stream, &target.host, config).await
    }
}

impl Dial for GuardedDial {
    fn dial<'a>(&'a self, target: &'a Target) -> Dialling<'a> {
        Box::pin(self.open(target))
    }
}

fn refused(cause: &EgressError) -> DialError {
    let kind = match cause {
        EgressError::Denied(_) | EgressError::BadHost => DialErrorKind::Denied,
        EgressError::Unreachable(_) | EgressError::Timeout => DialErrorKind::Connect,
    };
    DialError::new(kind, cause.to_string())
}
