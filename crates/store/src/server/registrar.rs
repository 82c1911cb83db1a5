//! Who may change a server: the organisation that registered it, or the platform.

use bailiwick_model::{OrgId, ServerId};

use super::{RegisteredServer, unknown, visible};
use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::generation::{Topic, hold};
use crate::scope::{OrgScope, PlatformScope, Tenant};
use crate::store::{Store, Tx};

/// On whose behalf a server is changed.
#[derive(Clone, Copy, Debug)]
pub enum Registrar<'a> {
    /// An organisation: its own servers.
    Org(&'a OrgScope),
    /// The platform: every server.
    Platform(&'a PlatformScope),
}

impl<'a> From<&'a OrgScope> for Registrar<'a> {
    fn from(scope: &'a OrgScope) -> Self {
        Self::Org(scope)
    }
}

impl<'a> From<&'a PlatformScope> for Registrar<'a> {
    fn from(scope: &'a PlatformScope) -> Self {
        Self::Platform(scope)
    }
}

impl Registrar<'_> {
    /// Who acts.
    pub(super) fn actor(&self) -> &str {
        match self {
            Self::Org(scope) => scope.actor(),
            Self::Platform(scope) => scope.actor(),
        }
    }

    /// The organisation that acts.
    pub(super) const fn org(&self) -> Option<&OrgId> {
        match self {
            Self::Org(scope) => Some(scope.org_id()),
            Self::Platform(_) => None,
        }
    }

    /// A transaction in which this registrar may change the server, and the server. Nobody else changes what servers are before it ends.
    ///
    /// # Errors
    /// `NotFound` for a server that the organisation does not see, `Conflict` for one that it sees and does not own.
    pub(super) async fn begin(&self, store: &Store, id: ServerId) -> StoreResult<(Tx, RegisteredServer)> {
        let mut tx = store.write_servers(self.org()).await?;
        hold(&mut tx, Topic::Servers).await?;
        let server = match self {
            Self::Platform(_) => visible::find_any(&mut tx, id).await?.ok_or_else(unknown)?,
            Self::Org(scope) => {
                visible::check(&mut tx, scope.org(), id).await?;
                let server = visible::find_any(&mut tx, id).await?.ok_or_else(unknown)?;
                check_owner(&server, scope)?;
                server
            }
        };
        Ok((tx, server))
    }
}

fn check_owner(server: &RegisteredServer, scope: &OrgScope) -> StoreResult<()> {
    if server.owner.as_ref() == Some(scope.org()) {
        return Ok(());
    }
    let message = format!("server `{}` was not registered by this organisation", server.display_name);
    Err(StoreError::new(
        StoreErrorKind::Conflict,
        message,
        "ask the platform's administrator to change it, or register a server of your own",
    ))
}
