//! What every filesystem tool shares: the agent's root, its limits, and the answers to what goes wrong.

use std::io;

use bailiwick_model::Code;
use cap_std::fs::{Dir, File};
use rustix::io::Errno;

use super::path::{AgentPath, outside};
use super::quota::Quota;
use super::root::{self, Facts, Kind, Root};
use crate::fault::ToolFault;

/// One agent's directory with the limits of its manifest.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) root: Root,
    /// The root as absolute text, for agents that give absolute paths.
    pub(crate) roots: Vec<String>,
    /// Most bytes of one result.
    pub(crate) read_bytes_max: u64,
    /// Most bytes of one write.
    pub(crate) write_bytes_max: u64,
    /// Most names of one listing.
    pub(crate) list_entries_max: usize,
    /// Whether files with a second name somewhere are refused: the other name may lie outside.
    pub(crate) refuse_hard_links: bool,
    pub(crate) quota: Option<Quota>,
}

impl Tree {
    /// A path that may be the root itself.
    pub(crate) fn path(&self, given: String) -> Result<AgentPath, ToolFault> {
        AgentPath::parse(given, &self.roots)
    }

    /// A path that must name a file.
    pub(crate) fn named(&self, given: String) -> Result<AgentPath, ToolFault> {
        AgentPath::named(given, &self.roots, "name a file")
    }

    /// A path that must name a directory in the agent's own.
    pub(crate) fn named_directory(&self, given: String) -> Result<AgentPath, ToolFault> {
        AgentPath::named(given, &self.roots, "name a directory in your own")
    }

    /// The directory `path` is in and the last name of `path`. The root is in no directory: `is_directory`.
    pub(crate) fn parent<'p>(&self, path: &'p AgentPath) -> Result<(Dir, &'p str), ToolFault> {
        let (parent, name) = path.split().ok_or_else(|| is_directory(path))?;
        let dir = self.root.directory(parent).map_err(|e| fault(e, path))?;
        Ok((dir, name))
    }

    /// Like [`Self::parent`], making missing directories one component at a time, each resolved beneath the root anew.
    pub(crate) fn parent_made<'p>(&self, path: &'p AgentPath) -> Result<(Dir, &'p str), ToolFault> {
        let (parent, name) = path.split().ok_or_else(|| is_directory(path))?;
        Ok((self.directory_made(parent, path)?, name))
    }

    /// The directory `inner`, made with its parents where missing. `path` is what messages show.
    pub(crate) fn directory_made(&self, inner: &str, path: &AgentPath) -> Result<Dir, ToolFault> {
        match self.root.directory(inner) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            opened => return opened.map_err(|e| fault(e, path)),
        }
        let mut dir = self.root.directory("").map_err(|e| fault(e, path))?;
        let ends = inner.match_indices('/').map(|(at, _)| at).chain([inner.len()]);
        let mut start = 0;
        for end in ends {
            dir = match self.root.directory(&inner[..end]) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    root::make_directory_at(&dir, &inner[start..end]).map_err(|e| fault(e, path))?;
                    self.root.directory(&inner[..end]).map_err(|e| fault(e, path))?
                }
                opened => opened.map_err(|e| fault(e, path))?,
            };
            start = end + 1;
        }
        Ok(dir)
    }

    /// What stands at `path`, links followed inside; only files and directories.
    pub(crate) fn facts(&self, path: &AgentPath) -> Result<Facts, ToolFault> {
        let facts = self.root.facts(path.inner()).map_err(|e| fault(e, path))?;
        if facts.kind != Kind::Directory {
            self.check_file(&facts, path)?;
        }
        Ok(facts)
    }

    /// Opens a regular file for reading. Looked at before it is opened, so that a pipe is left alone, and again after,
    /// because it may have been replaced meanwhile.
    pub(crate) fn open_file(&self, path: &AgentPath) -> Result<(File, Facts), ToolFault> {
        let before = self.root.facts(path.inner()).map_err(|e| fault(e, path))?;
        self.check_file(&before, path)?;
        let file = self.root.open(path.inner()).map_err(|e| fault(e, path))?;
        let facts = Facts::from(&file.metadata().map_err(|e| fault(e, path))?);
        self.check_file(&facts, path)?;
        Ok((file, facts))
    }

    /// What stands at `name` in `dir`, as a file that may be changed; `None` when nothing does.
    pub(crate) fn changeable(&self, dir: &Dir, name: &str, path: &AgentPath) -> Result<Option<Facts>, ToolFault> {
        match root::facts_at(dir, name) {
            Ok(facts) => self.check_file(&facts, path).map(|()| Some(facts)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(fault(e, path)),
        }
    }

    /// Regular files only, and in write mode only those without a second name.
    pub(crate) fn check_file(&self, facts: &Facts, path: &AgentPath) -> Result<(), ToolFault> {
        match facts.kind {
            Kind::Directory => Err(is_directory(path)),
            Kind::Symlink => Err(ToolFault::new(
                Code::PathRefused,
                format!("`{}` is a symbolic link, which is never written through", path.given()),
                "name the file itself",
            )),
            Kind::Special => Err(unsupported(path, "is a pipe, socket or device")),
            Kind::File if facts.links > 1 && self.refuse_hard_links => Err(unsupported(path, "has more than one hard link")),
            Kind::File => Ok(()),
        }
    }

    /// Refuses content above the write limit.
    pub(crate) fn check_write_size(&self, bytes: usize) -> Result<(), ToolFault> {
        if bytes as u64 <= self.write_bytes_max {
            return Ok(());
        }
        let message = format!("the content has {bytes} bytes, more than the limit of {}", self.write_bytes_max);
        Err(ToolFault::limit("max_write_bytes", self.write_bytes_max, message, "write less in one call"))
    }
}

