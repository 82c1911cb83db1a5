//! Texts that may be paths at a server that we do not know: what could lead out from below a prefix.
//!
//! A server may decode, normalise and resolve what it gets, once or several times, in its own order. So nothing is decoded here: whatever
//! any of them could take for a step, a separator or an end of the text is refused, and what is left is the same under all of them.

use std::fmt;

/// What in a text may lead elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathFault {
    /// A segment `.` or `..`, also with blanks, more dots, or a `;` behind it.
    Dots,
    /// Two slashes in a row.
    EmptySegment,
    /// A backslash.
    Backslash,
    /// `%` with two hexadecimal digits or `u` behind it.
    Encoded,
    /// A control character, NUL among them.
    Control,
    /// A character that some systems drop, or take for `.`, `/`, `\` or `%`.
    LookAlike,
}

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dots => "a segment of dots",
            Self::EmptySegment => "an empty segment (`//`)",
            Self::Backslash => "a backslash",
            Self::Encoded => "a percent-encoded character",
            Self::Control => "a control character",
            Self::LookAlike => "an invisible character, or one that looks like `.`, `/`, `\\` or `%`",
        })
    }
}

/// Whether `text`, which begins with `prefix`, stays below the last slash of it, however it is read: as a path of POSIX or Windows, as a
/// part of a URL, decoded once or more, in any normal form of Unicode. Says nothing of links, mounts and shell variables at the server.
///
/// # Errors
/// [`PathFault`] with the first thing found.
pub fn below(prefix: &str, text: &str) -> Result<(), PathFault> {
    // The segment in which the prefix ends goes on behind it.
    let from = prefix.rfind('/').map_or(0, |at| at + 1);
    let tail = text.get(from..).unwrap_or(text);
    let own = text.get(prefix.len()..).unwrap_or(text);
    if own.contains(char::is_control) {
        return Err(PathFault::Control);
    }
    if own.contains('\\') {
        return Err(PathFault::Backslash);
    }
    if own.contains(look_alike) {
        return Err(PathFault::LookAlike);
    }
    // A prefix may end with `%`.
    if encoded(tail) {
        return Err(PathFault::Encoded);
    }
    if tail.split('/').any(dots) {
        return Err(PathFault::Dots);
    }
    if own.contains("//") || from > 0 && from == prefix.len() && own.starts_with('/') {
        return Err(PathFault::EmptySegment);
    }
    Ok(())
}

/// `.`, `..` and what is taken for them: Windows drops dots and blanks at the end of a name, some web servers what follows a `;`.
fn dots(segment: &str) -> bool {
    let name = segment.split(';').next().unwrap_or(segment);
    (!segment.is_empty() && name.is_empty()) || name.contains('.') && name.chars().all(|c| c == '.' || c.is_whitespace())
}

fn encoded(text: &str) -> bool {
    let hex = |b: Option<&u8>| b.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    let at = |at: usize| {
        bytes[at] == b'%' && (matches!(bytes.get(at + 1), Some(b'u' | b'U')) || hex(bytes.get(at + 1)) && hex(bytes.get(at + 2)))
    };
    (0..bytes.len()).any(at)
}

fn look_alike(c: char) -> bool {
    match c {
        // Dropped: soft hyphen, joiners, marks of direction, selectors, tags.
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{3164}'
        | '\u{feff}'
        | '\u{ffa0}' => true,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{fff0}'..='\u{fffd}' => {
            true
        }
        '\u{e0000}'..='\u{e0fff}' => true,
        // Dots, one or more.
        '\u{2024}'..='\u{2026}' | '\u{fe19}' | '\u{fe30}' | '\u{fe52}' | '\u{ff0e}' | '\u{ff61}' | '\u{3002}' => true,
        // Slashes and backslashes.
        '\u{2044}' | '\u{2215}' | '\u{2216}' | '\u{29f5}' | '\u{29f8}' | '\u{29f9}' | '\u{fe68}' | '\u{ff0f}' | '\u{ff3c}' => true,
        // Percent signs, and the yen and won signs that stand for a backslash in older character sets.
        '\u{fe6a}' | '\u{ff05}' | '\u{a5}' | '\u{20a9}' => true,
        // Characters whose normal form has a slash in it: `℀`, `℁`, `℅`, `℆`.
        '\u{2100}' | '\u{2101}' | '\u{2105}' | '\u{2106}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_may_lead_out() {
        let prefix = "agents/a/";
        for good in [
            "agents/a/",
            "agents/a/x",
            "agents/a/x/y.txt",
            "agents/a/.hidden",
            "agents/a/...x",
            "agents/a/x..y",
            "agents/a/50% of",
            "agents/a/Ä",
            "agents/a/x;y",
        ] {
            assert_eq!(below(prefix, good), Ok(()), "{good}");
        }
        for (bad, fault) in [
            ("..", PathFault::Dots),
            ("x/../../b", PathFault::Dots),
            (".", PathFault::Dots),
            ("./x", PathFault::Dots),
            (".. /x", PathFault::Dots),
            ("...", PathFault::Dots),
            ("..;/x", PathFault::Dots),
            ("..;a=b/x", PathFault::Dots),
            (";/x", PathFault::Dots),
            ("/x", PathFault::EmptySegment),
            ("x//y", PathFault::EmptySegment),
            ("..\\x", PathFault::Backslash),
            ("%2e%2e/x", PathFault::Encoded),
            ("%252e", PathFault::Encoded),
            ("%u002e", PathFault::Encoded),
            ("x\0", PathFault::Control),
            ("x\u{85}", PathFault::Control),
            ("\u{ff0e}\u{ff0e}/x", PathFault::LookAlike),
            (".\u{200b}./x", PathFault::LookAlike),
            ("\u{2025}/x", PathFault::LookAlike),
            ("..\u{2215}x", PathFault::LookAlike),
        ] {
            assert_eq!(below(prefix, &format!("{prefix}{bad}")), Err(fault), "{bad:?}");
        }
    }

    #[test]
    fn the_segment_in_which_a_prefix_ends_goes_on() {
        assert_eq!(below("a/.", "a/../x"), Err(PathFault::Dots));
        assert_eq!(below("a/%", "a/%2e"), Err(PathFault::Encoded));
        assert_eq!(below("a:", "a:/x"), Ok(()));
        assert_eq!(below("https://h/a/", "https://h/a/x"), Ok(()), "what the operator wrote is his word");
        assert_eq!(below("a:", "a:../x"), Ok(()), "no path: `a:..` is one name");
    }
}
