//! Who asks, and what he may do: the one place where standings become permissions.

use std::sync::Arc;

use bailiwick_model::{Code, GroupId, OrgId, Role, Standing, Subject};
use bailiwick_store::event::{Actor, EventKind};
use bailiwick_store::{OrgScope, PlatformScope, Scope, StoreErrorKind};

use super::fault::{Done, Fault};
use super::{Deed, Operations};

/// Somebody with his standing at this moment.
#[derive(Clone)]
pub struct Acting(Who);

#[derive(Clone)]
enum Who {
    /// Authenticated over the network.
    Caller { scope: Scope, standing: Arc<Standing>, platform: Option<PlatformScope> },
    /// Whoever may open the database and the root key.
    Operator(PlatformScope),
}

/// What is required for an operation inside an organisation. An administrator of the organisation may whatever its other members may,
/// and a platform administrator may what he may.
#[derive(Clone, Copy, Debug)]
pub enum Required<'a> {
    /// Membership.
    Member,
    /// To be this member, or an administrator of some group.
    Himself(&'a Subject),
    /// To be in this group.
    InGroup(&'a GroupId),
    /// To be an administrator of some group.
    GroupAdmin,
    /// To administer this group.
    Group(&'a GroupId),
    /// To administer the organisation.
    OrgAdmin,
    /// To be a member in person, and not an agent that acts for nobody.
    Person,
}

impl Required<'_> {
    fn met_by(self, standing: &Standing, scope: &Scope) -> bool {
        match self {
            Self::Member => standing.is(Role::Member),
            Self::Himself(sub) => standing.is(Role::GroupAdmin) || standing.is(Role::Member) && scope.principal().sub.as_ref() == Some(sub),
            Self::InGroup(group) => {
                standing.is(Role::OrgAdmin) || standing.is(Role::Member) && standing.groups.iter().any(|(own, _)| own == group)
            }
            Self::GroupAdmin => standing.is(Role::GroupAdmin),
            Self::Group(group) => standing.administers(group),
            Self::OrgAdmin => standing.is(Role::OrgAdmin),
            Self::Person => standing.is(Role::Member) && scope.principal().sub.is_some(),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Member => "`member`",
            Self::Himself(_) => "the member himself, or `group_admin`",
            Self::InGroup(_) => "membership of the group",
            Self::GroupAdmin => "`group_admin`",
            Self::Group(_) => "`group_admin` of the group",
            Self::OrgAdmin => "`org_admin`",
            Self::Person => "a member of the organisation in person",
        }
    }
}

/// Who stands on the ledger and beside what was changed.
#[derive(Clone, Debug)]
pub struct Author {
    pub(super) actor: Actor,
    /// For the record: a platform administrator is named with the organisation as whose member he acts.
    pub(super) name: Box<str>,
    /// Whether he is the operator at the machine.
    pub(super) local: bool,
}

impl Author {
    /// Somebody whom only his browser tells apart, with what he was given by `begun_by`.
    pub(super) fn browser(org: &OrgId, begun_by: &str) -> Self {
        let name: Box<str> = format!("browser:{begun_by}").into();
        Self { actor: Actor::Operator { org: Some(org.clone()), name: name.clone().into() }, name, local: false }
    }
}

/// May read what was asked for, inside one organisation. Made only here.
pub struct Reader {
    scope: OrgScope,
}

impl Reader {
    pub(super) fn scope(&self) -> &OrgScope {
        &self.scope
    }
}

/// May change what was asked for, inside one organisation. Made only here.
pub struct Admin {
    scope: OrgScope,
    author: Author,
    platform: bool,
}

impl Admin {
    pub(super) fn scope(&self) -> &OrgScope {
        &self.scope
    }

    pub(super) fn author(&self) -> &Author {
        &self.author
    }

    /// Whether he may act from above the organisation as well.
    pub(super) fn is_platform(&self) -> bool {
        self.platform
    }
}

/// Acts for himself, inside his own organisation. Made only here.
pub struct Person {
    scope: OrgScope,
    author: Author,
    sub: Subject,
}

impl Person {
    pub(super) fn scope(&self) -> &OrgScope {
        &self.scope
    }

    pub(super) fn author(&self) -> &Author {
        &self.author
    }

    pub(super) fn sub(&self) -> &Subject {
        &self.sub
    }
}

/// May act above organisations. Made only here.
pub struct Platform {
    scope: PlatformScope,
    author: Author,
}

impl Platform {
    pub(super) fn scope(&self) -> &PlatformScope {
        &self.scope
    }

    pub(super) fn author(&self) -> &Author {
        &self.author
    }
}

impl Operations {
    /// The authenticated caller with what he may do now.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn caller(&self, scope: Scope) -> Done<Acting> {
        let standing = Arc::new(self.store().members().standing(&scope).await?);
        let platform = match self.store().members().as_platform(&scope).await {
            Ok(platform) => Some(platform),
            Err(fault) if fault.kind() == StoreErrorKind::NotFound => None,
            Err(fault) => return Err(fault.into()),
        };
        Ok(Acting(Who::Caller { scope, standing, platform }))
    }

    /// Lets `acting` read in `org`. Whoever does so from above the organisation leaves a record of it.
    ///
    /// # Errors
    /// `not_found` for an organisation that is not his, as for one that does not exist; `forbidden` with too low a role.
    pub async fn reader(&self, acting: &Acting, org: &OrgId, required: Required<'_>, operation: &'static str) -> Done<Reader> {
        let entered = self.enter(acting, org, required, operation).await?;
        if matches!(entered.author.actor, Actor::Operator { .. }) {
            let deed = Deed::new(EventKind::Audit, operation, org.as_str());
            self.note_reading(&entered.author, deed).await?;
        }
        Ok(Reader { scope: entered.scope })
    }

    /// Lets `acting` change something in `org`.
    ///
    /// # Errors
    /// As [`reader`](Self::reader).
    pub async fn admin(&self, acting: &Acting, org: &OrgId, required: Required<'_>, operation: &'static str) -> Done<Admin> {
        self.enter(acting, org, required, operation).await
    }

    /// Lets `acting` act above organisations.
    ///
    /// # Errors
    /// `forbidden` for anybody but a platform administrator.
    pub fn platform(&self, acting: &Acting, operation: &'static str) -> Done<Platform> {
        let scope = match &acting.0 {
            Who::Operator(scope) | Who::Caller { platform: Some(scope), .. } => scope.clone(),
            Who::Caller { scope, standing, platform: None } => {
                return Err(self.forbidden(scope, operation, "`platform_admin`", standing));
            }
        };
        let author = acting.above_all(&scope, None);
        Ok(Platform { scope, author })
    }

    /// Lets `acting` do something for himself in `org`. Standing above organisations does not help: nobody is somebody else.
    ///
    /// # Errors
    /// `not_found` for an organisation that is not his; `forbidden` for an agent that acts for nobody, and for the operator.
    pub(super) async fn person(&self, acting: &Acting, org: &OrgId, operation: &'static str) -> Done<Person> {
        let Admin { scope, author, .. } = self.enter(acting, org, Required::Person, operation).await?;
        match &acting.0 {
            Who::Caller { scope: own, standing, .. } => {
                let sub = own.principal().sub.clone().filter(|_| own.org() == org && standing.is(Role::Member));
                let sub = sub.ok_or_else(|| self.forbidden(own, operation, Required::Person.words(), standing))?;
                Ok(Person { scope, author, sub })
            }
            Who::Operator(_) => Err(Fault::new(
                Code::Forbidden,
                "the operator at the machine is no member of the organisation",
                "ask with the key of a person, with `--server`",
            )),
        }
    }

    /// Refuses who may see a server and is not the one to change it.
    pub(super) fn not_registrar(&self, acting: &Acting, operation: &'static str) -> Fault {
        match &acting.0 {
            Who::Caller { scope, standing, .. } => {
                self.forbidden(scope, operation, "an administrator of whoever registered the server", standing)
            }
            Who::Operator(_) => {
                Fault::new(Code::Forbidden, "the server was registered by somebody else", "name its organisation with `--org`")
            }
        }
    }

    async fn enter(&self, acting: &Acting, org: &OrgId, required: Required<'_>, operation: &'static str) -> Done<Admin> {
        match &acting.0 {
            Who::Caller { scope, standing, .. } if scope.org() == org && required.met_by(standing, scope) => {
                let name = Box::from(bailiwick_store::Tenant::actor(scope));
                let author = Author { actor: Actor::Agent(scope.clone()), name, local: false };
                Ok(Admin { scope: scope.operator(), author, platform: acting.above().is_some() })
            }
            Who::Operator(platform) | Who::Caller { platform: Some(platform), .. } => {
                let scope = platform.within(org);
                self.store().orgs().get(&scope).await?;
                Ok(Admin { scope, author: acting.above_all(platform, Some(org)), platform: true })
            }
            Who::Caller { scope, standing, .. } if scope.org() == org => Err(self.forbidden(scope, operation, required.words(), standing)),
            Who::Caller { .. } => Err(no_org(org)),
        }
    }

    fn forbidden(&self, scope: &Scope, operation: &'static str, required: &'static str, standing: &Standing) -> Fault {
        let actual = standing.role.map_or("none", Role::as_str);
        let message = format!("the operation requires {required}; the caller's role is `{actual}`");
        let fault = Fault::new(Code::Forbidden, message, "ask an administrator of the organisation");
        match self.note_refusal(scope, operation) {
            Some(event) => fault.event(event),
            None => fault,
        }
    }
}

