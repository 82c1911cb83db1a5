//! What came of the operations: those that never succeed prove nothing.

use std::collections::BTreeMap;
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
pub(crate) struct Tally(Mutex<BTreeMap<(Face, String), Count>>);

impl Tally {
    pub(crate) fn note(&self, face: Face, name: &str, outcome: Outcome) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry((face, name.to_owned())).or_default();
        match outcome {
            Outcome::Done => count.done += 1,
            Outcome::Refused => count.refused += 1,
        }
    }

    /// The table, and the sums of each face.
    pub(crate) fn print(&self) {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
