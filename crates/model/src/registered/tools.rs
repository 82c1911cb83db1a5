//! Which tools of a server are exposed (reference, governance 5.6).

use std::collections::BTreeMap;

use crate::id::InvalidId;

/// Tools that one map names at most.
pub const ALLOWED_TOOLS_MAX: usize = 4_000;
/// Longest name of a server's tool.
pub const TOOL_NAME_CHARS_MAX: usize = 128;

/// Whether a text may name a server's tool: 1 to 128 characters, none of them a control character.
#[must_use]
pub fn is_tool_name(name: &str) -> bool {
    !name.is_empty() && name.chars().count() <= TOOL_NAME_CHARS_MAX && !name.chars().any(char::is_control)
}

/// Tool by tool, whether it is exposed. What is not named is not; an empty map exposes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedTools(BTreeMap<String, bool>);

impl AllowedTools {
    /// Checks names and their number.
    ///
    /// # Errors
    /// [`InvalidId`] for more than [`ALLOWED_TOOLS_MAX`] or a name that no tool has.
    pub fn new(tools: BTreeMap<String, bool>) -> Result<Self, InvalidId> {
        if tools.len() > ALLOWED_TOOLS_MAX {
            return Err(InvalidId::new("list of allowed tools", "at most 4000 tools"));
        }
        if !tools.keys().all(|name| is_tool_name(name)) {
            return Err(InvalidId::new("list of allowed tools", "a tool's name has 1 to 128 characters, no control characters"));
        }
        Ok(Self(tools))
    }

    /// Whether this tool is exposed.
    #[must_use]
    pub fn allows(&self, tool: &str) -> bool {
        self.0.get(tool).copied().unwrap_or(false)
    }

    /// Whether this tool is named.
    #[must_use]
    pub fn names(&self, tool: &str) -> bool {
        self.0.contains_key(tool)
    }

    /// Names a tool that was not named before. A full map, or a name that no tool has, stays as it is: what is not named is not exposed.
    pub fn add(&mut self, tool: &str, allowed: bool) -> bool {
        let fits = self.0.len() < ALLOWED_TOOLS_MAX && is_tool_name(tool) && !self.names(tool);
        if fits {
            self.0.insert(tool.to_owned(), allowed);
        }
        fits
    }

    /// The map.
    #[must_use]
    pub const fn as_map(&self) -> &BTreeMap<String, bool> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_is_not_exposed() {
        let mut tools = AllowedTools::new(BTreeMap::from([("a".to_owned(), true), ("b".to_owned(), false)])).unwrap();
        assert!(tools.allows("a") && !tools.allows("b") && !tools.allows("c") && tools.names("b") && !tools.names("c"));
        assert!(!tools.add("b", true) && !tools.allows("b"), "a blocked tool stays blocked");
        assert!(tools.add("c", true) && tools.allows("c") && !tools.add("\n", true));
    }

    #[test]
    fn the_map_has_limits() {
        let map = |count: usize| AllowedTools::new((0..count).map(|n| (n.to_string(), true)).collect());
        assert!(map(ALLOWED_TOOLS_MAX + 1).is_err());
        let mut full = map(ALLOWED_TOOLS_MAX).unwrap();
        assert!(!full.add("more", true) && !full.allows("more"));
        for name in ["", "a\nb", &"x".repeat(TOOL_NAME_CHARS_MAX + 1)] {
            assert!(AllowedTools::new(BTreeMap::from([(name.to_owned(), true)])).is_err(), "{name:?}");
        }
        assert!(is_tool_name(&"é".repeat(TOOL_NAME_CHARS_MAX)) && is_tool_name("repo.list/all"));
    }
}
