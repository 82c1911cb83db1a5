//! References to tools in a text: `<tool:NAME>` (reference 2.5).

/// References that one text is searched for.
pub const TOOL_REFERENCES_MAX: usize = 500;
/// Longest name of a tool in the protocol.
const NAME_CHARS_MAX: usize = 128;
const OPENING: &str = "<tool:";

/// What a text refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolReferences {
    /// Names in the order of their first occurrence, each once, at most [`TOOL_REFERENCES_MAX`]. They need not be names that a tool can
    /// have: a reference with a typing mistake is one that leads nowhere.
    pub names: Vec<String>,
    /// Whether there are more than that.
    pub cut: bool,
}

/// The tools that `body` refers to: texts of 1 to 128 characters other than white space, `<` and `>` between `<tool:` and `>`.
#[must_use]
pub fn tool_references(body: &str) -> ToolReferences {
    let mut found = ToolReferences::default();
    let mut seen = std::collections::HashSet::new();
    for (at, _) in body.match_indices(OPENING) {
        let rest = &body[at + OPENING.len()..];
        let Some(name) = name(rest).filter(|name| seen.insert(*name)) else { continue };
        if found.names.len() == TOOL_REFERENCES_MAX {
            found.cut = true;
            break;
        }
        found.names.push(name.to_owned());
    }
    found
}

fn name(rest: &str) -> Option<&str> {
    let mut characters = rest.char_indices().take(NAME_CHARS_MAX + 1);
    let (end, last) = characters.find(|(_, c)| c.is_whitespace() || matches!(c, '<' | '>'))?;
    (last == '>' && end > 0).then(|| &rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_once_and_bounded() {
        let text = "Call <tool:files_read>, then <tool:a b>, <tool:>, <tool:<tool:x.y> and <tool:files_read>; <Tool:no> <tool:end";
        assert_eq!(tool_references(text), ToolReferences { names: vec!["files_read".into(), "x.y".into()], cut: false });
        let long = |chars: usize| format!("<tool:{}>", "x".repeat(chars));
        assert_eq!(tool_references(&long(128)).names.len(), 1);
        assert!(tool_references(&long(129)).names.is_empty());
        let many: String = (0..=TOOL_REFERENCES_MAX).map(|n| format!("<tool:t{n}>")).collect();
        let found = tool_references(&many);
        assert!(found.cut && found.names.len() == TOOL_REFERENCES_MAX);
    }
}
