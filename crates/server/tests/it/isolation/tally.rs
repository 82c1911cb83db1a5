//! What came of the operations: those that never succeed prove nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The way an operation takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Face {
    Api,
    Mcp,
    Cli,
}

/// What came of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Refused,
}

#[derive(Clone, Copy, Default)]
struct Count {
    done: u64,
    refused: u64,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Tally {
    counts: Mutex<BTreeMap<(Face, String), Count>>,
    answers: AtomicU64,
    unavailable: AtomicU64,
}

/// One answer among so many may say that the database does not answer: that is a busy machine, and no leak.
const ANSWERS_PER_UNAVAILABLE_MIN: u64 = 1_000;

impl Tally {
    /// Counts an answer. An error of the server's own is one too many; being told to come back is not, now and then.
    pub(crate) fn answered(&self, status: u16, shown: impl Fn() -> String) {
        assert!(status < 500 || status == 503, "{}", shown());
        let answers = self.answers.fetch_add(1, Ordering::Relaxed) + 1;
        if status == 503 {
            println!("unavailable: {}", shown().chars().take(300).collect::<String>());
            let unavailable = self.unavailable.fetch_add(1, Ordering::Relaxed) + 1;
            assert!(unavailable <= 3 + answers / ANSWERS_PER_UNAVAILABLE_MIN, "{unavailable} of {answers} answers were `unavailable`");
        }
    }

    pub(crate) fn note(&self, face: Face, name: &str, outcome: Outcome) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry((face, name.to_owned())).or_default();
        match outcome {
            Outcome::Done => count.done += 1,
            Outcome::Refused => count.refused += 1,
        }
    }

    /// The table, and the sums of each face.
    pub(crate) fn print(&self) {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for face in [Face::Api, Face::Mcp, Face::Cli] {
            let of_face = counts.iter().filter(|((of, _), _)| *of == face);
            let mut sum = Count::default();
            for ((_, name), count) in of_face {
                println!("{face:?} {name:<60} {:>7} done {:>7} refused", count.done, count.refused);
                (sum.done, sum.refused) = (sum.done + count.done, sum.refused + count.refused);
            }
            println!("{face:?} in all: {} done, {} refused\n", sum.done, sum.refused);
        }
    }

    /// Operations among `names` that were never done, or never refused.
    pub(crate) fn lacking(&self, face: Face, names: &[String], outcome: Outcome) -> Vec<String> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let has = |name: &String| {
            let count = counts.get(&(face, name.clone())).copied().unwrap_or_default();
            match outcome {
                Outcome::Done => count.done > 0,
                Outcome::Refused => count.refused > 0,
            }
        };
        names.iter().filter(|name| !has(name)).cloned().collect()
    }
}
