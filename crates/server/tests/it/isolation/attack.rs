//! The attackers: several at a time, each drawing one operation after the other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::dice::Dice;
use super::document::Operation;
use super::evidence::Evidence;
use super::pool::{Kind, Pool};
use super::tally::{Outcome, Tally};
use super::wire::Wire;
use super::{api, cli, mcp};

/// Of a hundred operations that are not commands so many go to the API, the others to the MCP endpoint.
const API_PERCENT: usize = 55;
/// Operations of which one is a command.
const COMMAND_EVERY_MAX: usize = 100;

/// Looks like a key.
const GARBAGE: &str = "bw_0123456789abcdef_not-a-key_000000";
/// In one of so many rounds of all operations nobody has a key.
pub(crate) const POWERLESS_ROUND: usize = 8;

/// What attackers know and use.
pub(crate) struct Attack {
    pub(crate) seed: u64,
    /// How many operations there are to be.
    pub(crate) count: usize,
    pub(crate) base_url: String,
    pub(crate) operations: Vec<Operation>,
    /// Tools that an administrator of acme sees.
    pub(crate) tools: Vec<String>,
    pub(crate) crew: Vec<(&'static str, String)>,
    /// The key of somebody above both, for what nobody else can do.
    pub(crate) above: String,
    pub(crate) pool: Pool,
    pub(crate) evidence: Evidence,
    pub(crate) tally: Tally,
    pub(crate) counters: Counters,
}

/// How far all of them are.
#[derive(Default)]
pub(crate) struct Counters {
    next: AtomicUsize,
    api: AtomicUsize,
    mcp: AtomicUsize,
    over: AtomicBool,
}

/// What one attacker has at hand.
pub(crate) struct Hands {
    pub(crate) wire: Wire,
    /// Sessions by member.
    pub(crate) sessions: BTreeMap<String, String>,
}

impl Attack {
    /// Takes operations until there are none left.
    pub(crate) async fn run(&self) {
        let mut hands = Hands { wire: Wire::new(&self.base_url), sessions: BTreeMap::new() };
        let Counters { next, api, mcp, .. } = &self.counters;
        // Commands are slow: one of a hundred operations, but each of them done and tried once in a short run.
        let command_every = (self.count / (2 * cli::COMMANDS.len())).clamp(2, COMMAND_EVERY_MAX);
        while !self.is_over() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let mut dice = Dice::new(self.seed, &number.to_string());
            if number.is_multiple_of(command_every) {
                cli::one(self, &mut dice, number / command_every).await;
            } else if dice.percent(API_PERCENT) {
                api::one(self, &mut hands, &mut dice, api.fetch_add(1, Ordering::Relaxed)).await;
            } else {
                mcp::one(self, &mut hands, &mut dice, mcp.fetch_add(1, Ordering::Relaxed)).await;
            }
        }
    }

    /// One attacker has found something, or died: the others need not go on.
    pub(crate) fn stop(&self) {
        self.counters.over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.counters.over.load(Ordering::Relaxed) || self.counters.next.load(Ordering::Relaxed) >= self.count
    }

    pub(crate) fn is_crew(&self, who: &str) -> bool {
        self.crew.iter().any(|(known, _)| *known == who)
    }

    pub(crate) fn key(&self, who: &str) -> &str {
        &self.crew.iter().find(|(known, _)| *known == who).unwrap().1
    }

    /// Anybody with a key, sometimes a key that was made since, sometimes none that is any good.
    pub(crate) fn anybody(&self, dice: &mut Dice) -> (String, Option<String>) {
        let (name, key) = &self.crew[dice.below(self.crew.len())];
        match dice.below(100) {
            0..86 => ((*name).to_owned(), Some(key.clone())),
            86..96 => ("newcomer".into(), Some(self.pool.own(dice, Kind::Token).unwrap_or_else(|| key.clone()))),
            _ => nobody(dice),
        }
    }

    /// The same, and in some rounds somebody without any right, so that everything is refused once.
    pub(crate) fn in_round(&self, dice: &mut Dice, round: usize) -> (String, Option<String>) {
        if round % POWERLESS_ROUND == 1 { nobody(dice) } else { self.anybody(dice) }
    }

    /// Ends the test when the answer has something of the other organisation in it.
    pub(crate) fn check(&self, asked: &str, answer: &[u8]) {
        if let Some(found) = self.evidence.find(answer) {
            panic!("a leak: {found}\n  asked: {asked}");
        }
    }
}

fn nobody(dice: &mut Dice) -> (String, Option<String>) {
    if dice.percent(50) { ("nobody".into(), None) } else { ("garbage".into(), Some(GARBAGE.into())) }
}

impl Outcome {
    pub(crate) fn of(is_done: bool) -> Self {
        if is_done { Self::Done } else { Self::Refused }
    }
}
