//! `stat`: kind, size and age of a file or directory.

use serde::Deserialize;
use serde_json::json;

use super::root::Kind;
use super::{Command, Job, PATHS, path_property};
use crate::arguments::decode;
use crate::fault::ToolFault;
use crate::filesystem::tree::Tree;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "stat", access: Access::Read, extended: true, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    path: String,
}

fn spec() -> ToolSpec {
    let result = schema::output(&[
        ("kind", schema::property("string", "What it is.", json!({ "enum": ["file", "directory"] }))),
        ("bytes", schema::property("integer", "Size of a file; 0 for a directory.", json!({ "minimum": 0 }))),
        ("modified", schema::property("string", "When it was last changed, in UTC.", json!({ "format": "date-time" }))),
    ]);
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Look at a file".into(),
        description: format!("Tells whether something is a file or a directory, how large it is and when it was changed. {PATHS}").into(),
        input_schema: schema::object(&[("path", path_property("The file or directory to look at."))], &["path"]),
        output_schema: Some(result),
        access: COMMAND.access,
        hints: Hints::READ,
    }
}

fn prepare(tree: &Tree, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { path } = decode(arguments)?;
    let path = tree.path(path)?;
    Ok(Box::new(move |tree, stop| {
        stop.check()?;
        let facts = tree.facts(&path)?;
        let (kind, bytes) = if facts.kind == Kind::Directory { ("directory", 0) } else { ("file", facts.bytes) };
        ToolOutput::json(&json!({ "kind": kind, "bytes": bytes, "modified": facts.modified.to_string() }))
    }))
}
