//! The agent's directory as a capability: opened once, every name is resolved beneath the open handle.
//!
//! On Linux the kernel refuses to leave it (`openat2` with `BENEATH`, `NO_MAGICLINKS`, `NO_XDEV`). Where that call is
//! missing, `cap-std` walks the name one component at a time with `O_NOFOLLOW`. Nothing is ever canonicalised and
//! opened later by its text: that would be a race by construction (reference, security section 6).

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::UNIX_EPOCH;

use bailiwick_model::Timestamp;
use cap_std::fs::{Dir, File, Metadata, MetadataExt, OpenOptions, OpenOptionsExt};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Permissions of directories we make.
pub(crate) const DIRECTORY_MODE: u32 = 0o700;
/// Permissions of files we make.
pub(crate) const FILE_MODE: u32 = 0o600;
/// How often the kernel may ask us to resolve a name again because something was renamed meanwhile.
const RESOLVE_TRIES_MAX: u32 = 16;

/// What stands at a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Symlink,
    /// A pipe, socket or device.
    Special,
}

/// What the guards need to know about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) kind: Kind,
    pub(crate) bytes: u64,
    pub(crate) links: u64,
    pub(crate) modified: Timestamp,
}

impl From<&Metadata> for Facts {
    fn from(metadata: &Metadata) -> Self {
        let kind = match metadata.file_type() {
            t if t.is_file() => Kind::File,
            t if t.is_dir() => Kind::Directory,
            t if t.is_symlink() => Kind::Symlink,
            _ => Kind::Special,
        };
        let age = metadata.modified().ok().and_then(|time| time.into_std().duration_since(UNIX_EPOCH).ok());
        let modified = Timestamp::from_micros(0).after(age.unwrap_or_default());
        Self { kind, bytes: metadata.len(), links: metadata.nlink(), modified }
    }
}

/// The open directory. Names given to its methods are normalised (`path.rs`); the empty name is the root itself.
#[derive(Debug)]
pub(crate) struct Root {
    dir: Dir,
    /// Off in tests, to run the component walk on a kernel that would not need it.
    kernel: bool,
}

impl Root {
    pub(crate) fn new(dir: Dir) -> Self {
        Self { dir, kernel: cfg!(target_os = "linux") }
    }

    /// A handle on the directory `inner`; symbolic links are followed as long as they stay inside.
    pub(crate) fn directory(&self, inner: &str) -> io::Result<Dir> {
        match self.resolve(inner, OFlags::RDONLY | OFlags::DIRECTORY) {
            Some(opened) => Ok(Dir::from_std_file(opened?.into())),
            None => self.dir.open_dir(dotted(inner)),
        }
    }

    /// What stands at `inner`, symbolic links followed inside. Opens nothing: a pipe stays untouched.
    #[cfg(target_os = "linux")]
    pub(crate) fn facts(&self, inner: &str) -> io::Result<Facts> {
        match self.resolve(inner, OFlags::PATH) {
            Some(opened) => Ok(Facts::from(&Metadata::from_file(&opened?.into())?)),
            None => self.dir.metadata(dotted(inner)).map(|m| Facts::from(&m)),
        }
    }

    /// What stands at `inner`, symbolic links followed inside. Opens nothing: a pipe stays untouched.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn facts(&self, inner: &str) -> io::Result<Facts> {
        self.dir.metadata(dotted(inner)).map(|m| Facts::from(&m))
    }

    /// Opens `inner` for reading without ever waiting for a peer. The caller looks at what was opened before it reads.
    pub(crate) fn open(&self, inner: &str) -> io::Result<File> {
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        match self.resolve(inner, OFlags::RDONLY | flags) {
            Some(opened) => Ok(File::from_std(opened?.into())),
            None => self.dir.open_with(dotted(inner), OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed())),
        }
    }

    /// `None` when the kernel cannot answer and the walk has to.
    #[cfg(target_os = "linux")]
    fn resolve(&self, inner: &str, flags: OFlags) -> Option<io::Result<OwnedFd>> {
        use rustix::fs::{ResolveFlags, openat2};
        if !self.kernel {
            return None;
        }
        let within = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        for _ in 0..RESOLVE_TRIES_MAX {
            match openat2(&self.dir, dotted(inner), flags | OFlags::CLOEXEC, Mode::empty(), within) {
                Ok(opened) => return Some(Ok(opened)),
                Err(Errno::AGAIN) => {}
                // EPERM is how some system-call filters say that they do not know the call.
                Err(Errno::NOSYS | Errno::PERM) => return None,
                Err(errno) => return Some(Err(errno.into())),
            }
        }
        None
    }

    #[cfg(not(target_os = "linux"))]
    fn resolve(&self, _inner: &str, _flags: OFlags) -> Option<io::Result<OwnedFd>> {
        None
    }
}

