//! What two agents do: operations drawn from a seed, ordinary ones on one's own things and hostile ones at the other's.
//!
//! Both plans are drawn side by side, so that each knows what the other has made so far; what is drawn does not depend on how the calls
//! turn out, so that the same operations can be played again alone.

use std::collections::BTreeSet;

use bailiwick_testkit::time::SeededRandom;
use serde_json::{Value, json};

use super::work;

/// One of the two.
#[derive(Debug)]
pub(crate) struct Who {
    pub(crate) id: &'static str,
    /// In every value that the agent writes, and in nothing that the other sends.
    pub(crate) canary: &'static str,
    /// In some of the names that it gives; the other may guess those.
    pub(crate) mark: &'static str,
}

/// The id of the one begins with the id of the other.
pub(crate) const TWO: [Who; 2] =
    [Who { id: "a", canary: "canary-wren-5d1", mark: "moss" }, Who { id: "a-b", canary: "canary-kite-8f2", mark: "fern" }];

/// Stands in arguments for the directory of the world.
pub(crate) const BASE: &str = "<base>";
/// How many of a hundred operations are hostile.
const HOSTILE_PERCENT: u64 = 40;

/// One message of an agent.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    pub(crate) params: Value,
}

impl Operation {
    pub(crate) fn call(tool: &str, arguments: Value) -> Self {
        Self { method: "tools/call", params: json!({ "name": tool, "arguments": arguments }) }
    }
}

/// What an agent has made, by the names under which the service or the disk knows it.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) files: BTreeSet<String>,
    pub(crate) tables: BTreeSet<String>,
    pub(crate) buckets: BTreeSet<String>,
    pub(crate) dashboards: BTreeSet<String>,
}

/// One operation as it is being drawn.
pub(crate) struct Draw<'a> {
    dice: &'a SeededRandom,
    pub(crate) me: &'static Who,
    pub(crate) other: &'static Who,
    pub(crate) mine: &'a mut Names,
    pub(crate) theirs: &'a Names,
    pub(crate) hostile: bool,
    number: usize,
}

impl Draw<'_> {
    /// A number below `end`.
    pub(crate) fn below(&self, end: usize) -> usize {
        usize::try_from(self.dice.next_u64() % end as u64).unwrap()
    }

    pub(crate) fn one<'t, T: ?Sized>(&self, of: &[&'t T]) -> &'t T {
        of[self.below(of.len())]
    }

    /// One of the names, or `otherwise` when there are none yet.
    pub(crate) fn name(&self, of: &BTreeSet<String>, otherwise: &str) -> String {
        if of.is_empty() { otherwise.to_owned() } else { of.iter().nth(self.below(of.len())).unwrap().clone() }
    }

    /// Something to write: the canary, and what tells this writing from the others.
    pub(crate) fn value(&self) -> String {
        format!("{} {}", self.me.canary, self.number)
    }

    /// How many operations were drawn before.
    pub(crate) const fn number(&self) -> usize {
        self.number
    }

    /// An operation of any module.
    fn operation(&mut self) -> Operation {
        let drawn = self.below(work::KINDS.len());
        work::KINDS[drawn](self)
    }
}

/// The operations of both, `each` long.
pub(crate) fn plans(seed: u64, each: usize) -> [Vec<Operation>; 2] {
    let dice = SeededRandom::new(seed);
    let mut names = [Names::default(), Names::default()];
    let mut plans = [Vec::new(), Vec::new()];
    for number in 0..each {
        for (turn, (me, other)) in [(&TWO[0], &TWO[1]), (&TWO[1], &TWO[0])].into_iter().enumerate() {
            let [first, second] = &mut names;
            let (mine, theirs) = if turn == 0 { (first, &*second) } else { (second, &*first) };
            let hostile = dice.next_u64() % 100 < HOSTILE_PERCENT;
            let mut draw = Draw { dice: &dice, me, other, mine, theirs, hostile, number };
            plans[turn].push(draw.operation());
        }
    }
    plans
}
