//! `move_file`: another name for a file, never over an existing one.

use std::io;

use bailiwick_model::Code;
use cap_std::fs::Dir;
use rustix::fs::RenameFlags;
use rustix::io::Errno;
use serde::Deserialize;

use super::path::AgentPath;
use super::root;
use super::tree::{Tree, fault};
use super::{Command, Job, PATHS, done_schema, path_property};
use crate::arguments::decode;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, ContentTrust, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "move_file", access: Access::Write, extended: true, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    from: String,
    to: String,
}

fn spec() -> ToolSpec {
    let about =
        "Renames or moves one file inside your directory, creating missing parent directories. An existing target is never replaced.";
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Move a file".into(),
        description: format!("{about} {PATHS}").into(),
        input_schema: schema::object(
            &[("from", path_property("The file to move.")), ("to", path_property("Its new path, including the file name."))],
            &["from", "to"],
        ),
        output_schema: Some(done_schema()),
        access: COMMAND.access,
        hints: Hints { destructive: false, idempotent: false, open_world: false, content: ContentTrust::Trusted },
    }
}

fn prepare(tree: &Tree, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { from, to } = decode(arguments)?;
    let (from, to) = (tree.named(from)?, tree.named(to)?);
    Ok(Box::new(move |tree, stop| {
        stop.check()?;
        run(tree, &from, &to)
    }))
}

fn run(tree: &Tree, from: &AgentPath, to: &AgentPath) -> Result<ToolOutput, ToolFault> {
    let (source, name) = tree.parent(from)?;
    if tree.changeable(&source, name, from)?.is_none() {
        return Err(fault(io::ErrorKind::NotFound.into(), from));
    }
    let (target, new_name) = tree.parent_made(to)?;
    rename(&source, name, &target, new_name).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => ToolFault::new(
            Code::AlreadyExists,
            format!("`{}` exists already", to.given()),
            "use another name, or delete the existing file first",
        ),
        _ => fault(e, to),
    })?;
    Ok(ToolOutput::done())
}

/// Renames without replacing. Where the file system cannot promise that, a look beforehand has to do.
fn rename(source: &Dir, name: &str, target: &Dir, new_name: &str) -> io::Result<()> {
    match rustix::fs::renameat_with(source, name, target, new_name, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        done => return done.map_err(Into::into),
    }
    match root::facts_at(target, new_name) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => source.rename(name, target, new_name),
        Err(e) => Err(e),
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
    }
}
