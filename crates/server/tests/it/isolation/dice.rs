//! Chance with a seed.

use bailiwick_testkit::time::SeededRandom;

/// The chance of one attacker.
pub(crate) struct Dice {
    random: SeededRandom,
    name: String,
    fresh: usize,
}

impl Dice {
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        let own = name.bytes().fold(seed, |sum, byte| sum.rotate_left(9) ^ u64::from(byte));
        Self { random: SeededRandom::new(own), name: name.to_owned(), fresh: 0 }
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.random.next_u64() % end as u64).unwrap()
    }

    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn one<'t, T: ?Sized>(&mut self, of: &[&'t T]) -> &'t T {
        of[self.below(of.len())]
    }

    pub(crate) fn text(&mut self, of: &[String]) -> Option<String> {
        (!of.is_empty()).then(|| of[self.below(of.len())].clone())
    }

    /// A name that nobody had before.
    pub(crate) fn fresh(&mut self) -> String {
        self.fresh += 1;
        format!("new-{}-{}", self.name, self.fresh)
    }
}
