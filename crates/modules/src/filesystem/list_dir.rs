//! `list_dir`: the names in a directory.

use serde::Deserialize;
use serde_json::json;

use super::path::AgentPath;
use super::temporary::is_temporary;
use super::tree::{Tree, fault};
use super::{Command, Job, PATHS, path_property};
use crate::arguments::decode;
use crate::blocking::Stop;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "list_dir", access: Access::Read, extended: false, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    #[serde(default)]
    path: String,
}

fn spec() -> ToolSpec {
    let mut path = path_property("The directory to list; empty or `.` for your own directory.");
    path["default"] = json!("");
    let names = json!({ "items": { "type": "string" } });
    ToolSpec {
        name: COMMAND.name.into(),
        title: "List a directory".into(),
        description: format!("Returns the sorted names of the files and directories directly inside a directory. {PATHS}").into(),
        input_schema: schema::object(&[("path", path)], &[]),
        output_schema: Some(schema::wrapped(schema::property("array", "The names, sorted.", names))),
        access: COMMAND.access,
        hints: Hints::READ,
    }
}

fn prepare(tree: &Tree, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { path } = decode(arguments)?;
    let path = tree.path(path)?;
    Ok(Box::new(move |tree, stop| run(tree, &path, stop)))
}

fn run(tree: &Tree, path: &AgentPath, stop: &Stop) -> Result<ToolOutput, ToolFault> {
    let dir = tree.root.directory(path.inner()).map_err(|e| fault(e, path))?;
    let mut names: Vec<String> = Vec::new();
    for entry in dir.entries().map_err(|e| fault(e, path))? {
        stop.check()?;
        let name = entry.map_err(|e| fault(e, path))?.file_name();
        // A name that is not UTF-8 cannot be given back to us exactly, but hiding it would make the listing lie.
        let name = name.to_string_lossy().into_owned();
        if is_temporary(&name) {
            continue;
        }
        if names.len() == tree.list_entries_max {
            let message = format!("`{}` has more than {} entries", path.given(), tree.list_entries_max);
            return Err(ToolFault::limit("max_list_entries", tree.list_entries_max as u64, message, "list a smaller directory"));
        }
        names.push(name);
    }
    names.sort_unstable();
    ToolOutput::json(&names)
}
