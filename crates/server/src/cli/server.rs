//! `bailiwick server`: external servers that are registered while gateways run.

mod add;
mod connect;
mod tools;

use bailiwick_model::name::folded;
use bailiwick_model::{OrgId, ServerId};

use super::args::{Form, ServerArgs, ServerCommand};
use super::context::Context;
use super::desk::{Desk, Work};
use super::output;
use crate::exit::{Exit, Failure};
use crate::http::api::operation::{Ask, Nothing};
use crate::http::api::server::admin::{ListAllServers, SetServerOrgs, UpdateMcpServerOrgsRequest};
use crate::http::api::server::allowlist::{SetNewToolsPolicy, UpdateNewToolsPolicyRequest};
use crate::http::api::server::record::McpServerRecord;
use crate::http::api::server::tenant::{
    McpSettings, RemoveOrgCredential, SetMcpServerOrgContextRequest, SetMcpServerOrgCredentialRequest, SetMcpSettings, SetOrgContext,
    SetOrgCredential, ShowMcpSettings, ShowOrgContext, ShowOrgCredential,
};
use crate::http::api::server::upkeep::{DoctorQuery, ExamineServer, RetrySetup};
use crate::http::api::server::{DeleteServer, Id, ListServers, ServerPath, ShowServer, UpdateMcpServerRequest, UpdateServer};
use crate::http::api::text::SecretName;

pub(super) async fn run(context: &Context, command: ServerCommand) -> Result<(), Failure> {
    match &command {
        ServerCommand::Rm { which, confirm } => {
            output::confirm(&format!("Delete server `{}` and every connection with it", which.server), confirm.yes)?;
        }
        ServerCommand::Orgs { server, everybody: false, confirm, .. } => {
            output::confirm(&format!("Take what all other organisations have at server `{server}`"), confirm.yes)?;
        }
        _ => {}
    }
    let command = match command {
        // Read before the database is opened: nobody waits for a lock while a person types.
        ServerCommand::Add(args) => {
            let secret = add::read_secret(&args)?;
            let desk = context.desk(Work::Changes).await?;
            return add::add(context.form, &desk, *args, secret).await.and(desk.close().await);
        }
        command => command,
    };
    let desk = context.desk(if reads(&command) { Work::Reads } else { Work::Changes }).await?;
    let done = act(context.form, &desk, command).await;
    done.and(desk.close().await)
}

/// Whether a command changes nothing, here or elsewhere.
fn reads(command: &ServerCommand) -> bool {
    match command {
        ServerCommand::List { .. } | ServerCommand::Show { .. } | ServerCommand::Connections { .. } => true,
        ServerCommand::Tools { discover, allow, block, copy_from, .. } => {
            !discover && allow.is_empty() && block.is_empty() && copy_from.is_none()
        }
        ServerCommand::Context { text, clear, .. } => text.is_none() && !clear,
        ServerCommand::Credential { secret, clear, .. } => secret.is_none() && !clear,
        ServerCommand::Fallback { fallback, .. } => fallback.is_none(),
        _ => false,
    }
}

