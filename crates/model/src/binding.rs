//! What an argument of an upstream tool may be for one agent: the rules of a manifest, and whether a value keeps them.
//!
//! Pure, like [`crate::policy`]. A rule never guesses: a value of another kind than the rule speaks about is outside of it.

mod path;
mod way;

use serde_json::Value;

use crate::glob::{GLOB_BYTES_MAX, Glob};
use crate::id::{AgentId, AgentType};
use crate::template;
pub use path::{PathFault, below};
pub use way::{WAY_STEPS_MAX, Way};

/// Longest text in a rule.
pub const TEXT_BYTES_MAX: usize = 1024;
/// Elements of a list that are looked at; a longer one is refused.
pub const ELEMENTS_MAX: usize = 1_000;

/// What a manifest says about one argument. Texts are templates.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// Always sent; not the caller's to give.
    Fixed(Value),
    /// Never sent; not the caller's to give.
    Hidden,
    /// The caller's to give.
    Open {
        /// What is let through.
        limit: Limit,
        /// What is sent when the caller gives nothing. Without it an argument with a limit has to be given.
        default: Option<Value>,
    },
}

/// Which values are let through.
#[derive(Clone, Debug, PartialEq)]
pub enum Limit {
    /// Any.
    None,
    /// Texts that lie below this prefix; see [`below`].
    Prefix(String),
    /// Values that one of these fits; there is at least one.
    Allow(Vec<Pattern>),
}

/// One entry of an allow list.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// This text, number or boolean.
    Exactly(Value),
    /// Texts like this glob ([`Glob::matches_path`]) in which no path hides ([`path::plain`](PathFault)).
    Like(String),
}

/// Why a value is outside of a rule; says nothing of the value itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outside {
    /// Neither a text nor a list of texts, or for an allow list: an object or a list in a list.
    Kind,
    /// An empty list: many servers take it for everything.
    EmptyList,
    /// A list that is too long to be looked at.
    LongList,
    /// The text does not begin with the prefix.
    Prefix,
    /// Nothing on the allow list fits.
    NotAllowed,
    /// It fits by its letters, and something in it may lead elsewhere.
    Path(PathFault),
}

impl Rule {
    /// The rule for one agent.
    ///
    /// # Errors
    /// A text is no template, or no glob any more with the agent's name in it; never for rules of a manifest that was accepted, but for
    /// globs that grow too long.
    pub fn for_agent(&self, id: &AgentId, kind: &AgentType) -> Result<Self, &'static str> {
        let text = |text: &str| template::render(text, id, kind).map_err(|_| "a text is not a template");
        let value = |value: &Value| match value {
            Value::String(own) => text(own).map(Value::String),
            other => Ok(other.clone()),
        };
        Ok(match self {
            Self::Fixed(fixed) => Self::Fixed(value(fixed)?),
            Self::Hidden => Self::Hidden,
            Self::Open { limit, default } => {
                let limit = match limit {
                    Limit::None => Limit::None,
                    Limit::Prefix(prefix) => Limit::Prefix(text(prefix)?),
                    Limit::Allow(patterns) => Limit::Allow(
                        patterns
                            .iter()
                            .map(|pattern| match pattern {
                                Pattern::Exactly(exact) => value(exact).map(Pattern::Exactly),
                                Pattern::Like(glob) => {
                                    let glob = text(glob)?;
                                    Glob::parse(&glob).map_err(|_| "a glob is too long with the agent's name in it")?;
                                    Ok(Pattern::Like(glob))
                                }
                            })
                            .collect::<Result<_, _>>()?,
                    ),
                };
                Self::Open { limit, default: default.as_ref().map(value).transpose()? }
            }
        })
    }
}

impl Limit {
    /// Whether `value` is inside. Of a list each element must be, and there must be one.
    ///
    /// # Errors
    /// [`Outside`] with the first rule that is broken.
    pub fn admits(&self, value: &Value) -> Result<(), Outside> {
        match (self, value) {
            (Self::None, _) => Ok(()),
            (_, Value::Array(elements)) if elements.is_empty() => Err(Outside::EmptyList),
            (_, Value::Array(elements)) if elements.len() > ELEMENTS_MAX => Err(Outside::LongList),
            (_, Value::Array(elements)) => elements.iter().try_for_each(|element| self.admits_one(element)),
            (_, one) => self.admits_one(one),
        }
    }

    fn admits_one(&self, value: &Value) -> Result<(), Outside> {
        match (self, value) {
            (Self::None, _) => Ok(()),
            (_, Value::Null | Value::Array(_) | Value::Object(_)) => Err(Outside::Kind),
            (Self::Prefix(prefix), Value::String(text)) => {
                if !text.starts_with(prefix.as_str()) {
                    return Err(Outside::Prefix);
                }
                below(prefix, text).map_err(Outside::Path)
            }
            (Self::Prefix(_), _) => Err(Outside::Kind),
            (Self::Allow(patterns), value) => {
                let mut outside = Outside::NotAllowed;
                for pattern in patterns {
                    match pattern.fits(value) {
                        Ok(true) => return Ok(()),
                        Ok(false) => {}
                        Err(fault) => outside = Outside::Path(fault),
                    }
                }
                Err(outside)
            }
        }
    }

