//! A token is refreshed by one replica at a time: refresh tokens are often good for one use (security reference section 10). Whoever wants
//! a fresh one takes the lease of the row, or waits for who has it; the new tokens are stored before they are used. When a reply is lost,
//! nobody knows whether the old refresh token still counts: it is tried once more, and then a person has to connect again.

use std::time::Duration;

use bailiwick_model::registered::{EndpointUrl, GrantKind, Holder, Scopes, TokenStatus};
use bailiwick_store::{
    LeasedRefresh, NewTokens, OpenConnection, OrgScope, RefreshFailure, RefreshLease, RegisteredServer, StoreError, Tenant,
};
use tokio::time::Instant;
use tracing::{info, warn};

use super::line::{SKEW, Token};
use super::{ConnectFault, Connections};
use crate::oauth::identity::Client;
use crate::oauth::token::{self, Desk, Grant, Refresh};
use crate::oauth::{FaultKind, OAuthFault};

/// Longest time one refresh may take, its request included; then another replica may try.
const LEASE: Duration = Duration::from_secs(60);
/// How long a call waits for a refresh, its own or another's.
const WAIT_MAX: Duration = Duration::from_secs(45);
/// Pause between two looks at a row that another replica refreshes.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Uses of one refresh token: the first, and one more after a lost reply.
const ATTEMPTS_MAX: i64 = 2;

/// What there is of a token.
pub(super) enum Refreshed {
    /// One that can be sent.
    Token(Token),
    /// None any more: only a new authorization helps.
    Dead,
    /// Not now; the cause is for operators.
    Later(String),
}

impl Connections {
    /// The token of a connection, refreshed if it is about to end; `None` when there is no connection.
    pub(super) async fn current(&self, scope: &OrgScope, record: &RegisteredServer, holder: &Holder) -> Option<Refreshed> {
        let open = match self.store().connections().open_access(scope, record.id, holder).await {
            Ok(open) => open?,
            Err(fault) => return Some(later(&fault)),
        };
        if self.is_foreign(record, &open) || open.info.status == TokenStatus::RefreshFailed {
            return Some(Refreshed::Dead);
        }
        self.note_use(scope, record, holder);
        let ends = open.info.expires_at.is_some_and(|end| end.as_micros() <= self.now().as_micros() + micros(SKEW));
        if ends || open.info.status == TokenStatus::Expired {
            return Some(self.refreshed(scope, record, holder, open.info.version).await);
        }
        Some(Refreshed::Token(token_of(open)))
    }

    /// Whether there are other tokens than those of `version` by now.
    pub(super) async fn has_other(&self, scope: &OrgScope, record: &RegisteredServer, holder: &Holder, version: i64) -> bool {
        let info = self.store().connections().info(scope, record.id, holder).await;
        matches!(info, Ok(Some(info)) if info.version != version && info.status == TokenStatus::Valid)
    }

    /// Another token than that of `version`, which the server refused.
    pub(super) async fn renewed(&self, scope: &OrgScope, record: &RegisteredServer, holder: &Holder, version: i64) -> Refreshed {
        match self.store().connections().open_access(scope, record.id, holder).await {
            Ok(Some(open)) if open.info.version != version && !self.is_foreign(record, &open) => Refreshed::Token(token_of(open)),
            Ok(Some(open)) if self.is_foreign(record, &open) => Refreshed::Dead,
            Ok(Some(_)) => self.refreshed(scope, record, holder, version).await,
            Ok(None) => Refreshed::Dead,
            Err(fault) => later(&fault),
        }
    }

    /// A token of an issuer that the server has no longer is of no use to it (protocol reference 7.2).
    fn is_foreign(&self, record: &RegisteredServer, open: &OpenConnection) -> bool {
        record.endpoints().issuer.is_some_and(|issuer| issuer != open.info.issuer)
    }

