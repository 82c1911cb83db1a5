//! Memory for large bodies, used again.
//!
//! A fresh megabyte costs more than to fill it: the system clears and maps each of its pages, and the allocator soon gives it back.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// Smaller buffers are left to the allocator, which keeps such memory itself.
const BULK_BYTES_MIN: usize = 64 << 10;
/// Memory that is kept for the next body.
const KEPT_BYTES_MAX: usize = 4 << 20;

static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// A buffer that is filled piece by piece and then read only. Its memory is used again when the last reader is gone.
#[derive(Debug)]
pub struct Bulk(Vec<u8>);

impl Bulk {
    /// Room for `bytes`; grows when there are more.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self((bytes >= BULK_BYTES_MIN).then(|| kept(bytes)).flatten().unwrap_or_else(|| Vec::with_capacity(bytes)))
    }

    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds `piece`.
    pub fn extend(&mut self, piece: &[u8]) {
        self.0.extend_from_slice(piece);
    }

    /// The bytes, to be shared.
    #[must_use]
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Bulk {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Bulk {
    fn drop(&mut self) {
        if self.0.capacity() >= BULK_BYTES_MIN {
            keep(std::mem::take(&mut self.0));
        }
    }
}

fn kept(bytes: usize) -> Option<Vec<u8>> {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let at = kept.iter().rposition(|memory| memory.capacity() >= bytes)?;
    Some(kept.swap_remove(at))
}

fn keep(mut memory: Vec<u8>) {
    memory.clear();
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let held: usize = kept.iter().map(Vec::capacity).sum();
    if held + memory.capacity() <= KEPT_BYTES_MAX {
        kept.push(memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_was_written_whatever_the_memory_held_before() {
        for round in 0..20_u8 {
            let size = BULK_BYTES_MIN + 1000 * usize::from(round % 3);
            let mut bulk = Bulk::with_capacity(size);
            assert!(bulk.is_empty());
            for _ in 0..size + 10 {
                bulk.extend(&[round]);
            }
            let (len, bytes) = (bulk.len(), bulk.freeze());
            let part = bytes.slice(5..100);
            drop(bytes);
            assert_eq!((len, &part[..]), (size + 10, &[round; 95][..]));
        }
    }

    #[test]
    fn no_more_than_the_limit_is_kept() {
        let many: Vec<Bulk> = (0..20).map(|_| Bulk::with_capacity(KEPT_BYTES_MAX / 4)).collect();
        drop(many);
        let held: usize = KEPT.lock().unwrap_or_else(PoisonError::into_inner).iter().map(Vec::capacity).sum();
        assert!(held <= KEPT_BYTES_MAX);
    }
}