    /// Whether a default could be inside for every agent: tried with two of them.
    #[must_use]
    pub fn may_admit(&self, default: &Value) -> bool {
        let rule = Rule::Open { limit: self.clone(), default: Some(default.clone()) };
        [("a", "b"), ("c-1", "d_2")].into_iter().all(|(id, kind)| {
            let (Ok(id), Ok(kind)) = (AgentId::parse(id), AgentType::parse(kind)) else { return false };
            match rule.for_agent(&id, &kind) {
                Ok(Rule::Open { limit, default: Some(default) }) => limit.admits(&default).is_ok(),
                _ => false,
            }
        })
    }
}

impl Pattern {
    fn fits(&self, value: &Value) -> Result<bool, PathFault> {
        match (self, value) {
            (Self::Exactly(own), value) => Ok(own == value),
            (Self::Like(glob), Value::String(text)) => {
                // Only a few globs are as long as this; a text that is far longer costs more than it is worth.
                let fits = text.len() <= TEXT_BYTES_MAX.max(GLOB_BYTES_MAX) && Glob::parse(glob).is_ok_and(|glob| glob.matches_path(text));
                if fits { below("", text).map(|()| true) } else { Ok(false) }
            }
            (Self::Like(_), _) => Ok(false),
        }
    }
}

/// Whether a text of an allow list is a glob, not just itself.
#[must_use]
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

const FIELDS: [&str; 2] = ["{agent_id}", "{agent_type}"];

/// Whether a prefix, or a glob, means different texts for agents with different names. Where anything may follow or precede the name, a
/// character must stand between that no name has: else `a` with `-b` behind it is `a-b`.
#[must_use]
pub fn keeps_agents_apart(template: &str) -> bool {
    let is_glob = is_pattern(template);
    let parts = |field: &str| template.match_indices(field).map(|(at, _)| (at, at + field.len())).collect::<Vec<_>>();
    let fences = |text: &str| text.contains(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || "-_{}".contains(c)));
    FIELDS.into_iter().flat_map(parts).all(|(from, to)| {
        let (before, after) = (&template[..from], &template[to..]);
        // What follows up to where anything may stand. A prefix ends there; a glob may go on to its end.
        let open_after = if is_glob { after.find(['*', '?']) } else { Some(after.len()) };
        let open_before = before.rfind(['*', '?']).map(|at| at + 1);
        open_after.is_none_or(|at| fences(&after[..at])) && open_before.is_none_or(|at| fences(&before[at..]))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn agents_are_kept_apart() {
        for good in [
            "agents/{agent_id}/",
            "{agent_id}:",
            "a-{agent_id}-x/",
            "{agent_type}/{agent_id}/",
            "plain",
            "team/{agent_id}/*",
            "x*/{agent_id}",
        ] {
            assert!(keeps_agents_apart(good), "{good}");
        }
        for bad in [
            "agents/{agent_id}",
            "agents/{agent_id}-",
            "{agent_type}_",
            "{agent_id}*",
            "{agent_id}-*",
            "*{agent_id}",
            "*-{agent_id}/x",
            "{agent_id}?",
        ] {
            assert!(!keeps_agents_apart(bad), "{bad}");
        }
    }

    #[test]
    fn a_rule_is_of_one_agent() {
        let (id, kind) = (AgentId::parse("build-01").unwrap(), AgentType::parse("build").unwrap());
        let rule = Rule::Open {
            limit: Limit::Allow(vec![Pattern::Like("team-*".into()), Pattern::Exactly(json!("{agent_type}")), Pattern::Exactly(json!(7))]),
            default: Some(json!("{agent_type}")),
        };
        let Ok(Rule::Open { limit, default }) = rule.for_agent(&id, &kind) else { panic!("no rule") };
        assert_eq!(default, Some(json!("build")));
        for good in [json!("build"), json!("team-x"), json!(7), json!(["build", "team-y"])] {
            assert_eq!(limit.admits(&good), Ok(()), "{good}");
        }
        for (bad, why) in [
            (json!("other"), Outside::NotAllowed),
            (json!(8), Outside::NotAllowed),
            (json!(7.0), Outside::NotAllowed),
            (json!(true), Outside::NotAllowed),
            (json!(null), Outside::Kind),
            (json!({}), Outside::Kind),
            (json!([]), Outside::EmptyList),
            (json!([["build"]]), Outside::Kind),
            (json!(["build", "other"]), Outside::NotAllowed),
            (json!(vec!["build"; ELEMENTS_MAX + 1]), Outside::LongList),
            (json!("team-x/../y"), Outside::NotAllowed),
            (json!("team-%2e"), Outside::Path(PathFault::Encoded)),
        ] {
            assert_eq!(limit.admits(&bad), Err(why), "{bad}");
        }
    }
}
