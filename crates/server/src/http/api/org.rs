//! `/v1/orgs`: organisations.

use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::{Acting, Operations, org};
use bailiwick_model::OrgId;
use bailiwick_store::Organisation;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::operation::{Ask, Example, Facts, Needs, Nothing, Operation, Verb};
use super::page::{ListQuery, Page};
use super::route::Route;
use super::schemas;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::of::<ListOrgs>(), Route::of::<CreateOrg>(), Route::of::<ShowOrg>()]
}

/// An organisation.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Org {
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
    /// When it was created.
    #[schema(value_type = schemas::Moment)]
    pub(crate) created_at: String,
    /// Who created it.
    pub(crate) created_by: String,
}

impl From<Organisation> for Org {
    fn from(row: Organisation) -> Self {
        Self { org: row.org, created_at: row.created_at.to_string(), created_by: row.created_by }
    }
}

/// The organisation that is meant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrgPath {
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
}

/// An organisation to be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOrg {
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
}

/// Lists organisations.
pub(crate) struct ListOrgs;

impl Operation for ListOrgs {
    const FACTS: Facts =
        Facts::new("list_orgs", "orgs", Verb::Get, "/v1/orgs", Needs::Member, "Lists the organisations that the caller may see.");
    type Path = Nothing;
    type Query = ListQuery;
    type Body = Nothing;
    type Answer = Page<Org>;

    fn example() -> Example {
        Example { path: json!({}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Page<Org>> {
        // The list depends on who asks; a cursor of it is nobody's but his, and names only what he may see.
        let place = (Self::FACTS.id, "");
        let rows = org::list(operations, acting, &ask.query.after(place.0, place.1)?).await?;
        Ok(ask.query.page(rows, place, |row| row.org.to_string(), Org::from))
    }
}

/// Creates an organisation.
pub(crate) struct CreateOrg;

impl Operation for CreateOrg {
    const FACTS: Facts = Facts::new("create_org", "orgs", Verb::Post, "/v1/orgs", Needs::PlatformAdmin, "Creates an organisation.")
        .answering(StatusCode::CREATED);
    type Path = Nothing;
    type Query = Nothing;
    type Body = NewOrg;
    type Answer = Org;

    fn example() -> Example {
        Example { path: json!({}), body: json!({"org": "new-1"}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Org> {
        org::create(operations, acting, &ask.body.org).await.map(Org::from)
    }
}

/// Shows an organisation.
pub(crate) struct ShowOrg;

impl Operation for ShowOrg {
    const FACTS: Facts = Facts::new("show_org", "orgs", Verb::Get, "/v1/orgs/{org}", Needs::Member, "Shows an organisation.");
    type Path = OrgPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = Org;

    fn example() -> Example {
        Example { path: json!({"org": "acme"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Org> {
        org::get(operations, acting, &ask.path.org).await.map(Org::from)
    }
}
