//! Connections with registered servers.

use secrecy::ExposeSecret as _;

use super::super::args::{Form, HolderArgs, ServerArgs};
use super::super::desk::Desk;
use super::super::output;
use crate::exit::{Exit, Failure};
use crate::http::api::connection::flow::{LinkQuery, MakeLink};
use crate::http::api::connection::{
    ConnectOrg, ConnectionPath, ListConnections, McpTokenRecord, RevokeConnection, RevokeOrgConnection, RevokeToken,
};
use crate::http::api::operation::{Ask, Nothing};
use crate::http::api::page::TokenQuery;

pub(super) async fn connect(form: Form, desk: &Desk, which: ServerArgs, holder: HolderArgs) -> Result<(), Failure> {
    check(desk, &holder)?;
    let (org, path) = super::find(desk, which).await?;
    let query = LinkQuery { sub: holder.user, organisation: holder.organisation.then_some(true) };
    let link = desk.send::<MakeLink>(Ask { path, query, body: Nothing {}, expected: None, org: Some(org) }).await?;
    match form {
        Form::Json => output::print_json(&link),
        Form::Text => {
            eprintln!("Open this link in a browser within ten minutes:");
            output::print(&format!("{}\n", output::printable(link.url.0.expose_secret())))
        }
    }
}

pub(super) async fn as_client(form: Form, desk: &Desk, which: ServerArgs) -> Result<(), Failure> {
    let name = which.server.clone();
    let (org, path) = super::find(desk, which).await?;
    let query = Nothing {};
    let record = desk.send::<ConnectOrg>(Ask { path, query, body: Nothing {}, expected: None, org: Some(org) }).await?;
    output::done(form, &record, &format!("The organisation is connected with `{name}` as the client that was registered there."))
}

pub(super) async fn disconnect(form: Form, desk: &Desk, which: ServerArgs, holder: HolderArgs) -> Result<(), Failure> {
    check(desk, &holder)?;
    let name = which.server.clone();
    let (org, path) = super::find(desk, which).await?;
    let gone = match holder {
        HolderArgs { organisation: true, .. } => desk.ask_in::<RevokeOrgConnection>(&org, path, Nothing {}).await?,
        HolderArgs { user: Some(sub), .. } => {
            let path = ConnectionPath { server_id: path.server_id, sub };
            desk.ask_in::<RevokeConnection>(&org, path, Nothing {}).await?
        }
        HolderArgs { user: None, .. } => desk.ask_in::<RevokeToken>(&org, path, Nothing {}).await?,
    };
    let removed = gone.removed;
    let text = format!(
        "The connection with `{name}` is gone. {} tokens wait to be revoked, {} cannot be.",
        removed.revocations, removed.unrevoked
    );
    output::done(form, &gone, &text)
}

pub(super) async fn list(form: Form, desk: &Desk, which: ServerArgs) -> Result<(), Failure> {
    let (org, path) = super::find(desk, which).await?;
    let mut rows: Vec<McpTokenRecord> = Vec::new();
    let mut query = TokenQuery::first();
    for _ in 0..super::super::desk::PAGES_MAX {
        let ask = Ask { path: path.clone(), query, body: Nothing {}, expected: None, org: Some(org.clone()) };
        let page = desk.send::<ListConnections>(ask).await?;
        rows.extend(page.items);
        let Some(token) = page.next_token else { break };
        query = TokenQuery::at(token);
    }
    output::print_rows(form, &rows, ["USER", "STATUS", "EXPIRES", "RENEWABLE", "LAST USED", "SCOPES", "FAILURE"], |row| {
        let user = if row.user_id.is_empty() { "(organisation)".to_owned() } else { row.user_id.clone() };
        let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
        [
            user,
            row.token_status.to_string(),
            or_empty(&row.expires_at),
            row.renewable.to_string(),
            or_empty(&row.last_used_at),
            row.scopes.join(" "),
            or_empty(&row.failure),
        ]
    })
}

/// At the machine nobody is anybody: a person has to be named.
fn check(desk: &Desk, holder: &HolderArgs) -> Result<(), Failure> {
    if !desk.is_here() || holder.user.is_some() || holder.organisation {
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, "at the machine it has to be said whose connection is meant")
        .hint("add `--user SUB` or `--organisation`"))
}