/// A directory stands where a file is needed.
pub(crate) fn is_directory(path: &AgentPath) -> ToolFault {
    ToolFault::new(Code::IsDirectory, format!("`{}` is a directory", path.given()), "name a file, or use list_dir")
}

fn unsupported(path: &AgentPath, what: &str) -> ToolFault {
    let remedy = "only regular files with a single name are served; use another file";
    ToolFault::new(Code::UnsupportedFile, format!("`{}` {what}", path.given()), remedy)
}

/// Turns an error of the host into an answer that names the path as given and nothing of the host.
pub(crate) fn fault(error: io::Error, path: &AgentPath) -> ToolFault {
    use io::ErrorKind as E;
    let given = path.given();
    if root::is_loop(&error) {
        let message = format!("`{given}` leads through symbolic links in a circle, or through one that is not followed");
        return ToolFault::new(Code::PathRefused, message, "name the file or directory itself").because(error);
    }
    if root::is_escape(&error) {
        return outside().because(error);
    }
    let (code, message, remedy) = match error.kind() {
        E::NotFound => (Code::NotFound, format!("`{given}` does not exist"), "list the directory to see what exists"),
        E::NotADirectory => (Code::NotDirectory, format!("`{given}` is not a directory or goes through a file"), "name a directory"),
        E::IsADirectory => return is_directory(path),
        E::AlreadyExists => (Code::AlreadyExists, format!("`{given}` exists already"), "use another name, or delete it first"),
        E::DirectoryNotEmpty => (Code::InvalidArgument, format!("`{given}` is not empty"), "delete what is in it first"),
        E::StorageFull | E::QuotaExceeded => (Code::LimitExceeded, "no space is left".to_owned(), "delete files that are no longer needed"),
        E::InvalidFilename => (Code::InvalidArgument, format!("the host does not accept the name `{given}`"), "use a shorter name"),
        E::PermissionDenied | E::ReadOnlyFilesystem => {
            (Code::PathRefused, format!("the host does not permit this for `{given}`"), "use another file")
        }
        _ if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => return unsupported(path, "is a pipe, socket or device"),
        _ => return ToolFault::internal(format!("filesystem: {error}")),
    };
    ToolFault::new(code, message, remedy).because(error)
}