async fn act(form: Form, desk: &Desk, command: ServerCommand) -> Result<(), Failure> {
    match command {
        // Taken before the desk was opened.
        ServerCommand::Add(_) => Ok(()),
        ServerCommand::List { all: true, .. } => list(form, desk.all_in::<ListAllServers, _>(None).await?),
        ServerCommand::List { within, .. } => list(form, desk.all_in::<ListServers, _>(Some(&desk.org(within.org).await?)).await?),
        ServerCommand::Show { which } => {
            let (org, path) = find(desk, which).await?;
            output::print_one(form, &desk.ask_in::<ShowServer>(&org, path, Nothing {}).await?)
        }
        ServerCommand::Update { which, name, scopes, no_scopes, new_tools } => {
            let scopes = (no_scopes || !scopes.is_empty()).then_some(scopes);
            update(form, desk, which, UpdateMcpServerRequest { display_name: name, scopes }, new_tools).await
        }
        ServerCommand::Rm { which, .. } => {
            let text = format!("Server `{}` is deleted.", which.server);
            let (org, path) = find(desk, which).await?;
            let deleted = desk.ask_in::<DeleteServer>(&org, path, Nothing {}).await?;
            output::done(form, &deleted, &format!("{text} {}", deleted.removed))
        }
        ServerCommand::Retry { which } => {
            let (org, path) = find(desk, which).await?;
            let server = desk.ask_in::<RetrySetup>(&org, path, Nothing {}).await?;
            output::done(form, &server, &state(&server))
        }
        ServerCommand::Orgs { server, orgs, .. } => reassign(form, desk, &server, orgs).await,
        ServerCommand::Context { which, text, clear } => said(form, desk, which, if clear { Some(String::new()) } else { text }).await,
        ServerCommand::Credential { which, secret, clear } => credential(form, desk, which, (secret, clear)).await,
        ServerCommand::Doctor { which, register } => doctor(form, desk, which, register).await,
        ServerCommand::Fallback { fallback, within } => {
            let org = desk.org(within.org).await?;
            let settings = match fallback {
                None => desk.ask_in::<ShowMcpSettings>(&org, Nothing {}, Nothing {}).await?,
                Some(fallback) => {
                    desk.ask_in::<SetMcpSettings>(&org, Nothing {}, McpSettings { org_credential_fallback: fallback }).await?
                }
            };
            output::print_one(form, &settings)
        }
        ServerCommand::Tools { which, discover, allow, block, copy_from } => {
            tools::tools(form, desk, which, tools::Wanted { discover, allow, block, copy_from }).await
        }
        ServerCommand::Allow { which, tools, unset, .. } => tools::allow(form, desk, which, (!unset).then_some(tools)).await,
        ServerCommand::Connect { which, as_client: true, .. } => connect::as_client(form, desk, which).await,
        ServerCommand::Connect { which, holder, .. } => connect::connect(form, desk, which, holder).await,
        ServerCommand::Disconnect { which, holder } => connect::disconnect(form, desk, which, holder).await,
        ServerCommand::Connections { which } => connect::list(form, desk, which).await,
    }
}

fn list(form: Form, rows: Vec<McpServerRecord>) -> Result<(), Failure> {
    output::print_rows(form, &rows, ["NAME", "ID", "STATUS", "MODE", "FOR", "URL"], |row| {
        let seen = if row.org_ids.is_empty() {
            "all".to_owned()
        } else {
            row.org_ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        };
        [
            row.display_name.clone(),
            row.server_id.clone(),
            row.status.to_string(),
            row.registration_mode.to_string(),
            seen,
            row.server_url.clone(),
        ]
    })
}

/// How a server stands, in a sentence.
fn state(server: &McpServerRecord) -> String {
    let reason = server.status_reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("Server `{}` ({}) is {}{reason}.", server.display_name, server.server_id, server.status)
}

async fn update(
    form: Form,
    desk: &Desk,
    which: ServerArgs,
    change: UpdateMcpServerRequest,
    new_tools: Option<bailiwick_model::registered::NewToolsPolicy>,
) -> Result<(), Failure> {
    let (org, path) = find(desk, which).await?;
    let changes = change.display_name.is_some() || change.scopes.is_some();
    if !changes && new_tools.is_none() {
        return Err(Failure::new(Exit::Usage, "nothing to change").hint("give `--name`, `--scope`, `--no-scopes` or `--new-tools`"));
    }
    let mut server = if changes { Some(desk.ask_in::<UpdateServer>(&org, path.clone(), change).await?) } else { None };
    if let Some(new_tools_policy) = new_tools {
        server = Some(desk.ask_in::<SetNewToolsPolicy>(&org, path, UpdateNewToolsPolicyRequest { new_tools_policy }).await?);
    }
    match server {
        Some(server) => {
            output::done(form, &server, &format!("Server `{}` is changed (revision {}).", server.display_name, server.revision))
        }
        None => Ok(()),
    }
}

async fn reassign(form: Form, desk: &Desk, server: &str, org_ids: Vec<OrgId>) -> Result<(), Failure> {
    let all = match ServerId::parse(server) {
        Ok(_) => Vec::new(),
        Err(_) => desk.all_in::<ListAllServers, _>(None).await?,
    };
    let path = ServerPath { server_id: choose(server, all)? };
    let done = desk.ask::<SetServerOrgs>(path, UpdateMcpServerOrgsRequest { org_ids }).await?;
    let seen = if done.server.org_ids.is_empty() { "everybody".to_owned() } else { format!("{} organisations", done.server.org_ids.len()) };
    output::done(form, &done, &format!("Server `{}` is for {seen}. {}", done.server.display_name, done.removed))
}

