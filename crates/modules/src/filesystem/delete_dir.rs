//! `delete_dir`: an empty directory.

use bailiwick_model::Code;
use serde::Deserialize;

use super::path::AgentPath;
use super::root::{self, Kind};
use super::tree::{Tree, fault};
use super::{Command, Job, PATHS, done_schema, path_property};
use crate::arguments::decode;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, ContentTrust, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "delete_dir", access: Access::Write, extended: true, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    path: String,
}

fn spec() -> ToolSpec {
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Delete an empty directory".into(),
        description: format!("Deletes a directory that is empty. Your own directory itself stays. {PATHS}").into(),
        input_schema: schema::object(&[("path", path_property("The empty directory to delete."))], &["path"]),
        output_schema: Some(done_schema()),
        access: COMMAND.access,
        hints: Hints { destructive: true, idempotent: false, open_world: false, content: ContentTrust::Trusted },
    }
}

fn prepare(tree: &Tree, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { path } = decode(arguments)?;
    let path = tree.named_directory(path)?;
    if path.split().is_none() {
        return Err(ToolFault::new(Code::PathRefused, "your own directory cannot be deleted", "name a directory inside it"));
    }
    Ok(Box::new(move |tree, stop| {
        stop.check()?;
        run(tree, &path)
    }))
}

fn run(tree: &Tree, path: &AgentPath) -> Result<ToolOutput, ToolFault> {
    let (dir, name) = tree.parent(path)?;
    if root::facts_at(&dir, name).map_err(|e| fault(e, path))?.kind != Kind::Directory {
        let message = format!("`{}` is not a directory", path.given());
        return Err(ToolFault::new(Code::NotDirectory, message, "use delete_file for files"));
    }
    dir.remove_dir(name).map_err(|e| fault(e, path))?;
    if let Some(quota) = &tree.quota {
        quota.forget();
    }
    Ok(ToolOutput::done())
}
