//! The agent's file and the connections to it.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::fault;
use super::gate::Purpose;
use super::session::{Limits, Session};
use crate::blocking::Stop;
use crate::fault::ToolFault;

const FILE_MODE: u32 = 0o600;
/// Idle reading connections that are kept.
const IDLE_READERS_MAX: usize = 4;

/// Which file a connection was opened on: a file that was replaced meanwhile is another one.
type FileId = (u64, u64);

/// One agent's database.
pub(super) struct Database {
    path: PathBuf,
    pub(super) limits: Limits,
    readers: Mutex<Vec<(FileId, Session)>>,
    writer: Mutex<Option<(FileId, Session)>>,
}

impl Database {
    pub(super) fn new(path: PathBuf, limits: Limits) -> Self {
        Self { path, limits, readers: Mutex::default(), writer: Mutex::default() }
    }

    /// Runs `work` on a connection that can only read. A file that does not exist yet reads like an empty database.
    pub(super) fn read<T>(
        &self,
        purpose: Purpose,
        stop: &Stop,
        work: impl FnOnce(&Session) -> Result<T, ToolFault>,
    ) -> Result<T, ToolFault> {
        let Some(id) = self.file()? else {
            return self.run(&Session::empty().map_err(fault::opening)?, purpose, stop, work);
        };
        let idle = {
            let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
            readers.retain(|(of, _)| *of == id);
            readers.pop()
        };
        let session = match idle {
            Some((_, session)) => session,
            None => self.open_reader(stop)?,
        };
        let done = self.run(&session, purpose, stop, work);
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < IDLE_READERS_MAX && session.connection.is_autocommit() {
            readers.push((id, session));
        }
        done
    }

    /// Runs `work` on the writing connection, making the file when it is missing.
    pub(super) fn write<T>(&self, stop: &Stop, work: impl FnOnce(&Session) -> Result<T, ToolFault>) -> Result<T, ToolFault> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let id = match self.file()? {
            Some(id) => id,
            None => self.create()?,
        };
        let session = match writer.take().filter(|(of, _)| *of == id) {
            Some((_, session)) => session,
            None => Session::write(&self.path, self.limits.db_bytes).map_err(fault::opening)?,
        };
        let done = self.run(&session, Purpose::Write, stop, work);
        if session.connection.is_autocommit() {
            *writer = Some((id, session));
        }
        done
    }

    /// Gives the connections back.
    pub(super) fn close(&self) {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.writer.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn run<T>(
        &self,
        session: &Session,
        purpose: Purpose,
        stop: &Stop,
        work: impl FnOnce(&Session) -> Result<T, ToolFault>,
    ) -> Result<T, ToolFault> {
        session.begin(purpose, &self.limits, stop).map_err(fault::opening)?;
        let done = work(session);
        session.watch.disarm();
        done
    }

    /// A writer that was killed may have left a journal that only a writing connection can roll back.
    fn open_reader(&self, stop: &Stop) -> Result<Session, ToolFault> {
        let session = Session::read(&self.path).map_err(fault::opening)?;
        session.begin(Purpose::Ours, &self.limits, stop).map_err(fault::opening)?;
        if let Err(error) = look(&session) {
            if !fault::needs_recovery(&error) {
                return Err(fault::of(&error, &session));
            }
            let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            *writer = None;
            let recovering = Session::write(&self.path, self.limits.db_bytes).map_err(fault::opening)?;
            recovering.begin(Purpose::Ours, &self.limits, stop).map_err(fault::opening)?;
            look(&recovering).map_err(|e| fault::of(&e, &recovering))?;
        }
        Ok(session)
    }

    /// The present file, which must be a plain one; `None` when there is none.
    fn file(&self) -> Result<Option<FileId>, ToolFault> {
        match fs::symlink_metadata(&self.path) {
            Ok(found) if found.is_file() && found.nlink() == 1 => Ok(Some((found.dev(), found.ino()))),
            Ok(_) => Err(ToolFault::internal("the database file is a link or a special file")),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(ToolFault::internal(format!("the database file cannot be looked at: {e}"))),
        }
    }

    fn create(&self) -> Result<FileId, ToolFault> {
        let made = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&self.path);
        match made {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(ToolFault::internal(format!("the database file cannot be created: {e}"))),
        }
        self.file()?.ok_or_else(|| ToolFault::internal("the database file vanished"))
    }

    /// Takes rights of others away from a file that an earlier gateway left readable.
    pub(super) fn tighten(&self) -> io::Result<()> {
        match fs::symlink_metadata(&self.path) {
            Ok(found) if found.is_file() && found.mode() & 0o077 != 0 => fs::set_permissions(&self.path, Permissions::from_mode(FILE_MODE)),
            Ok(_) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }
}

/// Touches the file: a journal that has to be rolled back shows here.
fn look(session: &Session) -> rusqlite::Result<()> {
    session.connection.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))
}
