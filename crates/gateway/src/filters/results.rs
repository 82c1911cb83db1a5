//! Rules over what comes back: results, errors, and what a server says on the way.

use std::sync::Arc;

use bailiwick_mcp::Json;
use bailiwick_model::manifest::{FilterAction, Pattern, ResponseFilter};
use regex::NoExpand;

use super::budget::{Budget, Crossed};
use super::forms::{Decode, Forms, MatchedOn};
use super::rewrite;
use super::treatment::Layout;
use super::{Cost, Hit, Stop, look};

/// What stands in place of what a rule takes away.
pub(super) const REDACTED: &str = "[REDACTED]";

/// Rules of one manifest, those that block first. Clones share them.
#[derive(Clone)]
pub(crate) struct Rules {
    rules: Arc<[Rule]>,
    cost: Cost,
}

struct Rule {
    name: Arc<str>,
    pattern: Pattern,
    decode: Decode,
    action: FilterAction,
}

impl Rule {
    fn hit(&self, action: FilterAction) -> Hit {
        let event = match action {
            FilterAction::Block => "response_filter_blocked",
            FilterAction::Warn => "response_filter_warning",
            FilterAction::Redact => "response_filter_redacted",
        };
        Hit { event, filter: self.name.clone(), field: None, matched_on: None }
    }
}

/// What may be passed on.
#[derive(Debug)]
pub(crate) struct Screened<T> {
    /// What to pass on instead; `None` when nothing was taken away.
    pub(crate) changed: Option<T>,
    /// What the rules found, each rule once.
    pub(crate) hits: Vec<Hit>,
}

impl Rules {
    pub(super) fn of(declared: &[ResponseFilter], cost: Cost) -> Self {
        let rule = |filter: &ResponseFilter| Rule {
            name: filter.name.as_str().into(),
            pattern: filter.pattern.clone(),
            decode: Decode::of(&filter.decode),
            action: filter.action,
        };
        let mut rules: Vec<Rule> = declared.iter().map(rule).collect();
        rules.sort_by_key(|rule| rule.action != FilterAction::Block);
        Self { rules: rules.into(), cost }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Looks at every string, number and member name of a message; at text inside Base64 where it is declared. Binary data is neither
    /// looked at nor changed. What a rule redacts is valid JSON afterwards, and every other byte stays.
    ///
    /// # Errors
    /// [`Stop`] for the first match of a rule that blocks, and beyond the limits of cost.
    pub(crate) async fn screen(&self, json: Json, layout: Layout) -> Result<Screened<Json>, Stop> {
        if self.is_empty() {
            return Ok(Screened { changed: None, hits: Vec::new() });
        }
        let rules = self.clone();
        look(json.len(), move || rules.screen_now(&json, layout)).await.unwrap_or(Err(Stop::Crossed(Crossed::Time)))
    }

    /// The same on this thread, for small messages.
    pub(crate) fn screen_now(&self, json: &Json, layout: Layout) -> Result<Screened<Json>, Stop> {
        if self.is_empty() {
            return Ok(Screened { changed: None, hits: Vec::new() });
        }
        let mut judge = self.judge();
        let changed = rewrite::message(&mut judge, json, layout)?;
        Ok(Screened { changed, hits: judge.hits() })
    }

    /// The same for a text that is no JSON.
    pub(crate) fn screen_text(&self, text: &str) -> Result<Screened<String>, Stop> {
        let mut judge = self.judge();
        let changed = judge.text(text)?;
        Ok(Screened { changed, hits: judge.hits() })
    }

    fn judge(&self) -> Judge<'_> {
        Judge { rules: &self.rules, budget: self.cost.budget(), found: vec![None; self.rules.len()] }
    }
}

/// One look at one message.
pub(super) struct Judge<'r> {
    rules: &'r [Rule],
    budget: Budget,
    found: Vec<Option<Hit>>,
}

impl Judge<'_> {
    /// The text without what the rules take away; `None` when it stays.
    pub(super) fn text(&mut self, text: &str) -> Result<Option<String>, Stop> {
        let mut forms = Forms::of(text);
        let mut changed: Option<String> = None;
        for (rule, found) in self.rules.iter().zip(&mut self.found) {
            if rule.action == FilterAction::Warn && found.is_some() {
                continue;
            }
            let Some(matched_on) = forms.find(&rule.pattern, rule.decode, &mut self.budget)? else { continue };
            if rule.action == FilterAction::Block {
                return Err(Stop::Blocked(rule.hit(FilterAction::Block)));
            }
            if rule.action == FilterAction::Redact {
                changed = Some(match matched_on {
                    MatchedOn::Raw => redact(&rule.pattern, changed.as_deref().unwrap_or(text)),
                    // What was found is not there to be replaced: the whole goes.
                    MatchedOn::Decoded => REDACTED.to_owned(),
                });
            }
            found.get_or_insert_with(|| rule.hit(rule.action));
        }
        Ok(changed)
    }

    /// Takes decoded bytes of text out of the budget.
    pub(super) fn decoded(&mut self, bytes: usize) -> Result<(), Stop> {
        Ok(self.budget.decoded(bytes)?)
    }

    /// Text that is declared and cannot be read may hold anything: with a rule that protects, it is not passed on.
    pub(super) fn unreadable(&mut self) -> Result<(), Stop> {
        let protects = |rule: &&Rule| rule.action != FilterAction::Warn;
        self.rules.iter().find(protects).map_or(Ok(()), |rule| Err(Stop::Blocked(rule.hit(FilterAction::Block))))
    }

    /// A message that is no valid JSON after redaction, such as one with a name twice, is held back.
    pub(super) fn broken(&self) -> Stop {
        let redacts = |rule: &&Rule| rule.action == FilterAction::Redact;
        let hit = self.rules.iter().find(redacts).map(|rule| rule.hit(FilterAction::Block));
        hit.map_or(Stop::Crossed(Crossed::Bytes), Stop::Blocked)
    }

    fn hits(self) -> Vec<Hit> {
        self.found.into_iter().flatten().collect()
    }
}

fn redact(pattern: &Pattern, text: &str) -> String {
    let regex = pattern.regex();
    if regex.is_match(text) {
        return regex.replace_all(text, NoExpand(REDACTED)).into_owned();
    }
    // It matched before the line break at the end, or an earlier rule has taken it away already.
    match text.strip_suffix('\n') {
        Some(line) => format!("{}\n", regex.replace_all(line, NoExpand(REDACTED))),
        None => text.to_owned(),
    }
}
