//! `make_dir`: a directory with its parents.

use serde::Deserialize;

use super::{Command, Job, PATHS, done_schema, path_property};
use crate::arguments::decode;
use crate::fault::ToolFault;
use crate::filesystem::tree::Tree;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, ContentTrust, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "make_dir", access: Access::Write, extended: true, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    path: String,
}

fn spec() -> ToolSpec {
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Make a directory".into(),
        description: format!("Makes a directory and its missing parents; an existing directory is as good. {PATHS}").into(),
        input_schema: schema::object(&[("path", path_property("The directory to make."))], &["path"]),
        output_schema: Some(done_schema()),
        access: COMMAND.access,
        hints: Hints { destructive: false, idempotent: true, open_world: false, content: ContentTrust::Trusted },
    }
}

fn prepare(tree: &Tree, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { path } = decode(arguments)?;
    let path = tree.named_directory(path)?;
    Ok(Box::new(move |tree, stop| {
        stop.check()?;
        let room = tree.quota.as_ref().map(|quota| quota.reserve(&tree.root, None, 0, stop)).transpose()?;
        tree.directory_made(path.inner(), &path)?;
        if let Some(room) = room {
            room.keep();
        }
        Ok(ToolOutput::done())
    }))
}
