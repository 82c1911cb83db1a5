//! `bailiwick org`: organisations.

use super::args::{Form, OrgCommand};
use super::context::Context;
use super::desk::{Desk, Work};
use super::output;
use crate::exit::Failure;
use crate::http::api::operation::Nothing;
use crate::http::api::org::{CreateOrg, ListOrgs, NewOrg, OrgPath, ShowOrg};

pub(super) async fn run(context: &Context, command: OrgCommand) -> Result<(), Failure> {
    let work = if matches!(command, OrgCommand::Create { .. }) { Work::Changes } else { Work::Reads };
    let desk = context.desk(work).await?;
    let done = act(context.form, &desk, command).await;
    done.and(desk.close().await)
}

async fn act(form: Form, desk: &Desk, command: OrgCommand) -> Result<(), Failure> {
    match command {
        OrgCommand::Create { org } => {
            let created = desk.ask::<CreateOrg>(Nothing {}, NewOrg { org }).await?;
            output::done(form, &created, &format!("Organisation `{}` is created.", created.org))
        }
        OrgCommand::List => {
            let rows = desk.all::<ListOrgs, _>(Nothing {}).await?;
            output::print_rows(form, &rows, ["ORG", "CREATED", "BY"], |row| {
                [row.org.to_string(), row.created_at.clone(), row.created_by.clone()]
            })
        }
        OrgCommand::Show { org } => output::print_one(form, &desk.ask::<ShowOrg>(OrgPath { org }, Nothing {}).await?),
    }
}
