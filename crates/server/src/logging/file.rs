//! A log file that only its owner can read and that is turned over by size.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::exit::{Exit, Failure};
use crate::places::make_directory;

/// Only the owner reads and writes a log.
const FILE_MODE: u32 = 0o600;

/// When a file is turned over and how many old ones are kept (reference, tool modules section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// Size at which a new file begins; 0 never.
    pub(crate) bytes_max: u64,
    /// Old files `NAME.1` (newest) to `NAME.n`; 0 never turns over.
    pub(crate) backups: u32,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { bytes_max: 50 << 20, backups: 5 }
    }
}

impl Rotation {
    /// More old files than anybody keeps; each turn-over renames all of them.
    const BACKUPS_MAX: u32 = 1000;

    /// Reads `SCOPED_MCP_LOG_MAX_BYTES` and `SCOPED_MCP_LOG_BACKUPS`.
    ///
    /// # Errors
    /// [`Exit::Usage`] naming the variable.
    pub(crate) fn from_environment(environment: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let number = |name: &str, default: u64, max: u64| match environment.get(name).map(|text| text.trim().parse::<u64>()) {
            None => Ok(default),
            Some(Ok(value)) if value <= max => Ok(value),
            Some(_) => Err(Failure::new(Exit::Usage, format!("the environment variable `{name}` must be a whole number up to {max}"))),
        };
        let default = Self::default();
        let backups = number("SCOPED_MCP_LOG_BACKUPS", default.backups.into(), Self::BACKUPS_MAX.into())?;
        Ok(Self {
            bytes_max: number("SCOPED_MCP_LOG_MAX_BYTES", default.bytes_max, u64::MAX)?,
            backups: u32::try_from(backups).unwrap_or(Self::BACKUPS_MAX),
        })
    }
}

/// The open file.
#[derive(Debug)]
pub(super) struct RotatingFile {
    path: PathBuf,
    file: File,
    size: u64,
    rotation: Rotation,
}

impl RotatingFile {
    /// Opens `path` for appending; makes missing directories with mode 0700 and the file with mode 0600.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] naming the file and the cause.
    pub(super) fn open(path: &Path, rotation: Rotation) -> Result<Self, Failure> {
        let opened = || {
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                make_directory(parent)?;
            }
            let file = open_file(path)?;
            let size = file.metadata()?.len();
            io::Result::Ok(Self { path: path.to_path_buf(), file, size, rotation })
        };
        opened().map_err(|cause| Failure::new(Exit::Unavailable, format!("cannot write the log file `{}`: {cause}", path.display())))
    }

    fn turn_over(&mut self) -> io::Result<()> {
        let name = |number: u32| {
            let mut name = OsString::from(&self.path);
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..self.rotation.backups).rev() {
            ignore_missing(fs::rename(name(number), name(number + 1)))?;
        }
        ignore_missing(fs::rename(&self.path, name(1)))?;
        self.file = open_file(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    // Never through a link: a log must not be led onto another file of this user.
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
    OpenOptions::new().append(true).create(true).mode(FILE_MODE).custom_flags(no_follow).open(path)
}

fn ignore_missing(outcome: io::Result<()>) -> io::Result<()> {
    outcome.or_else(|cause| if cause.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(cause) })
}

impl Write for RotatingFile {
    /// One call is one line; a line is never split over two files.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Rotation { bytes_max, backups } = self.rotation;
        if bytes_max > 0 && backups > 0 && self.size > 0 && self.size + line.len() as u64 > bytes_max {
            self.turn_over()?;
        }
        self.file.write_all(line)?;
        self.size += line.len() as u64;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn turns_over_by_size_and_keeps_so_many() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("logs/audit.log");
        let mut file = RotatingFile::open(&path, Rotation { bytes_max: 8, backups: 2 }).unwrap();
        for line in ["one\n", "two\n", "three\n", "four\n", "a line longer than the limit\n", "six\n"] {
            file.write_all(line.as_bytes()).unwrap();
        }
        let read = |name: &str| fs::read_to_string(base.path().join("logs").join(name)).unwrap();
        assert_eq!((read("audit.log"), read("audit.log.1")), ("six\n".into(), "a line longer than the limit\n".into()));
        assert_eq!(read("audit.log.2"), "four\n");
        assert!(!base.path().join("logs/audit.log.3").exists());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));

        drop(file);
        let mut again = RotatingFile::open(&path, Rotation { bytes_max: 8, backups: 2 }).unwrap();
        again.write_all(b"7890\n").unwrap();
        assert_eq!(read("audit.log.1"), "six\n", "the size of an existing file counts");
    }

    #[test]
    fn refuses_links_and_bad_numbers() {
        let base = tempfile::tempdir().unwrap();
        let link = base.path().join("link");
        std::os::unix::fs::symlink(base.path().join("target"), &link).unwrap();
        assert_eq!(RotatingFile::open(&link, Rotation::default()).unwrap_err().exit(), Exit::Unavailable);

        let one = |name: &str, value: &str| Rotation::from_environment(&BTreeMap::from([(name.to_owned(), value.to_owned())]));
        assert_eq!(one("SCOPED_MCP_LOG_BACKUPS", "2"), Ok(Rotation { bytes_max: 50 << 20, backups: 2 }));
        assert_eq!(
            one("SCOPED_MCP_LOG_MAX_BYTES", "-1").unwrap_err().message(),
            format!("the environment variable `SCOPED_MCP_LOG_MAX_BYTES` must be a whole number up to {}", u64::MAX)
        );
    }
}
