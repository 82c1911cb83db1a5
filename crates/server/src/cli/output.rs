//! Results on stdout: tables for people, JSON for programs. Talk goes to stderr.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::cli::args::Form;
use crate::exit::{Exit, Failure};
use crate::http::api::text::is_hidden;

/// Whether text for people may be coloured (`NO_COLOR`, `CLICOLOR_FORCE`, `TERM=dumb`, then: is it a terminal).
pub(crate) fn color(environment: &BTreeMap<String, String>, terminal: bool) -> bool {
    let set = |name: &str| environment.get(name).is_some_and(|value| !value.is_empty() && value != "0");
    if environment.get("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        return false;
    }
    set("CLICOLOR_FORCE") || (terminal && environment.get("TERM").is_none_or(|term| term != "dumb"))
}

/// Prints to stdout.
///
/// # Errors
/// A closed pipe (`| head`) ends the command without a word; any other failure, for instance a full disk behind a redirection,
/// is told.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let written = io::stdout().lock().write_all(text.as_bytes()).and_then(|()| io::stdout().lock().flush());
    written.map_err(|cause| match cause.kind() {
        io::ErrorKind::BrokenPipe => Failure::told(Exit::Failed),
        _ => Failure::new(Exit::Failed, format!("cannot write to stdout: {cause}")),
    })
}

/// Prints one value as JSON with a newline.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|cause| Failure::new(Exit::Failed, format!("cannot write as JSON: {cause}")))?;
    print(&(text + "\n"))
}

/// Prints one thing: as JSON, or a line for each member that is not null.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_one(form: Form, value: &impl Serialize) -> Result<(), Failure> {
    if form == Form::Json {
        return print_json(value);
    }
    let value = serde_json::to_value(value).map_err(|cause| Failure::new(Exit::Failed, format!("cannot write as JSON: {cause}")))?;
    let members = value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let lines = members.map(|(name, value)| {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name:<16} {}\n", printable(&shown))
    });
    print(&lines.collect::<String>())
}

/// Says that something was done: to people in a sentence, to programs as the thing that it is now.
///
/// # Errors
/// As [`print()`].
pub(crate) fn done(form: Form, value: &impl Serialize, sentence: &str) -> Result<(), Failure> {
    if form == Form::Json {
        return print_json(value);
    }
    eprintln!("{}", printable(sentence));
    Ok(())
}

/// Prints `rows` as a JSON array or as a table.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_rows<T: Serialize, const N: usize>(
    form: Form,
    rows: &[T],
    header: [&str; N],
    cells: impl Fn(&T) -> [String; N],
) -> Result<(), Failure> {
    match form {
        Form::Json => print_json(&rows),
        Form::Text => print(&table(header, rows.iter().map(cells).collect())),
    }
}

/// Left-aligned columns two spaces apart. Cells are made safe for terminals.
fn table<const N: usize>(header: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut lines = vec![header.map(str::to_owned)];
    lines.extend(rows.into_iter().map(|row| row.map(|cell| printable(&cell))));
    let mut widths = [0; N];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in &lines {
        let padded = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// What is not seen as escapes: stored text must not drive the operator's terminal, nor read as something else.
pub(crate) fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if is_hidden(c) { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// Asks before something that cannot be undone.
///
/// # Errors
/// [`Exit::Usage`] without a terminal, [`Exit::Failed`] when the answer is not yes.
pub(crate) fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    confirm_on(question, yes, io::stdin().is_terminal() && io::stderr().is_terminal())
}

fn confirm_on(question: &str, yes: bool, terminal: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !terminal {
        return Err(
            Failure::new(Exit::Usage, format!("{question} needs a confirmation, and there is no terminal to ask on")).hint("add `--yes`")
        );
    }
    eprint!("{question}? [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    let agreed = read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    if agreed { Ok(()) } else { Err(Failure::new(Exit::Failed, "not confirmed; nothing was changed")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align_and_escape() {
        let rows = vec![["a".to_owned(), "x\u{1b}[31m".to_owned()], ["long".to_owned(), String::new()]];
        assert_eq!(table(["ID", "NOTE"], rows), "ID    NOTE\na     x\\u{1b}[31m\nlong\n");
    }

    #[test]
    fn color_follows_the_conventions() {
        let with =
            |pairs: &[(&str, &str)], terminal| color(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(), terminal);
        assert!(with(&[], true) && !with(&[], false));
        assert!(!with(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true));
        assert!(with(&[("NO_COLOR", "")], true) && with(&[("CLICOLOR_FORCE", "1")], false));
        assert!(!with(&[("TERM", "dumb")], true));
    }

    #[test]
    fn without_a_terminal_consent_must_be_given() {
        assert_eq!(confirm_on("revoke", false, false).unwrap_err().exit(), Exit::Usage);
        assert_eq!(confirm_on("revoke", true, false), Ok(()));
    }
}