    async fn refreshed(&self, scope: &OrgScope, record: &RegisteredServer, holder: &Holder, version: i64) -> Refreshed {
        let connections = self.store().connections();
        let key = (scope.org().clone(), record.id, holder.clone());
        if let Some(left) = self.0.rests.left(&key, Instant::now()) {
            return Refreshed::Later(format!("the last refresh failed; the next is tried in {:.0} s", left.as_secs_f32().ceil()));
        }
        // One of this process at a time; the others take what it got.
        let turn = self.0.turns.of(&key);
        let _turn = match tokio::time::timeout(WAIT_MAX, turn.lock()).await {
            Ok(turn) => turn,
            Err(_) => return Refreshed::Later("the token is being refreshed, and that takes long".to_owned()),
        };
        if let Ok(Some(open)) = connections.open_access(scope, record.id, holder).await
            && open.info.version != version
            && open.info.status != TokenStatus::RefreshFailed
        {
            return Refreshed::Token(token_of(open));
        }
        let until = Instant::now() + WAIT_MAX;
        while Instant::now() < until {
            match connections.lease_refresh(scope, record.id, holder, version, LEASE).await {
                Ok(RefreshLease::Lease(lease)) if lease.attempt > ATTEMPTS_MAX => {
                    let ended =
                        connections.fail_refresh(scope, &lease, RefreshFailure::Final, "the replies of two refreshes were lost").await;
                    return ended.map_or_else(|fault| later(&fault), |_| Refreshed::Dead);
                }
                Ok(RefreshLease::Lease(lease)) => match self.refresh(scope, record, &lease).await {
                    Some(refreshed) => return refreshed,
                    None => continue,
                },
                Ok(RefreshLease::Newer) => {
                    return match connections.open_access(scope, record.id, holder).await {
                        Ok(Some(open)) if open.info.status == TokenStatus::RefreshFailed => Refreshed::Dead,
                        Ok(Some(open)) => Refreshed::Token(token_of(open)),
                        Ok(None) => Refreshed::Dead,
                        Err(fault) => later(&fault),
                    };
                }
                Ok(RefreshLease::Impossible) => {
                    if let Some(refreshed) = self.asked_again(scope, record, holder, version).await {
                        return refreshed;
                    }
                    let why = "the token ended, and there is none to refresh it with";
                    let marked = connections.mark(scope, record.id, holder, version, TokenStatus::RefreshFailed, Some(why)).await;
                    return marked.map_or_else(|fault| later(&fault), |_| Refreshed::Dead);
                }
                Ok(RefreshLease::Busy { .. }) => tokio::time::sleep(LOOK_EVERY).await,
                Err(fault) if fault.kind() == bailiwick_store::StoreErrorKind::NotFound => return Refreshed::Dead,
                Err(fault) => return later(&fault),
            }
        }
        Refreshed::Later("another gateway refreshes the token, and takes long".to_owned())
    }

    /// What needed no person needs none again; `None` for what did. Two replicas may do it at once: each gets tokens of its own, and both
    /// are good.
    async fn asked_again(&self, scope: &OrgScope, record: &RegisteredServer, holder: &Holder, version: i64) -> Option<Refreshed> {
        let connections = self.store().connections();
        let info = connections.info(scope, record.id, holder).await.ok().flatten()?;
        if info.grant != GrantKind::Client || info.version != version {
            return None;
        }
        if let Err(failed) = self.again_as_client(scope, record, &info).await {
            let fault = ConnectFault::from(failed);
            self.0.rests.failed((scope.org().clone(), record.id, holder.clone()), Instant::now());
            return Some(Refreshed::Later(fault.to_string()));
        }
        let open = connections.open_access(scope, record.id, holder).await.ok().flatten()?;
        Some(Refreshed::Token(token_of(open)))
    }

    /// One use of the refresh token; `None` when it has to be decided anew.
    async fn refresh(&self, scope: &OrgScope, record: &RegisteredServer, lease: &LeasedRefresh) -> Option<Refreshed> {
        let connections = self.store().connections();
        let (outcome, client_gone) = match self.ask_for_tokens(scope, record, lease).await {
            Ok(grant) => {
                self.0.rests.succeeded(&(scope.org().clone(), record.id, lease.holder.clone()));
                return Some(self.keep_refreshed(scope, record, lease, grant).await);
            }
            Err(Failed::OAuth(fault)) => {
                warn!(server = %record.display_name, cause = %fault, attempt = lease.attempt, "a token was not refreshed");
                let gone = fault.kind == FaultKind::InvalidClient;
                (outcome(&fault), gone.then(|| format!("invalid_client: {}; {}", fault.message, fault.remedy)))
            }
            Err(Failed::Other(cause)) => ((RefreshFailure::Later, cause), None),
        };
        if let Some(reason) = client_gone
            && let Err(cause) = self.note_broken(record, &reason).await
        {
            warn!(server = %record.display_name, %cause, "that the client is unknown is not kept");
        }
        let (failure, reason) = outcome;
        if let Err(fault) = connections.fail_refresh(scope, lease, failure, &reason).await {
            return Some(later(&fault));
        }
        match failure {
            RefreshFailure::Final => Some(Refreshed::Dead),
            RefreshFailure::Later => {
                self.0.rests.failed((scope.org().clone(), record.id, lease.holder.clone()), Instant::now());
                Some(Refreshed::Later(reason))
            }
            // The next lease decides whether it is tried again.
            RefreshFailure::Lost => None,
        }
    }

