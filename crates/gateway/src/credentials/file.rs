//! Credentials from a YAML mapping in a file of its own, for the owner's eyes only.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

use bailiwick_model::Sensitive;
use bailiwick_model::document::{Document, Entry, Value};
use rustix::fs::{Mode, OFlags};
use tracing::warn;

/// Largest secrets file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Bits of a file's mode that let others read or write it.
const OTHERS: u32 = 0o077;

/// Reads the file; blocks.
///
/// # Errors
/// One line with the remedy; it never holds a value.
pub(super) fn read(path: &str, strict: bool) -> Result<HashMap<String, Sensitive>, String> {
    let mut file = open(path)?;
    guard(&file, path, strict)?;
    let mut text = String::new();
    let limited = file.by_ref().take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    if limited.map_err(|cause| format!("secrets file `{path}`: {cause}"))? as u64 > FILE_BYTES_MAX {
        return Err(format!("secrets file `{path}` is larger than {FILE_BYTES_MAX} bytes"));
    }
    let document = Document::parse(path, &text).map_err(|mistakes| mistakes.to_string())?;
    scalars(&document.root.value)
        .map_err(|key| format!("secrets file `{path}`: `{key}` is not a text or number; write one `KEY: value` a line"))
}

/// A mapping whose values are texts, numbers or booleans; the name of the first that is not, else.
fn scalars(value: &Value) -> Result<HashMap<String, Sensitive>, String> {
    let Value::Map(entries) = value else { return Err("the file".into()) };
    let text = |value: &Value| match value {
        Value::Text(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    };
    let entry =
        |entry: &Entry| text(&entry.node.value).map(|text| (entry.key.clone(), Sensitive::new(text))).ok_or_else(|| entry.key.clone());
    entries.iter().map(entry).collect()
}

/// Opens without following a link; the checks that follow look at the opened file, not at the name.
fn open(path: &str) -> Result<File, String> {
    let opened = rustix::fs::open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
    match opened {
        Ok(fd) => Ok(File::from(fd)),
        Err(rustix::io::Errno::LOOP) => Err(format!("secrets file `{path}` is a symbolic link; name the file itself")),
        Err(errno) => Err(format!("secrets file `{path}`: {}", std::io::Error::from(errno))),
    }
}

fn guard(file: &File, path: &str, strict: bool) -> Result<(), String> {
    let meta = file.metadata().map_err(|cause| format!("secrets file `{path}`: {cause}"))?;
    if !meta.is_file() {
        return Err(format!("secrets file `{path}` is not a regular file"));
    }
    let ours = meta.uid() == rustix::process::geteuid().as_raw();
    if ours && meta.mode() & OTHERS == 0 {
        return Ok(());
    }
    let advice = format!("secrets file `{path}` can be read by others or belongs to somebody else; run `chmod 600 {path}` as its owner");
    if strict {
        return Err(advice);
    }
    warn!("{advice}");
    Ok(())
}
