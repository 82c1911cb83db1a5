//! From the text an agent gives to a name beneath its root. Pure: nothing here touches the disk.
//!
//! Names are literal: no URL decoding, no `~`, no variables, no patterns, no Unicode normalisation. The kernel refuses
//! escapes again when the name is opened (`root.rs`); this check is the first wall and keeps hostile text from the disk.

use bailiwick_model::Code;

use crate::fault::ToolFault;

/// Longest path.
pub(crate) const PATH_BYTES_MAX: usize = 4096;
/// Longest name between two slashes.
pub(crate) const NAME_BYTES_MAX: usize = 255;
/// Most names in a path.
pub(crate) const DEPTH_MAX: usize = 128;

/// A name beneath the agent's root, without `.`, `..`, empty components or a leading slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentPath {
    given: String,
    inner: String,
}

impl AgentPath {
    /// Reads `given`, relative to the root or absolute beneath one of `roots` (absolute, without trailing slash).
    ///
    /// # Errors
    /// `invalid_argument` for control characters and lengths, `limit_exceeded` for depth, `path_refused` for everything
    /// that leaves the root: the same answer whether or not something exists there.
    pub(crate) fn parse(given: String, roots: &[String]) -> Result<Self, ToolFault> {
        if given.len() > PATH_BYTES_MAX {
            return Err(ToolFault::invalid(format!("the path is longer than {PATH_BYTES_MAX} bytes"), "use a shorter path"));
        }
        if given.chars().any(char::is_control) {
            return Err(ToolFault::invalid("the path contains a control character", "use printable characters only"));
        }
        let relative = match given.starts_with('/') {
            false => given.as_str(),
            true => roots.iter().find_map(|root| beneath(&given, root)).ok_or_else(outside)?,
        };
        let inner = normalise(relative)?;
        Ok(Self { given, inner })
    }

    /// Like [`Self::parse`] for tools that need the name of something in the root; `remedy` says of what.
    ///
    /// # Errors
    /// As above; `invalid_argument` for the empty path.
    pub(crate) fn named(given: String, roots: &[String], remedy: &str) -> Result<Self, ToolFault> {
        if given.is_empty() {
            return Err(ToolFault::invalid("the path is empty", remedy));
        }
        Self::parse(given, roots)
    }

    /// The path as the agent wrote it; the only form that stands in messages.
    pub(crate) fn given(&self) -> &str {
        &self.given
    }

    /// The normalised name; empty for the root itself.
    pub(crate) fn inner(&self) -> &str {
        &self.inner
    }

    /// Directory part and last name; `None` for the root.
    pub(crate) fn split(&self) -> Option<(&str, &str)> {
        if self.inner.is_empty() {
            return None;
        }
        Some(self.inner.rsplit_once('/').unwrap_or(("", &self.inner)))
    }
}

/// What an agent is told about everything outside, existing or not.
pub(crate) fn outside() -> ToolFault {
    ToolFault::new(
        Code::PathRefused,
        "path is outside the agent's directory",
        "use a path relative to your own directory, without leaving it",
    )
}

/// The part of `path` after `root`, component by component. `..` in front of the root's end does not match.
fn beneath<'a>(path: &'a str, root: &str) -> Option<&'a str> {
    let mut rest = path;
    for wanted in root.split('/').filter(|name| !name.is_empty()) {
        rest = rest.trim_start_matches('/');
        let end = rest.find('/').unwrap_or(rest.len());
        if &rest[..end] != wanted {
            return None;
        }
        rest = &rest[end..];
    }
    Some(rest)
}

fn normalise(relative: &str) -> Result<String, ToolFault> {
    let mut names: Vec<&str> = Vec::new();
    for name in relative.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop().ok_or_else(outside)?;
            }
            _ if name.len() > NAME_BYTES_MAX => {
                let message = format!("a name in the path is longer than {NAME_BYTES_MAX} bytes");
                return Err(ToolFault::invalid(message, "use shorter names"));
            }
            _ => names.push(name),
        }
    }
    if names.len() > DEPTH_MAX {
        let message = format!("the path is deeper than {DEPTH_MAX} directories");
        return Err(ToolFault::limit("depth", DEPTH_MAX as u64, message, "use a flatter layout"));
    }
    Ok(names.join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOT: &str = "/srv/agents/a1";

    fn parse(text: &str) -> Result<String, Code> {
        AgentPath::parse(text.to_owned(), &[ROOT.to_owned()]).map(|p| p.inner).map_err(|f| f.code)
    }

    #[test]
    fn normalises_beneath_the_root() {
        for (given, inner) in [
            ("", ""),
            (".", ""),
            ("./a//b/.", "a/b"),
            ("a/../b", "b"),
            ("a/..", ""),
            ("...", "..."),
            ("~/x", "~/x"),
            ("%2e%2e/x", "%2e%2e/x"),
            ("a\\..\\..\\b", "a\\..\\..\\b"),
            ("/srv/agents/a1", ""),
            ("//srv/agents//a1/x/", "x"),
        ] {
            assert_eq!(parse(given).as_deref(), Ok(inner), "{given}");
        }
    }

    #[test]
    fn refuses_what_climbs_out() {
        for given in [
            "..",
            "../x",
            "a/../../x",
            "n1/../../victim/f",
            "a/./.././../x",
            "/",
            "/etc/passwd",
            "/srv/agents",
            "/srv/agents/a10/x",
            "/srv/agents/a1/../a2/x",
            "/srv/agents/a1/../a1/x",
            "/srv/../srv/agents/a1/x",
            "/proc/self/root/etc/passwd",
        ] {
            assert_eq!(parse(given), Err(Code::PathRefused), "{given}");
        }
        for given in ["a\0b", "a\nb", "\u{7f}", "a\u{85}", &"a".repeat(256), &"a/".repeat(2049)] {
            assert_eq!(parse(given), Err(Code::InvalidArgument), "{given}");
        }
        assert_eq!(parse(&"a/".repeat(129)), Err(Code::LimitExceeded));
    }

    proptest! {
        #[test]
        fn what_passes_has_only_plain_names(given in "(/srv/agents/a1)?([./a~]|\\.\\./){0,40}") {
            if let Ok(inner) = parse(&given) {
                prop_assert!(inner.is_empty() || inner.split('/').all(|n| !n.is_empty() && n != "." && n != ".."));
            }
        }
    }
}
