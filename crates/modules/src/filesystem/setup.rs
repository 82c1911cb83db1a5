//! From configuration to an open tree.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use bailiwick_model::template;
use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::quota::Quota;
use super::root::{DIRECTORY_MODE, Root, directory_at, make_directory_at};
use super::tree::Tree;
use crate::config::{ConfigKey, ConfigKind, ConfigReader};
use crate::fault::OpenFault;
use crate::module::{ModuleDraft, ModuleSetup};
use crate::spec::Access;

/// Highest configurable read and write limit; a result of this size still fits into one message.
const CONTENT_BYTES_CEILING: u64 = 8 << 20;
/// Highest configurable number of names in a listing.
const LIST_ENTRIES_CEILING: u64 = 100_000;
const DEFAULT_LAYOUT: &str = "agents/{agent_id}";
const AGENT_ID: &str = "{agent_id}";
const AGENT_TYPE: &str = "{agent_type}";

pub(super) const KEYS: &[ConfigKey] = &[
    ConfigKey {
        name: "base_path",
        required: true,
        doc: "Directory that holds the agents' directories; created when missing.",
        kind: ConfigKind::Text,
    },
    ConfigKey {
        name: "layout",
        required: false,
        doc: "The agent's directory beneath base_path; {agent_id} and {agent_type} are replaced. Default agents/{agent_id}.",
        kind: ConfigKind::Template,
    },
    ConfigKey {
        name: "max_read_bytes",
        required: false,
        doc: "Largest result of one read, in bytes. Default 1 MiB.",
        kind: ConfigKind::Integer,
    },
    ConfigKey {
        name: "max_write_bytes",
        required: false,
        doc: "Largest content of one write, in bytes. Default 1 MiB.",
        kind: ConfigKind::Integer,
    },
    ConfigKey { name: "max_list_entries", required: false, doc: "Most names in one listing. Default 10000.", kind: ConfigKind::Integer },
    ConfigKey {
        name: "quota_bytes",
        required: false,
        doc: "Most bytes the agent may store; 0 or absent = no quota.",
        kind: ConfigKind::Integer,
    },
    ConfigKey {
        name: "hard_links",
        required: false,
        doc: "Whether files with several hard links are served. Default: refuse, unless mode is read.",
        kind: ConfigKind::OneOf(&["refuse", "allow"]),
    },
    ConfigKey {
        name: "extended_tools",
        required: false,
        doc: "Also offer stat, read_range, append_file, move_file, make_dir, delete_dir and search. Default false.",
        kind: ConfigKind::Boolean,
    },
];

/// Every mistake that shows before the disk is touched.
pub(super) fn check(draft: ModuleDraft<'_>) -> Vec<OpenFault> {
    let config = ConfigReader::from(draft);
    let faults = [
        config.path("base_path").err(),
        layout(&config, draft.access).err(),
        read_bytes_max(&config).err(),
        write_bytes_max(&config).err(),
        list_entries_max(&config).err(),
        refuse_hard_links(&config, draft.access).err(),
    ];
    faults.into_iter().flatten().collect()
}

fn read_bytes_max(config: &ConfigReader<'_>) -> Result<u64, OpenFault> {
    config.integer("max_read_bytes", 1 << 20, 1, CONTENT_BYTES_CEILING)
}

fn write_bytes_max(config: &ConfigReader<'_>) -> Result<u64, OpenFault> {
    config.integer("max_write_bytes", 1 << 20, 1, CONTENT_BYTES_CEILING)
}

fn list_entries_max(config: &ConfigReader<'_>) -> Result<u64, OpenFault> {
    config.integer("max_list_entries", 10_000, 1, LIST_ENTRIES_CEILING)
}

