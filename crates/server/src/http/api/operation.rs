//! What an operation is: everything that router, document, tests and command line have to know, in one type.

use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::{Acting, Operations};
use bailiwick_model::OrgId;
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// One operation of the API.
pub(crate) trait Operation: Send + Sync + 'static {
    /// Where it is, who may do it, and what it is called.
    const FACTS: Facts;
    /// The parameters in the path.
    type Path: Shape;
    /// The parameters in the query.
    type Query: Shape;
    /// The body; [`Nothing`] for none.
    type Body: Shape;
    /// The body of the answer; [`Nothing`] for none.
    type Answer: Shape;

    /// A request as somebody would send it.
    fn example() -> Example;

    /// Does it.
    fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> impl Future<Output = Done<Self::Answer>> + Send;

    /// The version of what is answered, for `ETag`.
    fn version(_answer: &Self::Answer) -> Option<i64> {
        None
    }
}

/// A type that crosses the wire.
pub(crate) trait Shape: Serialize + DeserializeOwned + ToSchema + Send + 'static {}

impl<T: Serialize + DeserializeOwned + ToSchema + Send + 'static> Shape for T {}

/// What is said of an operation beside its shapes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// Its name, unique.
    pub(crate) id: &'static str,
    /// The noun it belongs to.
    pub(crate) noun: &'static str,
    /// The method.
    pub(crate) verb: Verb,
    /// The path, parameters in braces.
    pub(crate) path: &'static str,
    /// Who may do it.
    pub(crate) needs: Needs,
    /// The status of success.
    pub(crate) status: StatusCode,
    /// What it does, in one sentence.
    pub(crate) summary: &'static str,
    /// Whether its answer holds a secret: it is shown once and never kept.
    pub(crate) secret: bool,
    /// Whether `If-Match` is obeyed.
    pub(crate) versioned: bool,
}

impl Facts {
    /// Facts of an operation that answers 200, shows no secret and knows no versions.
    pub(crate) const fn new(
        id: &'static str,
        noun: &'static str,
        verb: Verb,
        path: &'static str,
        needs: Needs,
        summary: &'static str,
    ) -> Self {
        Self { id, noun, verb, path, needs, status: StatusCode::OK, summary, secret: false, versioned: false }
    }

    /// The same with another status of success.
    pub(crate) const fn answering(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

/// The methods that operations have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verb {
    /// Shows; changes nothing.
    Get,
    /// Makes something new.
    Post,
    /// Sets something as it is given.
    Put,
    /// Changes a part.
    Patch,
    /// Takes away.
    Delete,
}

impl Verb {
    const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// The method on the wire.
    pub(crate) const fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
            Self::Patch => Method::PATCH,
            Self::Delete => Method::DELETE,
        }
    }

    /// The verb of a method: HEAD is GET without the body, which hyper leaves out.
    pub(crate) fn of(method: &Method) -> Option<Self> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        Self::ALL.into_iter().find(|verb| verb.method() == *method)
    }
}

/// The role that an operation requires, as the document says it. The operation itself checks; a test holds both against each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// A valid credential.
    Credential,
    /// Membership in the organisation.
    Member,
    /// To be the member himself, or to administer some group.
    Himself,
    /// To administer some group.
    GroupAdmin,
    /// To administer the group in the path.
    Group,
    /// To administer the organisation.
    OrgAdmin,
    /// To administer whoever registered the server in the path.
    Registrar,
    /// To be a member in person.
    Person,
    /// To stand above organisations.
    PlatformAdmin,
}

impl Needs {
    /// The word in the document.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Member => "member",
            Self::Himself => "himself",
            Self::GroupAdmin => "group_admin",
            Self::Group => "group",
            Self::OrgAdmin => "org_admin",
            Self::Registrar => "registrar",
            Self::Person => "person",
            Self::PlatformAdmin => "platform_admin",
        }
    }
}

/// What was asked.
#[derive(Debug)]
pub(crate) struct Ask<O: Operation + ?Sized> {
    /// The parameters in the path.
    pub(crate) path: O::Path,
    /// The parameters in the query.
    pub(crate) query: O::Query,
    /// The body.
    pub(crate) body: O::Body,
    /// The version in `If-Match`.
    pub(crate) expected: Option<i64>,
    /// The organisation to act in, where it stands beside the path; `None`: that of the caller.
    pub(crate) org: Option<OrgId>,
}

/// An example of a request, as it stands in the document. A test gives each to its operation.
#[derive(Clone, Debug)]
pub(crate) struct Example {
    /// The parameters in the path.
    pub(crate) path: Value,
    /// The body.
    pub(crate) body: Value,
}

/// No parameters, or no body.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}
