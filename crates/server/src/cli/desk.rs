//! Where an administrator's command is done: here, on the database of this machine, or there, at a gateway through its API. Both run the
//! same operations and give the same shapes.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_gateway::Connections;
use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::{Acting, Deed, Fault, Operations, OperationsSetup};
use bailiwick_model::time::{Clock, Random};
use bailiwick_model::{Code, HouseRules, OrgId};
use bailiwick_store::ledger::Ledger;
use bailiwick_store::{PlatformScope, Store, StoreError};

use super::remote::Remote;
use crate::exit::{Exit, Failure};
use crate::http::api::me::ShowMe;
use crate::http::api::operation::{Ask, Nothing, Operation};
use crate::http::api::org::{CreateOrg, ListOrgs, NewOrg, OrgPath, ShowOrg};
use crate::http::api::page::{Page, Paged, TokenPage, TokenQuery};

/// Pages that one list is read to: a list that does not end is cut, not followed for ever.
pub(super) const PAGES_MAX: usize = 1_000;

/// Whether a command changes something; only then a ledger is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Reads,
    Changes,
}

/// See the module.
pub(crate) enum Desk {
    Here(Box<Local>),
    There(Box<Remote>),
}

/// The database of this machine in its operator's hands.
pub(crate) struct Here {
    pub(crate) store: Store,
    pub(crate) scope: PlatformScope,
    pub(crate) ledger: Option<Ledger>,
    /// `org` of the configuration.
    pub(crate) home: OrgId,
    /// What its instructions must not say.
    pub(crate) rules: HouseRules,
    /// How long its implicit runs last without news.
    pub(crate) idle: Duration,
    /// The way to registered servers, from here.
    pub(crate) connections: Connections,
}

pub(crate) struct Local {
    here: Here,
    operations: Operations,
    acting: Acting,
}

impl Desk {
    pub(crate) fn here(here: Here, clock: &Arc<dyn Clock>, random: &Arc<dyn Random>) -> Self {
        let operations = Operations::new(OperationsSetup {
            store: here.store.clone(),
            ledger: here.ledger.clone(),
            rules: here.rules.clone(),
            idle: here.idle,
            // Which tools agents have is known where they are served.
            tools: None,
            connections: here.connections.clone(),
            clock: Arc::clone(clock),
            random: Arc::clone(random),
        });
        let acting = Acting::operator(here.scope.clone());
        Self::Here(Box::new(Local { here, operations, acting }))
    }

    pub(crate) fn there(remote: Remote) -> Self {
        Self::There(Box::new(remote))
    }

    /// Does an operation.
    ///
    /// # Errors
    /// What the operation or the gateway says.
    pub(super) async fn ask<O: Operation<Query: Default>>(&self, path: O::Path, body: O::Body) -> Result<O::Answer, Failure> {
        self.send::<O>(Ask { path, query: O::Query::default(), body, expected: None, org: None }).await
    }

