//! `bailiwick key`: API keys of agents, and of members who act through them.

use std::time::Duration;

use bailiwick_model::{AgentId, AgentType, KeyId, OrgId, Subject};

use super::args::{Form, KeyCommand};
use super::context::Context;
use super::desk::{Desk, Work};
use super::output;
use super::when::Lifetime;
use crate::exit::{Exit, Failure};
use crate::http::api::key::{
    CreateKey, CreatedKey, Key, KeyPath, KeyText, ListKeys, Moment, NewKey, Overlap, RevokeKey, RotateKey, Rotation, ShowKey,
};
use crate::http::api::operation::Nothing;
use crate::http::api::org::OrgPath;
use crate::http::api::text::Line;

pub(super) async fn run(context: &Context, command: KeyCommand) -> Result<(), Failure> {
    if let KeyCommand::Revoke { id, confirm, .. } = &command {
        let key = parsed(id)?;
        output::confirm(&format!("Revoke key {key}"), confirm.yes)?;
    }
    let work = if matches!(command, KeyCommand::List { .. }) { Work::Reads } else { Work::Changes };
    let desk = context.desk(work).await?;
    let done = act(context, &desk, command).await;
    done.and(desk.close().await)
}

async fn act(context: &Context, desk: &Desk, command: KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::Create { org, agent_id, agent_type, user, expires, note } => {
            let org = desk.org(org).await?;
            create(context, desk, Wanted { org, agent_id, agent_type, user, expires, note }).await
        }
        KeyCommand::List { org } => list(context.form, desk, org).await,
        KeyCommand::Revoke { id, org, .. } => {
            let (org, key) = find(desk, parsed(&id)?, org).await?;
            let text = format!("Key {id} of `{org}` is revoked; every gateway refuses it within a second.");
            output::done(context.form, &desk.ask::<RevokeKey>(KeyPath { org, key_id: key.into() }, Nothing {}).await?, &text)
        }
        KeyCommand::Rotate { id, overlap, expires, org } => {
            let (org, key) = find(desk, parsed(&id)?, org).await?;
            let rotated = rotate(context, desk, KeyPath { org, key_id: key.into() }, expires, overlap).await?;
            show(context.form, &rotated)
        }
    }
}

struct Wanted {
    org: OrgId,
    agent_id: AgentId,
    agent_type: Option<AgentType>,
    user: Option<Subject>,
    expires: Lifetime,
    note: String,
}

async fn create(context: &Context, desk: &Desk, wanted: Wanted) -> Result<(), Failure> {
    let Wanted { org, agent_id, agent_type, user, expires, note } = wanted;
    let note = Line::parse(&note).map_err(|rule| Failure::new(Exit::Usage, format!("`--note`: {rule}")))?;
    desk.ensure_org(&org).await?;
    let expires_at = expires.end(context.clock.now()).map(Moment);
    let new = NewKey { agent_id, agent_type, sub: user, note, expires_at };
    show(context.form, &desk.ask::<CreateKey>(OrgPath { org }, new).await?)
}

async fn rotate(context: &Context, desk: &Desk, path: KeyPath, expires: Lifetime, overlap: Duration) -> Result<CreatedKey, Failure> {
    let overlap_seconds =
        Overlap::try_from(overlap.as_secs_f64()).map_err(|rule| Failure::new(Exit::Usage, format!("`--overlap`: {rule}")))?;
    let expires_at = expires.end(context.clock.now()).map(Moment);
    desk.ask::<RotateKey>(path, Rotation { expires_at, overlap_seconds }).await
}

fn show(form: Form, created: &CreatedKey) -> Result<(), Failure> {
    if form == Form::Json {
        return output::print_json(created);
    }
    let CreatedKey { key, token } = created;
    let of = match &key.sub {
        Some(sub) => format!("`{sub}`, through agent `{}`", key.agent_id),
        None => format!("agent `{}`", key.agent_id),
    };
    let validity = key.expires_at.as_ref().map_or_else(|| "until it is revoked".to_owned(), |end| format!("until {end}"));
    eprintln!("Key {} of {of} ({}) in `{}`, valid {validity}.", key.id, key.agent_type, key.org);
    eprintln!("It is shown this once; only a digest is kept.");
    // Alone on stdout, so that it can be piped into a file or a secret manager.
    output::print(&format!("{token}\n"))
}

async fn list(form: Form, desk: &Desk, org: Option<OrgId>) -> Result<(), Failure> {
    let mut rows: Vec<Key> = Vec::new();
    for org in desk.orgs(org).await? {
        rows.extend(desk.all::<ListKeys, _>(OrgPath { org }).await?);
    }
    output::print_rows(form, &rows, ["ID", "ORG", "AGENT", "USER", "STATE", "EXPIRES", "LAST USED", "NOTE"], |row| {
        let moment = |text: &Option<String>| text.clone().unwrap_or_else(|| "never".to_owned());
        let (expires, used) = (moment(&row.expires_at), moment(&row.last_used_at));
        let user = row.sub.as_ref().map(Subject::to_string).unwrap_or_default();
        let state = row.state.as_str().to_owned();
        [row.id.clone(), row.org.to_string(), row.agent_id.to_string(), user, state, expires, used, row.note.clone()]
    })
}

fn parsed(id: &str) -> Result<KeyId, Failure> {
    KeyId::parse(id).map_err(|fault| Failure::new(Exit::Usage, fault.to_string()).hint("`bailiwick key list` shows the ids"))
}

/// The organisation that has the key.
async fn find(desk: &Desk, key: KeyId, org: Option<OrgId>) -> Result<(OrgId, KeyId), Failure> {
    for org in desk.orgs(org).await? {
        match desk.ask::<ShowKey>(KeyPath { org: org.clone(), key_id: KeyText::from(key) }, Nothing {}).await {
            Ok(_) => return Ok((org, key)),
            Err(failure) if failure.exit() == Exit::NotFound => {}
            Err(failure) => return Err(failure),
        }
    }
    Err(Failure::new(Exit::NotFound, format!("key `{key}` does not exist")).hint("`bailiwick key list` shows what exists"))
}
