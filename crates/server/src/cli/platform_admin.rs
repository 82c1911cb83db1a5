//! `bailiwick platform-admin`: people who act above organisations.

use super::args::{Form, PlatformAdminCommand};
use super::context::Context;
use super::desk::{Desk, Work};
use super::output;
use crate::exit::Failure;
use crate::http::api::operation::Nothing;
use crate::http::api::platform_admin::{Home, ListPlatformAdmins, PersonPath, PutPlatformAdmin, RemovePlatformAdmin};

pub(super) async fn run(context: &Context, command: PlatformAdminCommand) -> Result<(), Failure> {
    if let PlatformAdminCommand::Remove { sub, confirm } = &command {
        output::confirm(&format!("Dismiss platform administrator `{sub}`"), confirm.yes)?;
    }
    let work = if matches!(command, PlatformAdminCommand::List) { Work::Reads } else { Work::Changes };
    let desk = context.desk(work).await?;
    let done = act(context.form, &desk, command).await;
    done.and(desk.close().await)
}

async fn act(form: Form, desk: &Desk, command: PlatformAdminCommand) -> Result<(), Failure> {
    match command {
        PlatformAdminCommand::Add { sub, org } => {
            let org = desk.org(org).await?;
            let admin = desk.ask::<PutPlatformAdmin>(PersonPath { sub }, Home { org }).await?;
            let text = format!("`{}` of `{}` may act above organisations, with keys that are made from now on.", admin.sub, admin.org);
            output::done(form, &admin, &text)
        }
        PlatformAdminCommand::List => {
            let rows = desk.all::<ListPlatformAdmins, _>(Nothing {}).await?;
            output::print_rows(form, &rows, ["USER", "ORG", "SINCE", "BY"], |row| {
                [row.sub.to_string(), row.org.to_string(), row.created_at.clone(), row.created_by.clone()]
            })
        }
        PlatformAdminCommand::Remove { sub, .. } => {
            let text = format!("`{sub}` is no platform administrator any more.");
            output::done(form, &desk.ask::<RemovePlatformAdmin>(PersonPath { sub }, Nothing {}).await?, &text)
        }
    }
}
