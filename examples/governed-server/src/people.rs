//! In which organisation a caller acts, and as what.

use std::collections::BTreeMap;

use bailiwick_gateway::{Identity, RoleSource, ScopeResolver, SourceFuture};
use bailiwick_model::{OrgId, Role, Standing};
use bailiwick_store::Scope;

/// Everybody acts in one organisation. A program with several looks at `who` instead; a name that is none gives no organisation.
pub(crate) struct OneOrganisation(pub(crate) &'static str);

impl ScopeResolver for OneOrganisation {
    fn org<'a>(&'a self, _who: &'a Identity) -> SourceFuture<'a, Option<OrgId>> {
        Box::pin(async move { Ok(OrgId::parse(self.0).ok()) })
    }
}

/// Roles by agent. Whoever is not on it is nobody.
pub(crate) struct Roster(BTreeMap<String, Role>);

impl Roster {
    pub(crate) fn new(roles: &[(&str, Role)]) -> Self {
        Self(roles.iter().map(|(agent, role)| ((*agent).to_owned(), *role)).collect())
    }
}

impl RoleSource for Roster {
    fn standing<'a>(&'a self, scope: &'a Scope) -> SourceFuture<'a, Standing> {
        let role = self.0.get(scope.agent_id().as_str()).copied();
        Box::pin(async move { Ok(Standing { role, groups: Vec::new() }) })
    }
}