fn dotted(inner: &str) -> &str {
    if inner.is_empty() { "." } else { inner }
}

/// What stands at the single name `name` in `dir` itself; a symbolic link is reported, not followed.
pub(crate) fn facts_at(dir: &Dir, name: impl AsRef<Path>) -> io::Result<Facts> {
    dir.symlink_metadata(name).map(|m| Facts::from(&m))
}

/// Creates the single name `name` for writing; it must not exist.
pub(crate) fn create_at(dir: &Dir, name: &str) -> io::Result<std::fs::File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, Mode::from_bits_truncate(FILE_MODE))?.into())
}

/// Opens the single name `name` for appending, never through a link and never waiting for a peer.
pub(crate) fn append_at(dir: &Dir, name: &str) -> io::Result<std::fs::File> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?.into())
}

/// Makes the single directory `name`; one that exists already is as good.
pub(crate) fn make_directory_at(dir: &Dir, name: &str) -> io::Result<()> {
    match rustix::fs::mkdirat(dir, name, Mode::from_bits_truncate(DIRECTORY_MODE)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Opens the single directory `name`, never through a link. For the way from the base path to the agent's root.
pub(crate) fn directory_at(dir: &Dir, name: &str) -> io::Result<Dir> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(Dir::from_std_file(rustix::fs::openat(dir, name, flags, Mode::empty())?.into()))
}

/// Whether the error says that a name led out of the root (or onto another file system).
pub(crate) fn is_escape(error: &io::Error) -> bool {
    match error.raw_os_error() {
        Some(code) => code == Errno::XDEV.raw_os_error() || code == Errno::LOOP.raw_os_error(),
        None => error.kind() == io::ErrorKind::PermissionDenied,
    }
}

/// Whether the error says that links lead in a circle.
pub(crate) fn is_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use cap_std::ambient_authority;

    use super::*;

    /// Both ways of resolving give the same answers.
    #[test]
    fn the_walk_refuses_what_the_kernel_refuses() {
        let base = tempfile::tempdir().unwrap();
        let root = base.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(base.path().join("secret"), "s").unwrap();
        fs::write(root.join("a/file"), "f").unwrap();
        for (target, link) in [
            ("../../secret", "a/up"),
            ("../secret", "up"),
            ("/etc/passwd", "abs"),
            ("/proc/self/root", "proc"),
            ("a/file", "inside"),
            ("../a/file", "a/b/dots"),
            ("loop", "loop"),
            ("nowhere", "dangling"),
            ("../nowhere", "dangling-out"),
            ("a", "dir"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        let opened = Dir::open_ambient_dir(&root, ambient_authority()).unwrap();
        let kernel = Root::new(opened.try_clone().unwrap());
        let walk = Root { dir: opened, kernel: false };
        for (name, answer) in [
            ("a/up", "escape"),
            ("up", "escape"),
            ("abs", "escape"),
            ("proc/etc/passwd", "escape"),
            ("dangling-out", "escape"),
            ("loop", "escape"),
            ("inside", "ok"),
            ("dir/file", "ok"),
            // From `a/b` this names `a/a/file`: missing, but not outside.
            ("a/b/dots", "NotFound"),
            ("a/file", "ok"),
            ("dangling", "NotFound"),
            ("missing", "NotFound"),
            ("a/file/x", "NotADirectory"),
        ] {
            for root in [&kernel, &walk] {
                let seen = match (root.open(name), root.facts(name)) {
                    (Ok(_), Ok(_)) => "ok".to_owned(),
                    (Err(a), Err(b)) if is_escape(&a) && is_escape(&b) => "escape".to_owned(),
                    (Err(a), Err(b)) if a.kind() == b.kind() => format!("{:?}", a.kind()),
                    mixed => format!("{mixed:?}"),
                };
                assert_eq!(seen, answer, "{name} kernel={}", root.kernel);
            }
        }
    }
}
