//! Rules over what a caller sends.

use std::borrow::Cow;
use std::sync::Arc;

use bailiwick_mcp::{Json, TokenKind};
use bailiwick_model::manifest::{ArgumentFilter, FilterAction, Pattern};

use super::budget::{Budget, Crossed};
use super::forms::{Decode, Forms};
use super::{Cost, FIELD_BYTES_MAX, Hit, Stop, look};

/// Rules of one manifest, those that block first. Clones share them.
#[derive(Clone)]
pub(crate) struct Rules {
    rules: Arc<[Rule]>,
    cost: Cost,
}

struct Rule {
    name: Arc<str>,
    pattern: Pattern,
    /// `None` = every field.
    fields: Option<Vec<String>>,
    decode: Decode,
    blocks: bool,
}

/// One thing that the caller sent: its name, and its value.
pub(crate) type Sent = (Cow<'static, str>, Json);

impl Rules {
    pub(super) fn of(declared: &[ArgumentFilter], cost: Cost) -> Self {
        let rule = |filter: &ArgumentFilter| Rule {
            name: filter.name.as_str().into(),
            pattern: filter.pattern.clone(),
            fields: (!filter.fields.iter().any(|field| field == "*")).then(|| filter.fields.clone()),
            decode: Decode::of(&filter.decode),
            blocks: filter.action == FilterAction::Block,
        };
        let mut rules: Vec<Rule> = declared.iter().map(rule).collect();
        rules.sort_by_key(|rule| !rule.blocks);
        Self { rules: rules.into(), cost }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Looks at every string and number of `sent`, at names of members as well, however deep. Gives what the warning rules found, each
    /// rule once.
    ///
    /// # Errors
    /// [`Stop`] for the first match of a rule that blocks, and beyond the limits of cost.
    pub(crate) async fn screen(&self, sent: Vec<Sent>) -> Result<Vec<Hit>, Stop> {
        if self.is_empty() || sent.is_empty() {
            return Ok(Vec::new());
        }
        let bytes = sent.iter().map(|(_, value)| value.len()).sum();
        let rules = self.clone();
        look(bytes, move || rules.screen_now(&sent)).await.unwrap_or(Err(Stop::Crossed(Crossed::Time)))
    }

    /// The same on this thread, for small values.
    pub(crate) fn screen_now(&self, sent: &[Sent]) -> Result<Vec<Hit>, Stop> {
        let mut found: Vec<Option<Hit>> = vec![None; self.rules.len()];
        let mut budget = self.cost.budget();
        for (name, value) in sent {
            self.walk(name, value, &mut found, &mut budget)?;
        }
        Ok(found.into_iter().flatten().collect())
    }

    fn walk(&self, root: &str, value: &Json, found: &mut [Option<Hit>], budget: &mut Budget) -> Result<(), Stop> {
        let mut path = Path::new(root);
        for token in value.tokens() {
            match token.kind {
                TokenKind::Open => path.enter(),
                TokenKind::Close => path.leave(),
                TokenKind::Word => {}
                TokenKind::Name => {
                    let name = value.token_text(&token).unwrap_or_default();
                    path.name = None;
                    self.text(&name, &path, found, budget)?;
                    path.name = Some(name);
                }
                TokenKind::Text => self.text(&value.token_text(&token).unwrap_or_default(), &path, found, budget)?,
                TokenKind::Number => {
                    let spelling = value.bytes().get(token.place.clone()).and_then(|raw| std::str::from_utf8(raw).ok());
                    self.text(spelling.unwrap_or_default(), &path, found, budget)?;
                }
            }
        }
        Ok(())
    }

    fn text(&self, text: &str, path: &Path<'_>, found: &mut [Option<Hit>], budget: &mut Budget) -> Result<(), Stop> {
        let mut forms = Forms::of(text);
        for (rule, found) in self.rules.iter().zip(found) {
            if found.is_some() || rule.fields.as_ref().is_some_and(|fields| !path.is_below(fields)) {
                continue;
            }
            let Some(matched_on) = forms.find(&rule.pattern, rule.decode, budget)? else { continue };
            let event = if rule.blocks { "argument_filter_blocked" } else { "argument_filter_warning" };
            let hit = Hit { event, filter: rule.name.clone(), field: Some(path.field()), matched_on: Some(matched_on) };
            if rule.blocks {
                return Err(Stop::Blocked(hit));
            }
            *found = Some(hit);
        }
        Ok(())
    }
}

/// The names on the way to a value.
struct Path<'a> {
    /// What the whole is called; arguments have no name of their own.
    root: &'a str,
    around: Vec<Option<Cow<'a, str>>>,
    name: Option<Cow<'a, str>>,
}

impl<'a> Path<'a> {
    fn new(root: &'a str) -> Self {
        Self { root, around: Vec::new(), name: None }
    }

    fn enter(&mut self) {
        self.around.push(self.name.take());
    }

    fn leave(&mut self) {
        self.around.pop();
        self.name = None;
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let root = Some(self.root).filter(|root| !root.is_empty());
        root.into_iter().chain(self.around.iter().flatten().chain(&self.name).map(AsRef::as_ref))
    }

    fn is_below(&self, fields: &[String]) -> bool {
        self.names().any(|name| fields.iter().any(|field| field == name))
    }

    /// The outermost name: names further in may be values.
    fn field(&self) -> Box<str> {
        let name = self.names().next().unwrap_or("*");
        name[..name.floor_char_boundary(FIELD_BYTES_MAX)].into()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bailiwick_mcp::Limits;
    use bailiwick_model::manifest::Decoding;

    use super::super::forms::MatchedOn;
    use super::*;

    fn filter(name: &str, pattern: &str, fields: &[&str], action: FilterAction) -> ArgumentFilter {
        ArgumentFilter {
            name: name.into(),
            pattern: Pattern::parse(pattern, false).unwrap(),
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
            action,
            decode: vec![Decoding::Base64, Decoding::Url],
        }
    }

    fn rules(filters: &[ArgumentFilter]) -> Rules {
        Rules::of(filters, Cost { decoded_bytes_max: 1 << 20, time: Duration::from_secs(60) })
    }

    fn screen(rules: &Rules, arguments: &str) -> Result<Vec<Hit>, Stop> {
        let json = Json::check(arguments.to_owned().into(), &Limits::REQUEST).unwrap();
        rules.screen_now(&[(Cow::Borrowed(""), json)])
    }

    fn blocked(rules: &Rules, arguments: &str) -> Option<(String, String, MatchedOn)> {
        match screen(rules, arguments) {
            Err(Stop::Blocked(hit)) => Some((hit.filter.to_string(), hit.field.unwrap().into(), hit.matched_on.unwrap())),
            Err(Stop::Crossed(crossed)) => panic!("{crossed:?}"),
            Ok(_) => None,
        }
    }

    #[test]
    fn values_are_found_wherever_they_stand() {
        let everywhere = rules(&[filter("f", "hunter2|4111", &["*"], FilterAction::Block)]);
        let in_path = rules(&[filter("f", "hunter2|4111", &["path"], FilterAction::Block)]);
        for (arguments, field, named) in [
            (r#"{"path":"hunter2"}"#, Some("path"), true),
            (r#"{"a":"x","path":"xhunter2x"}"#, Some("path"), true),
            (r#"{"a":"\u0068unter2"}"#, Some("a"), false),
            (r#"{"a":{"b":[1,{"c":["hunter2"]}]}}"#, Some("a"), false),
            (r#"{"a":{"path":{"c":["hunter2"]}}}"#, Some("a"), true),
            (r#"{"a":[{"path":1},"hunter2"]}"#, Some("a"), false),
            (r#"{"a":{"hunter2":1}}"#, Some("a"), false),
            (r#"{"path":{"hunter2":1}}"#, Some("path"), true),
            (r#"{"hunter2":1}"#, Some("*"), false),
            (r#"{"path":1,"a":4111}"#, Some("a"), false),
            (r#"{"path":[4111]}"#, Some("path"), true),
            (r#"{"path":true,"b":null,"c":411,"d":"Hunter2"}"#, None, false),
            ("{}", None, false),
        ] {
            assert_eq!(blocked(&everywhere, arguments).map(|hit| hit.1).as_deref(), field, "{arguments}");
            assert_eq!(blocked(&in_path, arguments).is_some(), named, "{arguments}");
        }
        let encoded = blocked(&everywhere, r#"{"a":{"b":"aHVudGVyMg=="}}"#).unwrap();
        assert_eq!(encoded, ("f".into(), "a".into(), MatchedOn::Decoded));
        let long = blocked(&everywhere, &format!(r#"{{"{}":"hunter2"}}"#, "ä".repeat(100))).unwrap();
        assert_eq!(long.1, "ä".repeat(32));
    }

    #[test]
    fn a_rule_that_blocks_comes_before_those_that_warn() {
        let both = [filter("w", "a", &["*"], FilterAction::Warn), filter("b", "b", &["*"], FilterAction::Block)];
        let rules = rules(&[filter("w2", "a", &["y"], FilterAction::Warn), both[0].clone(), both[1].clone()]);
        assert_eq!(blocked(&rules, r#"{"x":"a","y":"b"}"#).unwrap().0, "b");
        let warned = screen(&rules, r#"{"x":"a","y":["a","a"]}"#).unwrap();
        let names: Vec<_> = warned.iter().map(|hit| (&*hit.filter, hit.field.as_deref().unwrap(), hit.event)).collect();
        assert_eq!(names, [("w2", "y", "argument_filter_warning"), ("w", "x", "argument_filter_warning")]);
    }

    #[test]
    fn beyond_the_limits_nothing_passes() {
        let filters = [filter("f", "hunter2", &["*"], FilterAction::Warn)];
        let few = Rules::of(&filters, Cost { decoded_bytes_max: 8, time: Duration::from_secs(60) });
        assert!(matches!(screen(&few, r#"{"a":"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="}"#), Err(Stop::Crossed(Crossed::Bytes))));
        let quick = Rules::of(&filters, Cost { decoded_bytes_max: 1 << 20, time: Duration::ZERO });
        assert!(matches!(screen(&quick, &format!(r#"{{"a":"{}"}}"#, " ".repeat(200_000))), Err(Stop::Crossed(Crossed::Time))));
    }
}
