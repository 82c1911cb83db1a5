//! `/v1/orgs/{org}/groups`: groups and who is in them.

use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::{Acting, Operations, group};
use bailiwick_model::{GroupId, OrgId, Role, Subject};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::operation::{Ask, Example, Facts, Needs, Nothing, Operation, Verb};
use super::org::OrgPath;
use super::page::{ListQuery, Page};
use super::route::Route;
use super::schemas;
use super::text::Line;

const MANY: &str = "/v1/orgs/{org}/groups";
const ONE: &str = "/v1/orgs/{org}/groups/{group}";
const MEMBERS: &str = "/v1/orgs/{org}/groups/{group}/members";
const MEMBER: &str = "/v1/orgs/{org}/groups/{group}/members/{sub}";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::of::<ListGroups>(),
        Route::of::<CreateGroup>(),
        Route::of::<ShowGroup>(),
        Route::of::<DeleteGroup>(),
        Route::of::<ListGroupMembers>(),
        Route::of::<PutGroupMember>(),
        Route::of::<RemoveGroupMember>(),
    ]
}

/// A group of members.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Group {
    #[schema(value_type = schemas::GroupId)]
    pub(crate) group: GroupId,
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
    /// Its name for people.
    pub(crate) name: String,
    /// When it was created.
    #[schema(value_type = schemas::Moment)]
    pub(crate) created_at: String,
    /// Who created it.
    pub(crate) created_by: String,
}

impl Group {
    fn of(org: &OrgId, row: bailiwick_store::Group) -> Self {
        let bailiwick_store::Group { group_id, name, created_at, created_by } = row;
        Self { group: group_id, org: org.clone(), name, created_at: created_at.to_string(), created_by }
    }
}

/// A member of a group.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct GroupMember {
    #[schema(value_type = schemas::Subject)]
    pub(crate) sub: Subject,
    #[schema(value_type = schemas::GroupId)]
    pub(crate) group: GroupId,
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
    #[schema(value_type = schemas::GroupRole)]
    pub(crate) role: Role,
    /// When he was added.
    #[schema(value_type = schemas::Moment)]
    pub(crate) created_at: String,
    /// Who added him.
    pub(crate) created_by: String,
}

impl GroupMember {
    fn of(org: &OrgId, group: &GroupId, row: bailiwick_store::GroupMember) -> Self {
        let bailiwick_store::GroupMember { sub, role, created_at, created_by } = row;
        Self { sub, group: group.clone(), org: org.clone(), role, created_at: created_at.to_string(), created_by }
    }
}

/// The group that is meant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupPath {
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
    #[schema(value_type = schemas::GroupId)]
    pub(crate) group: GroupId,
}

/// The member of a group that is meant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupMemberPath {
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
    #[schema(value_type = schemas::GroupId)]
    pub(crate) group: GroupId,
    #[schema(value_type = schemas::Subject)]
    pub(crate) sub: Subject,
}

/// A group to be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGroup {
    #[schema(value_type = schemas::GroupId)]
    pub(crate) group: GroupId,
    /// Its name for people; no other group of the organisation has it.
    #[schema(value_type = schemas::Line)]
    pub(crate) name: Line,
}

/// What somebody is to be in a group.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InGroup {
    /// `member` when it is not given.
    #[serde(default = "super::member::plain", deserialize_with = "group_role")]
    #[schema(value_type = schemas::GroupRole)]
    pub(crate) role: Role,
}

fn group_role<'de, D: serde::Deserializer<'de>>(reader: D) -> Result<Role, D::Error> {
    match Role::deserialize(reader)? {
        Role::OrgAdmin => Err(serde::de::Error::custom("expected `member` or `group_admin`")),
        role => Ok(role),
    }
}

/// Lists groups.
pub(crate) struct ListGroups;

impl Operation for ListGroups {
    const FACTS: Facts = Facts::new("list_groups", "groups", Verb::Get, MANY, Needs::Member, "Lists groups by id.");
    type Path = OrgPath;
    type Query = ListQuery;
    type Body = Nothing;
    type Answer = Page<Group>;

