//! `/v1/orgs/{org}/members`: the people of an organisation.

use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::{Acting, Operations, member};
use bailiwick_model::{OrgId, Role, Subject};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::operation::{Ask, Example, Facts, Needs, Nothing, Operation, Verb};
use super::org::OrgPath;
use super::page::{ListQuery, Page};
use super::route::Route;
use super::schemas;
use super::text::Email;

const MANY: &str = "/v1/orgs/{org}/members";
const ONE: &str = "/v1/orgs/{org}/members/{sub}";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::of::<ListMembers>(),
        Route::of::<AddMember>(),
        Route::of::<ShowMember>(),
        Route::of::<ChangeMember>(),
        Route::of::<RemoveMember>(),
    ]
}

/// A member of an organisation.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Member {
    #[schema(value_type = schemas::Subject)]
    pub(crate) sub: Subject,
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
    /// How the organisation reaches him; never used for a decision.
    pub(crate) email: Option<String>,
    #[schema(value_type = schemas::Role)]
    pub(crate) role: Role,
    /// When he was added.
    #[schema(value_type = schemas::Moment)]
    pub(crate) created_at: String,
    /// Who added him.
    pub(crate) created_by: String,
}

impl Member {
    fn of(org: &OrgId, row: bailiwick_store::Member) -> Self {
        let bailiwick_store::Member { sub, email, role, created_at, created_by } = row;
        Self { sub, org: org.clone(), email, role, created_at: created_at.to_string(), created_by }
    }
}

/// The member that is meant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberPath {
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
    #[schema(value_type = schemas::Subject)]
    pub(crate) sub: Subject,
}

/// A member to be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMember {
    #[schema(value_type = schemas::Subject)]
    pub(crate) sub: Subject,
    /// How the organisation reaches him.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Email>)]
    pub(crate) email: Option<Email>,
    /// `member` when it is not given.
    #[serde(default = "plain")]
    #[schema(value_type = schemas::Role)]
    pub(crate) role: Role,
}

/// What a member's role is when nothing is said.
pub(super) fn plain() -> Role {
    Role::Member
}

/// What is to change of a member.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberChange {
    #[schema(value_type = schemas::Role)]
    pub(crate) role: Role,
}

/// Lists members.
pub(crate) struct ListMembers;

impl Operation for ListMembers {
    const FACTS: Facts = Facts::new("list_members", "members", Verb::Get, MANY, Needs::GroupAdmin, "Lists members by subject.");
    type Path = OrgPath;
    type Query = ListQuery;
    type Body = Nothing;
    type Answer = Page<Member>;

    fn example() -> Example {
        Example { path: json!({"org": "acme"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Page<Member>> {
        let org = &ask.path.org;
        let place = (Self::FACTS.id, org.as_str());
        let rows = member::list(operations, acting, org, &ask.query.after(place.0, place.1)?).await?;
        Ok(ask.query.page(rows, place, |row| row.sub.to_string(), |row| Member::of(org, row)))
    }
}

/// Adds a member.
pub(crate) struct AddMember;

impl Operation for AddMember {
    const FACTS: Facts =
        Facts::new("add_member", "members", Verb::Post, MANY, Needs::OrgAdmin, "Adds a member.").answering(StatusCode::CREATED);
    type Path = OrgPath;
    type Query = Nothing;
    type Body = NewMember;
    type Answer = Member;

    fn example() -> Example {
        Example { path: json!({"org": "acme"}), body: json!({"sub": "new-1", "email": "new-1@acme.example", "role": "member"}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Member> {
        let Ask { path: OrgPath { org }, body: NewMember { sub, email, role }, .. } = ask;
        let new = (&sub, email.as_ref().map(Email::as_str), role);
        member::add(operations, acting, &org, new).await.map(|row| Member::of(&org, row))
    }
}

/// Shows a member.
pub(crate) struct ShowMember;

impl Operation for ShowMember {
    const FACTS: Facts = Facts::new("show_member", "members", Verb::Get, ONE, Needs::Himself, "Shows a member.");
    type Path = MemberPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = Member;

    fn example() -> Example {
        Example { path: json!({"org": "acme", "sub": "bob"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Member> {
        let MemberPath { org, sub } = ask.path;
        member::get(operations, acting, &org, &sub).await.map(|row| Member::of(&org, row))
    }
}

/// Gives a member another role.
pub(crate) struct ChangeMember;

impl Operation for ChangeMember {
    const FACTS: Facts = Facts::new("change_member", "members", Verb::Patch, ONE, Needs::OrgAdmin, "Gives a member another role.");
    type Path = MemberPath;
    type Query = Nothing;
    type Body = MemberChange;
    type Answer = Member;

    fn example() -> Example {
        Example { path: json!({"org": "acme", "sub": "bob"}), body: json!({"role": "group_admin"}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Member> {
        let MemberPath { org, sub } = ask.path;
        member::set_role(operations, acting, &org, &sub, ask.body.role).await.map(|row| Member::of(&org, row))
    }
}

/// Removes a member.
pub(crate) struct RemoveMember;

impl Operation for RemoveMember {
    const FACTS: Facts = Facts::new(
        "remove_member",
        "members",
        Verb::Delete,
        ONE,
        Needs::OrgAdmin,
        "Removes a member: from his groups too, and his keys stop working within a second.",
    )
    .answering(StatusCode::NO_CONTENT);
    type Path = MemberPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = Nothing;

    fn example() -> Example {
        Example { path: json!({"org": "acme", "sub": "bob"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Nothing> {
        member::remove(operations, acting, &ask.path.org, &ask.path.sub).await.map(|()| Nothing {})
    }
}