    async fn ask_for_tokens(&self, scope: &OrgScope, record: &RegisteredServer, lease: &LeasedRefresh) -> Result<Grant, Failed> {
        let (client, endpoint) = self.client_at(scope, record, &lease.info.issuer).await?;
        let desk =
            Desk { settings: self.oauth(), token_endpoint: &endpoint, client: &client, now: self.now(), random: self.0.random.as_ref() };
        let granted: Vec<String> = lease.info.scopes.iter().map(str::to_owned).collect();
        let resource = lease.info.resource.clone().unwrap_or_else(|| record.server_url.as_str().to_owned());
        let refresh = Refresh { refresh_token: &lease.refresh, resource: &resource, scopes: &granted };
        token::refresh(desk, refresh).await.map_err(Failed::OAuth)
    }

    /// The client that `issuer` knows, and its token endpoint.
    pub(super) async fn client_at(
        &self,
        scope: &OrgScope,
        record: &RegisteredServer,
        issuer: &EndpointUrl,
    ) -> Result<(Client, crate::oauth::Address), Failed> {
        let other = |cause: String| Failed::Other(cause);
        // What one issuer gave is for no other's eyes, whoever the server names by now.
        if record.endpoints().issuer.as_ref() != Some(issuer) {
            return Err(other("the server names another issuer by now than the one that gave this".to_owned()));
        }
        let kept = self.store().server_clients().get(scope, record.id, issuer).await.map_err(|fault| other(fault.to_string()))?;
        let kept = kept.ok_or_else(|| other("no client is known at the issuer of the token".to_owned()))?;
        let client = self.client_of(record, kept).map_err(|fault| other(fault.to_string()))?;
        let endpoint = record.endpoints().token.ok_or_else(|| other("no token endpoint is known".to_owned()))?;
        let endpoint = self.oauth().address(endpoint.as_str()).map_err(|rule| other(format!("the token endpoint {rule}")))?;
        Ok((client, endpoint))
    }

    async fn keep_refreshed(&self, scope: &OrgScope, record: &RegisteredServer, lease: &LeasedRefresh, grant: Grant) -> Refreshed {
        let tokens = match tokens_of(grant) {
            Ok(tokens) => tokens,
            Err(fault) => return Refreshed::Later(fault.to_string()),
        };
        match self.store().connections().finish_refresh(scope, lease, &tokens).await {
            Ok(Some(info)) => {
                info!(server = %record.display_name, "a token was refreshed");
                Refreshed::Token(token_of(OpenConnection { info, access: tokens.access }))
            }
            Ok(None) => Refreshed::Later("the refresh took too long, and another gateway went on".to_owned()),
            Err(fault) => later(&fault),
        }
    }

    /// Beside the call: nothing waits for it.
    fn note_use(&self, scope: &OrgScope, record: &RegisteredServer, holder: &Holder) {
        let (connections, scope, server, holder) = (self.clone(), scope.clone(), record.id, holder.clone());
        tokio::spawn(async move {
            if let Err(cause) = connections.store().connections().touch_used(&scope, server, &holder).await {
                warn!(%cause, "when a connection was last used is not written");
            }
        });
    }
}

/// Why no tokens came.
pub(super) enum Failed {
    OAuth(OAuthFault),
    /// Before anything was sent.
    Other(String),
}

impl From<Failed> for ConnectFault {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::OAuth(fault) => fault.into(),
            Failed::Other(cause) => Self::new(
                bailiwick_model::Code::ServerNotActive,
                "not_set_up",
                cause,
                "set the server up again: `bailiwick server retry NAME`",
            ),
        }
    }
}

fn outcome(fault: &OAuthFault) -> (RefreshFailure, String) {
    let failure = match &fault.kind {
        FaultKind::InvalidGrant => RefreshFailure::Final,
        FaultKind::Unreachable { sent: true } => RefreshFailure::Lost,
        // An answer that cannot be used came all the same: the token may be used up.
        FaultKind::BadAnswer => RefreshFailure::Lost,
        _ => RefreshFailure::Later,
    };
    (failure, format!("{}: {}", fault.kind.as_str(), fault.message))
}

pub(super) fn tokens_of(grant: Grant) -> Result<NewTokens, ConnectFault> {
    let Grant { access_token, refresh_token, expires_at, scopes, .. } = grant;
    let scopes = Scopes::new(&scopes).map_err(|_| ConnectFault::unsendable())?;
    Ok(NewTokens { access: access_token, refresh: refresh_token, scopes, expires_at })
}

fn token_of(open: OpenConnection) -> Token {
    Token { version: open.info.version, made: Some(open.info.created_at), until: open.info.expires_at, value: open.access }
}

fn later(fault: &StoreError) -> Refreshed {
    Refreshed::Later(fault.to_string())
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