async fn said(form: Form, desk: &Desk, which: ServerArgs, text: Option<String>) -> Result<(), Failure> {
    let (org, path) = find(desk, which).await?;
    let record = match text {
        None => desk.ask_in::<ShowOrgContext>(&org, path, Nothing {}).await?,
        Some(context) => desk.ask_in::<SetOrgContext>(&org, path, SetMcpServerOrgContextRequest { context }).await?,
    };
    output::print_one(form, &record)
}

async fn credential(form: Form, desk: &Desk, which: ServerArgs, (secret, clear): (Option<String>, bool)) -> Result<(), Failure> {
    let (org, path) = find(desk, which).await?;
    if clear {
        let removed = desk.ask_in::<RemoveOrgCredential>(&org, path, Nothing {}).await?;
        return output::done(form, &removed, "The credential is taken away; the secret stays.");
    }
    let record = match secret {
        None => desk.ask_in::<ShowOrgCredential>(&org, path, Nothing {}).await?,
        Some(name) => {
            let invalid = |rule| Failure::new(Exit::Usage, "the name of the secret is not usable").hint(format!("use {rule}"));
            let secret_name = SecretName::parse(&name).map_err(invalid)?;
            desk.ask_in::<SetOrgCredential>(&org, path, SetMcpServerOrgCredentialRequest { secret_name }).await?
        }
    };
    output::print_one(form, &record)
}

async fn doctor(form: Form, desk: &Desk, which: ServerArgs, register: bool) -> Result<(), Failure> {
    let (org, path) = find(desk, which).await?;
    let query = DoctorQuery { register: register.then_some(true) };
    let report = desk.send::<ExamineServer>(Ask { path, query, body: Nothing {}, expected: None, org: Some(org) }).await?;
    if form == Form::Json {
        return output::print_json(&report);
    }
    output::print_rows(form, &report.steps, ["STEP", "VERDICT", "FOUND", "REMEDY"], |step| {
        [step.step.clone(), step.verdict.clone(), step.text.clone(), step.remedy.clone()]
    })?;
    for quirk in report.quirks.iter().filter(|quirk| quirk.seen) {
        eprintln!("{}", output::printable(&format!("{}: {} {}", quirk.id, quirk.line, quirk.remedy)));
    }
    match report.left_behind {
        Some(client) => output::print(&format!("{}\n", output::printable(&format!("left behind: {client}")))),
        None => Ok(()),
    }
}

/// The server that is meant, in the organisation to act in.
async fn find(desk: &Desk, which: ServerArgs) -> Result<(OrgId, ServerPath), Failure> {
    let org = desk.org(which.within.org).await?;
    let server_id = id(desk, &org, &which.server).await?;
    Ok((org, ServerPath { server_id }))
}

/// The id of a server that the organisation sees, by its id or its name.
async fn id(desk: &Desk, org: &OrgId, server: &str) -> Result<Id, Failure> {
    let seen = match ServerId::parse(server) {
        Ok(_) => Vec::new(),
        Err(_) => desk.all_in::<ListServers, _>(Some(org)).await?,
    };
    choose(server, seen)
}

/// An id is what it is; a name is looked for among `seen`.
fn choose(server: &str, seen: Vec<McpServerRecord>) -> Result<Id, Failure> {
    if let Ok(id) = ServerId::parse(server) {
        return Ok(Id(id));
    }
    let wanted = folded(server);
    let mut found = seen.into_iter().filter(|row| folded(&row.display_name) == wanted);
    match (found.next().and_then(|row| ServerId::parse(&row.server_id).ok()), found.next()) {
        (Some(id), None) => Ok(Id(id)),
        (Some(_), Some(_)) => Err(Failure::new(Exit::Conflict, "several organisations have a server of this name")
            .hint("give its id; `server list --all` shows it")),
        (None, _) => Err(Failure::new(Exit::NotFound, "the server does not exist").hint("`bailiwick server list` shows what there is")),
    }
}
