//! One line of a file with a mark under what is meant.

use std::ops::Range;

/// Most characters of a line that are shown.
const SHOWN_CHARS_MAX: usize = 120;
/// Of these, at most so many before the mark.
const BEFORE_CHARS_MAX: usize = 60;
/// Stands for a hidden value, whatever its length.
const REDACTED: &str = "<redacted>";
/// Stands for what is left out.
const CUT: &str = "...";

/// A line as it is printed.
pub(super) struct Shown {
    pub(super) text: String,
    /// Characters before the mark.
    pub(super) indent: usize,
    /// Length of the mark, at least one.
    pub(super) width: usize,
}

/// The line with `hidden` ranges replaced and the token at `start` marked.
pub(super) fn show(chars: &[char], start: usize, hidden: &[Range<usize>]) -> Shown {
    let start = start.min(chars.len());
    let end = token_end(chars, start).max(start + 1);
    let mut shown: Vec<char> = Vec::new();
    let (mut from, mut to) = (None, None);
    let mut at = 0;
    while at < chars.len() {
        let next = match hidden.iter().find(|range| range.contains(&at)) {
            Some(range) => range.end,
            None => at + 1,
        };
        if from.is_none() && next > start {
            from = Some(shown.len());
        }
        match chars[at] {
            _ if hidden.iter().any(|range| range.contains(&at)) => shown.extend(REDACTED.chars()),
            '\t' => shown.push(' '),
            c @ ('"' | '\'' | '\\') => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
        at = next;
        if to.is_none() && at >= end {
            to = Some(shown.len());
        }
    }
    let from = from.unwrap_or(shown.len());
    window(&shown, from, to.unwrap_or(shown.len()).max(from + 1))
}

fn window(shown: &[char], from: usize, to: usize) -> Shown {
    if shown.len() <= SHOWN_CHARS_MAX {
        return Shown { text: shown.iter().collect(), indent: from, width: to - from };
    }
    let begin = from.saturating_sub(BEFORE_CHARS_MAX);
    let end = shown.len().min(begin + SHOWN_CHARS_MAX);
    let head = if begin > 0 { CUT } else { "" };
    let tail = if end < shown.len() { CUT } else { "" };
    let text = format!("{head}{}{tail}", shown[begin..end].iter().collect::<String>());
    Shown { text, indent: head.len() + from - begin, width: to.min(end).saturating_sub(from).max(1) }
}

/// Where the key or value that begins at `start` ends on this line.
fn token_end(chars: &[char], start: usize) -> usize {
    let Some(first) = chars.get(start).copied() else { return start };
    match first {
        '"' | '\'' => quoted_end(chars, start, first),
        '[' => closing(chars, start, '[', ']'),
        '{' => closing(chars, start, '{', '}'),
        _ => plain_end(chars, start),
    }
}

fn quoted_end(chars: &[char], start: usize, quote: char) -> usize {
    let mut at = start + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' if quote == '"' => at += 1,
            c if c == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    chars.len()
}

fn closing(chars: &[char], start: usize, open: char, close: char) -> usize {
    let mut depth = 0_usize;
    for (at, c) in chars.iter().enumerate().skip(start) {
        depth = if *c == open { depth + 1 } else { depth };
        if *c == close {
            depth -= 1;
            if depth == 0 {
                return at + 1;
            }
        }
    }
    chars.len()
}

/// A plain scalar ends before `: `, ` #` and, where something was opened before it on the line, before `,`, `]` and `}`.
fn plain_end(chars: &[char], start: usize) -> usize {
    let flow = chars[..start].iter().any(|c| matches!(c, '{' | '['));
    let mut end = start;
    for at in start..chars.len() {
        let next = chars.get(at + 1);
        match chars[at] {
            ':' if next.is_none_or(|next| next.is_whitespace()) => break,
            ',' | ']' | '}' if flow => break,
            '#' if at > start && chars[at - 1].is_whitespace() => break,
            c if !c.is_whitespace() => end = at + 1,
            _ => {}
        }
    }
    end
}
