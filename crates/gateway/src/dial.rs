//! Connections to servers, opened through the one guarded way out.

use bailiwick_mcp::client::{Connection, Dial, DialError, DialErrorKind, Dialling, Target};
use bailiwick_modules::egress::{Egress, EgressError, Rules, Tls};

/// Dials one server under its own rules.
pub(crate) struct GuardedDial {
    egress: Egress,
    rules: Rules,
    tls: Tls,
}

impl GuardedDial {
    pub(crate) fn new(egress: Egress, rules: Rules) -> Self {
        Self { egress, rules, tls: Tls::default() }
    }

    async fn open(&self, target: &Target) -> Result<Box<dyn Connection>, DialError> {
        let tls = target.https.then_some(&self.tls);
        match self.egress.open(&target.host, target.port, tls, &self.rules).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(cause) => Err(refused(&cause)),
        }
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
        EgressError::Tls(_) => DialErrorKind::Tls,
    };
    DialError::new(kind, cause.to_string())
}
