//! Globs over tool names and over paths of services.

use std::fmt;

/// Longest glob in bytes.
pub const GLOB_BYTES_MAX: usize = 256;

/// `*` stands for any run of characters, `?` for one; everything else for itself. Matches whole names, letter case counts.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Glob(Box<str>);

impl Glob {
    /// Takes a glob.
    ///
    /// # Errors
    /// The rule that is broken: empty, too long, or a character no tool name and no glob has.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("a glob must not be empty");
        }
        if text.len() > GLOB_BYTES_MAX {
            return Err("a glob has at most 256 characters");
        }
        if text.bytes().any(|b| !b.is_ascii_graphic()) {
            return Err("a glob has only visible ASCII characters");
        }
        Ok(Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `name` matches. At most `glob length * name length` steps; no recursion.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (glob, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut g, mut n) = (0, 0);
        // Where to go on when the text after the last `*` does not fit: that star takes one byte more.
        let mut retry: Option<(usize, usize)> = None;
        while n < name.len() {
            match glob.get(g) {
                Some(b'*') => {
                    retry = Some((g + 1, n));
                    g += 1;
                }
                Some(b'?') => {
                    g += 1;
                    n += 1;
                    // One character, not one byte.
                    while name.get(n).is_some_and(|b| b & 0xC0 == 0x80) {
                        n += 1;
                    }
                }
                Some(b) if *b == name[n] => {
                    g += 1;
                    n += 1;
                }
                _ => match retry {
                    Some((after_star, taken)) => {
                        g = after_star;
                        n = taken + 1;
                        retry = Some((after_star, taken + 1));
                    }
                    None => return false,
                },
            }
        }
        glob[g..].iter().all(|b| *b == b'*')
    }

    /// Whether the whole of `path` matches when `*` and `?` stay between two slashes; `**` stands for any run, slashes included.
    /// At most `glob length * path length` steps.
    #[must_use]
    pub fn matches_path(&self, path: &str) -> bool {
        let path: Vec<char> = path.chars().collect();
        let glob = self.0.as_bytes();
        // `fits[n]`: the glob read so far matches the first `n` characters.
        let mut fits = vec![false; path.len() + 1];
        fits[0] = true;
        let mut at = 0;
        while at < glob.len() {
            let wide = glob[at..].starts_with(b"**");
            let mut next = vec![false; path.len() + 1];
            if glob[at] == b'*' {
                next[0] = fits[0];
                for (n, c) in path.iter().enumerate() {
                    next[n + 1] = fits[n + 1] || (next[n] && (wide || *c != '/'));
                }
            } else {
                for (n, c) in path.iter().enumerate() {
                    next[n + 1] = fits[n] && (*c == char::from(glob[at]) || (glob[at] == b'?' && *c != '/'));
                }
            }
            fits = next;
            at += if wide { 2 } else { 1 };
        }
        fits[path.len()]
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Glob({})", self.0)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(glob: &str, name: &str) -> bool {
        Glob::parse(glob).unwrap().matches(name)
    }

    #[test]
    fn whole_names_only() {
        assert!(matches("docs_read_file", "docs_read_file"));
        assert!(!matches("docs_read", "docs_read_file"));
        assert!(!matches("read_file", "docs_read_file"));
        assert!(!matches("Docs_read_file", "docs_read_file"));
    }

    #[test]
    fn star_and_question_mark() {
        assert!(matches("*", ""));
        assert!(matches("*", "anything"));
        assert!(matches("docs_*", "docs_"));
        assert!(matches("*_file", "docs_read_file"));
        assert!(matches("*read*file*", "docs_read_a_file"));
        assert!(!matches("*read*file", "docs_read_files"));
        assert!(matches("ab*abc", "ababcabc"));
        assert!(matches("a?c", "abc"));
        assert!(!matches("a?c", "ac"));
        assert!(matches("a?c", "a\u{e4}c"));
        assert!(!matches("?", ""));
        // `[` is an ordinary character here.
        assert!(!matches("[ab]", "a"));
    }

    #[test]
    fn in_a_path_a_star_stays_between_slashes() {
        let matches = |glob: &str, path: &str| Glob::parse(glob).unwrap().matches_path(path);
        for (glob, path) in [
            ("/", "/"),
            ("/users/*", "/users/1"),
            ("/users/*", "/users/"),
            ("/users/*/posts", "/users/1/posts"),
            ("/users/?", "/users/\u{e4}"),
            ("/**", "/"),
            ("/**", "/a/b/c"),
            ("/a/**", "/a/b/c"),
            ("/a/**/z", "/a/b/c/z"),
            ("/a***z", "/a/b/z"),
            ("/*.json", "/x.json"),
        ] {
            assert!(matches(glob, path), "{glob} {path}");
        }
        for (glob, path) in [
            ("*", "/a"),
            ("/*", "/a/b"),
            ("/users/*", "/users"),
            ("/users/*", "/users/1/posts"),
            ("/users/?", "/users//"),
            ("/users?x", "/users/x"),
            ("/a/**", "/a"),
            ("/a/**/z", "/a/z"),
            ("/a/*", "/A/b"),
            ("/[ab]", "/a"),
        ] {
            assert!(!matches(glob, path), "{glob} {path}");
        }
        assert!(!matches(&format!("/{}b", "**a".repeat(80)), &format!("/{}", "a".repeat(4_000))));
    }

    #[test]
    fn hostile_globs_end() {
        let glob = "*a".repeat(128);
        assert!(!matches(&glob, &"a".repeat(127)));
        assert!(!matches(&glob, &format!("{}b", "a".repeat(4_000))));
        assert!(Glob::parse(&"a".repeat(257)).is_err());
        assert!(Glob::parse("").is_err());
        assert!(Glob::parse("a b").is_err());
    }
}
