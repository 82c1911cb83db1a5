//! `bailiwick instruction`: what every agent is to follow.

use std::io::Read as _;
use std::path::Path;

use bailiwick_model::GroupId;
use bailiwick_model::instruction::BODY_BYTES_MAX;

use super::args::{Form, InstructionCommand, Which, Whose};
use super::context::Context;
use super::desk::{Desk, Work};
use super::output;
use crate::exit::{Exit, Failure};
use crate::http::api::instruction::{
    BackTo, CheckInstructions, DeleteInstruction, HistoryQuery, Instruction, InstructionPath, InstructionQuery, InstructionText,
    ListInstructions, ListVersions, PutInstruction, RevertInstruction, ShowInstruction, VersionQuery, WhoseQuery, WrittenInstruction,
};
use crate::http::api::operation::{Ask, Nothing};
use crate::http::api::org::OrgPath;
use crate::settings::read_text;

pub(super) async fn run(context: &Context, command: InstructionCommand) -> Result<(), Failure> {
    use InstructionCommand::{Check, Delete, History, List, Show};
    if let Delete { which, confirm } = &command {
        output::confirm(&format!("Delete instruction `{}/{}`", which.kind, which.slug), confirm.yes)?;
    }
    let work = if matches!(command, List { .. } | Show { .. } | History { .. } | Check { .. }) { Work::Reads } else { Work::Changes };
    let desk = context.desk(work).await?;
    let done = act(context.form, &desk, command).await;
    done.and(desk.close().await)
}

async fn act(form: Form, desk: &Desk, command: InstructionCommand) -> Result<(), Failure> {
    match command {
        InstructionCommand::List { kind, whose: Whose { group, org } } => {
            let query = InstructionQuery { group, kind, ..InstructionQuery::default() };
            let rows = desk.first::<ListInstructions, _>(OrgPath { org: desk.org(org).await? }, query, usize::MAX).await?;
            output::print_rows(form, &rows, ["KIND", "SLUG", "VERSION", "WRITTEN", "BY", "TITLE"], |row| {
                let by = row.updated_by.clone().unwrap_or_default();
                [row.kind.to_string(), row.slug.to_string(), row.version.to_string(), row.updated_at.clone(), by, row.title.clone()]
            })
        }
        InstructionCommand::Show { which, version } => {
            let query = VersionQuery { group: which.whose.group.clone(), version };
            let found = desk
                .send::<ShowInstruction>(Ask { path: path(desk, which).await?, query, body: Nothing {}, expected: None, org: None })
                .await?;
            match form {
                Form::Json => output::print_json(&found),
                Form::Text => output::print(&(found.body.trim_end_matches('\n').to_owned() + "\n")),
            }
        }
        InstructionCommand::Set { which, file, title, description, expected_version } => {
            let group = which.whose.group.clone();
            let (body, path) = (text(&file)?, path(desk, which).await?);
            let before = present(desk, path.clone(), group.clone()).await?;
            let (known, line) = before.map(|before| (before.frontmatter, before.line)).unzip();
            let (old_title, old_description) = line.map(|line| (line.title, line.description)).unwrap_or_default();
            let body = InstructionText {
                body,
                title: title.unwrap_or(old_title),
                description: description.unwrap_or(old_description),
                frontmatter: known.unwrap_or_default(),
            };
            let ask = Ask { path, query: WhoseQuery { group }, body, expected: expected_version.map(i64::from), org: None };
            written(form, &desk.send::<PutInstruction>(ask).await?)
        }
        InstructionCommand::History { which } => {
            let query = HistoryQuery { group: which.whose.group.clone(), ..HistoryQuery::default() };
            let rows = desk.first::<ListVersions, _>(path(desk, which).await?, query, usize::MAX).await?;
            output::print_rows(form, &rows, ["VERSION", "WRITTEN", "BY", "DIGEST", "TITLE"], |row| {
                let by = row.created_by.clone().unwrap_or_default();
                [row.version.to_string(), row.created_at.clone(), by, row.digest.clone(), row.title.clone()]
            })
        }
        InstructionCommand::Revert { which, to, expected_version } => {
            let query = WhoseQuery { group: which.whose.group.clone() };
            let ask = Ask {
                path: path(desk, which).await?,
                query,
                body: BackTo { version: to },
                expected: expected_version.map(i64::from),
                org: None,
            };
            written(form, &desk.send::<RevertInstruction>(ask).await?)
        }
        InstructionCommand::Delete { which, .. } => {
            let (query, name) = (WhoseQuery { group: which.whose.group.clone() }, format!("{}/{}", which.kind, which.slug));
            let ask = Ask { path: path(desk, which).await?, query, body: Nothing {}, expected: None, org: None };
            output::done(form, &desk.send::<DeleteInstruction>(ask).await?, &format!("Instruction `{name}` is deleted; its versions stay."))
        }
        InstructionCommand::Check { org } => {
            let found = desk.ask::<CheckInstructions>(OrgPath { org: desk.org(org).await? }, Nothing {}).await?;
            if !found.checked {
                let failure = Failure::new(Exit::Unavailable, "no agent's tools are known here, so nothing was checked");
                return Err(failure.hint("ask a running gateway with `--server`, after an agent has called"));
            }
            if !found.complete {
                eprintln!("warning: there are more texts than one check looks at");
            }
            output::print_rows(form, &found.broken, ["KIND", "SLUG", "GROUP", "VERSION", "NO SUCH TOOL"], |row| {
                let group = row.line.group.as_ref().map_or("-".to_owned(), ToString::to_string);
                let (kind, slug) = (row.line.kind.to_string(), row.line.slug.to_string());
                [kind, slug, group, row.line.version.to_string(), row.unresolved_tools.join(", ")]
            })
        }
    }
}

/// The newest version, if there is one.
async fn present(desk: &Desk, path: InstructionPath, group: Option<GroupId>) -> Result<Option<Instruction>, Failure> {
    let query = VersionQuery { group, version: None };
    match desk.send::<ShowInstruction>(Ask { path, query, body: Nothing {}, expected: None, org: None }).await {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.exit() == Exit::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

async fn path(desk: &Desk, which: Which) -> Result<InstructionPath, Failure> {
    let Which { kind, slug, whose } = which;
    Ok(InstructionPath { org: desk.org(whose.org).await?, kind, slug })
}

fn written(form: Form, written: &WrittenInstruction) -> Result<(), Failure> {
    let line = &written.instruction.line;
    for tool in written.unresolved_tools.iter().flatten() {
        eprintln!("warning: the text names the tool `{}`, which no agent has", output::printable(tool));
    }
    output::done(form, written, &format!("Instruction `{}/{}` is at version {}.", line.kind, line.slug, line.version))
}

/// The text of a file, or of standard input.
fn text(file: &Path) -> Result<String, Failure> {
    if file != Path::new("-") {
        return read_text(file, "text of the instruction");
    }
    let mut text = String::new();
    let limit = u64::try_from(BODY_BYTES_MAX).unwrap_or(u64::MAX).saturating_mul(2);
    let read = std::io::stdin().lock().take(limit).read_to_string(&mut text);
    read.map_err(|cause| Failure::new(Exit::Usage, format!("standard input cannot be read: {cause}")).hint("give a text in UTF-8"))?;
    Ok(text)
}
