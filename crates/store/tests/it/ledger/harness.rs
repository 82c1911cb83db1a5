//! A ledger in a temporary directory, and a disk that fails on demand.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bailiwick_model::EventId;
use bailiwick_model::time::{Clock, Random, Timestamp};
use bailiwick_store::ledger::disk::{Disk, DiskFile, LocalDisk, OpenMode};
use bailiwick_store::ledger::{Durability, Entry, Ledger, LedgerOptions, Place, SigningKey, Span};

/// Hang limit of tests that wait for it.
pub(crate) const HANG: Duration = Duration::from_secs(1);

/// Hang limit of all others: a busy machine must not reach it.
const NO_HANG: Duration = Duration::from_secs(30);

/// A clock that moves one second with every look.
#[derive(Default)]
pub(crate) struct Ticks(AtomicU64);

impl Clock for Ticks {
    fn now(&self) -> Timestamp {
        let seconds = self.0.fetch_add(1, Ordering::Relaxed);
        Timestamp::from_micros(1_785_000_000_000_000 + i64::try_from(seconds).unwrap() * 1_000_000)
    }
}

/// Different bytes with every call.
#[derive(Default)]
pub(crate) struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        let n = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = n.to_be_bytes().get(i).copied().unwrap_or(0);
        }
    }
}

pub(crate) fn key() -> Arc<SigningKey> {
    Arc::new(SigningKey::from_seed("test/ledger", &[7; 32]).unwrap())
}

pub(crate) fn id(n: u64) -> EventId {
    EventId::parse(&format!("{n:032x}")).unwrap()
}

pub(crate) fn options(dir: &Path) -> LedgerOptions {
    let mut options = LedgerOptions::new(Place::Segments { dir: dir.to_owned() }, key(), Arc::new(Ticks::default()));
    options.hang = NO_HANG;
    options
}

pub(crate) fn entry(n: u64, durability: Durability) -> Entry {
    let bytes = format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(usize::try_from(n % 97).unwrap())).into_bytes();
    Entry { bytes, durability, span: Span::Single(id(n)), row: None }
}

pub(crate) async fn open(options: LedgerOptions) -> Ledger {
    Ledger::open(options).await.unwrap()
}

/// Bytes of all segments of `w-0001` in order.
pub(crate) fn segment_bytes(dir: &Path) -> Vec<u8> {
    segments(dir).iter().flat_map(|path| std::fs::read(path).unwrap()).collect()
}

pub(crate) fn segments(dir: &Path) -> Vec<PathBuf> {
    let names = std::fs::read_dir(dir.join("w-0001")).unwrap().map(|e| e.unwrap().path());
    let mut found: Vec<_> = names.filter(|p| p.extension().is_some_and(|e| e == "log")).collect();
    found.sort();
    found
}

/// The records of `w-0001` as text.
pub(crate) fn records(dir: &Path) -> Vec<String> {
    let text = String::from_utf8(segment_bytes(dir)).unwrap();
    text.lines().map(|line| line[65..].to_owned()).collect()
}

/// What a faulty disk does on the next operation of a kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Answers with this kind of error, every time.
    Error(io::ErrorKind),
    /// Writes this many bytes, then answers with "no space".
    Short(usize),
    /// Does not return until the fault is taken away.
    Hang,
}

#[derive(Default)]
struct Faults {
    write: Option<Fault>,
    sync: Option<Fault>,
    set_len: Option<Fault>,
    open: Option<Fault>,
    /// Operations that hang now.
    hanging: usize,
    /// Syncs that were asked for.
    syncs: usize,
    /// When set, a failing sync forgets what was written since the last good one, as an operating system may.
    forgetful: bool,
}

/// See [`Fault`]. A clone controls the same disk.
#[derive(Clone, Default)]
pub(crate) struct FaultyDisk(Arc<(Mutex<Faults>, Condvar)>);

impl FaultyDisk {
    fn set(&self, act: impl FnOnce(&mut Faults)) {
        act(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    pub(crate) fn write(&self, fault: Option<Fault>) {
        self.set(|f| f.write = fault);
    }

    pub(crate) fn sync(&self, fault: Option<Fault>) {
        self.set(|f| f.sync = fault);
    }

    pub(crate) fn set_len(&self, fault: Option<Fault>) {
        self.set(|f| f.set_len = fault);
    }

    pub(crate) fn forgetful(&self) {
        self.set(|f| f.forgetful = true);
    }

    pub(crate) fn syncs(&self) -> usize {
        self.0.0.lock().unwrap().syncs
    }

    /// Blocks until an operation hangs.
    pub(crate) fn wait_for_hang(&self) {
        let guard = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(guard, |f| f.hanging == 0).unwrap());
    }

    fn pass(&self, kind: fn(&mut Faults) -> &mut Option<Fault>) -> io::Result<Option<usize>> {
        let mut faults = self.0.0.lock().unwrap();
        if *kind(&mut faults) == Some(Fault::Hang) {
            faults.hanging += 1;
            self.0.1.notify_all();
            faults = self.0.1.wait_while(faults, |f| *kind(f) == Some(Fault::Hang)).unwrap();
            faults.hanging -= 1;
        }
        match *kind(&mut faults) {
            Some(Fault::Error(error)) => Err(error.into()),
            Some(Fault::Short(bytes)) => {
                *kind(&mut faults) = Some(Fault::Error(io::ErrorKind::StorageFull));
                Ok(Some(bytes))
            }
            Some(Fault::Hang) | None => Ok(None),
        }
    }
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.pass(|f| &mut f.open)?;
        let file = LocalDisk.open(path, mode)?;
        Ok(Arc::new(FaultyFile { file, path: path.to_owned(), disk: self.clone(), saved: Mutex::new(std::fs::read(path)?) }))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        LocalDisk.sync_dir(dir)
    }
}

struct FaultyFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    disk: FaultyDisk,
    /// What a power cut would leave.
    saved: Mutex<Vec<u8>>,
}

impl DiskFile for FaultyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        match self.disk.pass(|f| &mut f.write)? {
            Some(part) => self.file.write_at(&bytes[..part.min(bytes.len())], offset),
            None => self.file.write_at(bytes, offset),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.set(|f| f.syncs += 1);
        match self.disk.pass(|f| &mut f.sync) {
            Ok(_) => {
                *self.saved.lock().unwrap() = std::fs::read(&self.path)?;
                self.file.sync()
            }
            Err(error) => {
                if self.disk.0.0.lock().unwrap().forgetful {
                    std::fs::write(&self.path, &*self.saved.lock().unwrap())?;
                }
                Err(error)
            }
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.pass(|f| &mut f.set_len)?;
        self.file.set_len(len)
    }
}
