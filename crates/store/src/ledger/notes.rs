//! The file of checkpoints beside the segments.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use super::checkpoint::{NOTE_BYTES_MAX, Note};
use super::disk::{Disk, DiskFile, OpenMode, write_all_at};
use super::recover::Unusable;

/// Name of the file of checkpoints in a writer's directory.
pub(crate) const CHECKPOINTS: &str = "checkpoints.txt";

/// How much of the end of the file is read to find the last note: it, and a torn one behind it.
const TAIL_BYTES: u64 = 4 * NOTE_BYTES_MAX as u64;

/// Appends notes; a note that could not be written whole is cut off before the next one.
pub(crate) struct NoteFile {
    file: Arc<dyn DiskFile>,
    len: u64,
}

impl NoteFile {
    /// Opens the file behind its last whole note.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<Self, Unusable> {
        let len = last_note(path)?.map_or(0, |(_, len)| len);
        let mode = if len == 0 { OpenMode::New } else { OpenMode::Existing };
        Ok(Self { file: disk.open(path, mode)?, len })
    }

    /// Appends `note` and saves it.
    pub(crate) fn append(&mut self, note: &Note) -> io::Result<()> {
        let text = format!("{note}\n");
        self.file.set_len(self.len)?;
        write_all_at(&*self.file, text.as_bytes(), self.len)?;
        self.file.sync()?;
        self.len += text.len() as u64;
        Ok(())
    }
}

/// The last whole note of the file and the length of the file up to its end; `None` without a file or a whole note.
pub(crate) fn last_note(path: &Path) -> Result<Option<(Note, u64)>, Unusable> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let len = file.metadata()?.len();
    let start = len.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail)?;
    let found = find_last(&tail).map(|(note, end)| (note, start + end as u64));
    // A file of which nothing can be read is only taken for a torn first note when it is shorter than one.
    if found.is_none() && len > NOTE_BYTES_MAX as u64 {
        return Err(Unusable::Damaged(format!("{} ends in something that is no checkpoint", path.display())));
    }
    Ok(found)
}

/// Notes and their signatures are both followed by an empty line, so that the last note ends at the last or last but one.
fn find_last(tail: &[u8]) -> Option<(Note, usize)> {
    let mut ends: Vec<usize> = memchr::memmem::find_iter(tail, b"\n\n").collect();
    ends.reverse();
    ends.iter().take(2).find_map(|end| {
        let inner = ends.iter().filter(|e| *e < end);
        let start = inner.clone().nth(1).map_or(0, |before| before + 2);
        inner.clone().next()?;
        let text = std::str::from_utf8(tail.get(start..=*end)?).ok()?;
        Some((Note::parse(text)?, end + 2))
    })
}

#[cfg(test)]
mod tests {
    use bailiwick_model::time::Timestamp;

    use super::*;
    use crate::ledger::chain::WriterId;
    use crate::ledger::checkpoint::{SigningKey, make};
    use crate::ledger::disk::LocalDisk;

    #[test]
    fn the_last_whole_note_is_found_wherever_the_file_was_torn() {
        let key = SigningKey::from_seed("k", &[1; 32]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CHECKPOINTS);
        let mut file = NoteFile::open(&LocalDisk, &path).unwrap();
        let note = |size| make(&key, "o", WriterId::numbered(1), size, [0; 32], Timestamp::from_micros(0)).unwrap();
        for size in 1..=30 {
            file.append(&note(size)).unwrap();
        }
        let whole = std::fs::read(&path).unwrap();
        let note_len = (note(30).to_string().len() + 1) as u64;
        assert_eq!(last_note(&path).unwrap(), Some((note(30), whole.len() as u64)));
        for cut in 1..note_len as usize {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            assert_eq!(last_note(&path).unwrap(), Some((note(29), whole.len() as u64 - note_len)), "cut {cut}");
        }
        NoteFile::open(&LocalDisk, &path).unwrap().append(&note(30)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn a_damaged_file_is_not_continued() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CHECKPOINTS);
        std::fs::write(&path, "x\n\n".repeat(2000)).unwrap();
        assert!(matches!(last_note(&path), Err(Unusable::Damaged(_))));
    }
}