    /// Does an operation, of which everything is given.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(super) async fn send<O: Operation>(&self, ask: Ask<O>) -> Result<O::Answer, Failure> {
        match self {
            Self::Here(local) => Ok(O::run(&local.operations, &local.acting, ask).await?),
            Self::There(remote) => remote.send(ask).await,
        }
    }

    /// A whole list.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(super) async fn all<O, T>(&self, path: O::Path) -> Result<Vec<T>, Failure>
    where
        O: Operation<Path: Clone, Query: Paged, Body = Nothing, Answer = Page<T>>,
    {
        self.first::<O, T>(path, O::Query::default(), usize::MAX).await
    }

    /// The first items of a list, at most `count`.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(super) async fn first<O, T>(&self, path: O::Path, query: O::Query, count: usize) -> Result<Vec<T>, Failure>
    where
        O: Operation<Path: Clone, Query: Paged, Body = Nothing, Answer = Page<T>>,
    {
        let mut all = Vec::new();
        let mut cursor = None;
        for _ in 0..PAGES_MAX {
            let page = self
                .send::<O>(Ask { path: path.clone(), query: query.clone().at(cursor), body: Nothing {}, expected: None, org: None })
                .await?;
            all.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() || all.len() >= count {
                break;
            }
        }
        all.truncate(count);
        Ok(all)
    }

    /// Does an operation in an organisation that stands beside its path.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(super) async fn ask_in<O: Operation<Query: Default>>(
        &self,
        org: &OrgId,
        path: O::Path,
        body: O::Body,
    ) -> Result<O::Answer, Failure> {
        self.send::<O>(Ask { path, query: O::Query::default(), body, expected: None, org: Some(org.clone()) }).await
    }

    /// A whole list of an organisation that stands beside its path.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(super) async fn all_in<O, T>(&self, org: Option<&OrgId>) -> Result<Vec<T>, Failure>
    where
        O: Operation<Path = Nothing, Query = TokenQuery, Body = Nothing, Answer = TokenPage<T>>,
    {
        let mut all = Vec::new();
        let mut query = TokenQuery::first();
        for _ in 0..PAGES_MAX {
            let page = self.send::<O>(Ask { path: Nothing {}, query, body: Nothing {}, expected: None, org: org.cloned() }).await?;
            all.extend(page.items);
            let Some(token) = page.next_token else { break };
            query = TokenQuery::at(token);
        }
        Ok(all)
    }

    /// The organisation that is meant when none is named: that of the configuration, or that of the key.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(super) async fn org(&self, named: Option<OrgId>) -> Result<OrgId, Failure> {
        match (named, self) {
            (Some(org), _) => Ok(org),
            (None, Self::Here(local)) => Ok(local.here.home.clone()),
            (None, Self::There(_)) => Ok(self.ask::<ShowMe>(Nothing {}, Nothing {}).await?.org),
        }
    }

    /// The one organisation that is named, or all that may be seen.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(super) async fn orgs(&self, named: Option<OrgId>) -> Result<Vec<OrgId>, Failure> {
        match named {
            Some(org) => Ok(vec![org]),
            None => Ok(self.all::<ListOrgs, _>(Nothing {}).await?.into_iter().map(|org| org.org).collect()),
        }
    }

    /// Creates the organisation if it is missing: on one's own machine one need not do so first.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(super) async fn ensure_org(&self, org: &OrgId) -> Result<(), Failure> {
        if let Self::There(_) = self {
            return Ok(());
        }
        match self.ask::<ShowOrg>(OrgPath { org: org.clone() }, Nothing {}).await {
            Err(failure) if failure.exit() == Exit::NotFound => {
                self.ask::<CreateOrg>(Nothing {}, NewOrg { org: org.clone() }).await.map(drop)
            }
            shown => shown.map(drop),
        }
    }

    /// Whether this is the operator at the machine.
    pub(super) const fn is_here(&self) -> bool {
        matches!(self, Self::Here(_))
    }

    /// The store of this machine and its operator, for an effect to [`record`](Self::record).
    ///
    /// # Errors
    /// [`Exit::Usage`] with `--server`.
    pub(super) fn machine(&self) -> Result<(&Store, &PlatformScope), Failure> {
        match self {
            Self::Here(local) => Ok((&local.here.store, &local.here.scope)),
            Self::There(_) => Err(Failure::new(Exit::Usage, "this can only be done at the machine").hint("leave `--server` out")),
        }
    }

    /// Does something that has no place in the API, here and recorded.
    ///
    /// # Errors
    /// As the ledger and `effect` give them.
    pub(super) async fn record<T>(&self, deed: Deed<'_>, effect: impl Future<Output = Result<T, StoreError>>) -> Result<T, Failure> {
        let done: Done<T> = match self {
            Self::Here(local) => local.operations.record_locally(&local.acting, deed, effect).await,
            Self::There(_) => Err(Fault::new(Code::InvalidArgument, "this can only be done at the machine", "leave `--server` out")),
        };
        Ok(done?)
    }

    /// Writes what is recorded and closes everything.
    ///
    /// # Errors
    /// When the ledger cannot be made durable.
    pub(super) async fn close(self) -> Result<(), Failure> {
        let Self::Here(local) = self else { return Ok(()) };
        let Local { here, operations, .. } = *local;
        if operations.unrecorded() > 0 {
            eprintln!("warning: it is done, but its outcome is not recorded");
        }
        let closed = match here.ledger {
            Some(ledger) => ledger.close().await,
            None => Ok(()),
        };
        here.store.close().await;
        closed.map_err(|fault| Failure::new(Exit::Unavailable, fault.to_string()))
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let message = match &fault.cause {
            Some(cause) => format!("{} ({cause})", fault.message),
            None => fault.message.into_owned(),
        };
        let failure = Self::new(exit(fault.code), message).hint(fault.remedy);
        match fault.event {
            Some(event) => failure.event(event),
            None => failure,
        }
    }
}

fn exit(code: Code) -> Exit {
    match code {
        Code::NotFound => Exit::NotFound,
        Code::Conflict | Code::VersionConflict | Code::AlreadyExists | Code::NeedsAuthorization | Code::ServerNotActive | Code::Expired => {
            Exit::Conflict
        }
        Code::InvalidArgument | Code::EgressDenied => Exit::Usage,
        Code::Auth | Code::Forbidden => Exit::Denied,
        Code::UpstreamUnreachable | Code::UpstreamTimeout | Code::UpstreamError | Code::UpstreamProtocol | Code::UpstreamAuth => {
            Exit::Unavailable
        }
        Code::Unavailable | Code::AuditUnavailable | Code::Sealed | Code::LimitExceeded => Exit::Unavailable,
        _ => Exit::Failed,
    }
}
