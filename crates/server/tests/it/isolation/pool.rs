//! Values for the parameters of requests: the attackers' own, those of the other organisation, guesses, and texts that are none of these.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::dice::Dice;

/// What a parameter names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Org,
    Sub,
    Group,
    Agent,
    Key,
    Event,
    Secret,
    Run,
    Doc,
    Slug,
    Version,
    Feedback,
    /// A registered server.
    Server,
    Cursor,
    Session,
    /// What a modern client gives back with the answer to a question.
    State,
    /// The text of a key.
    Token,
}

impl Kind {
    /// What `{name}` behind the segment `collection` of a path stands for. A new kind of thing gets its line here and its values in `fill.rs`.
    pub(crate) fn of_path(path: &str, collection: &str, name: &str) -> Self {
        match (collection, name) {
            (_, "org") => Self::Org,
            (_, "sub") => Self::Sub,
            (_, "group") => Self::Group,
            (_, "agent_id") => Self::Agent,
            (_, "key_id") => Self::Key,
            (_, "event_id") | ("calls", "call_id" | "id") => Self::Event,
            ("secrets", "name") => Self::Secret,
            (_, "run_id") => Self::Run,
            (_, "kind") => Self::Doc,
            (_, "slug") | ("instructions", "name") => Self::Slug,
            (_, "version") => Self::Version,
            (_, "server_id") => Self::Server,
            (_, "feedback_id") | ("feedback", "id") => Self::Feedback,
            _ => panic!("the isolation test has no values for `{{{name}}}` of {path}: name its kind in isolation/pool.rs"),
        }
    }

    /// Whether values are drawn by the program, so that no two things have the same.
    pub(crate) fn is_drawn(self) -> bool {
        matches!(self, Self::Key | Self::Event | Self::Run | Self::Feedback | Self::Server | Self::Session | Self::State)
    }

    /// What a member of an answer names, or a parameter of a query; `place` is the path of the operation.
    pub(crate) fn of_member(place: &str, name: &str) -> Option<Self> {
        Some(match name {
            "sub" => Self::Sub,
            "group" => Self::Group,
            "agent_id" => Self::Agent,
            "event_id" => Self::Event,
            "run_id" => Self::Run,
            "slug" => Self::Slug,
            "server_id" | "source_server_id" => Self::Server,
            "kind" if !place.contains("/events") && !place.contains("/calls") => Self::Doc,
            "name" if place.contains("/secrets") => Self::Secret,
            "id" if place.contains("/keys") => Self::Key,
            "id" if place.contains("/feedback") => Self::Feedback,
            "cursor" | "next_cursor" | "next_token" => Self::Cursor,
            "token" => Self::Token,
            _ => return None,
        })
    }
}

/// Whose work would end if these were changed: attackers leave them alone at home, nowhere else.
const CREW: [&str; 11] = ["ann", "gil", "lee", "bob", "mia", "data", "worker", "desk", "DESK_TOKEN", "readme", "agent"];
/// Texts that are no id of anybody.
pub(crate) const HOSTILE: [&str; 16] = [
    "..",
    "../bellum",
    "bellum/../acme",
    "acme/../bellum",
    "%62ellum",
    "bellum\u{0}",
    "bellum ",
    "BELLUM",
    "b\u{435}llum",
    "' OR tenant_id='bellum' --",
    "%",
    "*",
    "",
    "null",
    "bellum,acme",
    "\u{202e}mulleb",
];
/// Names that both organisations have and nobody needs: attackers change them, remove them, and make them again.
pub(crate) const TWINS: [&str; 8] = ["tom", "sue", "spare", "SPARE_TOKEN", "API_TOKEN", "kept-k-1", "kept-k-2", "deploy"];
/// How often, of a hundred times.
pub(crate) const TWIN_PERCENT: usize = 25;
/// Values that attackers keep of each kind.
const KEPT_MAX: usize = 40;

/// Values by kind.
pub(crate) type Values = BTreeMap<Kind, Vec<String>>;

/// See the module.
#[derive(Default)]
pub(crate) struct Pool {
    /// What is at home from the beginning and stays.
    pub(crate) home: Values,
    /// What attackers made since.
    made: Mutex<Values>,
    /// What is the other organisation's and was told to the attackers.
    theirs: Values,
    /// What of it has no namesake at home: only this can be found by a query that forgets whose rows it wants, but takes the first.
    only_theirs: Values,
}

