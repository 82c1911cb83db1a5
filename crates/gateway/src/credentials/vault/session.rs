//! One login: its token, its renewal, and how it is doing.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::Sensitive;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;
use tracing::{info, warn};

use super::Place;
use super::api::{Api, Fault, Lease};
use crate::lock::Lock;
use crate::mask::Mask;

/// Shortest time between two attempts to renew.
const RENEW_PAUSE_MIN: Duration = Duration::from_millis(500);
/// Longest time between two attempts while renewing fails.
const RENEW_PAUSE_MAX: Duration = Duration::from_secs(60);

/// What logs in.
pub(in crate::credentials) struct Role {
    pub(super) role_id: Sensitive,
    pub(super) secret_id: Sensitive,
}

#[derive(Clone)]
struct Token {
    secret: SecretString,
    renewable: bool,
    /// `None`: without end.
    ends: Option<Instant>,
    /// When it is to be renewed; `None`: never.
    due: Option<Instant>,
}

pub(super) struct Session {
    name: String,
    api: Api,
    role: Role,
    /// Whether to log in again when the token is refused.
    again: bool,
    mask: Arc<Mask>,
    token: Lock<Option<Token>>,
    /// One login at a time.
    turn: Mutex<()>,
    trouble: Lock<Option<String>>,
    changed: Notify,
}

impl Session {
    pub(super) fn new(name: String, api: Api, role: Role, again: bool, mask: Arc<Mask>) -> Self {
        let (token, trouble) = (Lock::default(), Lock::default());
        Self { name, api, role, again, mask, token, turn: Mutex::default(), trouble, changed: Notify::new() }
    }

    /// The vault's host, for messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What does not work; `None` when all is well.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Reads a secret, logging in first where that has not been done.
    pub(super) async fn read(&self, place: &Place) -> Result<Map<String, Value>, Fault> {
        let token = self.token(None).await?;
        match self.api.read(&token, place).await {
            Err(fault) if fault.denied && self.again => {
                let fresh = self.token(Some(&token)).await?;
                self.api.read(&fresh, place).await
            }
            read => read,
        }
    }

    /// The token, of a new login when there is none, or when it is still the `refused` one.
    async fn token(&self, refused: Option<&SecretString>) -> Result<SecretString, Fault> {
        let _turn = self.turn.lock().await;
        let Some(known) = self.token.lock().clone() else { return self.login().await };
        let ended = known.ends.is_some_and(|ends| Instant::now() >= ends);
        if ended && !self.again {
            return Err(Fault::denied("the token has ended; restart, or allow new logins with SCOPED_MCP_VAULT_REAUTH=1"));
        }
        if ended || refused.is_some_and(|refused| refused.expose_secret() == known.secret.expose_secret()) {
            return self.login().await;
        }
        Ok(known.secret)
    }

    async fn login(&self) -> Result<SecretString, Fault> {
        let (secret, lease) = match self.api.login(&self.role).await {
            Ok(granted) => granted,
            Err(fault) => {
                *self.trouble.lock() = Some(fault.text.clone());
                return Err(fault);
            }
        };
        self.mask.learn([secret.expose_secret()]);
        self.hold(secret.clone(), lease);
        self.changed.notify_one();
        Ok(secret)
    }

    fn hold(&self, secret: SecretString, lease: Lease) {
        let now = Instant::now();
        let ends = (!lease.lasts.is_zero()).then(|| now + lease.lasts);
        let due = ends.map(|_| now + (lease.lasts * 2 / 3).max(RENEW_PAUSE_MIN));
        *self.token.lock() = Some(Token { secret, renewable: lease.renewable, ends, due });
        *self.trouble.lock() = None;
    }

    /// Keeps the token alive; ends with the task.
    pub(super) async fn keep(self: Arc<Self>) {
        loop {
            let due = self.token.lock().as_ref().and_then(|token| token.due);
            match due {
                None => self.changed.notified().await,
                Some(due) => tokio::select! {
                    () = self.changed.notified() => {}
                    () = tokio::time::sleep_until(due) => self.renew().await,
                },
            }
        }
    }

    async fn renew(&self) {
        let Some(token) = self.token.lock().clone() else { return };
        let renewed = if token.renewable { self.api.renew(&token.secret).await } else { Err(Fault::denied("the token is not renewable")) };
        let fault = match renewed {
            Ok(lease) => {
                if self.trouble().is_some() {
                    info!(vault = self.name, "the token is renewed again");
                }
                return self.hold(token.secret, lease);
            }
            Err(fault) => fault,
        };
        let ended = token.ends.is_some_and(|ends| Instant::now() >= ends);
        if self.again && (fault.denied || ended) {
            match self.token(Some(&token.secret)).await {
                Ok(_) => info!(vault = self.name, cause = %fault, "logged in again"),
                Err(login) => self.fail(&token, format!("{fault}; logging in again: {login}"), true),
            }
            return;
        }
        self.fail(&token, fault.text, !fault.denied);
    }

    /// Says what is wrong, and when the next attempt is due, if any.
    fn fail(&self, token: &Token, cause: String, retry: bool) {
        let left = token.ends.map_or(RENEW_PAUSE_MAX, |ends| ends.saturating_duration_since(Instant::now()));
        let remedy = if retry { "trying again" } else { "restart before it ends, or allow new logins with SCOPED_MCP_VAULT_REAUTH=1" };
        warn!(vault = self.name, cause, seconds_left = left.as_secs(), "the token is not renewed; {remedy}");
        *self.trouble.lock() = Some(cause);
        let due = retry.then(|| Instant::now() + (left / 3).clamp(RENEW_PAUSE_MIN, RENEW_PAUSE_MAX));
        if let Some(held) = self.token.lock().as_mut() {
            held.due = due;
        }
    }
}
