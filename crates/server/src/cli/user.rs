//! `bailiwick user`: the people of an organisation.

use super::args::{Form, UserCommand};
use super::context::Context;
use super::desk::{Desk, Work};
use super::output;
use crate::exit::{Exit, Failure};
use crate::http::api::member::{AddMember, ChangeMember, ListMembers, MemberChange, MemberPath, NewMember, RemoveMember, ShowMember};
use crate::http::api::operation::Nothing;
use crate::http::api::org::OrgPath;
use crate::http::api::text::Email;

pub(super) async fn run(context: &Context, command: UserCommand) -> Result<(), Failure> {
    if let UserCommand::Remove { sub, confirm, .. } = &command {
        output::confirm(&format!("Remove member `{sub}`"), confirm.yes)?;
    }
    let work = if matches!(command, UserCommand::List { .. } | UserCommand::Show { .. }) { Work::Reads } else { Work::Changes };
    let desk = context.desk(work).await?;
    let done = act(context.form, &desk, command).await;
    done.and(desk.close().await)
}

async fn act(form: Form, desk: &Desk, command: UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::Add { sub, email, role, org } => {
            let invalid = |rule| Failure::new(Exit::Usage, format!("`--email`: {rule}"));
            let email = email.as_deref().map(Email::parse).transpose().map_err(invalid)?;
            let org = desk.org(org).await?;
            let member = desk.ask::<AddMember>(OrgPath { org }, NewMember { sub, email, role }).await?;
            output::done(form, &member, &format!("`{}` is {} of `{}`.", member.sub, member.role, member.org))
        }
        UserCommand::List { org } => {
            let rows = desk.all::<ListMembers, _>(OrgPath { org: desk.org(org).await? }).await?;
            output::print_rows(form, &rows, ["USER", "ROLE", "EMAIL", "SINCE"], |row| {
                [row.sub.to_string(), row.role.to_string(), row.email.clone().unwrap_or_default(), row.created_at.clone()]
            })
        }
        UserCommand::Show { sub, org } => {
            let path = MemberPath { org: desk.org(org).await?, sub };
            output::print_one(form, &desk.ask::<ShowMember>(path, Nothing {}).await?)
        }
        UserCommand::Role { sub, role, org } => {
            let path = MemberPath { org: desk.org(org).await?, sub };
            let member = desk.ask::<ChangeMember>(path, MemberChange { role }).await?;
            output::done(form, &member, &format!("`{}` is {} of `{}`.", member.sub, member.role, member.org))
        }
        UserCommand::Remove { sub, org, .. } => {
            let path = MemberPath { org: desk.org(org).await?, sub };
            let text = format!("`{}` is no member of `{}` any more; his keys stop working within a second.", path.sub, path.org);
            output::done(form, &desk.ask::<RemoveMember>(path, Nothing {}).await?, &text)
        }
    }
}
