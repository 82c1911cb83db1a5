//! `bailiwick group`: groups of members.

use super::args::{Form, GroupCommand};
use super::context::Context;
use super::desk::{Desk, Work};
use super::output;
use crate::exit::{Exit, Failure};
use crate::http::api::group::{
    CreateGroup, DeleteGroup, GroupMemberPath, GroupPath, InGroup, ListGroupMembers, ListGroups, NewGroup, PutGroupMember,
    RemoveGroupMember,
};
use crate::http::api::operation::Nothing;
use crate::http::api::org::OrgPath;
use crate::http::api::text::Line;

pub(super) async fn run(context: &Context, command: GroupCommand) -> Result<(), Failure> {
    if let GroupCommand::Delete { group, confirm, .. } = &command {
        output::confirm(&format!("Delete group `{group}`"), confirm.yes)?;
    }
    let work = if matches!(command, GroupCommand::List { .. } | GroupCommand::Members { .. }) { Work::Reads } else { Work::Changes };
    let desk = context.desk(work).await?;
    let done = act(context.form, &desk, command).await;
    done.and(desk.close().await)
}

async fn act(form: Form, desk: &Desk, command: GroupCommand) -> Result<(), Failure> {
    match command {
        GroupCommand::Create { group, name, org } => {
            let invalid = |rule| Failure::new(Exit::Usage, format!("`--name`: {rule}"));
            let name = Line::parse(name.as_deref().unwrap_or(group.as_str())).map_err(invalid)?;
            let group = desk.ask::<CreateGroup>(OrgPath { org: desk.org(org).await? }, NewGroup { group, name }).await?;
            output::done(form, &group, &format!("Group `{}` of `{}` is created.", group.group, group.org))
        }
        GroupCommand::List { org } => {
            let rows = desk.all::<ListGroups, _>(OrgPath { org: desk.org(org).await? }).await?;
            output::print_rows(form, &rows, ["GROUP", "NAME", "CREATED"], |row| {
                [row.group.to_string(), row.name.clone(), row.created_at.clone()]
            })
        }
        GroupCommand::Delete { group, org, .. } => {
            let path = GroupPath { org: desk.org(org).await?, group };
            let text = format!("Group `{}` of `{}` is deleted.", path.group, path.org);
            output::done(form, &desk.ask::<DeleteGroup>(path, Nothing {}).await?, &text)
        }
        GroupCommand::Add { group, sub, role, org } => {
            let path = GroupMemberPath { org: desk.org(org).await?, group, sub };
            let member = desk.ask::<PutGroupMember>(path, InGroup { role }).await?;
            output::done(form, &member, &format!("`{}` is {} of group `{}`.", member.sub, member.role, member.group))
        }
        GroupCommand::Remove { group, sub, org } => {
            let path = GroupMemberPath { org: desk.org(org).await?, group, sub };
            let text = format!("`{}` is not in group `{}` any more.", path.sub, path.group);
            output::done(form, &desk.ask::<RemoveGroupMember>(path, Nothing {}).await?, &text)
        }
        GroupCommand::Members { group, org } => {
            let rows = desk.all::<ListGroupMembers, _>(GroupPath { org: desk.org(org).await?, group }).await?;
            output::print_rows(form, &rows, ["USER", "ROLE", "SINCE"], |row| {
                [row.sub.to_string(), row.role.to_string(), row.created_at.clone()]
            })
        }
    }
}
