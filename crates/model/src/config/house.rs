//! What an organisation gives its agents beside modules and servers: instructions, runs, feedback (reference, governance 2 to 4).

use std::time::Duration;

use crate::instruction::{BLOCKLIST_TERMS_MAX, Blocklist, HouseRules, Term, TermMode};
use crate::reader::Field;
use crate::run::IDLE_WINDOW_DEFAULT;
use crate::shape::{Also, Choice, Key, Section, Shape, formats, words};

/// Longest idle window in minutes: a day.
const IDLE_MINUTES_MAX: u64 = 1_440;

const MODES: [(&str, TermMode); 2] = [("word", TermMode::Word), ("substring", TermMode::Substring)];

pub(super) static INSTRUCTIONS: Section = Section {
    path: "instructions",
    doc: "Versioned texts of an organisation for its agents. With this section agents have `readme_agent`, `list_instructions`, `get_instruction` and `set_instruction`.",
    keys: &[
        Key::new("text", Shape::Filled, "What the `instructions` of every answer to `initialize` and `server/discover` begin with."),
        Key::new("readme", Shape::Filled, "What `readme_agent` gives first."),
        Key::new(
            "blocklist",
            Shape::Entries { names: &formats::BLOCKED_NAME, value: &Shape::Word(&words(&MODES), Also::Nothing), empty: false },
            "Names of persons and clients that no instruction may contain, each with where it counts: as a word of its own, or anywhere.",
        ),
        Key::new("forbid_attribution", Shape::Boolean, "Whether quotations that are attributed to a person are refused.").or("true"),
        Key::new("require_frontmatter", Shape::Boolean, "Whether every instruction needs a `name` and a `description` in its frontmatter.")
            .or("false"),
    ],
    needs: &[],
    choice: Choice::Free,
};

pub(super) static RUNS: Section = Section {
    path: "runs",
    doc: "Named stretches of work. With this section agents have `run_start` and `run_finish`, and calls belong to runs.",
    keys: &[
        Key::new(
            "idle_minutes",
            Shape::Integer { min: 1, max: IDLE_MINUTES_MAX },
            "How long after its last call a run may still be the one that a call without a run id belongs to.",
        )
        .or("30"),
        Key::new("implicit", Shape::Boolean, "Whether a call that belongs to no run opens one, so that every call has a unit.").or("true"),
    ],
    needs: &[],
    choice: Choice::Free,
};

/// `instructions`.
#[derive(Clone, Debug)]
pub struct InstructionsConfig {
    /// What the server's own `instructions` begin with.
    pub text: Option<String>,
    /// What `readme_agent` gives first.
    pub readme: Option<String>,
    /// What a new instruction must meet.
    pub rules: HouseRules,
}

/// `runs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunsConfig {
    /// How long a silent run is still inferred; default 30 minutes.
    pub idle: Duration,
    /// Whether calls without a run open one; default `true`.
    pub implicit: bool,
}

impl Default for InstructionsConfig {
    fn default() -> Self {
        Self { text: None, readme: None, rules: HouseRules { forbid_attribution: true, ..HouseRules::default() } }
    }
}

impl Default for RunsConfig {
    fn default() -> Self {
        Self { idle: IDLE_WINDOW_DEFAULT, implicit: true }
    }
}

pub(super) fn instructions(field: &Field<'_>) -> Option<InstructionsConfig> {
    let table = field.table()?;
    let filled = |f: &Field<'_>| f.filled().map(str::to_owned);
    let default = InstructionsConfig::default();
    let config = InstructionsConfig {
        text: table.read("text", filled),
        readme: table.read("readme", filled),
        rules: HouseRules {
            blocklist: table.read("blocklist", blocklist).unwrap_or_default(),
            forbid_attribution: table.read("forbid_attribution", Field::boolean).unwrap_or(default.rules.forbid_attribution),
            require_frontmatter: table.read("require_frontmatter", Field::boolean).unwrap_or(default.rules.require_frontmatter),
        },
    };
    table.finish();
    Some(config)
}

fn blocklist(field: &Field<'_>) -> Option<Blocklist> {
    let mut terms = Vec::new();
    for (entry, value) in field.entries()? {
        let mode = value.word(&MODES)?;
        // The name is not repeated in the message: it is on the list because nobody shall read it.
        terms.push(Term::new(&entry.key, mode).map_err(|rule| value.error(rule.to_string())).ok()?);
    }
    let many = || field.error(format!("at most {BLOCKLIST_TERMS_MAX} names"));
    Blocklist::new(terms).map_err(|_| many()).ok()
}

pub(super) fn runs(field: &Field<'_>) -> Option<RunsConfig> {
    let table = field.table()?;
    let default = RunsConfig::default();
    let minutes = |f: &Field<'_>| f.integer().map(|minutes| Duration::from_secs(minutes * 60));
    let config = RunsConfig {
        idle: table.read("idle_minutes", minutes).unwrap_or(default.idle),
        implicit: table.read("implicit", Field::boolean).unwrap_or(default.implicit),
    };
    table.finish();
    Some(config)
}