impl Pool {
    pub(crate) fn new(home: Values, theirs: Values) -> Self {
        let is_only = |kind: &Kind, value: &String| !home.get(kind).is_some_and(|home| home.contains(value));
        let mut only_theirs = theirs.clone();
        only_theirs.iter_mut().for_each(|(kind, values)| values.retain(|value| is_only(kind, value)));
        Self { home, made: Mutex::default(), theirs, only_theirs }
    }

    /// Something of one's own: what was made lately, or what is there from the beginning.
    pub(crate) fn own(&self, dice: &mut Dice, kind: Kind) -> Option<String> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner).get(&kind).cloned().unwrap_or_default();
        let home = self.home.get(&kind).cloned().unwrap_or_default();
        if dice.percent(50) { dice.text(&made).or_else(|| dice.text(&home)) } else { dice.text(&home).or_else(|| dice.text(&made)) }
    }

    /// Something of one's own that may be changed: what was made lately, or now and then something with a namesake over there.
    pub(crate) fn expendable(&self, dice: &mut Dice, kind: Kind) -> Option<String> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner).get(&kind).cloned().unwrap_or_default();
        let twins: Vec<String> =
            self.home.get(&kind).into_iter().flatten().filter(|value| TWINS.contains(&value.as_str())).cloned().collect();
        if dice.percent(TWIN_PERCENT) {
            dice.text(&twins).or_else(|| dice.text(&made))
        } else {
            dice.text(&made).or_else(|| dice.text(&twins))
        }
    }

    /// The same, and nobody else gets it again.
    pub(crate) fn taken(&self, dice: &mut Dice, kind: Kind) -> Option<String> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let values = made.get_mut(&kind).filter(|values| !values.is_empty())?;
        let drawn = dice.below(values.len());
        Some(values.swap_remove(drawn))
    }

    pub(crate) fn theirs(&self, dice: &mut Dice, kind: Kind) -> Option<String> {
        let only = self.only_theirs.get(&kind).filter(|values| !values.is_empty() && dice.percent(60));
        dice.text(only.or_else(|| self.theirs.get(&kind))?)
    }

    pub(crate) fn is_theirs(&self, kind: Kind, value: &str) -> bool {
        self.theirs.get(&kind).is_some_and(|values| values.iter().any(|known| known == value))
    }

    /// Anything at all.
    pub(crate) fn any(&self, dice: &mut Dice, kind: Kind) -> String {
        let drawn = match dice.below(10) {
            0..3 => self.own(dice, kind),
            3..7 => self.theirs(dice, kind),
            7 => Some(guess(dice, kind)),
            8 => self.theirs(dice, Kind::Org),
            _ => None,
        };
        drawn.unwrap_or_else(|| dice.one(&HOSTILE).to_owned())
    }

    pub(crate) fn keep(&self, kind: Kind, value: &str) {
        if CREW.contains(&value) || self.home.get(&kind).is_some_and(|home| home.iter().any(|known| known == value)) {
            return;
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let values = made.entry(kind).or_default();
        if !values.iter().any(|known| known == value) {
            values.push(value.to_owned());
        }
        if values.len() > KEPT_MAX {
            values.remove(0);
        }
    }

    /// Keeps what an answer names.
    pub(crate) fn harvest(&self, place: &str, answer: &Value) {
        named(place, answer, &mut |kind, value| self.keep(kind, value));
    }
}

/// Whether attackers must not change this at home.
pub(crate) fn is_crew(value: &str) -> bool {
    CREW.contains(&value)
}

/// Everything in an answer that names something.
pub(crate) fn named(place: &str, answer: &Value, found: &mut impl FnMut(Kind, &str)) {
    match answer {
        Value::Object(members) => members.iter().for_each(|(name, member)| match member {
            // What the ledger has masked names nothing.
            Value::String(text) if text.starts_with('<') => {}
            Value::String(text) => Kind::of_member(place, name).into_iter().for_each(|kind| found(kind, text)),
            other => named(place, other, found),
        }),
        Value::Array(items) => items.iter().for_each(|item| named(place, item, found)),
        _ => {}
    }
}

/// A value of the right form that was given to nobody, or to somebody by chance.
fn guess(dice: &mut Dice, kind: Kind) -> String {
    let number = dice.below(40);
    match kind {
        Kind::Key => format!("{number:016x}"),
        Kind::Run => format!("{number:032x}"),
        Kind::Version => number.to_string(),
        Kind::Secret => format!("TOKEN_{number}"),
        Kind::Event | Kind::Feedback => format!("0198f000-0000-7000-8000-{number:012x}"),
        _ => format!("x{number}"),
    }
}
