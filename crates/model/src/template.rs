//! Text with `{agent_id}` and `{agent_type}` in it (reference, tool modules section 2).

use std::fmt;

use crate::id::{AgentId, AgentType};

/// Why a text is not a template; names the rule, never the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateFault {
    /// `{` without `}`, or `}` without `{`.
    StrayBrace,
    /// Something else between the braces: another name, an attribute, an index, a format.
    UnknownField,
}

impl fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StrayBrace => "a brace stands alone; write `{{` or `}}` for the brace itself",
            Self::UnknownField => "only `{agent_id}` and `{agent_type}` are replaced",
        })
    }
}

impl std::error::Error for TemplateFault {}

/// Whether `text` is a template.
///
/// # Errors
/// [`TemplateFault`] with the first rule that is broken.
pub fn check(text: &str) -> Result<(), TemplateFault> {
    expand(text, "", "").map(drop)
}

/// Whether `field` (`{agent_id}`, `{agent_type}`) is replaced in the template `text`: `{{agent_id}}` only shows it.
#[must_use]
pub fn replaces(text: &str, field: &str) -> bool {
    text.replace("{{", "").contains(field)
}

/// `text` with its fields replaced and `{{`, `}}` as braces. The values are put in literally and not looked at again.
///
/// # Errors
/// [`TemplateFault`] with the first rule that is broken.
pub fn render(text: &str, agent_id: &AgentId, agent_type: &AgentType) -> Result<String, TemplateFault> {
    expand(text, agent_id.as_str(), agent_type.as_str())
}

fn expand(text: &str, agent_id: &str, agent_type: &str) -> Result<String, TemplateFault> {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let tail = &rest[at..];
        rest = if let Some(after) = tail.strip_prefix("{{") {
            out.push('{');
            after
        } else if let Some(after) = tail.strip_prefix("}}") {
            out.push('}');
            after
        } else if let Some(after) = tail.strip_prefix("{agent_id}") {
            out.push_str(agent_id);
            after
        } else if let Some(after) = tail.strip_prefix("{agent_type}") {
            out.push_str(agent_type);
            after
        } else if tail.starts_with('{') && tail.contains('}') {
            return Err(TemplateFault::UnknownField);
        } else {
            return Err(TemplateFault::StrayBrace);
        };
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_two_fields() {
        let (id, kind) = (AgentId::parse("build-01").unwrap(), AgentType::parse("build").unwrap());
        let render = |text| render(text, &id, &kind);
        assert_eq!(render("agents/{agent_id}").as_deref(), Ok("agents/build-01"));
        assert_eq!(render("{agent_type}-{agent_id}-{agent_id}").as_deref(), Ok("build-build-01-build-01"));
        assert_eq!(render("{{agent_id}}").as_deref(), Ok("{agent_id}"));
        assert_eq!(render("{{{agent_id}}}").as_deref(), Ok("{build-01}"));
        assert_eq!(render("plain").as_deref(), Ok("plain"));
        for text in
            ["{agent_id.__class__}", "{agent_id[0]}", "{agent_id!r}", "{agent_id:>10}", "{ agent_id }", "{}", "{0}", "{org}", "{{{x}}}"]
        {
            assert_eq!(check(text), Err(TemplateFault::UnknownField), "{text}");
        }
        for (text, replaced) in [
            ("x/{agent_id}", true),
            ("{{{agent_id}}}", true),
            ("{{agent_id}}", false),
            ("{{{{agent_id}}}}", false),
            ("{agent_type}", false),
        ] {
            assert_eq!((check(text), replaces(text, "{agent_id}")), (Ok(()), replaced), "{text}");
        }
        for text in ["{", "}", "a}b", "{agent_id", "{agent_id}}", "{{agent_id}"] {
            assert_eq!(check(text), Err(TemplateFault::StrayBrace), "{text}");
        }
    }
}
