//! `read_file`: a whole text file.

use std::io::Read;

use bailiwick_model::Code;
use cap_std::fs::File;
use serde::Deserialize;
use serde_json::json;

use super::path::AgentPath;
use super::tree::{Tree, fault};
use super::{Command, Job, PATHS, path_property};
use crate::arguments::decode;
use crate::blocking::Stop;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, Hints, ToolSpec};

/// Bytes read between two looks at the clock.
pub(super) const STEP_BYTES: u64 = 256 << 10;

pub(super) const COMMAND: Command = Command { name: "read_file", access: Access::Read, extended: false, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    path: String,
}

fn spec() -> ToolSpec {
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Read a file".into(),
        description: format!("Returns the whole content of a UTF-8 text file. Files above the size limit are refused. {PATHS}").into(),
        input_schema: schema::object(&[("path", path_property("The file to read."))], &["path"]),
        output_schema: Some(schema::wrapped(schema::property("string", "The content of the file.", json!({})))),
        access: COMMAND.access,
        hints: Hints::READ,
    }
}

fn prepare(tree: &Tree, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { path } = decode(arguments)?;
    let path = tree.named(path)?;
    Ok(Box::new(move |tree, stop| run(tree, &path, stop)))
}

fn run(tree: &Tree, path: &AgentPath, stop: &Stop) -> Result<ToolOutput, ToolFault> {
    let (file, facts) = tree.open_file(path)?;
    if facts.bytes > tree.read_bytes_max {
        return Err(too_large(tree, path));
    }
    let content = read(file, facts.bytes, tree.read_bytes_max + 1, path, stop)?;
    // The file may have grown since its size was looked at, or may not know its size.
    if content.len() as u64 > tree.read_bytes_max {
        return Err(too_large(tree, path));
    }
    ToolOutput::text(String::from_utf8(content).map_err(|_| not_text(path))?)
}

/// At most `bytes_max` bytes from where `file` stands; `expected` is a guess at how many there are.
pub(super) fn read(file: File, expected: u64, bytes_max: u64, path: &AgentPath, stop: &Stop) -> Result<Vec<u8>, ToolFault> {
    let mut content = Vec::with_capacity(usize::try_from(expected.min(bytes_max)).unwrap_or(0));
    let mut rest = file.take(bytes_max);
    loop {
        stop.check()?;
        let got = rest.by_ref().take(STEP_BYTES).read_to_end(&mut content).map_err(|e| fault(e, path))?;
        if got == 0 {
            return Ok(content);
        }
    }
}

pub(super) fn not_text(path: &AgentPath) -> ToolFault {
    ToolFault::new(Code::NotText, format!("`{}` is not UTF-8 text", path.given()), "only text files can be read with this tool")
}

fn too_large(tree: &Tree, path: &AgentPath) -> ToolFault {
    let message = format!("`{}` is larger than the read limit of {} bytes", path.given(), tree.read_bytes_max);
    ToolFault::limit("max_read_bytes", tree.read_bytes_max, message, "read it in parts with read_range where offered, or split the file")
}
