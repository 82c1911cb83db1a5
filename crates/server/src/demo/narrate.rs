//! How the demonstration tells its story: one numbered line per step, and whether it went as it should.

use crate::cli::output;
use crate::exit::Failure;

/// Columns of a line before it is broken.
const COLUMNS: usize = 108;
const INDENT: &str = "    ";

/// What a step found: a sentence to show, or what went wrong.
pub(super) type Outcome = Result<String, String>;

/// Counts and prints steps.
#[derive(Default)]
pub(super) struct Narrator {
    steps: u32,
    failed: u32,
}

impl Narrator {
    /// Prints text between steps.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(super) fn say(&self, text: &str) -> Result<(), Failure> {
        output::print(&format!("{text}\n"))
    }

    /// Prints the outcome of one step.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(super) fn step(&mut self, what: &str, outcome: Outcome) -> Result<(), Failure> {
        self.steps += 1;
        let line = match outcome {
            Ok(found) => format!("{:>2}. {what} {found}", self.steps),
            Err(fault) => {
                self.failed += 1;
                format!("{:>2}. FAILED: {what} Instead: {fault}", self.steps)
            }
        };
        output::print(&wrapped(&output::printable(&line)))
    }

    /// The last line, and whether all steps went as shown.
    pub(super) fn verdict(&self) -> (String, bool) {
        let Self { steps, failed } = self;
        match failed {
            0 => (format!("All {steps} steps went as shown."), true),
            _ => (format!("{failed} of {steps} steps did not go as they should."), false),
        }
    }
}

/// Breaks `text` at spaces; every line but the first is indented.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for (at, word) in text.split(' ').enumerate() {
        let room = lines.last().map_or(0, |line| line.chars().count() + 1 + word.chars().count());
        if room > COLUMNS {
            lines.push(INDENT.to_owned() + word);
        } else if let Some(line) = lines.last_mut() {
            if at > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaks_at_spaces_and_keeps_numbers_aligned() {
        let text = wrapped(&format!(" 1. {}", "word ".repeat(40).trim_end()));
        assert!(text.lines().all(|line| line.len() <= COLUMNS));
        assert!(text.starts_with(" 1. word") && text.lines().nth(1).unwrap().starts_with("    word"));
        assert_eq!(text.matches("word").count(), 40);
    }
}