/// The same for a foreign organisation and for none.
fn no_org(org: &OrgId) -> Fault {
    Fault::new(Code::NotFound, format!("organisation `{org}` does not exist"), "create it with `bailiwick org create`")
}

impl Acting {
    /// Whoever may open the database itself.
    #[must_use]
    pub fn operator(scope: PlatformScope) -> Self {
        Self(Who::Operator(scope))
    }

    /// The authenticated principal; `None` for the operator at the machine.
    #[must_use]
    pub fn scope(&self) -> Option<&Scope> {
        match &self.0 {
            Who::Caller { scope, .. } => Some(scope),
            Who::Operator(_) => None,
        }
    }

    /// The organisation to act in: the one that is named, otherwise his own.
    ///
    /// # Errors
    /// `invalid_argument` when none is named and he has none.
    pub fn org(&self, named: Option<OrgId>) -> Done<OrgId> {
        let own = || self.scope().map(|scope| scope.org().clone());
        named.or_else(own).ok_or_else(|| Fault::invalid("X-Roboto-Org-Id", "name the organisation to act in"))
    }

    /// What he is in his own organisation.
    pub(super) fn standing(&self) -> Option<&Standing> {
        match &self.0 {
            Who::Caller { standing, .. } => Some(standing),
            Who::Operator(_) => None,
        }
    }

    fn above_all(&self, scope: &PlatformScope, org: Option<&OrgId>) -> Author {
        let actor = Actor::Operator { org: org.cloned(), name: scope.actor().into() };
        Author { actor, name: scope.actor().into(), local: matches!(self.0, Who::Operator(_)) }
    }

    /// The scope above organisations, if he has it.
    pub(super) fn above(&self) -> Option<&PlatformScope> {
        match &self.0 {
            Who::Operator(scope) | Who::Caller { platform: Some(scope), .. } => Some(scope),
            Who::Caller { platform: None, .. } => None,
        }
    }
}
