//! `/v1/platform/admins`: who may act above organisations.

use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::{Acting, Operations, platform_admin};
use bailiwick_model::{OrgId, Subject};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::operation::{Ask, Example, Facts, Needs, Nothing, Operation, Verb};
use super::page::{ListQuery, Page};
use super::route::Route;
use super::schemas;

const MANY: &str = "/v1/platform/admins";
const ONE: &str = "/v1/platform/admins/{sub}";

pub(super) fn routes() -> Vec<Route> {
    vec![Route::of::<ListPlatformAdmins>(), Route::of::<PutPlatformAdmin>(), Route::of::<RemovePlatformAdmin>()]
}

/// Somebody who may act above organisations.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct PlatformAdmin {
    #[schema(value_type = schemas::Subject)]
    pub(crate) sub: Subject,
    /// The organisation as whose member he does; the same subject elsewhere is somebody else.
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
    /// Since when; his keys from before do not carry it.
    #[schema(value_type = schemas::Moment)]
    pub(crate) created_at: String,
    /// Who appointed him.
    pub(crate) created_by: String,
}

impl From<bailiwick_store::PlatformAdmin> for PlatformAdmin {
    fn from(row: bailiwick_store::PlatformAdmin) -> Self {
        let bailiwick_store::PlatformAdmin { sub, org, created_at, created_by } = row;
        Self { sub, org, created_at: created_at.to_string(), created_by }
    }
}

/// The person who is meant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PersonPath {
    #[schema(value_type = schemas::Subject)]
    pub(crate) sub: Subject,
}

/// As whose member he is to act.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Home {
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
}

/// Lists platform administrators.
pub(crate) struct ListPlatformAdmins;

impl Operation for ListPlatformAdmins {
    const FACTS: Facts =
        Facts::new("list_platform_admins", "platform", Verb::Get, MANY, Needs::PlatformAdmin, "Lists platform administrators by subject.");
    type Path = Nothing;
    type Query = ListQuery;
    type Body = Nothing;
    type Answer = Page<PlatformAdmin>;

    fn example() -> Example {
        Example { path: json!({}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Page<PlatformAdmin>> {
        let place = (Self::FACTS.id, "");
        let rows = platform_admin::list(operations, acting, &ask.query.after(place.0, place.1)?).await?;
        Ok(ask.query.page(rows, place, |row| row.sub.to_string(), PlatformAdmin::from))
    }
}

/// Appoints a platform administrator.
pub(crate) struct PutPlatformAdmin;

impl Operation for PutPlatformAdmin {
    const FACTS: Facts = Facts::new(
        "put_platform_admin",
        "platform",
        Verb::Put,
        ONE,
        Needs::PlatformAdmin,
        "Lets a member of an organisation act above all of them, with keys that are made from now on.",
    );
    type Path = PersonPath;
    type Query = Nothing;
    type Body = Home;
    type Answer = PlatformAdmin;

    fn example() -> Example {
        Example { path: json!({"sub": "carol"}), body: json!({"org": "acme"}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<PlatformAdmin> {
        platform_admin::add(operations, acting, &ask.body.org, &ask.path.sub).await.map(PlatformAdmin::from)
    }
}

/// Dismisses a platform administrator.
pub(crate) struct RemovePlatformAdmin;

impl Operation for RemovePlatformAdmin {
    const FACTS: Facts =
        Facts::new("remove_platform_admin", "platform", Verb::Delete, ONE, Needs::PlatformAdmin, "Dismisses a platform administrator.")
            .answering(StatusCode::NO_CONTENT);
    type Path = PersonPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = Nothing;

    fn example() -> Example {
        Example { path: json!({"sub": "carol"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Nothing> {
        platform_admin::remove(operations, acting, &ask.path.sub).await.map(|()| Nothing {})
    }
}
