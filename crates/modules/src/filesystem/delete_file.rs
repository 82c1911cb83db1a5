//! `delete_file`: one file, or one link whose target is inside.

use serde::Deserialize;

use super::path::{AgentPath, outside};
use super::root::{self, Kind};
use super::tree::{Tree, fault};
use super::{Command, Job, PATHS, done_schema, path_property};
use crate::arguments::decode;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, ContentTrust, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "delete_file", access: Access::Write, extended: false, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    path: String,
}

fn spec() -> ToolSpec {
    let about =
        "Deletes one file. Directories are refused. Of a symbolic link the link itself is deleted, if it points inside your directory.";
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Delete a file".into(),
        description: format!("{about} {PATHS}").into(),
        input_schema: schema::object(&[("path", path_property("The file to delete."))], &["path"]),
        output_schema: Some(done_schema()),
        access: COMMAND.access,
        hints: Hints { destructive: true, idempotent: false, open_world: false, content: ContentTrust::Trusted },
    }
}

fn prepare(tree: &Tree, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { path } = decode(arguments)?;
    let path = tree.named(path)?;
    Ok(Box::new(move |tree, stop| {
        stop.check()?;
        run(tree, &path)
    }))
}

fn run(tree: &Tree, path: &AgentPath) -> Result<ToolOutput, ToolFault> {
    let (dir, name) = tree.parent(path)?;
    let facts = root::facts_at(&dir, name).map_err(|e| fault(e, path))?;
    match facts.kind {
        Kind::Symlink if points_outside(tree, path) => return Err(outside()),
        Kind::Symlink => {}
        _ => tree.check_file(&facts, path)?,
    }
    dir.remove_file(name).map_err(|e| fault(e, path))?;
    if let Some(quota) = &tree.quota {
        quota.forget();
    }
    Ok(ToolOutput::done())
}

/// A link to something missing inside, or to itself, is no way out and may go.
fn points_outside(tree: &Tree, path: &AgentPath) -> bool {
    tree.root.facts(path.inner()).is_err_and(|e| root::is_escape(&e) && !root::is_loop(&e))
}
