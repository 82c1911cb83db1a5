//! `write_file`: the whole content of a file, all at once.

use std::io::Write;

use serde::Deserialize;
use serde_json::json;

use super::path::AgentPath;
use super::read_file::STEP_BYTES;
use super::temporary::Temporary;
use super::tree::{Tree, fault};
use super::{Command, Job, PATHS, done_schema, path_property};
use crate::arguments::decode;
use crate::blocking::Stop;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, ContentTrust, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "write_file", access: Access::Write, extended: false, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    path: String,
    content: String,
}

fn spec() -> ToolSpec {
    let about = "Writes a text file: creates it and missing parent directories, or replaces its whole content. Readers see the old or the new \
                 content, never a mixture. Symbolic links are not written through.";
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Write a file".into(),
        description: format!("{about} {PATHS}").into(),
        input_schema: schema::object(
            &[
                ("path", path_property("The file to write.")),
                ("content", schema::property("string", "The new content; replaces the old.", json!({}))),
            ],
            &["path", "content"],
        ),
        output_schema: Some(done_schema()),
        access: COMMAND.access,
        hints: Hints { destructive: true, idempotent: true, open_world: false, content: ContentTrust::Trusted },
    }
}

fn prepare(tree: &Tree, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { path, content } = decode(arguments)?;
    let path = tree.named(path)?;
    tree.check_write_size(content.len())?;
    Ok(Box::new(move |tree, stop| run(tree, &path, &content, stop)))
}

fn run(tree: &Tree, path: &AgentPath, content: &str, stop: &Stop) -> Result<ToolOutput, ToolFault> {
    let (dir, name) = tree.parent_made(path)?;
    let before = tree.changeable(&dir, name, path)?;
    let size = content.len() as u64;
    let room = tree.quota.as_ref().map(|quota| quota.reserve(&tree.root, before.map(|f| f.bytes), size, stop)).transpose()?;
    let mut temporary = Temporary::create(&dir).map_err(|e| fault(e, path))?;
    write(&mut temporary.file, content.as_bytes(), path, stop)?;
    // The last point at which a cancelled call leaves no trace.
    stop.check()?;
    temporary.place(name).map_err(|e| fault(e, path))?;
    if let Some(room) = room {
        room.keep();
    }
    Ok(ToolOutput::done())
}

/// Writes and flushes to the device.
pub(super) fn write(file: &mut std::fs::File, content: &[u8], path: &AgentPath, stop: &Stop) -> Result<(), ToolFault> {
    for part in content.chunks(usize::try_from(STEP_BYTES).unwrap_or(usize::MAX)) {
        stop.check()?;
        file.write_all(part).map_err(|e| fault(e, path))?;
    }
    file.sync_all().map_err(|e| fault(e, path))
}