    fn example() -> Example {
        Example { path: json!({"org": "acme"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Page<Group>> {
        let org = &ask.path.org;
        let place = (Self::FACTS.id, org.as_str());
        let rows = group::list(operations, acting, org, &ask.query.after(place.0, place.1)?).await?;
        Ok(ask.query.page(rows, place, |row| row.group_id.to_string(), |row| Group::of(org, row)))
    }
}

/// Creates a group.
pub(crate) struct CreateGroup;

impl Operation for CreateGroup {
    const FACTS: Facts =
        Facts::new("create_group", "groups", Verb::Post, MANY, Needs::OrgAdmin, "Creates a group.").answering(StatusCode::CREATED);
    type Path = OrgPath;
    type Query = Nothing;
    type Body = NewGroup;
    type Answer = Group;

    fn example() -> Example {
        Example { path: json!({"org": "acme"}), body: json!({"group": "new-1", "name": "Group new-1"}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Group> {
        let Ask { path: OrgPath { org }, body: NewGroup { group, name }, .. } = ask;
        group::create(operations, acting, &org, &group, name.as_str()).await.map(|row| Group::of(&org, row))
    }
}

/// Shows a group.
pub(crate) struct ShowGroup;

impl Operation for ShowGroup {
    const FACTS: Facts = Facts::new("show_group", "groups", Verb::Get, ONE, Needs::Member, "Shows a group.");
    type Path = GroupPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = Group;

    fn example() -> Example {
        Example { path: json!({"org": "acme", "group": "data"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Group> {
        let GroupPath { org, group } = ask.path;
        group::get(operations, acting, &org, &group).await.map(|row| Group::of(&org, row))
    }
}

/// Deletes a group.
pub(crate) struct DeleteGroup;

impl Operation for DeleteGroup {
    const FACTS: Facts = Facts::new(
        "delete_group",
        "groups",
        Verb::Delete,
        ONE,
        Needs::OrgAdmin,
        "Deletes a group and who was in it; not while it answers for an agent.",
    )
    .answering(StatusCode::NO_CONTENT);
    type Path = GroupPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = Nothing;

    fn example() -> Example {
        Example { path: json!({"org": "acme", "group": "data"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Nothing> {
        group::delete(operations, acting, &ask.path.org, &ask.path.group).await.map(|()| Nothing {})
    }
}

/// Lists the members of a group.
pub(crate) struct ListGroupMembers;

impl Operation for ListGroupMembers {
    const FACTS: Facts =
        Facts::new("list_group_members", "groups", Verb::Get, MEMBERS, Needs::Group, "Lists the members of a group by subject.");
    type Path = GroupPath;
    type Query = ListQuery;
    type Body = Nothing;
    type Answer = Page<GroupMember>;

    fn example() -> Example {
        Example { path: json!({"org": "acme", "group": "data"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Page<GroupMember>> {
        let GroupPath { org, group } = &ask.path;
        // Neither id can hold a `/`.
        let place = format!("{org}/{group}");
        let place = (Self::FACTS.id, place.as_str());
        let rows = group::members(operations, acting, org, group, &ask.query.after(place.0, place.1)?).await?;
        Ok(ask.query.page(rows, place, |row| row.sub.to_string(), |row| GroupMember::of(org, group, row)))
    }
}

/// Puts a member of the organisation into a group.
pub(crate) struct PutGroupMember;

impl Operation for PutGroupMember {
    const FACTS: Facts = Facts::new(
        "put_group_member",
        "groups",
        Verb::Put,
        MEMBER,
        Needs::Group,
        "Puts a member of the organisation into a group, or gives him another role in it.",
    );
    type Path = GroupMemberPath;
    type Query = Nothing;
    type Body = InGroup;
    type Answer = GroupMember;

    fn example() -> Example {
        Example { path: json!({"org": "acme", "group": "data", "sub": "bob"}), body: json!({"role": "member"}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<GroupMember> {
        let GroupMemberPath { org, group, sub } = ask.path;
        let put = group::put_member(operations, acting, &org, &group, (&sub, ask.body.role)).await;
        put.map(|row| GroupMember::of(&org, &group, row))
    }
}

/// Takes a member out of a group.
pub(crate) struct RemoveGroupMember;

impl Operation for RemoveGroupMember {
    const FACTS: Facts = Facts::new("remove_group_member", "groups", Verb::Delete, MEMBER, Needs::Group, "Takes a member out of a group.")
        .answering(StatusCode::NO_CONTENT);
    type Path = GroupMemberPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = Nothing;

    fn example() -> Example {
        Example { path: json!({"org": "acme", "group": "data", "sub": "bob"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Nothing> {
        let GroupMemberPath { org, group, sub } = ask.path;
        group::remove_member(operations, acting, &org, &group, &sub).await.map(|()| Nothing {})
    }
}
