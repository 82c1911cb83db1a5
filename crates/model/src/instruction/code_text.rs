//! Finds code in Markdown (CommonMark 4.5 and 6.1): fenced blocks and spans between backticks. Only the attribution rule needs it.

/// Spaces before a fence at most.
const FENCE_INDENT_MAX: usize = 3;
/// Shortest fence.
const FENCE_CHARS_MIN: usize = 3;

/// What stays where a block or span was, so that what stood on both sides does not meet: a backtick, which begins nothing.
const PLACE: char = '`';

/// The text without its code.
pub(super) fn without_code(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut paragraph = String::new();
    let mut open: Option<Fence> = None;
    for line in text.split_inclusive('\n') {
        match (&open, Fence::of(line)) {
            (Some(fence), Some(other)) if other.closes(fence) => open = None,
            (Some(_), _) => {}
            (None, Some(fence)) if fence.opens => {
                flush(&mut paragraph, &mut kept);
                kept.push(PLACE);
                open = Some(fence);
            }
            (None, _) => {
                paragraph.push_str(line);
                // A span never reaches over an empty line.
                if line.trim().is_empty() {
                    flush(&mut paragraph, &mut kept);
                }
            }
        }
    }
    flush(&mut paragraph, &mut kept);
    kept
}

struct Fence {
    character: char,
    length: usize,
    /// A fence of backticks with a backtick behind it is a span.
    opens: bool,
    bare: bool,
}

impl Fence {
    fn of(line: &str) -> Option<Self> {
        let body = line.trim_start_matches(' ');
        let character = body.chars().next().filter(|c| matches!(c, '`' | '~'))?;
        let rest = body.trim_start_matches(character);
        let length = body.len() - rest.len();
        if line.len() - body.len() > FENCE_INDENT_MAX || length < FENCE_CHARS_MIN {
            return None;
        }
        Some(Self { character, length, opens: character == '~' || !rest.contains('`'), bare: rest.trim().is_empty() })
    }

    fn closes(&self, open: &Self) -> bool {
        self.bare && self.character == open.character && self.length >= open.length
    }
}

/// Adds a paragraph without its spans and empties it. The end of each span is looked up once per length, so that a text of backticks alone
/// costs no more than its length times the number of lengths that it can hold.
fn flush(paragraph: &mut String, kept: &mut String) {
    let runs = backtick_runs(paragraph);
    let mut copied = 0;
    let mut next = 0;
    while let Some((start, length)) = runs.get(next).copied() {
        let close = runs[next + 1..].iter().position(|(_, other)| *other == length);
        match close {
            Some(offset) => {
                let (end, end_length) = runs[next + 1 + offset];
                kept.push_str(&paragraph[copied..start]);
                kept.push(PLACE);
                copied = end + end_length;
                next += offset + 2;
            }
            None => next += 1,
        }
    }
    kept.push_str(&paragraph[copied..]);
    paragraph.clear();
}

/// Where each run of backticks begins, and its length.
fn backtick_runs(text: &str) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (at, _) in text.match_indices('`') {
        match runs.last_mut() {
            Some((start, length)) if *start + *length == at => *length += 1,
            _ => runs.push((at, 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::without_code;

    #[test]
    fn code_goes_and_the_rest_stays() {
        let cases = [
            ("plain", "plain"),
            ("a `b` c", "a ` c"),
            ("a ``b ` c`` d", "a ` d"),
            ("a `b c", "a `b c"),
            ("a `b\n\nc` d", "a `b\n\nc` d"),
            ("a\n```rust\nb\n```\nc", "a\n`c"),
            ("a\n~~~~\nb\n~~~\nc\n~~~~\nd", "a\n`d"),
            ("    ```\nb", "    ```\nb"),
            ("```\nnever closed", "`"),
            ("``` a ``` b", "` b"),
        ];
        for (text, expected) in cases {
            assert_eq!(without_code(text), expected, "{text}");
        }
    }
}