/// Opens the agent's directory, creating it when missing. The flag says whether the extended tools are offered.
pub(super) fn open(setup: ModuleSetup<'_>) -> Result<(Tree, bool), OpenFault> {
    let config = ConfigReader::new(setup, KEYS)?;
    let base = config.place("base_path")?;
    let layout = layout(&config, setup.access)?;
    let tree = Tree {
        root: Root::new(open_root(&base, &layout)?),
        roots: roots(&base, &layout),
        read_bytes_max: read_bytes_max(&config)?,
        write_bytes_max: write_bytes_max(&config)?,
        list_entries_max: usize::try_from(list_entries_max(&config)?).unwrap_or(usize::MAX),
        refuse_hard_links: refuse_hard_links(&config, setup.access)?,
        quota: Some(config.integer("quota_bytes", 0, 0, u64::MAX)?).filter(|bytes| *bytes > 0).map(Quota::new),
    };
    Ok((tree, config.flag("extended_tools", false)?))
}

fn refuse_hard_links(config: &ConfigReader<'_>, mode: Option<Access>) -> Result<bool, OpenFault> {
    match config.text("hard_links")? {
        None => Ok(mode != Some(Access::Read)),
        Some("refuse") => Ok(true),
        Some("allow") => Ok(false),
        Some(_) => Err(OpenFault::about("hard_links", "is not a known word", "write refuse or allow")),
    }
}

/// The names from the base path to the agent's directory.
///
/// The layout must tell agents apart: `{agent_id}` has to occur, and must not share a name with `{agent_type}`, because
/// type `a` with id `b-c` and type `a-b` with id `c` would meet. Only a reading agent may look at a common directory.
fn layout(config: &ConfigReader<'_>, mode: Option<Access>) -> Result<Vec<String>, OpenFault> {
    let template = config.text("layout")?.unwrap_or(DEFAULT_LAYOUT);
    let fault = |message: &str, remedy: &str| Err(OpenFault::about("layout", message, remedy));
    if template.starts_with('/') || template.chars().any(char::is_control) {
        return fault("is absolute or contains control characters", "write names beneath base_path");
    }
    let templates: Vec<&str> = template.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    if templates.contains(&"..") {
        return fault("contains `..`", "write names beneath base_path");
    }
    if templates.iter().any(|name| template::replaces(name, AGENT_TYPE) && template::replaces(name, AGENT_ID)) {
        return fault("joins {agent_type} and {agent_id} in one name, so two agents could share a directory", "put a `/` between them");
    }
    if mode != Some(Access::Read) && !templates.iter().any(|name| template::replaces(name, AGENT_ID)) {
        return fault("lacks {agent_id}, so agents would write into one directory", "add {agent_id}, or set mode: read");
    }
    templates.into_iter().map(|name| config.expand("layout", name)).collect()
}

fn open_root(base: &Path, layout: &[String]) -> Result<Dir, OpenFault> {
    let fault = |e: io::Error, what: &str| OpenFault::about("base_path", format!("{what}: {e}"), "check the directory and its permissions");
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(base).map_err(|e| fault(e, "cannot be created"))?;
    let mut dir = Dir::open_ambient_dir(base, ambient_authority()).map_err(|e| fault(e, "cannot be opened"))?;
    for name in layout {
        dir = match directory_at(&dir, name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                make_directory_at(&dir, name).map_err(|e| fault(e, &format!("`{name}` beneath it cannot be created")))?;
                directory_at(&dir, name)
            }
            opened => opened,
        }
        .map_err(|e| fault(e, &format!("`{name}` beneath it cannot be opened as a directory (links are not followed)")))?;
    }
    Ok(dir)
}

/// How an agent may write its root as absolute text: as configured, and with links in the base path resolved.
fn roots(base: &Path, layout: &[String]) -> Vec<String> {
    let inner: Vec<&str> = layout.iter().map(String::as_str).collect();
    let mut roots: Vec<String> = [Some(base.to_owned()), std::fs::canonicalize(base).ok()]
        .into_iter()
        .flatten()
        .filter_map(|base| base.to_str().map(|base| format!("{}/{}", base.trim_end_matches('/'), inner.join("/"))))
        .map(|root| root.trim_end_matches('/').to_owned())
        .collect();
    roots.dedup();
    roots
}
