//! Giving tokens back whose connection is gone (RFC 7009): best effort, from a queue in the database that replicas share.

use std::time::Duration;

use bailiwick_store::DueRevocation;
use tracing::{debug, warn};

use super::{ConnectFault, Connections};
use crate::oauth::identity::{AuthMethod, Client, Mode, Proof};
use crate::oauth::token::{self, Desk, TokenKind};

/// How often the queue is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Time for one batch; then another replica may take what is left.
const LEASE: Duration = Duration::from_secs(120);

impl Connections {
    /// Works on the queue until the task is ended.
    pub(crate) async fn give_back(self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Err(cause) = self.give_back_once().await {
                warn!(%cause, "tokens that are to be revoked cannot be looked up");
            }
        }
    }

    /// One batch; says how many tokens were given back.
    ///
    /// # Errors
    /// When the rows cannot be read or written.
    pub(crate) async fn give_back_once(&self) -> Result<usize, ConnectFault> {
        let platform = self.platform()?;
        let due = self.store().revocations().lease_due(&platform, LEASE).await?;
        let mut done = 0;
        for revocation in due {
            match self.revoke(&revocation).await {
                Ok(()) => {
                    self.store().revocations().done(&platform, &revocation).await?;
                    done += 1;
                }
                Err(fault) => {
                    debug!(cause = %fault, "a token is not revoked yet");
                    self.store().revocations().failed(&platform, &revocation).await?;
                }
            }
        }
        Ok(done)
    }

    async fn revoke(&self, due: &DueRevocation) -> Result<(), ConnectFault> {
        let address = |rule: &str| {
            ConnectFault::new(bailiwick_model::Code::EgressDenied, "address_refused", format!("the revocation endpoint {rule}"), "")
        };
        let endpoint = self.oauth().address(due.endpoint.as_str()).map_err(address)?;
        let method = AuthMethod::parse(due.auth_method.as_str()).unwrap_or(AuthMethod::None);
        let client = Client {
            client_id: due.client_id.as_str().to_owned(),
            proof: Proof::of(method, due.client_secret.clone())?,
            secret_expires_at: None,
            mode: Mode::Manual,
            issuer: String::new(),
            redirect_uri: String::new(),
        };
        let desk =
            Desk { settings: self.oauth(), token_endpoint: &endpoint, client: &client, now: self.now(), random: self.0.random.as_ref() };
        let kind = match due.hint {
            bailiwick_model::registered::TokenHint::Access => TokenKind::Access,
            bailiwick_model::registered::TokenHint::Refresh => TokenKind::Refresh,
        };
        Ok(token::revoke(desk, &endpoint, kind, &due.token).await?)
    }
}
