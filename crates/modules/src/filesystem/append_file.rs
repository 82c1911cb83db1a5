//! `append_file`: text at the end of a file.

use std::io;

use serde::Deserialize;
use serde_json::json;

use super::path::AgentPath;
use super::root::{self, Facts};
use super::tree::{Tree, fault};
use super::write_file::write;
use super::{Command, Job, PATHS, done_schema, path_property};
use crate::arguments::decode;
use crate::blocking::Stop;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, ContentTrust, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "append_file", access: Access::Write, extended: true, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    path: String,
    content: String,
}

fn spec() -> ToolSpec {
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Append to a file".into(),
        description: format!("Adds text at the end of a file; creates the file and missing parent directories. {PATHS}").into(),
        input_schema: schema::object(
            &[
                ("path", path_property("The file to append to.")),
                ("content", schema::property("string", "The text to add; no line break is added.", json!({}))),
            ],
            &["path", "content"],
        ),
        output_schema: Some(done_schema()),
        access: COMMAND.access,
        hints: Hints { destructive: false, idempotent: false, open_world: false, content: ContentTrust::Trusted },
    }
}

fn prepare(tree: &Tree, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { path, content } = decode(arguments)?;
    let path = tree.named(path)?;
    tree.check_write_size(content.len())?;
    Ok(Box::new(move |tree, stop| run(tree, &path, content.as_bytes(), stop)))
}

fn run(tree: &Tree, path: &AgentPath, content: &[u8], stop: &Stop) -> Result<ToolOutput, ToolFault> {
    let (dir, name) = tree.parent_made(path)?;
    let before = tree.changeable(&dir, name, path)?;
    let size = before.map(|f| f.bytes);
    let after = size.unwrap_or(0).saturating_add(content.len() as u64);
    let room = tree.quota.as_ref().map(|quota| quota.reserve(&tree.root, size, after, stop)).transpose()?;
    let opened = if before.is_some() { root::append_at(&dir, name) } else { root::create_at(&dir, name) };
    let mut file = opened.map_err(|e| fault(e, path))?;
    // Between the look and the opening another file may have taken the name.
    let metadata = file.metadata().map_err(|e| fault(e, path))?;
    tree.check_file(&Facts::from(&cap_std::fs::Metadata::from_just_metadata(metadata.clone())), path)?;
    if let Err(failed) = write(&mut file, content, path, stop) {
        undo(&file, metadata.len());
        return Err(failed);
    }
    if let Some(room) = room {
        room.keep();
    }
    Ok(ToolOutput::done())
}

/// Takes back a part that was written before the disk was full or the call was given up.
fn undo(file: &std::fs::File, bytes: u64) {
    let undone: io::Result<()> = file.set_len(bytes);
    if let Err(error) = undone {
        tracing::warn!(%error, "a part of an append could not be taken back");
    }
}
