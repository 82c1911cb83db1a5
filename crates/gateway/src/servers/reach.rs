//! How a server is reached: in one way for all, or for each holder of a connection in a way of his own.

use std::sync::Arc;

use bailiwick_mcp::client::{Demand, Status, Upstream};
use bailiwick_store::Scope;

use super::Server;
use crate::connections::{Lending, Loan, Unlent};

/// The way, or the ways, to one server.
pub(crate) enum Reach {
    /// Whatever it is told of who asks stands in the configuration.
    One(Upstream),
    /// A registered server: each caller goes there with the credential that is lent to him.
    Lent(Arc<Lending>),
}

/// A way to a server for one call.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) upstream: Upstream,
    /// What was lent for it; `None` where nothing has to be.
    pub(crate) loan: Option<Loan>,
}

impl Server {
    /// The way of this caller. Waits only when his token has to be refreshed, or nothing is known of it yet.
    ///
    /// # Errors
    /// [`Unlent`] when there is none for him.
    pub(crate) async fn link(&self, scope: &Scope) -> Result<Link, Unlent> {
        match &self.reach {
            Reach::One(upstream) => Ok(Link { upstream: upstream.clone(), loan: None }),
            Reach::Lent(lending) => Box::pin(lending.link(scope)).await,
        }
    }

    /// Another way after the server refused what was lent; the server executed nothing.
    ///
    /// # Errors
    /// [`Unlent`], also when nothing was lent that could be renewed.
    pub(crate) async fn renew(&self, scope: &Scope, link: &Link, demand: &Demand) -> Result<Link, Unlent> {
        match (&self.reach, &link.loan) {
            (Reach::Lent(lending), Some(loan)) => Box::pin(lending.renew(scope, loan, demand)).await,
            _ => Err(Unlent::Refused),
        }
    }

    /// The registered server behind it.
    pub(crate) fn lending(&self) -> Option<&Arc<Lending>> {
        match &self.reach {
            Reach::One(_) => None,
            Reach::Lent(lending) => Some(lending),
        }
    }

    /// Where the one way stands; `None` for a server that is reached in many.
    pub(crate) fn status(&self) -> Option<Status> {
        match &self.reach {
            Reach::One(upstream) => Some(upstream.status()),
            Reach::Lent(_) => None,
        }
    }

    /// Closes every way to it.
    pub(crate) async fn close(&self) {
        match &self.reach {
            Reach::One(upstream) => upstream.close().await,
            Reach::Lent(lending) => lending.close().await,
        }
    }
}
